import math
import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hftd.compiled.json_numbers import parse_decimal


def same_bits(a: float, b: float) -> bool:
    return struct.pack("d", a) == struct.pack("d", b)


def decimals() -> st.SearchStrategy[str]:
    digits = st.text("0123456789", max_size=30)
    sign = st.sampled_from(("", "-", "+"))
    exponent = st.one_of(st.just(""), st.integers(-400, 400).map(lambda k: f"e{k}"))
    return st.builds(
        lambda s, whole, point, part, e: f"{s}{whole}{point}{part}{e}",
        sign,
        digits,
        st.sampled_from(("", ".")),
        digits,
        exponent,
    )


@settings(max_examples=2000, deadline=None)
@given(decimals())
@example("9007199254740993")
@example("9007199254740992.0")
@example("0.1")
@example("58710.20")
@example("1e22")
@example("1e23")
@example("2.2250738585072011e-308")
@example("4.9406564584124654e-324")
@example("1.7976931348623157e308")
@example("0.000000000000000000000001")
@example("123456789012345678901234567890")
@example("-0.0")
@example("00000000000000000000000000000000000000000001.5")
@example("8.5e0")
def test_a_decimal_number_is_what_float_makes_of_it_to_the_last_bit(text):
    try:
        expected = float(text)
    except ValueError:
        expected = None
    if expected is not None and not math.isfinite(expected):
        expected = None
    found = parse_decimal(text.encode())
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert same_bits(found, expected)


@settings(max_examples=500, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_double_comes_back_from_its_shortest_text(value):
    found = parse_decimal(repr(value).encode())
    assert found is not None
    assert same_bits(found, value)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=40))
@example(b"")
@example(b".")
@example(b"-")
@example(b"e5")
@example(b"1e")
@example(b"1e+")
@example(b"nan")
@example(b"inf")
@example(b"-Infinity")
@example(b"1_000")
@example(b"0x1p3")
@example(b"1,5")
@example(b" 1")
@example(b"1 ")
@example(b"1.2.3")
@example(b"--1")
@example(b"1\x00")
@example(b"1" * 400)
@example(b"1e999")
def test_what_is_taken_for_a_number_is_one_for_float_too(text):
    found = parse_decimal(text)
    if found is not None:
        assert same_bits(found, float(text))


@pytest.mark.parametrize("text", ["nan", "inf", "1e999", "0x10", "1_0", "", ".", "1,5", " 1"])
def test_no_text_gives_a_price_that_is_not_finite(text):
    assert parse_decimal(text.encode()) is None
