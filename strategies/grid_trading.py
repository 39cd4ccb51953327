# pyright: basic
"""A grid of orders around the optimal quotes of Guéant, Lehalle and Fernandez-Tapia, from measured intensity.

Model. Takers reach a quote at a distance of `delta` ticks from the mid price with intensity
`lambda(delta) = A exp(-k delta)` a second, and the mid price diffuses with `sigma` ticks per root second. For
a maker of constant absolute risk aversion `gamma` who holds `q` orders' worth, the optimal distances, far
from the end of trading, are about::

    c1 = ln(1 + gamma / k) / gamma
    c2 = sqrt(gamma / (2 A k) * (1 + gamma / k) ** (1 + k / gamma))
    bid distance = c1 + (2 q + 1) / 2 * c2 * sigma
    ask distance = c1 - (2 q - 1) / 2 * c2 * sigma

that is, a half spread of `c1 + c2 sigma / 2` around a reservation price of `mid - c2 sigma q`. Source:
Guéant, Lehalle, Fernandez-Tapia, "Dealing with the inventory risk: a solution to the market making problem",
Mathematics and Financial Economics (2013), the closed-form approximations of section 4.

`A`, `k` and `sigma` are measured over a rolling window: of each interval, the deepest price that a taker
reached, from the mid price at its start; `lambda(delta)` is how often that lies beyond `delta`, and a line is
fitted to its logarithm by least squares. Units: k per tick, A per second, sigma ticks per root second, gamma
per tick and order.

The grid's step is the half spread (times `step_ratio`), and its lines lie at multiples of the step, so that
orders stay where they are, with their place in the queue, while the price moves within a step. An order's id
is its price in ticks.
"""

import numpy as np
from numba import njit

from hftd import BUY, BUY_EVENT, GTX, LIMIT
from hftd.rows import Tick
from strategies.market_making import cancel_all, has_book

_BUYER_TOOK = np.uint64(BUY_EVENT)
_BINS = 256
"""Distances of one tick each that the intensity is measured at."""
_COUNT_MIN = 3
"""Distances that takers reached more rarely say too little to be fitted."""
_LEVELS_MAX = 50


@njit(nogil=True)
def deepest_take(trades, mid_tick, tick_size):
    """How many ticks from `mid_tick` takers reached in `trades` (rows of event_dtype); NaN for nowhere."""
    deepest = np.nan
    for i in range(len(trades)):
        distance = trades[i].px / tick_size - mid_tick
        if (trades[i].ev & _BUYER_TOOK) == 0:
            distance = -distance
        # Also false for a NaN price.
        if distance > 0.0 and not distance <= deepest:
            deepest = distance
    return deepest


@njit(nogil=True)
def fit_intensity(depths, seconds):
    """Fit lambda(delta) = A exp(-k delta).

    Args:
        depths: f8[n], ticks that takers reached in each interval; NaN where nobody traded.
        seconds: Time that the intervals span.

    Returns:
        (A a second, k per tick), or (NaN, NaN) if there is too little to fit.
    """
    counts = np.zeros(_BINS, np.int64)
    for depth in depths:
        if depth > 0.0:
            # Bin i counts what went beyond i + 1/2 ticks.
            counts[min(int(depth + 0.5), _BINS) - 1 if depth >= 0.5 else 0] += 1
    n = 0
    sum_x = sum_y = sum_xx = sum_xy = 0.0
    beyond = 0
    for i in range(_BINS - 1, -1, -1):
        beyond += counts[i]
        if beyond >= _COUNT_MIN and seconds > 0.0:
            x = i + 0.5
            y = np.log(beyond / seconds)
            n += 1
            sum_x += x
            sum_y += y
            sum_xx += x * x
            sum_xy += x * y
    spread = n * sum_xx - sum_x * sum_x
    if n < 3 or not spread > 0.0:
        return np.nan, np.nan
    slope = (n * sum_xy - sum_x * sum_y) / spread
    if not slope < 0.0:
        return np.nan, np.nan
    return np.exp((sum_y - slope * sum_x) / n), -slope


@njit(nogil=True)
def root_mean_square(changes):
    """Of the changes that are numbers; NaN if there are fewer than two."""
    n = 0
    total = 0.0
    for change in changes:
        if np.isfinite(change):
            n += 1
            total += change * change
    return np.sqrt(total / n) if n > 1 else np.nan


@njit(nogil=True)
def coefficients(a, k, gamma):
    """c1 in ticks and c2 in root seconds an order; NaN unless A and k are positive."""
    if not (a > 0.0 and k > 0.0):
        return np.nan, np.nan
    ratio = gamma / k
    # The limits of both for a maker who does not mind risk.
    if ratio < 1e-9:
        return 1.0 / k, 0.0
    grown = np.log1p(ratio)
    return grown / gamma, np.sqrt(gamma / (2.0 * a * k) * np.exp((1.0 + 1.0 / ratio) * grown))


