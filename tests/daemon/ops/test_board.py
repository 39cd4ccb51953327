"""What a page and a terminal show: equal to what the daemons say, harmless, and only as much as has changed."""

import math

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from daemon.ops.web.board import GONE_WARNING_NS, KNOWN_MAX, Board
from daemon.ops.web.curves import POINTS_MAX, STEP_NS, Curves
from daemon.ops.web.tables import GONE, ROWS_MAX, TABLES, WARNINGS, Since, quantiles, rows_of
from hftd.control import status
from tests.daemon.ops.crowds import DAY_NS, NOON_NS, crowd

S = 10**9


def daemon(name="bf", **more):
    values = {"kind": status.CONNECTOR, "name": name, "pid": 7, "version": "1", "now_ns": NOON_NS}
    return status.DaemonStatus(**(values | {"channels": [status.Channel(name=name)]} | more))


def cells(look, table, row=0):
    """A row by its columns' titles."""
    columns = (TABLES | {"warnings": WARNINGS})[table].columns
    _, values = list(look.tables[table].values())[row]
    return dict(zip([one.title for one in columns], values, strict=True))


def looked(*daemons, silent=(), now_ns=1000 * S):
    return Board().look(daemons, silent, now_ns)


def test_tables_say_what_the_daemon_says():
    market = status.Market(
        symbol="BTCUSDT", instrument=0, best_bid=1.5, best_ask=2.5, feed_age_ns=250, rows=9, gaps=2
    )
    order = status.OpenOrder(
        symbol="BTCUSDT", order_id=2**63 + 1, client_id="c", side="buy", price=1.5, qty=3.0, leaves_qty=2.0,
        status="new", request="unknown", age_ns=2 * S,
    )  # fmt: skip
    fill = status.Fill(
        ns=NOON_NS, bot="mm", symbol="BTCUSDT", side="sell", price=2.0, qty=1.0, fee=0.1, fee_asset="BNB",
        is_maker=True, markouts=[0.001, None],
    )  # fmt: skip
    bot = status.Bot(
        name="mm", orders=[order], orders_left_out=3, refused=4, fills=1, outcomes={"filled": 1, "unknown": 3},
        positions=[status.Position(symbol="BTCUSDT", position=-0.5, num_trades=6)],
        profits=[status.Profit(day_ns=NOON_NS, asset="USDT", total=-12.5)],
        markouts=[status.Markout(after_ns=S), status.Markout(after_ns=10 * S)],
    )  # fmt: skip
    look = looked(
        daemon(
            channels=[status.Channel(name="bf", markets=[market])], bots=[bot], fills=[fill], is_halted=True
        )
    )
    assert cells(look, "daemons")["state"] == ["halted", "bad"]
    book = cells(look, "books")
    assert (book["bid"], book["ask"], book["feed age"], book["gaps"]) == (1.5, 2.5, 250, 2)
    told = cells(look, "bots")
    assert (told["open"], told["refused"], told["filled"], told["unknown"]) == (4, 4, 0.25, 3)
    assert told["profit today"] == [[-12.5, "USDT"]]
    shown = cells(look, "orders")
    assert (shown["order id"], shown["left"], shown["asked"]) == (str(2**63 + 1), 2.0, ["unknown", "bad"])
    assert shown["age"] == 998_000
    execution = cells(look, "fills")
    assert (execution["time"], execution["as"], execution["fee"]) == (
        NOON_NS // 1000,
        "maker",
        [[0.1, "BNB"]],
    )
    assert execution["markouts, bp"] == [[S, 5.0]]
    assert cells(look, "positions")["position"] == -0.5
    assert {one.title: one.text for one in look.tiles}["books valid"] == "1 of 1"


def test_each_row_has_a_cell_for_each_column_in_every_table():
    look = looked(crowd(3, 9))
    for name, rows in look.tables.items():
        assert rows or name == "warnings"
        for _, values in rows.values():
            assert len(values) == len((TABLES | {"warnings": WARNINGS})[name].columns), name


def test_quantiles_are_the_ends_of_their_buckets_and_never_above_the_longest():
    latency = status.Latency(
        name="feed", count=100, counts=[50, 40, 9, 1], bounds_ns=[10, 100, 1000], max_ns=5000
    )
    assert quantiles(latency, (0.5, 0.51, 0.9, 0.99, 0.999)) == [10, 100, 100, 1000, 5000]
    assert quantiles(status.Latency(name="feed"), (0.5,)) == [None]
    one = status.Latency(name="feed", count=1, counts=[0, 1, 0, 0], bounds_ns=[10, 100, 1000], max_ns=70)
    assert quantiles(one, (0.5,)) == [70]


