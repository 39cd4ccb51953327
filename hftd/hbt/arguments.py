"""What a plain Python strategy passes, checked where it arrives: compiled code takes numbers only, of 64 bits.

What does not fit is an error that names the argument. Numbers that make no sense there (a NaN price, an asset that is
not there) are left to the code that gives compiled strategies a code for them.
"""

from typing import Any

import numpy as np

from hftd.errors import OrderError

_LOWEST, _HIGHEST = -(1 << 63), (1 << 63) - 1
_HIGHEST_ID = (1 << 64) - 1
_NUMBERS = (int, float, np.number, np.bool_)


def number(given: Any, what: str) -> float:
    """A float64, which may be NaN or infinite.

    Raises:
        OrderError: The text is not a number.
    """
    value: Any = given
    if not isinstance(given, _NUMBERS) or isinstance(given, np.complexfloating):
        raise OrderError(f"{what} is {value!r}, but must be a number")
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def whole(given: Any, what: str, highest: int = _HIGHEST) -> int:
    """An int64, or up to another bound; a fraction is cut, as compiled code does.

    Raises:
        OrderError: It is not a number, or does not fit.
    """
    value = number(given, what)
    if value != value or abs(value) == float("inf") or not _LOWEST <= int(given) <= highest:
        raise OrderError(
            f"{what} is {given!r}", hint=f"it must be a whole number from {_LOWEST} to {highest}"
        )
    return int(given)


def order_id(given: Any) -> int:
    """An order id as the int64 with the same bits.

    Raises:
        OrderError: It is not a number of 64 bits.
    """
    value = whole(given, "the order id", _HIGHEST_ID)
    return value - (1 << 64) if value > _HIGHEST else value


def flag(given: Any, what: str) -> int:
    """A truth value, 0 or 1.

    Raises:
        OrderError: It is neither a truth value nor a number.
    """
    return int(bool(number(given, what)))


def duration_ns(given: Any, what: str) -> int:
    """A duration, held within an int64, so that a greater one does not turn negative; NaN becomes a negative one."""
    value = number(given, what)
    if not _LOWEST < value < _HIGHEST:
        return _HIGHEST if value > 0 else _LOWEST
    return max(min(int(given), _HIGHEST), _LOWEST)
