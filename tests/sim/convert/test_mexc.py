"""Captures of MEXC, generated in the documented formats from seeds: there is no recorded one."""

import json

import numpy as np
import pytest

from hftd.errors import DataError
from hftd.types import DEPTH_CLEAR_EVENT, DEPTH_SNAPSHOT_EVENT, KIND_MASK, TRADE_EVENT
from sim.archive import check_events, read_events
from sim.convert import Options, convert

from .books import followed
from .bybitmarket import packed, packed_json
from .mexcmarket import MexcMarket, capture

MARKETS = pytest.mark.parametrize("is_spot", [False, True], ids=["contracts", "spot"])


def converted(tmp_path, lines, **options):
    path = packed(tmp_path / "capture.gz", lines)
    report = convert([path], tmp_path / "out.npz", venue="mexc", options=Options(**options))
    return report, read_events(tmp_path / "out.npz")


def books_of(rows):
    """The book after each message, by its local time."""
    depth = rows[(rows["ev"] & KIND_MASK != TRADE_EVENT) & (rows["ev"] & (1 << 30) != 0)]
    return {local_ts: book for local_ts, *book in followed(depth)}


def assert_follows(rows, expected, *, levels=None):
    """The book of the rows is the expected one after each message, as far as `levels` (None: all)."""
    books, book = books_of(rows), [{}, {}]
    for local_ts, *sides in expected:
        book = books.get(local_ts, book)
        for side, right, sign in zip(book, sides, (-1, 1), strict=True):
            first = dict(list(right.items())[:levels])
            last = list(first)[-1]
            assert {tick: lots for tick, lots in side.items() if (tick - last) * sign <= 0} == first


@MARKETS
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_behind_a_whole_answer_the_book_is_the_exchanges_after_each_message(tmp_path, seed, is_spot):
    market = MexcMarket(seed, is_spot=is_spot)
    lines = [market.line(market.answer())]
    lines += [market.line(market.next_message()) for _ in range(300)]
    report, rows = converted(tmp_path, lines)
    check_events(rows)
    assert_follows(rows, market.expected)
    assert (report.sequence.gaps, report.sequence.repeats, report.crossed.times) == (0, 0, 0)
    assert report.symbol == market.symbol
    # Whole books beside differences are not needed.
    assert report.lines_by_kind["depth snapshot"] == 1
    assert report.ignored == {
        "a partial depth stream": sum(b"full" in line or b"limit" in line for line in lines)
    }


@MARKETS
def test_whole_books_alone_are_the_book(tmp_path, is_spot):
    market = MexcMarket(4, is_spot=is_spot, levels=10)
    lines = []
    for _ in range(200):
        market.book.step()
        market.depth()
        lines.append(market.line(market.full()))
    report, rows = converted(tmp_path, lines)
    books, book = books_of(rows), [{}, {}]
    for local_ts, bids, asks in market.expected:
        book = books.get(local_ts, book)
        assert book == [dict(list(side.items())[:10]) for side in (bids, asks)]
    assert report.rows_by_kind["depth clear"] == 1
    assert report.crossed.times == 0


@MARKETS
def test_a_whole_book_starts_the_differences_and_those_that_it_has_are_left_out(tmp_path, is_spot):
    market = MexcMarket(5, is_spot=is_spot, levels=1000)
    early = []
    for _ in range(5):
        market.book.step()
        early.append(market.depth())
    # The whole book came first, and the differences that it has behind it.
    lines = [market.line(market.full()), *(market.line(message) for message in early)]
    market.expected.clear()
    for _ in range(100):
        market.book.step()
        lines.append(market.line(market.depth()))
    report, rows = converted(tmp_path, lines)
    assert report.ignored == {"an update that the book had already": 5}
    assert (report.sequence.gaps, report.sequence.repeats) == (0, 0)
    assert_follows(rows, market.expected)


