"""Captures of Hyperliquid: the recorded one, and others generated in the documented format from seeds."""

import json

import numpy as np
import pytest

from hftd.errors import DataError
from hftd.types import DEPTH_CLEAR_EVENT, DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT, KIND_MASK, TRADE_EVENT
from sim.archive import check_events, read_events
from sim.convert import Options, convert

from .books import followed
from .bybitmarket import packed, packed_json
from .hyperliquidmarket import HyperliquidMarket, capture

reference = pytest.importorskip("hftbacktest.data.utils.hyperliquid", reason="the reference is not installed")


@pytest.fixture
def theirs(monkeypatch):
    """The reference's converter, whose merge is given an index more than there are rows: it reads one beyond."""
    merge = reference.correct_event_order

    def bounded(rows, by_exch, by_local):
        return merge(rows, np.append(by_exch, 0), np.append(by_local, 0))

    monkeypatch.setattr(reference, "correct_event_order", bounded)

    def run(path, tick_size=0.01, lot_size=0.001, **options):
        rows = reference.convert(str(path), tick_size, lot_size, buffer_size=1_000_000, **options)
        return np.ascontiguousarray(rows)

    return run


def converted(tmp_path, lines, **options):
    path = packed(tmp_path / "capture.gz", lines)
    report = convert([path], tmp_path / "out.npz", venue="hyperliquid", options=Options(**options))
    return report, read_events(tmp_path / "out.npz")


def in_messages(rows):
    """Depth rows as they were received."""
    return rows[(rows["ev"] & KIND_MASK != TRADE_EVENT) & (rows["ev"] & (1 << 30) != 0)]


def assert_same_book(rows, expected):
    books = {local_ts: book for local_ts, *book in followed(in_messages(rows))}
    book = [{}, {}]
    for local_ts, *sides in expected:
        # A book that is as the one before gives no rows.
        book = books.get(local_ts, book)
        assert book == sides


@pytest.mark.parametrize("levels", [1, 20])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_book_is_the_exchanges_after_each_message(tmp_path, seed, levels):
    market = HyperliquidMarket(seed, levels=levels)
    lines = [market.line(market.l2_book())]
    lines += [market.line(market.next_message()) for _ in range(300)]
    report, rows = converted(tmp_path, lines)
    check_events(rows)
    assert_same_book(rows, market.expected)
    assert (report.crossed.times, report.symbol, report.exit_code) == (0, "BTC", 0)
    # Only what changed has rows, behind the first book.
    assert set((rows["ev"] & KIND_MASK).tolist()) == {1, 2, 3, 4}
    assert report.rows_by_kind["depth clear"] == 1
    assert report.rows_by_kind["depth snapshot"] == 2 * levels
    assert report.notes == []


def test_sides_may_have_fewer_levels_or_none(tmp_path):
    market = HyperliquidMarket(4)
    lines = []
    for _ in range(200):
        message = market.next_message()
        if message["channel"] == "l2Book":
            for side in range(2):
                kept = market.random.choice((0, 1, 5, 20))
                del message["data"]["levels"][side][kept:]
                market.sent = tuple(
                    dict(list(levels.items())[: len(message["data"]["levels"][n])])
                    for n, levels in enumerate(market.sent)
                )
        lines.append(market.line(message))
    _, rows = converted(tmp_path, lines)
    assert_same_book(rows, market.expected)


@pytest.mark.parity
def test_the_recorded_capture_gives_the_references_archive_and_by_default_a_snapshot_first(
    tmp_path, hyperliquid_capture, theirs
):
    output = tmp_path / "out.npz"
    convert([hyperliquid_capture], output, venue="hyperliquid", options=Options(hftbacktest_rows=True))
    expected = theirs(hyperliquid_capture, 1.0, 0.00001)
    assert read_events(output).tobytes() == expected.tobytes()
    report = convert([hyperliquid_capture], output, venue="hyperliquid")
    rows = read_events(output)
    check_events(rows)
    kinds = rows["ev"] & KIND_MASK
    plain = rows[kinds != DEPTH_CLEAR_EVENT]
    first = plain["ev"] & KIND_MASK == DEPTH_SNAPSHOT_EVENT
    plain["ev"][first] = plain["ev"][first] & ~np.uint64(KIND_MASK) | np.uint64(DEPTH_EVENT)
    # The trades of the subscription's start are there once, as nothing came again.
    assert plain.tobytes() == expected.tobytes()
    assert report.ignored == {}


