"""Captures of Bybit's streams, generated in the documented format from seeds: there is no recorded one."""

import json

import numpy as np
import pytest

from hftd.errors import DataError
from hftd.types import BUY_EVENT, DEPTH_CLEAR_EVENT, DEPTH_EVENT, KIND_MASK, TRADE_EVENT
from sim.archive import check_events, read_events
from sim.convert import Options, convert

from .books import followed
from .bybitmarket import BybitMarket, capture, packed, packed_json


def converted(tmp_path, lines, **options):
    path = packed(tmp_path / "capture.gz", lines)
    report = convert([path], tmp_path / "out.npz", venue="bybit", options=Options(**options))
    return report, read_events(tmp_path / "out.npz")


def history_of(tmp_path, lines):
    """The same messages as Bybit's own history has them: without local times."""
    path = packed(tmp_path / "books.data.gz", [line.split(b" ", 1)[1] for line in lines])
    report = convert([path], tmp_path / "out.npz", venue="bybithistory", options=Options(latency_ns=1))
    return report, read_events(tmp_path / "out.npz")


def in_messages(rows):
    """Depth rows as they were received."""
    return rows[(rows["ev"] & KIND_MASK != TRADE_EVENT) & (rows["ev"] & (1 << 30) != 0)]


@pytest.mark.parametrize("depth", [1, 50])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_book_is_the_exchanges_after_each_message(tmp_path, seed, depth):
    market = BybitMarket(seed, depth=depth)
    lines = [market.line(market.orderbook())]
    lines += [market.line(market.next_message()) for _ in range(300)]
    report, rows = converted(tmp_path, lines)
    check_events(rows)
    books = {local_ts: book for local_ts, *book in followed(in_messages(rows))}
    expected = {local_ts: [bids, asks] for local_ts, bids, asks in market.expected}
    # A message without a change gives no rows.
    book = [{}, {}]
    for local_ts, sides in expected.items():
        book = books.get(local_ts, book)
        assert book == sides
    assert (report.sequence.gaps, report.sequence.repeats, report.crossed.times) == (0, 0, 0)
    assert report.symbol == "BTCUSDT"


def test_a_later_snapshot_leaves_no_level_of_the_book_before(tmp_path):
    market = BybitMarket(5)
    first = market.line(market.orderbook())
    market.book.mid += 400
    market.book.step()
    second = market.line(market.orderbook(snapshot=True))
    _, rows = converted(tmp_path, [first, second])
    *_, (_, bids, asks) = followed(rows)
    assert (bids, asks) == market.sent
    clears = rows[rows["ev"] & KIND_MASK == DEPTH_CLEAR_EVENT]
    assert len(clears) == 2
    assert not (clears["ev"] & BUY_EVENT).any()


@pytest.mark.parametrize("packs", [converted, history_of])
def test_a_delta_with_the_first_id_is_a_snapshot_since_the_service_began_anew(tmp_path, packs):
    market = BybitMarket(5)
    lines = [market.line(market.orderbook())]
    market.book.mid += 400
    for _ in range(9):
        market.book.step()
        lines.append(market.line(market.orderbook(snapshot=len(lines) == 5)))
    assert lines[5].count(b'"u":1,') == lines[5].count(b'"snapshot"') == 1
    _, expected = packs(tmp_path, lines)
    lines[5] = lines[5].replace(b'"snapshot"', b'"delta"')
    _, rows = packs(tmp_path, lines)
    assert rows.tolist() == expected.tolist()
    *_, (_, bids, asks) = followed(rows)
    assert (bids, asks) == market.sent


def test_a_book_of_one_level_touches_only_what_changed(tmp_path):
    market = BybitMarket(6, depth=1)
    message = market.orderbook()
    lines = [market.line(message)] + [market.line(message) for _ in range(5)]
    report, rows = converted(tmp_path, lines)
    # The same book again, as it is sent each three seconds, gives no row.
    assert len(rows) == 3
    assert report.lines_by_kind == {"depth snapshot": 6}
    assert report.notes == []


def test_rows_of_a_book_carry_the_matching_engines_time_and_those_of_a_trade_theirs(tmp_path):
    market = BybitMarket(7)
    book = market.orderbook()
    market.book.time_ms += 1
    trades = market.trades()
    _, rows = converted(tmp_path, [market.line(book), market.line(trades)])
    kinds = rows["ev"] & KIND_MASK
    assert set(rows["exch_ts"][kinds != TRADE_EVENT].tolist()) == {book["cts"] * 1_000_000}
    assert set(rows["exch_ts"][kinds == TRADE_EVENT].tolist()) == {trades["data"][0]["T"] * 1_000_000}
    del book["cts"]
    _, rows = converted(tmp_path, [market.line(book)])
    assert set(rows["exch_ts"].tolist()) == {book["ts"] * 1_000_000}


