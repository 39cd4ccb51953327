"""Tables of comma-separated values in compiled code: the header by names, lines to fields, fields to numbers.

A reader of tables names the columns that it needs; wherever they stand in a file, it finds them by its own
numbers::

    TRADES = Table(name="trades", columns=("timestamp", "price", "side"))
    _TIME, _PRICE, _SIDE = range(3)

    while next_line(s):
        px, has_px = number_of(s, column(s, _PRICE))
        ...
        end_message(s, reason)

The fields of a line are noted where those of a JSON message are, so that `text_of`, `integer_of` and
`number_of` read them too. A field may stand in quotes; quotes within a field are refused. Lines end with LF or CRLF.

A file's first line is its header. Where a table may come without one, `order` says how its columns stand.
"""

# pyright: basic

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from hftd.compiled.jit import inline
from hftd.compiled.json_fields import FIELDS_MAX, hashed, text_key, text_of
from hftd.compiled.json_numbers import integer
from hftd.compiled.native import load_u8, store_i64
from hftd.errors import DataError
from hftd.rows import TS_MAX, Address
from sim.convert.files.arrange import NEVER, time_ns
from sim.convert.reader.messages import end_message, find_byte
from sim.convert.reader.state import (
    BLANK,
    COLUMNS,
    COLUMNS_MAX,
    DONE,
    HEADER_AGAIN,
    OPENING,
    QUOTES,
    ROWS_FULL,
    TORN_END,
    Scan,
)

_HEADER_SIZE_MAX: Final = 1 << 16
_SHOWN_MAX: Final = 160
_BOM: Final = b"\xef\xbb\xbf"

_US_MIN: Final = 1_000_000_000_000_000
_US_MAX: Final = TS_MAX // 1000
"""No engine takes later times."""