@MARKETS
def test_behind_a_gap_the_next_whole_book_puts_the_book_right(tmp_path, is_spot):
    market = MexcMarket(6, is_spot=is_spot, levels=20)
    lines = [market.line(market.answer())]
    for _ in range(10):
        market.book.step()
        lines.append(market.line(market.depth()))
    for _ in range(5):
        market.book.step()
        market.depth()
    lost_at = len(lines)
    market.book.step()
    lines.append(market.line(market.depth()))
    market.expected.clear()
    lines.append(market.line(market.full()))
    market.expected = market.expected[-1:]
    report, rows = converted(tmp_path, lines)
    assert report.sequence.gaps == 1
    assert report.sequence.first[0].line == lost_at + 1
    assert_follows(rows, market.expected, levels=20)
    # Without one, the report says that the book may be wrong.
    report, _ = converted(tmp_path, lines[:-1])
    assert any("no whole book came" in note for note in report.notes)


@MARKETS
def test_an_answer_that_was_late_does_not_undo_what_changed_meanwhile(tmp_path, is_spot):
    market = MexcMarket(18, is_spot=is_spot)
    lines = []
    for _ in range(3):
        market.book.step()
        lines.append(market.line(market.depth()))
    answer = market.answer()
    for _ in range(5):
        market.book.step()
        lines.append(market.line(market.depth()))
    lines.append(market.line(answer))
    market.expected.clear()
    for _ in range(50):
        market.book.step()
        lines.append(market.line(market.depth()))
    report, rows = converted(tmp_path, lines)
    check_events(rows)
    assert_follows(rows, market.expected)
    assert (report.sequence.gaps, report.sequence.repeats) == (0, 0)
    assert not any("no whole book came" in note for note in report.notes)


def test_an_answer_that_came_much_too_late_is_said(tmp_path):
    market = MexcMarket(19)
    answer = market.answer()
    lines = []
    for _ in range(1500):
        market.book.step()
        lines.append(market.line(market.depth()))
    report, _ = converted(tmp_path, [*lines, market.line(answer)])
    assert any("no whole book came" in note for note in report.notes)


def test_merged_versions_of_contracts_follow_each_other(tmp_path):
    market = MexcMarket(7)
    lines = [market.line(market.answer())]
    for count in (1, 5, 3, 1):
        market.book.step()
        lines.append(market.line(market.depth(count)))
    report, _ = converted(tmp_path, lines)
    assert (report.sequence.gaps, report.sequence.repeats) == (0, 0)
    report, _ = converted(tmp_path, [*lines[:2], *lines[3:]])
    assert report.sequence.gaps == 1


@MARKETS
def test_rows_carry_the_matching_engines_time_and_the_aggressors_side(tmp_path, is_spot):
    market = MexcMarket(8, is_spot=is_spot)
    deals = market.deals(3)
    _, rows = converted(
        tmp_path, [market.line(market.answer()), market.line(market.depth()), market.line(deals)]
    )
    assert set(rows["exch_ts"].tolist()) == {market.book.time_ms * 1_000_000}
    trades = rows[rows["ev"] & KIND_MASK == TRADE_EVENT]
    sent = deals["d"]["deals"] if is_spot else deals["data"]
    assert ((trades["ev"] >> 28) & 3).tolist() == [
        3 - (trade["S"] if is_spot else trade["T"]) for trade in sent
    ]
    assert trades["qty"].tolist() == [float(trade["v"]) for trade in sent]


def test_prices_of_the_ticker_and_best_prices_are_user_events_if_asked_for(tmp_path):
    market = MexcMarket(9)
    ticker = {
        "symbol": "BTC_USDT",
        "data": {
            "fairPrice": 200.1,
            "indexPrice": 200.2,
            "fundingRate": 0.0001,
            "timestamp": market.book.time_ms,
        },
        "channel": "push.ticker",
        "ts": market.book.time_ms + 1,
    }
    lines = [market.line(market.full()), market.line(ticker)]
    _, rows = converted(tmp_path, lines, mark_price=True)
    user = rows[rows["ev"] & KIND_MASK >= 100]
    assert (user["ev"] & KIND_MASK).tolist() == [100, 101, 102]
    assert user["px"].tolist() == [200.2, 200.1, 0.0001]
    report, _ = converted(tmp_path, lines)
    assert report.not_converted == {"push.ticker": 1}
    spot = MexcMarket(9, is_spot=True)
    best = spot._message("bookTicker", {"b": "199.99", "B": "1.5", "a": "200.01", "A": "2.5"})
    _, rows = converted(tmp_path, [spot.line(spot.full()), spot.line(best)], book_ticker=True)
    user = rows[rows["ev"] & KIND_MASK >= 100]
    assert user[["px", "qty"]].tolist() == [(199.99, 1.5), (200.01, 2.5)]