def merged(before, look):
    """What a page makes of a change."""
    tables = {name: dict(rows) for name, rows in before.items()}
    for name, keys in look.removed.items():
        for key in keys:
            del tables[name][key]
    for name, rows in look.changed.items():
        tables[name] |= rows
    return tables


def test_what_was_there_and_what_has_changed_make_what_is_there():
    board = Board()
    before = {}
    for step in range(6):
        found = [] if step == 3 else [crowd(4, 12 - step, step)]
        look = board.look(found, ["dead"] if step == 2 else [], (1000 + step) * S)
        if before:
            assert merged(before, look) == look.tables
        before = look.tables


def test_what_has_not_changed_is_not_told_again_however_old_it_gets():
    still = daemon(
        bots=[status.Bot(name="mm", since_ns=NOON_NS, orders=[
            status.OpenOrder(symbol="A", order_id=1, side="buy", price=1, qty=1, leaves_qty=1, status="new", age_ns=S)
        ])],
        started_ns=NOON_NS - S,
        alerts=[status.Warning(key="k", text="t", age_ns=S)],
    )  # fmt: skip
    board = Board()
    board.look([still], [], 1000 * S)
    order = msgspec.structs.replace(still.bots[0].orders[0], age_ns=2 * S + 300_000_000)
    later = msgspec.structs.replace(
        still,
        now_ns=NOON_NS + S + 200_000_000,
        bots=[msgspec.structs.replace(still.bots[0], orders=[order])],
        alerts=[status.Warning(key="k", text="t", age_ns=2 * S + 250_000_000)],
    )
    look = board.look([later], [], 1001 * S + 290_000_000)
    assert look.changed == look.removed == {}
    assert cells(look, "orders")["age"] == 999_000


def test_a_daemon_that_is_gone_stays_marked_and_is_a_warning_with_its_age():
    board = Board()
    board.look([crowd(2, 4)], [], 1000 * S)
    look = board.look([], [], 1001 * S)
    assert cells(look, "daemons")["state"] == ["gone", "bad"]
    assert {rank for rank, _ in look.tables["books"].values()} == {GONE}
    assert look.tables["warnings"] == {}
    look = board.look([], ["binancefutures"], 1001 * S + GONE_WARNING_NS)
    assert cells(look, "daemons")["state"] == ["no answer", "bad"]
    assert cells(look, "warnings")["text"] == "binancefutures does not answer"
    assert cells(look, "warnings")["for"] == 1_001_000
    look = board.look([crowd(2, 4)], [], 1009 * S)
    assert cells(look, "daemons")["state"] == ["answers", "good"]
    assert not any("does not answer" in row[1][0] for row in look.tables["warnings"].values())


def test_a_replay_that_is_over_is_no_warning():
    board = Board()
    board.look([daemon("day", kind=status.REPLAY)], [], 1000 * S)
    look = board.look([], [], 1100 * S)
    assert cells(look, "daemons")["state"] == ["ended", "dim"]
    assert look.tables["warnings"] == {}


def test_a_connector_that_waited_for_its_exchange_is_not_gone_when_it_serves():
    board = Board()
    board.look([daemon("bf.waiting")], [], 1000 * S)
    look = board.look([daemon("bf")], [], 1001 * S)
    assert (
        [cells(look, "daemons")["daemon"]] == [row[1][0] for row in look.tables["daemons"].values()] == ["bf"]
    )


def test_daemons_that_never_come_back_are_forgotten_the_oldest_first():
    board = Board()
    for number in range(KNOWN_MAX + 5):
        look = board.look([daemon(f"d{number}")], [], (1000 + number) * S)
    names = {row[1][0] for row in look.tables["daemons"].values()}
    assert len(names) == KNOWN_MAX
    assert "d4" not in names
    assert {"d5", f"d{KNOWN_MAX + 4}"} <= names


def test_a_status_that_can_not_be_shown_spoils_no_other_one(monkeypatch):
    odd = daemon("odd", bots=[status.Bot(name="mm", profits=[None])])
    look = looked(odd, daemon("bf", foreign_orders=3))
    states = {row[1][0]: row[1][1][0] for row in look.tables["daemons"].values()}
    assert states == {"odd": "not shown", "bf": "answers"}
    assert "can't be shown" in cells(look, "warnings")["text"]
    assert b"not shown" in look.whole()


def test_rows_beyond_the_limit_are_counted():
    fills = [status.Fill(ns=1, symbol="A", side="buy", price=1, qty=1)] * (ROWS_MAX + 7)
    look = looked(daemon(fills=fills))
    assert len(look.tables["fills"]) == ROWS_MAX
    assert look.left_out == {"fills": 7}


