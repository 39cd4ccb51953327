"""The recorded book is lost for a while: bots that pull their quotes then have no orders in the market.

As a connector does it that notices a gap: at that moment it asks the exchange to cancel the bot's orders, and until the
book is back it refuses new ones and changes itself. What it asks takes the way of a cancel, behind the requests that
are on their way already.

The moment is the one at which the bot hears of it, on the local clock and with the run's offset of the feed: the time
at which the mark is received, wherever it stands among what the exchange sends.
"""

# pyright: basic

from hftd.compiled.jit import inline
from hftd.compiled.native import copy_bytes, load_i64, stack_bytes, store_i64
from hftd.compiled.row_access import ev_of, local_ts_of
from hftd.hbt.life import LIFE_CANCELED
from hftd.rows import BOOK_LOST, Address, Ns
from hftd.types import CANCELED, KIND_MASK, REASON_BOOK_NOT_VALID
from sim.engine.account import LANE_TO_EXCH
from sim.engine.bus import REQUESTS_MASK, bus_at, bus_is_full, bus_push
from sim.engine.own import free, leave, request_at, respond
from sim.feed.prepare import is_time_shifted
from sim.model.latency import LANE_BYTES, after, entry_latency_ns, exchange_at, lane_at
from sim.model.layout import MAX_TURNS, NEVER, REQUEST_BYTES, WAY_CANCEL, exchange_dtype, offset_of
from sim.model.queue import own_order_at

_TURNS = offset_of(exchange_dtype, "turns")

PULL = -1
"""The kind of a request that ends all orders of its lane."""


@inline
def book_state_changed(exchange: Address, row: Address, now_ns: Ns) -> None:
    """A row says that the book is lost, or back: keep when whoever listens will know."""
    x = exchange_at(exchange)
    waiting = x.turns_tail - x.turns_head
    is_lost = int((ev_of(row) & KIND_MASK) == BOOK_LOST)
    if is_lost == (x.book_lost + waiting) & 1:
        # It is so already, or will be.
        return
    if is_lost != 0 and waiting >= MAX_TURNS - 1:
        # No room for both ends of another window: it begins where the one before would have ended.
        x.turns_tail -= 1
        return
    ts = now_ns
    if is_time_shifted(local_ts_of(row), x.stream.offset_ns):
        ts = max(ts, local_ts_of(row) + x.stream.offset_ns)
    if waiting > 0:
        ts = max(ts, load_i64(_turn(exchange, x.turns_tail - 1)))
    store_i64(_turn(exchange, x.turns_tail), ts)
    x.turns_tail += 1
    if waiting == 0:
        x.next_turn_ts = ts
        x.next_request_ts = min(x.next_request_ts, ts)


@inline
def _turn(exchange: Address, number: int):
    return exchange + _TURNS + 8 * (number & (MAX_TURNS - 1))


@inline
def turn(exchange: Address, now_ns: Ns) -> None:
    """The book is lost, or back, if it is at this moment."""
    x = exchange_at(exchange)
    while x.next_turn_ts == now_ns and now_ns != NEVER:
        x.turns_head += 1
        x.next_turn_ts = load_i64(_turn(exchange, x.turns_head)) if x.turns_head < x.turns_tail else NEVER
        x.book_lost ^= 1
        if x.book_lost != 0:
            for i in range(x.num_lanes):
                lane = x.lanes + i * LANE_BYTES
                if lane_at(lane).pulls_quotes != 0 and _has_orders(lane):
                    ask_to_pull(exchange, lane, now_ns)


@inline
def _has_orders(lane: Address) -> bool:
    """Whether a lane has orders in the market, or requests on their way there."""
    return lane_at(lane).open_orders > 0 or bus_at(lane + LANE_TO_EXCH).head_ts != NEVER


@inline
def ask_to_pull(exchange: Address, lane: Address, now_ns: Ns) -> None:
    """Send what ends all orders of a lane on its way; where that has no room, once a request has arrived."""
    lane_at(lane).pull_waits = int(bus_is_full(lane + LANE_TO_EXCH, REQUESTS_MASK))
    if lane_at(lane).pull_waits != 0:
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
