"""From what the passes counted to figures: percentiles of latencies and spreads, and how the clocks run apart."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim.checks.layout import BIN_BITS, BINS
from sim.checks.report import Drift, Latency, Spread

_SHARES: Final = (0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
DRIFT_POINTS_MIN: Final = 20
DRIFT_NS_MIN: Final = 10_000_000
"""A drift of less over the whole span is what a clock that is kept by NTP does."""


def _bin_values() -> NDArray[np.int64]:
    """What latencies of each bin are taken to be: the middle of the bin."""
    number = np.arange(BINS - 1)
    exponent, part = number >> BIN_BITS, number & ((1 << BIN_BITS) - 1)
    low = np.ldexp(1.0 + part / (1 << BIN_BITS), exponent)
    high = np.ldexp(1.0 + (part + 1) / (1 << BIN_BITS), exponent)
    # Where a bin is narrower than a nanosecond there is one whole number in it at most.
    values = np.where(exponent <= BIN_BITS, np.ceil(low), np.minimum((low + high) / 2, 2.0**62))
    return np.concatenate(([0], values.astype(np.int64)))


_VALUES: Final = _bin_values()


def latency_of(bins: NDArray[np.int64], min_ns: int, max_ns: int) -> Latency | None:
    """Percentiles from bins, shape (2, BINS): latencies from 0 on, and negative ones; None if they are empty."""
    counts = np.concatenate((bins[1][:0:-1], bins[0]))
    values = np.concatenate((-_VALUES[:0:-1], _VALUES))
    total = int(counts.sum())
    if not total:
        return None
    upto = np.cumsum(counts)
    found = [
        int(np.clip(values[np.searchsorted(upto, max(share * total, 1.0))], min_ns, max_ns))
        for share in _SHARES
    ]
    p1, p10, p50, p90, p99, p999 = found
    return Latency(
        rows=total,
        min_ns=min_ns,
        p1_ns=p1,
        p10_ns=p10,
        p50_ns=p50,
        p90_ns=p90,
        p99_ns=p99,
        p999_ns=p999,
        max_ns=max_ns,
    )


def spread_of(counts: NDArray[np.int64], most: int) -> Spread | None:
    """Percentiles of the spread from counts by ticks; None if there are none."""
    total = int(counts.sum())
    if not total:
        return None
    upto = np.cumsum(counts)
    p50, p99 = (int(np.searchsorted(upto, share * total)) for share in (0.5, 0.99))
    last = len(counts) - 1
    return Spread(
        messages=total,
        p50_ticks=most if p50 == last else p50,
        p99_ticks=most if p99 == last else p99,
        max_ticks=most,
    )


def drift_of(start_ts: NDArray[np.int64], buckets: NDArray[np.void]) -> Drift | None:
    """A line through the least latency of each stretch of time: the median of the slopes between all pairs.

    Source: Theil 1950 and Sen 1968; up to 29% of the points may be anything.
    """
    known = buckets["latencies"] > 0
    if known.sum() < DRIFT_POINTS_MIN:
        return None
    at_s = (start_ts[known] - start_ts[known][0]) / 1e9
    least = buckets["latency_min"][known].astype(np.float64)
    first, second = np.triu_indices(len(at_s), 1)
    slope = float(np.median((least[second] - least[first]) / (at_s[second] - at_s[first])))
    rest = least - slope * at_s
    scatter = float(np.median(np.abs(rest - np.median(rest))))
    return Drift(ns_per_s=slope, total_ns=round(slope * float(at_s[-1])), scatter_ns=round(scatter))
