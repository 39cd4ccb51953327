"""Prices and quantities as whole numbers of their step, to and from the exchange's decimal text, without rounding."""

import re
from decimal import Decimal
from fractions import Fraction
from typing import Final

DIGITS_MAX: Final = 28
"""A longer number is nonsense and refused before anything is computed with it."""
COUNT_MAX: Final = 2**63 - 1

_NUMBER: Final = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]{1,2}))?", re.ASCII)


class NumberError(ValueError):
    """A text that is not a number, or no whole number of steps."""


class OffGridError(NumberError):
    """A number that is not a whole number of steps."""


class Step:
    """A price step (tick) or a quantity step (lot).

    Args:
        size: The step, above 0, such as ``Decimal("0.10")``.
    """

    __slots__ = ("_digits", "_units", "size")

    def __init__(self, size: Decimal) -> None:
        if (
            not size.is_finite()
            or size <= 0
            or len(size.as_tuple().digits) > DIGITS_MAX
            or abs(size.adjusted()) > DIGITS_MAX
        ):
            raise NumberError(f"{size} is not a step")
        self.size = size
        normal = size.normalize()
        # The step is `units` in the last of so many decimal digits: 0.25 is 25 at 2 digits, 10 is 10 at none.
        self._digits = max(0, -int(normal.as_tuple().exponent))
        self._units = int(normal.scaleb(self._digits))

    def text(self, count: int) -> str:
        """So many steps as the shortest plain decimal text with the step's digits, such as ``"43187.0"``."""
        units = count * self._units
        digits = self._digits
        if not digits:
            return str(units)
        if units < 0:
            return "-" + self.text(-count)
        text = str(units)
        if len(text) <= digits:
            text = text.zfill(digits + 1)
        return f"{text[:-digits]}.{text[-digits:]}"

    def count(self, text: str) -> int:
        """How many steps a decimal text is.

        Raises:
            NumberError: It is not a number, no whole number of steps, or beyond 64 bits.
        """
        whole, dot, fraction = text.partition(".")
        missing = self._digits - len(fraction)
        # The usual spelling, in a third of the time.
        if whole.isdigit() and (fraction.isdigit() or not dot) and text.isascii() and len(text) <= DIGITS_MAX:
            units = int(whole + fraction)
            if missing > 0:
                units *= 10**missing
            count, rest = divmod(units, self._units if missing >= 0 else self._units * 10**-missing)
            if not rest and count <= COUNT_MAX:
                return count
        return self._count_of(text)

    def _count_of(self, text: str) -> int:
        """The other spellings: negative, with an exponent; and what is wrong with the others."""
        match = _NUMBER.fullmatch(text) if len(text) <= DIGITS_MAX else None
        if match is None:
            raise NumberError(f"{text[:DIGITS_MAX]!r} is not a number")
        sign, whole, fraction, exponent = match.groups()
        fraction = fraction or ""
        digits = int(whole + fraction)
        shift = self._digits - len(fraction) + (int(exponent) if exponent else 0)
        if shift >= 0:
            count, rest = divmod(digits * 10**shift, self._units)
        else:
            count, rest = divmod(digits, self._units * 10**-shift)
        if rest:
            raise OffGridError(f"{text} is not a whole number of {self.size}")
        if count > COUNT_MAX:
            raise NumberError(f"{text} is too large")
        return -count if sign else count

    def nearest(self, text: str) -> int:
        """The number of steps that is nearest to a decimal text; of two, the even one.

        Raises:
            NumberError: It is not a number, or beyond 64 bits.
        """
        count = round(Fraction(decimal_of(text)) / Fraction(self.size))
        if abs(count) > COUNT_MAX:
            raise NumberError(f"{text} is too large")
        return count

    def __repr__(self) -> str:
        return f"Step({self.size})"


def finest_tick(decimals_max: int) -> Decimal:
    """The tick where prices are limited by significant figures (`Instrument.price_figures`) and by decimals.

    It is the one of the smallest prices; larger ones leave some of its multiples out.
    """
    return Decimal(1).scaleb(-max(0, decimals_max))


def decimal_of(text: str) -> Decimal:
    """A decimal text as it is.

    Raises:
        NumberError: It is no finite number of a sensible size.
    """
    if len(text) > DIGITS_MAX or not _NUMBER.fullmatch(text):
        raise NumberError(f"{text[:DIGITS_MAX]!r} is not a number")
    return Decimal(text)


def float_of(text: str) -> float:
    """A decimal text as a float, for money and averages that are not on a grid.

    Raises:
        NumberError: It is no finite number of a sensible size.
    """
    return float(decimal_of(text))
