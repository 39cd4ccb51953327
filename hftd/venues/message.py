"""Rows of one message, in compiled code, and why a message gives none.

The state `s` that these functions are given is a record with what :mod:`hftd.compiled.json_fields` wants, and:

- `rows`, the address of a buffer of rows, `row_count` and `row_capacity`. There must be room for the rows of the
  message: its bytes / `LEVEL_BYTES_MIN` + `ROWS_MORE` (levels beyond the room are as levels that can't be read).
- `flags`, which each row has in its `ev` besides kind and side.
- `takes_again`: rows of trades get no ids, by which a trade that comes once more would be known.
"""

# pyright: basic

from typing import Any, Final

from hftd.compiled.jit import inline
from hftd.compiled.json_fields import (
    field,
    first_item,
    integer_of,
    is_array_end,
    is_item,
    mixed_id,
    next_item,
    number_of,
    place_of,
    read_item,
    text_id,
    value_of,
)
from hftd.compiled.json_levels import write_levels
from hftd.compiled.native import load_i64, store_i64
from hftd.compiled.row_access import px_of, qty_of, set_px, write_row
from hftd.rows import EXCH_TS, FVAL, PX, QTY, ROW_BYTES, TS_MAX, Address, Ns
from hftd.types import DEPTH_CLEAR_EVENT

# What became of a message: 0, or why it gives no rows.
FIELD: Final = 3
"""A field is missing, or is not what it should be."""
MATCH_TIME: Final = 16
"""The time of the matching engine is missing, or is no time."""
SENT_TIME: Final = 17
"""The time of sending is missing, or is no time."""
NUMBER: Final = 18
"""A price or a quantity is not a number, or the quantity is below zero; nothing else is wrong."""
NOT_A_TRADE: Final = 21
"""A trade that is not of the market."""
NO_TIME: Final = 36
"""Neither the message nor one before it has a time."""

LEVEL_BYTES_MIN: Final = 6
"""A level takes that many bytes or more (`[1,2],`)."""
ROWS_MORE: Final = 16
"""Rows of a message that are no levels."""

CLOCK_JUMP_NS: Final = 10_000_000_000
"""A time that is further from those around it is a wrong one, or time has begun anew: others are not moved to it."""
NS_PER_MS: Final = 1_000_000
_MS_MIN: Final = 100_000_000_000
"""Earlier than this (March 1973) a time in milliseconds is one in seconds, or none."""
MS_MAX: Final = TS_MAX // NS_PER_MS
"""Later than this it is one in microseconds, or none that an engine takes."""


@inline
def ms_of(s: Any, number: int) -> Ns:
    """A field in milliseconds since the epoch as nanoseconds; -1 where it is not one."""
    time_ms = integer_of(s, number)
    return time_ms * NS_PER_MS if _MS_MIN <= time_ms < MS_MAX else -1


@inline
def later_of(time: Ns, other: Ns) -> Ns:
    """The later of two times, unless they are too far from each other: then the other, as one of them is wrong."""
    return max(time, other) if abs(time - other) <= CLOCK_JUMP_NS else other


@inline
def add_row(s: Any, ev: int, exch_ts: Ns, local_ts: Ns, px: float, qty: float) -> None:
    """Append a row."""
    write_row(s.rows + s.row_count * ROW_BYTES, ev | s.flags, exch_ts, local_ts, px, qty)
    s.row_count += 1


@inline
def add_priced_row(s: Any, px_field: int, qty_field: int, ev: int, exch_ts: Ns, local_ts: Ns) -> bool:
    """Append a row of two fields; False where one is not a number, or the quantity is below zero."""
    px, has_px = number_of(s, px_field)
    qty, has_qty = number_of(s, qty_field)
    if not has_px or not has_qty or qty < 0.0:
        return False
    add_row(s, ev, exch_ts, local_ts, px, qty)
    return True


# ---- levels


@inline
def add_arrays(s: Any, start: Address, end: Address, ev: int, exch_ts: Ns, local_ts: Ns) -> int:
    """Append a row for each level of an array such as `[["58710.20","0.014"],["61510.90","0"]]`.

    Returns:
        The number of levels; -1 where anything is not a level, such as a quantity below zero.
    """
    room = s.row_capacity - s.row_count
    first = s.rows + s.row_count * ROW_BYTES
    count = write_levels(start, end, first, room, ev | s.flags, exch_ts, local_ts)
    for at in range(first, first + count * ROW_BYTES, ROW_BYTES):
        if qty_of(at) < 0.0:
            return -1
    if count > 0:
        s.row_count += count
    return max(count, -1)


@inline
def add_objects(
    s: Any, p: Address, end: Address, px_key: int, qty_key: int, ev: int, exch_ts: Ns, local_ts: Ns
) -> int:
    """Append a row for each object of an array of levels; returns how many, -1 where anything is not a level.

    The fields of the last level are noted afterwards.
    """
    count = 0
    p = first_item(p, end)
    while is_item(p):
        stop = read_item(s, p, end)
        if stop == 0:
            return -1
        if not add_priced_row(s, field(s, px_key, -1), field(s, qty_key, -1), ev, exch_ts, local_ts):
            return -1
        count += 1
        p = next_item(stop, end)
    return count if is_array_end(p, end) else -1


@inline
def add_levels(s: Any, number: int, ev: int, exch_ts: Ns, local_ts: Ns) -> int:
    """As `add_arrays`, of a field; -1 where there is none."""
    if number < 0:
        return -1
    start, end = value_of(s, number)
    return add_arrays(s, start, end, ev, exch_ts, local_ts)


@inline
def add_clear(s: Any, side: int, exch_ts: Ns, local_ts: Ns) -> int:
    """Append a clear of a side (0: of both, to the last level); returns the number of its row."""
    add_row(s, DEPTH_CLEAR_EVENT | side, exch_ts, local_ts, 0.0, 0.0)
    return s.row_count - 1


@inline
def clear_as_far(s: Any, row: int, count: int) -> None:
    """Let the clear at `row` reach as far as the `count` levels behind it; without levels it goes away."""
    if count == 0:
        s.row_count = row
    elif count > 0:
        last = s.rows + (s.row_count - 1) * ROW_BYTES
        set_px(s.rows + row * ROW_BYTES, px_of(last))


# ---- ids of trades


@inline
def set_trade_id(s: Any, trade_id: int) -> None:
    """Give the last row, a trade's, the id by which it is known again (0: none)."""
    if not s.takes_again:
        store_i64(s.rows + (s.row_count - 1) * ROW_BYTES + FVAL, trade_id)


@inline
def set_trade_text_id(s: Any, number: int) -> None:
    """As `set_trade_id`, of an exchange's id that is unique only together with the trade's time, price and quantity.

    Args:
        s: The state.
        number: The number of the id's field; -1: none.
    """
    if number < 0 or s.takes_again:
        return
    start, stop = place_of(s, number)
    trade_id = text_id(start, stop)
    if trade_id == 0:
        return
    row = s.rows + (s.row_count - 1) * ROW_BYTES
    for offset in (EXCH_TS, PX, QTY):
        trade_id = mixed_id(trade_id, load_i64(row + offset))
    set_trade_id(s, trade_id)
