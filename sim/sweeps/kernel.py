"""The loop of a pass, in compiled code: the market goes by, and the lanes that look at a moment run in turns.

A strategy waits by calling `advance` of its session. Here that notes when it wakes and switches to the next lane that
looks at the present moment, on its own stack, or behind the last of them to the loop. The loop finds the earliest
moment at which a lane wakes, lets everything up to then happen at the exchanges and on the market's local side, and
goes on with the lanes of that moment. So no exchange is ever ahead of a lane, and each lane finds what it would have
found alone.
"""

# pyright: basic

from hftd.compiled.jit import inline, kernel
from hftd.compiled.layout import (
    ARRIVED_FEED,
    ARRIVED_RESPONSE,
    WAIT_FEED,
    WAIT_FEED_OR_RESPONSE,
    WAIT_RESPONSE,
    book_dtype,
)
from hftd.compiled.native import call_code, copy_bytes, load_i64, record_at, stack_bytes, store_i64
from hftd.hbt.orders import apply_update, asset_at, order_at
from hftd.rows import ROW_BYTES, Address, Ns
from hftd.types import END_OF_DATA, ERR_RING_FULL, INVALID_MAX, INVALID_MIN, MARKET_FEED, ORDER_RESPONSE
from sim.engine.account import LANE_TO_EXCH, LANE_TO_LOCAL
from sim.engine.bus import REQUESTS_MASK, UPDATES_MASK, bus_at, bus_is_full, bus_pop
from sim.engine.exchange import push_request
from sim.engine.market import ASSET_BOOK, local_segment, look_ahead
from sim.engine.run import (
    ASSET_BYTES,
    STREAM_BYTES,
    engine_at,
    exchange_address,
    matching_response_ts,
    next_exchange_ts,
    next_segment,
    request_at,
    session_at,
    skip_local,
)
from sim.feed.prepare import stream_at
from sim.model.latency import LANE_BYTES, exchange_at
from sim.model.layout import NEVER, REQUEST_BYTES, UPDATE_BYTES
from sim.sweeps.layout import LOG_ROWS, lane_dtype, pass_dtype, seen_dtype

pass_at = record_at(pass_dtype)
lane_at = record_at(lane_dtype)
seen_at = record_at(seen_dtype)

_BOOK_BYTES = book_dtype.itemsize
_RUN_BYTES = lane_dtype.itemsize
_SEEN_BYTES = seen_dtype.itemsize


# --- What a lane has of the market ----------------------------------------------------------------------------------


@inline
def _take_trades(asset: Address, market: Address, first: int) -> None:
    """Keep the trades that the market has kept since a lane looked last, as far as there is room."""
    a = asset_at(asset)
    m = asset_at(market)
    count = m.trades_len - first
    room = min(count, a.trades_cap - a.trades_len)
    copy_bytes(a.trades + a.trades_len * ROW_BYTES, m.trades + first * ROW_BYTES, room * ROW_BYTES)
    a.trades_len += room
    a.trades_dropped += count - room


@inline
def _take_user_events(asset: Address, market: Address, first: int) -> None:
    a = asset_at(asset)
    m = asset_at(market)
    count = m.user_events_len - first
    room = min(count, a.user_events_cap - a.user_events_len)
    copy_bytes(
        a.user_events + a.user_events_len * ROW_BYTES, m.user_events + first * ROW_BYTES, room * ROW_BYTES
    )
    a.user_events_len += room
    a.user_events_dropped += count - room


@inline
def _follow_logs(lane: Address, market: Address, asset_no: int) -> None:
    l = lane_at(lane)  # noqa: E741
    seen = seen_at(l.seen + asset_no * _SEEN_BYTES)
    asset = session_at(l.session).assets + asset_no * ASSET_BYTES
    m = asset_at(market)
    if m.trades_len > seen.trades:
        _take_trades(asset, market, seen.trades)
        seen.trades = m.trades_len
    if m.user_events_len > seen.user_events:
        _take_user_events(asset, market, seen.user_events)
        seen.user_events = m.user_events_len


