"""Fewer points for drawing: the lowest and the highest of each pixel's worth of time, so that no spike is lost."""

# pyright: basic

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

BUCKETS: Final = 900
"""About the pixels of a plot's width on a desktop."""
MARKERS_MAX: Final = 3000
"""Of more executions, every n-th is drawn, and the plot says so."""


def chosen(
    times: NDArray[np.int64], columns: Sequence[NDArray[Any]], buckets: int = BUCKETS
) -> NDArray[np.int64]:
    """The indices of the rows to draw.

    Args:
        times: Sorted.
        columns: The curves that share the times; in each bucket of time the lowest and the highest row of each of
            them are kept, the first row and the last one of all.
        buckets: How many of equal length the span is divided in.

    Returns:
        Sorted indices; all of them where there are few.
    """
    count = len(times)
    if count <= buckets * 2:
        return np.arange(count)
    span = int(times[-1] - times[0])
    if span <= 0:
        return np.unique(np.linspace(0, count - 1, buckets).astype(np.int64))
    # Python's integers: a span of years in ns times the number of buckets does not fit.
    width = max(1, -(-(span + 1) // buckets))
    bucket = (times - times[0]) // width
    first = np.flatnonzero(np.concatenate(([True], bucket[1:] != bucket[:-1])))
    kept = [np.array([0, count - 1])]
    for column in columns:
        values = np.asarray(column, np.float64)
        low, high = np.where(np.isnan(values), np.inf, values), np.where(np.isnan(values), -np.inf, values)
        for extreme, filled in ((np.minimum, low), (np.maximum, high)):
            best = np.repeat(extreme.reduceat(filled, first), np.diff([*first, count]))
            hits = np.flatnonzero(filled == best)
            # One of each bucket is enough.
            of = bucket[hits]
            kept.append(hits[np.concatenate(([True], of[1:] != of[:-1]))] if len(hits) else hits)
    return np.unique(np.concatenate(kept))


def thinned(count: int, most: int = MARKERS_MAX) -> NDArray[np.int64]:
    """Every n-th index and the last one, so that no more than about `most` remain."""
    if count <= most:
        return np.arange(count)
    step = -(-count // most)
    return np.union1d(np.arange(0, count, step), [count - 1])
