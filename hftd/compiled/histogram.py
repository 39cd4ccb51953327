"""Histograms of durations that compiled code keeps: one search among 79 bounds and three words written a duration.

The buckets are ten a decade, the preferred numbers R10 of ISO 3, from 1 µs to 63 s: a quantile read from them is off by
28 % at most, and every third bound is one of 1, 2 and 5, so that coarser buckets are sums of these. What is
below the first bound, a time before its cause included, is in the first bucket; what is above the last, in the last.

A histogram is `HISTOGRAM_WORDS` words of zeros at first::

    0   sum of the durations above 0, a float: nothing that is added makes it wrap
    8   the longest of them
    16  how many there are, by bucket
"""

# pyright: basic

from typing import Final

import numpy as np

from hftd.compiled.jit import entry, inline
from hftd.compiled.native import load_f64, load_i64, store_f64, store_i64
from hftd.rows import Address, Ns

_R10: Final = (1000, 1250, 1600, 2000, 2500, 3150, 4000, 5000, 6300, 8000)
_DECADES: Final = 8
_LAST_NS: Final = 63_000_000_000
BOUNDS_NS: Final = tuple(
    bound for decade in range(_DECADES) for step in _R10 if (bound := step * 10**decade) <= _LAST_NS
)
"""The buckets' upper ends, which are in them."""
SUM: Final = 0
LONGEST: Final = 1
COUNTS: Final = 2
HISTOGRAM_WORDS: Final = COUNTS + len(BOUNDS_NS) + 1

_BOUNDS: Final = np.array(BOUNDS_NS)


@inline
def observe(histogram: Address, duration: Ns):
    """Count a duration."""
    low, high = 0, len(_BOUNDS)
    while low < high:
        middle = (low + high) >> 1
        if duration <= _BOUNDS[middle]:
            high = middle
        else:
            low = middle + 1
    bucket = histogram + 8 * (COUNTS + low)
    store_i64(bucket, load_i64(bucket) + 1)
    if duration > 0:
        store_f64(histogram + 8 * SUM, load_f64(histogram + 8 * SUM) + duration)
        if duration > load_i64(histogram + 8 * LONGEST):
            store_i64(histogram + 8 * LONGEST, duration)


@entry("int64(int64, int64)")
def observe_one(histogram: Address, duration: Ns):
    """The same from Python; take `.direct`."""
    observe(histogram, duration)
    return 0
