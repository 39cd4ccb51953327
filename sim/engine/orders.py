"""The exchange's side of an asset whose market is known order by order: exact places in first-in-first-out queues.

An own order goes behind all that stands at its price, and everything that joins a queue later stands behind it. So
its place needs no model: it moves forward as orders ahead of it are cancelled, moved away or filled, and each fill
of a market order says whether the taker would have met the own order first. Own buys (sells are their mirror) fill:

- when a market order is filled that stands behind them at their price, or at a worse price than theirs; a fill that
  the feed tells of the taker's side (:func:`hftd.book.market_orders.is_takers_fill`) is neither;
- when a market sell order is added at their price or below, or moves there, or shows again there because the bids
  that crossed it are gone.

The exchange of whole fills fills all of an order then. The exchange of partial fills hands on what there is: the
quantity of the fill, of the order that was added, or of the level that shows. It goes to the best price first and
at one price to the oldest order, so the own orders of a bot never get more than the market traded; bots do not see
each other, and each gets what it would have had alone. What remains of an order keeps its place.

Trades (kind 2) move nothing here, since the fills tell more. A clear takes the own orders of its side with it: they
expire, for nobody knows their places any more.
"""

# pyright: basic

from hftd.book.book import ask_qty, bid_qty, book_at
from hftd.book.market_orders import (
    find_market_order,
    is_takers_fill,
    market_order_at,
    market_orders_at,
    note_market_fill,
    row_tick,
    side_of,
)
from hftd.compiled.jit import inline, kernel
from hftd.compiled.native import call_code, load_i64, round_away
from hftd.compiled.row_access import ev_of, order_id_of, qty_of
from hftd.hbt.life import CAUSE_CROSSED, CAUSE_REACHED, CAUSE_TRADED_THROUGH, LIFE_EXPIRED
from hftd.rows import ROW_BYTES, Address, Ns, Tick
from hftd.types import (
    BUY,
    DEPTH_CLEAR_EVENT,
    EXPIRED,
    FILL_EVENT,
    INVALID_MAX,
    INVALID_MIN,
    KIND_MASK,
    MODIFY_ORDER_EVENT,
    NONE,
    REASON_EXPIRED,
    SELL,
)
from sim.engine.life import after_market_row, before_market_row, skip_market_rows
from sim.engine.own import BOOK, fill_crossed, fill_reached, first_at_or_above, free, leave, respond
from sim.model.latency import LANE_BYTES, exchange_at, lane_at
from sim.model.layout import EXCHANGE_WHOLE_FILLS
from sim.model.queue import own_order_at


@inline
def apply_rows(book: Address, rows: Address, count: int) -> None:
    """Apply rows to a book that is made from single orders, by the kernel that does it everywhere."""
    call_code(market_orders_at(book_at(book).market_orders).fn_apply_rows, (book, rows, count))


@inline
def _hand_out(exchange: Address, qty: float) -> None:
    """So much is there for each bot's orders."""
    x = exchange_at(exchange)
    for i in range(x.num_lanes):
        lane_at(x.lanes + i * LANE_BYTES).to_fill_qty = qty


@inline
def _fill(
    exchange: Address,
    order: Address,
    is_better: bool,
    cause: int,
    event_tick: Tick,
    event_qty: float,
    now_ns: Ns,
):
    """Fill an order with what is there for its bot's orders; all of it with whole fills. Returns whether it is gone.

    Where the market goes through a better price a user's exchange says how much, if there is one.
    """
    x = exchange_at(exchange)
    if is_better and x.fn_cross != 0:
        return fill_crossed(exchange, order, cause, event_tick, event_qty, now_ns)
    lots = 1
    if x.exchange_model != EXCHANGE_WHOLE_FILLS:
        lane = lane_at(own_order_at(order).lane)
        lot_size = x.book.lot_size
        lots = round_away(min(lane.to_fill_qty, own_order_at(order).leaves_qty) / lot_size)
        if lots <= 0:
            return False
        lane.to_fill_qty -= lots * lot_size
    return fill_reached(exchange, order, lots, cause, event_tick, event_qty, now_ns)


