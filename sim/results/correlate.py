"""How the returns of several instruments go together: by horizon, and by who leads whom.

With m the mid price as of the exchange, the return over a horizon h at t is ln m(t + h) - ln m(t), and t goes over a
grid that is the same for all. The correlation over short horizons is lower than over long ones where prices are taken
over late (Epps, "Comovements in stock prices in the very short run", 1979), so a table has one for each horizon.

Who leads whom is the correlation of one's return with the other's return so much later, over the shortest horizon. The
ratio is that of Huth and Abergel, "High frequency lead/lag relationships" (2014): the sum of the squares over lags
above zero by that over lags below; above 1 the first leads.

Hayashi and Yoshida, "On covariance estimation of non-synchronously observed diffusion processes" (2005), need no grid:
the covariance is the sum of the products of all returns from change to change whose stretches overlap. Lags move one of
the two in time (Hoffmann, Rosenbaum, Yoshida, 2013).
"""

# pyright: basic

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from hftd.errors import DataError, UsageError
from sim.archive.stream import EventReader
from sim.checks.guess import Guess
from sim.results.report.mids import changes_of_mid, part_of

Progress = Callable[[float, float], None]
"""Called with how much is done and how much there is."""

HORIZONS_NS: Final = tuple(int(s * 1e9) for s in (0.1, 1, 10, 60))
CHANGES_MAX: Final = 1 << 25
"""Changes of one mid price that are kept: 512 MiB."""
SAMPLES_MAX: Final = 1 << 24
"""Moments of the grid."""
LAGS_MAX: Final = 500
_FEWEST: Final = 10
"""Of fewer returns a correlation says nothing."""


class LeadLag(msgspec.Struct, kw_only=True):
    """Who leads whom of two instruments.

    Attributes:
        first: The name of one.
        second: The name of the other.
        lags_ns: By how much the second comes later.
        correlations: At each lag; None where there is none.
        best_lag_ns: Where it is furthest from zero; above 0 the first leads.
        best: The correlation there.
        ratio: Squares of the correlations over lags above zero by those below; None where there are none.
    """

    first: str
    second: str
    lags_ns: list[int]
    correlations: list[float | None]
    best_lag_ns: int | None
    best: float | None
    ratio: float | None


class Correlations(msgspec.Struct, kw_only=True):
    """How instruments go together.

    Attributes:
        names: Of the instruments.
        start_ns: From when on all have a price.
        end_ns: Until when.
        changes: How often each one's mid price changed.
        step_ns: Of the grid.
        horizons_ns: Of the returns.
        returns: How many returns of each horizon there are.
        matrices: For each horizon the correlation of each instrument with each; None where there is none.
        lag_horizon_ns: Of the returns that lead and lag; None for those from change to change (Hayashi and Yoshida).
        lead_lag: Of each two.
    """

    names: list[str]
    start_ns: int
    end_ns: int
    changes: list[int]
    step_ns: int
    horizons_ns: list[int]
    returns: list[int]
    matrices: list[list[list[float | None]]]
    lag_horizon_ns: int | None
    lead_lag: list[LeadLag]