def test_block_trades_are_left_out_and_counted(tmp_path):
    market = BybitMarket(8)
    lines = [market.line(market.orderbook()), market.line(market.trades())]
    _, expected = converted(tmp_path, lines)
    block = market.trades(block=True)
    report, rows = converted(tmp_path, [*lines, market.line(block)])
    assert rows.tobytes() == expected.tobytes()
    assert report.ignored == {"a block trade (each trade is counted)": len(block["data"])}


def test_tickers_and_the_best_prices_are_user_events_if_asked_for(tmp_path):
    market = BybitMarket(9)
    lines = [market.line(market.orderbook())]
    best = market.orderbook(1)
    lines += [market.line(best), market.line(market.tickers())]
    report, rows = converted(tmp_path, lines, book_ticker=True, mark_price=True)
    user = rows[rows["ev"] & KIND_MASK >= 100]
    assert (user["ev"] & KIND_MASK).tolist()[:2] == [103, 104]
    assert user["px"][:2].tolist() == [float(best["data"][side][0][0]) for side in "ba"]
    assert user["qty"][:2].tolist() == [float(best["data"][side][0][1]) for side in "ba"]
    assert user["px"][user["ev"] & KIND_MASK == 101].tolist() == [200.01]
    report, rows = converted(tmp_path, [lines[0], lines[2]])
    assert not (rows["ev"] & KIND_MASK >= 100).any()
    assert report.not_converted == {"tickers": 1}


def test_lost_and_late_messages_are_counted_with_their_places(tmp_path):
    market = BybitMarket(10)
    lines = [market.line(market.orderbook())]
    for _ in range(40):
        market.book.step()
        lines.append(market.line(market.orderbook()))
    report, _ = converted(tmp_path, lines[:10] + lines[12:])
    assert (report.sequence.gaps, report.sequence.repeats) == (1, 0)
    assert report.sequence.first[0].line == 11
    report, _ = converted(tmp_path, [*lines[:10], lines[9], *lines[10:]])
    assert (report.sequence.gaps, report.sequence.repeats) == (0, 1)
    # `u` goes on while `seq` falls: a message of another moment.
    late = json.loads(lines[20][20:])
    late["data"]["seq"] -= 1_000_000
    report, _ = converted(tmp_path, [*lines[:20], lines[20][:20] + packed_json(late) + b"\n", *lines[21:]])
    assert (report.sequence.gaps, report.sequence.repeats) == (0, 1)


def test_books_of_several_depths_are_refused_unless_one_is_chosen(tmp_path):
    market = BybitMarket(11)
    lines = [market.line(market.orderbook())]
    for _ in range(20):
        market.book.step()
        lines.append(market.line(market.orderbook()))
        lines.append(market.line(market.orderbook(1)))
    with pytest.raises(DataError, match=r"several depths: 50 \(21 lines\), 1 \(20 lines\)"):
        converted(tmp_path, lines)
    report, rows = converted(tmp_path, lines, depth=50)
    assert report.ignored == {"a book of another depth": 20}
    expected = [line for line in lines if b'"orderbook.50.' in line]
    assert rows.tobytes() == converted(tmp_path, expected)[1].tobytes()
    with pytest.raises(DataError, match="no book of depth 200"):
        converted(tmp_path, lines, depth=200)


def test_one_symbol_of_several_is_taken_with_the_depth_that_it_has(tmp_path):
    bitcoin, ripple = capture(1, 40), capture(2, 40, symbol="XRPUSDT", depth=200)
    mixed = [*bitcoin[:20], *ripple, *bitcoin[20:]]
    with pytest.raises(DataError, match=r"several symbols: BTCUSDT .* XRPUSDT"):
        converted(tmp_path, mixed)
    report, rows = converted(tmp_path, mixed, symbol="xrpusdt")
    assert report.symbol == "XRPUSDT"
    assert rows.tobytes() == converted(tmp_path, ripple)[1].tobytes()


