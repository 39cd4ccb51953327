"""The fields of a JSON message and its price levels, in code that numba compiles; see :mod:`hftd.compiled.json_levels`.

Nothing is built: one pass over a message notes where each value of the outer object, and of the objects
directly in it, begins and ends; a venue then takes the few that it needs. Text may be read up to one byte
behind its end.
"""

# pyright: basic

from typing import Final

from hftd.compiled.jit import inline
from hftd.compiled.json_levels import skip_blanks, string_end, value_end, write_levels
from hftd.compiled.json_numbers import decimal, integer
from hftd.compiled.native import high_bits, load_i64, load_u8, store_i64, wrapping_product
from hftd.compiled.row_access import qty_of, write_row
from hftd.rows import EXCH_TS, FVAL, PX, QTY, ROW_BYTES
from sim.convert.reader.state import FIELDS_MAX, name_key

_FNV_START: Final = 0x811C9DC5
_FNV_PRIME: Final = 0x01000193
_U32_MAX: Final = 0xFFFFFFFF
_FNV64_START: Final = -3750763034362895579
_FNV64_PRIME: Final = 0x100000001B3


def text_key(text: str) -> int:
    """What `hashed` gives for these characters: FNV-1a of 32 bits, below the length."""
    return name_key(text.encode())


@inline
def hashed(start, end):
    """A key of the bytes, to be compared with `text_key` of a text."""
    # Not 64 bits: an int64 that overflows is undefined for LLVM, which then drops comparisons.
    value = _FNV_START
    for p in range(start, end):
        value = ((value ^ load_u8(p)) * _FNV_PRIME) & _U32_MAX
    return ((end - start) << 32) | value


@inline
def _note_field(s, key, start, stop, parent):
    at = s.fields + s.field_count * 32
    store_i64(at, key)
    store_i64(at + 8, start)
    store_i64(at + 16, stop)
    store_i64(at + 24, parent)
    s.field_count += 1


@inline
def read_fields(s, p, end):
    """Note the fields of the object at `p` and of the objects directly in it.

    Returns:
        The address behind the object; 0 where it is not whole.
    """
    s.field_count = 0
    parent = -1
    p += 1
    # A bracket may close, and a key may come, at the start of an object; after a comma only a key.
    may_close, needs_comma = True, False
    while True:
        p = skip_blanks(p, end)
        if p >= end:
            return 0
        byte = load_u8(p)
        if byte == 125:
            if not may_close:
                return 0
            p += 1
            if parent < 0:
                return p
            store_i64(s.fields + parent * 32 + 16, p)
            parent = -1
            needs_comma = True
            continue
        if needs_comma:
            if byte != 44:
                return 0
            p += 1
            may_close, needs_comma = False, False
            continue
        quote = string_end(p + 1, end)
        if byte != 34 or quote == 0 or s.field_count == FIELDS_MAX:
            return 0
        key = hashed(p + 1, quote)
        p = skip_blanks(quote + 1, end)
        if p >= end or load_u8(p) != 58:
            return 0
        p = skip_blanks(p + 1, end)
        if p >= end:
            return 0
        if load_u8(p) == 123 and parent < 0:
            parent = s.field_count
            _note_field(s, key, p, 0, -1)
            p += 1
            may_close, needs_comma = True, False
            continue
        stop = value_end(p, end)
        if stop == 0:
            return 0
        _note_field(s, key, p, stop, parent)
        p = stop
        may_close, needs_comma = True, True


@inline
def field(s, key, parent):
    """The number of the field of that key in the object `parent` (-1: the outer one); -1 if there is none."""
    for number in range(s.field_count - 1, -1, -1):
        at = s.fields + number * 32
        if load_i64(at) == key and load_i64(at + 24) == parent:
            return number
    return -1


@inline
def text_of(s, number):
    """Where the field's value begins and ends, without its quotes if it has some."""
    at = s.fields + number * 32
    start = load_i64(at + 8)
    stop = load_i64(at + 16)
    if load_u8(start) == 34:
        return start + 1, stop - 1
    return start, stop


@inline
def integer_of(s, number):
    """The field as an integer; -1 where it is missing or is none."""
    if number < 0:
        return -1
    start, stop = text_of(s, number)
    return integer(start, stop)


@inline
def number_of(s, number):
    """The field as a double, and whether it is one."""
    if number < 0:
        return 0.0, False
    start, stop = text_of(s, number)
    value, behind = decimal(start, stop)
    return value, behind == stop and behind != 0


@inline
def add_row(s, ev, exch_ts, local_ts, px, qty):
    """Append a row; `next_message` has made sure that there is room for all rows of a line."""
    write_row(s.rows + s.row_count * ROW_BYTES, ev, exch_ts, local_ts, px, qty)
    s.row_count += 1


@inline
def mixed_id(first, second):
    """Two numbers as one of 64 bits that hardly any other two give."""
    x = wrapping_product(first ^ high_bits(first, 31), -4658895280553007687)
    x = wrapping_product((x ^ high_bits(x, 29)) + second, -7723592293110705685)
    return x ^ high_bits(x, 32)


@inline
def text_id(start, stop):
    """A text as an id of 64 bits (FNV-1a); 0 for an empty one."""
    if stop <= start:
        return 0
    value = _FNV64_START
    for p in range(start, stop):
        value = wrapping_product(value ^ load_u8(p), _FNV64_PRIME)
    return value


@inline
def set_trade_id(s, trade_id):
    """Give the last row, a trade's, the id by which it is known again (0: none); see :mod:`sim.convert.rows.again`."""
    if not s.takes_again:
        store_i64(s.rows + (s.row_count - 1) * ROW_BYTES + FVAL, trade_id)


@inline
def set_trade_text_id(s, number):
    """As `set_trade_id`, of an exchange's id that is unique only together with the trade's time, price and quantity.

    Args:
        s: The state.
        number: The number of the id's field; -1: none.
    """
    if number < 0 or s.takes_again:
        return
    start, stop = text_of(s, number)
    trade_id = text_id(start, stop)
    if trade_id == 0:
        return
    row = s.rows + (s.row_count - 1) * ROW_BYTES
    for offset in (EXCH_TS, PX, QTY):
        trade_id = mixed_id(trade_id, load_i64(row + offset))
    set_trade_id(s, trade_id)


@inline
def add_levels(s, number, ev, exch_ts, local_ts):
    """Append a row for each level of a field such as `[["58710.20","0.014"],["61510.90","0"]]`.

    Returns:
        The number of levels; -1 where the field is missing or anything in it is not a level, such as a quantity
        below zero.
    """
    if number < 0:
        return -1
    start, end = text_of(s, number)
    room = s.row_capacity - s.row_count
    first = s.rows + s.row_count * ROW_BYTES
    count = write_levels(start, end, first, room, ev, exch_ts, local_ts)
    for at in range(first, first + count * ROW_BYTES, ROW_BYTES):
        if qty_of(at) < 0.0:
            return -1
    if count > 0:
        s.row_count += count
    return max(count, -1)
