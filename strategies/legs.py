# pyright: basic
"""Legs: orders in several assets that belong together, and what is done when one of them fails.

A leg is a place for one order in one asset at a time, that takes at once what it can (limit, immediate-or-cancel)
within a slippage, and then is over. Strategies send orders with `send`, look after them with `watch` at each wake,
before `clear_inactive_orders`, and judge what is to be done from positions, never from what they sent: positions are
what the exchange says. An order whose answer does not come is *late*: it may still fill, so whatever else is sent must
be right in either case; `open_exposure` says what is possible at most.

After an attempt that executed nothing the leg pauses, each time twice as long, up to 64 times the first pause.

Quantities of orders are in whole lots, those of exposures in units of the underlying: `position * size`, where `size`
is the contract's (1 on spot). Fees, margins and slippages are fractions of the price.
"""

import numpy as np
from numba import njit

from hftd import (
    BOOK_VALID,
    BUY,
    CANCELED,
    CONNECTED,
    EXPIRED,
    FILLED,
    INVALID_MAX,
    INVALID_MIN,
    IOC,
    LIMIT,
    MARKET_FEED,
    OK,
    ORDER_RESPONSE,
    SELL,
)
from strategies.market_making import has_book

LEG_IDS = 1 << 40
"""Ids of legs' orders are from here on: no price in ticks, as quotes have for ids, is as high."""

LEG_FREE = 0
"""`watch`: no order is under way."""
LEG_WAITING = 1
"""`watch`: an order is under way."""
LEG_LATE = 2
"""`watch`: an order is under way for longer than it should be."""

MOVE_DONE = 0
"""`move`: all positions are where they should be."""
MOVE_UNDER_WAY = 1
"""`move`: orders are under way, or will be sent soon."""
MOVE_FAILED = 2
"""`move`: an asset can't get to where it should be, for now."""

ALERT_LEG_FAILED = 1
"""Code of an alert: a leg failed as often as it may; the value is the exposure that it leaves."""
ALERT_ROLLED_BACK = 2
"""Code of an alert: a leg is closed because its counterpart can't be done; the value is the quantity sent."""

_PAUSES_MAX = 6
_IDS_TRIED_MAX = 1024

leg_dtype = np.dtype(
    [
        ("order_id", "i8"),  # of the order under way; 0: none
        ("next_id", "i8"),
        ("sent_ns", "i8"),
        ("position", "f8"),  # when it was sent
        ("failures", "i8"),  # attempts in a row that executed nothing or were late
        ("retry_ns", "i8"),  # nothing is sent before
        ("is_late", "i8"),
        ("blocked_ns", "i8"),  # since when `move` has something to send and can't; 0: it has not, or can
    ]
)


@njit(nogil=True)
def make_legs(count):
    """A leg for each of `count` assets, shape (count,), `leg_dtype`."""
    legs = np.zeros(count, leg_dtype)
    for i in range(count):
        legs[i].next_id = LEG_IDS
    return legs


@njit(nogil=True)
def may_go_on(code):
    """Whether a wait's answer lets the strategy go on: neither the end nor an error."""
    return code in (OK, MARKET_FEED, ORDER_RESPONSE)


@njit(nogil=True)
def whole_lots(qty, lot_size):
    """The largest whole number of lots that is no more than `qty`, as a quantity; 0 for none, less, or NaN."""
    if not qty > 0.0:
        return 0.0
    return np.floor(qty / lot_size + 1e-6) * lot_size


@njit(nogil=True)
def by_asset(values, count):
    """Of what is given by asset, f8[count]: the last value holds for all further assets as well."""
    found = np.empty(count)
    for asset_no in range(count):
        found[asset_no] = values[min(asset_no, len(values) - 1)]
    return found


@njit(nogil=True)
def is_over(order):
    """Whether nothing can happen to an order any more."""
    return order.status == FILLED or order.status == EXPIRED or order.status == CANCELED


@njit(nogil=True)
def feed_age_ns(hbt, asset_no):
    """How long ago the last row of market data came, in nanoseconds; the greatest int64 before the first."""
    feed = hbt.feed_latency(asset_no)
    if feed is None:
        return INVALID_MAX
    return hbt.current_timestamp - feed[1]


