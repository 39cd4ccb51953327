# pyright: basic
"""Statistical arbitrage of a pair: two assets whose prices drift apart and come back.

Of the mid prices, sampled each `sample_ns` over a rolling window, with `y` and `x` the logarithms of asset 1 and 0::

    h = cov(x, y) / var(x)                    the hedge ratio, over the long window; or a given one
    s = y - h x                               the spread
    z = (s - mean(s)) / deviation(s)          over the short window

The spread is sold (asset 1 sold, `h` times its value of asset 0 bought) when `z >= entry_z`, bought when
`z <= -entry_z`, and closed when `z` has come back to within `exit_z` of 0. It is closed as well when it goes on to
`stop_z`, or after `hold_ns`; then nothing is opened until `|z| < exit_z`. A spread is only opened if its way back to
the mean pays for four takers' fees, half a bid-ask spread with each, and `margin`.

Sources: Gatev, Goetzmann and Rouwenhorst, "Pairs trading: performance of a relative-value arbitrage rule" (Review of
Financial Studies, 2006) for the rule; Engle and Granger, "Co-integration and error correction" (Econometrica, 1987)
for the regression of one price on the other. It lives on pairs that are cointegrated; on two random walks it pays fees.

Both legs are sent at once. If one can't be done (refused `attempts` times, no answer within `leg_timeout_ns`, a book
that is not valid, an exchange that is not connected), the other one is closed again. It begins flat: positions that
the bot has from an earlier run are closed first.
"""

import numpy as np
from numba import njit

from hftd import ALL_ASSETS
from strategies.legs import (
    ALERT_LEG_FAILED,
    ALERT_ROLLED_BACK,
    MOVE_DONE,
    MOVE_FAILED,
    by_asset,
    is_usable,
    make_legs,
    move,
    whole_lots,
)


@njit(nogil=True)
def slope(x, y):
    """The slope of y on x by least squares; NaN if x does not vary."""
    dx = x - np.mean(x)
    variance = np.sum(dx * dx)
    return np.sum(dx * (y - np.mean(y))) / variance if variance > 0.0 else np.nan


@njit(nogil=True)
def latest(ring, count, n):
    """The last `n` of `count` values that were written into a ring, in no particular order of age."""
    size = len(ring)
    found = np.empty(n)
    for i in range(n):
        found[i] = ring[(count - 1 - i) % size]
    return found


