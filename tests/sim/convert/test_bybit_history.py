"""Bybit's own history: the first lines of a real order book archive, and files generated in the documented formats."""

import gzip
import json
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hftd.errors import DataError
from hftd.types import EXCH_EVENT, KIND_MASK, LOCAL_EVENT, SELL_EVENT, TRADE_EVENT
from sim.archive import check_events, read_events
from sim.convert import Options, convert

from .books import followed
from .bybitmarket import TRADES_HEADER, history, packed, zipped

MS = 1_000_000


def converted(tmp_path, inputs, **options):
    report = convert(inputs, tmp_path / "out.npz", venue="bybithistory", options=Options(**options))
    return report, read_events(tmp_path / "out.npz")


def trades_file(tmp_path, *lines, header=TRADES_HEADER, name="trades.csv.gz"):
    return packed(tmp_path / name, [header, *lines])


def test_a_real_archive_gives_its_books_with_the_engines_time_and_a_latency_behind_the_sending(
    tmp_path, bybit_archive, bybit_books
):
    report, rows = converted(tmp_path, [bybit_archive])
    assert any("0 ns after" in note and "--latency-ns" in note for note in report.notes)
    report, rows = converted(tmp_path, [bybit_archive], latency_ns=3 * MS)
    assert not any("--latency-ns" in note for note in report.notes)
    check_events(rows)
    messages = [json.loads(line) for line in bybit_books]
    levels = [len(message["data"]["b"]) + len(message["data"]["a"]) for message in messages]
    assert len(rows) == sum(levels) + 1
    assert rows["exch_ts"][1:].tolist() == np.repeat([m["cts"] * MS for m in messages], levels).tolist()
    assert (
        rows["local_ts"][1:].tolist() == np.repeat([m["ts"] * MS + 3 * MS for m in messages], levels).tolist()
    )
    assert (report.symbol, report.sequence.gaps, report.crossed.times) == ("XRPUSDT", 0, 0)
    assert report.clock_correction_ns == 0
    *_, (_, bids, asks) = followed(rows)
    # The stream says itself what leaves the first 500 levels. In hundredths several ticks fall together.
    assert bids and asks


@pytest.mark.parametrize("field", ["ts", "cts"])
@pytest.mark.parametrize("hours", [-24, -1, 1, 24])
@pytest.mark.parametrize("number", [0, 1, 100, 200])
def test_one_wrong_time_moves_no_other_row_and_is_noted(tmp_path, field, hours, number):
    books, _ = history(4)
    _, expected = converted(tmp_path, [zipped(tmp_path / "a.zip", books)], latency_ns=MS)
    message = json.loads(books[number])
    message[field] += hours * 3_600_000
    books[number] = json.dumps(message).encode() + b"\n"
    report, rows = converted(tmp_path, [zipped(tmp_path / "a.zip", books)], latency_ns=MS)
    assert any("far apart" in note for note in report.notes)
    assert report.clock_correction_ns == 0
    for flag, clock in ((EXCH_EVENT, "exch_ts"), (LOCAL_EVENT, "local_ts")):
        of_clock, right = rows[rows["ev"] & flag != 0], expected[expected["ev"] & flag != 0]
        assert len(of_clock) == len(right)
        # The message with the wrong time is taken to be as late as the one before it.
        assert np.abs(of_clock[clock] - right[clock]).max() <= 10 * MS


def test_a_real_archive_keeps_five_hundred_levels_of_each_side(tmp_path, bybit_archive):
    _, rows = converted(tmp_path, [bybit_archive])
    sides = {}
    for row in rows[1:]:
        side = sides.setdefault(bool(row["ev"] & SELL_EVENT), {})
        side[row["px"]] = row["qty"]
    assert [sum(qty > 0 for qty in side.values()) for side in sides.values()] == [500, 500]


