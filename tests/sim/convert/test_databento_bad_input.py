"""Databento's files: what is chosen of several, and what is said of files that are wrong."""

import re

import databento_dbn as dbn
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hftd.errors import DataError

from .dbn_files import (
    START_NS,
    TICK,
    UNDEFINED,
    Levels,
    Orders,
    metadata,
    ours,
    trade,
    write,
)

IDS = {"ESH4": [1], "NQH4": [2], "ES.c.0": [1, 2]}


def two_instruments(folder):
    records = [trade(k * TICK, instrument_id=1 + k % 2) for k in range(10)]
    return write(folder / "day.dbn", metadata(dbn.Schema.TRADES, ids=IDS), records)


def test_several_instruments_are_refused_unless_one_is_chosen(tmp_path):
    path = two_instruments(tmp_path)
    with pytest.raises(DataError, match=r"several symbols: ESH4 \(5 lines\), NQH4 \(5 lines\)"):
        ours(path)
    for symbol in ("NQH4", "2", "1:NQH4"):
        rows, report = ours(path, symbol=symbol)
        assert rows["px"].tolist() == [0.25, 0.75, 1.25, 1.75, 2.25]
        assert report.symbol == "NQH4"
        assert report.ignored == {"another symbol": 5}


@pytest.mark.parametrize(
    ("symbol", "said"),
    [
        ("CLH4", "no symbol CLH4\n.*ESH4, NQH4"),
        ("ES.c.0", "not one instrument: its ids are 1, 2"),
        ("3", "no lines of 3"),
        ("9:ESH4", "no records of the publisher 9"),
    ],
)
def test_a_choice_that_can_not_be_made_is_said(tmp_path, symbol, said):
    with pytest.raises(DataError) as caught:
        ours(two_instruments(tmp_path), symbol=symbol)
    assert re.search(said, f"{caught.value.what}\n{caught.value.hint}")