@pytest.mark.parity
@pytest.mark.parametrize("delay_ns", [300_000_000, -40_000_000])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_capture_gives_the_references_archive(tmp_path, theirs, seed, delay_ns):
    lines = capture(seed, delay_ns=delay_ns)
    _, rows = converted(tmp_path, lines, hftbacktest_rows=True, base_latency_ns=5)
    expected = theirs(tmp_path / "capture.gz", base_latency=5)
    # Where a level goes, the reference writes its tick times the tick size, which is another double now and then.
    gone = rows["qty"] == 0
    assert np.allclose(rows["px"][gone], expected["px"][gone], rtol=0, atol=1e-9)
    expected["px"][gone] = rows["px"][gone]
    assert rows.tobytes() == expected.tobytes()


@pytest.mark.parity
def test_where_a_book_has_fewer_levels_the_reference_brings_old_ones_back_and_we_do_not(tmp_path, theirs):
    market = HyperliquidMarket(5)
    lines = []
    for number in range(6):
        market.book.step()
        message = market.l2_book()
        if number >= 3:
            for side in range(2):
                del message["data"]["levels"][side][5:]
            market.sent = tuple(dict(list(side.items())[:5]) for side in market.sent)
        lines.append(market.line(message))
    _, rows = converted(tmp_path, lines, hftbacktest_rows=True)
    *_, (_, *ours) = followed(rows)
    assert ours == list(market.sent)
    *_, (_, *there) = followed(theirs(tmp_path / "capture.gz"))
    assert there != list(market.sent)


@pytest.mark.parity
def test_kept_far_levels_are_those_behind_the_last_one_while_the_reference_keeps_better_ones_too(
    tmp_path, theirs
):
    market = HyperliquidMarket(18, levels=5)
    lines = [market.line(market.l2_book())]
    # The market falls: all bids of before are better than the best one now.
    market.book.mid -= 200
    market.book.step()
    lines.append(market.line(market.l2_book()))
    _, rows = converted(tmp_path, lines, keep_far_levels=True)
    *_, (_, bids, asks) = followed(rows)
    assert max(bids) == max(market.sent[0])
    assert market.sent[1].items() <= asks.items()
    *_, (_, bids, asks) = followed(theirs(tmp_path / "capture.gz", delete_out_of_book=False))
    assert max(bids) > min(asks)


def test_a_book_of_more_levels_than_twenty_is_read(tmp_path):
    market = HyperliquidMarket(19, levels=60)
    lines = []
    for _ in range(30):
        market.book.step()
        lines.append(market.line(market.l2_book()))
    _, rows = converted(tmp_path, lines)
    assert_same_book(rows, market.expected)


def test_trades_that_a_new_subscription_sends_again_are_left_out(tmp_path):
    market = HyperliquidMarket(6)
    first = market.line(market.l2_book())
    trades = [market.trades() for _ in range(5)]
    lines = [first, *(market.line(message) for message in trades)]
    _, expected = converted(tmp_path, lines)
    market.book.time_ms += 1000
    new = market.trades(1)
    again = {
        "channel": "trades",
        "data": [trade for message in trades for trade in message["data"]] + new["data"],
    }
    report, rows = converted(tmp_path, [*lines, market.line(again)])
    assert report.ignored == {"a trade that was there before (each trade is counted)": 10}
    is_trade = rows["ev"] & KIND_MASK == TRADE_EVENT
    assert is_trade.sum() == 11
    assert rows[:-1].tobytes() == expected.tobytes()


def test_a_trade_of_a_message_that_was_refused_is_taken_when_it_comes_again(tmp_path):
    market = HyperliquidMarket(7)
    first = market.line(market.l2_book())
    message = market.trades()
    torn = json.loads(json.dumps(message))
    torn["data"][1]["px"] = "x"
    report, rows = converted(tmp_path, [first, market.line(torn), market.line(message)])
    assert report.ignored == {"a field is missing, or is not a number": 1}
    assert (rows["ev"] & KIND_MASK == TRADE_EVENT).sum() == 2


def test_levels_that_fall_behind_the_last_one_are_kept_if_asked_for(tmp_path):
    market = HyperliquidMarket(8, levels=5)
    lines = [market.line(market.l2_book())]
    last_bid = min(market.sent[0])
    market.book.bids[market.book.mid - 1] = 5
    market.book.bids[market.book.mid] = 7
    market.book.time_ms += 1
    lines.append(market.line(market.l2_book()))
    for keeps_far in (False, True):
        _, rows = converted(tmp_path, lines, keep_far_levels=keeps_far)
        *_, (_, bids, _) = followed(rows)
        assert (last_bid in bids) == keeps_far
        assert {tick: lots for tick, lots in bids.items() if tick != last_bid}.items() <= market.sent[
            0
        ].items()


