# pyright: basic
"""Market making on a book of single orders, event by event.

On a feed of single orders (level 3) each change of the book is told by itself and at once, where a feed of levels adds
up what happened in 50 or 100 ms. So the strategy looks at each event, and counts what arrives at the best prices and
leaves them: the order flow imbalance of Cont, Kukanov and Stoikov, "The price impact of order book events" (Journal of
Financial Econometrics, 2014). With the best prices `b`, `a` and their quantities, before the event and after it::

    e = [b' >= b] bid_qty' - [b' <= b] bid_qty - [a' <= a] ask_qty' + [a' >= a] ask_qty
    flow = sum of the e of the past, each halved after `half_life_ns`
    size = the mean of the two best quantities, over ten times that

The price follows the flow in units of the size (their equation 2), so with `q` the position in orders, in ticks::

    fair = mid + flow_ticks * flow / size + lean_ticks * (bid_qty - ask_qty) / (bid_qty + ask_qty)
    bid, ask = fair - skew_ticks * q -/+ half_spread_ticks, rounded away from it, post-only

the flow's part kept within `max_shift_ticks`. A quote that the fair price has come too near to is cancelled with the
event that tells it; one that is only farther than it need be keeps its place in the queue until it is more than
`patience_ticks` off.
"""

import numpy as np
from numba import njit

from hftd import BUY, GTX, LIMIT
from strategies.market_making import cancel_all, has_book

_TIMEOUT = 0
_FEED = 2
_RESPONSE = 3


@njit(nogil=True)
def flow_of(before, bid_tick, bid_qty, ask_tick, ask_qty):
    """What one event brought to the bid's side, less what it brought to the ask's, as a quantity.

    Args:
        before: f8[4]: bid tick, its quantity, ask tick, its quantity before the event.
        bid_tick: The best bid after it, and so on.
        bid_qty: Its quantity.
        ask_tick: The best ask.
        ask_qty: Its quantity.
    """
    flow = 0.0
    if bid_tick >= before[0]:
        flow += bid_qty
    if bid_tick <= before[0]:
        flow -= before[1]
    if ask_tick <= before[2]:
        flow -= ask_qty
    if ask_tick >= before[2]:
        flow += before[3]
    return flow


@njit(nogil=True)
def keep_quote(hbt, asset_no, side, tick, patience_ticks, order_qty, max_position):
    """Have one order of a side at a price, or a little farther from the market, as far as the position allows.

    Args:
        hbt: The backtest or the bot.
        asset_no: The asset.
        side: 1 for the bid, -1 for the ask.
        tick: Its price in ticks: the order stands there or up to `patience_ticks` farther away.
        patience_ticks: How much farther.
        order_qty: Its quantity.
        max_position: Most that is held after all that is open is filled.
    """
    depth = hbt.depth(asset_no)
    tolerance = 0.5 * depth.lot_size
    held = side * hbt.position(asset_no)
    open_qty = 0.0
    has_one = False
    values = hbt.orders(asset_no).values()
    while values.has_next():
        order = values.get()
        if order.side != side:
            continue
        open_qty += order.leaves_qty
        farther = side * (tick - order.price_tick)
        if not has_one and 0 <= farther <= patience_ticks and held + order_qty <= max_position + tolerance:
            has_one = True
        elif order.cancellable:
            hbt.cancel(asset_no, order.order_id, False)
    # What is open, also what is being cancelled, may still fill.
    if has_one or tick <= 0 or held + open_qty + order_qty > max_position + tolerance:
        return
    if tick in hbt.orders(asset_no):
        return
    if side == BUY:
        hbt.submit_buy_order(asset_no, tick, tick * depth.tick_size, order_qty, GTX, LIMIT, False)
    else:
        hbt.submit_sell_order(asset_no, tick, tick * depth.tick_size, order_qty, GTX, LIMIT, False)


@njit(nogil=True)
def level3_making(
    hbt,
    half_spread_ticks=8.0,
    flow_ticks=1.0,
    lean_ticks=2.0,
    max_shift_ticks=10.0,
    patience_ticks=2,
    skew_ticks=2.0,
    order_qty=0.01,
    max_position=0.1,
    half_life_ns=1_000_000_000,
    interval_ns=10_000_000,
):
    """Quote both sides of the first asset, event by event, around a price that the order flow moves.

    Market: one asset, best as single orders (level 3, the queue model l3_fifo); levels work, with less to see.

    Args:
        hbt: The backtest or the bot.
        half_spread_ticks (ticks): Distance of each quote from the reservation price, above 0.
        flow_ticks (ticks): How far a flow of one usual best quantity moves the fair price; 0: not at all.
        lean_ticks (ticks): How far a book with all on one side would move it; 0: not at all.
        max_shift_ticks (ticks): The flow moves the fair price by this at most.
        patience_ticks (ticks): A quote may be so much farther from the market than it need be.
        skew_ticks (ticks): How far each order's worth of position moves the reservation price.
        order_qty (base currency or contracts): Quantity of each order.
        max_position (base currency or contracts): The position stays within plus and minus this.
        half_life_ns (ns): After this time an event counts half.
        interval_ns (ns): The strategy looks at least so often, events or not.
    """
    if not (half_spread_ticks > 0.0 and order_qty > 0.0 and interval_ns > 0 and half_life_ns > 0):
        return
    before = np.full(4, np.nan)
    flow = 0.0
    size = 0.0
    weight = 0.0  # what of `size` is from events: 0 at the start, then 1
    last_ns = np.int64(0)
    while True:
        code = hbt.wait_next_feed(True, interval_ns)
        if code != _TIMEOUT and code != _FEED and code != _RESPONSE:
            return
        hbt.clear_inactive_orders(0)
        depth = hbt.depth(0)
        if not has_book(depth):
            before[:] = np.nan
            cancel_all(hbt, 0)
            continue
        bid_tick, ask_tick = depth.best_bid_tick, depth.best_ask_tick
        bid_qty, ask_qty = depth.best_bid_qty, depth.best_ask_qty
        passed = max(hbt.current_timestamp - last_ns, 0) / half_life_ns if last_ns > 0 else 0.0
        last_ns = hbt.current_timestamp
        flow *= 0.5**passed
        kept = 0.5 ** (0.1 * passed)
        size = kept * size + (1.0 - kept) * 0.5 * (bid_qty + ask_qty)
        weight = kept * weight + 1.0 - kept
        if not np.isnan(before[0]):
            flow += flow_of(before, bid_tick, bid_qty, ask_tick, ask_qty)
        before[0], before[1], before[2], before[3] = bid_tick, bid_qty, ask_tick, ask_qty
        if weight < 0.5 or not size > 0.0:
            # The usual size is not known yet.
            cancel_all(hbt, 0)
            continue
        shift_ticks = min(max(flow_ticks * flow * weight / size, -max_shift_ticks), max_shift_ticks)
        shift_ticks += lean_ticks * (bid_qty - ask_qty) / (bid_qty + ask_qty)
        reservation_tick = 0.5 * (bid_tick + ask_tick) + shift_ticks
        reservation_tick -= skew_ticks * hbt.position(0) / order_qty
        bid = min(int(np.floor(reservation_tick - half_spread_ticks)), ask_tick - 1)
        ask = max(int(np.ceil(reservation_tick + half_spread_ticks)), bid_tick + 1)
        keep_quote(hbt, 0, 1, bid, patience_ticks, order_qty, max_position)
        keep_quote(hbt, 0, -1, ask, patience_ticks, order_qty, max_position)
