"""The exchange's side of an asset: own orders against the recorded market.

The market data that the bot's orders meet is what happened without them; they change nothing of it. A resting order
fills at its own price when the opposite best reaches or crosses it, when a trade goes through its price, or when a
trade at its price finds nothing ahead of it in the queue. This exchange fills whole orders only: one that takes is
filled at the opposite best, whatever the quantity there.

Own orders stand in two arrays sorted by price and, at one price, by queue place, so fills always come in the same
order.
"""

# pyright: basic

from hftd.book import ask_qty, bid_qty, book_at
from hftd.jit import inline
from hftd.layout import MAX_ORDERS, request_dtype, update_dtype
from hftd.native import copy_bytes, load_i64, move_bytes, record_at, store_i64
from hftd.orders import index_find, index_insert, index_remove
from hftd.types import (
    BUY,
    CANCELED,
    ERR_RING_FULL,
    EXPIRED,
    FILLED,
    FOK,
    GTX,
    INVALID_MAX,
    INVALID_MIN,
    IOC,
    MARKET,
    NEW,
    NONE,
    REJECTED,
    REPLACED,
    state_values_dtype,
)
from sim.engine.account import LANE_INDEX, LANE_STATE, LANE_TO_EXCH, LANE_TO_LOCAL, book_execution
from sim.engine.bus import REQUESTS_MASK, UPDATES_MASK, bus_at, bus_is_full, bus_pop, bus_push
from sim.engine.latency import entry_latency_ns, exchange_at, lane_at, response_latency_ns
from sim.engine.layout import (
    NEVER,
    REQUEST_BYTES,
    UPDATE_BYTES,
    exchange_dtype,
    lane_dtype,
    offset_of,
    own_order_dtype,
)
from sim.engine.queue import own_order_at, queue_depth, queue_enter, queue_is_reached, queue_trade

request_at = record_at(request_dtype)
update_at = record_at(update_dtype)

BOOK = offset_of(exchange_dtype, "book")
LANE_BYTES = lane_dtype.itemsize
_OWN_BYTES = own_order_dtype.itemsize
_STATE_BYTES = state_values_dtype.itemsize
_UPDATE_STATE = offset_of(update_dtype, "state")


# --- Answers --------------------------------------------------------------------------------------------------------


@inline
def _push_update(exchange, lane, ts):
    if bus_is_full(lane + LANE_TO_LOCAL, UPDATES_MASK):
        exchange_at(exchange).error = ERR_RING_FULL
    return bus_push(lane + LANE_TO_LOCAL, UPDATE_BYTES, UPDATES_MASK, ts)


@inline
def _respond(exchange, order, req, now_ns, executed):
    """Tell the bot how an order stands now."""
    o = own_order_at(order)
    lane = o.lane
    recv_ts = now_ns + response_latency_ns(exchange, lane, now_ns)
    update = _push_update(exchange, lane, recv_ts)
    u = update_at(update)
    u.arrive_ts = bus_at(lane + LANE_TO_LOCAL).last_ts
    u.recv_ts = u.arrive_ts
    u.order_id = o.order_id
    u.status = o.status
    u.req = req
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
    u.executed = executed
    u.instrument = lane_at(lane).instrument
    copy_bytes(update + _UPDATE_STATE, lane + LANE_STATE, _STATE_BYTES)


@inline
def _refuse(exchange, lane, request, exch_ts, recv_ts):
    """Answer a request that found no order, or that did not get through (exch_ts 0)."""
    r = request_at(request)
    update = _push_update(exchange, lane, recv_ts)
    u = update_at(update)
    u.arrive_ts = bus_at(lane + LANE_TO_LOCAL).last_ts
    u.recv_ts = u.arrive_ts
    u.order_id = r.order_id
    u.status = NONE
    u.req = REJECTED
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
def _first_at_or_above(ticks, count, tick):
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
def _take_record(exchange):
    """Memory for an own order, 0 if there is none left."""
    x = exchange_at(exchange)
    if x.free != 0:
        order = x.free
        x.free = own_order_at(order).next_free
        return order
    if x.used_slots == MAX_ORDERS:
        return 0
    order = x.pool + x.used_slots * _OWN_BYTES
    own_order_at(order).slot = x.used_slots
    x.used_slots += 1
    return order