def test_books_and_trades_make_one_archive_in_any_order(tmp_path):
    books, trades = history(1)
    books_path, trades_path = zipped(tmp_path / "b.zip", books), packed(tmp_path / "t.csv.gz", trades)
    report, rows = converted(tmp_path, [books_path, trades_path], latency_ns=3 * MS)
    check_events(rows)
    other, turned = converted(tmp_path, [trades_path, books_path], latency_ns=3 * MS)
    assert report.rows_by_kind == other.rows_by_kind
    assert report.rows_by_kind["trade"] == len(trades) - 1
    # Either side sees the same rows at the same times.
    for flag in (EXCH_EVENT, LOCAL_EVENT):
        seen = [found[found["ev"] & flag != 0] for found in (rows, turned)]
        for found in seen:
            found["ev"] &= ~np.uint64(EXCH_EVENT | LOCAL_EVENT)
            found.sort(order=found.dtype.names)
        assert seen[0].tobytes() == seen[1].tobytes()
    assert (report.sequence.gaps, report.crossed.times, report.exit_code) == (0, 0, 0)


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        ("1733011200", 1_733_011_200_000_000_000),
        ("1733011200.1", 1_733_011_200_100_000_000),
        ("1733011200.4193", 1_733_011_200_419_300_000),
        ("1733011200.123456789", 1_733_011_200_123_456_789),
        ("1733011200419", 1_733_011_200_419_000_000),
        ("1733011200419.25", 1_733_011_200_419_250_000),
    ],
)
def test_the_time_of_a_trade_is_taken_to_its_last_digit(tmp_path, text, expected_ns):
    path = trades_file(tmp_path, f"{text},XRPUSDT,Sell,5,1.95,x,x,1,1,1\n".encode())
    _, rows = converted(tmp_path, [path], latency_ns=7)
    assert rows["exch_ts"].tolist() == [expected_ns]
    assert rows["local_ts"].tolist() == [expected_ns + 7]
    assert rows[0]["ev"] & KIND_MASK == TRADE_EVENT
    assert rows[0]["ev"] & SELL_EVENT


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    times=st.lists(
        st.tuples(st.integers(10**9, 4 * 10**9), st.text("0123456789", max_size=9)), min_size=1, max_size=20
    )
)
def test_times_of_any_digits_are_exact(tmp_path, times):
    texts = [f"{whole}.{digits}" if digits else str(whole) for whole, digits in times]
    path = trades_file(
        tmp_path, *(f"{text},X,Buy,5,1.95,x,{k},1,1,1\n".encode() for k, text in enumerate(texts))
    )
    _, rows = converted(tmp_path, [path])
    assert rows["exch_ts"].tolist() == sorted(int(Decimal(text) * 10**9) for text in texts)


def test_columns_are_found_by_their_names_and_a_file_without_header_has_the_documented_order(tmp_path):
    _, trades = history(2)
    _, expected = converted(tmp_path, [packed(tmp_path / "t.csv.gz", trades)])
    _, rows = converted(tmp_path, [packed(tmp_path / "plain.csv.gz", trades[1:])])
    assert rows.tobytes() == expected.tobytes()
    turned = [b",".join(reversed(line.strip().split(b","))) + b"\n" for line in trades]
    _, rows = converted(tmp_path, [packed(tmp_path / "turned.csv.gz", turned)])
    assert rows.tobytes() == expected.tobytes()


