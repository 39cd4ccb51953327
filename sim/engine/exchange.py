"""The exchange's side of an asset: own orders against the recorded market.

The market data that the bot's orders meet is what happened without them; they change nothing of it. A resting order
fills at its own price when the opposite best reaches or crosses it, when a trade goes through its price, or when a
trade at its price finds nothing ahead of it in the queue.

Two models: one fills whole orders only, a taking one at the opposite best, whatever the quantity there; the other
fills what the queue and the opposite book give.
"""

# pyright: basic

from hftd.book.book import ask_above, ask_qty, bid_below, bid_qty, book_at
from hftd.compiled.jit import inline
from hftd.compiled.native import copy_bytes, load_i64, round_away
from hftd.compiled.order_index import index_find
from hftd.hbt.life import (
    CAUSE_NEW_PLACE,
    CAUSE_TAKEN,
    LIFE_ACCEPTED,
    LIFE_ARRIVAL,
    LIFE_CANCELED,
    LIFE_EXPIRED,
    LIFE_REPLACED,
    LIFE_REQUEST_CANCEL,
    LIFE_REQUEST_MODIFY,
    LIFE_REQUEST_NEW,
)
from hftd.rows import TS_MAX, Address, Ns, Tick
from hftd.types import (
    BUY,
    CANCELED,
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
    PARTIALLY_FILLED,
    REASON_BOOK_NOT_VALID,
    REASON_DUPLICATE,
    REASON_EXCHANGE,
    REASON_EXPIRED,
    REASON_FILTER,
    REASON_FOK,
    REASON_NEVER_SENT,
    REASON_NONE,
    REASON_POST_ONLY,
    REASON_UNKNOWN_ORDER,
    REPLACED,
)
from sim.engine.account import LANE_INDEX, LANE_TO_EXCH, LANE_TO_LOCAL
from sim.engine.bus import REQUESTS_MASK, bus_at, bus_pop, bus_push
from sim.engine.life import NO_EVENT, OF_THE_LEVEL, note_order, note_request
from sim.engine.own import (
    BOOK,
    OWN_BYTES,
    execute,
    free,
    leave,
    refuse,
    request_at,
    respond,
    rest,
    take_record,
)
from sim.engine.pulling import PULL, ask_to_pull, pull, turn
from sim.model.custom import custom_admits, lots_of
from sim.model.latency import LANE_BYTES, after, entry_latency_ns, exchange_at, lane_at, response_latency_ns
from sim.model.layout import (
    EXCHANGE_WHOLE_FILLS,
    MODIFY_TOTAL,
    NEVER,
    REQUEST_BYTES,
    WAY_CANCEL,
    WAY_MODIFY,
    WAY_NEW,
)
from sim.model.queue import own_order_at

# --- Requests -------------------------------------------------------------------------------------------------------


@inline
def _take_level(exchange: Address, order: Address, tick: Tick, level_qty: float, now_ns: Ns) -> bool:
    """Execute an order against a level. Returns whether it is filled."""
    o = own_order_at(order)
    execute(exchange, order, tick, min(level_qty, o.leaves_qty), 0, CAUSE_TAKEN, tick, OF_THE_LEVEL, now_ns)
    return o.status == FILLED


@inline
def _reachable_qty(exchange: Address, order: Address, best: Tick):
    """The quantity in the opposite book up to the order's price, or enough to fill it."""
    book = exchange + BOOK
    o = own_order_at(order)
    total = 0.0
    tick = best
    while total < o.leaves_qty:
        if o.side == BUY:
            if tick > o.price_tick or tick == INVALID_MAX:
                break
            total += ask_qty(book, tick)
            tick = ask_above(book, tick)
        else:
            if tick < o.price_tick or tick == INVALID_MIN:
                break
            total += bid_qty(book, tick)
            tick = bid_below(book, tick)
    return total


@inline
def take(exchange: Address, order: Address, best: Tick, now_ns: Ns) -> None:
    """An order that takes: whole at the best price, or level by level through the opposite book.

    With partial fills a fill-or-kill order is filled whole or expires, what an immediate-or-cancel or a market order
    can't fill expires, and the remainder of a good-till-cancel order is filled at its limit: it can't stand in the
    opposite book, which is history and takes no notice of it.
    """
    x = exchange_at(exchange)
    book = exchange + BOOK
    o = own_order_at(order)
    if x.exchange_model == EXCHANGE_WHOLE_FILLS:
        execute(exchange, order, best, o.leaves_qty, 0, CAUSE_TAKEN, best, OF_THE_LEVEL, now_ns)
        return
    is_market = o.order_type == MARKET
    if not is_market and o.time_in_force == FOK:
        lot_size = x.book.lot_size
        if lots_of(_reachable_qty(exchange, order, best), lot_size) < round_away(o.leaves_qty / lot_size):
            o.status = EXPIRED
            respond(exchange, order, LIFE_EXPIRED, REASON_FOK, now_ns)
            return
    rests = not is_market and o.time_in_force != IOC and o.time_in_force != FOK
    tick = best
    while tick != INVALID_MAX and tick != INVALID_MIN:
        beyond = (tick - o.price_tick) * o.side
        if not is_market and (beyond > 0 or (beyond == 0 and rests)):
            break
        level_qty = ask_qty(book, tick) if o.side == BUY else bid_qty(book, tick)
        if level_qty > 0.0 and _take_level(exchange, order, tick, level_qty, now_ns):
            return
        tick = ask_above(book, tick) if o.side == BUY else bid_below(book, tick)
    if rests:
        _take_level(exchange, order, o.price_tick, o.leaves_qty, now_ns)
    else:
        o.status = EXPIRED
        respond(exchange, order, LIFE_EXPIRED, REASON_EXPIRED, now_ns)


