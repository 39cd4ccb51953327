"""The life of orders, noted as it happens (`hftd.hbt.life` says what the rows mean).

An exchange's side that notes has a record of `noting_dtype`, and each of its lanes the rows of one bot. Where nothing
is noted that is one look at a word that is 0, at each event of an own order; the rest stands behind addresses, so it
takes no room in the loops. What is noted here is never read by the simulation.

The quantity ahead of an order changes in several places, some of them a user's; so what is noted is the difference to
what was told last, whoever made it.
"""

# pyright: basic

from hftd.book.book import ask_qty, bid_qty, book_at
from hftd.book.market_orders import find_market_order, is_takers_fill, market_order_at, row_tick
from hftd.compiled.jit import inline, kernel
from hftd.compiled.layout import offset_of, request_dtype, update_dtype
from hftd.compiled.native import call_code, load_i64, record_at, round_away
from hftd.compiled.row_access import ev_of, order_id_of
from hftd.hbt.life import (
    CAUSE_BOOK,
    CAUSE_CAP,
    CAUSE_DEPTH,
    CAUSE_REQUEST_CANCEL,
    CAUSE_REQUEST_MODIFY,
    CAUSE_REQUEST_NEW,
    CAUSE_TRADE,
    LIFE_ANSWER,
    LIFE_ARRIVAL,
    LIFE_QUEUE,
    LIFE_REJECTED,
    life_dtype,
)
from hftd.rows import Address, Ns, Tick
from hftd.types import (
    BUY,
    CANCEL_ORDER_EVENT,
    CANCELED,
    FILL_EVENT,
    INVALID_MAX,
    INVALID_MIN,
    KIND_MASK,
    MODIFY_ORDER_EVENT,
    NEW,
    NONE,
    REJECTED,
    REPLACED,
)
from sim.model.custom import exchange_at
from sim.model.layout import (
    QUEUE_CUSTOM,
    QUEUE_RISK_ADVERSE,
    QUEUE_THROUGH,
    exchange_dtype,
    lane_dtype,
    life_rows_dtype,
    noting_dtype,
)
from sim.model.queue import own_order_at

row_at = record_at(life_dtype)
rows_at = record_at(life_rows_dtype)
noting_at = record_at(noting_dtype)
_lane_at = record_at(lane_dtype)
_request_at = record_at(request_dtype)
_update_at = record_at(update_dtype)

_BOOK = offset_of(exchange_dtype, "book")
_ROW_BYTES = life_dtype.itemsize
NO_EVENT = INVALID_MIN
"""As the tick of an event: none of the market's."""
OF_THE_LEVEL = -1.0
"""As the quantity of an event: what stands on the opposite side at its tick."""
_HAS_NO_FRONT = -1.0


# --- Where something happens ----------------------------------------------------------------------------------------


@inline
def note_order(
    exchange: Address,
    order: Address,
    kind: int,
    cause: int,
    reason: int,
    event_tick: Tick,
    event_qty: float,
    now_ns: Ns,
) -> None:
    """Something happened to an own order at the exchange."""
    life = exchange_at(exchange).life
    if life != 0:
        function = noting_at(life).fn_order
        call_code(function, (exchange, order, kind, cause, reason, event_tick, event_qty, now_ns))


@inline
def note_queue(
    exchange: Address, order: Address, cause: int, event_tick: Tick, event_qty: float, now_ns: Ns
) -> None:
    """The quantity ahead of an own order may have changed."""
    life = exchange_at(exchange).life
    if life != 0:
        b = book_at(exchange + _BOOK)
        best = (b.best_bid_tick, b.best_ask_tick)
        call_code(
            noting_at(life).fn_queue,
            (exchange, order, cause, event_tick, event_qty, -1.0, best[0], best[1], now_ns),
        )


