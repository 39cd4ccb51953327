"""A market maker of one order a side, and what it sees at every step."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hftd.types import BUY, GTX, LIMIT

INTS = ("time", "best_bid_tick", "best_ask_tick", "num_trades", "num_orders", "orders")
FLOATS = ("bid_qty", "ask_qty", "position", "balance", "fee", "volume", "value")


@njit
def mixed(order):
    """One number that tells an order's state, whatever the order of orders is."""
    lots = np.int64(np.round(order.qty * 1e4)) + 31 * np.int64(np.round(order.leaves_qty * 1e4))
    lots += 1009 * np.int64(np.round(order.exec_qty * 1e4))
    state = np.int64(order.status) * 8 + np.int64(order.req)
    times = np.int64(order.exch_timestamp) * 3 + np.int64(order.local_timestamp) * 5
    side = 1 if order.side == BUY else 2
    h = np.int64(order.order_id) * 1_000_003 + state
    for part in (lots, np.int64(order.price_tick), np.int64(order.exec_price_tick), times, np.int64(side)):
        h = h * 1_000_000_007 + part
        h ^= h >> 29
    return h


@njit
def see(hbt, i, ints, floats):
    depth = hbt.depth(0)
    state = hbt.state_values(0)
    ints[i, 0] = hbt.current_timestamp
    ints[i, 1] = depth.best_bid_tick
    ints[i, 2] = depth.best_ask_tick
    ints[i, 3] = state.num_trades
    orders = hbt.orders(0)
    ints[i, 4] = len(orders)
    values = orders.values()
    while values.has_next():
        ints[i, 5] += mixed(values.get())
    # Not `best_bid_qty`: the reference gives a price for it in a range of interest.
    floats[i, 0] = depth.bid_qty_at_tick(depth.best_bid_tick)
    floats[i, 1] = depth.ask_qty_at_tick(depth.best_ask_tick)
    floats[i, 2] = state.position
    floats[i, 3] = state.balance
    floats[i, 4] = state.fee
    floats[i, 5] = state.trading_volume
    floats[i, 6] = state.trading_value


@njit
def make_market(hbt, step_ns, half_ticks, skew, order_qty, ints, floats):
    """Quote around a price that leans against the position; returns the number of steps."""
    i = 0
    while hbt.elapse(step_ns) == 0:
        hbt.clear_inactive_orders(0)
        depth = hbt.depth(0)
        if not (depth.best_bid > 0 and depth.best_ask > 0):
            continue
        tick_size = depth.tick_size
        position = hbt.position(0)
        reservation = (depth.best_bid + depth.best_ask) / 2.0 - skew * position * tick_size
        bid = np.int64(min(np.floor(reservation / tick_size - half_ticks), depth.best_bid_tick))
        ask = np.int64(max(np.ceil(reservation / tick_size + half_ticks), depth.best_ask_tick))
        has_bid = False
        has_ask = False
        values = hbt.orders(0).values()
        while values.has_next():
            order = values.get()
            if order.price_tick == (bid if order.side == BUY else ask):
                has_bid |= order.side == BUY
                has_ask |= order.side != BUY
            elif order.cancellable:
                hbt.cancel(0, order.order_id, False)
        if not has_bid and position < 5 * order_qty:
            hbt.submit_buy_order(0, bid, bid * tick_size, order_qty, GTX, LIMIT, False)
        if not has_ask and position > -5 * order_qty:
            hbt.submit_sell_order(0, ask, ask * tick_size, order_qty, GTX, LIMIT, False)
        if i < len(ints):
            see(hbt, i, ints, floats)
        i += 1
    return i


def run(hbt: Any, step_ns: int, num_steps: int, half_ticks: float = 1.0) -> tuple[NDArray[Any], NDArray[Any]]:
    """What the maker sees at every step: whole numbers (`INTS`) and others (`FLOATS`)."""
    ints, floats = np.zeros((num_steps, len(INTS)), np.int64), np.zeros((num_steps, len(FLOATS)))
    steps = make_market(hbt, step_ns, half_ticks, 2000.0, 0.01, ints, floats)
    assert steps <= num_steps
    return ints[:steps], floats[:steps]