@pytest.mark.parametrize(
    ("later_s", "said"), [(0, "begins before the end of another one with the same book"), (3600, "two books")]
)
def test_market_by_order_and_by_price_are_two_books_of_which_an_archive_holds_one(tmp_path, later_s, said):
    orders, levels = Orders(1), Levels(1)
    levels.time_ns += later_s * 10**9
    orders.snapshot()
    for _ in range(50):
        orders.step()
        levels.step()
    by_order = write(tmp_path / "a.dbn", metadata(dbn.Schema.MBO), orders.records)
    by_price = write(tmp_path / "b.dbn", metadata(dbn.Schema.MBP_10), levels.records)
    for paths in ((by_order, by_price), (by_price, by_order)):
        with pytest.raises(DataError, match=said):
            ours(*paths)
    assert not (tmp_path / "day.npz").exists()


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_recorded_session_names_its_instruments_in_its_first_records(tmp_path, version):
    size = 22 if version == 1 else 71

    def mapping(number, asked, name):
        names = [text.encode().ljust(size, b"\0") for text in (asked, name)]
        kinds = [b"", b""] if version == 1 else [b"\1", b"\0"]
        body = b"".join(kind + one for kind, one in zip(kinds, names, strict=True)) + bytes(16)
        body += bytes(-len(body) % 4)
        return bytes([4 + len(body) // 4, 22, 0, 0]) + number.to_bytes(4, "little") + bytes(8) + body

    mappings = [mapping(1, "ESH4", "1"), mapping(2, "2", "NQH4")]
    records = [trade(k * TICK, instrument_id=1 + k % 2) for k in range(10)]
    head = metadata(dbn.Schema.TRADES, ids={"ALL_SYMBOLS": []}, version=version)
    path = write(tmp_path / "live.dbn", head, [*mappings, *records])
    with pytest.raises(DataError, match=r"several symbols: ESH4 \(5 lines\), NQH4 \(5 lines\)"):
        ours(path)
    rows, report = ours(path, symbol="NQH4")
    assert rows["px"].tolist() == [0.25, 0.75, 1.25, 1.75, 2.25]
    assert report.symbol == "NQH4"


def test_several_publishers_are_refused_unless_one_is_chosen(tmp_path):
    records = [trade(k * TICK, publisher_id=39 + k % 2) for k in range(4)]
    path = write(tmp_path / "day.dbn", metadata(dbn.Schema.TRADES), records)
    with pytest.raises(DataError, match=r"several publishers: 39 \(2 records\), 40"):
        ours(path)
    rows, report = ours(path, symbol="40:ESH4")
    assert rows["px"].tolist() == [0.25, 0.75]
    assert report.ignored == {"another exchange or publisher": 2}


def test_records_that_give_no_rows_are_counted(tmp_path):
    market = Orders(1)
    market.put("A", "B", 400 * TICK, 5, 1)
    market.put("N", "N", UNDEFINED, 0, 0)
    market.put("A", "B", UNDEFINED, 5, 2)
    market.put("A", "B", 400 * TICK, 5, 3, ts_event=START_NS // 1000, ts_recv=START_NS // 1000)
    wrong = bytearray(bytes(market.records[0]))
    wrong[38] = ord("X")
    other = bytearray(bytes(market.records[0]))
    other[39] = ord("X")
    short = bytearray(bytes(market.records[0])[:48])
    short[0] = 12
    status = bytes([4, 18]) + bytes(14)
    records = [*market.records, bytes(wrong), bytes(other), bytes(short), status]
    rows, report = ours(write(tmp_path / "day.dbn", metadata(dbn.Schema.MBO), records))
    assert len(rows) == 1
    assert report.ignored == {
        "a record that changes nothing": 1,
        "no price": 1,
        "a time in another unit than the format has": 1,
        "an unknown action": 1,
        "a side that is neither buy nor sell": 1,
        "a record of a length that it can't have": 1,
        "an event or stream that is not converted": 1,
    }
    assert report.not_converted == {"status": 1}
    assert [place.line for place in report.unreadable] == [3, 4, 5, 6, 7]
    with pytest.raises(DataError, match="5 lines can't be read; the first: no price"):
        ours(tmp_path / "day.dbn", strict=True)


def records(count=2000):
    market = Orders(1)
    market.snapshot()
    for _ in range(count):
        market.step()
    return market.records


def test_a_truncated_zstd_is_said_and_the_records_before_it_are_kept(tmp_path):
    path = write(tmp_path / "day.dbn.zst", metadata(dbn.Schema.MBO), records(8000))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    rows, report = ours(path)
    assert len(rows) > 100
    assert report.exit_code == 1
    assert "zstd data" in report.damage[0]


def test_a_torn_record_is_said_and_those_before_it_are_kept(tmp_path):
    all_records = [bytes(record) for record in records(100)]
    path = write(tmp_path / "day.dbn", metadata(dbn.Schema.MBO), [*all_records, all_records[0][:30]])
    _, report = ours(path)
    assert report.ignored == {"torn at the end of the file": 1}
    assert report.unreadable[0].line == len(all_records) + 1


def test_a_record_without_a_length_ends_its_file(tmp_path):
    all_records = [bytes(record) for record in records(100)]
    broken = write(tmp_path / "a.dbn", metadata(dbn.Schema.MBO), [*all_records, bytes(56), *all_records])
    trades = [bytes(trade(400 * TICK, ts_event=START_NS + k)) for k in range(len(all_records))]
    good = write(tmp_path / "b.dbn", metadata(dbn.Schema.TRADES), trades)
    _, report = ours(broken, good)
    assert report.lines == 2 * len(all_records) + 1
    assert report.exit_code == 1
    assert f"a.dbn: record {len(all_records) + 1} has no valid length" in report.damage[0]
    with pytest.raises(DataError, match="no valid length"):
        ours(broken, good, strict=True)


def test_metadata_that_are_wrong_are_refused_with_the_file(tmp_path):
    head = metadata(dbn.Schema.MBO)
    cases = {
        b"": "is empty",
        b"DB": "no DBN",
        b"PK\x07\x08 something else": "no DBN",
        b"DBN\x04" + head[4:]: "version 4",
        b"DBZ\x01" + head[4:]: "no DBN",
        head[:50]: "end after 50 of",
        head[:4] + b"\xff\xff\xff\xff" + head[8:]: "are said to be",
        head[:4] + b"\x05\0\0\0" + head[8:]: "are said to be",
        head[:112] + b"\xff\xff\xff\x7f" + head[116:]: "more than it has room for",
    }
    for data, said in cases.items():
        path = tmp_path / "day.dbn"
        path.write_bytes(data)
        with pytest.raises(DataError, match=said) as caught:
            ours(path)
        assert "day.dbn" in caught.value.where


def test_metadata_alone_are_said_to_give_nothing(tmp_path):
    path = write(tmp_path / "day.dbn", metadata(dbn.Schema.MBO), [])
    with pytest.raises(DataError, match=r"none of 0 records gives a row \(empty\)"):
        ours(path)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dbn")
    levels = Levels(1)
    for _ in range(20):
        levels.step()
    return [
        write(folder / "orders.dbn", metadata(dbn.Schema.MBO), records(60)).read_bytes(),
        write(folder / "levels.dbn", metadata(dbn.Schema.MBP_10), levels.records).read_bytes(),
    ]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, 1),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=9)), max_size=6),
    st.floats(0, 1),
    st.booleans(),
)
def test_damaged_bytes_give_rows_or_a_clear_error(tmp_path, packed, which, changes, cut, is_packed):
    data = bytearray(packed[which])
    for place, new in changes:
        at = int(place * len(data))
        data[at : at + len(new)] = new
    data = bytes(data[: max(int(cut * len(data)), 1)])
    path = tmp_path / "day.dbn"
    path.write_bytes(zstandard.compress(data) if is_packed else data)
    try:
        rows, report = ours(path)
    except DataError as error:
        assert error.what
        assert str(tmp_path) in error.where
    else:
        assert len(rows) == report.rows
        assert sum(report.ignored.values()) + sum(report.lines_by_kind.values()) >= report.lines