@inline
def _accept(exchange: Address, order: Address, now_ns: Ns) -> None:
    """Match a new or moved order, answer it, and keep it if it rests."""
    book = book_at(exchange + BOOK)
    o = own_order_at(order)
    if exchange_at(exchange).fn_admit != 0 and not custom_admits(exchange, order, now_ns):
        o.status = EXPIRED
        respond(exchange, order, LIFE_EXPIRED, REASON_EXCHANGE, now_ns)
        free(exchange, order)
        return
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
        take(exchange, order, opposite, now_ns)
        free(exchange, order)
    elif takes or o.order_type == MARKET or o.time_in_force == FOK or o.time_in_force == IOC:
        # Post-only that would take, or nothing to take.
        o.status = EXPIRED
        reason = REASON_EXPIRED
        if takes and not nobody:
            reason = REASON_POST_ONLY
        elif o.order_type != MARKET and o.time_in_force == FOK:
            reason = REASON_FOK
        respond(exchange, order, LIFE_EXPIRED, reason, now_ns)
        free(exchange, order)
    else:
        o.status = NEW
        # A modified order whose total is told keeps what was executed of it.
        if round_away((o.qty - o.leaves_qty) / book.lot_size) > 0:
            o.status = PARTIALLY_FILLED
        rest(exchange, order, now_ns)
        respond(exchange, order, LIFE_ACCEPTED, REASON_NONE, now_ns)


@inline
def _handle_new(exchange: Address, lane: Address, request: Address, now_ns: Ns) -> None:
    r = request_at(request)
    if index_find(lane + LANE_INDEX, r.order_id) >= 0:
        recv_ts = after(now_ns, response_latency_ns(exchange, lane, now_ns))
        refuse(exchange, lane, request, REASON_DUPLICATE, now_ns, recv_ts)
        return
    order = take_record(exchange)
    if order == 0:
        recv_ts = after(now_ns, response_latency_ns(exchange, lane, now_ns))
        refuse(exchange, lane, request, REASON_FILTER, now_ns, recv_ts)
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
    o.rests = 0
    o.exec_price_tick = 0
    o.exec_qty = 0.0
    o.maker = 0
    _accept(exchange, order, now_ns)


@inline
def _end(exchange: Address, order: Address, request: Address, now_ns: Ns) -> None:
    """A resting order ends because a request says so."""
    leave(exchange, order)
    o = own_order_at(order)
    o.status = CANCELED
    # The answer is to this request.
    o.local_ts = request_at(request).local_ts
    respond(exchange, order, LIFE_CANCELED, REASON_NONE, now_ns)
    free(exchange, order)


@inline
def _handle_cancel(exchange: Address, lane: Address, request: Address, now_ns: Ns) -> None:
    slot = index_find(lane + LANE_INDEX, request_at(request).order_id)
    if slot < 0:
        recv_ts = after(now_ns, response_latency_ns(exchange, lane, now_ns))
        refuse(exchange, lane, request, REASON_UNKNOWN_ORDER, now_ns, recv_ts)
        return
    _end(exchange, exchange_at(exchange).pool + slot * OWN_BYTES, request, now_ns)


@inline
def _handle_modify(exchange: Address, lane: Address, request: Address, now_ns: Ns) -> None:
    r = request_at(request)
    slot = index_find(lane + LANE_INDEX, r.order_id)
    if slot < 0:
        recv_ts = after(now_ns, response_latency_ns(exchange, lane, now_ns))
        refuse(exchange, lane, request, REASON_UNKNOWN_ORDER, now_ns, recv_ts)
        return
    x = exchange_at(exchange)
    order = x.pool + slot * OWN_BYTES
    o = own_order_at(order)
    left_qty = r.qty
    kept_qty = o.leaves_qty
    if x.modify_model == MODIFY_TOTAL:
        # What was executed, perhaps while the request was on its way, counts against the quantity asked for.
        left_qty -= o.qty - o.leaves_qty
        kept_qty = o.qty
        if round_away(left_qty / x.book.lot_size) <= 0:
            _end(exchange, order, request, now_ns)
            return
    if r.price_tick == o.price_tick and r.qty <= kept_qty:
        # Less of the same keeps its place. A partly filled order stays one.
        o.qty = r.qty
        o.leaves_qty = left_qty
        # The answer is to this request; later ones are to the order's first.
        first_local_ts = o.local_ts
        o.local_ts = r.local_ts
        respond(exchange, order, LIFE_REPLACED, REASON_NONE, now_ns)
        o.local_ts = first_local_ts
        return
    leave(exchange, order)
    o.local_ts = r.local_ts
    o.price_tick = r.price_tick
    o.qty = r.qty
    o.leaves_qty = left_qty
    o.rests = 0
    note_order(exchange, order, LIFE_REPLACED, CAUSE_NEW_PLACE, REASON_NONE, NO_EVENT, 0.0, now_ns)
    _accept(exchange, order, now_ns)


