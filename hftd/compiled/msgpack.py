"""Msgpack in compiled code: what of it the channel uses, both ways.

Readers take an address and the address after the last byte that may be read, and return the value and the
address after it, or 0 for that address if the bytes are no value of that type or are cut off. They accept
every width that msgpack allows for a type. Writers give the shortest form, byte for byte what msgspec gives.
The format is https://github.com/msgpack/msgpack/blob/master/spec.md; its numbers are big-endian.

Order ids are uint64 and stay in int64 bit patterns here (int64 mixed with uint64 is float64 in Numba), so
there are two readers and two writers of integers: signed and unsigned.
"""

# ruff: noqa: ARG001 (the signatures are numba's)
# pyright: basic, reportCallIssue=false, reportArgumentType=false

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from hftd.compiled.jit import inline
from hftd.compiled.native import copy_bytes, load_i64, load_u8, load_u32, store_i64, store_u8, store_u32
from hftd.rows import Address

_I32 = ir.IntType(32)
_I64 = ir.IntType(64)


def _convert(name, argument, result, code):
    def typed(typingctx, value):
        def codegen(context, builder, signature, args):
            return code(builder, args[0])

        return result(argument), codegen

    typed.__name__ = name
    return intrinsic(typed)


swap_i64 = _convert("swap_i64", types.int64, types.int64, lambda b, v: b.bswap(v))
"""The int64 with its bytes in the opposite order."""
float_of_bits = _convert(
    "float_of_bits", types.int64, types.float64, lambda b, v: b.bitcast(v, ir.DoubleType())
)
"""The float64 that has these bits."""
bits_of_float = _convert("bits_of_float", types.float64, types.int64, lambda b, v: b.bitcast(v, _I64))
"""The bits of a float64."""
float_of_bits32 = _convert(
    "float_of_bits32",
    types.int64,
    types.float64,
    lambda b, v: b.fpext(b.bitcast(b.trunc(v, _I32), ir.FloatType()), ir.DoubleType()),
)
"""The float64 of the float32 whose bits are the lower half."""
float_of_unsigned = _convert(
    "float_of_unsigned", types.int64, types.float64, lambda b, v: b.uitofp(v, ir.DoubleType())
)
"""The float64 nearest to the bits taken as a uint64."""


@inline
def load_big(address: Address, width: int):
    """The unsigned big-endian integer of 1, 2, 4 or 8 bytes."""
    if width == 8:
        return swap_i64(load_i64(address))
    if width == 4:
        return (swap_i64(load_u32(address)) >> 32) & 0xFFFFFFFF
    if width == 2:
        return (load_u8(address) << 8) | load_u8(address + 1)
    return load_u8(address)


@inline
def store_big(address, value, width):
    """Store the lowest 1, 2, 4 or 8 bytes of an integer, the highest first."""
    if width == 8:
        store_i64(address, swap_i64(value))
    elif width == 4:
        store_u32(address, swap_i64(value << 32))
    elif width == 2:
        store_u8(address, value >> 8)
        store_u8(address + 1, value)
    else:
        store_u8(address, value)


@inline
def _read_integer(address: Address, end: Address):
    """(bits, whether they are a uint64 of 2**63 or more, address after) of an integer of any width."""
    if address >= end:
        return 0, False, 0
    head = load_u8(address)
    if head <= 0x7F:
        return head, False, address + 1
    if head >= 0xE0:
        return head - 256, False, address + 1
    if 0xCC <= head <= 0xCF:
        width = 1 << (head - 0xCC)
        after = address + 1 + width
        if after > end:
            return 0, False, 0
        value = load_big(address + 1, width)
        return value, value < 0, after
    if 0xD0 <= head <= 0xD3:
        width = 1 << (head - 0xD0)
        after = address + 1 + width
        if after > end:
            return 0, False, 0
        value = load_big(address + 1, width)
        shift = 64 - 8 * width
        return (value << shift) >> shift, False, after
    return 0, False, 0


@inline
def read_int(address: Address, end: Address):
    """(value, address after) of an integer that fits in an int64; 0 for the address if there is none."""
    value, huge, after = _read_integer(address, end)
    if huge:
        return 0, 0
    return value, after


@inline
def read_uint(address: Address, end: Address):
    """(bits, address after) of an integer that fits in a uint64; 0 for the address if there is none."""
    value, huge, after = _read_integer(address, end)
    if value < 0 and not huge:
        return 0, 0
    return value, after


@inline
def read_float(address: Address, end: Address):
    """(value, address after) of a float of either width or an integer; 0 for the address if there is none."""
    if address >= end:
        return 0.0, 0
    head = load_u8(address)
    if head == 0xCB:
        if address + 9 > end:
            return 0.0, 0
        return float_of_bits(load_big(address + 1, 8)), address + 9
    if head == 0xCA:
        if address + 5 > end:
            return 0.0, 0
        return float_of_bits32(load_big(address + 1, 4)), address + 5
    value, huge, after = _read_integer(address, end)
    if huge:
        return float_of_unsigned(value), after
    return float(value), after