@njit(nogil=True)
def is_usable(hbt, asset_no, stale_ns):
    """Whether an asset's prices can be believed and its orders get through; older prices than `stale_ns` can't."""
    return (
        hbt.connection(asset_no) == CONNECTED
        and hbt.book_state(asset_no) == BOOK_VALID
        and has_book(hbt.depth(asset_no))
        and feed_age_ns(hbt, asset_no) <= stale_ns
    )


@njit(nogil=True)
def price_to_take(depth, side, qty, levels_max=200):
    """The price of the last level that an order of `qty` would take, NaN if there is too little.

    At most `levels_max` ticks deep: the worst price for somebody who must trade the quantity at once.
    """
    found = 0.0
    if side == BUY:
        tick = depth.best_ask_tick
        if tick == INVALID_MAX:
            return np.nan
        for i in range(levels_max):
            found += depth.ask_qty_at_tick(tick + i)
            if found >= qty:
                return (tick + i) * depth.tick_size
    else:
        tick = depth.best_bid_tick
        if tick == INVALID_MIN:
            return np.nan
        for i in range(levels_max):
            found += depth.bid_qty_at_tick(tick - i)
            if found >= qty:
                return (tick - i) * depth.tick_size
    return np.nan


@njit(nogil=True)
def taking_tick(depth, side, slippage):
    """The limit of an order that takes up to the fraction `slippage` beyond the best price, in ticks."""
    if side == BUY:
        tick = depth.best_ask_tick
        return max(tick, int(np.floor(tick * (1.0 + slippage) + 1e-9)))
    tick = depth.best_bid_tick
    return max(min(tick, int(np.ceil(tick * (1.0 - slippage) - 1e-9))), 1)


@njit(nogil=True)
def note_failure(leg, now_ns, pause_ns):
    """An attempt executed nothing: pause, each time twice as long."""
    leg.retry_ns = now_ns + (pause_ns << min(leg.failures, _PAUSES_MAX))
    leg.failures += 1


@njit(nogil=True)
def is_ready(legs, asset_no, now_ns):
    """Whether an order may be sent: none is under way, and no pause."""
    return legs[asset_no].order_id == 0 and now_ns >= legs[asset_no].retry_ns


@njit(nogil=True)
def send(hbt, legs, asset_no, side, qty, slippage, pause_ns):
    """Send a leg's order, if the leg is ready and the quantity makes a lot.

    Args:
        hbt: The backtest or the bot.
        legs: `leg_dtype`, by asset.
        asset_no: Which; its book must have the side that is taken.
        side: BUY or SELL.
        qty: At most that many units of the asset (contracts); rounded down to lots.
        slippage: How far beyond the best price it may take, as a fraction.
        pause_ns: How long to pause if it can't be sent.

    Returns:
        The quantity that was sent, 0.0 for none.
    """
    now_ns = hbt.current_timestamp
    depth = hbt.depth(asset_no)
    qty = whole_lots(qty, depth.lot_size)
    if qty == 0.0 or not is_ready(legs, asset_no, now_ns):
        return 0.0
    leg = legs[asset_no]
    orders = hbt.orders(asset_no)
    # A bot that was here before may have left orders with these ids.
    for _ in range(_IDS_TRIED_MAX):
        if leg.next_id not in orders:
            break
        leg.next_id += 1
    order_id = leg.next_id
    leg.next_id += 1
    price = taking_tick(depth, side, slippage) * depth.tick_size
    if side == BUY:
        code = hbt.submit_buy_order(asset_no, order_id, price, qty, IOC, LIMIT, False)
    else:
        code = hbt.submit_sell_order(asset_no, order_id, price, qty, IOC, LIMIT, False)
    if code != OK:
        note_failure(leg, now_ns, pause_ns)
        return 0.0
    leg.order_id = order_id
    leg.sent_ns = now_ns
    leg.position = hbt.position(asset_no)
    leg.is_late = 0
    return qty


