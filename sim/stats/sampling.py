"""Resampling a record, and splitting it by the calendar (UTC)."""

# pyright: basic

import re
import warnings
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hftd.errors import DataError, UsageError
from sim.stats.frame import Frame

NS_PER_SECOND: Final = 1_000_000_000
SECONDS_PER_DAY: Final = 24 * 60 * 60
NS_PER_DAY: Final = SECONDS_PER_DAY * NS_PER_SECOND

_FIXED: Final = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": NS_PER_SECOND,
    "m": 60 * NS_PER_SECOND,
    "h": 3600 * NS_PER_SECOND,
    "d": NS_PER_DAY,
    "w": 7 * NS_PER_DAY,
}
_MONTHS: Final = {"mo": 1, "q": 3, "y": 12}
_UNITS: Final = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": NS_PER_SECOND, "d": NS_PER_DAY}
_MONDAY_NS: Final = 4 * NS_PER_DAY
"""The epoch was a Thursday; weeks begin on Mondays."""
_SUMMED: Final = ("trading_value_", "trading_volume_", "num_trades_")
_SPLITS: Final = {"monthly": "M", "daily": "D", "hourly": "h"}


def to_ns(timestamps: NDArray[np.generic], unit: str) -> NDArray[np.int64]:
    """Times as nanoseconds since the epoch.

    Args:
        timestamps: Whole numbers of `unit`, or datetime64.
        unit: "ns", "us", "ms", "s" or "d".

    Raises:
        UsageError: The unit is another.
        DataError: These are no times, or a time is earlier than the one before it.
    """
    if unit not in _UNITS:
        raise UsageError(f"the unit of time must be one of {', '.join(_UNITS)}, is {unit!r}")
    if np.issubdtype(timestamps.dtype, np.datetime64):
        ns = timestamps.astype("datetime64[ns]").astype(np.int64)
    elif np.issubdtype(timestamps.dtype, np.integer):
        ns = timestamps.astype(np.int64) * _UNITS[unit]
    else:
        raise DataError(f"the timestamps are of {timestamps.dtype}, not whole numbers")
    back = np.flatnonzero(ns[1:] < ns[:-1])
    if len(back):
        raise DataError(
            f"the record is not sorted by time: row {back[0] + 1} is earlier than the one before it",
            hint="sort it by its timestamp",
        )
    return ns


def window_starts(ns: NDArray[np.int64], every: str) -> NDArray[np.int64]:
    """The start of each time's window; windows are aligned to the epoch, weeks to Monday, the rest to the calendar.

    Args:
        ns: Times.
        every: A duration such as "10s", "1m", "1h30m", "1d", "1w", "1mo", "1q", "1y".

    Raises:
        UsageError: It is not a duration.
    """
    parts = re.findall(r"(\d+)(ns|us|ms|mo|s|m|h|d|w|q|y)", every)
    if not parts or "".join(number + unit for number, unit in parts) != every:
        raise UsageError(
            f"{every!r} is not a duration",
            hint="give one such as 100ms, 10s, 5m, 1h, 1d, 1w or 1mo",
        )
    months = sum(int(number) * _MONTHS.get(unit, 0) for number, unit in parts)
    fixed = sum(int(number) * _FIXED.get(unit, 0) for number, unit in parts)
    if (months and fixed) or not (months or fixed):
        raise UsageError(
            f"{every!r} is not a duration", hint="months go with no other unit, and 0 is too short"
        )
    if months:
        month = ns.astype("datetime64[ns]").astype("datetime64[M]").astype(np.int64)
        return (month // months * months).astype("datetime64[M]").astype("datetime64[ns]").astype(np.int64)
    offset = _MONDAY_NS if fixed % _FIXED["w"] == 0 and parts[-1][1] == "w" else 0
    return (ns - offset) // fixed * fixed + offset


def resample(frame: Frame, every: str) -> Frame:
    """One row a window: the last value of each column; volumes, values and counts of trades are added up.

    A window without a row has none.
    """
    ns = frame["timestamp"].astype("datetime64[ns]").astype(np.int64)
    starts = window_starts(ns, every)
    if not len(ns):
        return frame
    first = np.flatnonzero(np.concatenate(([True], starts[1:] != starts[:-1])))
    last = np.concatenate((first[1:], [len(ns)])) - 1
    columns: dict[str, NDArray[np.generic]] = {"timestamp": starts[first].astype("datetime64[ns]")}
    for name in frame:
        if name in _SUMMED:
            columns[name] = np.add.reduceat(frame[name], first)
        elif name != "timestamp":
            columns[name] = frame[name][last]
    return Frame(columns)


def split(frame: Frame, how: str | None) -> list[Frame]:
    """The rows of each month, day or hour that has some, in order; none if `how` is None."""
    if how is None or not len(frame):
        return []
    period = frame["timestamp"].astype(f"datetime64[{_SPLITS[how]}]")
    first = np.flatnonzero(np.concatenate(([True], period[1:] != period[:-1])))
    return [
        frame.take(slice(start, end)) for start, end in zip(first, [*first[1:], len(period)], strict=True)
    ]


def samples_per_day(timestamps: NDArray[np.datetime64]) -> float:
    """How many samples a day has, by the median of the intervals between them; NaN with fewer than two.

    The reference takes the first interval for all of them, which a gap or a late start makes a wrong one.
    """
    if len(timestamps) < 2:
        return float("nan")
    intervals = np.diff(timestamps.astype("datetime64[ns]").astype(np.int64))
    if (intervals != intervals[0]).any():
        warnings.warn("The sampling interval is not consistent. Use resample().", UserWarning, stacklevel=4)
    median_ns = float(np.median(intervals))
    return NS_PER_DAY / median_ns if median_ns > 0 else float("nan")


def total_days(timestamps: NDArray[np.datetime64]) -> float:
    """From the first to the last time, in days."""
    if len(timestamps) < 2:
        return 0.0
    ns = timestamps[[0, -1]].astype("datetime64[ns]").astype(np.int64)
    return float(ns[1] - ns[0]) / NS_PER_DAY
