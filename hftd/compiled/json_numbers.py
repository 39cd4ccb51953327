"""Decimal numbers of exchanges' messages to doubles, in compiled code, equal to the last bit to Python's `float()`.

A number such as `58710.20` is the integer 5871020 divided by 100. Where that integer is at most 2^53 and the
power of ten at most 10^22, both are exact doubles, so one division rounds once and correctly (W. D. Clinger,
"How to read floating point numbers accurately", 1990). All others, which markets hardly send, go through the
C library's `strtod`, which rounds correctly too.

Text is given by its first address and the address behind it. The byte behind the text may be read (a Python
`bytes` always has a zero there).
"""

# pyright: basic
# ruff: noqa: ARG001 (numba calls intrinsics with arguments that they may not need)

import math
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from hftd.compiled.jit import inline, kernel
from hftd.compiled.native import load_u8, store_f64
from hftd.rows import EXACT_MAX, Address

_POWERS: Final = np.array([float(f"1e{power}") for power in range(23)])
_DIGITS_MAX: Final = 18
"""So many decimal digits fit an int64 whatever they are."""


def _strtod_typed(typingctx, address):
    """The C library's `strtod`: the value, and the address behind what it read."""
    pair = types.Tuple((types.float64, types.int64))

    def codegen(context, builder, signature, args):
        pointer = ir.IntType(8).as_pointer()
        function_type = ir.FunctionType(ir.DoubleType(), [pointer, pointer.as_pointer()])
        function = cgutils.get_or_insert_function(builder.module, function_type, "strtod")
        stop = cgutils.alloca_once(builder, pointer)
        value = builder.call(function, [builder.inttoptr(args[0], pointer), stop])
        behind = builder.ptrtoint(builder.load(stop), ir.IntType(64))
        return context.make_tuple(builder, pair, [value, behind])

    return pair(types.int64), codegen


_strtod: Any = intrinsic(_strtod_typed)


@inline
def _exponent(start: Address, end: Address):
    """The address behind `e`, an optional sign and digits at `start`; 0 if that is not what stands there."""
    p = start + 1
    if p < end and (load_u8(p) == 43 or load_u8(p) == 45):
        p += 1
    first = p
    while p < end and 48 <= load_u8(p) <= 57:
        p += 1
    return p if p > first else 0


@inline
def _rounded_by_libc(start: Address, stop: Address):
    value, behind = _strtod(start)
    # Under a locale with a decimal comma strtod stops at the point; an overflow is infinite. Neither is a
    # number.
    if behind != stop or not math.isfinite(value):
        return 0.0, 0
    return value, stop


@inline
def decimal(start: Address, end: Address):
    """Read the number that begins at `start`.

    Digits with an optional sign, point and exponent are a number; `nan`, `inf`, blanks and underscores are
    not.

    Returns:
        The value, and the address behind the number; that address is 0 where there is none.
    """
    p = start
    negative = False
    if p < end:
        sign = load_u8(p)
        negative = sign == 45
        if negative or sign == 43:
            p += 1
    first = p
    mantissa = 0
    while p < end:
        digit = load_u8(p) - 48
        if digit < 0 or digit > 9:
            break
        mantissa = mantissa * 10 + digit
        p += 1
    digits = p - first
    scale = 0
    if p < end and load_u8(p) == 46:
        p += 1
        first = p
        while p < end:
            digit = load_u8(p) - 48
            if digit < 0 or digit > 9:
                break
            mantissa = mantissa * 10 + digit
            p += 1
        scale = p - first
        digits += scale
    if digits == 0:
        return 0.0, 0
    if p < end and (load_u8(p) | 32) == 101:
        p = _exponent(p, end)
        if p == 0:
            return 0.0, 0
        return _rounded_by_libc(start, p)
    if digits > _DIGITS_MAX or mantissa > EXACT_MAX:
        return _rounded_by_libc(start, p)
    value = mantissa / _POWERS[scale]
    return (-value if negative else value), p


@inline
def integer(start: Address, end: Address):
    """The digits from `start` to `end` as an integer; -1 if there are none, other bytes or more than 18."""
    if end <= start or end - start > _DIGITS_MAX:
        return -1
    value = 0
    for p in range(start, end):
        digit = load_u8(p) - 48
        if digit < 0 or digit > 9:
            return -1
        value = value * 10 + digit
    return value


@kernel("int64(int64, int64, int64)")
def _decimal_into(start: Address, end: Address, target: Address) -> int:
    value, stop = decimal(start, end)
    if stop != end or stop == 0:
        return 0
    store_f64(target, value)
    return 1


def parse_decimal(text: bytes) -> float | None:
    """The whole of `text` as a double by the compiled parser; None where it is not a plain decimal number."""
    source = np.frombuffer(text or b"\0", np.uint8)
    target = np.empty(1)
    start = source.ctypes.data
    return float(target[0]) if _decimal_into.call(start, start + len(text), target.ctypes.data) else None
