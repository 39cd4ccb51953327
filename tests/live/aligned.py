"""A strategy that looks at the market on a grid of the clock, so that a live run and its backtest look together."""

import numpy as np
from numba import njit

from strategies.market_making import cancel_all, has_book, quote


@njit(nogil=True)
def aligned(
    hbt,
    begin_s=0,
    end_s=0,
    interval_ns=200_000_000,
    offset_ns=100_000_000,
    half_spread_ticks=2.0,
    skew_ticks=1.0,
    order_qty=0.01,
    max_position=0.1,
):
    """Make a market at offset + n * interval of the clock, from `begin_s` to `end_s`, then cancel and leave."""
    while hbt.elapse(interval_ns - (hbt.current_timestamp - offset_ns) % interval_ns) == 0:
        if hbt.current_timestamp < begin_s * 1_000_000_000:
            continue
        if hbt.current_timestamp >= end_s * 1_000_000_000:
            cancel_all(hbt, 0)
            hbt.elapse(500_000_000)
            return
        hbt.clear_inactive_orders(0)
        depth = hbt.depth(0)
        if not has_book(depth):
            continue
        middle = 0.5 * (depth.best_bid_tick + depth.best_ask_tick) - skew_ticks * hbt.position(0) / order_qty
        bid_tick = min(int(np.floor(middle - half_spread_ticks)), depth.best_ask_tick - 1)
        ask_tick = max(int(np.ceil(middle + half_spread_ticks)), depth.best_bid_tick + 1)
        quote(hbt, 0, bid_tick, ask_tick, order_qty, max_position)
