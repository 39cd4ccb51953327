"""What a strategy says of its parameters: the type by the default, the range by an annotation.

::

    def quote(hbt, half_spread_ticks: Annotated[float, Range(gt=0)] = 8.0, levels: Annotated[int, Range(ge=1)] = 5):
"""

from collections.abc import Callable
from typing import Annotated, Any, TypeAlias, get_args, get_origin

import msgspec
import numpy as np
from numpy.typing import NDArray

from hftd.errors import StrategyError

Range: TypeAlias = msgspec.Meta
"""A range in an annotation: `gt`, `ge`, `lt`, `le`."""


class ParameterChange(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters that were set while a strategy ran, all at one step.

    Attributes:
        ns: When the strategy took them over, by its clock; -1: it did not, until it ended.
        values: The new ones by name.
        before: What they were.
        uid: The user who set them, as the kernel said; -1: they were given with the run.
        pid: The process.
    """

    ns: int
    values: dict[str, bool | int | float]
    before: dict[str, bool | int | float] = {}
    uid: int = -1
    pid: int = 0

    def told(self) -> str:
        """In words, such as "2026-12-03 06:12:20.3 half_spread_ticks 8 -> 3 (user 1000)"."""
        at = str(np.datetime64(self.ns, "ns"))[:21] if self.ns >= 0 else "never taken over"
        what = ", ".join(
            f"{name} {self.before.get(name, '?')} -> {value}" for name, value in self.values.items()
        )
        return f"{at.replace('T', ' ')} {what}" + (f" (user {self.uid})" if self.uid >= 0 else "")


_SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def ranges_of(function: Callable[..., Any], where: str) -> dict[str, Any]:
    """By argument the annotation, of those that state a range.

    Raises:
        StrategyError: One can't be understood.
    """
    found: dict[str, Any] = {}
    for name, hint in function.__annotations__.items():
        if isinstance(hint, str):
            if "Annotated" not in hint:
                continue
            try:
                hint = eval(hint, function.__globals__)  # noqa: S307 (the strategy's own line)
            except Exception as error:
                raise StrategyError(
                    f"the annotation of {name!r} can't be understood: {type(error).__name__}: {error}",
                    where=where,
                ) from None
        if get_origin(hint) is Annotated and _metas(hint):
            found[name] = hint
    return found


def _metas(hint: Any) -> list[msgspec.Meta]:
    return [one for one in get_args(hint)[1:] if isinstance(one, msgspec.Meta)]


def range_text(hint: Any) -> str:
    """A range in words: "> 0", ">= 1, <= 20"; empty without one."""
    parts = [
        f"{sign} {bound:g}"
        for meta in (_metas(hint) if hint is not None else [])
        for name, sign in _SIGNS.items()
        if (bound := getattr(meta, name)) is not None
    ]
    return ", ".join(parts)


def check_range(name: str, value: Any, hint: Any, where: str) -> None:
    """Raise if a value is not in its range.

    Raises:
        StrategyError: It is not.
    """
    try:
        msgspec.convert(value, hint)
    except msgspec.ValidationError:
        raise StrategyError(
            f"the parameter {name!r} is {value!r}, but must be {range_text(hint)}", where=where
        ) from None


def as_parameter(value: Any, default: Any, name: str, where: str) -> Any:
    """A parameter as compiled code takes it: lists become arrays, and numbers take the default's type.

    Raises:
        StrategyError: It is of another type than the default.
    """
    if isinstance(value, list) and not isinstance(default, (bool, int, float, str)):
        try:
            array: NDArray[Any] = np.asarray(value)  # pyright: ignore[reportUnknownArgumentType]
        except ValueError:
            raise StrategyError(f"the parameter {name!r} has lists of several lengths", where=where) from None
        if array.dtype.kind not in "bif":
            raise StrategyError(f"the parameter {name!r} is a list of other things than numbers", where=where)
        return array
    if isinstance(default, float):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise StrategyError(f"the parameter {name!r} is {value!r}, but must be a number", where=where)
        return float(value)
    is_whole = isinstance(default, int) and not isinstance(default, bool)
    if is_whole and (isinstance(value, bool) or not isinstance(value, int)):
        if isinstance(value, float) and value.is_integer():
            return int(value)
        raise StrategyError(f"the parameter {name!r} is {value!r}, but must be a whole number", where=where)
    if isinstance(default, bool) and not isinstance(value, bool):
        raise StrategyError(f"the parameter {name!r} is {value!r}, but must be true or false", where=where)
    if isinstance(default, str) and not isinstance(value, str):
        raise StrategyError(f"the parameter {name!r} is {value!r}, but must be a text", where=where)
    return value  # pyright: ignore[reportUnknownVariableType]