@inline
def _insert(ticks, orders, count, tick, order):
    """Behind all that stand at the tick: the newest is last in the queue."""
    i = _first_at_or_above(ticks, count, tick + 1)
    move_bytes(ticks + 8 * (i + 1), ticks + 8 * i, 8 * (count - i))
    move_bytes(orders + 8 * (i + 1), orders + 8 * i, 8 * (count - i))
    store_i64(ticks + 8 * i, tick)
    store_i64(orders + 8 * i, order)


@inline
def _remove_at(ticks, orders, count, i):
    move_bytes(ticks + 8 * i, ticks + 8 * (i + 1), 8 * (count - i - 1))
    move_bytes(orders + 8 * i, orders + 8 * (i + 1), 8 * (count - i - 1))


@inline
def _rest(exchange, order):
    """Put an order into the market."""
    x = exchange_at(exchange)
    o = own_order_at(order)
    if o.side == BUY:
        queue_enter(order, bid_qty(exchange + BOOK, o.price_tick))
        _insert(x.buy_ticks, x.buy_orders, x.buys, o.price_tick, order)
        x.buys += 1
    else:
        queue_enter(order, ask_qty(exchange + BOOK, o.price_tick))
        _insert(x.sell_ticks, x.sell_orders, x.sells, o.price_tick, order)
        x.sells += 1
    index_insert(o.lane + LANE_INDEX, o.order_id, o.slot)
    lane_at(o.lane).open_orders += 1


@inline
def _leave(exchange, order):
    """Take a resting order out of the market; its record stays with the caller."""
    x = exchange_at(exchange)
    o = own_order_at(order)
    if o.side == BUY:
        i = _first_at_or_above(x.buy_ticks, x.buys, o.price_tick)
        while load_i64(x.buy_orders + 8 * i) != order:
            i += 1
        _remove_at(x.buy_ticks, x.buy_orders, x.buys, i)
        x.buys -= 1
    else:
        i = _first_at_or_above(x.sell_ticks, x.sells, o.price_tick)
        while load_i64(x.sell_orders + 8 * i) != order:
            i += 1
        _remove_at(x.sell_ticks, x.sell_orders, x.sells, i)
        x.sells -= 1
    index_remove(o.lane + LANE_INDEX, o.order_id)
    lane_at(o.lane).open_orders -= 1


@inline
def _free(exchange, order):
    x = exchange_at(exchange)
    own_order_at(order).next_free = x.free
    x.free = order


@inline
def _execute(exchange, order, exec_price_tick, maker):
    """Fill all that is left of an order."""
    o = own_order_at(order)
    o.maker = maker
    o.exec_price_tick = exec_price_tick
    o.exec_qty = o.leaves_qty
    o.leaves_qty = 0.0
    o.status = FILLED
    book_execution(exchange, o.lane, o.side, exec_price_tick, o.exec_qty, maker)


@inline
def _fill_resting(exchange, order, now_ns):
    _leave(exchange, order)
    _execute(exchange, order, own_order_at(order).price_tick, 1)
    _respond(exchange, order, NONE, now_ns, 1)
    _free(exchange, order)


# --- What the market does to own orders -------------------------------------------------------------------------------


@inline
def fill_sells_upto(exchange, tick, now_ns):
    """The best bid is at or above these: they fill, the lowest first."""
    x = exchange_at(exchange)
    while x.sells > 0 and load_i64(x.sell_ticks) <= tick:
        _fill_resting(exchange, load_i64(x.sell_orders), now_ns)


@inline
def fill_buys_downto(exchange, tick, now_ns):
    """The best ask is at or below these: they fill, the highest first."""
    x = exchange_at(exchange)
    while x.buys > 0 and load_i64(x.buy_ticks + 8 * (x.buys - 1)) >= tick:
        # At one price the oldest goes first, and it stands first.
        top = load_i64(x.buy_ticks + 8 * (x.buys - 1))
        i = _first_at_or_above(x.buy_ticks, x.buys, top)
        _fill_resting(exchange, load_i64(x.buy_orders + 8 * i), now_ns)


@inline
def bid_level_changed(exchange, tick, before_qty, after_qty):
    """Queue places of own buys at a level."""
    x = exchange_at(exchange)
    i = _first_at_or_above(x.buy_ticks, x.buys, tick)
    while i < x.buys and load_i64(x.buy_ticks + 8 * i) == tick:
        queue_depth(load_i64(x.buy_orders + 8 * i), x.queue_model, x.queue_power, before_qty, after_qty)
        i += 1