@njit(nogil=True)
def pairs_trading(
    hbt,
    notional=1_000.0,
    fees=(0.0002,),
    entry_z=2.0,
    exit_z=0.25,
    stop_z=5.0,
    margin=0.0002,
    hedge_ratio=1.0,
    ratio_window=1_800,
    window=240,
    sample_ns=500_000_000,
    hold_ns=300_000_000_000,
    slippage=0.001,
    leg_timeout_ns=500_000_000,
    retry_ns=50_000_000,
    attempts=3,
    pause_ns=5_000_000_000,
    stale_ns=2_000_000_000,
    contract_sizes=(1.0,),
    interval_ns=10_000_000,
):
    """Trade the spread of one asset over another, when it is away from its mean.

    Market: two assets that are cointegrated.

    Args:
        hbt: The backtest or the bot, with two assets.
        notional (quote currency): Value of a position in asset 1; rounded down to lots.
        fees (fractions of the price): Taker fees by asset; the last one holds for all further assets.
        entry_z (deviations): Deviations from the mean at which the spread is opened.
        exit_z (deviations): Deviations at which it is closed.
        stop_z (deviations): Deviations, the wrong way, at which it is given up.
        margin (fraction): What the way back to the mean is to earn after all costs.
        hedge_ratio: Value of asset 0 against one of asset 1; 0: measured, and nothing is opened while it is not
            between 0.1 and 10.
        ratio_window (samples): Samples that the hedge ratio is measured over.
        window (samples): Samples that mean and deviation are measured over.
        sample_ns (ns): Time between two samples.
        hold_ns (ns): A position is given up after that.
        slippage (fraction): How far beyond the best price an order may take.
        leg_timeout_ns (ns): A leg that can't be done for so long has failed.
        retry_ns (ns): Pause after a failed attempt; doubles with each, up to 64 times.
        attempts: Orders in a row that may fail before the leg has failed, 1 or more.
        pause_ns (ns): Nothing is opened for so long after a leg failed.
        stale_ns (ns): Prices are believed for that long after the last row of market data.
        contract_sizes (underlying): One contract of each asset; the last one holds for all further assets.
        interval_ns (ns): Time between two looks.
    """
    if hbt.num_assets < 2 or window < 2 or not (notional > 0.0 and interval_ns > 0 and sample_ns > 0):
        return
    sizes = by_asset(contract_sizes, 2)
    costs = by_asset(fees, 2)
    legs = make_legs(2)
    targets = np.zeros(2)
    needed = window if hedge_ratio > 0.0 else max(window, ratio_window)
    xs = np.zeros(needed)
    ys = np.zeros(needed)
    count = 0
    held = 0
    is_given_up = False
    opened_ns = resume_ns = next_ns = 0
    while hbt.elapse(interval_ns) == 0:
        now_ns = hbt.current_timestamp
        moved = move(hbt, legs, targets, slippage, leg_timeout_ns, retry_ns, stale_ns, attempts)
        hbt.clear_inactive_orders(ALL_ASSETS)
        if moved == MOVE_FAILED and held != 0:
            hbt.alert(1, ALERT_LEG_FAILED, targets[1] - hbt.position(1))
            hbt.alert(0, ALERT_ROLLED_BACK, hbt.position(0))
            targets[:] = 0.0
            held = 0
            resume_ns = now_ns + pause_ns
        if now_ns < next_ns:
            continue
        next_ns = (now_ns // sample_ns + 1) * sample_ns
        if not (is_usable(hbt, 0, stale_ns) and is_usable(hbt, 1, stale_ns)):
            continue
        first = hbt.depth(0)
        second = hbt.depth(1)
        first_mid = 0.5 * (first.best_bid + first.best_ask)
        second_mid = 0.5 * (second.best_bid + second.best_ask)
        xs[count % needed] = np.log(first_mid)
        ys[count % needed] = np.log(second_mid)
        count += 1
        if count < needed:
            continue
        ratio = hedge_ratio if hedge_ratio > 0.0 else slope(xs, ys)
        if not 0.1 <= ratio <= 10.0:
            continue
        spreads = latest(ys, count, window) - ratio * latest(xs, count, window)
        deviation = np.std(spreads)
        if not deviation > 0.0:
            continue
        away = spreads[0] - np.mean(spreads)
        z = away / deviation
        if held != 0:
            is_back = -held * z <= exit_z
            is_lost = -held * z >= stop_z or now_ns - opened_ns >= hold_ns
            if is_back or is_lost:
                targets[:] = 0.0
                held = 0
                is_given_up = is_lost
            continue
        if is_given_up and abs(z) < exit_z:
            is_given_up = False
        half_spreads = 0.5 * (second.best_ask - second.best_bid) / second_mid
        half_spreads += ratio * 0.5 * (first.best_ask - first.best_bid) / first_mid
        cost = 2.0 * (costs[1] + ratio * costs[0] + half_spreads)
        may_open = moved == MOVE_DONE and not is_given_up and now_ns >= resume_ns
        if may_open and entry_z <= abs(z) < stop_z and abs(away) > cost + margin:
            first_qty = whole_lots(ratio * notional / (first_mid * sizes[0]), first.lot_size)
            second_qty = whole_lots(notional / (second_mid * sizes[1]), second.lot_size)
            if first_qty > 0.0 and second_qty > 0.0:
                held = -1 if z > 0.0 else 1
                targets[1] = held * second_qty
                targets[0] = -held * first_qty
                opened_ns = now_ns