@inline
def _follow(lane: Address, market: Address, asset_no: int, feeds: int):
    """Take over what the market's local side has of an asset. Returns whether anything has come since the last time."""
    l = lane_at(lane)  # noqa: E741
    seen = seen_at(l.seen + asset_no * _SEEN_BYTES)
    if seen.feeds == feeds:
        return False
    seen.feeds = feeds
    asset = session_at(l.session).assets + asset_no * ASSET_BYTES
    a = asset_at(asset)
    m = asset_at(market)
    # The record alone: it points to the market's quantities.
    copy_bytes(asset + ASSET_BOOK, market + ASSET_BOOK, _BOOK_BYTES)
    a.feed_exch_ts = m.feed_exch_ts
    a.feed_local_ts = m.feed_local_ts
    a.feed_seen = 1
    a.rows = m.rows
    if m.trades_cap + m.user_events_cap > 0:
        _follow_logs(lane, market, asset_no)
    return True


@inline
def _empty_logs(owner: Address, asset_no: int) -> None:
    """Hand what the market has kept of an asset's trades and user events to all lanes, and forget it."""
    p = pass_at(owner)
    market = session_at(p.market).assets + asset_no * ASSET_BYTES
    for i in range(p.num_lanes):
        lane = p.lanes + i * _RUN_BYTES
        _follow_logs(lane, market, asset_no)
        seen = seen_at(lane_at(lane).seen + asset_no * _SEEN_BYTES)
        seen.trades = 0
        seen.user_events = 0
    asset_at(market).trades_len = 0
    asset_at(market).user_events_len = 0


# --- What a session calls -------------------------------------------------------------------------------------------


@inline
def _exchange_lane(owner: Address, asset_no: int, number: int):
    exchange = exchange_address(pass_at(owner).engine, asset_no)
    return exchange_at(exchange).lanes + number * LANE_BYTES


@inline
def _leave(lane: Address) -> None:
    """Go on with the next lane of this moment, or with the loop."""
    p = pass_at(lane_at(lane).owner)
    p.next_ready += 1
    to = p.stack
    if p.next_ready < p.num_ready:
        to = lane_at(load_i64(p.ready + 8 * p.next_ready)).stack
    # The stack's address is the first field.
    call_code(p.fn_switch, (lane, to))


@kernel("int64(int64)")
def begin(session: Address) -> int:
    """Set the clock to the earliest event, as the pass has found it."""
    s = session_at(session)
    p = pass_at(lane_at(s.backend).owner)
    if p.begun == 0:
        s.now_ns = p.start_ns
        s.start_ns = p.start_ns
    return p.begun


@inline
def _answer_ts(lane: Address):
    """When the first answer arrives that a lane waits for."""
    l = lane_at(lane)  # noqa: E741
    if l.wait == WAIT_RESPONSE:
        found = _exchange_lane(l.owner, l.asset_no, l.number)
        return matching_response_ts(found, l.order_id, False)
    ts = NEVER
    for a in range(session_at(l.session).num_assets):
        ts = min(ts, matching_response_ts(_exchange_lane(l.owner, a, l.number), 0, True))
    return ts


@inline
def _is_over(lane: Address):
    """Whether nothing will happen to a lane any more: no data, nothing on its way."""
    l = lane_at(lane)  # noqa: E741
    p = pass_at(l.owner)
    if p.over == 0:
        return False
    for a in range(engine_at(p.engine).num_assets):
        found = _exchange_lane(l.owner, a, l.number)
        if bus_at(found + LANE_TO_EXCH).head_ts != NEVER or bus_at(found + LANE_TO_LOCAL).head_ts != NEVER:
            return False
    return True