@inline
def _cause(is_fill: bool, is_better: bool):
    """What fills an own order, for its life: what came to its price, or the fill of a market order."""
    if not is_fill:
        return CAUSE_CROSSED
    return CAUSE_TRADED_THROUGH if is_better else CAUSE_REACHED


@inline
def fill_buys(
    exchange: Address,
    above_tick: Tick,
    tie_tick: Tick,
    tie_arrival: int,
    qty: float,
    is_fill: bool,
    now_ns: Ns,
) -> None:
    """Fill own buys above a tick, and at `tie_tick` those that arrived before another; the best first."""
    x = exchange_at(exchange)
    _hand_out(exchange, qty)
    event_tick = tie_tick if is_fill else above_tick + 1
    end = x.buys
    while end > 0:
        tick = load_i64(x.buy_ticks + 8 * (end - 1))
        if tick <= above_tick and tick < tie_tick:
            return
        first = first_at_or_above(x.buy_ticks, x.buys, tick)
        i = first
        while i < x.buys and load_i64(x.buy_ticks + 8 * i) == tick:
            order = load_i64(x.buy_orders + 8 * i)
            reached = tick > above_tick or (tick == tie_tick and own_order_at(order).arrival < tie_arrival)
            cause = _cause(is_fill, tick > above_tick)
            if not (reached and _fill(exchange, order, tick > above_tick, cause, event_tick, qty, now_ns)):
                i += 1
        end = first


@inline
def fill_sells(
    exchange: Address,
    below_tick: Tick,
    tie_tick: Tick,
    tie_arrival: int,
    qty: float,
    is_fill: bool,
    now_ns: Ns,
) -> None:
    """Fill own sells below a tick, and at `tie_tick` those that arrived before another; the best first."""
    x = exchange_at(exchange)
    _hand_out(exchange, qty)
    event_tick = tie_tick if is_fill else below_tick - 1
    i = 0
    while i < x.sells:
        tick = load_i64(x.sell_ticks + 8 * i)
        if tick >= below_tick and tick > tie_tick:
            return
        order = load_i64(x.sell_orders + 8 * i)
        reached = tick < below_tick or (tick == tie_tick and own_order_at(order).arrival < tie_arrival)
        cause = _cause(is_fill, tick < below_tick)
        if not (reached and _fill(exchange, order, tick < below_tick, cause, event_tick, qty, now_ns)):
            i += 1


# Which own orders of a side an event reaches, as `fill_buys` and `fill_sells` take it: (bound, tick of the tie, arrival
# of the tie, quantity). A function returns it for the buys, then for the sells.
_NO_BUY = (INVALID_MAX, INVALID_MAX, INVALID_MIN, 0.0)
_NO_SELL = (INVALID_MIN, INVALID_MIN, INVALID_MIN, 0.0)


@inline
def _after_fill(exchange: Address, row: Address):
    """A market order was filled: what would its taker have met first?"""
    x = exchange_at(exchange)
    orders = x.book.market_orders
    address = find_market_order(orders, order_id_of(row))
    if address == 0:
        market_orders_at(orders).unknown += 1
        return _NO_BUY, _NO_SELL
    tick, is_sound = row_tick(exchange + BOOK, row)
    if not is_sound or is_takers_fill(address, tick):
        return _NO_BUY, _NO_SELL
    order = market_order_at(address)
    qty = note_market_fill(exchange + BOOK, address, tick, qty_of(row))
    reached = (tick, order.price_tick, order.arrival, qty)
    if order.side == BUY:
        return reached, _NO_SELL
    return _NO_BUY, reached


