"""Points that are chosen on some days and tried on others: walk-forward and folds."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from sim.results.sweeps.chance import sharpes


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A point that was chosen on some days, and what it came to on others.

    Attributes:
        days: On which it was tried.
        point: Its number.
        chosen_sharpe: Its Sharpe ratio on the days on which it was chosen, for one sample.
        sharpe: On those on which it was tried.
        profit: On those.
    """

    days: list[str]
    point: int
    chosen_sharpe: float
    sharpe: float
    profit: float


class Days(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of each point on each day, by point and day: shape (points, days).

    Attributes:
        names: The days.
        points: The points' numbers.
        counts: Samples.
        sums: The sums of the changes of equity.
        squares: The sums of their squares.
        profits: In money.
    """

    names: list[str]
    points: list[int]
    counts: NDArray[np.float64]
    sums: NDArray[np.float64]
    squares: NDArray[np.float64]
    profits: NDArray[np.float64]

    def sharpes(self, days: Sequence[int]) -> NDArray[np.float64]:
        """Each point's Sharpe ratio over some days, for one sample."""
        return sharpes(*(one[:, days].sum(axis=1) for one in (self.counts, self.sums, self.squares)))


def _trial(of: Days, chosen_on: Sequence[int], tried_on: Sequence[int]) -> Trial:
    inside = of.sharpes(chosen_on)
    best = int(inside.argmax())
    return Trial(
        days=[of.names[day] for day in tried_on],
        point=of.points[best],
        chosen_sharpe=float(inside[best]),
        sharpe=float(of.sharpes(tried_on)[best]),
        profit=float(of.profits[best, tried_on].sum()),
    )


def walk_forward(of: Days, first: int, window: int | None = None) -> list[Trial]:
    """Each day's profit of the point with the highest Sharpe ratio on days before it.

    Source: Pardo, "The Evaluation and Optimization of Trading Strategies", 2nd edition, Wiley 2008, chapter 11.

    Args:
        of: The points.
        first: So many days go before the first that is tried.
        window: So many days before are looked at (rolling); None for all of them (anchored).
    """
    return [
        _trial(of, range(max(0, day - window) if window is not None else 0, day), [day])
        for day in range(first, len(of.names))
    ]


def folds(of: Days, count: int) -> list[Trial]:
    """Days in so many parts, one behind the other: the best on the others is tried on each.

    The others may be later ones: unlike `walk_forward`, this could not have been traded.
    """
    parts = np.array_split(np.arange(len(of.names)), count)
    everything = range(len(of.names))
    return [_trial(of, [day for day in everything if day not in part], list(part)) for part in parts]