@kernel("int64(int64, int64, int64, int64, int64)")
def advance(session: Address, until_ns: Ns, wait: int, asset_no: int, order_id: int) -> int:
    """As `hftd.hbt.session` says."""
    s = session_at(session)
    lane = s.backend
    l = lane_at(lane)  # noqa: E741
    p = pass_at(l.owner)
    if l.told != 0:
        return END_OF_DATA
    limit = until_ns
    wants_feed = wait in (WAIT_FEED, WAIT_FEED_OR_RESPONSE)
    if wants_feed:
        locals_ = engine_at(p.engine).locals
        for a in range(s.num_assets):
            limit = min(limit, stream_at(locals_ + a * STREAM_BYTES).next_ts)
    l.wait = wait
    if wait >= WAIT_FEED_OR_RESPONSE:
        l.asset_no = asset_no
        l.order_id = order_id
        limit = min(limit, _answer_ts(lane))
        p.waiting += 1
    wake = p.wakes + 8 * l.number
    store_i64(wake, limit)
    _leave(lane)
    # And back again: it is as late as the wake says, which answers may have made earlier.
    if wait >= WAIT_FEED_OR_RESPONSE:
        p.waiting -= 1
    if p.error != 0:
        l.told = 1
        return p.error
    limit = load_i64(wake)
    code = 0
    for a in range(s.num_assets):
        market = session_at(p.market).assets + a * ASSET_BYTES
        arrived = ARRIVED_FEED if _follow(lane, market, a, load_i64(p.feeds + 8 * a)) else 0
        bus = _exchange_lane(l.owner, a, l.number) + LANE_TO_LOCAL
        while bus_at(bus).head_ts <= limit and bus_at(bus).head_ts != NEVER:
            apply_update(s.assets + a * ASSET_BYTES, bus_pop(bus, UPDATE_BYTES, UPDATES_MASK))
            arrived |= ARRIVED_RESPONSE
        if wait == WAIT_FEED_OR_RESPONSE and (arrived & ARRIVED_RESPONSE) != 0:
            code = ORDER_RESPONSE
        elif (arrived & ARRIVED_FEED) != 0:
            code = MARKET_FEED
    if _is_over(lane):
        return 1
    s.now_ns = limit
    return code if wants_feed else 0


@kernel("int64(int64, int64, int64, int64)")
def send(session: Address, asset_no: int, order: Address, kind: int) -> int:
    """Hand a request for a local order to the exchange's side."""
    s = session_at(session)
    l = lane_at(s.backend)  # noqa: E741
    exchange = exchange_address(pass_at(l.owner).engine, asset_no)
    lane = exchange_at(exchange).lanes + l.number * LANE_BYTES
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


# --- The loop -------------------------------------------------------------------------------------------------------


@kernel("void(int64)")
def run_lane(lane: Address):
    """What a lane's stack begins with: its strategy. Never returns."""
    l = lane_at(lane)  # noqa: E741
    p = pass_at(l.owner)
    if call_code(l.fn_strategy, (l.arguments,)) != 0:
        l.failed = 1
    l.done = 1
    store_i64(p.wakes + 8 * l.number, INVALID_MAX)
    p.playing -= 1
    _leave(lane)


@inline
def _earliest_wake(owner: Address):
    p = pass_at(owner)
    ts = INVALID_MAX
    for i in range(p.num_lanes):
        ts = min(ts, load_i64(p.wakes + 8 * i))
    return ts


@inline
def _answers(owner: Address):
    """Answers that the exchanges have given so far."""
    p = pass_at(owner)
    count = 0
    for a in range(session_at(p.market).num_assets):
        count += exchange_at(exchange_address(p.engine, a)).answers
    return count


