"""Whether the best point stands on a plateau or on a spike: the points one step of a parameter away."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec


class Neighbours(msgspec.Struct, frozen=True, kw_only=True):
    """The points around the best one.

    Attributes:
        points: Their numbers.
        lowest: The lowest of their figures.
        median: Their median.
        is_plateau: Whether the best is above 0, and the median at least half of it: a rule of thumb.
    """

    points: list[int]
    lowest: float
    median: float
    is_plateau: bool


def neighbours(parameters: Sequence[Mapping[str, Any]], figures: Sequence[float]) -> Neighbours | None:
    """The points of a grid that are one step of one number away from the best.

    Args:
        parameters: Of all points of the grid.
        figures: Theirs; the highest is the best.

    Returns:
        None without a grid, as with random points.
    """
    if not parameters:
        return None
    at = {tuple(one.values()): number for number, one in enumerate(parameters)}
    best = max(range(len(figures)), key=lambda number: figures[number])
    own = list(parameters[best].values())
    found: list[int] = []
    for place, value in enumerate(own):
        if isinstance(value, bool | str):
            continue
        values = sorted({list(one.values())[place] for one in parameters})
        index = values.index(value)
        for other in (index - 1, index + 1):
            if 0 <= other < len(values):
                number = at.get((*own[:place], values[other], *own[place + 1 :]))
                if number is not None:
                    found.append(number)
    if not found:
        return None
    ordered = sorted(figures[number] for number in found)
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2.0
    return Neighbours(
        points=sorted(found),
        lowest=ordered[0],
        median=median,
        is_plateau=figures[best] > 0.0 and median >= figures[best] / 2.0,
    )
