"""The bots' own orders at an exchange, and the answers that go out about them.

Own orders stand in two arrays sorted by price and, at one price, by queue place, so fills always come in the same
order.
"""

# pyright: basic

from hftd.book.book import ask_qty, bid_qty
from hftd.book.market_orders import next_arrival
from hftd.compiled.jit import inline
from hftd.compiled.layout import MAX_ORDERS, request_dtype, update_dtype
from hftd.compiled.native import copy_bytes, load_i64, move_bytes, record_at, round_away, store_i64
from hftd.compiled.order_index import index_insert, index_remove
from hftd.hbt.life import CAUSE_FILL, CAUSE_NONE, LIFE_FILL, LIFE_REJECTED
from hftd.rows import Address, Lots, Ns, Tick
from hftd.types import (
    BUY,
    ERR_RING_FULL,
    FILLED,
    NONE,
    PARTIALLY_FILLED,
    REASON_NONE,
    REJECTED,
    state_values_dtype,
)
from sim.engine.account import LANE_INDEX, LANE_STATE, LANE_TO_LOCAL, book_execution
from sim.engine.bus import UPDATES_MASK, bus_at, bus_is_full, bus_push
from sim.engine.life import NO_EVENT, note_order, note_queue, note_request
from sim.model.custom import custom_cross_qty, lots_of
from sim.model.latency import after, exchange_at, lane_at, response_latency_ns
from sim.model.layout import EXCHANGE_WHOLE_FILLS, UPDATE_BYTES, exchange_dtype, offset_of, own_order_dtype
from sim.model.queue import own_order_at, queue_enter

request_at = record_at(request_dtype)
update_at = record_at(update_dtype)

BOOK = offset_of(exchange_dtype, "book")
OWN_BYTES = own_order_dtype.itemsize
_STATE_BYTES = state_values_dtype.itemsize
_UPDATE_STATE = offset_of(update_dtype, "state")


# --- Answers --------------------------------------------------------------------------------------------------------


@inline
def _push_update(exchange: Address, lane: Address, ts: Ns):
    if bus_is_full(lane + LANE_TO_LOCAL, UPDATES_MASK):
        exchange_at(exchange).error = ERR_RING_FULL
    exchange_at(exchange).answers += 1
    return bus_push(lane + LANE_TO_LOCAL, UPDATE_BYTES, UPDATES_MASK, ts)


@inline
def respond(exchange: Address, order: Address, kind: int, reason: int, now_ns: Ns) -> None:
    """Tell the bot what happened to an order (LIFE_*), and why (REASON_*) if it ended unfilled."""
    if kind != LIFE_FILL:
        note_order(exchange, order, kind, CAUSE_NONE, reason, NO_EVENT, 0.0, now_ns)
    o = own_order_at(order)
    lane = o.lane
    recv_ts = after(now_ns, response_latency_ns(exchange, lane, now_ns))
    update = _push_update(exchange, lane, recv_ts)
    u = update_at(update)
    u.arrive_ts = bus_at(lane + LANE_TO_LOCAL).last_ts
    u.recv_ts = u.arrive_ts
    u.order_id = o.order_id
    u.status = o.status
    u.req = NONE
    u.reason = reason
    u.side = o.side
    u.order_type = o.order_type
    u.time_in_force = o.time_in_force
    u.maker = o.maker
    u.price_tick = o.price_tick
    u.qty = o.qty
    u.leaves_qty = o.leaves_qty
    u.exec_qty = o.exec_qty
    u.exec_price_tick = o.exec_price_tick
    u.exch_ts = now_ns
    u.local_ts = o.local_ts
    u.executed = 1 if kind == LIFE_FILL else 0
    u.instrument = lane_at(lane).instrument
    copy_bytes(update + _UPDATE_STATE, lane + LANE_STATE, _STATE_BYTES)