def correlate(
    archives: Mapping[str, Sequence[Path]],
    *,
    horizons_ns: Sequence[int] = HORIZONS_NS,
    lag_ns: int = 1_000_000_000,
    step_ns: int = 50_000_000,
    resolution_ns: int = 1_000_000,
    by_change: bool = False,
    steps: Mapping[str, tuple[float, float]] | None = None,
    progress: Progress | None = None,
) -> Correlations:
    """Correlate the returns of instruments' mid prices.

    Args:
        archives: Archives in order, by the instrument's name; two or more instruments.
        horizons_ns: Of the returns; multiples of `step_ns`.
        lag_ns: The largest lag, a multiple of `step_ns`.
        step_ns: Of the grid, and from lag to lag.
        resolution_ns: Of the times of mid prices.
        by_change: Whether leads and lags are of returns from change to change (Hayashi and Yoshida).
        steps: Tick and lot size by name; guessed where they are not given.
        progress: Called while archives are read.

    Raises:
        DataError: An archive is missing or broken, changes too often, or the instruments have no time in common.
        UsageError: An option can't be.
    """
    horizons = sorted(set(horizons_ns))
    _check(archives, horizons, lag_ns, step_ns, resolution_ns)
    series: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
    for number, (name, files) in enumerate(archives.items()):
        part = None if progress is None else part_of(progress, number, len(archives))
        tick_size, lot_size = (steps or {}).get(name) or _guessed(name, files)
        times, mids = changes_of_mid(
            files, tick_size, lot_size, resolution_ns=resolution_ns, limit=CHANGES_MAX, progress=part
        )
        is_known = mids > 0.0
        if not is_known.any():
            raise DataError("there is no mid price above zero", where=name)
        series.append((times[is_known], np.log(mids[is_known])))
    start_ns = max(int(times[0]) for times, _ in series)
    end_ns = min(int(times[-1]) for times, _ in series)
    grid = np.arange(-(-start_ns // step_ns), end_ns // step_ns + 1, dtype=np.int64) * step_ns
    if len(grid) < _FEWEST:
        raise DataError(
            "the archives have no time in common, or hardly any",
            where=", ".join(archives),
            hint="give archives of the same day",
        )
    if len(grid) > SAMPLES_MAX:
        raise UsageError(
            f"there are {len(grid):,} steps, at most {SAMPLES_MAX:,} are", hint="take a longer --step"
        )
    logs = np.stack([values[np.searchsorted(times, grid, side="right") - 1] for times, values in series])
    matrices, counts = [], []
    for horizon_ns in horizons:
        moves = _moves(logs, horizon_ns // step_ns)
        counts.append(moves.shape[1])
        matrices.append([[_correlation(one, other) for other in moves] for one in moves])
    lags = np.arange(-(lag_ns // step_ns), lag_ns // step_ns + 1)
    names = list(archives)
    found: list[LeadLag] = []
    for i, j in combinations(range(len(names)), 2):
        if by_change:
            values = [
                _overlapping(series[i], series[j], int(lag) * step_ns, start_ns, end_ns) for lag in lags
            ]
        else:
            moves = _moves(logs[[i, j]], horizons[0] // step_ns)
            values = [_lagged(moves[0], moves[1], int(lag)) for lag in lags]
        found.append(_lead_lag(names[i], names[j], (lags * step_ns).tolist(), values))
    return Correlations(
        names=names,
        start_ns=start_ns,
        end_ns=end_ns,
        changes=[len(times) for times, _ in series],
        step_ns=step_ns,
        horizons_ns=horizons,
        returns=counts,
        matrices=matrices,
        lag_horizon_ns=None if by_change else horizons[0],
        lead_lag=found,
    )


def _check(
    archives: Mapping[str, Sequence[Path]],
    horizons: Sequence[int],
    lag_ns: int,
    step_ns: int,
    resolution_ns: int,
) -> None:
    if len(archives) < 2:
        raise UsageError(
            "a correlation is of two instruments or more", hint="give two archives, or NAME=FILE,FILE"
        )
    if not 1 <= resolution_ns <= step_ns:
        raise UsageError(f"a resolution of {resolution_ns:,} ns is longer than the step of {step_ns:,} ns")
    if not horizons:
        raise UsageError("there is no horizon")
    for horizon_ns in horizons:
        if horizon_ns < step_ns or horizon_ns % step_ns:
            raise UsageError(
                f"a horizon of {horizon_ns:,} ns is not a multiple of the step of {step_ns:,} ns"
            )
    if not 0 <= lag_ns // step_ns <= LAGS_MAX:
        raise UsageError(f"there are {lag_ns // step_ns:,} lags to either side, at most {LAGS_MAX} are")


def _guessed(name: str, files: Sequence[Path]) -> tuple[float, float]:
    """Tick and lot size, from the first rows."""
    with EventReader(files[0]) as reader:
        for block in reader.blocks():
            guess = Guess(block)
            if guess.tick_size > 0.0:
                return guess.tick_size, guess.lot_size or guess.tick_size
            break
    raise DataError("the tick size can't be guessed from the first rows", where=name, hint="give --tick-size")


def _moves(logs: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    return logs[:, steps:] - logs[:, :-steps]


def _correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    if len(first) < _FEWEST:
        return None
    one, other = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / scale if scale > 0.0 else None


def _lagged(first: NDArray[np.float64], second: NDArray[np.float64], lag: int) -> float | None:
    """Of the first one's returns with the second one's so many steps later."""
    if lag < 0:
        return _lagged(second, first, -lag)
    return _correlation(first[: len(first) - lag], second[lag:])


def _overlapping(
    first: tuple[NDArray[np.int64], NDArray[np.float64]],
    second: tuple[NDArray[np.int64], NDArray[np.float64]],
    lag_ns: int,
    start_ns: int,
    end_ns: int,
) -> float | None:
    """The correlation of Hayashi and Yoshida, the second one taken `lag_ns` earlier than it was."""
    parts = []
    for (times, values), shift_ns in ((first, 0), (second, lag_ns)):
        inside = (times >= start_ns) & (times <= end_ns)
        parts.append((times[inside] - shift_ns, values[inside]))
    (times, values), (other_times, other_values) = parts
    if len(times) < _FEWEST or len(other_times) < _FEWEST:
        return None
    # Of each stretch of the first: what the second made over the stretches of its own that overlap it.
    before = np.searchsorted(other_times, times[:-1], side="right") - 1
    after = np.searchsorted(other_times, times[1:], side="left")
    last = len(other_times) - 1
    over = other_values[np.clip(after, 0, last)] - other_values[np.clip(before, 0, last)]
    moves, other_moves = np.diff(values), np.diff(other_values)
    scale = float(np.sqrt((moves @ moves) * (other_moves @ other_moves)))
    return float(moves @ over) / scale if scale > 0.0 else None


def _lead_lag(first: str, second: str, lags_ns: list[int], values: list[float | None]) -> LeadLag:
    known = np.array([np.nan if value is None else value for value in values])
    at = np.array(lags_ns)
    best = None if np.isnan(known).all() else int(np.nanargmax(np.abs(known)))
    leads, follows = (float(np.nansum(known[side] ** 2)) for side in (at > 0, at < 0))
    return LeadLag(
        first=first,
        second=second,
        lags_ns=lags_ns,
        correlations=values,
        best_lag_ns=None if best is None else lags_ns[best],
        best=None if best is None else values[best],
        ratio=leads / follows if follows > 0.0 else None,
    )
