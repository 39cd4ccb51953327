# pyright: basic
"""Market making around a fair price that the returns of other assets forecast.

Model. In the arbitrage pricing theory an asset's return is a sum of what moves all assets, each times the asset's
own loading, and of what is its own (Ross, "The arbitrage theory of capital asset pricing", Journal of Economic
Theory, 1976). Where an asset follows the others a little late, their last returns tell a part of its next one. With
returns over `horizon_ns` in basis points, `f_1 ... f_k` those of the factors and `r` that of the quoted asset::

    r(t, t + horizon) = b_0 r(t - horizon, t) + b_1 f_1(t - horizon, t) + ... + b_k f_k(t - horizon, t) + noise

The `b` are fitted by least squares over the last `window_ns`, again each `refit_ns`; a ridge keeps factors that move
alike from getting large weights of opposite sign. The sum is the forecast, and in ticks, `q` the position in orders::

    fair = mid * (1 + strength * forecast), at most max_shift_ticks off the mid price
    bid, ask = fair - skew_ticks * q -/+ half_spread_ticks, rounded away from it, post-only

That a lagging asset is best forecast by a regression on the leading ones: Hasbrouck, "One security, many markets"
(Journal of Finance, 1995); Huth and Abergel, "High frequency lead/lag relationships" (Journal of Empirical Finance,
2014).
"""

import numpy as np
from numba import njit

from strategies.market_making import cancel_all, has_book, quote
from strategies.rolling import solve

_BP = 1e4
_RIDGE = 0.01
"""A hundredth of each factor's own variance."""


@njit(nogil=True)
def count_sample(gram, right, row, sign):
    """Add a row of samples to the sums of a regression, or take it out.

    Args:
        gram: f8[k, k], the sums of the products of the regressors; its lower half is kept.
        right: f8[k], the sums of their products with what is forecast.
        row: f8[k + 1]: the regressors, and last what is forecast.
        sign: 1.0 or -1.0.
    """
    k = len(right)
    for i in range(k):
        right[i] += sign * row[i] * row[k]
        for j in range(i + 1):
            gram[i, j] += sign * row[i] * row[j]


@njit(nogil=True)
def factor_making(
    hbt,
    half_spread_ticks=8.0,
    strength=1.0,
    max_shift_ticks=40.0,
    skew_ticks=2.0,
    order_qty=0.01,
    max_position=0.1,
    horizon_ns=500_000_000,
    window_ns=120_000_000_000,
    warm_up_ns=60_000_000_000,
    refit_ns=1_000_000_000,
    interval_ns=50_000_000,
):
    """Quote both sides of the first asset around a price that the other assets' returns forecast.

    Market: two assets or more; the first is quoted, the others only looked at; it follows them with a lag.

    Args:
        hbt: The backtest or the bot.
        half_spread_ticks (ticks): Distance of each quote from the reservation price, above 0.
        strength: The part of the forecast that moves the fair price; 0: the forecast is not used.
        max_shift_ticks (ticks): The forecast moves the fair price by this at most.
        skew_ticks (ticks): How far each order's worth of position moves the reservation price.
        order_qty (base currency or contracts): Quantity of each order.
        max_position (base currency or contracts): The position stays within plus and minus this.
        horizon_ns (ns): The time over which returns are taken and forecast.
        window_ns (ns): The rolling window of the regression.
        warm_up_ns (ns): Nothing is quoted before the window has samples of that time.
        refit_ns (ns): Time between two fits.
        interval_ns (ns): Time between two looks at the market, and between two samples.
    """
    if not (half_spread_ticks > 0.0 and order_qty > 0.0 and interval_ns > 0):
        return
    n = hbt.num_assets
    horizon = max(horizon_ns // interval_ns, 1)
    window = max(window_ns // interval_ns, 2 * n)
    warm_up = min(max(warm_up_ns // interval_ns, 2 * n), window)
    refit = max(refit_ns // interval_ns, 1)
    # The logarithms of the mid prices, in basis points, at the last looks; the newest stands in slot `step % kept`.
    kept = 2 * horizon + 1
    logs = np.zeros((n, kept))
    samples = np.zeros((window, n + 1))
    gram = np.zeros((n, n))
    right = np.zeros(n)
    betas = np.full(n, np.nan)
    seen = 0  # looks in a row with all books there
    count = 0  # samples so far
    while hbt.elapse(interval_ns) == 0:
        hbt.clear_inactive_orders(0)
        slot = seen % kept
        all_there = True
        for asset_no in range(n):
            depth = hbt.depth(asset_no)
            if has_book(depth):
                mid_tick = 0.5 * (depth.best_bid_tick + depth.best_ask_tick)
                logs[asset_no, slot] = _BP * np.log(mid_tick)
            else:
                all_there = False
        if not all_there:
            # No return is taken over a hole.
            seen = 0
            cancel_all(hbt, 0)
            continue
        seen += 1
        if seen > 2 * horizon:
            row = samples[count % window]
            if count >= window:
                count_sample(gram, right, row, -1.0)
            before, middle = (slot - 2 * horizon) % kept, (slot - horizon) % kept
            for k in range(n):
                row[k] = logs[k, middle] - logs[k, before]
            row[n] = logs[0, slot] - logs[0, middle]
            count_sample(gram, right, row, 1.0)
            count += 1
            if count % window == 0:
                # Adding and taking out leaves rounding behind.
                gram[:] = 0.0
                right[:] = 0.0
                for i in range(window):
                    count_sample(gram, right, samples[i], 1.0)
            if count >= warm_up and count % refit == 0:
                betas[:] = solve(gram, right, _RIDGE)
        if seen <= horizon or not np.isfinite(betas[0]):
            cancel_all(hbt, 0)
            continue
        forecast_bp = 0.0
        for k in range(n):
            forecast_bp += betas[k] * (logs[k, slot] - logs[k, (slot - horizon) % kept])
        depth = hbt.depth(0)
        mid_tick = 0.5 * (depth.best_bid_tick + depth.best_ask_tick)
        shift_ticks = strength * forecast_bp / _BP * mid_tick
        shift_ticks = min(max(shift_ticks, -max_shift_ticks), max_shift_ticks)
        reservation_tick = mid_tick + shift_ticks - skew_ticks * hbt.position(0) / order_qty
        bid_tick = min(int(np.floor(reservation_tick - half_spread_ticks)), depth.best_ask_tick - 1)
        ask_tick = max(int(np.ceil(reservation_tick + half_spread_ticks)), depth.best_bid_tick + 1)
        quote(hbt, 0, bid_tick, ask_tick, order_qty, max_position)
