"""How much of a best point is chance: the deflated Sharpe ratio, and the probability of backtest overfitting."""

import itertools
import math
from statistics import NormalDist

import msgspec
import numpy as np
from numpy.typing import NDArray

_NORMAL = NormalDist()
_EULER = 0.5772156649015329
_MAX_BLOCKS = 16
_MAX_WORK = 200_000_000
_AT_ONCE = 64


def expected_maximum(deviation: float, trials: int) -> float:
    """The highest Sharpe ratio to be expected of so many independent trials that are worth nothing.

    Source: Bailey, López de Prado, "The Deflated Sharpe Ratio", Journal of Portfolio
    Management 40 (5), 2014, equation 1.

    Args:
        deviation: The standard deviation of the trials' Sharpe ratios.
        trials: How many.
    """
    if trials < 2:
        return 0.0
    first = _NORMAL.inv_cdf(1.0 - 1.0 / trials)
    second = _NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return deviation * ((1.0 - _EULER) * first + _EULER * second)


def deflated_sharpe(
    sharpe: float, samples: int, skewness: float, kurtosis: float, deviation: float, trials: int
) -> float | None:
    """The probability that the true Sharpe ratio of the best of so many trials is above 0.

    Source: as of `expected_maximum`, equation 2.

    Args:
        sharpe: The best one's, for one sample (not annualised).
        samples: How many it is of.
        skewness: Of its samples.
        kurtosis: Of its samples; 3 is a normal distribution's.
        deviation: The standard deviation of all trials' Sharpe ratios, for one sample.
        trials: How many.

    Returns:
        None if there are too few samples, or if no samples can have these moments.
    """
    variance = 1.0 - skewness * sharpe + (kurtosis - 1.0) / 4.0 * sharpe * sharpe
    if samples < 2 or not variance > 0.0:
        return None
    above = sharpe - expected_maximum(deviation, trials)
    return _NORMAL.cdf(above * math.sqrt(samples - 1) / math.sqrt(variance))


def sharpes(
    counts: NDArray[np.float64], sums: NDArray[np.float64], squares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sharpe ratios for one sample, of any shape; 0 where nothing ever changed.

    Args:
        counts: Samples.
        sums: Their sums.
        squares: The sums of their squares.
    """
    means = sums / np.maximum(counts, 1.0)
    variances = (squares - counts * means * means) / np.maximum(counts - 1.0, 1.0)
    # What is left of rounding is no variance.
    known = (counts > 1.0) & (variances > 1e-12 * squares / np.maximum(counts, 1.0))
    return np.where(known, means / np.sqrt(np.where(known, variances, 1.0)), 0.0)


class Overfitting(msgspec.Struct, frozen=True, kw_only=True):
    """What the points that were best on halves of the days came to on the other halves.

    Attributes:
        probability: The share of halves whose best point is not better than the median of all on the other half.
        loss: The share of halves whose best point loses on the other half.
        blocks: The days were cut into so many.
        halves: So many ways there were to choose half of them.
    """

    probability: float
    loss: float
    blocks: int
    halves: int


def overfitting(
    counts: NDArray[np.float64], sums: NDArray[np.float64], squares: NDArray[np.float64]
) -> Overfitting | None:
    """The probability of backtest overfitting by combinatorially symmetric cross-validation.

    Source: Bailey, Borwein, López de Prado, Zhu, "The Probability of Backtest Overfitting", Journal of Computational
    Finance 20 (4), 2017, section 3. The statistic is the Sharpe ratio; blocks are of whole days, 16 at most.

    Args:
        counts: Samples by point and day.
        sums: Their sums.
        squares: The sums of their squares.

    Returns:
        None with fewer than two points or four days.
    """
    points, days = counts.shape
    if points < 2 or days < 4:
        return None
    blocks = min(days, _MAX_BLOCKS) // 2 * 2
    while blocks > 4 and math.comb(blocks, blocks // 2) * points > _MAX_WORK:
        blocks -= 2
    edges = np.linspace(0, days, blocks + 1).round().astype(int)[:-1]
    by_block = [np.add.reduceat(one, edges, axis=1) for one in (counts, sums, squares)]
    chosen = np.array(list(itertools.combinations(range(blocks), blocks // 2)))
    masks = np.zeros((len(chosen), blocks))
    np.put_along_axis(masks, chosen, 1.0, axis=1)
    below, losses = 0, 0
    for first in range(0, len(masks), _AT_ONCE):
        mask = masks[first : first + _AT_ONCE]
        inside = sharpes(*(mask @ one.T for one in by_block))
        outside = sharpes(*((1.0 - mask) @ one.T for one in by_block))
        best = inside.argmax(axis=1)
        reached = outside[np.arange(len(mask)), best][:, None]
        # Of equal ones the mean rank, from 1 to the number of points.
        ranks = (outside < reached).sum(axis=1) + ((outside == reached).sum(axis=1) + 1) / 2.0
        below += int((ranks / (points + 1) <= 0.5).sum())
        losses += int((reached < 0.0).sum())
    return Overfitting(
        probability=below / len(masks), loss=losses / len(masks), blocks=blocks, halves=len(masks)
    )