@njit(nogil=True)
def watch(hbt, legs, asset_no, timeout_ns, pause_ns):
    """Look after a leg's order. Call it at each wake, before `clear_inactive_orders`.

    An order without an end after `timeout_ns` counts as a failure once, and is cancelled as soon as that can be asked
    for. It stays under way until its end is known.

    Returns:
        LEG_FREE, LEG_WAITING or LEG_LATE.
    """
    leg = legs[asset_no]
    if leg.order_id == 0:
        return LEG_FREE
    now_ns = hbt.current_timestamp
    order = hbt.orders(asset_no).get(leg.order_id)
    if order is None or is_over(order):
        leg.order_id = 0
        if abs(hbt.position(asset_no) - leg.position) > 0.5 * hbt.depth(asset_no).lot_size:
            leg.failures = 0
            leg.retry_ns = now_ns
        elif leg.is_late == 0:
            note_failure(leg, now_ns, pause_ns)
        return LEG_FREE
    if now_ns - leg.sent_ns <= timeout_ns:
        return LEG_WAITING
    if leg.is_late == 0:
        leg.is_late = 1
        note_failure(leg, now_ns, pause_ns)
    if order.cancellable:
        hbt.cancel(asset_no, leg.order_id, False)
    return LEG_LATE


@njit(nogil=True)
def net_exposure(hbt, sizes):
    """What is long less what is short over all assets, in units of the underlying (contract sizes in `sizes`)."""
    net = 0.0
    for asset_no in range(len(sizes)):
        net += hbt.position(asset_no) * sizes[asset_no]
    return net


@njit(nogil=True)
def open_exposure(hbt, sizes, first, stop):
    """What open orders may still do, in units of the underlying, those that are being cancelled included.

    Args:
        hbt: The backtest or the bot.
        sizes: Contract sizes, by asset.
        first: The first asset that counts.
        stop: The one behind the last.

    Returns:
        (quotes that buy, quotes that sell, legs that buy, legs that sell); orders with an id below LEG_IDS are quotes.
    """
    quotes_buy = quotes_sell = legs_buy = legs_sell = 0.0
    for asset_no in range(first, stop):
        values = hbt.orders(asset_no).values()
        while values.has_next():
            order = values.get()
            if is_over(order):
                continue
            qty = order.leaves_qty * sizes[asset_no]
            if np.int64(order.order_id) < LEG_IDS:
                if order.side == BUY:
                    quotes_buy += qty
                else:
                    quotes_sell += qty
            elif order.side == BUY:
                legs_buy += qty
            else:
                legs_sell += qty
    return quotes_buy, quotes_sell, legs_buy, legs_sell


@njit(nogil=True)
def leg_room(side, net, open_qtys, max_unhedged):
    """How much a leg may trade at most so that, whatever fills, the exposure stays within plus and minus a limit.

    Args:
        side: The leg's.
        net: As of `net_exposure`.
        open_qtys: As of `open_exposure`.
        max_unhedged: The limit, in units of the underlying.
    """
    quotes_buy, quotes_sell, legs_buy, legs_sell = open_qtys
    if side == BUY:
        return max_unhedged - net - legs_buy - quotes_buy
    return max_unhedged + net - legs_sell - quotes_sell


@njit(nogil=True)
def quote_room(side, net, open_qtys, max_unhedged):
    """As `leg_room`, of quotes: they also leave room for the leg that will hedge what is open already."""
    quotes_buy, quotes_sell, legs_buy, legs_sell = open_qtys
    if side == BUY:
        return max_unhedged - max(net + legs_buy, 0.0) - quotes_buy
    return max_unhedged + min(net - legs_sell, 0.0) - quotes_sell


@njit(nogil=True)
def common_lots(qty, unit, other_unit):
    """The largest quantity up to `qty` that is a whole number of either unit; 0.0 for none.

    Two exchanges can only trade the same quantity in steps that both have; of units with no common multiple below
    1,000 of the larger one there is none.
    """
    larger = max(unit, other_unit)
    smaller = min(unit, other_unit)
    for times in range(1, 1_001):
        parts = times * larger / smaller
        if abs(parts - np.round(parts)) < 1e-6:
            return whole_lots(qty, times * larger)
    return 0.0


