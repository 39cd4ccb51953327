"""The local side's orders: where they are kept, and what a request and an answer do to them.

One implementation for backtest, replay and live, in compiled code. Records keep their address as long as the order
exists, so a strategy may hold one. Iteration goes from the oldest order to the newest, so two runs are equal.

The rules of the states (HftBacktest's): `req` holds the request under way, and a second one is refused until it is
answered; an answer overwrites the order with what the exchange says; a refused request leaves the order as it was
before it, and a refused new order is expired.
"""

# pyright: basic

from hftd.compiled.jit import inline
from hftd.compiled.layout import (
    MAX_ORDERS,
    asset_dtype,
    offset_of,
    order_dtype,
    orders_dtype,
    update_dtype,
)
from hftd.compiled.native import (
    copy_bytes,
    load_i64,
    record_at,
    store_i64,
)
from hftd.compiled.order_index import index_find, index_insert, index_remove
from hftd.rows import Address, Ns, Tick
from hftd.types import (
    CANCELED,
    EXPIRED,
    FILLED,
    NEW,
    NONE,
    REJECTED,
    REPLACED,
    fill_dtype,
    latency_dtype,
    state_values_dtype,
)

asset_at = record_at(asset_dtype)
order_at = record_at(order_dtype)
orders_at = record_at(orders_dtype)
update_at = record_at(update_dtype)
fill_at = record_at(fill_dtype)

ORDERS = offset_of(asset_dtype, "orders")
INDEX = offset_of(orders_dtype, "index")
_CURSORS = offset_of(orders_dtype, "cursors")
_STATE = offset_of(asset_dtype, "state")
_UPDATE_STATE = offset_of(update_dtype, "state")
_ORDER_BYTES = order_dtype.itemsize
_FILL_BYTES = fill_dtype.itemsize
_LATENCY_BYTES = latency_dtype.itemsize
_STATE_BYTES = state_values_dtype.itemsize


@inline
def find_order(asset: Address, order_id: int):
    """The address of an order's record, 0 if the bot does not know the id."""
    slot = index_find(asset + ORDERS + INDEX, order_id)
    if slot < 0:
        return 0
    return orders_at(asset + ORDERS).pool + slot * _ORDER_BYTES


@inline
def add_order(asset: Address, order_id: int):
    """A record for a new order at the list's end, its fields unset but the id; 0 if there is no room."""
    orders = orders_at(asset + ORDERS)
    if orders.count == MAX_ORDERS:
        return 0
    if orders.free != 0:
        address = orders.free
        orders.free = order_at(address).next
        slot = order_at(address).slot
    else:
        slot = orders.used_slots
        orders.used_slots += 1
        address = orders.pool + slot * _ORDER_BYTES
    index_insert(asset + ORDERS + INDEX, order_id, slot)
    order = order_at(address)
    order.order_id = order_id
    order.slot = slot
    order.next = 0
    order.prev = orders.last
    if orders.last != 0:
        order_at(orders.last).next = address
    else:
        orders.first = address
    orders.last = address
    orders.count += 1
    return address


@inline
def remove_order(asset: Address, address: Address) -> None:
    """Forget an order: take it out of the index and the list, and keep its record for a new one."""
    orders = orders_at(asset + ORDERS)
    order = order_at(address)
    if is_inactive(order.status):
        orders.inactive -= 1
    index_remove(asset + ORDERS + INDEX, order.order_id)
    if order.prev != 0:
        order_at(order.prev).next = order.next
    else:
        orders.first = order.next
    if order.next != 0:
        order_at(order.next).prev = order.prev
    else:
        orders.last = order.prev
    # Iterators that stand on this order go on behind it.
    for i in range(8):
        cursor = asset + ORDERS + _CURSORS + 8 * i
        if load_i64(cursor) == address:
            store_i64(cursor, order.next)
    order.next = orders.free
    orders.free = address
    orders.count -= 1


@inline
def is_inactive(status: int):
    """Whether nothing can happen to an order any more."""
    return status == EXPIRED or status == FILLED or status == CANCELED


@inline
def clear_inactive(asset: Address) -> None:
    """Drop the orders that are expired, filled or canceled."""
    orders = orders_at(asset + ORDERS)
    address = orders.first
    while orders.inactive > 0 and address != 0:
        following = order_at(address).next
        if is_inactive(order_at(address).status):
            remove_order(asset, address)
        address = following


@inline
def _set_status(asset: Address, address: Address, status: int) -> None:
    order = order_at(address)
    orders_at(asset + ORDERS).inactive += int(is_inactive(status)) - int(is_inactive(order.status))
    order.status = status