def test_spot_trades_have_their_columns_and_times_in_milliseconds(tmp_path):
    path = packed(
        tmp_path / "spot.csv.gz",
        [
            b"id,timestamp,price,volume,side\n",
            b"1,1733011200419,1.9532,12.5,buy\n",
            b"2,1733011200420,1.9531,3,sell\n",
        ],
    )
    report, rows = converted(tmp_path, [path])
    assert rows["exch_ts"].tolist() == [1_733_011_200_419 * MS, 1_733_011_200_420 * MS]
    assert rows[["px", "qty"]].tolist() == [(1.9532, 12.5), (1.9531, 3.0)]
    assert ((rows["ev"] >> 28) & 3).tolist() == [2, 1]
    assert report.symbol == ""


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"1733011200419000,XRPUSDT,Sell,5,1.95,x,x,1,1,1\n", "a time in another unit than the format has"),
        (b"17330112,XRPUSDT,Sell,5,1.95,x,x,1,1,1\n", "a time in another unit than the format has"),
        (b"soon,XRPUSDT,Sell,5,1.95,x,x,1,1,1\n", "a field is missing, or is not a number"),
        (b"1733011200.x,XRPUSDT,Sell,5,1.95,x,x,1,1,1\n", "a field is missing, or is not a number"),
        (b"1733011200.1234567891,XRPUSDT,Sell,5,1.95,x,x,1,1,1\n", "a field is missing, or is not a number"),
        (b"1733011200,XRPUSDT,None,5,1.95,x,x,1,1,1\n", "a field is missing, or is not a number"),
        (b"1733011200,XRPUSDT,Sell,,1.95,x,x,1,1,1\n", "a field is missing, or is not a number"),
        (b"1733011200,XRPUSDT,Sell,5,nan,x,x,1,1,1\n", "a field is missing, or is not a number"),
        (b"1733011200,XRPUSDT,Sell,-5,1.95,x,x,1,1,1\n", "a field is missing, or is not a number"),
        (b"1733011200,XRPUSDT,Sell,5\n", "not as many columns as the header has"),
        (TRADES_HEADER, "the header once more"),
    ],
)
def test_a_trade_with_a_wrong_field_gives_no_row_and_is_counted(tmp_path, line, reason):
    good = [b"1733011200.5,XRPUSDT,Buy,5,1.95,x,%d,1,1,1\n" % k for k in range(2)]
    report, rows = converted(tmp_path, [trades_file(tmp_path, good[0], line, good[1])])
    assert report.ignored == {reason: 1}
    assert len(rows) == 2


def test_symbols_of_books_and_trades_must_be_one(tmp_path):
    books, _ = history(3, 20)
    _, trades = history(3, 20, symbol="BTCUSDT")
    inputs = [zipped(tmp_path / "b.zip", books), packed(tmp_path / "t.csv.gz", trades)]
    with pytest.raises(DataError, match=r"several symbols: .*XRPUSDT"):
        converted(tmp_path, inputs)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the capture is empty"),
        (b"time,price\n1,2\n", "header"),
        (b"1,2,3\n", "header"),
        (b"{}\n", "none of 1 lines gives a row"),
        (b'1733011200691000000 {"topic":"orderbook.500.XRPUSDT"}\n', "capture of Bybit"),
        (b"\0\1\2" * 100, "binary"),
    ],
)
def test_an_input_of_another_kind_is_one_clear_error(tmp_path, content, message):
    path = tmp_path / "input.csv.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(DataError, match=message) as error:
        converted(tmp_path, [path])
    assert str(path) in str(error.value)
    assert not (tmp_path / "out.npz").exists()


def test_a_truncated_archive_is_said_and_the_rows_before_it_are_kept(tmp_path):
    books, _ = history(4)
    path = zipped(tmp_path / "b.zip", books)
    _, rows = converted(tmp_path, [path])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    report, first = converted(tmp_path, [path])
    assert report.exit_code == 1
    assert report.damage
    assert 0 < len(first) < len(rows)
    assert rows[: len(first)].tobytes() == first.tobytes()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_bytes_that_were_changed_or_lost_never_stop_the_conversion(tmp_path, data):
    books, trades = history(5, 15)
    text = bytearray(b"".join(books if data.draw(st.booleans()) else trades))
    for at in data.draw(st.lists(st.integers(0, len(text) - 1), max_size=8)):
        text[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(text)))
    path = tmp_path / "input"
    path.write_bytes(gzip.compress(bytes(text[:cut]), 1))
    try:
        report, rows = converted(tmp_path, [path], symbol="XRPUSDT")
    except DataError as error:
        assert str(path) in str(error)
        return
    check_events(rows)
    assert report.lines > 0