@inline
def ask_level_changed(exchange, tick, before_qty, after_qty):
    """Queue places of own sells at a level."""
    x = exchange_at(exchange)
    i = _first_at_or_above(x.sell_ticks, x.sells, tick)
    while i < x.sells and load_i64(x.sell_ticks + 8 * i) == tick:
        queue_depth(load_i64(x.sell_orders + 8 * i), x.queue_model, x.queue_power, before_qty, after_qty)
        i += 1


@inline
def buy_trade(exchange, tick, qty, now_ns):
    """A trade whose buyer took: own sells below its price fill; at its price, those that are reached."""
    x = exchange_at(exchange)
    lot_size = x.book.lot_size
    fill_sells_upto(exchange, tick - 1, now_ns)
    i = _first_at_or_above(x.sell_ticks, x.sells, tick)
    while i < x.sells and load_i64(x.sell_ticks + 8 * i) == tick:
        order = load_i64(x.sell_orders + 8 * i)
        queue_trade(order, qty)
        if queue_is_reached(order, lot_size):
            _fill_resting(exchange, order, now_ns)
        else:
            i += 1


@inline
def sell_trade(exchange, tick, qty, now_ns):
    """A trade whose seller took: own buys above its price fill; at its price, those that are reached."""
    x = exchange_at(exchange)
    lot_size = x.book.lot_size
    fill_buys_downto(exchange, tick + 1, now_ns)
    i = _first_at_or_above(x.buy_ticks, x.buys, tick)
    while i < x.buys and load_i64(x.buy_ticks + 8 * i) == tick:
        order = load_i64(x.buy_orders + 8 * i)
        queue_trade(order, qty)
        if queue_is_reached(order, lot_size):
            _fill_resting(exchange, order, now_ns)
        else:
            i += 1


# --- Requests -------------------------------------------------------------------------------------------------------


@inline
def _accept(exchange, order, now_ns):
    """Match a new or moved order, answer it, and keep it if it rests."""
    book = book_at(exchange + BOOK)
    o = own_order_at(order)
    if o.side == BUY:
        opposite = book.best_ask_tick
        takes = o.price_tick >= opposite
        nobody = opposite == INVALID_MAX
    else:
        opposite = book.best_bid_tick
        takes = o.price_tick <= opposite
        nobody = opposite == INVALID_MIN
    if o.order_type == MARKET:
        takes = not nobody
    if takes and not nobody and (o.time_in_force != GTX or o.order_type == MARKET):
        _execute(exchange, order, opposite, 0)
        _respond(exchange, order, NONE, now_ns, 1)
        _free(exchange, order)
    elif takes or o.order_type == MARKET or o.time_in_force == FOK or o.time_in_force == IOC:
        # Post-only that would take, or nothing to take.
        o.status = EXPIRED
        _respond(exchange, order, NONE, now_ns, 0)
        _free(exchange, order)
    else:
        o.status = NEW
        _rest(exchange, order)
        _respond(exchange, order, NONE, now_ns, 0)


@inline
def _handle_new(exchange, lane, request, now_ns):
    r = request_at(request)
    if index_find(lane + LANE_INDEX, r.order_id) >= 0:
        _refuse(exchange, lane, request, now_ns, now_ns + response_latency_ns(exchange, lane, now_ns))
        return
    order = _take_record(exchange)
    if order == 0:
        _refuse(exchange, lane, request, now_ns, now_ns + response_latency_ns(exchange, lane, now_ns))
        return
    o = own_order_at(order)
    o.order_id = r.order_id
    o.lane = lane
    o.side = r.side
    o.price_tick = r.price_tick
    o.qty = r.qty
    o.leaves_qty = r.qty
    o.order_type = r.order_type
    o.time_in_force = r.time_in_force
    o.local_ts = r.local_ts
    o.status = NONE
    o.exec_price_tick = 0
    o.exec_qty = 0.0
    o.maker = 0
    _accept(exchange, order, now_ns)


@inline
def _handle_cancel(exchange, lane, request, now_ns):
    slot = index_find(lane + LANE_INDEX, request_at(request).order_id)
    if slot < 0:
        _refuse(exchange, lane, request, now_ns, now_ns + response_latency_ns(exchange, lane, now_ns))
        return
    order = exchange_at(exchange).pool + slot * _OWN_BYTES
    _leave(exchange, order)
    own_order_at(order).status = CANCELED
    _respond(exchange, order, NONE, now_ns, 0)
    _free(exchange, order)