def test_best_prices_are_user_events_if_asked_for(tmp_path):
    market = HyperliquidMarket(9)
    lines = [market.line(market.l2_book()), market.line(market.bbo())]
    message = market.bbo()
    message["data"]["bbo"][0] = None
    lines.append(market.line(message))
    report, rows = converted(tmp_path, lines, book_ticker=True)
    best = rows[rows["ev"] & KIND_MASK >= 100]
    assert (best["ev"] & KIND_MASK).tolist() == [103, 104, 103, 104]
    # A side without an order has a best price of no quantity.
    assert best["qty"][2] == 0
    assert best["px"][0] == max(market.book.bids) / 100
    report, rows = converted(tmp_path, lines)
    assert report.not_converted == {"bbo": 2}


def test_coins_are_told_apart_by_upper_and_lower_case(tmp_path):
    small, large = capture(1, 20, coin="kPEPE"), capture(2, 20, coin="KPEPE")
    with pytest.raises(DataError, match="several symbols"):
        converted(tmp_path, [*small, *large])
    report, rows = converted(tmp_path, [*small, *large], symbol="kPEPE")
    assert report.symbol == "kPEPE"
    assert rows.tobytes() == converted(tmp_path, small)[1].tobytes()


def test_answers_errors_and_other_channels_are_counted_by_name(tmp_path):
    market = HyperliquidMarket(10)
    lines = [market.line(market.l2_book())]
    said = [
        {
            "channel": "subscriptionResponse",
            "data": {"method": "subscribe", "subscription": {"type": "l2Book"}},
        },
        {"channel": "pong"},
        {"channel": "error", "data": "Invalid subscription"},
        {"channel": "activeAssetCtx", "data": {"coin": "BTC", "ctx": {"markPx": "1"}}},
    ]
    now = market.last_local_ns
    report, rows = converted(tmp_path, lines + [b"%d %s\n" % (now, packed_json(message)) for message in said])
    assert rows.tobytes() == converted(tmp_path, lines)[1].tobytes()
    assert report.not_converted == {"subscriptionResponse": 1, "activeAssetCtx": 1}
    assert report.exchange_errors == {"Invalid subscription": 1}


@pytest.mark.parametrize(
    ("what", "value", "reason"),
    [
        ("time", "soon", "a field is missing, or is not a number"),
        ("time", 1737918843, "a field is missing, or is not a number"),
        ("time", 1737918843542000, "a field is missing, or is not a number"),
        ("levels", [], "a field is missing, or is not a number"),
        ("levels", [[]], "a field is missing, or is not a number"),
        ("levels", [[], [], []], "a field is missing, or is not a number"),
        ("levels", [[{"px": "1"}], []], "a field is missing, or is not a number"),
        ("levels", [[{"px": "NaN", "sz": "1"}], []], "a field is missing, or is not a number"),
        ("levels", [[["1", "2"]], []], "a field is missing, or is not a number"),
        ("levels", [[{"px": "1", "sz": "-1"}], []], "a field is missing, or is not a number"),
        ("levels", 5, "a field is missing, or is not a number"),
        (
            "levels",
            [[{"px": str(n), "sz": "1"} for n in range(1001)], []],
            "a book of more levels than 1,000 a side",
        ),
    ],
)
def test_a_book_with_a_wrong_field_gives_no_rows_and_the_next_is_compared_with_the_one_before(
    tmp_path, what, value, reason
):
    market = HyperliquidMarket(11)
    first = market.line(market.l2_book())
    bad = market.l2_book()
    bad["data"][what] = value
    market.book.step()
    next_message = market.l2_book()
    lines = [first, market.line(bad), market.line(next_message)]
    report, rows = converted(tmp_path, lines)
    assert report.ignored == {reason: 1}
    assert rows.tobytes() == converted(tmp_path, [lines[0], lines[2]])[1].tobytes()


def test_no_cut_of_a_message_gives_a_row_or_stops_the_conversion(tmp_path):
    market = HyperliquidMarket(12, levels=2)
    first = market.line(market.l2_book())
    whole = [market.line(message).rstrip() for message in (market.trades(), market.l2_book(), market.bbo())]
    cuts = [line[:cut] + b"\n" for line in whole for cut in range(len(line))]
    report, rows = converted(tmp_path, [first, *cuts], book_ticker=True)
    assert rows.tobytes() == converted(tmp_path, [first])[1].tobytes()
    assert sum(report.ignored.values()) == len(cuts)


def test_random_bytes_in_a_capture_never_stop_the_conversion(tmp_path):
    random = np.random.default_rng(15)
    lines = [bytearray(text) for text in capture(15, 300)]
    for text in lines[5:]:
        if random.random() < 0.5:
            text[random.integers(len(text) - 1)] = random.integers(1, 256)
    report, rows = converted(tmp_path, [bytes(text) for text in lines], symbol="BTC")
    assert np.isfinite(rows["px"]).all()
    assert report.lines >= len(lines)
