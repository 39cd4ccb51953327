"""Prices, quantities and money as integers, and as the exchange writes them.

A price is a number of ticks, a quantity a number of lots, money a number of 1e-8 of the quote currency. Nothing here
is ever a rounded float: what the exchange says is what it holds.
"""

import re
from decimal import Decimal
from typing import Final

MONEY_DIGITS: Final = 8
MONEY: Final = 10**MONEY_DIGITS
RATE: Final = 10**8
"""Fee rates are in 1e-8 too."""

_NUMBER: Final = re.compile(r"([0-9]{1,20})(?:\.([0-9]{1,20}))?")


class BadNumberError(ValueError):
    """A text that is no number."""


class PrecisionError(ValueError):
    """A number with more digits than there are."""


def parse(text: str, digits: int) -> int:
    """A decimal number in units of its last digit: `parse("1.5", 3)` is 1500.

    Raises:
        BadNumberError: It is none, or negative.
        PrecisionError: It has more digits behind the point.
    """
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise BadNumberError(text)
    fraction = (found[2] or "").rstrip("0")
    if len(fraction) > digits:
        raise PrecisionError(text)
    return int(found[1]) * 10**digits + int(fraction.ljust(digits, "0") or 0)


def show(value: int, digits: int) -> str:
    """The text of a number in units of its last digit: `show(1500, 3)` is 1.500."""
    if digits == 0:
        return str(value)
    sign = "-" if value < 0 else ""
    whole, fraction = divmod(abs(value), 10**digits)
    return f"{sign}{whole}.{fraction:0{digits}d}"


def show_money(value: int) -> str:
    """Money as text."""
    return show(value, MONEY_DIGITS)


def units_of(step: str) -> tuple[int, int]:
    """A step such as "0.10" as its digits behind the point and its size in units of the last: (2, 10)."""
    digits = len(step.partition(".")[2])
    return digits, parse(step, digits)


def rate_of(text: str) -> int:
    """A fee rate such as "-0.00005" in 1e-8."""
    scaled = Decimal(text) * RATE
    if scaled != int(scaled):
        raise PrecisionError(text)
    return int(scaled)


def divide(numerator: int, denominator: int) -> int:
    """The nearest whole number, a half upwards; the denominator is positive."""
    return (2 * numerator + denominator) // (2 * denominator)