@inline
def _tick_before(book: Address, row: Address, kind: int):
    """Where the order stands that a modification is about; no tick if there is none."""
    if kind == MODIFY_ORDER_EVENT:
        address = find_market_order(book_at(book).market_orders, order_id_of(row))
        if address != 0:
            return market_order_at(address).price_tick
    return INVALID_MIN


@inline
def _after_change(exchange: Address, row: Address, kind: int):
    """Add, modify or cancel an order, or clear: own orders of the other side may trade with what came."""
    book = exchange + BOOK
    b = book_at(book)
    best_bid = b.best_bid_tick
    best_ask = b.best_ask_tick
    arrivals = market_orders_at(b.market_orders).arrivals
    before_tick = _tick_before(book, row, kind)
    apply_rows(book, row, 1)
    buys = _NO_BUY
    sells = _NO_SELL
    joined = NONE
    if market_orders_at(b.market_orders).arrivals != arrivals:
        order = market_order_at(find_market_order(b.market_orders, order_id_of(row)))
        # One that only grew joins its queue anew, but trades with nobody.
        if order.price_tick != before_tick and order.qty > 0.0:
            joined = order.side
            if joined == BUY:
                sells = (order.price_tick + 1, INVALID_MIN, INVALID_MIN, order.qty)
            else:
                buys = (order.price_tick - 1, INVALID_MAX, INVALID_MIN, order.qty)
    # Without a new order there, what a crossing had hidden shows again.
    if b.best_bid_tick > best_bid and joined != BUY:
        sells = (b.best_bid_tick + 1, INVALID_MIN, INVALID_MIN, bid_qty(book, b.best_bid_tick))
    if b.best_ask_tick < best_ask and joined != SELL:
        buys = (b.best_ask_tick - 1, INVALID_MAX, INVALID_MIN, ask_qty(book, b.best_ask_tick))
    return buys, sells


@inline
def _first_to_expire(exchange: Address, side: int):
    """An own order of a side, or of both (NONE); 0 if there is none."""
    x = exchange_at(exchange)
    if side != SELL and x.buys > 0:
        return load_i64(x.buy_orders)
    if side != BUY and x.sells > 0:
        return load_i64(x.sell_orders)
    return 0


@inline
def _expire(exchange: Address, side: int, now_ns: Ns) -> None:
    """The own orders of a side, or of both, expire."""
    order = _first_to_expire(exchange, side)
    while order != 0:
        leave(exchange, order)
        o = own_order_at(order)
        o.status = EXPIRED
        o.leaves_qty = 0.0
        o.exec_qty = 0.0
        respond(exchange, order, LIFE_EXPIRED, REASON_EXPIRED, now_ns)
        free(exchange, order)
        order = _first_to_expire(exchange, side)


@kernel("int64(int64, int64, int64, int64)")
def exchange_orders(exchange: Address, row: Address, count: int, now_ns: Ns) -> int:
    """What rows of orders, or a clear, do on the exchange's side."""
    x = exchange_at(exchange)
    if x.buys == 0 and x.sells == 0:
        skip_market_rows(exchange)
        apply_rows(exchange + BOOK, row, count)
        return 0
    for _ in range(count):
        kind = ev_of(row) & KIND_MASK
        is_fill = kind == FILL_EVENT
        before_market_row(exchange, row)
        if is_fill:
            buys, sells = _after_fill(exchange, row)
        else:
            if kind == DEPTH_CLEAR_EVENT:
                _expire(exchange, side_of(ev_of(row)), now_ns)
            buys, sells = _after_change(exchange, row, kind)
            after_market_row(exchange, row, now_ns)
        if x.sells > 0 and sells[0] != INVALID_MIN:
            fill_sells(exchange, sells[0], sells[1], sells[2], sells[3], is_fill, now_ns)
        if x.buys > 0 and buys[0] != INVALID_MAX:
            fill_buys(exchange, buys[0], buys[1], buys[2], buys[3], is_fill, now_ns)
        row += ROW_BYTES
    return 0