@inline
def _handle_modify(exchange, lane, request, now_ns):
    r = request_at(request)
    slot = index_find(lane + LANE_INDEX, r.order_id)
    if slot < 0:
        _refuse(exchange, lane, request, now_ns, now_ns + response_latency_ns(exchange, lane, now_ns))
        return
    order = exchange_at(exchange).pool + slot * _OWN_BYTES
    o = own_order_at(order)
    if r.price_tick == o.price_tick and r.qty <= o.leaves_qty:
        # Less of the same keeps its place; the quantity asked for is what remains.
        o.qty = r.qty
        o.leaves_qty = r.qty
        o.status = NEW
        # The answer is to this request; later ones are to the order's first.
        first_local_ts = o.local_ts
        o.local_ts = r.local_ts
        _respond(exchange, order, NONE, now_ns, 0)
        o.local_ts = first_local_ts
        return
    _leave(exchange, order)
    o.local_ts = r.local_ts
    o.price_tick = r.price_tick
    o.qty = r.qty
    o.leaves_qty = r.qty
    _accept(exchange, order, now_ns)


@inline
def refresh_next_request(exchange):
    """Look up when the next request arrives, over all lanes."""
    x = exchange_at(exchange)
    earliest = NEVER
    for i in range(x.num_lanes):
        earliest = min(earliest, bus_at(x.lanes + i * LANE_BYTES + LANE_TO_EXCH).head_ts)
    x.next_request_ts = earliest


@inline
def handle_requests(exchange, now_ns):
    """All requests that arrive at this moment, lane by lane."""
    x = exchange_at(exchange)
    for i in range(x.num_lanes):
        lane = x.lanes + i * LANE_BYTES
        while bus_at(lane + LANE_TO_EXCH).head_ts == now_ns:
            request = bus_pop(lane + LANE_TO_EXCH, REQUEST_BYTES, REQUESTS_MASK)
            kind = request_at(request).kind
            if kind == NEW:
                _handle_new(exchange, lane, request, now_ns)
            elif kind == CANCELED:
                _handle_cancel(exchange, lane, request, now_ns)
            elif kind == REPLACED:
                _handle_modify(exchange, lane, request, now_ns)
    refresh_next_request(exchange)


@inline
def push_request(exchange, lane, request, not_before_ns):
    """Send a request on its way (a `request_dtype` record, copied); refused on the way, its answer comes instead.

    Args:
        exchange: The address of the exchange's side.
        lane: The bot's lane there.
        request: The address of the record.
        not_before_ns: The exchange has got that far: the request arrives then at the earliest.
    """
    r = request_at(request)
    latency_ns = entry_latency_ns(exchange, lane, r.local_ts)
    if latency_ns < 0:
        _refuse(exchange, lane, request, 0, max(r.local_ts - latency_ns, not_before_ns))
        return
    arrive_ts = max(r.local_ts + latency_ns, not_before_ns)
    entry = bus_push(lane + LANE_TO_EXCH, REQUEST_BYTES, REQUESTS_MASK, arrive_ts)
    copy_bytes(entry, request, REQUEST_BYTES)
    bus = bus_at(lane + LANE_TO_EXCH)
    request_at(entry).arrive_ts = bus.last_ts
    x = exchange_at(exchange)
    x.next_request_ts = min(x.next_request_ts, bus.head_ts)


@inline
def drop_lane(exchange, lane):
    """A bot left: take its orders out of the market and forget what is on its way."""
    x = exchange_at(exchange)
    i = 0
    while i < x.buys:
        order = load_i64(x.buy_orders + 8 * i)
        if own_order_at(order).lane == lane:
            _leave(exchange, order)
            _free(exchange, order)
        else:
            i += 1
    i = 0
    while i < x.sells:
        order = load_i64(x.sell_orders + 8 * i)
        if own_order_at(order).lane == lane:
            _leave(exchange, order)
            _free(exchange, order)
        else:
            i += 1
    for bus in (lane + LANE_TO_EXCH, lane + LANE_TO_LOCAL):
        b = bus_at(bus)
        b.head = b.tail
        b.head_ts = NEVER
    refresh_next_request(exchange)
