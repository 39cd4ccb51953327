"""Time passes: the engine of a backtest in one process, as the backend of a session.

Four things can happen next at an asset: market data or an answer reaches the bot, market data or a request reaches
the exchange. The earliest comes first. Since the recorded market takes no notice of the bot, the exchange's side may
run ahead of the local side up to the moment at which the strategy wakes; nothing on the local side reaches the
exchange before the strategy has woken.
"""

# pyright: basic

from hftd.compiled.jit import inline, kernel
from hftd.compiled.layout import (
    ARRIVED_FEED,
    ARRIVED_RESPONSE,
    WAIT_FEED,
    WAIT_FEED_OR_RESPONSE,
    WAIT_RESPONSE,
    asset_dtype,
    request_dtype,
    session_dtype,
)
from hftd.compiled.native import call_code, load_i64, record_at, stack_bytes
from hftd.hbt.orders import apply_update, asset_at, order_at, update_at
from hftd.rows import Address, Ns
from hftd.types import END_OF_DATA, ERR_DATA, ERR_RING_FULL, INVALID_MIN, MARKET_FEED, ORDER_RESPONSE
from sim.engine.account import LANE_TO_EXCH, LANE_TO_LOCAL
from sim.engine.bus import REQUESTS_MASK, UPDATES_MASK, bus_at, bus_is_full, bus_pop
from sim.engine.exchange import handle_requests, push_request
from sim.engine.life import note_answer
from sim.engine.market import ASSET_BOOK, exchange_segment, local_segment, look_ahead
from sim.engine.own import BOOK
from sim.feed.prepare import stream_at
from sim.model.latency import exchange_at
from sim.model.layout import (
    NEVER,
    REQUEST_BYTES,
    UPDATE_BYTES,
    engine_dtype,
    exchange_dtype,
    offset_of,
    segment_dtype,
    stream_dtype,
)

engine_at = record_at(engine_dtype)
session_at = record_at(session_dtype)
request_at = record_at(request_dtype)

EXCHANGE_BYTES = exchange_dtype.itemsize
STREAM_BYTES = stream_dtype.itemsize
ASSET_BYTES = asset_dtype.itemsize
STREAM = offset_of(exchange_dtype, "stream")
_SEGMENT = segment_dtype.itemsize


@inline
def exchange_address(engine: Address, asset_no: int):
    """The address of an asset's exchange side."""
    return engine_at(engine).exchanges + asset_no * EXCHANGE_BYTES


@inline
def refill(engine: Address, asset_no: int, stream: Address):
    """Prepare the next chunk of a stream, opening the next file when one is done. Returns 0 or an error."""
    e = engine_at(engine)
    s = stream_at(stream)
    while s.next_ts == NEVER and s.ended == 0:
        if s.row < s.rows_end:
            if call_code(e.fn_prepare, (stream,)) != 0:
                e.error = ERR_DATA
                s.ended = 1
                return ERR_DATA
        else:
            # Rarely: into Python, which takes the next block, opens the next file or says that there is none.
            code = call_code(e.fn_next_file, (engine, asset_no, s.is_local))
            if code == 1:
                s.ended = 1
            elif code != 0:
                e.error = ERR_DATA
                s.ended = 1
                return ERR_DATA
    return 0


@inline
def next_segment(engine: Address, asset_no: int, stream: Address, segment: Address) -> None:
    """Go on behind a segment that was processed."""
    s = stream_at(stream)
    following = segment + _SEGMENT
    s.segment = following
    if following < s.segments_end:
        s.next_ts = load_i64(following)
    else:
        s.next_ts = NEVER
        refill(engine, asset_no, stream)


@kernel("int64(int64, int64, int64)")
def advance_exchange(engine: Address, asset_no: int, until_ns: Ns) -> int:
    """All that happens at an asset's exchange until then, that moment included."""
    exchange = exchange_address(engine, asset_no)
    x = exchange_at(exchange)
    stream = exchange + STREAM
    s = stream_at(stream)
    while True:
        # Data comes before requests of the same time; and it may say when something else happens before what was next.
        while s.next_ts <= until_ns and s.next_ts <= x.next_request_ts:
            ts = s.next_ts
            if ts == NEVER:
                break
            segment = s.segment
            exchange_segment(exchange, segment, s.ticks, s.qtys, ts)
            next_segment(engine, asset_no, stream, segment)
        request_ts = x.next_request_ts
        if request_ts > until_ns or request_ts == NEVER:
            if engine_at(engine).num_assets > 1:
                look_ahead(exchange + BOOK, s.segment, s.segments_end, s.ticks, s.qtys)
            return 0
        handle_requests(exchange, request_ts)


