# pyright: basic
"""Market making, or a grid, on many assets within one limit of what all of them may come to.

Model. Each asset is quoted for itself, in basis points of its mid price and in orders of one value, `order_notional`.
With `q` its position in orders, and `Q` the sum of all positions in orders::

    reservation = mid * (1 - skew_bp * q - net_skew_bp * Q)
    bids at reservation - half_spread_bp, and a step of step_bp below, and so on: `levels` of them
    asks above, as the mirror; prices lie at multiples of the step, so that orders rest while the price moves within one

What all may come to is counted with everything that is open, also what is being cancelled, so no order is sent that
could carry it beyond the limits, whatever fills, whatever the latency; `p` are the mid prices when it is sent::

    gross = sum over assets of p * max(|position + open buys|, |position - open sells|)       <= gross_notional
    net   = |sum over assets of p * (position + open buys)|, the same with open sells         <= net_notional
    each asset: p * |position ...|                                                            <= asset_notional

Where there is not room for all quotes, the least important go first. Those that bring a position back to zero are the
most important; the others follow by what they earn for their risk, `half spread / volatility / place in the grid`, the
volatility being that of the mid price over `window_ns`. The lean against each position and against their sum is the
linear form of Guéant, "Optimal market making" (Applied Mathematical Finance, 2017), for assets that move alike.
"""

import numpy as np
from numba import njit

from hftd import BUY, GTX, LIMIT
from strategies.market_making import cancel_all, has_book
from strategies.rolling import push, root_mean_square, windows_of

_BP = 1e-4
_REDUCES = 1e12
"""Above any importance that follows from a volatility."""
_LEVELS_MAX = 20


@njit(nogil=True)
def exposure(prices, positions, buys, sells):
    """(gross, net if all buys fill, net if all sells fill) in the quote currency.

    Args:
        prices: f8[n], the value of one unit of each asset.
        positions: f8[n].
        buys: f8[n], what is open to buy.
        sells: f8[n], what is open to sell.
    """
    gross = 0.0
    net_long = 0.0
    net_short = 0.0
    for i in range(len(prices)):
        gross += prices[i] * max(abs(positions[i] + buys[i]), abs(positions[i] - sells[i]))
        net_long += prices[i] * (positions[i] + buys[i])
        net_short += prices[i] * (positions[i] - sells[i])
    return gross, net_long, net_short


@njit(nogil=True)
def has_room(prices, positions, buys, sells, limits, asset_no, side, qty):
    """Whether one order more leaves everything within the limits.

    Args:
        prices: f8[n], the value of one unit of each asset.
        positions: f8[n].
        buys: f8[n], what is open to buy.
        sells: f8[n], what is open to sell.
        limits: f8[3]: gross, net, of one asset; in the quote currency.
        asset_no: The asset of the order.
        side: 1 to buy, -1 to sell.
        qty: Its quantity.
    """
    held = buys if side == 1 else sells
    held[asset_no] += qty
    gross, net_long, net_short = exposure(prices, positions, buys, sells)
    own = prices[asset_no] * abs(positions[asset_no] + side * held[asset_no])
    before = prices[asset_no] * abs(positions[asset_no])
    held[asset_no] -= qty
    # An order that only takes an asset's position back is never in the way of the limits of gross and of the asset.
    shrinks = own < before
    net = net_long if side == 1 else -net_short
    return net <= limits[1] and (shrinks or (gross <= limits[0] and own <= limits[2]))


