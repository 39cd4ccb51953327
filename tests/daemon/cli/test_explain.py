"""`hftd explain`: what it says of all orders and of one, and what it says if it can't."""

import io
import json
import re

import numpy as np
import pytest

import daemon.cli
from daemon.cli.failing import run
from daemon.cli.show import explain as explaining
from daemon.cli.show.terminal import show
from hftd.errors import DataError, UsageError
from hftd.hbt.life import LIFE_QUEUE, life_dtype
from hftd.runfile import AssetMeta, RunFile, RunMeta, write_run
from hftd.types import FOK, GTC, GTX, IOC, LIMIT, record_dtype
from sim import HashMapMarketDepthBacktest
from sim.results.explain import explain, find, group, life_of, listed, tell
from sim.results.explain.orders import gone
from tests.sim.engine.market import asset, levels, rows

STORY = (
    *levels(),
    ("bid", 100, 98.0, 20.0),
    ("sell", 200, 98.0, 3.0),
    ("bid", 300, 98.0, 12.0),
    ("sell", 400, 98.0, 14.0),
    ("sell", 500, 96.0, 1.0),
    ("buy", 550, 103.0, 25.0),
    ("bid", 600, 104.0, 2.0),
    ("mark price", 1_000_000, 0.0, 0.0),
)


@pytest.fixture(scope="module")
def lived():
    """A run in which orders fill for every cause, or end in other ways, some with an id that was used before."""
    made = asset(rows(*STORY), entry_ns=10, response_ns=20).power_prob_queue_model(2.0)
    hbt = HashMapMarketDepthBacktest([made.partial_fill_exchange().trading_value_fee_model(0.001, 0.002)])
    hbt.record_life()
    hbt.elapse(0)
    assert hbt.submit_buy_order(0, 11, 101.0, 4.0, GTC, LIMIT, True) == 0
    hbt.clear_inactive_orders(0)
    hbt.submit_buy_order(0, 11, 98.0, 2.0, GTX, LIMIT, False)
    hbt.submit_buy_order(0, 12, 97.0, 3.0, GTX, LIMIT, False)
    hbt.submit_sell_order(0, 13, 103.0, 18.0, GTX, LIMIT, False)
    hbt.submit_sell_order(0, 14, 104.0, 5.0, GTX, LIMIT, True)
    hbt.submit_buy_order(0, 15, 102.0, 5.0, GTX, LIMIT, True)
    hbt.submit_buy_order(0, 16, 102.0, 100.0, FOK, LIMIT, True)
    hbt.submit_buy_order(0, 17, 101.0, 20.0, IOC, LIMIT, True)
    hbt.submit_buy_order(0, 18, 90.0, 5.0, GTX, LIMIT, True)
    hbt.cancel(0, 18, True)
    hbt.submit_buy_order(0, 2**64 - 1, 91.0, 5.0, GTX, LIMIT, True)
    hbt.elapse(900)
    hbt.submit_buy_order(0, 19, 90.0, 5.0, GTX, LIMIT, False)
    return hbt.life()