@inline
def note_level(
    exchange: Address,
    order: Address,
    before_qty: float,
    after_qty: float,
    explained_qty: float,
    best_bid_tick: Tick,
    best_ask_tick: Tick,
    now_ns: Ns,
) -> None:
    """An own order's level changed, of which trades had explained so much; the book does not show it yet."""
    x = exchange_at(exchange)
    if x.life != 0:
        cause = CAUSE_DEPTH
        if x.queue_model == QUEUE_RISK_ADVERSE or x.queue_model == QUEUE_THROUGH:
            cause = CAUSE_CAP
        elif x.queue_model != QUEUE_CUSTOM and before_qty - after_qty - explained_qty < 0.0:
            cause = CAUSE_CAP
        tick = own_order_at(order).price_tick
        call_code(
            noting_at(x.life).fn_queue,
            (exchange, order, cause, tick, after_qty, before_qty, best_bid_tick, best_ask_tick, now_ns),
        )


@inline
def note_request(exchange: Address, lane: Address, request: Address, kind: int, reason: int, ts: Ns) -> None:
    """A bot's request was sent, arrived or was refused."""
    life = exchange_at(exchange).life
    if life != 0:
        call_code(noting_at(life).fn_request, (exchange, lane, request, kind, reason, ts))


@inline
def note_answer(exchange: Address, lane: Address, update: Address) -> None:
    """A bot gets an answer."""
    life = exchange_at(exchange).life
    if life != 0:
        call_code(noting_at(life).fn_answer, (exchange, lane, update))


@inline
def before_market_row(exchange: Address, row: Address) -> None:
    """A row is about one of the market's single orders."""
    life = exchange_at(exchange).life
    if life != 0:
        call_code(noting_at(life).fn_market, (exchange, row, 0, 0))


@inline
def after_market_row(exchange: Address, row: Address, now_ns: Ns) -> None:
    """That row was applied."""
    life = exchange_at(exchange).life
    if life != 0:
        call_code(noting_at(life).fn_market, (exchange, row, 1, now_ns))


@inline
def skip_market_rows(exchange: Address) -> None:
    """Rows go by while there is no own order: what was filled before them is forgotten."""
    life = exchange_at(exchange).life
    if life != 0:
        noting_at(life).filled = 0


# --- Noting ---------------------------------------------------------------------------------------------------------


@inline
def _new_row(life: Address):
    """The address of another row with nothing in it, 0 if there is no room: then it is counted."""
    if life == 0:
        return 0
    r = rows_at(life)
    if r.count >= r.cap:
        r.dropped += 1
        return 0
    row = r.rows + r.count * _ROW_BYTES
    r.count += 1
    w = row_at(row)
    w.asset = r.asset
    w.bot = r.bot
    w.front_qty = _HAS_NO_FRONT
    return row


@inline
def _price(exchange: Address, tick: Tick):
    if tick == INVALID_MIN or tick == INVALID_MAX:
        return 0.0
    return tick * exchange_at(exchange).book.tick_size


@inline
def _write_order(exchange: Address, order: Address, kind: int, cause: int, now_ns: Ns):
    """A row about an own order. Returns its address, or 0."""
    o = own_order_at(order)
    row = _new_row(_lane_at(o.lane).life)
    if row == 0:
        return 0
    w = row_at(row)
    w.ts = now_ns
    w.order_id = o.order_id
    w.kind = kind
    w.cause = cause
    w.px = _price(exchange, o.price_tick)
    w.qty = o.qty
    w.leaves_qty = o.leaves_qty
    if o.rests != 0:
        w.front_qty = o.told_front_qty
    w.side = o.side
    w.status = o.status
    w.order_type = o.order_type
    w.time_in_force = o.time_in_force
    return row


@inline
def _set_market(
    exchange: Address, row: Address, level_qty: float, best_bid_tick: Tick, best_ask_tick: Tick
) -> None:
    w = row_at(row)
    w.level_qty = level_qty
    w.best_bid = _price(exchange, best_bid_tick)
    w.best_ask = _price(exchange, best_ask_tick)


@inline
def _level_qty(exchange: Address, side: int, tick: Tick):
    return bid_qty(exchange + _BOOK, tick) if side == BUY else ask_qty(exchange + _BOOK, tick)


