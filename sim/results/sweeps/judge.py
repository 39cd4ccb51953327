"""What is to say of a sweep: its best point, and how much of that is chance."""

import math
from typing import Any

import msgspec
import numpy as np

from hftd.errors import DataError, UsageError
from sim.results.sweeps.chance import Overfitting, deflated_sharpe, expected_maximum, overfitting
from sim.results.sweeps.forward import Days, Trial, folds, walk_forward
from sim.results.sweeps.neighbours import Neighbours, neighbours
from sim.sweeps.summary import PointSummary, added
from sim.sweeps.sweep import Sweep

SAMPLES_ROOT = math.sqrt(252 * 8640)
"""Of samples of 10 s in a year, as the Sharpe ratios of a sweep are annualised."""


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """Ratios of a best point and what speaks for and against it. What can't be said is None, and `notes` says why.

    Attributes:
        points: So many were compared: those without a failed day.
        days: So many.
        best: The point with the highest Sharpe ratio.
        sharpe: Its, annualised.
        expected_sharpe: The highest that so many worthless points would have, annualised.
        deflated_sharpe: The probability that the best's true ratio is above 0, given how many were tried.
        overfitting: Of halves of the days.
        neighbours: Around the best.
        walk_forward: Day by day.
        folds: Fold by fold.
        notes: What can't be said, and why.
    """

    points: int
    days: int
    best: int
    sharpe: float
    expected_sharpe: float | None
    deflated_sharpe: float | None
    overfitting: Overfitting | None
    neighbours: Neighbours | None
    walk_forward: list[Trial]
    folds: list[Trial]
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """What `hftd report --json` prints."""
        return msgspec.to_builtins(self)


def judge(sweep: Sweep, *, first: int = 1, window: int | None = None, num_folds: int = 0) -> Judgement:
    """Judge the best point of a sweep.

    Args:
        sweep: The sweep.
        first: So many days go before the first one of the walk-forward.
        window: So many days before are looked at by it (rolling); None for all of them (anchored).
        num_folds: Cut the days into so many folds; 0 for none.

    Raises:
        DataError: No point was played to the end of all days, or none traded.
        UsageError: There are fewer days than folds, or than are asked for.
    """
    num_days = len(sweep.days)
    _check(num_days, first, window, num_folds)
    notes: list[str] = []
    good = [one for one in sweep.points if not one.failed and len(one.profits) == num_days]
    if len(good) < len(sweep.points):
        left_out = len(sweep.points) - len(good)
        why = "a day of theirs failed or is not played yet"
        notes.append(f"{left_out:,} of {len(sweep.points):,} points are not compared: {why}")
    of = _days(sweep, good)
    ratios = of.sharpes(range(num_days))
    if not len(good) or not ratios.any():
        raise DataError("there is nothing to judge: no point has a Sharpe ratio", where=str(sweep.folder))
    best = int(ratios.argmax())
    deviation = float(ratios.std(ddof=1)) if len(good) > 1 else 0.0
    if num_days < 2:
        notes.append("one day says nothing of another: no walk-forward")
    if num_days < 4:
        notes.append("the probability of overfitting needs four days")
    around = neighbours([one.parameters for one in good], [float(one) for one in ratios])
    if around is None:
        notes.append("the best point has no neighbours: no other point is one step of a parameter away")
    return Judgement(
        points=len(good),
        days=num_days,
        best=good[best].point,
        sharpe=float(ratios[best]) * SAMPLES_ROOT,
        expected_sharpe=expected_maximum(deviation, len(good)) * SAMPLES_ROOT if len(good) > 1 else None,
        deflated_sharpe=_deflated(sweep, good[best], float(ratios[best]), deviation, len(good)),
        overfitting=overfitting(of.counts, of.sums, of.squares),
        neighbours=around,
        walk_forward=walk_forward(of, first, window) if num_days > 1 else [],
        folds=folds(of, num_folds) if num_folds else [],
        notes=notes,
    )


def _check(num_days: int, first: int, window: int | None, num_folds: int) -> None:
    if first < 1 or (window is not None and window < 1):
        raise UsageError("a walk-forward needs a day at least before the first one that it tries")
    if num_days > 1 and first >= num_days:
        raise UsageError(f"of {num_days} days none is behind the first {first}")
    if num_folds and not 2 <= num_folds <= num_days:
        raise UsageError(f"{num_days} days can't be cut into {num_folds} folds: 2 at least, a day each")


def _days(sweep: Sweep, good: list[PointSummary]) -> Days:
    place = {one.point: number for number, one in enumerate(good)}
    day_of = {day: number for number, day in enumerate(sweep.days)}
    shape = (len(good), len(sweep.days))
    counts, sums, squares, profits = (np.zeros(shape) for _ in range(4))
    for row in sweep.rows:
        if row.point in place:
            at = place[row.point], day_of[row.date]
            counts[at], sums[at], squares[at] = row.moments.count, row.moments.sum1, row.moments.sum2
            profits[at] = row.equity if row.equity is not None else 0.0
    return Days(
        names=sweep.days,
        points=[one.point for one in good],
        counts=counts,
        sums=sums,
        squares=squares,
        profits=profits,
    )


def _deflated(sweep: Sweep, best: PointSummary, ratio: float, deviation: float, trials: int) -> float | None:
    whole = added([row.moments for row in sweep.rows if row.point == best.point])
    if whole.count < 2:
        return None
    n, mean = whole.count, whole.sum1 / whole.count
    second = whole.sum2 / n - mean**2
    if not second > 0.0:
        return None
    third = whole.sum3 / n - 3.0 * mean * whole.sum2 / n + 2.0 * mean**3
    fourth = whole.sum4 / n - 4.0 * mean * whole.sum3 / n + 6.0 * mean**2 * whole.sum2 / n - 3.0 * mean**4
    return deflated_sharpe(ratio, n, third / second**1.5, fourth / second**2, deviation, trials)