_OTHER_NUMBER: Final = -1
_QUOTES: Final = -2


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of file: what its columns are called.

    Attributes:
        name: What users call it.
        columns: The columns that a reader needs; their places here are its numbers for them.
        optional: Columns that it takes if they are there, numbered on behind `columns`.
        order: All columns of a file without a header, in their order; empty: there must be a header.
    """

    name: str
    columns: tuple[str, ...]
    optional: tuple[str, ...] = ()
    order: tuple[str, ...] = ()


def open_table(scan: Scan, text: bytes, at_end: bool, path: Path, tables: Sequence[Table]) -> int:
    """Look at a file's first line, find which of the tables it is, and where the columns stand.

    Sets `table` (its number in `tables`), `columns` and `column_count` of the state.

    Args:
        scan: The reader's state.
        text: The file's first bytes.
        at_end: Whether these are all.
        path: The file, for the error.
        tables: What it may be; the first whose columns are all there is taken.

    Returns:
        The bytes of the header, 0 if there is none; -1 if the first line is not there as a whole.

    Raises:
        DataError: The columns are those of no table, one stands there twice, or the line is no header.
    """
    newline = text.find(b"\n")
    if newline < 0 and not at_end and len(text) <= _HEADER_SIZE_MAX:
        return -1
    line = text[: newline if newline >= 0 else len(text)]
    if len(line) > _HEADER_SIZE_MAX:
        raise DataError(
            f"the first line is longer than {_HEADER_SIZE_MAX:,} bytes: this is no table", where=str(path)
        )
    size = len(line) + (newline >= 0)
    line = line.removeprefix(_BOM).rstrip()
    names = [name.strip().strip('"').lower() for name in line.decode("utf-8", "replace").split(",")]
    found = _table_of(names, tables, path)
    if found is None:
        raise _no_table(line, names, tables, path)
    number, has_header = found
    table = tables[number]
    if not has_header:
        names = list(table.order)
    record = scan.record
    record["table"] = number
    record["column_count"] = len(names)
    asked = (*table.columns, *table.optional)
    if len(asked) > COLUMNS_MAX or len(names) > FIELDS_MAX:
        raise DataError(f"the table has {len(names)} columns, more than {FIELDS_MAX}", where=str(path))
    record["columns"] = -1
    for place, name in enumerate(asked):
        if name in names:
            record["columns"][place] = names.index(name)
    record["header_key"] = text_key(line.decode("latin-1")) if has_header and line.isascii() else 0
    if not has_header:
        return 0
    record["line"] += 1
    return size


def table_start(
    open_input: Any, text: bytes, at_end: bool, path: Path, time_column: int, own_dtype: Any
) -> tuple[int, int]:
    """Which table a file is, and the first time in one of its columns (`NEVER`: none).

    Args:
        open_input: The venue's `Venue.open_input`.
        text: The file's first bytes.
        at_end: Whether these are all.
        path: The file.
        time_column: The number of the column.
        own_dtype: The reader's own state.

    Raises:
        DataError: It is no table that the venue reads.
    """
    scan = Scan()
    scan.give_own(own_dtype)
    size = open_input(scan, text, at_end, path)
    if size < 0:
        size = open_input(scan, text, True, path)
    record = scan.record
    place = int(record["columns"][time_column])
    for line in text[size:].splitlines():
        fields = line.split(b",")
        if len(fields) == record["column_count"] and time_ns(fields[place]) != NEVER:
            return int(record["table"]), time_ns(fields[place])
    return int(record["table"]), NEVER


def _table_of(names: list[str], tables: Sequence[Table], path: Path) -> tuple[int, bool] | None:
    """The table that has these columns, and whether they are a header."""
    for number, table in enumerate(tables):
        if set(table.columns) <= set(names):
            asked = (*table.columns, *table.optional)
            doubled = sorted(name for name in asked if names.count(name) > 1)
            if doubled:
                raise DataError(
                    f"the header has the column {doubled[0]!r} {names.count(doubled[0])} times",
                    where=f"{path}:1",
                )
            return number, True
    for number, table in enumerate(tables):
        known = {*table.columns, *table.optional, *table.order}
        if table.order and len(names) == len(table.order) and not known & set(names):
            return number, False
    return None


def _no_table(line: bytes, names: list[str], tables: Sequence[Table], path: Path) -> DataError:
    shown = line[:_SHOWN_MAX].decode("utf-8", "replace")
    # The table that it is most like.
    table = max(tables, key=lambda table: len(set(table.columns) & set(names)) / len(table.columns))
    missing = [name for name in table.columns if name not in names]
    if len(missing) < len(table.columns):
        return DataError(
            f"the header lacks {', '.join(missing)} of a table of {table.name}: {shown}", where=f"{path}:1"
        )
    kinds = "; ".join(f"{table.name}: {','.join(table.columns)}" for table in tables)
    return DataError(
        f"the first line is no header that is known: {shown!r}",
        where=f"{path}:1",
        hint=f"columns that must be there, in any order: {kinds}",
    )


@inline
def split_line(s: Any, p: Address, stop: Address):
    """Note the fields of a line; returns how many, or what is wrong with it."""
    limit = s.fields + FIELDS_MAX * 32
    at = s.fields
    start = p
    while True:
        if p < stop and load_u8(p) == 34:
            quote = find_byte(p + 1, 34, stop - p - 1)
            if quote == 0:
                return _QUOTES
            p = quote + 1
            if p < stop and load_u8(p) != 44:
                return _QUOTES
        else:
            while p < stop and load_u8(p) != 44:
                p += 1
        if at == limit:
            return _OTHER_NUMBER
        store_i64(at + 8, start)
        store_i64(at + 16, p)
        at += 32
        if p >= stop:
            return (at - s.fields) // 32
        p += 1
        start = p


@inline
def next_line(s: Any, rows_max):
    """Go to the table's next line, and note its fields.

    Args:
        s: The state, after `start_block`.
        rows_max: The most rows that the reader makes of one line.

    Returns:
        False behind the last whole line of the block (`code` is DONE), at the beginning of a file (OPENING)
        and before a line for which there may not be room (ROWS_FULL).
    """
    end = s.text + s.size
    while s.code == DONE:
        p = s.text + s.consumed
        if p >= end:
            return False
        if s.table < 0:
            s.code = OPENING
            return False
        newline = find_byte(p, 10, end - p)
        if newline == 0 and not s.at_end:
            return False
        if s.row_capacity - s.row_count < rows_max:
            s.code = ROWS_FULL
            return False
        stop = newline if newline else end
        s.line += 1
        s.is_cut = newline == 0
        s.consumed = (newline + 1 if newline else end) - s.text
        if stop > p and load_u8(stop - 1) == 13:
            stop -= 1
        s.row_mark = s.row_count
        if stop == p:
            end_message(s, BLANK)
            continue
        if s.is_cut and s.is_damaged:
            # Half a number reads as a number.
            end_message(s, TORN_END)
            continue
        count = split_line(s, p, stop)
        if count == s.column_count:
            # A recorder that appends, or files that were put together, repeat the header.
            if s.header_key >> 32 != stop - p or s.header_key != hashed(p, stop):
                return True
            end_message(s, HEADER_AGAIN)
        else:
            end_message(s, QUOTES if count == _QUOTES else COLUMNS)
    return False


@inline
def column(s: Any, place):
    """The number of the field of a column of the table; -1 where an optional one is missing."""
    return s.columns[place]


@inline
def time_us_ns(s: Any, number: int):
    """A field in microseconds since the epoch as nanoseconds; -1 where it is not one, -2 for another unit.

    Microseconds have 16 digits until the year 2286; seconds have 10, milliseconds 13, nanoseconds 19.
    """
    if number < 0:
        return -1
    start, stop = text_of(s, number)
    size = stop - start
    if size == 16:
        value = integer(start, stop)
        return value * 1000 if _US_MIN <= value < _US_MAX else -1
    for p in range(start, stop):
        if load_u8(p) < 48 or load_u8(p) > 57:
            return -1
    return -2 if size == 10 or size == 13 or size == 19 else -1


@inline
def is_text(s: Any, number: int, key: int):
    """Whether a field is the text of that key (`text_key`); a missing field is not."""
    if number < 0:
        return False
    start, stop = text_of(s, number)
    return stop - start == key >> 32 and hashed(start, stop) == key


def said_latency(latency_ns: int, since: str) -> str:
    """The note on files without local times, whose rows arrive so much after `since`."""
    if latency_ns:
        return f"there are no local times: rows arrive {latency_ns:,} ns after {since}"
    return (
        f"there are no local times: rows arrive 0 ns after {since}, which no connection does, so a backtest would see "
        "the market too early; give the latency with --latency-ns (`latency_ns`)"
    )
