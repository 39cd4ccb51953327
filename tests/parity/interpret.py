"""A strategy that does what a table says, and notes all that it can see after each step."""

import numpy as np
from numba import njit

from hftd.types import BUY, CANCELED, EXPIRED, FILLED, INVALID_MAX, INVALID_MIN

ELAPSE, WAIT_FEED, WAIT_RESPONSE, SUBMIT_BUY, SUBMIT_SELL, CANCEL, MOVE, SHRINK, CLEAR, CLEAR_TRADES = range(
    10
)
OPS = ("elapse", "wait_next_feed", "wait_order_response", "submit_buy_order", "submit_sell_order", "cancel",
       "modify the price", "modify the quantity", "clear_inactive_orders", "clear_last_trades")  # fmt: skip

step_dtype = np.dtype(
    [
        ("op", "i8"),
        ("asset_no", "i8"),
        ("order_id", "i8"),
        ("duration", "i8"),  # or the flag of wait_next_feed, in `wait`
        ("away", "i8"),  # ticks from the best price of the side
        ("lots", "f8"),
        ("time_in_force", "i8"),
        ("order_type", "i8"),
        ("wait", "i8"),
    ],
    align=True,
)
asset_dtype = np.dtype(
    [
        (name, "i8")
        for name in (
            "best_bid_tick", "best_ask_tick", "orders", "trades", "num_trades",
            "feed_exch_ts", "feed_local_ts", "order_exch_ts", "order_resp_ts",
        )
    ]
    + [
        (name, "f8")
        for name in (
            "bid_qty", "ask_qty", "bid_below_qty", "ask_above_qty", "best_bid", "best_ask",
            "position", "balance", "fee", "volume", "value", "trades_sum",
        )
    ],
    align=True,
)  # fmt: skip
order_dtype = np.dtype(
    [
        (name, "i8")
        for name in (
            "known", "status", "req", "price_tick", "exec_price_tick", "exch_ts", "local_ts",
            "side", "time_in_force", "order_type", "cancellable",
        )
    ]
    + [("qty", "f8"), ("leaves_qty", "f8"), ("exec_qty", "f8")],
    align=True,
)  # fmt: skip


@njit
def submit(hbt, step, fallback_tick, tick_size, lot_size):
    depth = hbt.depth(step.asset_no)
    tick = depth.best_bid_tick if step.op == SUBMIT_BUY else depth.best_ask_tick
    if tick == INVALID_MIN or tick == INVALID_MAX:  # noqa: SIM109 (compiled)
        tick = fallback_tick
    price = (tick + step.away) * tick_size
    qty = step.lots * lot_size
    wait = step.wait != 0
    if step.op == SUBMIT_BUY:
        return hbt.submit_buy_order(
            step.asset_no, step.order_id, price, qty, step.time_in_force, step.order_type, wait
        )
    return hbt.submit_sell_order(
        step.asset_no, step.order_id, price, qty, step.time_in_force, step.order_type, wait
    )


@njit
def change(hbt, step, tick_size, lot_size):
    """Cancel or modify, but where the reference is wrong: it books the fill of a filled order once more, and a
    refused modification leaves what it asked for on the order."""
    price = 0.0
    qty = 0.0
    values = hbt.orders(step.asset_no).values()
    while values.has_next():
        order = values.get()
        if np.int64(order.order_id) == step.order_id:
            is_over = order.status == CANCELED or order.status == EXPIRED
            if order.status == FILLED or (step.op != CANCEL and is_over):
                return -1
            price = order.price_tick * tick_size
            # What remains: the reference keeps an old remainder on an order that is moved.
            qty = order.leaves_qty
    wait = step.wait != 0
    if step.op == CANCEL:
        return hbt.cancel(step.asset_no, step.order_id, wait)
    if step.op == MOVE:
        return hbt.modify(step.asset_no, step.order_id, price + step.away * tick_size, qty, wait)
    # Not to nothing: there the reference takes an order that ours refuses.
    return hbt.modify(
        step.asset_no, step.order_id, price, qty - lot_size if qty > 1.5 * lot_size else qty, wait
    )


