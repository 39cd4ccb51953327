"""The order book by order: a book that is made from the market's single orders ("level 3", market by order).

Each order is kept by its id, and the levels of the book are the sums of the orders at a price. A feed of this kind
says of each order that it is added (kind 10), cancelled (11), modified (12) or filled (13):

- An added order goes behind all at its price.
- A cancelled order is gone, whatever quantity its row has.
- A modified order takes the row's price and quantity. At its price with less it keeps its place; at another price,
  or with more, it goes behind all that stand there. So does one that after a fill has more than the fill left: an
  iceberg that shows its next part; and one of which fills tell more than it had.
- A fill changes nothing of the levels: the feed says by a cancel or a modification what is left of the order.
- A fill at a price that is worse than the order's own (for a bid: higher) is of an order that was moved to take, and is
  still told at its old place (:func:`is_takers_fill`): no maker trades beyond its own price.
- A clear (kind 3) takes the orders of its side with it, or of both; its price does not count.

Places in a queue are numbers: whatever joins a queue gets the next number, and at one price the lower one is ahead.

A bid at or above the best ask moves the best ask above it, as in every book here. Unlike a feed of levels this one
knows that the asks in between still stand, so they show again when the bids that crossed them are gone.

A row that makes no sense (an id that is not there, or that is there already, no side) is left out and counted:
feeds that start in the middle of a day have such rows. At most `MAX_MARKET_ORDERS` orders have room.

Functions take the address of a :data:`hftd.compiled.layout.book_dtype` whose `market_orders` is set.
"""

# pyright: basic

from hftd.book.book import (
    ask_above,
    ask_qty,
    bid_below,
    bid_qty,
    book_at,
    change_ask,
    change_bid,
    clear_asks,
    clear_bids,
    level_qty,
    set_ask,
    set_bid,
)
from hftd.compiled.jit import inline, kernel
from hftd.compiled.layout import MAX_MARKET_ORDERS, market_order_dtype, market_orders_dtype, offset_of
from hftd.compiled.native import record_at, round_away, store_i64
from hftd.compiled.order_index import index_at, index_find, index_insert, index_remove
from hftd.compiled.row_access import ev_of, is_sound, order_id_of, px_of, qty_of
from hftd.rows import ROW_BYTES, Address, Tick
from hftd.types import (
    ADD_ORDER_EVENT,
    BUY,
    BUY_EVENT,
    CANCEL_ORDER_EVENT,
    DEPTH_CLEAR_EVENT,
    FILL_EVENT,
    INVALID_MAX,
    INVALID_MIN,
    KIND_MASK,
    MODIFY_ORDER_EVENT,
    NONE,
    SELL,
    SELL_EVENT,
)

market_order_at = record_at(market_order_dtype)
market_orders_at = record_at(market_orders_dtype)

INDEX = offset_of(market_orders_dtype, "index")
_ORDER_BYTES = market_order_dtype.itemsize


# --- The orders -----------------------------------------------------------------------------------------------------


@inline
def find_market_order(orders: Address, order_id: int) -> Address:
    """The address of a market order's record, 0 if there is none of that id."""
    slot = index_find(orders + INDEX, order_id)
    if slot < 0:
        return 0
    return market_orders_at(orders).pool + slot * _ORDER_BYTES


@inline
def next_arrival(orders: Address) -> int:
    """The number of what joins a queue now."""
    m = market_orders_at(orders)
    m.arrivals += 1
    return m.arrivals