@inline
def _take_over(asset: Address, address: Address, update: Address) -> None:
    """The order becomes what the exchange says it is."""
    order = order_at(address)
    u = update_at(update)
    order.qty = u.qty
    order.leaves_qty = u.leaves_qty
    order.price_tick = u.price_tick
    order.side = u.side
    order.time_in_force = u.time_in_force
    if u.exch_ts > 0:
        order.exch_timestamp = u.exch_ts
    _set_status(asset, address, u.status)
    order.req = u.req
    order.exec_price_tick = u.exec_price_tick
    order.exec_qty = u.exec_qty
    order.maker = u.maker
    order.order_type = u.order_type
    order.reason = u.reason


@inline
def _note_fill(asset: Address, update: Address) -> None:
    a = asset_at(asset)
    if a.fills_len >= a.fills_cap:
        a.fills_dropped += 1
        return
    u = update_at(update)
    fill = fill_at(a.fills + a.fills_len * _FILL_BYTES)
    fill.timestamp = u.recv_ts
    fill.exch_ts = u.exch_ts
    fill.asset_no = a.asset_no
    # Copied as bits: the id is unsigned in the file.
    store_i64(a.fills + a.fills_len * _FILL_BYTES + 24, u.order_id)
    fill.side = u.side
    fill.price = u.exec_price_tick * a.book.tick_size
    fill.qty = u.exec_qty
    fill.maker = u.maker
    a.fills_len += 1


@inline
def _note_latency(asset: Address, update: Address) -> None:
    """The answer to a request: how long its ways took."""
    a = asset_at(asset)
    if a.latencies_len >= a.latencies_cap:
        a.latencies_dropped += 1
        return
    u = update_at(update)
    row = a.latencies + a.latencies_len * _LATENCY_BYTES
    store_i64(row, u.local_ts)
    store_i64(row + 8, u.exch_ts)
    store_i64(row + 16, u.recv_ts)
    store_i64(row + 24, u.reason)
    a.latencies_len += 1


@inline
def apply_update(asset: Address, update: Address) -> None:
    """What an answer from the exchange side (an `update_dtype` record) does to the local side."""
    a = asset_at(asset)
    u = update_at(update)
    # A request that was refused on its way has no exchange time, so it tells no latency.
    if u.exch_ts > 0:
        a.order_seen = 1
        a.order_req_ts = u.local_ts
        a.order_exch_ts = u.exch_ts
        a.order_resp_ts = u.recv_ts
    if u.executed != 0:
        copy_bytes(asset + _STATE, update + _UPDATE_STATE, _STATE_BYTES)
        _note_fill(asset, update)
    address = find_order(asset, u.order_id)
    if address == 0:
        if u.req != REJECTED:
            address = add_order(asset, u.order_id)
            if address != 0:
                order = order_at(address)
                order.status = NONE
                order.tick_size = a.book.tick_size
                order.local_timestamp = u.local_ts
                order.exch_timestamp = 0
                _take_over(asset, address, update)
        return
    order = order_at(address)
    if order.req != NONE and u.local_ts == order.local_timestamp:
        _note_latency(asset, update)
    if u.req != REJECTED:
        _take_over(asset, address, update)
    elif u.local_ts == order.local_timestamp:
        # An order that the other side never got, or knows nothing of any more, is over whatever was asked of it.
        if order.req == NEW or u.status == EXPIRED:
            _set_status(asset, address, EXPIRED)
        elif order.req == REPLACED:
            order.price_tick = order.prior_price_tick
            order.qty = order.prior_qty
        order.req = NONE
        order.reason = u.reason


@inline
def new_order(
    asset: Address,
    order_id: int,
    side: int,
    price_tick: Tick,
    qty: float,
    time_in_force: int,
    order_type: int,
    now_ns: Ns,
):
    """A local order whose request is about to be sent; its address, or 0 if there is no room."""
    address = add_order(asset, order_id)
    if address == 0:
        return 0
    order = order_at(address)
    order.qty = qty
    order.leaves_qty = qty
    order.exec_qty = 0.0
    order.exec_price_tick = 0
    order.price_tick = price_tick
    order.tick_size = asset_at(asset).book.tick_size
    order.exch_timestamp = 0
    order.local_timestamp = now_ns
    order.maker = 0
    order.order_type = order_type
    order.req = NEW
    order.status = NONE
    order.side = side
    order.time_in_force = time_in_force
    order.prior_price_tick = price_tick
    order.prior_qty = qty
    order.reason = 0
    return address
