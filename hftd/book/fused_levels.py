"""The levels of one side of a fused book: quantities and times by key, in compiled code.

The better a level the higher its key, which is the tick of a bid and minus the tick of an ask; so both sides are one
code. Quantities and times stand in plain arrays around the first key seen, levels beyond in sorted ones, as in
:mod:`hftd.book.book`.
"""

# pyright: basic

from typing import Any

import numpy as np

from hftd.compiled.jit import inline
from hftd.compiled.layout import WINDOW_TICKS
from hftd.compiled.native import load_f64, load_i64, move_bytes, record_at, store_f64, store_i64
from hftd.rows import Address, Tick

MAX_FAR_FUSED = 1 << 16
"""Levels more than two million ticks from the first that was seen, for each side; one more is an error."""

NO_KEY = -(1 << 62)
"""The best key where a side is empty."""

fused_side_dtype = np.dtype(
    [
        ("sign", "i8"),  # of a key against its tick: 1 for bids, -1 for asks
        ("best", "i8"),
        ("best_ts", "i8"),  # the exchange's time of what was last said of the best price
        ("worst", "i8"),  # no level within the window has a lower key
        ("count", "i8"),  # levels
        # Levels with base <= key < base + window_ticks.
        ("qtys", "i8"),
        ("times", "i8"),
        ("base", "i8"),
        ("window_ticks", "i8"),
        ("far_keys", "i8"),
        ("far_qtys", "i8"),
        ("far_times", "i8"),
        ("fars", "i8"),
    ],
    align=True,
)

side_at = record_at(fused_side_dtype)


@inline
def _far_position(side: int, key: int):
    """The index of the first far level at or above a key."""
    s = side_at(side)
    low = 0
    high = s.fars
    while low < high:
        middle = (low + high) >> 1
        if load_i64(s.far_keys + 8 * middle) < key:
            low = middle + 1
        else:
            high = middle
    return low


@inline
def level_of(side: int, key: int):
    """A level's quantity (0 if there is none) and the exchange's time of it."""
    s = side_at(side)
    i = key - s.base
    if 0 <= i < s.window_ticks:
        return load_f64(s.qtys + 8 * i), load_i64(s.times + 8 * i)
    i = _far_position(side, key)
    if i < s.fars and load_i64(s.far_keys + 8 * i) == key:
        return load_f64(s.far_qtys + 8 * i), load_i64(s.far_times + 8 * i)
    return 0.0, 0


@inline
def _far_shift(s: Any, start: Address, to, count: int):
    for column in (s.far_keys, s.far_qtys, s.far_times):
        move_bytes(column + 8 * to, column + 8 * start, 8 * count)


@inline
def set_level(side: int, key: int, qty: float, ts):
    """Put a level, or take it away where the quantity is 0. Returns whether there was room."""
    s = side_at(side)
    if s.window_ticks == 0:
        s.base = key - WINDOW_TICKS // 2
        s.window_ticks = WINDOW_TICKS
    i = key - s.base
    if 0 <= i < s.window_ticks:
        s.count += int(qty > 0.0) - int(load_f64(s.qtys + 8 * i) > 0.0)
        store_f64(s.qtys + 8 * i, qty)
        store_i64(s.times + 8 * i, ts)
        if qty > 0.0:
            s.worst = min(s.worst, key)
        return True
    i = _far_position(side, key)
    there = i < s.fars and load_i64(s.far_keys + 8 * i) == key
    if qty <= 0.0:
        if there:
            _far_shift(s, i + 1, i, s.fars - i - 1)
            s.fars -= 1
            s.count -= 1
        return True
    if not there:
        if s.fars == MAX_FAR_FUSED:
            return False
        _far_shift(s, i, i + 1, s.fars - i)
        s.fars += 1
        s.count += 1
    store_i64(s.far_keys + 8 * i, key)
    store_f64(s.far_qtys + 8 * i, qty)
    store_i64(s.far_times + 8 * i, ts)
    return True


@inline
def level_below(side: int, key: int):
    """The highest key of a level below a key, NO_KEY if there is none."""
    s = side_at(side)
    i = _far_position(side, key) - 1
    far = load_i64(s.far_keys + 8 * i) if i >= 0 else NO_KEY
    if far >= s.base + s.window_ticks:
        return far
    k = min(key, s.base + s.window_ticks) - 1
    qtys = s.qtys - 8 * s.base
    while k >= s.worst:
        if load_f64(qtys + 8 * k) > 0.0:
            return k
        k -= 1
    return far


@inline
def level_above(side: int, key: int, upto: Tick):
    """The lowest key of a level above a key and not above `upto`, NO_KEY if there is none."""
    s = side_at(side)
    i = _far_position(side, key + 1)
    far = load_i64(s.far_keys + 8 * i) if i < s.fars else NO_KEY
    if far > upto:
        far = NO_KEY
    if far != NO_KEY and far < s.base:
        return far
    k = max(key + 1, s.worst)
    stop = min(upto, s.base + s.window_ticks - 1)
    qtys = s.qtys - 8 * s.base
    while k <= stop:
        if load_f64(qtys + 8 * k) > 0.0:
            return k
        k += 1
    return far