@inline
def _keep(orders: Address, order_id: int, side: int, tick: Tick, qty: float) -> bool:
    """Keep a new order; returns False if there is no room."""
    m = market_orders_at(orders)
    if m.free != 0:
        address = m.free
        m.free = market_order_at(address).next_free
    elif m.used_slots < MAX_MARKET_ORDERS:
        address = m.pool + m.used_slots * _ORDER_BYTES
        m.used_slots += 1
    else:
        return False
    order = market_order_at(address)
    order.order_id = order_id
    order.side = side
    order.price_tick = tick
    order.qty = qty
    order.filled_qty = 0.0
    order.arrival = next_arrival(orders)
    index_insert(orders + INDEX, order_id, (address - m.pool) // _ORDER_BYTES)
    m.count += 1
    return True


@inline
def _forget(orders: Address, address: Address) -> None:
    m = market_orders_at(orders)
    order = market_order_at(address)
    index_remove(orders + INDEX, order.order_id)
    order.side = NONE
    order.next_free = m.free
    m.free = address
    m.count -= 1


@inline
def _forget_side(orders: Address, side: int) -> None:
    m = market_orders_at(orders)
    address = m.pool
    for _ in range(m.used_slots):
        if market_order_at(address).side == side:
            _forget(orders, address)
        address += _ORDER_BYTES


@inline
def _forget_all(orders: Address) -> None:
    m = market_orders_at(orders)
    index = index_at(orders + INDEX)
    if m.count > 0:
        for i in range(1 << index.bits):
            store_i64(index.entries + 16 * i + 8, 0)
    index.count = 0
    m.count = 0
    m.used_slots = 0
    m.free = 0


# --- The levels that they make --------------------------------------------------------------------------------------


@inline
def _join_level(book: Address, side: int, tick: Tick, qty: float) -> None:
    b = book_at(book)
    if tick < b.roi_lb_tick or tick > b.roi_ub_tick:
        return
    if side == BUY:
        set_bid(book, tick, bid_qty(book, tick) + qty)
    else:
        set_ask(book, tick, ask_qty(book, tick) + qty)


@inline
def _change_level(book: Address, side: int, tick: Tick, difference: float) -> None:
    """An order at a level changes its quantity, or leaves with all of it."""
    b = book_at(book)
    if tick < b.roi_lb_tick or tick > b.roi_ub_tick:
        return
    if side == BUY:
        before = bid_qty(book, tick)
        after = level_qty(before + difference, b.lot_size)
        if before > 0.0 and after > 0.0:
            change_bid(book, tick, after)
            return
        best = b.best_bid_tick
        set_bid(book, tick, after)
        if b.best_bid_tick < best:
            b.best_ask_tick = ask_above(book, b.best_bid_tick)
    else:
        before = ask_qty(book, tick)
        after = level_qty(before + difference, b.lot_size)
        if before > 0.0 and after > 0.0:
            change_ask(book, tick, after)
            return
        best = b.best_ask_tick
        set_ask(book, tick, after)
        if b.best_ask_tick > best:
            b.best_bid_tick = bid_below(book, b.best_ask_tick)


# --- Rows -----------------------------------------------------------------------------------------------------------


@inline
def side_of(ev: int) -> int:
    """The side that a row's flags name, NONE if neither."""
    if (ev & BUY_EVENT) != 0:
        return BUY
    return SELL if (ev & SELL_EVENT) != 0 else NONE


@inline
def row_tick(book: Address, row: Address) -> tuple[Tick, bool]:
    """(the tick of a row's price, whether price and quantity are numbers that can be)."""
    ticks = px_of(row) / book_at(book).tick_size
    if not is_sound(ticks, qty_of(row)):
        return 0, False
    return round_away(ticks), True


_Change = tuple[int, Tick, float, Tick, float]
"""What a row does to the levels: side, tick of the level that changes, by how much, tick of the level that is joined,
with how much."""
_NOTHING = (NONE, 0, 0.0, 0, 0.0)


@inline
def _add(book: Address, row: Address, ev: int) -> _Change:
    orders = book_at(book).market_orders
    m = market_orders_at(orders)
    order_id = order_id_of(row)
    qty = qty_of(row)
    tick, can_be = row_tick(book, row)
    side = side_of(ev)
    if not can_be:
        return _NOTHING
    if side == NONE:
        m.sideless += 1
    elif index_find(orders + INDEX, order_id) >= 0:
        m.duplicates += 1
    elif _keep(orders, order_id, side, tick, qty):
        return side, 0, 0.0, tick, qty
    else:
        m.dropped += 1
    return _NOTHING


@inline
def _modify(book: Address, row: Address, address: Address) -> _Change:
    orders = book_at(book).market_orders
    tick, can_be = row_tick(book, row)
    if not can_be:
        return _NOTHING
    order = market_order_at(address)
    qty = qty_of(row)
    before_qty = order.qty
    before_tick = order.price_tick
    # Less than half a lot is rounding.
    refilled = qty - (before_qty - order.filled_qty) > 0.5 * book_at(book).lot_size
    order.qty = qty
    order.filled_qty = 0.0
    order.price_tick = tick
    if tick != before_tick or qty > before_qty or refilled:
        order.arrival = next_arrival(orders)
    if tick != before_tick:
        return order.side, before_tick, -before_qty, tick, qty
    return order.side, tick, qty - before_qty, 0, 0.0


@inline
def is_takers_fill(order: Address, tick: Tick) -> bool:
    """Whether a fill at a tick is that of an order (by address) which took, though it still stands at its old price.

    CME says of an order that is moved so that it takes: a trade, a fill of it with its id, a fill of the maker, a
    cancel at its old price.
    """
    o = market_order_at(order)
    return (tick - o.price_tick) * o.side > 0


@inline
def note_market_fill(book: Address, order: Address, tick: Tick, qty: float) -> float:
    """Remember that so much of a maker (by address) is filled; the feed tells what is left of it next.

    More than it had is of an iceberg that has shown its next part meanwhile, behind all at its price.

    Returns:
        The quantity, or the part of it for which the order stood at the end.
    """
    o = market_order_at(order)
    if is_takers_fill(order, tick):
        return qty
    o.filled_qty += qty
    beyond = o.filled_qty - o.qty
    if beyond > 0.5 * book_at(book).lot_size:
        o.arrival = next_arrival(book_at(book).market_orders)
        return min(qty, beyond)
    return qty


@inline
def _change_by_id(book: Address, row: Address, kind: int) -> _Change:
    """A row about an order that should be there."""
    orders = book_at(book).market_orders
    address = find_market_order(orders, order_id_of(row))
    if address == 0:
        market_orders_at(orders).unknown += 1
    elif kind == MODIFY_ORDER_EVENT:
        return _modify(book, row, address)
    elif kind == FILL_EVENT:
        tick, can_be = row_tick(book, row)
        if can_be:
            note_market_fill(book, address, tick, qty_of(row))
    elif kind == CANCEL_ORDER_EVENT:
        order = market_order_at(address)
        side = order.side
        _forget(orders, address)
        return side, order.price_tick, -order.qty, 0, 0.0
    return _NOTHING


@inline
def clear_orders(book: Address, side: int) -> None:
    """Take the orders of a side away and the levels that they made, or those of both (NONE)."""
    b = book_at(book)
    orders = b.market_orders
    if side == NONE:
        _forget_all(orders)
    else:
        _forget_side(orders, side)
    if side != SELL:
        clear_bids(book, float("inf"), 1.0)
    if side != BUY:
        clear_asks(book, float("inf"), 1.0)
    if side == BUY:
        b.best_ask_tick = ask_above(book, INVALID_MIN)
    elif side == SELL:
        b.best_bid_tick = bid_below(book, INVALID_MAX)


@inline
def apply_order_row(book: Address, row: Address) -> None:
    """Apply a row to the orders and levels of a book; rows of other kinds than these change nothing."""
    ev = ev_of(row)
    kind = ev & KIND_MASK
    if kind == DEPTH_CLEAR_EVENT:
        clear_orders(book, side_of(ev))
        return
    if kind == ADD_ORDER_EVENT:
        side, tick, difference, joined_tick, joined_qty = _add(book, row, ev)
    elif kind == CANCEL_ORDER_EVENT or kind == MODIFY_ORDER_EVENT or kind == FILL_EVENT:
        side, tick, difference, joined_tick, joined_qty = _change_by_id(book, row, kind)
    else:
        return
    if difference != 0.0:
        _change_level(book, side, tick, difference)
    if joined_qty > 0.0:
        _join_level(book, side, joined_tick, joined_qty)


@kernel("int64(int64, int64, int64)")
def apply_order_rows(book: Address, rows: Address, count: int) -> int:
    """Apply rows to a book on which nobody's own orders depend: that of a bot, or a snapshot."""
    row = rows
    for _ in range(count):
        apply_order_row(book, row)
        row += ROW_BYTES
    return count