@njit(nogil=True)
def portfolio_making(
    hbt,
    order_notional=200.0,
    half_spread_bp=0.5,
    step_bp=0.1,
    levels=1,
    skew_bp=0.1,
    net_skew_bp=0.05,
    asset_notional=1_000.0,
    gross_notional=3_000.0,
    net_notional=1_000.0,
    contract_size=1.0,
    window_ns=60_000_000_000,
    interval_ns=50_000_000,
):
    """Quote all assets within limits of the gross and net value of all positions.

    Market: two assets or more, linear contracts or spot, with one quote currency.

    Args:
        hbt: The backtest or the bot.
        order_notional (quote currency): Value of each order, rounded to lots, one lot at least.
        half_spread_bp (bp): Distance of the first quote of a side from the reservation price, above 0.
        step_bp (bp): Distance of the next ones; prices lie at multiples of it; one tick at least.
        levels: Orders of each side of each asset, 1 to 20.
        skew_bp (bp): How far each order's worth of an asset's position moves its reservation price.
        net_skew_bp (bp): How far each order's worth of the net position moves all reservation prices.
        asset_notional (quote currency): The most of one asset, with all that is open filled.
        gross_notional (quote currency): The most of all assets, long and short added up.
        net_notional (quote currency): The most of all assets, long less short.
        contract_size: Units of the underlying in one contract, of all assets.
        window_ns (ns): What the volatility is measured over.
        interval_ns (ns): Time between two looks at the market.
    """
    if not (order_notional > 0.0 and half_spread_bp > 0.0 and contract_size > 0.0 and interval_ns > 0):
        return
    n = hbt.num_assets
    levels = min(max(levels, 1), _LEVELS_MAX)
    limits = np.array([gross_notional, net_notional, asset_notional])
    windows = windows_of(n, window_ns // interval_ns)
    mids = np.full(n, np.nan)  # of the last look, NaN where there was no book
    prices = np.zeros(n)  # the value of one unit, by the last book that there was
    positions = np.zeros(n)
    # Quotes that are wished for: [asset, side, place in the grid], side 0 is the bid.
    ticks = np.zeros((n, 2, levels), np.int64)
    importance = np.zeros((n, 2, levels))
    qtys = np.zeros(n)
    while hbt.elapse(interval_ns) == 0:
        is_unknown = False
        for i in range(n):
            hbt.clear_inactive_orders(i)
            depth = hbt.depth(i)
            positions[i] = hbt.position(i)
            if has_book(depth):
                mid = 0.5 * (depth.best_bid_tick + depth.best_ask_tick) * depth.tick_size
                push(windows[i], (mid / mids[i] - 1.0) / _BP)
                mids[i] = mid
                prices[i] = mid * contract_size
                qtys[i] = max(np.round(order_notional / prices[i] / depth.lot_size), 1.0) * depth.lot_size
            else:
                mids[i] = np.nan
                is_unknown = is_unknown or (prices[i] == 0.0 and positions[i] != 0.0)
        if is_unknown:
            # What is held can't be valued: there is no saying what the limits leave.
            for i in range(n):
                cancel_all(hbt, i)
            continue
        net = exposure(prices, positions, np.zeros(n), np.zeros(n))[1] / order_notional
        for i in range(n):
            _wish(
                hbt,
                i,
                mids[i],
                half_spread_bp,
                step_bp,
                skew_bp * positions[i] * prices[i] / order_notional + net_skew_bp * net,
                positions[i] / qtys[i] if qtys[i] > 0.0 else 0.0,
                root_mean_square(windows[i]),
                ticks[i],
                importance[i],
            )
        _place(hbt, ticks, importance, qtys, prices, positions, limits)


@njit(nogil=True)
def _wish(hbt, asset_no, mid, half_spread_bp, step_bp, lean_bp, held, volatility_bp, ticks, importance):
    """The quotes of one asset, and how important each is; 0 where none is wished for."""
    importance[:] = 0.0
    if np.isnan(mid):
        return
    depth = hbt.depth(asset_no)
    mid_tick = mid / depth.tick_size
    reservation_tick = mid_tick * (1.0 - lean_bp * _BP)
    half_ticks = mid_tick * half_spread_bp * _BP
    step_ticks = max(int(np.round(mid_tick * step_bp * _BP)), 1)
    bid_tick = min(int(np.floor(reservation_tick - half_ticks)), depth.best_ask_tick - 1)
    ask_tick = max(int(np.ceil(reservation_tick + half_ticks)), depth.best_bid_tick + 1)
    bid_tick = bid_tick // step_ticks * step_ticks
    ask_tick = -(-ask_tick // step_ticks) * step_ticks
    # Before anything is measured all assets count the same.
    edge = half_spread_bp / volatility_bp if volatility_bp > 0.0 else 1.0
    for level in range(ticks.shape[1]):
        ticks[0, level] = bid_tick - level * step_ticks
        ticks[1, level] = ask_tick + level * step_ticks
        for s in range(2):
            side = 1.0 - 2.0 * s
            reduces = side * held + level + 1.0 <= 0.5
            if ticks[s, level] > 0:
                importance[s, level] = edge / (level + 1.0) + (_REDUCES if reduces else 0.0)


@njit(nogil=True)
def _place(hbt, ticks, importance, qtys, prices, positions, limits):
    """Choose from the quotes by importance as many as there is room for; have these, and no others."""
    n, _, levels = ticks.shape
    order_of = np.argsort(-importance.reshape(-1), kind="mergesort")
    chosen = np.zeros((n, 2, levels), np.bool_)
    buys = np.zeros(n)
    sells = np.zeros(n)
    for flat in order_of:
        i, s, level = flat // (2 * levels), flat // levels % 2, flat % levels
        if importance[i, s, level] <= 0.0:
            break
        side = 1 - 2 * s
        if has_room(prices, positions, buys, sells, limits, i, side, qtys[i]):
            chosen[i, s, level] = True
            if side == 1:
                buys[i] += qtys[i]
            else:
                sells[i] += qtys[i]
    buys[:] = 0.0
    sells[:] = 0.0
    for i in range(n):
        values = hbt.orders(i).values()
        while values.has_next():
            order = values.get()
            s = 0 if order.side == BUY else 1
            if s == 0:
                buys[i] += order.leaves_qty
            else:
                sells[i] += order.leaves_qty
            wanted = False
            for level in range(levels):
                if chosen[i, s, level] and ticks[i, s, level] == order.price_tick:
                    wanted = True
            if not wanted and order.cancellable:
                hbt.cancel(i, order.order_id, False)
    for flat in order_of:
        i, s, level = flat // (2 * levels), flat // levels % 2, flat % levels
        if not chosen[i, s, level]:
            continue
        side, tick, qty = 1 - 2 * s, ticks[i, s, level], qtys[i]
        # What is open, also what is being cancelled, may still fill.
        if tick in hbt.orders(i) or not has_room(prices, positions, buys, sells, limits, i, side, qty):
            continue
        price = tick * hbt.depth(i).tick_size
        if side == 1:
            hbt.submit_buy_order(i, tick, price, qty, GTX, LIMIT, False)
            buys[i] += qty
        else:
            hbt.submit_sell_order(i, tick, price, qty, GTX, LIMIT, False)
            sells[i] += qty