@inline
def next_exchange_ts(engine: Address, asset_no: int):
    """When something happens next on an asset's exchange side; NEVER if nothing will."""
    x = exchange_at(exchange_address(engine, asset_no))
    return min(x.stream.next_ts, x.next_request_ts)


@inline
def matching_response_ts(lane: Address, order_id: int, any_order: int):
    """When the first answer on its way arrives that is waited for, NEVER if there is none."""
    bus = bus_at(lane + LANE_TO_LOCAL)
    if any_order or bus.head == bus.tail:
        return bus.head_ts
    for i in range(bus.head, bus.tail):
        u = update_at(bus.entries + (i & UPDATES_MASK) * UPDATE_BYTES)
        if u.order_id == order_id:
            return u.recv_ts
    return NEVER


@inline
def step_exchange_to_response(engine: Address, asset_no: int, lane: Address, order_id: int, until_ns: Ns):
    """Let the exchange go on event by event until an answer that is waited for is on its way.

    Returns:
        When it arrives, or `until_ns` if that comes first. Everything at the exchange up to then has happened.
    """
    limit = min(until_ns, matching_response_ts(lane, order_id, False))
    while True:
        ts = next_exchange_ts(engine, asset_no)
        if ts > limit or ts == NEVER:
            return limit
        call_code(engine_at(engine).fn_advance_exchange, (engine, asset_no, ts))
        limit = min(limit, matching_response_ts(lane, order_id, False))


@inline
def step_exchanges_to_response(engine: Address, num_assets: int, until_ns: Ns):
    """As `step_exchange_to_response` for any answer of any of the first assets.

    No exchange gets ahead of the answer that ends the wait: what the strategy sends then, to whichever of them, must
    find it as it is at that moment.
    """
    limit = until_ns
    for a in range(num_assets):
        limit = min(limit, matching_response_ts(exchange_at(exchange_address(engine, a)).lanes, 0, True))
    while True:
        first = 0
        ts = NEVER
        for a in range(num_assets):
            asset_ts = next_exchange_ts(engine, a)
            if asset_ts < ts:
                ts = asset_ts
                first = a
        if ts > limit or ts == NEVER:
            return limit
        call_code(engine_at(engine).fn_advance_exchange, (engine, first, ts))
        limit = min(limit, matching_response_ts(exchange_at(exchange_address(engine, first)).lanes, 0, True))


@kernel("int64(int64, int64, int64, int64)")
def advance_local(engine: Address, session: Address, asset_no: int, until_ns: Ns) -> int:
    """All that reaches the bot from an asset until then. Returns ARRIVED_* bits."""
    e = engine_at(engine)
    asset = session_at(session).assets + asset_no * ASSET_BYTES
    a = asset_at(asset)
    stream = e.locals + asset_no * STREAM_BYTES
    s = stream_at(stream)
    arrived = 0
    if s.next_ts <= until_ns and s.next_ts != NEVER:
        arrived = ARRIVED_FEED
        shift_ns = s.offset_ns
        while s.next_ts <= until_ns and s.next_ts != NEVER:
            segment = s.segment
            a.feed_local_ts = s.next_ts
            local_segment(asset, segment, s.ticks, s.qtys, s.rows_base, shift_ns)
            next_segment(engine, asset_no, stream, segment)
        a.feed_seen = 1
        if e.num_assets > 1:
            look_ahead(asset + ASSET_BOOK, s.segment, s.segments_end, s.ticks, s.qtys)
    exchange = exchange_address(engine, asset_no)
    lane = exchange_at(exchange).lanes
    bus = bus_at(lane + LANE_TO_LOCAL)
    while bus.head_ts <= until_ns and bus.head_ts != NEVER:
        update = bus_pop(lane + LANE_TO_LOCAL, UPDATE_BYTES, UPDATES_MASK)
        note_answer(exchange, lane, update)
        apply_update(asset, update)
        arrived |= ARRIVED_RESPONSE
    return arrived


@inline
def is_over(engine: Address, session_assets: Address) -> bool:
    """Whether nothing will happen any more: no data, nothing on its way."""
    e = engine_at(engine)
    for asset_no in range(e.num_assets):
        x = exchange_at(exchange_address(engine, asset_no))
        if x.stream.next_ts != NEVER or bus_at(x.lanes + LANE_TO_EXCH).head_ts != NEVER:
            return False
    for asset_no in range(session_assets):
        lane = exchange_at(exchange_address(engine, asset_no)).lanes
        if bus_at(lane + LANE_TO_LOCAL).head_ts != NEVER:
            return False
    for asset_no in range(e.num_assets):
        if stream_at(e.locals + asset_no * STREAM_BYTES).next_ts != NEVER:
            return False
    return True


