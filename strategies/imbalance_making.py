# pyright: basic
"""Market making around a fair price that leans to where the book is heavier.

Model, for each asset on its own. All prices in ticks, `q` the position in orders (position / order_qty)::

    imbalance = (bids - asks) / (bids + asks), quantities of the first `depth_ticks` ticks of each side
    z = (imbalance - mean) / deviation, both over the last `window_ns`, kept within plus and minus 3
    fair = mid + signal_ticks * z
    reservation = fair - skew_ticks * q
    bid = floor(reservation - half_spread_ticks), ask = ceil(reservation + half_spread_ticks), post-only

A side with more behind it is the one that is less likely to be used up first, so the price is likelier to move
away from it: Gould and Bonart, "Queue imbalance as a one-tick-ahead price predictor in limit order books" (Market
Microstructure and Liquidity, 2016). Making markets with it: Cartea, Donnelly, Jaimungal, "Enhancing trading
strategies with order book signals" (Applied Mathematical Finance, 2018). The standardizing takes out how lopsided
this book usually is, so one `signal_ticks` serves several markets.
"""

import numpy as np
from numba import njit

from strategies.market_making import cancel_all, has_book, quote
from strategies.rolling import is_full, mean_and_deviation, push, windows_of

_Z_MAX = 3.0


@njit(nogil=True)
def imbalance_of(depth, depth_ticks):
    """(bids - asks) / (bids + asks) of the first ticks of each side: -1 to 1, NaN where nothing stands."""
    bids = 0.0
    asks = 0.0
    for i in range(depth_ticks):
        bids += depth.bid_qty_at_tick(depth.best_bid_tick - i)
        asks += depth.ask_qty_at_tick(depth.best_ask_tick + i)
    return (bids - asks) / (bids + asks) if bids + asks > 0.0 else np.nan


@njit(nogil=True)
def imbalance_making(
    hbt,
    half_spread_ticks=10.0,
    signal_ticks=12.0,
    skew_ticks=2.0,
    depth_ticks=8,
    order_qty=0.01,
    max_position=0.1,
    window_ns=60_000_000_000,
    interval_ns=10_000_000,
):
    """Quote both sides of every asset around a price that the order book's imbalance moves.

    Market: any number of assets, each for itself; books whose sizes tell where the price will go.

    Args:
        hbt: The backtest or the bot.
        half_spread_ticks (ticks): Distance of each quote from the reservation price, above 0.
        signal_ticks (ticks): How far one standard deviation of the imbalance moves the fair price; 0: not at all.
        skew_ticks (ticks): How far each order's worth of position moves the reservation price.
        depth_ticks (ticks): How many prices of each side count, from the best one on.
        order_qty (base currency or contracts): Quantity of each order.
        max_position (base currency or contracts): The position stays within plus and minus this.
        window_ns (ns): What the imbalance's mean and deviation are taken over; nothing is quoted before it is full.
        interval_ns (ns): Time between two looks at the market.
    """
    if not (half_spread_ticks > 0.0 and order_qty > 0.0 and interval_ns > 0 and depth_ticks > 0):
        return
    n = hbt.num_assets
    windows = windows_of(n, window_ns // interval_ns)
    while hbt.elapse(interval_ns) == 0:
        for asset_no in range(n):
            hbt.clear_inactive_orders(asset_no)
            depth = hbt.depth(asset_no)
            if not has_book(depth):
                cancel_all(hbt, asset_no)
                continue
            imbalance = imbalance_of(depth, depth_ticks)
            window = windows[asset_no]
            push(window, imbalance)
            mean, deviation = mean_and_deviation(window)
            if not is_full(window) or not np.isfinite(imbalance):
                cancel_all(hbt, asset_no)
                continue
            z = (imbalance - mean) / deviation if deviation > 0.0 else 0.0
            z = min(max(z, -_Z_MAX), _Z_MAX)
            fair_tick = 0.5 * (depth.best_bid_tick + depth.best_ask_tick) + signal_ticks * z
            reservation_tick = fair_tick - skew_ticks * hbt.position(asset_no) / order_qty
            bid_tick = min(int(np.floor(reservation_tick - half_spread_ticks)), depth.best_ask_tick - 1)
            ask_tick = max(int(np.ceil(reservation_tick + half_spread_ticks)), depth.best_bid_tick + 1)
            quote(hbt, asset_no, bid_tick, ask_tick, order_qty, max_position)