@inline
def refuse(exchange: Address, lane: Address, request: Address, reason: int, exch_ts: Ns, recv_ts: Ns) -> None:
    """Answer a request that found no order, or that did not get through (exch_ts 0)."""
    r = request_at(request)
    note_request(exchange, lane, request, LIFE_REJECTED, reason, exch_ts if exch_ts != 0 else r.local_ts)
    update = _push_update(exchange, lane, recv_ts)
    u = update_at(update)
    u.arrive_ts = bus_at(lane + LANE_TO_LOCAL).last_ts
    u.recv_ts = u.arrive_ts
    u.order_id = r.order_id
    u.status = NONE
    u.req = REJECTED
    u.reason = reason
    u.side = r.side
    u.order_type = r.order_type
    u.time_in_force = r.time_in_force
    u.maker = 0
    u.price_tick = r.price_tick
    u.qty = r.qty
    u.leaves_qty = 0.0
    u.exec_qty = 0.0
    u.exec_price_tick = 0
    u.exch_ts = exch_ts
    u.local_ts = r.local_ts
    u.executed = 0
    u.instrument = lane_at(lane).instrument
    copy_bytes(update + _UPDATE_STATE, lane + LANE_STATE, _STATE_BYTES)


# --- Own orders -----------------------------------------------------------------------------------------------------


@inline
def first_at_or_above(ticks: Address, count: int, tick: Tick):
    """The index of the first own order at or above a tick."""
    low = 0
    high = count
    while low < high:
        middle = (low + high) >> 1
        if load_i64(ticks + 8 * middle) < tick:
            low = middle + 1
        else:
            high = middle
    return low


@inline
def take_record(exchange: Address):
    """Memory for an own order, 0 if there is none left."""
    x = exchange_at(exchange)
    if x.free != 0:
        order = x.free
        x.free = own_order_at(order).next_free
        return order
    if x.used_slots == MAX_ORDERS:
        return 0
    order = x.pool + x.used_slots * OWN_BYTES
    own_order_at(order).slot = x.used_slots
    x.used_slots += 1
    return order


@inline
def _insert(ticks: Address, orders: Address, count: int, tick: Tick, order: Address) -> None:
    """Behind all that stand at the tick: the newest is last in the queue."""
    i = first_at_or_above(ticks, count, tick + 1)
    move_bytes(ticks + 8 * (i + 1), ticks + 8 * i, 8 * (count - i))
    move_bytes(orders + 8 * (i + 1), orders + 8 * i, 8 * (count - i))
    store_i64(ticks + 8 * i, tick)
    store_i64(orders + 8 * i, order)


@inline
def _remove_at(ticks: Address, orders: Address, count: int, i: int) -> None:
    move_bytes(ticks + 8 * i, ticks + 8 * (i + 1), 8 * (count - i - 1))
    move_bytes(orders + 8 * i, orders + 8 * (i + 1), 8 * (count - i - 1))


@inline
def rest(exchange: Address, order: Address, now_ns: Ns) -> None:
    """Put an order into the market."""
    x = exchange_at(exchange)
    o = own_order_at(order)
    if x.book.market_orders != 0:
        o.arrival = next_arrival(x.book.market_orders)
    if o.side == BUY:
        queue_enter(exchange, order, bid_qty(exchange + BOOK, o.price_tick), now_ns)
        _insert(x.buy_ticks, x.buy_orders, x.buys, o.price_tick, order)
        x.buys += 1
    else:
        queue_enter(exchange, order, ask_qty(exchange + BOOK, o.price_tick), now_ns)
        _insert(x.sell_ticks, x.sell_orders, x.sells, o.price_tick, order)
        x.sells += 1
    o.rests = 1
    o.told_front_qty = o.front_qty
    index_insert(o.lane + LANE_INDEX, o.order_id, o.slot)
    lane_at(o.lane).open_orders += 1


