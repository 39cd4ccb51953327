"""A strategy that does all that one can do, by a seed: each wait, each kind of order, and now and then nothing."""

# pyright: basic

from numba import njit

from hftd import ALL_ASSETS, FOK, GTC, GTX, IOC, LIMIT, MARKET


@njit(nogil=True)
def restless(
    hbt, seed: int = 1, steps: int = 400, mean_ns: int = 2_000_000, fails_at: int = -1, calm: bool = False
):
    """Walk through what `hbt` has."""
    state = seed * 2_654_435_761 % 2_147_483_647 + 1
    order_id = 0
    for step in range(steps):
        state = state * 48_271 % 2_147_483_647
        kind = state % 13
        state = state * 48_271 % 2_147_483_647
        duration_ns = state % (2 * mean_ns)
        asset_no = state % hbt.num_assets
        if step == fails_at:
            raise ValueError("it was told to")
        if kind < 4:
            code = hbt.elapse(duration_ns)
        elif kind < 6:
            code = hbt.wait_next_feed(kind == 5, duration_ns)
            code = 1 if code == 1 else 0
        elif kind == 6:
            code = hbt.wait_order_response(asset_no, order_id, duration_ns)
        elif kind == 7:
            code = hbt.elapse(0)
        else:
            code = 0
        if code == 1 and state % 3 == 0:
            return
        depth = hbt.depth(asset_no)
        if kind == 8:
            hbt.clear_inactive_orders(ALL_ASSETS)
        elif kind == 9 and len(hbt.last_trades(asset_no)) > state % 20:
            order_id += len(hbt.last_trades(asset_no))
            hbt.clear_last_trades(asset_no)
        elif kind == 10 and len(hbt.user_events(asset_no)) > state % 5:
            order_id += int(hbt.user_events(asset_no)[-1].ival) % 7
            hbt.clear_user_events(asset_no)
        elif kind >= 11 and depth.best_bid_tick > 0 and depth.best_ask_tick < 1_000_000:
            values = hbt.orders(asset_no).values()
            while values.has_next():
                order = values.get()
                state = state * 48_271 % 2_147_483_647
                if order.cancellable and state % 3 == 0:
                    hbt.cancel(asset_no, order.order_id, state % 2 == 0)
                elif order.cancellable and state % 3 == 1:
                    hbt.modify(asset_no, order.order_id, order.price + depth.tick_size, order.qty, False)
            order_id += 1
            away = state % 4 - (0 if calm else 1)
            tif = (GTC, GTX, IOC, FOK)[state % 4]
            order_type = MARKET if state % 11 == 0 else LIMIT
            qty = (1 + state % 5) * depth.lot_size
            if state % 2 == 0:
                price = (depth.best_bid_tick - away) * depth.tick_size
                hbt.submit_buy_order(asset_no, order_id, price, qty, tif, order_type, state % 7 == 0)
            else:
                price = (depth.best_ask_tick + away) * depth.tick_size
                hbt.submit_sell_order(asset_no, order_id, price, qty, tif, order_type, state % 7 == 0)
