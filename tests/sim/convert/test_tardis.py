"""Tardis's files: columns, choices, snapshots, and what is said of files that are wrong."""

import gzip
import re

import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hftd.errors import DataError, UsageError
from hftd.types import BUY_EVENT, DEPTH_BBO_EVENT, KIND_MASK, SELL_EVENT
from sim.archive import check_events, read_events
from sim.convert import Options, convert
from sim.fuse import fuse

from .tardis_files import BOOK, START_US, TICKER, TRADES, Day, table

NAME = "binance-futures,BTCUSDT"
AT = f"{START_US},{START_US + 5}"


def ours(*paths, **options):
    report = convert(list(paths), paths[0].with_name("day.npz"), venue="tardis", options=Options(**options))
    rows = read_events(paths[0].with_name("day.npz"))
    check_events(rows)
    return rows, report


@pytest.fixture
def day(tmp_path):
    return Day(1).write(tmp_path)


def test_plain_gzip_and_zstd_give_the_same_rows(tmp_path, day):
    expected, _ = ours(*day.values())
    for path in day.values():
        text = gzip.decompress(path.read_bytes())
        path.with_suffix("").write_bytes(text)
        path.with_suffix(".zst").write_bytes(zstandard.compress(text))
    for suffix in ("", ".zst"):
        rows, _ = ours(*(path.with_suffix(suffix) for path in day.values()))
        assert rows.tobytes() == expected.tobytes()


def test_columns_may_stand_in_another_order_and_others_between_them(tmp_path):
    lines = [f"1.5,x,{NAME.split(',')[1]},bid,2,binance-futures,false,{START_US + 5},{START_US}"]
    header = "amount,note,symbol,side,price,exchange,is_snapshot,local_timestamp,timestamp"
    rows, report = ours(table(tmp_path / "book.csv", header, lines))
    assert rows[["exch_ts", "local_ts", "px", "qty"]].tolist() == [
        (START_US * 1000, (START_US + 5) * 1000, 2.0, 1.5)
    ]
    assert (report.symbol, report.lines_by_kind) == ("BTCUSDT", {"depth": 1})


def test_best_bids_and_offers_are_rows_of_kind_5_and_an_empty_side_has_no_quantity(tmp_path):
    lines = [f"{NAME},{AT},2,10.5,10.4,3", f"{NAME},{AT},,,10.4,3"]
    rows, report = ours(table(tmp_path / "quotes.csv", TICKER, lines))
    assert (rows["ev"] & KIND_MASK).tolist() == [DEPTH_BBO_EVENT] * 4
    found = [(bool(row["ev"] & BUY_EVENT), float(row["px"]), float(row["qty"])) for row in rows]
    assert found == [(False, 10.5, 2), (True, 10.4, 3), (False, 0, 0), (True, 10.4, 3)]
    assert report.notes == []


def test_trades_without_a_side_have_none(tmp_path):
    sides = ("buy", "sell", "unknown", "")
    lines = [f"{NAME},{AT},{k},{side},10,{k}" for k, side in enumerate(sides)]
    rows, report = ours(table(tmp_path / "trades.csv", TRADES, lines))
    assert [int(ev) & (BUY_EVENT | SELL_EVENT) for ev in rows["ev"]] == [BUY_EVENT, SELL_EVENT, 0, 0]
    assert report.unreadable == []


def test_a_side_that_is_none_is_left_out_with_its_place(tmp_path):
    trades = table(tmp_path / "trades.csv", TRADES, [f"{NAME},{AT},1,buy,1,1", f"{NAME},{AT},1,up,1,1"])
    book = table(
        tmp_path / "book.csv",
        BOOK,
        [f"{NAME},{AT},false,bid,1,1", f"{NAME},{AT},false,,1,1", f"{NAME},{AT},maybe,bid,1,1"],
    )
    rows, report = ours(trades, book)
    assert len(rows) == 2
    places = [(place.file.rpartition("/")[2], place.line, place.what) for place in report.unreadable]
    assert places == [
        ("trades.csv", 3, "a side that is neither buy nor sell"),
        ("book.csv", 3, "a side that is neither buy nor sell"),
        ("book.csv", 4, "a field is missing, or is not a number"),
    ]


