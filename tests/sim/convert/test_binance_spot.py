import json

import numpy as np
import pytest

from hftd.errors import DataError
from hftd.types import BUY_EVENT, DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT, KIND_MASK, SELL_EVENT, TRADE_EVENT
from sim.archive import read_events
from sim.convert import Options, convert

from .captures import packed

MS = 1_723_161_255_208
LOCAL = 1_723_161_255_300_000_000


def line(number, message, stream=None):
    if stream:
        message = {"stream": stream, "data": message}
    return f"{LOCAL + number} {json.dumps(message)}\n".encode()


def depth(first, last, sent=MS, symbol="BTCUSDT"):
    levels = {"b": [["61737.63000000", "0.50000000"]], "a": [["61837.64000000", "0"]]}
    return {"e": "depthUpdate", "E": sent, "s": symbol, "U": first, "u": last, **levels}


def trade(time=MS, symbol="BTCUSDT"):
    prices = {"p": "61837.63000000", "q": "0.02000000"}
    return {"e": "trade", "E": time, "s": symbol, "t": 5, **prices, "T": time, "m": True, "M": True}


BEST = {"u": 50, "s": "BTCUSDT", "b": "61837.63", "B": "3.5", "a": "61837.64", "A": "1.5"}
SNAPSHOT = {"lastUpdateId": 9, "bids": [["2.0", "1"], ["1.0", "4"]], "asks": [["3.0", "1"]]}


def converted(tmp_path, lines, **options):
    path = packed(tmp_path / "spot.gz", lines)
    report = convert([path], tmp_path / "out.npz", venue="binancespot", options=Options(**options))
    return report, read_events(tmp_path / "out.npz")


def test_depth_carries_the_time_it_was_sent_and_trades_that_of_the_match(tmp_path):
    _, rows = converted(tmp_path, [line(0, depth(1, 2)), line(1, trade(MS + 1))])
    assert rows["exch_ts"].tolist() == [MS * 1_000_000] * 2 + [(MS + 1) * 1_000_000]
    kinds = rows["ev"] & np.uint64(KIND_MASK | BUY_EVENT | SELL_EVENT)
    assert kinds.tolist() == [DEPTH_EVENT | BUY_EVENT, DEPTH_EVENT | SELL_EVENT, TRADE_EVENT | SELL_EVENT]
    assert rows["px"].tolist() == [61737.63, 61837.64, 61837.63]


def test_an_update_follows_if_its_first_id_is_the_next_one(tmp_path):
    lines = [line(k, depth(*ids)) for k, ids in enumerate([(1, 5), (6, 6), (7, 9), (12, 14), (14, 14)])]
    report, _ = converted(tmp_path, lines)
    assert (report.sequence.gaps, report.sequence.repeats) == (1, 1)
    assert [place.line for place in report.sequence.first] == [4, 5]
    assert report.sequence.first[0].expected_id == 9
    assert report.sequence.first[0].previous_id == 11


def test_best_prices_and_snapshots_carry_the_latest_time_of_the_exchange(tmp_path):
    lines = [
        line(0, trade(MS + 7)),
        line(1, depth(1, 2, MS + 3)),
        line(2, BEST, "btcusdt@bookTicker"),
        line(3, BEST),
        line(4, SNAPSHOT),
    ]
    report, rows = converted(tmp_path, lines, book_ticker=True)
    latest = (MS + 7) * 1_000_000
    timeless = rows[np.isin(rows["ev"] & np.uint64(KIND_MASK), (103, 104, DEPTH_SNAPSHOT_EVENT))]
    assert len(timeless) == 7
    assert (timeless["exch_ts"] == latest).all()
    assert report.rows_by_kind["best bid"] == report.rows_by_kind["best ask"] == 2


def test_what_has_no_time_before_any_was_seen_is_left_out_and_counted(tmp_path):
    lines = [line(0, BEST), line(1, SNAPSHOT), line(2, trade())]
    report, rows = converted(tmp_path, lines, book_ticker=True)
    assert report.ignored == {"a message without a time, before any that has one": 2}
    assert len(rows) == 1


def test_best_prices_that_were_not_asked_for_are_counted_by_their_stream(tmp_path):
    report, _ = converted(tmp_path, [line(0, BEST, "btcusdt@bookTicker"), line(1, BEST), line(2, trade())])
    assert report.ignored == {
        "an event that was not asked for (`--user-events book_ticker`, `mark_price`)": 2
    }
    assert report.not_converted == {"btcusdt@bookTicker": 1}


def test_times_in_microseconds_are_taken_as_such(tmp_path):
    _, rows = converted(tmp_path, [line(0, depth(1, 2, MS * 1000 + 5)), line(1, trade(MS * 1000 + 6))])
    assert rows["exch_ts"].tolist() == [(MS * 1000 + 5) * 1000] * 2 + [(MS * 1000 + 6) * 1000]


def test_the_first_levels_of_a_book_are_left_out(tmp_path):
    lines = [line(0, trade()), line(1, SNAPSHOT, "btcusdt@depth5@100ms")]
    report, rows = converted(tmp_path, lines)
    assert report.not_converted == {"btcusdt@depth5@100ms": 1}
    assert len(rows) == 1


def test_symbols_are_told_apart_in_best_prices_too(tmp_path):
    lines = [line(0, trade()), line(1, {**BEST, "s": "ETHUSDT"}, "ethusdt@bookTicker")]
    with pytest.raises(DataError, match="several symbols"):
        converted(tmp_path, lines, book_ticker=True)
    report, rows = converted(tmp_path, lines, book_ticker=True, symbol="BTCUSDT")
    assert report.ignored == {"another symbol": 1}
    assert len(rows) == 1
