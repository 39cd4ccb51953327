# pyright: basic
"""The basis: a future against its spot, with funding.

With asset 0 the spot and asset 1 the future, `basis = future / spot - 1` comes back to `fair_basis`, and a perpetual
future pays `rate` of its value at each funding from those who are long to those who are short. What is still to be
earned on the future sold and the spot bought, and the other way round::

    short = bid_1 / ask_0 - 1 - fair_basis + rate        when it is opened
    short = ask_1 / bid_0 - 1 - fair_basis + rate        what is left while it is held
    long  = the same with bids and asks exchanged, all of it with the other sign

`rate` counts where the next funding is within `funding_horizon_ns`. A position is opened when it is to earn more than
four takers' fees and `margin`, and closed when less than `exit_margin` is left, or when the basis has gone the wrong
way by `stop` since.

Sources: the cash-and-carry trade, for instance Hull, *Options, Futures, and Other Derivatives*, chapter "Determination
of forward and futures prices"; for funding, Binance's "Introduction to funding rates" (premium index plus a clamped
interest rate). The rate is read from the future's user events of kind 102 (`user_events_capacity` of the instrument),
whose price is the rate that will be paid next; without them there is no funding. It lives on a basis that comes back;
on one that wanders it pays fees.

Both legs are sent at once; one that can't be done has the other one closed again. It begins flat: positions
that the bot has from an earlier run are closed first.
"""

import numpy as np
from numba import njit

from hftd import ALL_ASSETS, KIND_MASK
from strategies.legs import (
    ALERT_LEG_FAILED,
    ALERT_ROLLED_BACK,
    MOVE_DONE,
    MOVE_FAILED,
    by_asset,
    common_lots,
    is_usable,
    make_legs,
    move,
)

_KIND = np.uint64(KIND_MASK)
_FUNDING_RATE = np.uint64(102)


@njit(nogil=True)
def last_rate(events, rate):
    """The funding rate that user events told last (rows of event_dtype), or the one before them."""
    for i in range(len(events)):
        if (events[i].ev & _KIND) == _FUNDING_RATE and np.isfinite(events[i].px):
            rate = events[i].px
    return rate


@njit(nogil=True)
def basis_trading(
    hbt,
    fees=(0.0002,),
    fair_basis=0.0,
    margin=0.0002,
    exit_margin=0.0,
    stop=0.004,
    order_qty=0.02,
    is_short_spot_allowed=True,
    funding_every_ns=28_800_000_000_000,
    funding_horizon_ns=3_600_000_000_000,
    slippage=0.001,
    leg_timeout_ns=500_000_000,
    retry_ns=50_000_000,
    attempts=3,
    pause_ns=5_000_000_000,
    stale_ns=2_000_000_000,
    contract_sizes=(1.0,),
    interval_ns=10_000_000,
):
    """Trade the basis of a future over its spot, with funding.

    Market: a spot, and its future with user events (`user_events_capacity`).

    Args:
        hbt: The backtest or the bot, with two assets: the spot, and the future with its user events.
        fees (fractions of the price): Taker fees by asset; the last one holds for all further assets.
        fair_basis (fraction): Where the basis comes back to of the spot's price.
        margin (fraction): What a position is to earn after all costs.
        exit_margin (fraction): It is closed when less than this is left to be earned.
        stop (fraction): It is closed when the basis has gone the wrong way by so much since it was opened.
        order_qty (underlying): Quantity of a position; rounded down to lots that both have.
        is_short_spot_allowed: Whether the spot may be sold short (bought future, sold spot).
        funding_every_ns (ns): Time between two fundings since midnight UTC.
        funding_horizon_ns (ns): The next funding counts if it is not further away.
        slippage (fraction): How far beyond the best price an order may take.
        leg_timeout_ns (ns): A leg that can't be done for so long has failed.
        retry_ns (ns): Pause after a failed attempt; doubles with each, up to 64 times.
        attempts: Orders in a row that may fail before the leg has failed, 1 or more.
        pause_ns (ns): Nothing is opened for so long after a leg failed or a stop.
        stale_ns (ns): Prices are believed for that long after the last row of market data.
        contract_sizes (underlying): One contract of each asset; the last one holds for all further assets.
        interval_ns (ns): Time between two looks.
    """
    if hbt.num_assets < 2 or not (order_qty > 0.0 and interval_ns > 0 and funding_every_ns > 0):
        return
    sizes = by_asset(contract_sizes, 2)
    costs = by_asset(fees, 2)
    legs = make_legs(2)
    targets = np.zeros(2)
    round_trip = 2.0 * (costs[0] + costs[1])
    qty = common_lots(order_qty, hbt.depth(0).lot_size * sizes[0], hbt.depth(1).lot_size * sizes[1])
    rate = 0.0
    held = 0
    opened_at = 0.0
    resume_ns = 0
    while hbt.elapse(interval_ns) == 0:
        now_ns = hbt.current_timestamp
        moved = move(hbt, legs, targets, slippage, leg_timeout_ns, retry_ns, stale_ns, attempts)
        hbt.clear_inactive_orders(ALL_ASSETS)
        rate = last_rate(hbt.user_events(1), rate)
        hbt.clear_user_events(1)
        if moved == MOVE_FAILED and held != 0:
            hbt.alert(1, ALERT_LEG_FAILED, targets[1] - hbt.position(1))
            hbt.alert(0, ALERT_ROLLED_BACK, hbt.position(0))
            targets[:] = 0.0
            held = 0
            resume_ns = now_ns + pause_ns
        if moved != MOVE_DONE or not (is_usable(hbt, 0, stale_ns) and is_usable(hbt, 1, stale_ns)):
            continue
        spot = hbt.depth(0)
        future = hbt.depth(1)
        left_ns = funding_every_ns - now_ns % funding_every_ns
        funding = rate if left_ns <= funding_horizon_ns else 0.0
        sold = future.best_bid / spot.best_ask - 1.0
        bought = future.best_ask / spot.best_bid - 1.0
        if held != 0:
            at = bought if held < 0 else sold
            left = -held * (at - fair_basis + funding)
            is_lost = held * (opened_at - at) >= stop
            if left < exit_margin or is_lost:
                targets[:] = 0.0
                held = 0
                if is_lost:
                    resume_ns = now_ns + pause_ns
        elif now_ns >= resume_ns and qty > 0.0:
            if sold - fair_basis + funding > round_trip + margin:
                held = -1
                opened_at = sold
            elif is_short_spot_allowed and fair_basis - bought - funding > round_trip + margin:
                held = 1
                opened_at = bought
            targets[0] = -held * qty / sizes[0]
            targets[1] = held * qty / sizes[1]