@inline
def refresh_next_request(exchange: Address) -> None:
    """Look up what happens next: a request arrives, of whichever lane, or the book is lost or back."""
    x = exchange_at(exchange)
    earliest = x.next_turn_ts
    for i in range(x.num_lanes):
        earliest = min(earliest, bus_at(x.lanes + i * LANE_BYTES + LANE_TO_EXCH).head_ts)
    x.next_request_ts = earliest


@inline
def handle_requests(exchange: Address, now_ns: Ns) -> None:
    """All requests that arrive at this moment, lane by lane, after the book was lost or came back."""
    x = exchange_at(exchange)
    turn(exchange, now_ns)
    for i in range(x.num_lanes):
        lane = x.lanes + i * LANE_BYTES
        while bus_at(lane + LANE_TO_EXCH).head_ts == now_ns:
            request = bus_pop(lane + LANE_TO_EXCH, REQUEST_BYTES, REQUESTS_MASK)
            kind = request_at(request).kind
            if kind == PULL:
                pull(exchange, lane, now_ns)
            else:
                note_request(exchange, lane, request, LIFE_ARRIVAL, REASON_NONE, now_ns)
            if kind == NEW:
                _handle_new(exchange, lane, request, now_ns)
            elif kind == CANCELED:
                _handle_cancel(exchange, lane, request, now_ns)
            elif kind == REPLACED:
                _handle_modify(exchange, lane, request, now_ns)
            if lane_at(lane).pull_waits != 0:
                # Only now: it takes the place of the request that has arrived.
                ask_to_pull(exchange, lane, now_ns)
    refresh_next_request(exchange)


@inline
def push_request(exchange: Address, lane: Address, request: Address, not_before_ns: Ns) -> None:
    """Send a request on its way (a `request_dtype` record, copied); refused on the way, its answer comes instead.

    Args:
        exchange: The address of the exchange's side.
        lane: The bot's lane there.
        request: The address of the record.
        not_before_ns: The exchange has got that far: the request arrives then at the earliest.
    """
    r = request_at(request)
    way = WAY_NEW
    asked = LIFE_REQUEST_NEW
    if r.kind == CANCELED:
        way = WAY_CANCEL
        asked = LIFE_REQUEST_CANCEL
    elif r.kind == REPLACED:
        way = WAY_MODIFY
        asked = LIFE_REQUEST_MODIFY
    note_request(exchange, lane, request, asked, REASON_NONE, r.local_ts)
    if exchange_at(exchange).book_lost != 0 and lane_at(lane).pulls_quotes != 0 and r.kind != CANCELED:
        recv_ts = max(after(r.local_ts, 1), not_before_ns)
        refuse(exchange, lane, request, REASON_BOOK_NOT_VALID, 0, recv_ts)
        return
    latency_ns = entry_latency_ns(exchange, lane, way, request)
    if latency_ns < 0:
        recv_ts = max(after(r.local_ts, -max(latency_ns, -TS_MAX)), not_before_ns)
        refuse(exchange, lane, request, REASON_NEVER_SENT, 0, recv_ts)
        return
    arrive_ts = max(after(r.local_ts, latency_ns), not_before_ns)
    entry = bus_push(lane + LANE_TO_EXCH, REQUEST_BYTES, REQUESTS_MASK, arrive_ts)
    copy_bytes(entry, request, REQUEST_BYTES)
    bus = bus_at(lane + LANE_TO_EXCH)
    request_at(entry).arrive_ts = bus.last_ts
    x = exchange_at(exchange)
    x.next_request_ts = min(x.next_request_ts, bus.head_ts)


@inline
def drop_lane(exchange: Address, lane: Address) -> None:
    """A bot left: take its orders out of the market and forget what is on its way."""
    x = exchange_at(exchange)
    lane_at(lane).pull_waits = 0
    i = 0
    while i < x.buys:
        order = load_i64(x.buy_orders + 8 * i)
        if own_order_at(order).lane == lane:
            leave(exchange, order)
            free(exchange, order)
        else:
            i += 1
    i = 0
    while i < x.sells:
        order = load_i64(x.sell_orders + 8 * i)
        if own_order_at(order).lane == lane:
            leave(exchange, order)
            free(exchange, order)
        else:
            i += 1
    for bus in (lane + LANE_TO_EXCH, lane + LANE_TO_LOCAL):
        b = bus_at(bus)
        b.head = b.tail
        b.head_ts = NEVER
    refresh_next_request(exchange)
