# pyright: basic
"""Market making where the tick is large: by the place in the queue.

Where a tick is worth more than makers need, the spread is one tick nearly always, queues are long, and a quote can be
no better than the others: what an order is worth depends on its place in the queue. An order at the front is filled by
any taker; one at the end only by the taker who uses up the level, after whom the price is on the other side. Moallemi
and Yuan, "A model for queue position valuation in a limit order book" (2017), value an order by its place; here their
idea is taken with a simpler forecast of the price.

Model, in ticks, for a bid (asks are the mirror). Which of the two best queues will be used up first follows from their
quantities; for queues that move as independent random walks (Cont and de Larrard, "Price dynamics in a Markovian limit
order market", 2013)::

    P(up; bid, ask) = 2 / pi * arctan(bid / ask)

When the order is filled, only what stands behind it is left of its queue. So a fill is worth::

    value = spread / 2 + (2 P(up; behind, ask) - 1) - fee_ticks

- Join the best bid when `P(up; whole level, ask)` is above `join_probability`: it will last until the order has moved
  up. Stand at `levels - 1` prices below as well: who is there before a price becomes the best one is in front.
- Leave when it is below `leave_probability` and a fill would be worth less than nothing. Else stay: a place is lost
  at once and comes back slowly.
- A position moves both probabilities: by `skew` when it is `max_position`, so that the side that adds to it joins later
  and leaves earlier.

The place in the queue is an estimate from what a strategy sees, live as in a backtest: an order joins behind the
level's quantity when its answer arrives; trades at its price take from the front; a decrease that they do not explain
was cancelled before and behind it in proportion to what stands there. Source: Rigtorp, "Estimating order queue
position" (2013). Live the level's quantity has the own order in it, which matters little where queues are long.
"""

import numpy as np
from numba import njit

from hftd import BUY, BUY_EVENT, GTX, LIMIT, NEW, PARTIALLY_FILLED
from strategies.market_making import cancel_all, has_book

_BUYER_TOOK = np.uint64(BUY_EVENT)
_PLACES = 32
"""Orders of an asset whose place is followed."""
_KEY, _FRONT, _LEVEL, _TRADED, _SEEN = range(5)
"""Columns of a place: the price in ticks (negative: a sell order's; 0: the row is free), the quantity in front, the
level's quantity when it last changed, what was traded there since, the look at which the order was last there."""


@njit(nogil=True)
def places_of(assets):
    """No place yet: f8[assets, 32, 5]."""
    return np.zeros((assets, _PLACES, 5))


@njit(nogil=True)
def front_after(front, before, now, traded):
    """The quantity in front of an order when its level has changed.

    Args:
        front: In front of it, trades taken out.
        before: The level's quantity before the change.
        now: And after it.
        traded: What was traded at the price in between.
    """
    left = max(before - traded, 0.0)
    gone = left - now
    if gone > 0.0:
        front -= gone * min(front / left, 1.0)
    return min(max(front, 0.0), now)


@njit(nogil=True)
def probability(own, other):
    """That the queue of `other` is used up before that of `own`: 0 to 1."""
    return 2.0 / np.pi * np.arctan2(max(own, 0.0), max(other, 0.0)) if own > 0.0 or other > 0.0 else 0.5


@njit(nogil=True)
def _row_of(places, key):
    """The row of a price, else a free one, else -1."""
    free = -1
    for row in range(len(places)):
        if places[row, _KEY] == key:
            return row
        if free < 0 and places[row, _KEY] == 0.0:
            free = row
    return free


@njit(nogil=True)
def follow(hbt, asset_no, places, look):
    """Bring the places of the asset's resting orders up to date, from its book and its trades since the last look.

    Args:
        hbt: The backtest or the bot.
        asset_no: The asset.
        places: f8[32, 5], those of the asset.
        look: A number that is another one at each call, above 0.
    """
    depth = hbt.depth(asset_no)
    trades = hbt.last_trades(asset_no)
    for i in range(len(trades)):
        tick = np.round(trades[i].px / depth.tick_size)
        # A taker who buys takes from the asks.
        key = -tick if (trades[i].ev & _BUYER_TOOK) != 0 else tick
        for row in range(len(places)):
            if places[row, _KEY] == key and key != 0.0:
                places[row, _TRADED] += trades[i].qty
                places[row, _FRONT] = max(places[row, _FRONT] - trades[i].qty, 0.0)
    hbt.clear_last_trades(asset_no)
    values = hbt.orders(asset_no).values()
    while values.has_next():
        order = values.get()
        if order.status != NEW and order.status != PARTIALLY_FILLED:
            continue
        is_bid = order.side == BUY
        tick = order.price_tick
        now = depth.bid_qty_at_tick(tick) if is_bid else depth.ask_qty_at_tick(tick)
        key = float(tick if is_bid else -tick)
        row = _row_of(places, key)
        if row < 0:
            continue
        if places[row, _KEY] != key:
            places[row, _KEY] = key
            places[row, _FRONT] = now
            places[row, _LEVEL] = now
            places[row, _TRADED] = 0.0
        elif now != places[row, _LEVEL]:
            places[row, _FRONT] = front_after(
                places[row, _FRONT], places[row, _LEVEL], now, places[row, _TRADED]
            )
            places[row, _LEVEL] = now
            places[row, _TRADED] = 0.0
        places[row, _SEEN] = look
    for row in range(len(places)):
        if places[row, _SEEN] != look:
            places[row, _KEY] = 0.0