@inline
def tell_failure(engine: Address) -> None:
    """An error ends the run: whoever made it is told at once, for scripts seldom ask."""
    fn_failed = engine_at(engine).fn_failed
    if fn_failed != 0:
        call_code(fn_failed, (engine,))


@kernel("int64(int64)")
def begin(session: Address) -> int:
    """Start the clock at the earliest event of all assets."""
    s = session_at(session)
    e = engine_at(s.backend)
    if e.error != 0:
        return END_OF_DATA
    earliest = NEVER
    for asset_no in range(e.num_assets):
        exchange = exchange_address(s.backend, asset_no)
        local = e.locals + asset_no * STREAM_BYTES
        code = refill(s.backend, asset_no, exchange + STREAM)
        if code == 0:
            code = refill(s.backend, asset_no, local)
        if code != 0:
            tell_failure(s.backend)
            return code
        earliest = min(earliest, stream_at(exchange + STREAM).next_ts, stream_at(local).next_ts)
    if earliest == NEVER:
        return 1
    s.now_ns = earliest
    s.start_ns = earliest
    return 0


@kernel("int64(int64, int64, int64, int64, int64)")
def advance(session: Address, until_ns: Ns, wait: int, asset_no: int, order_id: int) -> int:
    """As `hftd.hbt.session` says."""
    s = session_at(session)
    engine = s.backend
    e = engine_at(engine)
    if e.error != 0:
        # Said once: a strategy that only looks for the end must end too.
        return END_OF_DATA
    limit = until_ns
    if wait == WAIT_FEED or wait == WAIT_FEED_OR_RESPONSE:
        for a in range(s.num_assets):
            limit = min(limit, stream_at(e.locals + a * STREAM_BYTES).next_ts)
    if wait == WAIT_FEED_OR_RESPONSE:
        limit = step_exchanges_to_response(engine, s.num_assets, limit)
    elif wait == WAIT_RESPONSE:
        lane = exchange_at(exchange_address(engine, asset_no)).lanes
        limit = step_exchange_to_response(engine, asset_no, lane, order_id, limit)
    for a in range(e.num_assets):
        if next_exchange_ts(engine, a) <= limit:
            call_code(e.fn_advance_exchange, (engine, a, limit))
        if exchange_at(exchange_address(engine, a)).error != 0:
            e.error = exchange_at(exchange_address(engine, a)).error
    code = 0
    for a in range(s.num_assets):
        # What came last sets the code: of one moment, the higher asset number, and answers after data.
        arrived = call_code(e.fn_advance_local, (engine, session, a, limit))
        if wait == WAIT_FEED_OR_RESPONSE and (arrived & ARRIVED_RESPONSE) != 0:
            code = ORDER_RESPONSE
        elif (arrived & ARRIVED_FEED) != 0:
            code = MARKET_FEED
    # Assets that are only on the timeline.
    for a in range(s.num_assets, e.num_assets):
        skip_local(engine, a, limit)
    if e.error != 0:
        tell_failure(engine)
        return e.error
    if is_over(engine, s.num_assets):
        return 1
    s.now_ns = limit
    return code if wait == WAIT_FEED or wait == WAIT_FEED_OR_RESPONSE else 0


@inline
def skip_local(engine: Address, asset_no: int, until_ns: Ns) -> None:
    """Step over the local side's data of an asset that is only on the timeline."""
    stream = engine_at(engine).locals + asset_no * STREAM_BYTES
    s = stream_at(stream)
    while s.next_ts <= until_ns and s.next_ts != NEVER:
        next_segment(engine, asset_no, stream, s.segment)


@kernel("int64(int64, int64, int64, int64)")
def send(session: Address, asset_no: int, order: Address, kind: int) -> int:
    """Hand a request for a local order to the exchange's side."""
    s = session_at(session)
    exchange = exchange_address(s.backend, asset_no)
    lane = exchange_at(exchange).lanes
    if bus_is_full(lane + LANE_TO_EXCH, REQUESTS_MASK):
        return ERR_RING_FULL
    o = order_at(order)
    request = stack_bytes(REQUEST_BYTES)
    r = request_at(request)
    r.arrive_ts = INVALID_MIN
    r.kind = kind
    r.order_id = o.order_id
    r.side = o.side
    r.order_type = o.order_type
    r.time_in_force = o.time_in_force
    r.price_tick = o.price_tick
    r.qty = o.qty
    r.local_ts = o.local_timestamp
    r.instrument = asset_no
    push_request(exchange, lane, request, s.now_ns)
    return 0
