"""Tables of comma-separated values, read by a small reader of prices and quantities."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.compiled.jit import kernel
from hftd.compiled.json_fields import number_of, text_key
from hftd.errors import DataError
from hftd.types import TRADE_EVENT, event_dtype
from hftd.venues.message import FIELD, NOT_A_TRADE, add_row
from sim.convert.files.text import TextFile
from sim.convert.reader.csv import Table, column, is_text, next_line, open_table, time_us_ns
from sim.convert.reader.messages import end_message, start_block
from sim.convert.reader.state import BLANK, COLUMNS, HEADER_AGAIN, QUOTES, TIME_UNIT, TORN_END, state_at
from sim.convert.reader.venue import Venue
from sim.convert.reading import Reading
from sim.convert.rows.order import Ordering

TABLES = (
    Table(name="trades", columns=("time", "px", "qty"), optional=("side",)),
    Table(name="plain", columns=("when", "px", "qty"), order=("when", "px", "qty")),
)
SELL = text_key("sell")
T = "1700000000000000"


@kernel("int64(int64)")
def read_table(state):
    s = state_at(state)
    start_block(s)
    while next_line(s, 1):
        ts = time_us_ns(s, column(s, 0))
        px, has_px = number_of(s, column(s, 1))
        qty, has_qty = number_of(s, column(s, 2))
        if ts == -2:
            end_message(s, TIME_UNIT)
        elif ts < 0 or not has_px or not has_qty:
            end_message(s, FIELD)
        elif is_text(s, column(s, 3), SELL):
            end_message(s, NOT_A_TRADE)
        else:
            add_row(s, TRADE_EVENT, ts, ts, px, qty)
            end_message(s, 0)
    return s.code


def open_it(scan, text, at_end, path):
    return open_table(scan, text, at_end, path, TABLES)


VENUE = Venue("table", read_table, {}, open_it)


class Kept(Ordering):
    """The rows as they were read."""

    def __init__(self, output):
        super().__init__(output)
        self.chunks = []

    def add(self, rows):
        self.chunks.append(rows.copy())


def read(folder: Path, text: str | bytes):
    """The rows as (time, px, qty), and why other lines gave none."""
    path = folder / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    kept = Kept(folder / "out.npz")
    reading = Reading(VENUE, kept, symbol=None, mark_price=False, book_ticker=False, progress=None)
    reading.read([TextFile(path)])
    record = reading.scan.record
    rows = np.concatenate([*kept.chunks, np.empty(0, event_dtype)])
    ignored = {int(reason): int(record["ignored"][reason]) for reason in np.nonzero(record["ignored"])[0]}
    return [(int(row["exch_ts"]), float(row["px"]), float(row["qty"])) for row in rows], ignored


@pytest.mark.thorough
def test_columns_are_found_by_their_names_in_any_order(tmp_path):
    assert read(tmp_path, f"time,px,qty\n{T},1.5,2\n") == ([(int(T) * 1000, 1.5, 2.0)], {})
    assert read(tmp_path, f"note,qty,PX,time\nx,2,1.5,{T}\n") == ([(int(T) * 1000, 1.5, 2.0)], {})


def test_lines_may_end_with_crlf_and_the_last_one_with_nothing(tmp_path):
    rows, ignored = read(tmp_path, f"\ufefftime,px,qty\r\n{T},1.5,2\r\n\r\n{T},1.5,3")
    assert [row[2] for row in rows] == [2.0, 3.0]
    assert ignored == {BLANK: 1}


def test_a_field_may_stand_in_quotes_but_not_hold_any(tmp_path):
    text = f'"time","px","qty"\n"{T}","1.5",2\n{T},"1"5,2\n{T},"1.5,2\n{T},1.5,"2"\n'
    rows, ignored = read(tmp_path, text)
    assert [row[1:] for row in rows] == [(1.5, 2.0), (1.5, 2.0)]
    assert ignored == {QUOTES: 2}


def test_a_comma_in_quotes_separates_nothing(tmp_path):
    rows, _ = read(tmp_path, f'note,time,px,qty\n"a,b",{T},1.5,2\n')
    assert [row[1:] for row in rows] == [(1.5, 2.0)]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("time,px", "lacks qty of a table of trades"),
        ("time,px,qty,px", "has the column 'px' 2 times"),
        ("a,b,c,d", "no header that is known"),
        ('{"a": 1}', "no header that is known"),
        ("x" * 70000, "longer than"),
    ],
)
def test_a_header_that_will_not_do_is_said_with_its_file(tmp_path, header, said):
    with pytest.raises(DataError, match=said) as caught:
        read(tmp_path, f"{header}\n{T},1,2\n")
    assert "table.csv" in caught.value.where


def test_a_table_without_a_header_is_read_in_the_order_that_it_has(tmp_path):
    assert read(tmp_path, f"{T},1.5,2\n{T},1.5,3\n")[0] == [
        (int(T) * 1000, 1.5, 2.0),
        (int(T) * 1000, 1.5, 3.0),
    ]


def test_lines_that_are_wrong_are_left_out_and_counted_by_reason(tmp_path):
    lines = [
        "time,px,qty,side",
        f"{T},1,2,buy",
        f"{T},1,2",
        f"{T},1,2,buy,more",
        f"{T},x,2,buy",
        f"{T},,2,buy",
        "1700000000000,1,2,buy",
        "1700000000000000000,1,2,buy",
        "1700000000,1,2,buy",
        "yesterday,1,2,buy",
        f"{T},1,2,sell",
        "time,px,qty,side",
    ]
    rows, ignored = read(tmp_path, "\n".join(lines) + "\n")
    assert len(rows) == 1
    assert ignored == {COLUMNS: 2, FIELD: 3, TIME_UNIT: 3, NOT_A_TRADE: 1, HEADER_AGAIN: 1}


def test_the_last_line_of_a_damaged_file_is_not_taken_for_whole(tmp_path):
    import gzip

    packed = gzip.compress(f"time,px,qty\n{T},1.5,2\n{T},1.5,3.25".encode())[:-8]
    assert read(tmp_path, packed) == ([(int(T) * 1000, 1.5, 2.0)], {TORN_END: 1})


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.decimals(-1_000_000, 1_000_000, places=7), st.decimals(0, 1_000, places=9)), max_size=30
    )
)
def test_numbers_are_the_nearest_doubles(tmp_path_factory, pairs):
    folder = tmp_path_factory.mktemp("csv")
    text = "time,px,qty\n" + "".join(f"{T},{px:f},{qty:f}\n" for px, qty in pairs)
    rows, ignored = read(folder, text)
    assert ignored == {}
    assert [row[1:] for row in rows] == [(float(px), float(qty)) for px, qty in pairs]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 60))
def test_any_bytes_behind_a_header_are_counted_line_by_line(tmp_path_factory, noise, at):
    good = f"time,px,qty\n{T},1.5,2\n{T},1.5,3\n".encode()
    at = max(at, 12)
    text = good[:at] + noise.replace(b"\0", b"") + good[at:]
    rows, ignored = read(tmp_path_factory.mktemp("csv"), text)
    lines = text.count(b"\n") - 1 + (not text.endswith(b"\n"))
    assert len(rows) + sum(ignored.values()) == lines