@njit(nogil=True)
def place_grid(
    hbt,
    asset_no: int,
    bid_tick: Tick,
    ask_tick: Tick,
    step_ticks: int,
    levels: int,
    order_qty: float,
    max_position: float,
):
    """Have orders at bid_tick, bid_tick - step, ... and ask_tick, ask_tick + step, ... and no others."""
    depth = hbt.depth(asset_no)
    tick_size = depth.tick_size
    tolerance = 0.5 * depth.lot_size
    position = hbt.position(asset_no)
    bids = min(levels, max(int((max_position - position + tolerance) / order_qty), 0))
    asks = min(levels, max(int((max_position + position + tolerance) / order_qty), 0))
    open_buy_qty = 0.0
    open_sell_qty = 0.0
    values = hbt.orders(asset_no).values()
    while values.has_next():
        order = values.get()
        if order.side == BUY:
            open_buy_qty += order.leaves_qty
            away = bid_tick - order.price_tick
            count = bids
        else:
            open_sell_qty += order.leaves_qty
            away = order.price_tick - ask_tick
            count = asks
        if (away < 0 or away >= count * step_ticks or away % step_ticks != 0) and order.cancellable:
            hbt.cancel(asset_no, order.order_id, False)
    orders = hbt.orders(asset_no)
    for i in range(bids):
        tick = bid_tick - i * step_ticks
        if tick <= 0 or position + open_buy_qty + order_qty > max_position + tolerance:
            break
        if tick not in orders:
            hbt.submit_buy_order(asset_no, tick, tick * tick_size, order_qty, GTX, LIMIT, False)
            open_buy_qty += order_qty
    for i in range(asks):
        tick = ask_tick + i * step_ticks
        if position - open_sell_qty - order_qty < -max_position - tolerance:
            break
        if tick not in orders:
            hbt.submit_sell_order(asset_no, tick, tick * tick_size, order_qty, GTX, LIMIT, False)
            open_sell_qty += order_qty


@njit(nogil=True)
def grid_trading(
    hbt,
    gamma=0.01,
    levels=5,
    order_qty=0.01,
    max_position=0.1,
    step_ratio=1.0,
    window_ns=120_000_000_000,
    warm_up_ns=20_000_000_000,
    refit_ns=5_000_000_000,
    interval_ns=100_000_000,
):
    """Keep a grid of orders on every asset, whose step and centre follow from how the market trades.

    Market: any number of assets, each for itself; needs `last_trades_capacity` for the trades of one interval.

    Args:
        hbt: The backtest or the bot.
        gamma (1 / (tick · order)): Risk aversion: more of it leans harder against the position.
        levels: Orders of each side, 1 to 50.
        order_qty (base currency or contracts): Quantity of each order.
        max_position (base currency or contracts): The position stays within plus and minus this.
        step_ratio (half spreads): The grid's step; the step is at least one tick.
        window_ns (ns): The rolling window that intensity and volatility are measured over.
        warm_up_ns (ns): Nothing is quoted before that much was measured.
        refit_ns (ns): Time between two fits.
        interval_ns (ns): Time between two looks at the market.
    """
    if not (order_qty > 0.0 and step_ratio > 0.0 and interval_ns > 0 and levels > 0):
        return
    window = max(window_ns // interval_ns, 2)
    refit = max(refit_ns // interval_ns, 1)
    warm_up = min(max(warm_up_ns // interval_ns, 2), window)
    interval_s = interval_ns / 1e9
    n = hbt.num_assets
    depths = np.full((n, window), np.nan)
    changes = np.full((n, window), np.nan)
    mids = np.full(n, np.nan)
    half_spreads = np.full(n, np.nan)
    skews = np.full(n, np.nan)
    step = 0
    while hbt.elapse(interval_ns) == 0:
        slot = step % window
        step += 1
        for asset_no in range(n):
            hbt.clear_inactive_orders(asset_no)
            depth = hbt.depth(asset_no)
            before_tick = mids[asset_no]
            depths[asset_no, slot] = deepest_take(hbt.last_trades(asset_no), before_tick, depth.tick_size)
            hbt.clear_last_trades(asset_no)
            if not has_book(depth):
                mids[asset_no] = np.nan
                changes[asset_no, slot] = np.nan
                cancel_all(hbt, asset_no)
                continue
            mid_tick = 0.5 * (depth.best_bid_tick + depth.best_ask_tick)
            mids[asset_no] = mid_tick
            changes[asset_no, slot] = mid_tick - before_tick
            if step >= warm_up and step % refit == 0:
                measured = min(step, window)
                a, k = fit_intensity(depths[asset_no, :measured], measured * interval_s)
                sigma = root_mean_square(changes[asset_no, :measured]) / np.sqrt(interval_s)
                c1, c2 = coefficients(a, k, gamma)
                # After a window without trades the last fit is kept: it is the best guess there is.
                if np.isfinite(c1) and np.isfinite(c2 * sigma):
                    half_spreads[asset_no] = c1 + 0.5 * c2 * sigma
                    skews[asset_no] = c2 * sigma
            half_spread = half_spreads[asset_no]
            if not np.isfinite(half_spread):
                continue
            reservation_tick = mid_tick - skews[asset_no] * hbt.position(asset_no) / order_qty
            step_ticks = max(int(np.round(half_spread * step_ratio)), 1)
            bid_tick = min(int(np.floor(reservation_tick - half_spread)), depth.best_ask_tick - 1)
            ask_tick = max(int(np.ceil(reservation_tick + half_spread)), depth.best_bid_tick + 1)
            place_grid(
                hbt,
                asset_no,
                bid_tick // step_ticks * step_ticks,
                -(-ask_tick // step_ticks) * step_ticks,
                step_ticks,
                min(levels, _LEVELS_MAX),
                order_qty,
                max_position,
            )
