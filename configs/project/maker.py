"""A market maker with one order a side: yours to change. docs/strategies.md of hftd says what `hbt` offers."""

from numba import njit

from hftd import BUY, GTX, INVALID_MAX, INVALID_MIN, LIMIT, SELL


@njit(nogil=True)
def keep_order(hbt, side, tick, order_qty, max_position):
    """Have one order of this side, at this price, and no other one; tick 0: none."""
    depth = hbt.depth(0)
    held = side * hbt.position(0)
    may_add = tick > 0 and held + order_qty <= max_position + 0.5 * depth.lot_size
    open_qty = 0.0
    values = hbt.orders(0).values()
    while values.has_next():
        order = values.get()
        if order.side != side:
            continue
        open_qty += order.leaves_qty
        if order.cancellable and not (may_add and order.price_tick == tick):
            hbt.cancel(0, order.order_id, False)
    # What is being cancelled may still fill, so it counts.
    if not may_add or held + open_qty + order_qty > max_position + 0.5 * depth.lot_size:
        return
    # An order's id is its price: where it stands already, it keeps its place in the queue.
    if tick in hbt.orders(0):
        return
    if side == BUY:
        hbt.submit_buy_order(0, tick, tick * depth.tick_size, order_qty, GTX, LIMIT, False)
    else:
        hbt.submit_sell_order(0, tick, tick * depth.tick_size, order_qty, GTX, LIMIT, False)


@njit(nogil=True)
def maker(
    hbt, half_spread_ticks=8, skew_ticks=2.0, order_qty=0.01, max_position=0.05, interval_ns=50_000_000
):
    """Quote both sides of the first asset, around a price that leans against the position.

    Market: one asset.

    Args:
        hbt: The backtest or the bot.
        half_spread_ticks (ticks): Distance of each quote from the middle.
        skew_ticks (ticks): How far each order's worth of position moves the middle.
        order_qty (base currency): Quantity of each order, a multiple of the lot.
        max_position (base currency): The position stays within plus and minus this.
        interval_ns (ns): Time between two looks at the market.
    """
    while hbt.elapse(interval_ns) == 0:
        hbt.clear_inactive_orders(0)
        depth = hbt.depth(0)
        bid, ask = depth.best_bid_tick, depth.best_ask_tick
        if bid == INVALID_MIN or ask == INVALID_MAX or bid >= ask:
            keep_order(hbt, BUY, 0, order_qty, max_position)
            keep_order(hbt, SELL, 0, order_qty, max_position)
            continue
        middle = 0.5 * (bid + ask) - skew_ticks * hbt.position(0) / order_qty
        keep_order(hbt, BUY, min(int(middle - half_spread_ticks), ask - 1), order_qty, max_position)
        keep_order(hbt, SELL, max(int(middle + half_spread_ticks) + 1, bid + 1), order_qty, max_position)
