"""Markouts: where the mid price stood some time after an execution, as seen from its side.

Of a buy at price p: (mid price at that time - p) / p, in basis points; of a sell the other way round; averaged by
quantity. Above 0 the execution was good, below it the other side knew more. At time 0 it is the spread captured.
"""

# pyright: basic

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from sim.stats.executions import Executions

HORIZONS_NS: Final = (0, 100_000_000, 1_000_000_000, 10_000_000_000, 60_000_000_000)
NAMES: Final = ("at the fill", "100 ms", "1 s", "10 s", "1 min")


class Markout(msgspec.Struct, frozen=True, kw_only=True):
    """The markout at one horizon.

    Attributes:
        horizon_ns: How long after the executions.
        name: In words.
        bps: Mean by quantity, basis points of the price; None without an execution whose mid price is known then.
        maker_bps: Of the executions that made liquidity.
        taker_bps: Of those that took it.
        count: Executions whose mid price is known then.
        missing: The others: the data ends before, or the book has a side that is empty.
        why: Why there is none.
    """

    horizon_ns: int
    name: str
    bps: float | None
    maker_bps: float | None
    taker_bps: float | None
    count: int
    missing: int
    why: str = ""


def query_times(done: Executions) -> NDArray[np.int64]:
    """The times at which mid prices are needed: shape (horizons, executions)."""
    return np.stack([done.exch_ts + horizon for horizon in HORIZONS_NS])


def markouts(done: Executions, mids: NDArray[np.float64], too_coarse_ns: int = 0) -> list[Markout]:
    """Markouts at each horizon.

    Args:
        done: The executions.
        mids: Mid prices at `query_times`, NaN where there is none.
        too_coarse_ns: Horizons below it, but 0, are left out: the prices are not as fine.
    """
    found: list[Markout] = []
    for horizon, name, then in zip(HORIZONS_NS, NAMES, mids, strict=True):
        why = ""
        if not len(done):
            why = "there are no executions"
        elif 0 < horizon < too_coarse_ns:
            why = f"the recorded prices are {too_coarse_ns / 1e9:g} s apart"
        moves = done.side * (then - done.price) / done.price * 1e4
        known = ~np.isnan(moves) & (not why)
        if len(done) and not why and not known.any():
            why = "no mid price is known that long after an execution"
        maker = known & done.is_maker
        found.append(
            Markout(
                horizon_ns=horizon,
                name=name,
                bps=_mean(moves, done.qty, known),
                maker_bps=_mean(moves, done.qty, maker),
                taker_bps=_mean(moves, done.qty, known & ~done.is_maker),
                count=int(known.sum()),
                missing=len(done) - int(known.sum()),
                why=why,
            )
        )
    return found


def _mean(moves: NDArray[np.float64], qty: NDArray[np.float64], chosen: NDArray[np.bool_]) -> float | None:
    weight = float(qty[chosen].sum())
    return float((moves[chosen] * qty[chosen]).sum() / weight) if weight > 0 else None