@inline
def leave(exchange: Address, order: Address) -> None:
    """Take a resting order out of the market; its record stays with the caller."""
    x = exchange_at(exchange)
    o = own_order_at(order)
    if o.side == BUY:
        i = first_at_or_above(x.buy_ticks, x.buys, o.price_tick)
        while load_i64(x.buy_orders + 8 * i) != order:
            i += 1
        _remove_at(x.buy_ticks, x.buy_orders, x.buys, i)
        x.buys -= 1
    else:
        i = first_at_or_above(x.sell_ticks, x.sells, o.price_tick)
        while load_i64(x.sell_orders + 8 * i) != order:
            i += 1
        _remove_at(x.sell_ticks, x.sell_orders, x.sells, i)
        x.sells -= 1
    index_remove(o.lane + LANE_INDEX, o.order_id)
    lane_at(o.lane).open_orders -= 1


@inline
def free(exchange: Address, order: Address) -> None:
    """Give an own order's record back."""
    x = exchange_at(exchange)
    own_order_at(order).next_free = x.free
    x.free = order


@inline
def execute(
    exchange: Address,
    order: Address,
    exec_price_tick: Tick,
    qty: float,
    maker: int,
    cause: int,
    event_tick: Tick,
    event_qty: float,
    now_ns: Ns,
) -> None:
    """Execute so much of an order, book it, and tell the bot.

    What caused it (CAUSE_*), and the price and quantity of the event that did, is for the order's life.
    """
    o = own_order_at(order)
    o.maker = maker
    o.exec_price_tick = exec_price_tick
    o.exec_qty = qty
    o.leaves_qty -= qty
    if round_away(o.leaves_qty / exchange_at(exchange).book.lot_size) > 0:
        o.status = PARTIALLY_FILLED
    else:
        o.leaves_qty = 0.0
        o.status = FILLED
    book_execution(exchange, order)
    note_order(exchange, order, LIFE_FILL, cause, REASON_NONE, event_tick, event_qty, now_ns)
    respond(exchange, order, LIFE_FILL, REASON_NONE, now_ns)


@inline
def fill_resting(
    exchange: Address, order: Address, cause: int, event_tick: Tick, event_qty: float, now_ns: Ns
) -> None:
    """Fill all of a resting order at its own price, as the maker."""
    leave(exchange, order)
    o = own_order_at(order)
    execute(exchange, order, o.price_tick, o.leaves_qty, 1, cause, event_tick, event_qty, now_ns)
    free(exchange, order)


@inline
def fill_reached(
    exchange: Address, order: Address, lots: Lots, cause: int, event_tick: Tick, event_qty: float, now_ns: Ns
) -> bool:
    """Fill a resting order that trades have reached: all of it, or what went beyond the queue ahead of it.

    Returns:
        Whether it is gone.
    """
    x = exchange_at(exchange)
    o = own_order_at(order)
    qty = lots * x.book.lot_size
    # What is left must be a lot at least, or the order is done.
    if x.exchange_model == EXCHANGE_WHOLE_FILLS or round_away((o.leaves_qty - qty) / x.book.lot_size) <= 0:
        fill_resting(exchange, order, cause, event_tick, event_qty, now_ns)
        return True
    o.front_qty = 0.0
    note_queue(exchange, order, CAUSE_FILL, event_tick, event_qty, now_ns)
    execute(exchange, order, o.price_tick, qty, 1, cause, event_tick, event_qty, now_ns)
    return False


@inline
def fill_crossed(
    exchange: Address, order: Address, cause: int, event_tick: Tick, event_qty: float, now_ns: Ns
) -> bool:
    """Fill so much of a resting order that the market went through as a user's exchange says.

    Returns:
        Whether it is gone.
    """
    x = exchange_at(exchange)
    o = own_order_at(order)
    qty = custom_cross_qty(exchange, order, now_ns)
    lots = lots_of(qty, x.book.lot_size) if qty > 0.0 else 0
    if lots <= 0:
        return False
    if round_away((o.leaves_qty - lots * x.book.lot_size) / x.book.lot_size) <= 0:
        fill_resting(exchange, order, cause, event_tick, event_qty, now_ns)
        return True
    execute(exchange, order, o.price_tick, lots * x.book.lot_size, 1, cause, event_tick, event_qty, now_ns)
    return False
