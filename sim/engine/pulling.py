"""The recorded book is lost for a while: bots that pull their quotes then have no orders in the market.

As a connector does it that notices a gap: at that moment it asks the exchange to cancel the bot's orders, and until the
book is back it refuses new ones and changes itself. What it asks takes the way of a cancel, behind the requests that
are on their way already.
"""

# pyright: basic

from hftd.compiled.jit import inline
from hftd.compiled.native import copy_bytes, load_i64, stack_bytes
from hftd.compiled.row_access import ev_of
from hftd.hbt.life import LIFE_CANCELED
from hftd.rows import BOOK_LOST, Address, Ns
from hftd.types import CANCELED, KIND_MASK, REASON_BOOK_NOT_VALID
from sim.engine.account import LANE_TO_EXCH
from sim.engine.bus import REQUESTS_MASK, bus_at, bus_is_full, bus_push
from sim.engine.own import free, leave, request_at, respond
from sim.model.latency import LANE_BYTES, after, entry_latency_ns, exchange_at, lane_at
from sim.model.layout import REQUEST_BYTES, WAY_CANCEL
from sim.model.queue import own_order_at

PULL = -1
"""The kind of a request that ends all orders of its lane."""


@inline
def book_state_changed(exchange: Address, row: Address, now_ns: Ns) -> None:
    """A row says that the book is lost, or back."""
    x = exchange_at(exchange)
    x.book_lost = int((ev_of(row) & KIND_MASK) == BOOK_LOST)
    if x.book_lost == 0:
        return
    for i in range(x.num_lanes):
        lane = x.lanes + i * LANE_BYTES
        if lane_at(lane).pulls_quotes != 0:
            _ask(exchange, lane, now_ns)


@inline
def _ask(exchange: Address, lane: Address, now_ns: Ns) -> None:
    if bus_is_full(lane + LANE_TO_EXCH, REQUESTS_MASK):
        # There is no room to wait for: they end now.
        pull(exchange, lane, now_ns)
        return
    request = stack_bytes(REQUEST_BYTES)
    r = request_at(request)
    r.arrive_ts = 0
    r.kind = CANCELED
    r.order_id = 0
    r.side = 0
    r.order_type = 0
    r.time_in_force = 0
    r.price_tick = 0
    r.qty = 0.0
    r.local_ts = now_ns
    r.instrument = lane_at(lane).instrument
    # Where a recording says that a cancel was refused then, it is tried again: so long it takes then.
    latency_ns = abs(entry_latency_ns(exchange, lane, WAY_CANCEL, request))
    entry = bus_push(lane + LANE_TO_EXCH, REQUEST_BYTES, REQUESTS_MASK, after(now_ns, latency_ns))
    r.kind = PULL
    copy_bytes(entry, request, REQUEST_BYTES)
    bus = bus_at(lane + LANE_TO_EXCH)
    request_at(entry).arrive_ts = bus.last_ts
    x = exchange_at(exchange)
    x.next_request_ts = min(x.next_request_ts, bus.head_ts)


@inline
def pull(exchange: Address, lane: Address, now_ns: Ns) -> None:
    """All resting orders of a lane end."""
    x = exchange_at(exchange)
    i = 0
    while i < x.buys:
        order = load_i64(x.buy_orders + 8 * i)
        if own_order_at(order).lane == lane:
            _end(exchange, order, now_ns)
        else:
            i += 1
    i = 0
    while i < x.sells:
        order = load_i64(x.sell_orders + 8 * i)
        if own_order_at(order).lane == lane:
            _end(exchange, order, now_ns)
        else:
            i += 1


@inline
def _end(exchange: Address, order: Address, now_ns: Ns) -> None:
    leave(exchange, order)
    own_order_at(order).status = CANCELED
    respond(exchange, order, LIFE_CANCELED, REASON_BOOK_NOT_VALID, now_ns)
    free(exchange, order)
