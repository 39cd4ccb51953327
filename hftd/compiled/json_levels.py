"""JSON in compiled code: where values begin and end, and arrays of price levels to rows of events.

What converters read from captures and connectors from sockets goes through this one code, so both make the same rows
of the same bytes. Text is given by its first address and the address behind it; the byte behind it may be read, and
a Python `bytes` always has a zero there.
"""

# pyright: basic

from typing import Final

from hftd.compiled.jit import inline
from hftd.compiled.json_numbers import decimal
from hftd.compiled.native import load_u8
from hftd.compiled.row_access import write_row
from hftd.rows import ROW_BYTES, Address, Ns

NO_LEVELS: Final = -1
"""The text is no array of levels."""
NO_ROOM: Final = -2
"""There are more levels than rows."""


@inline
def skip_blanks(p: Address, end: Address):
    """The first address from `p` that holds no blank, or `end`."""
    while p < end and load_u8(p) <= 32:
        p += 1
    return p


@inline
def string_end(p: Address, end: Address):
    """The address of the quote that ends the string whose text begins at `p`; 0 if there is none."""
    while p < end:
        byte = load_u8(p)
        if byte == 34:
            return p
        p += 2 if byte == 92 else 1
    return 0


@inline
def value_end(p: Address, end: Address):
    """The address behind the JSON value at `p`; 0 if it does not end, or is not a value."""
    byte = load_u8(p)
    if byte == 34:
        quote = string_end(p + 1, end)
        return quote + 1 if quote else 0
    if byte == 91 or byte == 123:
        depth = 0
        while p < end:
            byte = load_u8(p)
            if byte == 34:
                p = string_end(p + 1, end)
                if p == 0:
                    return 0
            elif byte == 91 or byte == 123:
                depth += 1
            elif byte == 93 or byte == 125:
                depth -= 1
                if depth == 0:
                    return p + 1
            p += 1
        return 0
    first = p
    while p < end:
        byte = load_u8(p)
        is_word = 48 <= byte <= 57 or 97 <= (byte | 32) <= 122 or byte == 43 or byte == 45 or byte == 46
        if not is_word:
            break
        p += 1
    return p if p > first else 0


@inline
def _level_number(p: Address, end: Address):
    """The number at `p`, quoted or not, and the address behind it; 0 where there is none."""
    p = skip_blanks(p, end)
    is_quoted = p < end and load_u8(p) == 34
    value, p = decimal(p + 1 if is_quoted else p, end)
    if p == 0:
        return 0.0, 0
    if is_quoted:
        if p >= end or load_u8(p) != 34:
            return 0.0, 0
        p += 1
    return value, skip_blanks(p, end)


@inline
def write_levels(
    p: Address, end: Address, rows: Address, capacity: int, ev: int, exch_ts: Ns, local_ts: Ns
) -> int:
    """Write a row for each level of an array such as `[["58710.20","0.014"],["61510.90","0"]]`.

    What stands behind price and quantity in a level is skipped.

    Args:
        p: Where the array's bracket stands.
        end: The address behind the array.
        rows: Where rows go.
        capacity: How many may.
        ev: Kind and side of the rows.
        exch_ts: When they happened.
        local_ts: When they were received.

    Returns:
        The number of levels, NO_LEVELS or NO_ROOM; rows may have been written then.
    """
    if p >= end or load_u8(p) != 91:
        return NO_LEVELS
    p = skip_blanks(p + 1, end)
    if p < end and load_u8(p) == 93:
        return 0 if skip_blanks(p + 1, end) == end else NO_LEVELS
    count = 0
    while True:
        if p >= end or load_u8(p) != 91:
            return NO_LEVELS
        px, p = _level_number(p + 1, end)
        if p == 0 or p >= end or load_u8(p) != 44:
            return NO_LEVELS
        qty, p = _level_number(p + 1, end)
        while p != 0 and p < end and load_u8(p) == 44:
            p = value_end(skip_blanks(p + 1, end), end)
            if p != 0:
                p = skip_blanks(p, end)
        if p == 0 or p >= end or load_u8(p) != 93:
            return NO_LEVELS
        if count == capacity:
            return NO_ROOM
        write_row(rows + count * ROW_BYTES, ev, exch_ts, local_ts, px, qty)
        count += 1
        p = skip_blanks(p + 1, end)
        if p >= end:
            return NO_LEVELS
        if load_u8(p) == 93:
            return count if skip_blanks(p + 1, end) == end else NO_LEVELS
        if load_u8(p) != 44:
            return NO_LEVELS
        p = skip_blanks(p + 1, end)
