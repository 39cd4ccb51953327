"""Which points a sweep has: values of parameters, all combinations of them, or some at random."""

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np

from hftd.errors import UsageError

MAX_POINTS = 1_000_000

Value = bool | int | float | str
Point = dict[str, Value]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WHOLE = re.compile(r"[+-]?[0-9]+")


@dataclass(frozen=True)
class Axis:
    """A parameter and what it takes.

    Attributes:
        name: The parameter's.
        values: What it takes, in order; of an interval without a step its ends.
        is_interval: Whether it takes any value between the two, so that only chance can choose.
    """

    name: str
    values: tuple[Value, ...]
    is_interval: bool = False


def parse_axis(text: str) -> Axis:
    """An axis from `name=values`: values separated by commas, each a value or a range `first:last:step`, ends included.

    `first:last` without a step is an interval.

    Raises:
        UsageError: It is something else.
    """
    name, equals, values = text.partition("=")
    name = name.strip()
    if not equals or not _NAME.fullmatch(name):
        raise UsageError(
            f"--set {text!r} is not name=values",
            hint="such as --set half_spread_ticks=2:20:2 or --set order_qty=0.01,0.02",
        )
    parts = [part.strip() for part in values.split(",")]
    if not all(parts):
        raise UsageError(f"--set {text!r} has a value that is empty")
    if len(parts) == 1 and parts[0].count(":") == 1:
        ends = tuple(_number(end, text) for end in parts[0].split(":"))
        if ends[1] < ends[0]:
            raise UsageError(f"--set {text!r} goes backwards", hint="the smaller end comes first")
        return Axis(name, ends, is_interval=True)
    found: dict[tuple[type, Value], Value] = {}
    for part in parts:
        for value in _range(part, text) if ":" in part else [_value(part)]:
            found[type(value), value] = value
    kinds = {type(value) for value in found.values()}
    if len(kinds) > 1 and kinds != {int, float}:
        raise UsageError(
            f"--set {text!r} has values of several kinds", hint="numbers, words or true and false"
        )
    if kinds == {int, float}:
        return Axis(name, tuple(dict.fromkeys(float(value) for value in found.values())))
    return Axis(name, tuple(found.values()))


def _value(text: str) -> Value:
    if text in ("true", "false"):
        return text == "true"
    if _WHOLE.fullmatch(text):
        return int(text)
    try:
        number = float(text)
    except ValueError:
        return text
    if not math.isfinite(number):
        raise UsageError(f"{text!r} is not a finite number")
    return number


def _number(text: str, where: str) -> int | float:
    value = _value(text.strip())
    if isinstance(value, bool | str):
        raise UsageError(f"--set {where!r}: {text!r} is not a number")
    return value


def _range(text: str, where: str) -> list[Value]:
    parts = text.split(":")
    if len(parts) != 3:
        raise UsageError(f"--set {where!r}: {text!r} is not a range", hint="a range is first:last:step")
    try:
        # In decimals, so that 0.1:0.3:0.1 ends at 0.3.
        first, last, step = (Decimal(part.strip()) for part in parts)
        is_finite = first.is_finite() and last.is_finite() and step.is_finite()
    except InvalidOperation:
        raise UsageError(f"--set {where!r}: {text!r} is not a range of numbers") from None
    if not is_finite or step == 0 or (last - first) / step < 0:
        raise UsageError(
            f"--set {where!r}: {text!r} has no value", hint="the step must lead from the first to the last"
        )
    count = (last - first) / step
    if count >= MAX_POINTS:
        raise UsageError(f"--set {where!r}: {text!r} has more than {MAX_POINTS:,} values")
    is_whole = all(_WHOLE.fullmatch(part.strip()) for part in parts)
    values = (first + number * step for number in range(int(count) + 1))
    return [int(value) if is_whole else float(value) for value in values]


def _check(axes: Sequence[Axis]) -> None:
    names = [axis.name for axis in axes]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"--set gives {name!r} twice")


def grid(axes: Sequence[Axis]) -> list[Point]:
    """All combinations, the last axis fastest; without an axis the one point of the configuration.

    Raises:
        UsageError: An axis is an interval, or there are too many.
    """
    _check(axes)
    for axis in axes:
        if axis.is_interval:
            raise UsageError(
                f"--set {axis.name} is an interval without a step",
                hint="add a step, as in 2:20:2, or draw them with --random N",
            )
    count = math.prod(len(axis.values) for axis in axes)
    if count > MAX_POINTS:
        raise UsageError(f"the grid has {count:,} points, more than {MAX_POINTS:,}", hint="try --random N")
    return [
        dict(zip((axis.name for axis in axes), values, strict=True))
        for values in itertools.product(*(axis.values for axis in axes))
    ]


def chosen(axes: Sequence[Axis], count: int, seed: int) -> list[Point]:
    """So many random points: each value as likely as the others, of intervals each number.

    Points are told once; a grid that has fewer is taken as a whole.

    Raises:
        UsageError: There is no axis, or there are too many points.
    """
    _check(axes)
    if not axes:
        raise UsageError("--random has nothing to choose from", hint="add --set name=first:last")
    if count > MAX_POINTS:
        raise UsageError(f"{count:,} points are more than {MAX_POINTS:,}")
    if not any(axis.is_interval for axis in axes):
        total = math.prod(len(axis.values) for axis in axes)
        if total <= count:
            return grid(axes)
    rng = np.random.default_rng(seed)
    found: dict[tuple[Value, ...], None] = {}
    # An interval of a few whole numbers may have fewer than are wanted.
    for _ in range(100 * count):
        if len(found) == count:
            break
        found[tuple(_drawn(axis, rng) for axis in axes)] = None
    return [dict(zip((axis.name for axis in axes), values, strict=True)) for values in found]


def _drawn(axis: Axis, rng: Any) -> Value:
    if not axis.is_interval:
        return axis.values[int(rng.integers(len(axis.values)))]
    low, high = axis.values
    if isinstance(low, int) and isinstance(high, int):
        return int(rng.integers(low, high, endpoint=True))
    return float(rng.uniform(float(low), float(high)))  # pyright: ignore[reportArgumentType]