@inline
def read_bool(address: Address, end: Address):
    """(0 or 1, address after) of a boolean; 0 for the address if there is none."""
    if address >= end:
        return 0, 0
    head = load_u8(address)
    if head == 0xC2 or head == 0xC3:
        return head - 0xC2, address + 1
    return 0, 0


@inline
def read_nil(address: Address, end: Address):
    """The address after a nil, or 0."""
    if address < end and load_u8(address) == 0xC0:
        return address + 1
    return 0


@inline
def read_bin(address: Address, end: Address):
    """(address of the bytes, their number, address after) of a bin; 0 for the last if there is none."""
    if address >= end:
        return 0, 0, 0
    head = load_u8(address)
    if head < 0xC4 or head > 0xC6:
        return 0, 0, 0
    width = 1 << (head - 0xC4)
    start = address + 1 + width
    if start > end:
        return 0, 0, 0
    length = load_big(address + 1, width)
    if length > end - start:
        return 0, 0, 0
    return start, length, start + length


@inline
def read_array(address: Address, end: Address):
    """(number of elements, address of the first) of an array; 0 for the address if there is none."""
    if address >= end:
        return 0, 0
    head = load_u8(address)
    if 0x90 <= head <= 0x9F:
        return head - 0x90, address + 1
    if head == 0xDC or head == 0xDD:
        width = 2 << (head - 0xDC)
        if address + 1 + width > end:
            return 0, 0
        return load_big(address + 1, width), address + 1 + width
    return 0, 0


@inline
def _write_unsigned(address, value):
    """For a value of at least 128 in its signed or unsigned reading."""
    if value < 0 or value > 0xFFFFFFFF:
        store_u8(address, 0xCF)
        store_big(address + 1, value, 8)
        return address + 9
    if value > 0xFFFF:
        store_u8(address, 0xCE)
        store_big(address + 1, value, 4)
        return address + 5
    if value > 0xFF:
        store_u8(address, 0xCD)
        store_big(address + 1, value, 2)
        return address + 3
    store_u8(address, 0xCC)
    store_u8(address + 1, value)
    return address + 2


@inline
def write_int(address, value):
    """Write an int64 (at most 9 bytes); returns the address after it."""
    if -32 <= value <= 127:
        store_u8(address, value)
        return address + 1
    if value > 0:
        return _write_unsigned(address, value)
    if value >= -0x80:
        store_u8(address, 0xD0)
        store_u8(address + 1, value)
        return address + 2
    if value >= -0x8000:
        store_u8(address, 0xD1)
        store_big(address + 1, value, 2)
        return address + 3
    if value >= -0x80000000:
        store_u8(address, 0xD2)
        store_big(address + 1, value, 4)
        return address + 5
    store_u8(address, 0xD3)
    store_big(address + 1, value, 8)
    return address + 9


@inline
def write_uint(address, value):
    """Write the bits of an int64 as a uint64 (at most 9 bytes); returns the address after it."""
    if 0 <= value <= 127:
        store_u8(address, value)
        return address + 1
    return _write_unsigned(address, value)


@inline
def write_float(address, value):
    """Write a float64 (9 bytes); returns the address after it."""
    store_u8(address, 0xCB)
    store_big(address + 1, bits_of_float(value), 8)
    return address + 9


@inline
def write_bool(address, value):
    """Write a boolean; returns the address after it."""
    store_u8(address, 0xC3 if value else 0xC2)
    return address + 1


@inline
def write_nil(address: Address):
    """Write a nil; returns the address after it."""
    store_u8(address, 0xC0)
    return address + 1


@inline
def bin_header_size(length: int):
    """The bytes before a bin of that length."""
    if length <= 0xFF:
        return 2
    if length <= 0xFFFF:
        return 3
    return 5


@inline
def write_bin_header(address: Address, length: int):
    """Write what stands before a bin's bytes; returns the address for them."""
    size = bin_header_size(length)
    store_u8(address, 0xC4 if size == 2 else (0xC5 if size == 3 else 0xC6))
    store_big(address + 1, length, size - 1)
    return address + size


@inline
def write_bin(address: Address, source: Address, length: int):
    """Write bytes from another place; returns the address after them."""
    start = write_bin_header(address, length)
    copy_bytes(start, source, length)
    return start + length


@inline
def write_array(address: Address, count: int):
    """Begin an array of fewer than 65,536 elements; returns the address for the first."""
    if count <= 15:
        store_u8(address, 0x90 | count)
        return address + 1
    store_u8(address, 0xDC)
    store_big(address + 1, count, 2)
    return address + 3


@inline
def int_size(value):
    """The bytes that `write_int` takes for it."""
    if -32 <= value <= 127:
        return 1
    if value < 0:
        if value >= -0x80:
            return 2
        if value >= -0x8000:
            return 3
        return 5 if value >= -0x80000000 else 9
    if value <= 0xFF:
        return 2
    if value <= 0xFFFF:
        return 3
    return 5 if value <= 0xFFFFFFFF else 9
