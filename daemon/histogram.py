"""A histogram of durations in a daemon's memory, as `hftd status` tells it. Compiled code counts into it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftd.compiled.histogram import BOUNDS_NS, COUNTS, HISTOGRAM_WORDS, LONGEST, SUM, observe_one
from hftd.control import status


class Histogram:
    """See `hftd.compiled.histogram`.

    Attributes:
        address: For compiled code (`observe`); it holds as long as the histogram lives.
    """

    def __init__(self) -> None:
        self._words: NDArray[Any] = np.zeros(HISTOGRAM_WORDS, np.int64)
        self.address = int(self._words.ctypes.data)
        self._observe = observe_one.direct

    def add(self, duration_ns: int) -> None:
        """Count a duration."""
        self._observe(self.address, duration_ns)

    def told(self, name: str) -> status.Latency:
        """What it holds. Of the empty buckets before and after the others one each is told."""
        words = self._words.tolist()
        counts = words[COUNTS:]
        count = sum(counts)
        if not count:
            return status.Latency(name=name)
        used = [bucket for bucket, held in enumerate(counts) if held]
        first, last = max(0, used[0] - 1), min(len(BOUNDS_NS), used[-1] + 1)
        return status.Latency(
            name=name,
            count=count,
            sum_ns=int(self._words.view(np.float64)[SUM]),
            counts=counts[first : last + 1],
            bounds_ns=list(BOUNDS_NS[first:last]),
            max_ns=words[LONGEST],
        )
