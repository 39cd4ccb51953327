# pyright: basic
"""Three instruments of one exchange, one too many: A in C, B in C, and B in A.

With asset 0 the pair A/C (as BTCUSDT), asset 1 the pair B/C (as ETHUSDT) and asset 2 the pair B/A (as ETHBTC), one unit
of B bought for A, whose A is bought for C, and sold for C, earns::

    up   = (bid_1 * (1 - fee_1) - ask_2 * (1 + fee_2) * ask_0 * (1 + fee_0)) / ask_1
    down = (bid_2 * (1 - fee_2) * bid_0 * (1 - fee_0) - ask_1 * (1 + fee_1)) / ask_1      the other way round

When one of them is above `margin`, three orders are sent at once, immediate-or-cancel at the prices that were seen, for
no more than stands there. Source: the consistency of cross rates; Aiba, Hatano, Takayasu, Marumo and Shimizu,
"Triangular arbitrage as an interaction among foreign exchange rates" (Physica A, 2002).

What is left open is known exactly from the accounts, whatever filled: of B the positions of 1 and 2, of A the
position of 0 and what asset 2 has paid and got in A, fees included. Both are closed for C on assets 1 and 0, which
completes the triangle. When one of these can't be done, and with `roll_back`, it is turned into the other one on
asset 2, which undoes the triangle where both are open. No further triangle is begun before. Rounding leaves less than
a lot of A each time; it is closed when it makes one.
"""

import numpy as np
from numba import njit

from hftd import ALL_ASSETS, BUY, SELL
from strategies.legs import (
    ALERT_LEG_FAILED,
    ALERT_ROLLED_BACK,
    LEG_LATE,
    LEG_WAITING,
    by_asset,
    common_lots,
    is_ready,
    is_usable,
    make_legs,
    may_go_on,
    send,
    watch,
)


@njit(nogil=True)
def _open_quantities(hbt):
    """What is open in A and in B: (quantity of A, quantity of B)."""
    crossed = hbt.state_values(2)
    return hbt.position(0) + crossed.balance - crossed.fee, hbt.position(1) + crossed.position


@njit(nogil=True)
def qty_to_undo(left_a, left_b, price, is_bad_a, is_bad_b):
    """How much of B to sell for A (below 0: to buy), so that what can't be closed becomes what can.

    Where neither can be, only as far as one makes up for the other.
    """
    if is_bad_a and is_bad_b:
        if left_a * left_b >= 0.0:
            return 0.0
        qty = min(abs(left_b), abs(left_a) / price)
        return qty if left_b > 0.0 else -qty
    return left_b if is_bad_b else -left_a / price


@njit(nogil=True)
def close_residual(hbt, legs, asset_no, residual, least, slippage, pause_ns):
    """Send what closes a residual on its asset, if it is worth an order. Returns the quantity sent."""
    if abs(residual) < least * (1.0 - 1e-6):
        return 0.0
    return send(hbt, legs, asset_no, SELL if residual > 0.0 else BUY, abs(residual), slippage, pause_ns)