@njit(nogil=True)
def even_out(hbt, legs, sizes, fees, net, max_unhedged, slippage, stale_ns, pause_ns):
    """Trade the exposure away in the asset where that costs least after fees, of those that can be used now.

    It may complete what was begun or roll it back: what is cheaper. An asset whose last order failed pauses, so
    another one is taken.

    Args:
        hbt: The backtest or the bot.
        legs: `leg_dtype`, by asset.
        sizes: Contract sizes, by asset.
        fees: Taker fees, by asset, as fractions.
        net: As of `net_exposure`.
        max_unhedged: The exposure stays within plus and minus this, whatever fills.
        slippage: As of `send`.
        stale_ns: As of `is_usable`.
        pause_ns: As of `send`.

    Returns:
        The number of the asset that an order was sent in, -1 for none.
    """
    side = SELL if net > 0.0 else BUY
    qty = min(abs(net), leg_room(side, net, open_exposure(hbt, sizes, 0, len(sizes)), max_unhedged))
    best = -1
    best_price = 0.0
    for asset_no in range(len(sizes)):
        if not is_usable(hbt, asset_no, stale_ns) or not is_ready(legs, asset_no, hbt.current_timestamp):
            continue
        depth = hbt.depth(asset_no)
        if whole_lots(qty / sizes[asset_no], depth.lot_size) == 0.0:
            continue
        # What is paid is negative, what is got positive.
        price = -depth.best_ask * (1.0 + fees[asset_no])
        if side == SELL:
            price = depth.best_bid * (1.0 - fees[asset_no])
        if best < 0 or price > best_price:
            best = asset_no
            best_price = price
    if best >= 0 and send(hbt, legs, best, side, qty / sizes[best], slippage, pause_ns) > 0.0:
        return best
    return -1


@njit(nogil=True)
def move(hbt, legs, targets, slippage, timeout_ns, pause_ns, stale_ns, attempts):
    """Bring positions to their targets, all assets at the same time, each by one order after the other.

    Call it at each wake, before `clear_inactive_orders`. What is sent is the difference between target and position,
    and only while no order of the asset is under way, so a target may be changed at any time, back to 0 too.

    Args:
        hbt: The backtest or the bot.
        legs: `leg_dtype`, by asset.
        targets: Positions to be reached, by asset, in its own units.
        slippage: As of `send`.
        timeout_ns: As of `watch`; also for how long an asset's prices may be unusable while it should trade.
        pause_ns: As of `send`.
        stale_ns: As of `is_usable`.
        attempts: Orders in a row that may fail before the asset counts as failed; it is tried further.

    Returns:
        MOVE_DONE, MOVE_UNDER_WAY or MOVE_FAILED.
    """
    now_ns = hbt.current_timestamp
    result = MOVE_DONE
    for asset_no in range(len(targets)):
        leg = legs[asset_no]
        state = watch(hbt, legs, asset_no, timeout_ns, pause_ns)
        left = targets[asset_no] - hbt.position(asset_no)
        qty = whole_lots(abs(left), hbt.depth(asset_no).lot_size)
        if state == LEG_FREE and qty == 0.0:
            leg.blocked_ns = 0
            continue
        if result == MOVE_DONE:
            result = MOVE_UNDER_WAY
        if is_usable(hbt, asset_no, stale_ns):
            leg.blocked_ns = 0
            if state == LEG_FREE:
                send(hbt, legs, asset_no, BUY if left > 0.0 else SELL, qty, slippage, pause_ns)
        elif leg.blocked_ns == 0:
            leg.blocked_ns = now_ns
        is_blocked = leg.blocked_ns > 0 and now_ns - leg.blocked_ns >= timeout_ns
        if is_blocked or state == LEG_LATE or leg.failures >= attempts:
            result = MOVE_FAILED
    if result == MOVE_DONE:
        for asset_no in range(len(targets)):
            legs[asset_no].failures = 0
    return result