@njit(nogil=True)
def front_of(places, side, tick):
    """The quantity in front of the order at a price; NaN where none is followed."""
    key = float(tick if side == BUY else -tick)
    row = _row_of(places, key)
    return places[row, _FRONT] if row >= 0 and places[row, _KEY] == key and key != 0.0 else np.nan


@njit(nogil=True)
def _may_stand(probability_here, front, level, other, half_spread, join, leave, fee_ticks):
    """Whether an order should be at the best price: an order that is there (its front is a number), or a new one."""
    if np.isnan(front):
        return probability_here > join
    value = half_spread + 2.0 * probability(level - front, other) - 1.0 - fee_ticks
    return probability_here > leave or value > 0.0


@njit(nogil=True)
def queue_making(
    hbt,
    join_probability=0.5,
    leave_probability=0.3,
    skew=0.3,
    levels=2,
    fee_ticks=0.0,
    order_qty=100.0,
    max_position=500.0,
    interval_ns=20_000_000,
):
    """Stand in the queues of the best prices, and leave by what a fill would be worth from the place there.

    Market: any number of assets, each for itself; spreads of one tick and long queues; needs `last_trades_capacity`.

    Args:
        hbt: The backtest or the bot.
        join_probability: A queue is joined if the other side's is used up before it with at least this probability.
        leave_probability: And left below this, if a fill would be worth less than nothing.
        skew: What a position of `max_position` adds to both on its side, and takes off on the other.
        levels: Prices of each side that orders stand at, from the best one on, 1 to 10.
        fee_ticks (ticks): What a maker pays for a fill; negative: a rebate.
        order_qty (base currency or contracts): Quantity of each order.
        max_position (base currency or contracts): The position stays within plus and minus this.
        interval_ns (ns): Time between two looks at the market.
    """
    if not (order_qty > 0.0 and max_position > 0.0 and interval_ns > 0 and 0 < levels <= 10):
        return
    places = places_of(hbt.num_assets)
    look = 0
    while hbt.elapse(interval_ns) == 0:
        look += 1
        for asset_no in range(hbt.num_assets):
            hbt.clear_inactive_orders(asset_no)
            follow(hbt, asset_no, places[asset_no], look)
            depth = hbt.depth(asset_no)
            if not has_book(depth):
                cancel_all(hbt, asset_no)
                continue
            held = skew * hbt.position(asset_no) / max_position
            stand(
                hbt,
                asset_no,
                places[asset_no],
                join_probability,
                leave_probability,
                held,
                levels,
                fee_ticks,
                order_qty,
                max_position,
            )


@njit(nogil=True)
def stand(hbt, asset_no, places, join, leave, held, levels, fee_ticks, order_qty, max_position):
    """Have orders in the queues that are worth it, as far as the position allows, and no others."""
    depth = hbt.depth(asset_no)
    tolerance = 0.5 * depth.lot_size
    position = hbt.position(asset_no)
    bid, ask = depth.best_bid_tick, depth.best_ask_tick
    bid_qty, ask_qty = depth.best_bid_qty, depth.best_ask_qty
    half_spread = 0.5 * (ask - bid)
    for side in (1, -1):
        best, level, other = (bid, bid_qty, ask_qty) if side == 1 else (ask, ask_qty, bid_qty)
        at_best = _may_stand(
            probability(level, other),
            front_of(places, side, best),
            level,
            other,
            half_spread,
            join + side * held,
            leave + side * held,
            fee_ticks,
        )
        open_qty = 0.0
        values = hbt.orders(asset_no).values()
        while values.has_next():
            order = values.get()
            if order.side != side:
                continue
            open_qty += order.leaves_qty
            away = side * (best - order.price_tick)
            wanted = 0 < away < levels or (away == 0 and at_best)
            if not wanted and order.cancellable:
                hbt.cancel(asset_no, order.order_id, False)
        orders = hbt.orders(asset_no)
        for away in range(0 if at_best else 1, levels):
            tick = best - side * away
            # What is open, also what is being cancelled, may still fill.
            if tick <= 0 or side * position + open_qty + order_qty > max_position + tolerance:
                break
            if tick in orders:
                continue
            if side == 1:
                hbt.submit_buy_order(asset_no, tick, tick * depth.tick_size, order_qty, GTX, LIMIT, False)
            else:
                hbt.submit_sell_order(asset_no, tick, tick * depth.tick_size, order_qty, GTX, LIMIT, False)
            open_qty += order_qty