@njit(nogil=True)
def triangular_arbitrage(
    hbt,
    fees=(0.0001,),
    margin=0.0001,
    order_qty=0.1,
    least_a=0.0001,
    least_b=0.001,
    slippage=0.001,
    leg_timeout_ns=300_000_000,
    retry_ns=20_000_000,
    attempts=3,
    roll_back=True,
    pause_ns=2_000_000_000,
    rest_ns=1_000_000_000,
    stale_ns=1_000_000_000,
    interval_ns=10_000_000,
):
    """Trade three pairs of three currencies around, when that earns more than the fees.

    Market: three instruments of one exchange, A/C, B/C and B/A (BTCUSDT, ETHUSDT, ETHBTC), in units of their base.

    Args:
        hbt: The backtest or the bot, with three assets: A/C, B/C and B/A, all in units of their base.
        fees (fractions of the price): Taker fees by asset; the last one holds for all further assets.
        margin (fraction): What a triangle is to earn after fees.
        order_qty (B): Quantity of a triangle at most, in B.
        least_a (A): Less than this of A is left open, in A: the smallest order of asset 0.
        least_b (B): Less than this of B is left open, in B: the smallest order of asset 1.
        slippage (fraction): How far beyond the best price what closes residuals may take.
        leg_timeout_ns (ns): An order without an end is late after that.
        retry_ns (ns): Pause of an asset after a failed attempt; doubles with each, up to 64 times.
        attempts: Orders in a row that may fail before a residual counts as not to be closed on its asset, 1 or more.
        roll_back: Whether it is then undone on asset 2; else it waits.
        pause_ns (ns): No triangle is begun for so long after that.
        rest_ns (ns): Time between the beginnings of two triangles. A recorded market does not notice what was taken,
            so without a rest a backtest takes the same quantity again and again; live it may be 0.
        stale_ns (ns): Prices are believed for that long after the last row of market data.
        interval_ns (ns): The longest time between two looks where nothing happens.
    """
    if hbt.num_assets < 3 or not (order_qty > 0.0 and interval_ns > 0):
        return
    costs = by_asset(fees, 3)
    legs = make_legs(3)
    is_bad = np.zeros(3, np.bool_)
    was_failing = False
    open_ns = resume_ns = 0
    while may_go_on(hbt.wait_next_feed(True, interval_ns)):
        now_ns = hbt.current_timestamp
        is_waiting = is_late = False
        are_usable = True
        for asset_no in range(3):
            state = watch(hbt, legs, asset_no, leg_timeout_ns, retry_ns)
            if state == LEG_WAITING:
                is_waiting = True
            elif state == LEG_LATE:
                is_late = True
            is_usable_now = is_usable(hbt, asset_no, stale_ns)
            are_usable = are_usable and is_usable_now
            is_bad[asset_no] = state == LEG_LATE or legs[asset_no].failures >= attempts
            if not is_usable_now and now_ns - open_ns >= leg_timeout_ns:
                is_bad[asset_no] = True
        hbt.clear_inactive_orders(ALL_ASSETS)
        if is_waiting:
            continue
        first = hbt.depth(0)
        second = hbt.depth(1)
        cross = hbt.depth(2)
        left_a, left_b = _open_quantities(hbt)
        is_open_a = abs(left_a) > least_a * (1.0 - 1e-6)
        is_open_b = abs(left_b) > least_b * (1.0 - 1e-6)
        if is_open_a or is_open_b:
            is_failing = (is_bad[0] and is_open_a) or (is_bad[1] and is_open_b)
            if is_failing:
                resume_ns = now_ns + pause_ns
                if not was_failing:
                    hbt.alert(1 if is_bad[1] else 0, ALERT_LEG_FAILED, left_b if is_bad[1] else left_a)
            was_failing = is_failing
            undone = 0.0
            if is_failing and roll_back and is_usable(hbt, 2, stale_ns):
                undone = qty_to_undo(left_a, left_b, cross.best_bid, is_bad[0], is_bad[1])
                undone = close_residual(hbt, legs, 2, undone, least_b, slippage, retry_ns)
                if undone > 0.0:
                    hbt.alert(2, ALERT_ROLLED_BACK, undone)
            if undone == 0.0:
                if is_usable(hbt, 0, stale_ns):
                    close_residual(hbt, legs, 0, left_a, least_a, slippage, retry_ns)
                if is_usable(hbt, 1, stale_ns):
                    close_residual(hbt, legs, 1, left_b, least_b, slippage, retry_ns)
            continue
        was_failing = False
        open_ns = now_ns
        if is_late or not are_usable or now_ns < resume_ns:
            continue
        if not (is_ready(legs, 0, now_ns) and is_ready(legs, 1, now_ns) and is_ready(legs, 2, now_ns)):
            continue
        sold = second.best_bid * (1.0 - costs[1])
        made = cross.best_ask * (1.0 + costs[2]) * first.best_ask * (1.0 + costs[0])
        bought = second.best_ask * (1.0 + costs[1])
        turned = cross.best_bid * (1.0 - costs[2]) * first.best_bid * (1.0 - costs[0])
        least_gain = margin * second.best_ask
        if sold - made > least_gain:
            there = min(second.best_bid_qty, cross.best_ask_qty, first.best_ask_qty / cross.best_ask)
            qty = common_lots(min(order_qty, there), second.lot_size, cross.lot_size)
            if qty > 0.0 and send(hbt, legs, 2, BUY, qty, 0.0, retry_ns) > 0.0:
                send(hbt, legs, 0, BUY, qty * cross.best_ask, 0.0, retry_ns)
                send(hbt, legs, 1, SELL, qty, 0.0, retry_ns)
                resume_ns = now_ns + rest_ns
        elif turned - bought > least_gain:
            there = min(second.best_ask_qty, cross.best_bid_qty, first.best_bid_qty / cross.best_bid)
            qty = common_lots(min(order_qty, there), second.lot_size, cross.lot_size)
            if qty > 0.0 and send(hbt, legs, 2, SELL, qty, 0.0, retry_ns) > 0.0:
                send(hbt, legs, 0, SELL, qty * cross.best_bid, 0.0, retry_ns)
                send(hbt, legs, 1, BUY, qty, 0.0, retry_ns)
                resume_ns = now_ns + rest_ns