@pytest.mark.parametrize("unit", [1_000_000, 1_000, 1 / 1_000])
def test_times_in_another_unit_are_not_taken_for_microseconds(tmp_path, unit):
    at = int(START_US / unit)
    good = f"{NAME},{AT},false,bid,1,1"
    path = table(tmp_path / "book.csv", BOOK, [good, f"{NAME},{at},{at},false,bid,1,1"])
    _, report = ours(path)
    assert report.ignored == {"a time in another unit than the format has": 1}
    path = table(tmp_path / "book.csv", BOOK, [f"{NAME},{at},{at},false,bid,1,1"] * 3)
    with pytest.raises(DataError, match=r"none of \d lines gives a row \(a time in another unit.*: 3"):
        ours(path)


def test_several_symbols_are_refused_unless_one_is_chosen(tmp_path):
    lines = [f"binance,{symbol},{AT},false,bid,{k},1" for k, symbol in enumerate(("A", "b", "A"))]
    path = table(tmp_path / "book.csv", BOOK, lines)
    with pytest.raises(DataError, match=r"several symbols: A \(2 lines\), b \(1 lines\)"):
        ours(path)
    rows, report = ours(path, symbol="b")
    assert rows["px"].tolist() == [1.0]
    assert report.ignored == {"another symbol": 2}
    with pytest.raises(DataError, match="no lines of B"):
        ours(path, symbol="B")


def test_of_many_symbols_an_error_lists_the_most_frequent(tmp_path):
    lines = [f"binance,S{k},{AT},false,bid,{k},1" for k in range(700)] + [f"binance,S7,{AT},false,bid,1,1"]
    with pytest.raises(DataError, match=r"several symbols: S7 \(2 lines\), S0 .* and \d+ more"):
        ours(table(tmp_path / "book.csv", BOOK, lines))


def test_several_exchanges_are_refused_unless_one_is_chosen(tmp_path):
    spot = table(tmp_path / "spot.csv", BOOK, [f"binance,BTCUSDT,{AT},false,bid,1,1"])
    futures = table(tmp_path / "futures.csv", BOOK, [f"binance-futures,BTCUSDT,{AT},false,bid,2,1"])
    with pytest.raises(DataError, match=r"several exchanges: binance \(1 lines\), binance-futures") as caught:
        ours(spot, futures)
    assert "binance:BTCUSDT" in caught.value.hint
    rows, report = ours(spot, futures, symbol="binance-futures:BTCUSDT")
    assert rows["px"].tolist() == [2.0]
    assert report.ignored == {"another exchange or publisher": 1}
    with pytest.raises(DataError, match="not of the exchange okex"):
        ours(spot, symbol="okex:BTCUSDT")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (BOOK.replace(",price", ""), "lacks price of a table of incremental_book_L2"),
        (TRADES.replace("exchange,", ""), "lacks exchange of a table of trades"),
        (f"{BOOK},price", "the column 'price' 2 times"),
        ("exchange;symbol;timestamp", "no header that is known"),
        ("binance,BTCUSDT,1,2,true,bid,3,4", "no header that is known"),
    ],
)
def test_a_header_that_will_not_do_is_said_with_its_file(tmp_path, header, said):
    path = table(tmp_path / "book.csv", header, [f"{NAME},{AT},false,bid,1,1"])
    with pytest.raises(DataError, match=said) as caught:
        ours(path)
    assert caught.value.where.endswith("book.csv:1")


def test_an_empty_file_and_a_header_alone_are_said(tmp_path):
    path = tmp_path / "book.csv"
    path.write_bytes(b"")
    with pytest.raises(DataError, match="is empty"):
        ours(path)
    table(path, BOOK, [])
    with pytest.raises(DataError, match="none of 1 lines gives a row"):
        ours(path)


def test_a_truncated_gzip_is_said_and_the_lines_before_it_are_kept(tmp_path, day):
    book = day["incremental_book_L2"]
    whole, _ = ours(book)
    book.write_bytes(book.read_bytes()[:-400])
    rows, report = ours(book)
    assert 100 < len(rows) < len(whole)
    assert report.exit_code == 1
    assert "gzip data" in report.damage[0]
    assert report.ignored in ({}, {"torn at the end of the file": 1})
    with pytest.raises(DataError, match="gzip data"):
        ours(book, strict=True)