@pytest.fixture
def file(lived, tmp_path, monkeypatch):
    """That run in a file, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    meta = RunMeta(name="story", assets=[AssetMeta(symbol="XY", channel="c")])
    write_run("run.npz", [np.zeros(0, record_dtype)], meta=meta, life=lived)
    return tmp_path / "run.npz"


@pytest.fixture
def call(file, capfd):
    """Run `hftd explain` on that file in this process: call("11") gives (code, stdout, stderr)."""

    def call(*arguments, name="run.npz"):
        code = run(daemon.cli.hftd, ["explain", name, *arguments])
        return (code, *capfd.readouterr())

    return call


def why(lived, order_id, use=-1):
    orders = group(lived)
    return tell(orders.of(find(orders, order_id)[use]), "XY").why


def test_each_cause_of_a_fill_is_told_in_a_sentence(lived):
    assert why(lived, 11, 0).startswith(
        "It was filled because it took from the asks when it came, at 101 (10 there)"
    )
    reached = why(lived, 11)
    assert "a trade of 14 at 98 went beyond what was ahead of it" in reached
    assert (
        "with 10 ahead of it at first; of that: 8.87615 traded, 1.12385 cancelled, as the model splits it; "
        in reached
    )
    assert "a trade of 1 at 96 went through its price, with 10 ahead of it" in why(lived, 12)
    assert "the best bid came to 104 (2 there), with 10 ahead of it" in why(lived, 14)


def test_an_order_that_did_not_fill_says_why_not(lived):
    assert why(lived, 15) == "It expired: it was post-only and would have taken."
    assert why(lived, 16) == "It expired: it was fill-or-kill and there was not enough for all of it."
    assert why(lived, 17).startswith("It expired after 10 of it were filled")
    assert why(lived, 18) == "The bot cancelled it: nothing ahead of it then."
    assert why(lived, 2**64 - 1) == "It was still open at the end: nothing ahead of it."
    assert why(lived, 19) == "It had not reached the exchange when the run ended."


def test_what_was_ahead_adds_up_and_what_traded_beyond_it_is_said_apart(lived):
    orders = group(lived)
    checked = 0
    for number in range(len(orders)):
        changes = orders.of(number)
        changes = changes[changes["kind"] == LIFE_QUEUE]
        if not len(changes):
            continue
        of_ahead, beyond = gone(changes)
        first = changes["front_qty"][0] - changes["qty"][0]
        assert of_ahead.sum() == pytest.approx(first - max(changes["front_qty"][-1], 0.0))
        assert (beyond >= 0).all()
        checked += beyond.sum() > 0
    assert checked
    told = why(lived, 11)
    ahead, traded, cancelled, beyond = map(
        float,
        re.search(
            r"with (\S+) ahead.*that: (\S+) traded, (\S+) cancelled.*it; (\S+) traded beyond it", told
        ).groups(),
    )
    assert traded + cancelled == pytest.approx(ahead, abs=1e-4)
    # Trades of 3 and of 14.
    assert traded + beyond == pytest.approx(17.0, abs=1e-4)
    (line,) = [
        one.text for one in tell(orders.of(find(orders, 11)[-1])).lines if "of what was ahead" in one.text
    ][:1]
    assert "8.87615 traded (2 trades of 3 to 14), 1.12385 cancelled" in line


def test_orders_and_fills_are_counted_by_cause_and_by_ending(lived):
    explained = explain(group(lived))
    fills = {one.cause: one for one in explained.fills}
    assert set(fills) == {"traded through", "reached", "crossed", "taken"}
    assert fills["taken"].front_qty is fills["taken"].seconds_median is None
    assert (fills["traded through"].count, fills["traded through"].qty) == (1, 3.0)
    assert fills["traded through"].front_qty == 10.0
    # Bought at 97 while 99 and 101 were the best.
    assert fills["traded through"].edge == 3.0
    endings = {(one.ending, one.reason): one.count for one in explained.endings}
    assert endings[("expired", "REASON_POST_ONLY")] == endings[("expired", "REASON_FOK")] == 1
    assert endings[("canceled", "")] == endings[("on its way", "")] == 1
    assert sum(endings.values()) == explained.orders == 11
    (cut,) = [one for one in explained.endings if one.reason == "REASON_EXPIRED"]
    assert (cut.part_filled, cut.filled_qty) == (1, 10.0)


def test_an_id_that_is_used_again_is_another_order(lived):
    orders = group(lived)
    first, second = find(orders, 11)
    assert orders.of(first)["qty"][0] == 4.0
    assert orders.of(second)["qty"][0] == 2.0
    lines, count = listed(orders, limit=100)
    assert count == len(lines) == len(orders)
    assert [(line.order_id, line.use) for line in lines][:2] == [(11, 1), (11, 2)]
    assert [line.order_id for line in listed(orders, cause="reached")[0]] == [11, 13]
    assert listed(orders, limit=0) == ([], count)


def test_an_id_that_is_not_there_is_an_error_that_names_those_near_it(lived):
    orders = group(lived)
    with pytest.raises(UsageError, match="no order 10 in this run") as caught:
        find(orders, 10)
    assert caught.value.hint == "near it: 11, 12, 13, 14, 15, 16"
    with pytest.raises(UsageError) as caught:
        find(orders, 2**64 - 2)
    assert str(2**64 - 1) in caught.value.hint
    with pytest.raises(UsageError, match="no order 11 there") as caught:
        find(orders, 11, asset=3)
    assert caught.value.hint == "it is one of asset 0, bot 0"
    both = np.concatenate([lived, lived])
    both["asset"][len(lived) :] = 1
    with pytest.raises(UsageError, match="one of several assets: 0, 1"):
        find(group(both), 11)
    assert len(find(group(both), 11, asset=1)) == 2
    with pytest.raises(UsageError, match="no order was sent"):
        find(group(lived[:0]), 11)


def test_a_life_may_be_told_change_by_change(lived):
    orders = group(lived)
    of_order = orders.of(find(orders, 11)[-1])
    short, long = tell(of_order), tell(of_order, each=True)
    changes = int((of_order["kind"] == LIFE_QUEUE).sum())
    assert changes == 3
    assert len(long.lines) == len(short.lines) + changes - 1 == len(of_order)
    assert long.queue == short.queue
    assert short.front_qty + sum(short.queue.values()) == pytest.approx(short.front_last_qty)
    assert [line.rows for line in long.lines] == [(seq, seq) for seq in of_order["seq"]]


def test_the_command_shows_tables_and_stories(call):
    code, out, _ = call()
    assert code == 0
    for words in ("story: 11 orders", "traded through", "reached", "crossed", "taken", "post only", "0 XY"):
        assert words in out
    code, out, _ = call("11")
    assert code == 0
    assert "order 11: buy 2 XY at 98, GTX (post-only), number 2 of 2 with this id" in out
    assert "accepted: it rests at 98, 10 ahead of it; bid 99, ask 101" in out
    assert "filled 2 at 98 as the maker: a trade of 14 at 98 went beyond what was ahead of it" in out
    assert "number 1 of 2" in call("11", "--use", "1")[1]
    code, out, _ = call("--list", "--cause", "reached")
    assert code == 0
    assert "2 of 2 orders" in out


def test_no_figure_is_cut_on_a_narrow_terminal(lived, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("COLUMNS", "60")
    orders = group(lived)
    meta = RunMeta(name="story", assets=[AssetMeta(symbol="XY", channel="c")])
    file = RunFile("run.npz", [], meta, lived)
    stream = Terminal()
    show([*explaining.explained(file, explain(orders)), *explaining.listed(file, *listed(orders))], stream)
    shown = re.sub("\x1b\\[[0-9;]*m", "", stream.getvalue())
    assert "\u2026" not in shown
    assert max(map(len, shown.splitlines())) <= 60
    for figure in ("18,446,744,073,709,551,615".replace(",", ""), "traded through", "crossed", "queue ahead"):
        assert figure in shown


def test_the_command_gives_json_to_programs(call, lived):
    document = json.loads(call("--json")[1])
    assert document["orders"] == 11
    one = json.loads(call("11", "--json")[1])
    assert one["uses"] == 2
    assert one["story"]["ending"] == "filled"
    assert one["rows"][0]["kind"] == "request new"
    assert set(one["rows"][0]) == set(life_dtype.names)
    assert json.loads(call("--list", "--json")[1])["count"] == 11


def test_the_command_draws_an_order_that_rested_and_one_that_did_not(call, file):
    for number, order_id in enumerate(("11", "15", "19", str(2**64 - 1))):
        name = f"{number}.png"
        code, _, err = call(order_id, "--picture", name)
        assert (code, err) == (0, f"the picture is {name}\n")
        drawn = (file.parent / name).read_bytes()
        assert drawn[:8] == b"\x89PNG\r\n\x1a\n"
        # Both panels and their labels take more than an empty frame.
        assert len(drawn) > 15_000


def test_what_is_wrong_with_a_file_or_a_question_is_said(call, file, lived):
    write_run("bare.npz", [np.zeros(0, record_dtype)])
    code, _, err = call(name="bare.npz")
    assert code == 2
    assert "no life of its orders" in err
    assert "--explain --record RUN.npz" in err
    write_run("other.npz", [np.zeros(0, record_dtype)], life=lived[["ts", "seq"]])
    assert "other columns" in call(name="other.npz")[2]
    for arguments, words in (
        (("404",), "near it: 14"),
        (("11", "--use", "3"), "--use 1 to 2"),
        (("--asset", "4"), "no order of asset 4"),
        (("--picture", "x.png"), "are about one order"),
        (("11", "--picture", "no/where.png"), "does not exist"),
        (("-1",), "No such option"),
        (("x",), "not a valid integer"),
    ):
        code, out, err = call(*arguments)
        assert (code, out) == (2, "")
        assert words in err, err
        assert "Traceback" not in err
    assert call(name="missing.npz")[0] == 2


def test_a_run_of_no_orders_says_so(call, lived):
    write_run("none.npz", [np.zeros(0, record_dtype)], life=lived[:0])
    code, out, _ = call(name="none.npz")
    assert code == 0
    assert "no order was sent" in out
    assert call("1", name="none.npz")[0] == 2
    assert call("--list", name="none.npz")[0] == 0


def test_lives_that_begin_or_end_in_the_middle_are_told_as_far_as_they_go(lived):
    orders = group(lived[lived["kind"] != 1])
    for number in range(len(orders)):
        story = tell(orders.of(number))
        assert story.lines
        assert "whose beginning was not recorded" in story.title
    for count in range(1, len(lived)):
        orders = group(lived[:count])
        explained = explain(orders)
        assert sum(one.count for one in explained.endings) == explained.orders
        tell(orders.of(len(orders) - 1))


def test_a_backtest_that_is_to_explain_needs_a_file(file, capfd):
    arguments = ["backtest", "--bot", "b.toml", "--config", "r.toml", "--date", "20220831", "--explain"]
    assert run(daemon.cli.hftd, arguments) == 2
    assert "--explain has no file to write into" in capfd.readouterr().err


def test_the_command_line_s_bound_is_the_library_s():
    from daemon.cli.options import LIFE_ROWS
    from sim.engine.lives import MAX_LIFE_ROWS

    assert LIFE_ROWS == MAX_LIFE_ROWS


def test_a_file_without_a_life_can_not_be_explained(file):
    with pytest.raises(DataError, match="no life"):
        life_of(RunFile(file, []))
