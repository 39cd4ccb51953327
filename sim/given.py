"""What a user's script gives, checked where it is given: an error says what is wrong, not what came of it."""

from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from hftd.errors import DataError, OrderError

_Model = TypeVar("_Model")
_MAX_WHOLE = 1 << 63


def number(given: Any, what: str) -> float:
    """A number, which may still be one that makes no sense there.

    Raises:
        OrderError: The value is not valid.
    """
    if not isinstance(given, int | float | np.number | np.bool_):
        raise OrderError(f"{what} is {given!r}, but must be a number")
    return float(given)


def finite(given: Any, what: str) -> float:
    """A number that is neither infinite nor NaN.

    Raises:
        OrderError: The value is not valid.
    """
    value = number(given, what)
    if not np.isfinite(value):
        raise OrderError(f"{what} is {given!r}, but must be a number")
    return value


def positive(given: Any, what: str) -> float:
    """A finite number above 0.

    Raises:
        OrderError: The value is not valid.
    """
    value = number(given, what)
    if not (value > 0.0 and np.isfinite(value)):
        raise OrderError(f"{what} is {given!r}, but must be a positive number")
    return value


def whole(given: Any, what: str, below: int = _MAX_WHOLE) -> int:
    """A whole number whose amount is below a bound; a fraction is cut.

    Raises:
        OrderError: The value is not valid.
    """
    if not abs(number(given, what)) < below:
        raise OrderError(f"{what} is {given!r}", hint=f"it must be below {below:,}")
    return int(given)


def source(given: Any, what: str) -> Any:
    """A file's name or an array, whose rows are looked at later.

    Raises:
        DataError: It is neither.
    """
    if not isinstance(given, (str, Path, np.ndarray)):
        raise DataError(f"{what} is {type(given).__name__}, but must be a file name or an array")
    return given


def model(given: Any, kind: type[_Model]) -> _Model:
    """A custom model.

    Raises:
        OrderError: It is of another class.
    """
    if not isinstance(given, kind):
        raise OrderError(
            f"the model is {type(given).__name__}, but must be a {kind.__name__}",
            hint=f"put the functions and the state into a sim.{kind.__name__}",
        )
    return given
