"""What the soak's bots run: orders of all kinds, changed and cancelled at random, until they are told to rest."""

from numba import njit

from hftd import BUY, CONNECTED, FOK, GTC, GTX, IOC, LIMIT, MARKET
from hftd.compiled.native import load_i64


@njit(nogil=True)
def draw(state):
    """The next of a seed's numbers, of 31 bits."""
    return (state * 1103515245 + 12345) & 0x7FFFFFFF


@njit(nogil=True)
def wild(hbt, seed=1, rest=0, ids=12, step_ns=3_000_000, position_max=3.0):
    """Trade as if mad until the word at the address `rest` is not 0, then let stand what stands.

    While the word behind it is the seed it waits for nothing any more: it hangs.
    """
    state = draw(draw(seed))
    while hbt.elapse(step_ns) == 0:
        while load_i64(rest + 8) == seed:
            state = draw(state)
        depth = hbt.depth(0)
        if load_i64(rest) != 0 or hbt.connection(0) != CONNECTED:
            continue
        bid, ask, tick_size = depth.best_bid_tick, depth.best_ask_tick, depth.tick_size
        if bid <= 0 or ask - bid > 1000 or bid >= ask:
            continue
        state = draw(state)
        order_id = 1 + (state >> 8) % ids
        state = draw(state)
        qty = (5 + (state >> 8) % 55) * depth.lot_size
        orders = hbt.orders(0)
        if order_id in orders:
            order = orders.get(order_id)
            if not order.cancellable:
                state = draw(state)
                if (state >> 8) % 100 < 30:
                    hbt.clear_inactive_orders(0)
                continue
            state = draw(state)
            if (state >> 8) % 100 < 50:
                hbt.cancel(0, order_id, False)
            else:
                best = bid if order.side == BUY else ask
                state = draw(state)
                hbt.modify(0, order_id, (best - 8 + (state >> 8) % 17) * tick_size, qty, False)
            continue
        state = draw(state)
        kind = (state >> 8) % 6
        order_type = MARKET if kind == 5 else LIMIT
        tif = GTC
        if kind == 1 or kind == 2:
            tif = GTX
        elif kind == 3:
            tif = IOC
        elif kind == 4:
            tif = FOK
        state = draw(state)
        away = -3 + (state >> 8) % 15
        if kind >= 3:
            away = -3
        position = hbt.position(0)
        state = draw(state)
        buys = (state >> 8) % 100 < 50
        if abs(position) > position_max:
            buys = position < 0.0
        if buys:
            hbt.submit_buy_order(0, order_id, (bid - away) * tick_size, qty, tif, order_type, False)
        else:
            hbt.submit_sell_order(0, order_id, (ask + away) * tick_size, qty, tif, order_type, False)
