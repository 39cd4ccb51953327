"""A book as rows of events, as newcomers to a channel are given it."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hftd.book.book import write_levels
from hftd.compiled.layout import level_dtype
from hftd.types import (
    BUY_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EXCH_EVENT,
    LOCAL_EVENT,
    SELL_EVENT,
    event_dtype,
)

_BOTH: Final = EXCH_EVENT | LOCAL_EVENT
_FIRST_CAPACITY: Final = 1 << 12


def book_rows(book: int, tick_size: float, now_ns: int) -> NDArray[Any]:
    """The book at an address as rows: a clear of everything, then its levels from the best outwards, bids first."""
    parts: list[NDArray[Any]] = [np.zeros(1, event_dtype)]
    parts[0]["ev"] = _BOTH | DEPTH_CLEAR_EVENT
    for side, flag in ((1, BUY_EVENT), (-1, SELL_EVENT)):
        levels = _levels(book, side)
        rows = np.zeros(len(levels), event_dtype)
        rows["ev"] = _BOTH | DEPTH_SNAPSHOT_EVENT | flag
        rows["px"] = levels["tick"] * tick_size
        rows["qty"] = levels["qty"]
        parts.append(rows)
    found = np.concatenate(parts)
    found["exch_ts"] = found["local_ts"] = now_ns
    return found


def _levels(book: int, side: int) -> NDArray[Any]:
    capacity = _FIRST_CAPACITY
    while True:
        levels = np.empty(capacity, level_dtype)
        count = write_levels.call(book, side, levels.ctypes.data, capacity)
        if count <= capacity:
            return levels[:count]
        capacity = count