def test_answers_errors_and_other_topics_are_counted_by_name(tmp_path):
    market = BybitMarket(12)
    now = market.book.time_ms * 1_000_000
    lines = [market.line(market.orderbook())]
    said = [
        {"success": True, "ret_msg": "", "conn_id": "1", "op": "subscribe"},
        {"success": False, "ret_msg": "error:handler not found", "conn_id": "1", "op": "subscribe"},
        {"req_id": "1", "op": "pong", "args": ["1"]},
        {"topic": "kline.5.BTCUSDT", "data": [{"start": 1}], "ts": 1, "type": "snapshot"},
        {"topic": "allLiquidation.BTCUSDT", "data": [{"T": 1}], "ts": 1, "type": "snapshot"},
    ]
    report, rows = converted(tmp_path, lines + [b"%d %s\n" % (now, packed_json(message)) for message in said])
    assert rows.tobytes() == converted(tmp_path, lines)[1].tobytes()
    assert report.not_converted == {"subscribe": 1, "pong": 1, "kline": 1, "allLiquidation": 1}
    assert report.exchange_errors == {"error:handler not found": 1}


def damaged(message, **changed):
    message = json.loads(json.dumps(message))
    for path, value in changed.items():
        *parents, key = path.split("__")
        target = message
        for parent in parents:
            target = target[int(parent) if parent.isdigit() else parent]
        target[key] = value
    return message


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("book", {"ts": "soon"}),
        ("book", {"ts": 1758841134}),
        ("book", {"ts": 1758841134603000}),
        ("book", {"type": "update"}),
        ("book", {"data__b": [["x", "1"]]}),
        ("book", {"data__a": [["1", "NaN"]]}),
        ("book", {"data__a": [["1", "-1"]]}),
        ("trade", {"data__0__v": "-1"}),
        ("book", {"data__a": "none"}),
        ("book", {"data": []}),
        ("book", {"topic": "orderbook.BTCUSDT"}),
        ("book", {"topic": "orderbook.x.BTCUSDT"}),
        ("trade", {"data": {}}),
        ("trade", {"data__0__T": 1.5}),
        ("trade", {"data__0__p": ""}),
        ("trade", {"data__0__v": None}),
        ("trade", {"data__0__S": "None"}),
        ("trade", {"data": [1]}),
    ],
)
def test_a_message_with_a_wrong_field_gives_no_rows_and_is_counted(tmp_path, kind, changed):
    market = BybitMarket(13)
    lines = [market.line(market.orderbook())]
    message = market.orderbook(snapshot=True) if kind == "book" else market.trades()
    bad = b"%d %s\n" % (market.last_local_ns + 1, packed_json(damaged(message, **changed)))
    report, rows = converted(tmp_path, [*lines, bad])
    assert report.ignored == {"a field is missing, or is not a number": 1}
    assert report.unreadable[0].line == 2
    assert rows.tobytes() == converted(tmp_path, lines)[1].tobytes()


def test_no_cut_of_a_message_gives_a_row_or_stops_the_conversion(tmp_path):
    market = BybitMarket(14)
    first = market.line(market.orderbook(1))
    whole = [market.line(market.trades()).rstrip(), market.line(market.orderbook(1)).rstrip()]
    cuts = [line[:cut] + b"\n" for line in whole for cut in range(len(line))]
    report, rows = converted(tmp_path, [first, *cuts])
    assert rows.tobytes() == converted(tmp_path, [first])[1].tobytes()
    assert sum(report.ignored.values()) == len(cuts)


def test_random_bytes_in_a_capture_never_stop_the_conversion(tmp_path):
    random = np.random.default_rng(15)
    lines = [bytearray(text) for text in capture(15, 300)]
    for text in lines[5:]:
        if random.random() < 0.5:
            text[random.integers(len(text) - 1)] = random.integers(1, 256)
    report, rows = converted(tmp_path, [bytes(text) for text in lines], symbol="BTCUSDT", depth=50)
    assert np.isfinite(rows["px"]).all()
    assert report.lines >= len(lines)


def test_a_delta_without_the_side_that_did_not_change_is_read(tmp_path):
    market = BybitMarket(16)
    first = market.line(market.orderbook())
    market.book.asks[market.book.mid + 1] = 77
    market.book.time_ms += 1
    delta = market.orderbook()
    del delta["data"]["b"]
    report, rows = converted(tmp_path, [first, market.line(delta)])
    assert not report.unreadable
    last = rows[-1]
    assert last["ev"] & KIND_MASK == DEPTH_EVENT
    assert not last["ev"] & BUY_EVENT
