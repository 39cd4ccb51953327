"""What the first rows of an archive let one guess: tick size, lot size, the usual latency, pauses, a sequence."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hftd.rows import TS_MAX
from hftd.types import (
    ADD_ORDER_EVENT,
    DEPTH_BBO_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    FILL_EVENT,
    KIND_MASK,
    LOCAL_EVENT,
    MODIFY_ORDER_EVENT,
    TRADE_EVENT,
    USER_DEFINED_EVENT,
    event_dtype,
)

GAP_NS_MIN: Final = 5_000_000_000
_DECIMALS_MAX: Final = 12
_MOST: Final = 0.99
"""A step is one that so many of the values have: single values that are wrong must not make it finer."""
_TELLING: Final = 20
"""Fewer different values may have a common step by chance."""
_STEPS_MAX: Final = 64
_PRICED: Final = np.array(
    [
        DEPTH_EVENT,
        TRADE_EVENT,
        DEPTH_SNAPSHOT_EVENT,
        DEPTH_BBO_EVENT,
        ADD_ORDER_EVENT,
        MODIFY_ORDER_EVENT,
        FILL_EVENT,
    ],
    np.uint64,
)


def guess_step(values: NDArray[np.float64]) -> float:
    """The step that nearly all values have from 0 on: a power of ten, or a coarser one if there are enough values.

    Args:
        values: Prices or quantities, shape (n,); those that are not finite do not count.

    Returns:
        The step; 0.0 if it can't be told, because there are no values or they have too many decimals.
    """
    found = np.abs(values[np.isfinite(values)])
    found = found[(found > 0) & (found < 1e15)]
    if not len(found):
        return 0.0
    unique, counts = np.unique(found, return_counts=True)
    for decimals in range(_DECIMALS_MAX + 1):
        units = unique * 10.0**decimals
        whole = np.rint(units)
        fits = np.abs(units - whole) <= np.maximum(1e-6, np.minimum(units * 1e-12, 1e-3))
        fits &= whole > 0
        if counts[fits].sum() >= _MOST * counts.sum():
            step = _coarser(whole[fits].astype(np.int64), counts[fits])
            # Divided, not multiplied: 1 / 10 is the 0.1 that a user writes.
            return step / 10**decimals
    return 0.0


def _coarser(units: NDArray[np.int64], counts: NDArray[np.int64]) -> int:
    """The greatest step that nearly all units have; 1 if there are too few of them."""
    if len(units) < _TELLING:
        return 1
    apart, often = np.unique(np.diff(units), return_counts=True)
    candidates = apart[np.argsort(-often, kind="stable")][:_STEPS_MAX]
    whole = _MOST * counts.sum()
    for step in sorted(set(candidates.tolist()), reverse=True):
        if step > 1 and counts[units % step == 0].sum() >= whole:
            return step
    return 1


class Guess:
    """What the first block of an archive tells.

    Args:
        rows: Rows of `event_dtype`.

    Attributes:
        tick_size: Of the prices; 0.0 if it can't be told.
        lot_size: Of the quantities; 0.0 if it can't be told.
        latency_ns: The median of `local_ts - exch_ts`.
        gap_ns: A pause of the feed that is out of the ordinary: 20 times what 99% of the pauses stay below, 5 s
            at least.
        sequence_at: The offset in a row of the number that counts the depth messages; 0 if there is none.
        has_levels: Whether there are rows of levels.
        by_order: Whether there are rows of single orders.
    """

    def __init__(self, rows: NDArray[np.void]) -> None:
        ev = rows["ev"]
        kinds = ev & np.uint64(KIND_MASK)
        priced = np.isin(kinds, _PRICED)
        self.tick_size = guess_step(rows["px"][priced])
        self.lot_size = guess_step(rows["qty"][priced])
        is_local = (ev & np.uint64(LOCAL_EVENT)) != 0
        timed = (
            is_local
            & (kinds < USER_DEFINED_EVENT)
            & ~np.isin(kinds, np.array([3, DEPTH_SNAPSHOT_EVENT], np.uint64))
        )
        clocks = (rows["local_ts"], rows["exch_ts"])
        is_time = np.logical_and.reduce([(ts >= -TS_MAX) & (ts <= TS_MAX) for ts in clocks])
        latencies = (rows["local_ts"] - rows["exch_ts"])[timed & is_time]
        self.latency_ns = int(np.clip(np.median(latencies), -TS_MAX, TS_MAX)) if len(latencies) else 0
        self.gap_ns = _usual_gap(rows["local_ts"][is_local & is_time])
        self.has_levels = bool(np.isin(kinds, (DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT)).any())
        self.by_order = bool(((kinds >= ADD_ORDER_EVENT) & (kinds <= FILL_EVENT)).any())
        self.sequence_at = _sequence(rows[is_local & (kinds == DEPTH_EVENT)])


def _usual_gap(local_ts: NDArray[np.int64]) -> int:
    pauses = np.diff(local_ts)
    pauses = pauses[pauses > 0]
    if not len(pauses):
        return GAP_NS_MIN
    return min(max(GAP_NS_MIN, 20 * int(np.percentile(pauses, 99))), TS_MAX)


def _sequence(depth: NDArray[np.void]) -> int:
    """Where the number of the message stands: it never falls, and mostly grows by one."""
    for name in ("order_id", "ival"):
        numbers = depth[name].astype(np.int64)
        if len(numbers) < _TELLING or not (numbers > 0).all():
            continue
        steps = np.diff(numbers)
        if (steps == 1).any() and ((steps == 0) | (steps == 1)).mean() >= _MOST:
            fields = event_dtype.fields
            assert fields is not None
            return fields[name][1]
    return 0