@inline
def _step_to_answers(owner: Address, until_ns: Ns):
    """Let the exchanges go on event by event until an answer that a lane waits for is on its way.

    Returns:
        When a lane wakes then.
    """
    p = pass_at(owner)
    limit = until_ns
    answers = _answers(owner)
    while True:
        first = 0
        ts = NEVER
        for a in range(session_at(p.market).num_assets):
            asset_ts = next_exchange_ts(p.engine, a)
            if asset_ts < ts:
                ts = asset_ts
                first = a
        if ts > limit or ts == NEVER:
            return limit
        call_code(engine_at(p.engine).fn_advance_exchange, (p.engine, first, ts))
        if _answers(owner) != answers:
            answers = _answers(owner)
            for i in range(p.num_lanes):
                lane = p.lanes + i * _RUN_BYTES
                if lane_at(lane).wait >= WAIT_FEED_OR_RESPONSE and lane_at(lane).done == 0:
                    wake = min(load_i64(p.wakes + 8 * i), _answer_ts(lane))
                    store_i64(p.wakes + 8 * i, wake)
                    limit = min(limit, wake)


@inline
def _advance_market(owner: Address, asset_no: int, until_ns: Ns) -> None:
    """All that reaches the bots of the market from an asset until then."""
    p = pass_at(owner)
    stream = engine_at(p.engine).locals + asset_no * STREAM_BYTES
    s = stream_at(stream)
    if s.next_ts > until_ns or s.next_ts == NEVER:
        return
    asset = session_at(p.market).assets + asset_no * ASSET_BYTES
    a = asset_at(asset)
    count = 0
    while s.next_ts <= until_ns and s.next_ts != NEVER:
        a.feed_local_ts = s.next_ts
        local_segment(asset, s.segment, s.ticks, s.qtys, s.rows_base, s.offset_ns)
        next_segment(p.engine, asset_no, stream, s.segment)
        count += 1
        if a.trades_len + a.user_events_len > LOG_ROWS:
            _empty_logs(owner, asset_no)
    a.feed_seen = 1
    store_i64(p.feeds + 8 * asset_no, load_i64(p.feeds + 8 * asset_no) + count)
    if engine_at(p.engine).num_assets > 1:
        look_ahead(asset + ASSET_BOOK, s.segment, s.segments_end, s.ticks, s.qtys)


@inline
def _note_over(owner: Address) -> None:
    p = pass_at(owner)
    e = engine_at(p.engine)
    for a in range(e.num_assets):
        if exchange_at(exchange_address(p.engine, a)).stream.next_ts != NEVER:
            return
        if stream_at(e.locals + a * STREAM_BYTES).next_ts != NEVER:
            return
    p.over = 1


@inline
def _pass_time(owner: Address, until_ns: Ns) -> None:
    """Let everything up to then happen."""
    p = pass_at(owner)
    e = engine_at(p.engine)
    traded = session_at(p.market).num_assets
    for a in range(e.num_assets):
        if next_exchange_ts(p.engine, a) <= until_ns:
            call_code(e.fn_advance_exchange, (p.engine, a, until_ns))
        if exchange_at(exchange_address(p.engine, a)).error != 0:
            e.error = exchange_at(exchange_address(p.engine, a)).error
    for a in range(traded):
        _advance_market(owner, a, until_ns)
    for a in range(traded, e.num_assets):
        skip_local(p.engine, a, until_ns)
    if p.over == 0:
        _note_over(owner)


@kernel("int64(int64, int64)")
def play(owner: Address, rounds: int) -> int:
    """Go on for so many moments at which lanes look. Returns how many lanes are not done."""
    p = pass_at(owner)
    for _ in range(rounds):
        if p.playing == 0:
            return 0
        now_ns = _earliest_wake(owner)
        if p.error == 0:
            if p.waiting > 0:
                now_ns = _step_to_answers(owner, now_ns)
            _pass_time(owner, now_ns)
            p.error = engine_at(p.engine).error
        p.now_ns = now_ns
        count = 0
        for i in range(p.num_lanes):
            # After an error all are told of it.
            if load_i64(p.wakes + 8 * i) <= now_ns or p.error != 0:
                lane = p.lanes + i * _RUN_BYTES
                if lane_at(lane).done == 0:
                    store_i64(p.ready + 8 * count, lane)
                    count += 1
        p.num_ready = count
        p.next_ready = 0
        call_code(p.fn_switch, (owner, lane_at(load_i64(p.ready)).stack))
    return p.playing