@kernel("int64(int64, int64, int64, int64, int64, int64, float64, int64)")
def write_order(
    exchange: Address,
    order: Address,
    kind: int,
    cause: int,
    reason: int,
    event_tick: Tick,
    event_qty: float,
    now_ns: Ns,
) -> int:
    """As `note_order`."""
    o = own_order_at(order)
    row = _write_order(exchange, order, kind, cause, now_ns)
    if row == 0:
        return 0
    w = row_at(row)
    w.reason = reason
    if event_tick != NO_EVENT:
        # Of a fill.
        w.qty = o.exec_qty
        w.exec_px = _price(exchange, o.exec_price_tick)
        w.fee = _lane_at(o.lane).last_fee
        w.maker = o.maker
        w.event_px = _price(exchange, event_tick)
        w.event_qty = event_qty if event_qty >= 0.0 else _level_qty(exchange, -o.side, event_tick)
    b = book_at(exchange + _BOOK)
    level_qty = _level_qty(exchange, o.side, o.price_tick)
    _set_market(exchange, row, level_qty, b.best_bid_tick, b.best_ask_tick)
    return 0


@inline
def _write_queue(
    exchange: Address,
    order: Address,
    front_qty: float,
    cause: int,
    event_tick: Tick,
    event_qty: float,
    level_qty: float,
    best_bid_tick: Tick,
    best_ask_tick: Tick,
    now_ns: Ns,
) -> None:
    """The quantity ahead of an order is now another."""
    o = own_order_at(order)
    change = front_qty - o.told_front_qty
    o.told_front_qty = front_qty
    row = _write_order(exchange, order, LIFE_QUEUE, cause, now_ns)
    if row == 0:
        return
    w = row_at(row)
    w.qty = change
    w.event_px = _price(exchange, event_tick)
    w.event_qty = event_qty
    _set_market(exchange, row, level_qty, best_bid_tick, best_ask_tick)


@kernel("int64(int64, int64, int64, int64, float64, float64, int64, int64, int64)")
def write_queue(
    exchange: Address,
    order: Address,
    cause: int,
    event_tick: Tick,
    event_qty: float,
    level_qty: float,
    best_bid_tick: Tick,
    best_ask_tick: Tick,
    now_ns: Ns,
) -> int:
    """As `note_queue`; a level's quantity below 0 is to be looked up."""
    o = own_order_at(order)
    front_qty = o.front_qty
    if front_qty != front_qty:
        # A user's model says it is not a number; it has no meaning then.
        front_qty = _HAS_NO_FRONT
    # Among single orders the places are the book's, not a model's.
    if front_qty == o.told_front_qty or exchange_at(exchange).book.market_orders != 0:
        return 0
    if level_qty < 0.0:
        level_qty = _level_qty(exchange, o.side, o.price_tick)
    _write_queue(
        exchange,
        order,
        front_qty,
        cause,
        event_tick,
        event_qty,
        level_qty,
        best_bid_tick,
        best_ask_tick,
        now_ns,
    )
    return 0


@kernel("int64(int64, int64, int64, int64, int64, int64)")
def write_request(exchange: Address, lane: Address, request: Address, kind: int, reason: int, ts: Ns) -> int:
    """As `note_request`."""
    r = _request_at(request)
    row = _new_row(_lane_at(lane).life)
    if row == 0:
        return 0
    w = row_at(row)
    w.ts = ts
    w.order_id = r.order_id
    w.kind = kind
    w.reason = reason
    # Only what the request itself says: over a channel a modification does not name the side, a cancel only the order.
    if r.kind == NEW:
        w.side = r.side
        w.order_type = r.order_type
        w.time_in_force = r.time_in_force
    if r.kind != CANCELED:
        w.px = _price(exchange, r.price_tick)
        w.qty = r.qty
    if kind == LIFE_ARRIVAL or kind == LIFE_REJECTED:
        w.cause = CAUSE_REQUEST_NEW
        if r.kind == CANCELED:
            w.cause = CAUSE_REQUEST_CANCEL
        elif r.kind == REPLACED:
            w.cause = CAUSE_REQUEST_MODIFY
    if kind == LIFE_ARRIVAL:
        w.ref_ts = r.local_ts
    elif kind == LIFE_REJECTED:
        w.status = REJECTED
    if kind == LIFE_ARRIVAL or (kind == LIFE_REJECTED and ts != r.local_ts):
        b = book_at(exchange + _BOOK)
        level_qty = _level_qty(exchange, r.side, r.price_tick) if r.kind == NEW else 0.0
        _set_market(exchange, row, level_qty, b.best_bid_tick, b.best_ask_tick)
    return 0


