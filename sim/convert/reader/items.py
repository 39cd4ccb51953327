"""Arrays of objects in messages, in code that numba compiles: trades, and levels such as `{"px":"1.5","sz":"2"}`.

The fields of one object at a time are noted, in place of those of the message: take what is needed of the message
first.
"""

# pyright: basic

from typing import Final

from hftd.compiled.jit import inline
from hftd.compiled.json_levels import skip_blanks, write_levels
from hftd.compiled.native import load_u8
from hftd.compiled.row_access import qty_of
from hftd.rows import ROW_BYTES, TS_MAX
from sim.convert.reader.message import add_row, field, integer_of, number_of, read_fields

_NS_PER_MS: Final = 1_000_000
_MS_MIN: Final = 100_000_000_000
"""Earlier than this (March 1973) a time in milliseconds is one in seconds, or none."""
_MS_MAX: Final = TS_MAX // 1_000_000
"""Later than this it is one in microseconds, or none that an engine takes."""


@inline
def ms_of(s, number):
    """A field in milliseconds since the epoch as nanoseconds; -1 where it is none."""
    time_ms = integer_of(s, number)
    return time_ms * _NS_PER_MS if _MS_MIN <= time_ms < _MS_MAX else -1


@inline
def first_item(p, end):
    """The address of the first item of the array at `p`, or of the bracket that closes it; 0 where there is none."""
    if p >= end or load_u8(p) != 91:
        return 0
    p = skip_blanks(p + 1, end)
    return p if p < end else 0


@inline
def next_item(p, end):
    """The address of the item that follows the one that ends at `p`, or of the closing bracket; 0 if torn."""
    p = skip_blanks(p, end)
    if p >= end:
        return 0
    if load_u8(p) == 93:
        return p
    if load_u8(p) != 44:
        return 0
    p = skip_blanks(p + 1, end)
    return p if p < end and load_u8(p) != 93 else 0


@inline
def is_item(p):
    """Whether there is one more item at `p`, as `first_item` and `next_item` give it."""
    return p != 0 and load_u8(p) != 93


@inline
def is_array_end(p, end):
    """Whether the array closes at `p`, with nothing behind it."""
    return p != 0 and load_u8(p) == 93 and skip_blanks(p + 1, end) == end


@inline
def read_item(s, p, end):
    """Note the fields of the object at `p`; returns the address behind it, 0 where it is none."""
    return read_fields(s, p, end) if load_u8(p) == 123 else 0


@inline
def add_arrays(s, start, end, ev, exch_ts, local_ts):
    """As `add_levels`, of an array at `start`; how many levels, -1 if it has others."""
    room = s.row_capacity - s.row_count
    first = s.rows + s.row_count * ROW_BYTES
    count = write_levels(start, end, first, room, ev, exch_ts, local_ts)
    for at in range(first, first + count * ROW_BYTES, ROW_BYTES):
        if qty_of(at) < 0.0:
            return -1
    if count > 0:
        s.row_count += count
    return max(count, -1)


@inline
def add_objects(s, p, end, px_key, qty_key, ev, exch_ts, local_ts):
    """Append a row for each object of an array of levels; returns how many, -1 where anything is not a level.

    The fields of the last level are noted afterwards.
    """
    count = 0
    p = first_item(p, end)
    while is_item(p):
        stop = read_item(s, p, end)
        if stop == 0:
            return -1
        px, has_px = number_of(s, field(s, px_key, -1))
        qty, has_qty = number_of(s, field(s, qty_key, -1))
        if not has_px or not has_qty or qty < 0.0:
            return -1
        add_row(s, ev, exch_ts, local_ts, px, qty)
        count += 1
        p = next_item(stop, end)
    return count if is_array_end(p, end) else -1
