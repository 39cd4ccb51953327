"""A strategy that quotes on all of its legs, each by itself, wherever it can."""

import numpy as np
from numba import njit

from hftd import ALL_ASSETS, BOOK_VALID, CONNECTED
from strategies.market_making import has_book, quote


@njit(nogil=True)
def three_legs(hbt, half_spread=3.0, grid=2.0, order_qty=0.01, max_position=0.1, interval_ns=200_000_000):
    """Quote each asset on a coarse grid of prices, so that orders rest; leave alone what is not there."""
    while hbt.elapse(interval_ns) == 0:
        hbt.clear_inactive_orders(ALL_ASSETS)
        for a in range(hbt.num_assets):
            depth = hbt.depth(a)
            if hbt.connection(a) != CONNECTED or hbt.book_state(a) != BOOK_VALID or not has_book(depth):
                continue
            middle = 0.5 * (depth.best_bid + depth.best_ask)
            bid = np.floor((middle - half_spread) / grid) * grid
            ask = np.ceil((middle + half_spread) / grid) * grid
            quote(
                hbt,
                a,
                int(np.round(bid / depth.tick_size)),
                int(np.round(ask / depth.tick_size)),
                order_qty,
                max_position,
            )