@kernel("int64(int64, int64, int64)")
def write_answer(exchange: Address, lane: Address, update: Address) -> int:
    """As `note_answer`."""
    u = _update_at(update)
    row = _new_row(_lane_at(lane).life)
    if row == 0:
        return 0
    w = row_at(row)
    w.ts = u.recv_ts
    w.ref_ts = u.exch_ts
    w.order_id = u.order_id
    w.kind = LIFE_ANSWER
    w.reason = u.reason
    w.status = u.status
    if u.req == REJECTED:
        w.status = REJECTED
    else:
        w.side = u.side
        w.order_type = u.order_type
        w.time_in_force = u.time_in_force
        w.px = _price(exchange, u.price_tick)
        w.leaves_qty = u.leaves_qty
    if u.executed != 0:
        w.qty = u.exec_qty
        w.exec_px = _price(exchange, u.exec_price_tick)
        w.maker = u.maker
    return 0


# --- Single orders --------------------------------------------------------------------------------------------------


@kernel("int64(int64, int64, int64, int64)")
def write_market(exchange: Address, row: Address, is_applied: int, now_ns: Ns) -> int:
    """As `before_market_row` and `after_market_row`: own orders behind an order that left are nearer to the front."""
    x = exchange_at(exchange)
    n = noting_at(x.life)
    kind = ev_of(row) & KIND_MASK
    order_id = order_id_of(row)
    if kind == FILL_EVENT:
        address = find_market_order(x.book.market_orders, order_id)
        tick, is_sound = row_tick(exchange + _BOOK, row)
        if address != 0 and is_sound and not is_takers_fill(address, tick):
            # What the book says of it next is the fill's doing.
            n.filled_id = order_id
            n.filled = 1
        return 0
    if kind != CANCEL_ORDER_EVENT and kind != MODIFY_ORDER_EVENT:
        return 0
    address = find_market_order(x.book.market_orders, order_id)
    if is_applied == 0:
        n.side = NONE
        if address != 0:
            m = market_order_at(address)
            n.side = m.side
            n.price_tick = m.price_tick
            n.qty = m.qty
            n.arrival = m.arrival
            n.level_qty = _level_qty(exchange, m.side, m.price_tick)
            n.best_bid_tick = x.book.best_bid_tick
            n.best_ask_tick = x.book.best_ask_tick
        return 0
    if n.side == NONE:
        return 0
    gone_qty = n.qty
    if address != 0 and market_order_at(address).arrival == n.arrival:
        gone_qty -= market_order_at(address).qty
    cause = CAUSE_BOOK
    if n.filled != 0 and n.filled_id == order_id:
        cause = CAUSE_TRADE
        n.filled = 0
    if gone_qty == 0.0:
        return 0
    is_buy = n.side == BUY
    count = x.buys if is_buy else x.sells
    ticks = x.buy_ticks if is_buy else x.sell_ticks
    orders = x.buy_orders if is_buy else x.sell_orders
    for i in range(count):
        order = load_i64(orders + 8 * i)
        o = own_order_at(order)
        if load_i64(ticks + 8 * i) != n.price_tick or o.arrival < n.arrival:
            continue
        front_qty = o.told_front_qty - gone_qty
        if round_away(front_qty / x.book.lot_size) <= 0:
            # Less than half a lot is rounding.
            front_qty = 0.0
        _write_queue(
            exchange,
            order,
            front_qty,
            cause,
            n.price_tick,
            gone_qty,
            n.level_qty,
            n.best_bid_tick,
            n.best_ask_tick,
            now_ns,
        )
    return 0