def test_an_answer_in_a_capture_of_several_symbols_is_left_out(tmp_path):
    market, other = MexcMarket(10), MexcMarket(11)
    other.symbol = "ETH_USDT"
    lines = [market.line(market.full()), market.line(market.answer()), other.line(other.deals())]
    with pytest.raises(DataError, match="several symbols"):
        converted(tmp_path, lines)
    report, rows = converted(tmp_path, lines, symbol="btc_usdt")
    assert rows.tobytes() == converted(tmp_path, lines[:1])[1].tobytes()
    assert report.ignored["another symbol"] == 1


def test_answers_errors_and_other_streams_are_counted_by_name_and_protobuf_is_said(tmp_path):
    market = MexcMarket(12)
    lines = [market.line(market.full())]
    said = [
        {"channel": "rs.sub.depth", "data": "success", "ts": 1},
        {"channel": "pong", "data": 1, "ts": 1},
        {"channel": "rs.error", "data": "Contract doesn't exist", "ts": 1},
        {"id": 0, "code": 0, "msg": "spot@public.deals.v3.api@BTCUSDT"},
        {"success": False, "code": 1001, "message": "Contract does not exist"},
        {"c": "spot@public.kline.v3.api@BTCUSDT@Min1", "d": {}, "s": "BTCUSDT", "t": 1},
        {"channel": "spot@public.aggre.depth.v3.api.pb@100ms@BTCUSDT", "symbol": "BTCUSDT"},
    ]
    now = market.last_local_ns
    report, rows = converted(tmp_path, lines + [b"%d %s\n" % (now, packed_json(message)) for message in said])
    assert rows.tobytes() == converted(tmp_path, lines)[1].tobytes()
    assert report.not_converted == {
        "rs.sub.depth": 1,
        "pong": 1,
        "spot@public.kline.v3.api": 1,
        "spot@public.aggre.depth.v3.api.pb@100ms@BTCUSDT": 1,
    }
    assert report.exchange_errors == {"Contract doesn't exist": 1, "1001": 1}
    assert any("protobuf" in note for note in report.notes)


@MARKETS
@pytest.mark.parametrize(
    ("kind", "what", "value"),
    [
        ("depth", "bids", 5),
        ("depth", "bids", [["x", 1, 1]]),
        ("depth", "bids", [{"p": "1"}]),
        ("depth", "asks", [[1]]),
        ("depth", "asks", [{"p": "NaN", "v": "1"}]),
        ("full", "asks", None),
        ("full", "bids", [[], []]),
        ("deals", "", []),
        ("deals", "p", ""),
        ("deals", "v", None),
        ("deals", "v", "-1"),
        ("depth", "bids", [{"p": "1", "v": "-1"}]),
        ("depth", "bids", [[1, -1, 1]]),
        ("deals", "t", 1736682894),
        ("deals", "S", 3),
    ],
)
def test_a_message_with_a_wrong_field_gives_no_rows_and_is_counted(tmp_path, is_spot, kind, what, value):
    market = MexcMarket(13, is_spot=is_spot)
    lines = [market.line(market.full())]
    market.book.step()
    message = getattr(market, kind)()
    body = message["d" if is_spot else "data"]
    if kind == "deals":
        deal = (body["deals"] if is_spot else body)[1]
        if not what:
            message["d" if is_spot else "data"] = 5
        else:
            deal["T" if what == "S" and not is_spot else what] = value
    else:
        body[what] = value
    report, rows = converted(tmp_path, [*lines, market.line(message)])
    assert report.ignored == {"a field is missing, or is not a number": 1}
    assert rows.tobytes() == converted(tmp_path, lines)[1].tobytes()


@MARKETS
def test_no_cut_of_a_message_gives_a_row_or_stops_the_conversion(tmp_path, is_spot):
    market = MexcMarket(14, is_spot=is_spot, levels=2)
    first = market.line(market.full())
    market.book.step()
    whole = [market.line(message).rstrip() for message in (market.deals(), market.depth(), market.full())]
    cuts = [line[:cut] + b"\n" for line in whole for cut in range(len(line))]
    report, rows = converted(tmp_path, [first, *cuts])
    assert rows.tobytes() == converted(tmp_path, [first])[1].tobytes()
    assert sum(report.ignored.values()) == len(cuts)