def texts(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield key
            yield from texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from texts(one)


ANY = st.text(st.characters(codec=None), max_size=400) | st.sampled_from(
    ["\x1b[31mred", "\u202eturned", "a\nb\r\n\ndata: c", "\ud800", "\x00", "<script>alert(1)</script>"]
)


@given(ANY, ANY, ANY)
def test_no_text_holds_what_a_terminal_or_a_browser_would_obey(one, other, third):
    warning = status.Warning(key=one, text=other, symbol=third)
    market = status.Market(symbol=one, instrument=0)
    bot = status.Bot(
        name=other, symbols=[one, third], limits=[status.Used(name=third, used=1, limit=2)],
        profits=[status.Profit(day_ns=NOON_NS, asset=one, total=1.0)],
        channels=[third],
        orders=[status.OpenOrder(symbol=one, order_id=1, side=other, price=1, qty=1, leaves_qty=1, status=third)],
    )  # fmt: skip
    told = daemon(
        third or "x", venue=one, version=other, alerts=[warning], bots=[bot], profits=bot.profits,
        channels=[status.Channel(name=other, markets=[market, market])],
        events=[status.Event(ns=1, level=one, key=other, text=third)],
        connections=[status.Connection(name=one, is_up=False, last_error=other)],
        refusals=[status.Refusal(bot=one, symbol=other, reason=1, name=third, words=one, hint=other)],
        balances=[status.Balance(asset=one, total=1, free=1)],
        departed=[status.Departed(bot=one, reason=other, is_orderly=False)],
        fills=[status.Fill(ns=1, symbol=one, bot=other, side=third, price=1, qty=1, fee_asset=one)],
    )  # fmt: skip
    look = looked(told, silent=[one + "?"])
    for text in texts([look.tables, look.curves, look.points, msgspec.to_builtins(look.tiles)]):
        assert text.isprintable()
        assert len(text) <= 320
    whole = look.whole()
    assert b"\n" not in whole + look.change()
    assert len(msgspec.json.decode(whole)["rows"]["books"]) == 2


NUMBERS = st.floats() | st.integers(-(2**63), 2**63 - 1)


@given(NUMBERS, st.integers(-(2**63), 2**63 - 1))
def test_no_number_spoils_the_page(value, whole):
    bot = status.Bot(
        name="mm", fills=whole, since_ns=whole, outcomes={"filled": whole},
        profits=[status.Profit(day_ns=whole, asset="USDT", total=value)],
        markouts=[status.Markout(after_ns=whole, value=value, gain=value)],
        latencies=[status.Latency(name="entry", count=whole, counts=[whole], bounds_ns=[whole], max_ns=whole)],
    )  # fmt: skip
    market = status.Market(symbol="A", instrument=0, best_bid=value, feed_age_ns=whole)
    told = daemon(
        now_ns=whole, bots=[bot], profits=bot.profits, channels=[status.Channel(name="bf", markets=[market])],
        fills=[status.Fill(ns=whole, bot="mm", symbol="A", side="buy", price=value, qty=value, markouts=[value])],
        alerts=[status.Warning(key="k", text="t", age_ns=whole)],
    )  # fmt: skip
    look = looked(told)
    assert look.tables["daemons"]["bf"][1][1] != ["not shown", "bad"]
    for raw in (look.whole(), look.change()):
        assert math.isfinite(msgspec.json.decode(raw)["now"])


def test_curves_have_a_point_each_half_minute_and_begin_anew_with_the_day():
    curves = Curves()

    def at(second, total, day=0):
        profit = status.Profit(day_ns=day * DAY_NS, asset="USDT", total=total)
        return curves.add(daemon(now_ns=day * DAY_NS + second * S, profits=[profit]))

    at(1, 1.0)
    at(29, 2.0)
    assert at(31, 3.0) == [["bf", "USDT", 0, [30, 3.0]]]
    assert curves.all() == [["bf", "USDT", 0, [[0, 2.0], [30, 3.0]]]]
    at(5, 9.0, day=1)
    assert curves.all() == [["bf", "USDT", 86_400, [[86_400, 9.0]]]]
    for number in range(POINTS_MAX + 10):
        at(number * STEP_NS // S, 1.0, day=1)
    assert len(curves.all()[0][3]) == POINTS_MAX


def test_one_account_s_rows_keep_their_keys_from_look_to_look():
    since = Since()
    first, second = (rows_of(crowd(4, 8, step), since) for step in (0, 1))
    for name in ("books", "bots", "orders", "connections", "latencies", "limits", "profits"):
        assert first[name].keys() == second[name].keys(), name