def test_a_file_that_is_cut_within_a_number_does_not_change_the_number(tmp_path):
    text = "".join(
        f"{line}\n" for line in (BOOK, f"{NAME},{AT},false,bid,1,1", f"{NAME},{AT},false,bid,1,125")
    )
    path = tmp_path / "book.csv.zst"
    packed = zstandard.ZstdCompressor().compressobj()
    path.write_bytes(packed.compress(text[:-2].encode()) + packed.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))
    rows, report = ours(path)
    assert rows["qty"].tolist() == [1.0]
    assert report.ignored == {"torn at the end of the file": 1}


def test_a_snapshot_may_span_blocks_and_chunks(tmp_path):
    count = 70_000
    lines = [f"{NAME},{AT},true,bid,{1_000_000 - k},1" for k in range(count)]
    lines += [f"{NAME},{AT},true,ask,{1_000_001 + k},1" for k in range(count)]
    lines.append(f"{NAME},{START_US + 1},{START_US + 9},false,bid,1,1")
    rows, report = ours(table(tmp_path / "book.csv", BOOK, lines))
    assert len(rows) == 2 * count + 2
    assert (rows["ev"] & KIND_MASK)[[0, 1, count + 1, -1]].tolist() == [3, 4, 4, 1]
    assert (np.diff(rows["px"][1 : count + 1]) == -1).all()
    assert (np.diff(rows["px"][count + 1 : -1]) == 1).all()
    assert report.rows_by_kind == {"depth": 1, "depth clear": 1, "depth snapshot": 2 * count}


def test_a_level_of_a_snapshot_that_no_engine_takes_is_left_out(tmp_path):
    lines = [f"{NAME},{AT},true,bid,{px},{qty}" for px, qty in ((10, 1), ("1e308", 1), (9, "1e305"), (8, 1))]
    lines.append(f"{NAME},{START_US + 1},{START_US + 9},false,bid,9,1")
    rows, report = ours(table(tmp_path / "book.csv", BOOK, lines))
    assert report.rows_by_kind == {"depth": 1, "depth clear": 1, "depth snapshot": 2}
    assert report.ignored == {"a field is missing, or is not a number": 2}
    assert rows["px"].max() == 10


def test_fusing_while_converting_is_fusing_the_archive(tmp_path):
    files = Day(5, 12_000).write(tmp_path)
    plain, _ = ours(*files.values())
    fused, report = ours(*files.values(), tick_size=0.1, lot_size=0.001)
    assert len(plain) > 40_000
    assert fused.tobytes() == fuse(plain, 0.1, 0.001).tobytes()
    assert (report.rows, report.rows_split) == (len(fused), len(plain) - sum(report.rows_by_kind.values()))


def test_to_fuse_both_sizes_are_needed(tmp_path, day):
    with pytest.raises(UsageError, match="both the tick size and the lot size"):
        ours(*day.values(), tick_size=0.1)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([BOOK, TRADES, TICKER]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=6)), max_size=5),
    st.floats(0, 1),
    st.booleans(),
)
def test_damaged_bytes_give_rows_or_a_clear_error(tmp_path, header, changes, cut, is_packed):
    made = Day(3, 20)
    lines = {BOOK: made.book, TRADES: made.trades, TICKER: made.ticker}[header]
    data = bytearray("".join(f"{line}\n" for line in (header, *lines)).encode())
    for place, new in changes:
        at = int(place * len(data))
        data[at : at + len(new)] = new
    data = bytes(data[: max(int(cut * len(data)), 1)])
    path = tmp_path / "file.csv"
    path.write_bytes(gzip.compress(data) if is_packed else data)
    try:
        rows, report = ours(path)
    except DataError as error:
        assert error.what
        assert re.search("file.csv", error.where)
    else:
        assert len(rows) == report.rows
        assert sum(report.ignored.values()) + sum(report.lines_by_kind.values()) == report.lines - 1