@njit
def act(hbt, step, fallback_tick, tick_size, lot_size):
    if step.op == ELAPSE:
        return hbt.elapse(step.duration)
    if step.op == WAIT_FEED:
        return hbt.wait_next_feed(step.wait != 0, step.duration)
    if step.op == WAIT_RESPONSE:
        return hbt.wait_order_response(step.asset_no, step.order_id, step.duration)
    if step.op == SUBMIT_BUY or step.op == SUBMIT_SELL:
        return submit(hbt, step, fallback_tick, tick_size, lot_size)
    if step.op == CLEAR:
        hbt.clear_inactive_orders(step.asset_no)
        return 0
    if step.op == CLEAR_TRADES:
        hbt.clear_last_trades(step.asset_no)
        return 0
    return change(hbt, step, tick_size, lot_size)


@njit
def see_asset(hbt, asset_no, row, exact):
    depth = hbt.depth(asset_no)
    bid = depth.best_bid_tick
    ask = depth.best_ask_tick
    row["best_bid_tick"] = bid
    row["best_ask_tick"] = ask
    row["best_bid"] = depth.best_bid
    row["best_ask"] = depth.best_ask
    if bid != INVALID_MIN:
        row["bid_qty"] = depth.bid_qty_at_tick(bid)
        if exact:
            row["bid_below_qty"] = depth.bid_qty_at_tick(bid - 1)
    if ask != INVALID_MAX:
        row["ask_qty"] = depth.ask_qty_at_tick(ask)
        if exact:
            row["ask_above_qty"] = depth.ask_qty_at_tick(ask + 1)
    state = hbt.state_values(asset_no)
    row["position"] = hbt.position(asset_no)
    row["balance"] = state.balance
    row["fee"] = state.fee
    row["num_trades"] = state.num_trades
    row["volume"] = state.trading_volume
    row["value"] = state.trading_value
    row["orders"] = len(hbt.orders(asset_no))
    trades = hbt.last_trades(asset_no)
    row["trades"] = len(trades)
    for i in range(len(trades)):
        row["trades_sum"] += trades[i]["px"] * trades[i]["qty"] * (1 + i % 7)
    feed = hbt.feed_latency(asset_no)
    if feed is not None:
        row["feed_exch_ts"] = feed[0]
        row["feed_local_ts"] = feed[1]
    answer = hbt.order_latency(asset_no)
    if answer is not None:
        row["order_exch_ts"] = answer[1]
        row["order_resp_ts"] = answer[2]


@njit
def see_orders(hbt, asset_no, rows):
    orders = hbt.orders(asset_no)
    values = orders.values()
    while values.has_next():
        order = values.get()
        row = rows[np.int64(order.order_id)]
        row["known"] = 1 if order.order_id in orders else -1
        row["status"] = order.status
        row["req"] = order.req
        row["price_tick"] = order.price_tick
        row["exec_price_tick"] = order.exec_price_tick
        row["exch_ts"] = order.exch_timestamp
        row["local_ts"] = order.local_timestamp
        # The reference gives it as unsigned.
        row["side"] = 1 if order.side == BUY else -1
        row["time_in_force"] = order.time_in_force
        row["order_type"] = order.order_type
        row["cancellable"] = order.cancellable
        row["qty"] = order.qty
        row["leaves_qty"] = order.leaves_qty
        row["exec_qty"] = order.exec_qty


@njit
def interpret(hbt, program, fallback_tick, tick_size, lot_size, exact, codes, times, assets, orders):
    """Run a program; everything that can be seen after step i goes to row i of the arrays."""
    for i in range(len(program)):
        codes[i] = act(hbt, program[i], fallback_tick, tick_size, lot_size)
        times[i] = hbt.current_timestamp
        for asset_no in range(hbt.num_assets):
            see_asset(hbt, asset_no, assets[i, asset_no], exact)
            see_orders(hbt, asset_no, orders[i, asset_no])
