"""The strategies of the benchmarks. Both engines compile the same functions."""

# pyright: basic

from numba import njit

from hftd.clock import steady_ns
from strategies.market_making import market_making


@njit(nogil=True)
def no_op(hbt, interval_ns=10_000_000):
    """Let time pass."""
    while hbt.elapse(interval_ns) == 0:
        pass


@njit(nogil=True)
def first_event(hbt, half_spread_ticks=8.0, interval_ns=10_000_000):
    """Say on the monotonic clock when the first events were there; then make the market."""
    if hbt.elapse(interval_ns) == 0:
        print("first event at", steady_ns())
        market_making(hbt, half_spread_ticks, 2.0, 0.01, 0.1, interval_ns)
