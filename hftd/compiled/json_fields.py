"""The fields of a JSON message in compiled code; see :mod:`hftd.compiled.json_levels`.

Nothing is built: one pass over a message notes where each value of the outer object, and of the objects
directly in it, begins and ends; a reader then takes the few that it needs. Text may be read up to one byte
behind its end.

The state `s` that these functions are given is a record with `fields`, the address of a table of `FIELDS_MAX` fields
(`FIELD_BYTES` each), and `field_count`. The fields of one item of an array at a time are noted, in place of those of
the message: take what is needed of the message first.
"""

# pyright: basic

from typing import Any, Final

from hftd.compiled.jit import inline
from hftd.compiled.json_levels import skip_blanks, string_end, value_end
from hftd.compiled.json_numbers import decimal, integer
from hftd.compiled.native import high_bits, load_i64, load_u8, store_i64, wrapping_product
from hftd.rows import Address

FIELDS_MAX: Final = 256
"""Fields of one message; a message with more counts as unreadable."""
FIELD_BYTES: Final = 32
"""Of a field: its key, where its value begins and ends, and the number of the object that it is in (-1: the outer)."""

_FNV_START: Final = 0x811C9DC5
_FNV_PRIME: Final = 0x01000193
_U32_MAX: Final = 0xFFFFFFFF
_FNV64_START: Final = -3750763034362895579
_FNV64_PRIME: Final = 0x100000001B3


def name_key(text: bytes) -> int:
    """FNV-1a of 32 bits of a name, below its length: what `hashed` gives."""
    value = _FNV_START
    for byte in text:
        value = ((value ^ byte) * _FNV_PRIME) & _U32_MAX
    return (len(text) << 32) | value


def text_key(text: str) -> int:
    """What `hashed` gives for these characters."""
    return name_key(text.encode())


@inline
def hashed(start: Address, end: Address) -> int:
    """A key of the bytes, to be compared with `text_key` of a text."""
    # Not 64 bits: an int64 that overflows is undefined for LLVM, which then drops comparisons.
    value = _FNV_START
    for p in range(start, end):
        value = ((value ^ load_u8(p)) * _FNV_PRIME) & _U32_MAX
    return ((end - start) << 32) | value


@inline
def mixed_id(first: int, second: int) -> int:
    """Two numbers as one of 64 bits that hardly any other two give."""
    x = wrapping_product(first ^ high_bits(first, 31), -4658895280553007687)
    x = wrapping_product((x ^ high_bits(x, 29)) + second, -7723592293110705685)
    return x ^ high_bits(x, 32)


@inline
def text_id(start: Address, stop: Address) -> int:
    """A text as an id of 64 bits (FNV-1a); 0 for an empty one."""
    if stop <= start:
        return 0
    value = _FNV64_START
    for p in range(start, stop):
        value = wrapping_product(value ^ load_u8(p), _FNV64_PRIME)
    return value


# ---- the fields of an object


@inline
def _note_field(s: Any, key: int, start: Address, stop: Address, parent: int) -> None:
    at = s.fields + s.field_count * FIELD_BYTES
    store_i64(at, key)
    store_i64(at + 8, start)
    store_i64(at + 16, stop)
    store_i64(at + 24, parent)
    s.field_count += 1


@inline
def read_fields(s: Any, p: Address, end: Address) -> Address:
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
            store_i64(s.fields + parent * FIELD_BYTES + 16, p)
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
def field(s: Any, key: int, parent: int) -> int:
    """The number of the field of that key in the object `parent` (-1: the outer one); -1 if there is none."""
    for number in range(s.field_count - 1, -1, -1):
        at = s.fields + number * FIELD_BYTES
        if load_i64(at) == key and load_i64(at + 24) == parent:
            return number
    return -1


@inline
def value_of(s: Any, number: int) -> tuple[Address, Address]:
    """Where the field's value begins and ends, with its quotes if it has some; zeros without a field (-1)."""
    if number < 0:
        return 0, 0
    at = s.fields + number * FIELD_BYTES
    return load_i64(at + 8), load_i64(at + 16)


@inline
def text_of(s: Any, number: int) -> tuple[Address, Address]:
    """Where the field's value begins and ends, without its quotes if it has some."""
    start, stop = value_of(s, number)
    if load_u8(start) == 34:
        return start + 1, stop - 1
    return start, stop


@inline
def place_of(s: Any, number: int) -> tuple[Address, Address]:
    """As `text_of`; zeros without a field (-1)."""
    if number < 0:
        return 0, 0
    return text_of(s, number)


@inline
def hash_of(s: Any, number: int) -> int:
    """The key of the field's text; 0 without a field (-1)."""
    start, stop = place_of(s, number)
    return hashed(start, stop) if start else 0


@inline
def integer_of(s: Any, number: int) -> int:
    """The field as an integer; -1 where it is missing or is not one."""
    if number < 0:
        return -1
    start, stop = text_of(s, number)
    return integer(start, stop)


@inline
def number_of(s: Any, number: int) -> tuple[float, bool]:
    """The field as a double, and whether it is one."""
    if number < 0:
        return 0.0, False
    start, stop = text_of(s, number)
    value, behind = decimal(start, stop)
    return value, behind == stop and behind != 0


@inline
def flag_of(s: Any, number: int) -> int:
    """1 for the field `true`, 0 for `false`, -1 where it is missing or is neither."""
    if number < 0:
        return -1
    start, stop = value_of(s, number)
    size, first = stop - start, load_u8(start)
    return 1 if size == 4 and first == 116 else 0 if size == 5 and first == 102 else -1


# ---- arrays


@inline
def first_item(p: Address, end: Address) -> Address:
    """The address of the first item of the array at `p`, or of the bracket that closes it; 0 where there is none."""
    if p >= end or load_u8(p) != 91:
        return 0
    p = skip_blanks(p + 1, end)
    return p if p < end else 0


@inline
def next_item(p: Address, end: Address) -> Address:
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
def is_item(p: Address) -> bool:
    """Whether there is one more item at `p`, as `first_item` and `next_item` give it."""
    return p != 0 and load_u8(p) != 93


@inline
def is_array_end(p: Address, end: Address) -> bool:
    """Whether the array closes at `p`, with nothing behind it."""
    return p != 0 and load_u8(p) == 93 and skip_blanks(p + 1, end) == end


@inline
def read_item(s: Any, p: Address, end: Address) -> Address:
    """Note the fields of the object at `p`; returns the address behind it, 0 where it is not one."""
    return read_fields(s, p, end) if load_u8(p) == 123 else 0
