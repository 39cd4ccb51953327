"""Small markets told row by row, and an engine that stands at the end of them."""

import numpy as np

from hftd.types import BUY_EVENT, GTX, LIMIT, SELL_EVENT, TRADE_EVENT, event_dtype
from tests.sim.l3.market import BOTH, FEED_LATENCY_NS, LOT_SIZE, STEP_NS, TICK_SIZE

END_NS = 1000 * STEP_NS


def rows(*told):
    """Rows from (step, kind, side, id, tick, quantity); one more row is at the end of time."""
    made = []
    for step, kind, side, order_id, tick, qty in (*told, (END_NS // STEP_NS, TRADE_EVENT, 1, 0, 100, 1)):
        flag = {1: BUY_EVENT, -1: SELL_EVENT, 0: 0}[side]
        ts = step * STEP_NS
        made.append((BOTH | flag | kind, ts, ts + FEED_LATENCY_NS, tick * TICK_SIZE, qty, order_id, 0, 0.0))
    return np.array(made, event_dtype)


def describe(asset, data, *, whole=True):
    """An asset of single orders on either engine's builder."""
    asset.data(data).tick_size(TICK_SIZE).lot_size(LOT_SIZE).linear_asset(1.0)
    asset.constant_order_latency(1, 1).trading_value_fee_model(0.0, 0.0).l3_fifo_queue_model()
    return asset.no_partial_fill_exchange() if whole else asset.partial_fill_exchange()


def upto(hbt, step):
    """Let time pass to behind a step."""
    until_ns = step * STEP_NS + STEP_NS // 2
    # Before the first event there is no time yet.
    now_ns = hbt.current_timestamp if 0 < hbt.current_timestamp <= END_NS else STEP_NS
    assert hbt.elapse(until_ns - now_ns) == 0


def buy(hbt, order_id, tick, qty, time_in_force=GTX):
    return hbt.submit_buy_order(0, order_id, tick * TICK_SIZE, qty, time_in_force, LIMIT, False)


def sell(hbt, order_id, tick, qty, time_in_force=GTX):
    return hbt.submit_sell_order(0, order_id, tick * TICK_SIZE, qty, time_in_force, LIMIT, False)