@MARKETS
def test_random_bytes_in_a_capture_never_stop_the_conversion(tmp_path, is_spot):
    random = np.random.default_rng(15)
    lines = [bytearray(text) for text in capture(15, 300, is_spot=is_spot)]
    for text in lines[5:]:
        if random.random() < 0.5:
            text[random.integers(len(text) - 1)] = random.integers(1, 256)
    symbol = "SOLUSDT" if is_spot else "BTC_USDT"
    report, rows = converted(tmp_path, [bytes(text) for text in lines], symbol=symbol)
    assert np.isfinite(rows["px"]).all()
    assert report.lines >= len(lines)


@pytest.mark.parity
@pytest.mark.parametrize("delay_ns", [12_000_000, -40_000_000])
def test_a_capture_of_spot_gives_the_references_archive_but_for_its_rounded_times(
    tmp_path, monkeypatch, delay_ns
):
    reference = pytest.importorskip("hftbacktest.data.utils.mexc", reason="the reference is not installed")
    merge = reference.correct_event_order
    # The reference's merge reads one index beyond the last.
    monkeypatch.setattr(
        reference,
        "correct_event_order",
        lambda rows, by_exch, by_local: merge(rows, np.append(by_exch, 0), np.append(by_local, 0)),
    )
    lines = capture(16, is_spot=True, delay_ns=delay_ns)
    _, rows = converted(tmp_path, lines, hftbacktest_rows=True)
    theirs = reference.convert(str(tmp_path / "capture.gz"), buffer_size=1_000_000)
    assert len(rows) == len(theirs)
    for name in ("ev", "px", "qty", "order_id", "ival", "fval"):
        assert rows[name].tolist() == theirs[name].tolist()
    # It takes both clocks' times as doubles, which are multiples of 256 ns.
    for name in ("exch_ts", "local_ts"):
        assert np.abs(rows[name] - theirs[name]).max() <= 512
    assert not (rows["exch_ts"] % 1_000_000).any()


def test_the_references_choice_leaves_levels_that_are_gone_and_ours_does_not(tmp_path):
    market = MexcMarket(17, is_spot=True, levels=10)
    lines = [market.line(market.full())]
    market.book.mid += 300
    market.book.step()
    market.depth()
    lines.append(market.line(market.full()))
    right = [dict(list(side.items())[:10]) for side in market.sent]
    _, rows = converted(tmp_path, lines, hftbacktest_rows=True)
    assert not (rows["ev"] & KIND_MASK == DEPTH_CLEAR_EVENT).any()
    assert (rows["ev"] & KIND_MASK == DEPTH_SNAPSHOT_EVENT).all()
    *_, (_, *theirs) = followed(rows)
    assert theirs != right
    *_, (_, *ours) = followed(converted(tmp_path, lines)[1])
    assert ours == right


def test_the_protocols_own_examples_are_read(tmp_path):
    whole = (
        b'1736682893942252094 {"c":"spot@public.limit.depth.v3.api@SOLUSDT@10","d":{"bids":[{"p":"186.69","v":"46.87"}'
        b'],"asks":[{"p":"186.70","v":"340.03"}],"e":"spot@public.limit.depth.v3.api","r":"4474505330"},'
        b'"s":"SOLUSDT","t":1736682893806}\n'
    )
    change = (
        b'1736682894188268890 {"c":"spot@public.increase.depth.v3.api@SOLUSDT","d":{"asks":[{"p":"187.57","v":"0.00"}'
        b'],"e":"spot@public.increase.depth.v3.api","r":"4474505331"},"s":"SOLUSDT","t":1736682894061}\n'
    )
    report, rows = converted(tmp_path, [whole, change])
    assert rows["px"].tolist() == [0.0, 186.69, 186.70, 187.57]
    assert rows["qty"].tolist() == [0.0, 46.87, 340.03, 0.0]
    assert rows["exch_ts"].tolist() == [1736682893806000000] * 3 + [1736682894061000000]
    assert rows["local_ts"].tolist() == [1736682893942252094] * 3 + [1736682894188268890]
    assert json.loads(report.to_json())["symbol"] == "SOLUSDT"
