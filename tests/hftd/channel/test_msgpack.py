"""The compiled msgpack and msgspec agree, both ways."""

import struct

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hftd.channel.programs import (
    ARRAY,
    BIN,
    BOOL,
    FLOAT,
    INT,
    NIL,
    UINT,
    Arena,
    read_value,
    write_value,
)

ARENA = Arena()
OUT = np.zeros(2, np.int64)
encode = msgspec.msgpack.encode
ints = st.integers(-(2**63), 2**63 - 1) | st.sampled_from(
    [
        sign * (1 << bits) + near
        for bits in (5, 7, 8, 15, 16, 31, 32, 62)
        for sign in (1, -1)
        for near in (-1, 0, 1)
    ]
)
uints = st.integers(0, 2**64 - 1) | st.sampled_from([2**63 - 1, 2**63, 2**64 - 1])
floats = st.floats(allow_nan=True)


def signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def bits(value: float) -> int:
    return struct.unpack("q", struct.pack("d", value))[0]


def read(kind: int, data: bytes) -> int | None:
    """The value's bits if the bytes are one value of the kind, else None."""
    start = ARENA.place(data)
    after = read_value(kind, start, ARENA.end, OUT.ctypes.data)
    if after == 0:
        return None
    assert after == ARENA.end
    return int(OUT[0])


def write(kind: int, value: int, length: int = 0) -> bytes:
    after = write_value(kind, ARENA.start, value, length)
    assert after > 0
    return ARENA.read(ARENA.start, after - ARENA.start)


def widths(value: int) -> list[bytes]:
    """All forms in which msgpack may write an integer."""
    forms = []
    if 0 <= value <= 127 or -32 <= value < 0:
        forms.append(struct.pack(">B", value & 0xFF))
    for code, format_ in ((0xCC, ">B"), (0xCD, ">H"), (0xCE, ">I"), (0xCF, ">Q")):
        if 0 <= value < 1 << 8 * struct.calcsize(format_):
            forms.append(bytes([code]) + struct.pack(format_, value))
    for code, format_ in ((0xD0, ">b"), (0xD1, ">h"), (0xD2, ">i"), (0xD3, ">q")):
        half = 1 << 8 * struct.calcsize(format_) - 1
        if -half <= value < half:
            forms.append(bytes([code]) + struct.pack(format_, value))
    return forms


@given(ints)
def test_an_int_is_read_in_every_width_and_written_as_msgspec_writes_it(value: int):
    assert write(INT, value) == encode(value)
    for form in widths(value):
        assert msgspec.msgpack.decode(form) == value
        assert read(INT, form) == value


@given(uints)
def test_an_order_id_above_the_signed_range_survives(value: int):
    assert write(UINT, signed(value)) == encode(value)
    for form in widths(value):
        assert read(UINT, form) == signed(value)
    assert (read(INT, encode(value)) is None) == (value >= 2**63)


@given(st.integers(-(2**63), -1))
def test_a_negative_number_is_no_order_id(value: int):
    assert all(read(UINT, form) is None for form in widths(value))


@given(floats)
def test_a_float_keeps_its_bits(value: float):
    assert write(FLOAT, bits(value)) == encode(value)
    assert read(FLOAT, encode(value)) == bits(value)


@given(st.floats(width=32, allow_nan=False))
def test_a_narrow_float_is_widened(value: float):
    assert read(FLOAT, b"\xca" + struct.pack(">f", value)) == bits(value)


@given(ints | uints)
def test_an_integer_is_taken_where_a_float_is_expected(value: int):
    for form in widths(value):
        assert read(FLOAT, form) == bits(msgspec.msgpack.decode(form, type=float))


@settings(max_examples=50)
@given(st.binary(max_size=300) | st.integers(65_500, 65_600).map(bytes))
def test_bytes_are_read_and_written_with_each_of_the_three_headers(data: bytes):
    source = np.frombuffer(data or b"\0", np.uint8)
    assert write(BIN, source.ctypes.data, len(data)) == encode(data)
    for code, format_ in ((0xC4, ">B"), (0xC5, ">H"), (0xC6, ">I")):
        if len(data) < 1 << 8 * struct.calcsize(format_):
            form = bytes([code]) + struct.pack(format_, len(data)) + data
            address = read(BIN, form)
            assert address is not None
            assert ARENA.read(address, int(OUT[1])) == data


@pytest.mark.parametrize("value", [False, True])
def test_booleans_and_nil_agree(value: bool):
    assert write(BOOL, value) == encode(value)
    assert read(BOOL, encode(value)) == value
    assert write(NIL, 0) == encode(None)
    assert read(NIL, encode(None)) is not None
    assert read(NIL, encode(value)) is None
    assert read(BOOL, encode(None)) is None


@given(st.integers(0, 65_535))
def test_an_array_begins_as_msgspec_begins_it(count: int):
    header = write(ARRAY, count)
    assert encode([None] * count).startswith(header)
    assert read(ARRAY, header) == count
    assert read(ARRAY, b"\xdd" + struct.pack(">I", count)) == count


@given(st.binary(max_size=12))
def test_any_bytes_are_a_value_of_the_kind_or_malformed_and_nothing_after_them_is_read(data: bytes):
    kinds = {INT: int, UINT: int, FLOAT: float, BOOL: bool, NIL: type(None), BIN: bytes}
    for kind, expected in kinds.items():
        start = ARENA.place(data)
        after = read_value(kind, start, ARENA.end, OUT.ctypes.data)
        if after:
            assert start < after <= ARENA.end
            value = msgspec.msgpack.decode(data[: after - start], type=expected)
            if kind == FLOAT:
                assert bits(value) == OUT[0] or value != value
            elif kind in (INT, UINT, BOOL):
                assert signed(value) == OUT[0]
    after = read_value(ARRAY, ARENA.place(data), ARENA.end, OUT.ctypes.data)
    assert after == 0 or after <= ARENA.end
