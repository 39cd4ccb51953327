"""The pass that follows the book as it was received: crossed and locked, the spread, trades against the book.

Bids and asks are kept in two books. In one book of both sides a bid that crosses would push the asks away, as the
engine's does, and nothing would be seen of it afterwards.
"""

# pyright: basic

from typing import Any

from hftd.book.book import book_at, clear_asks, clear_bids, level_qty, set_ask, set_bid
from hftd.book.market_orders import INDEX, apply_order_row, market_orders_at, side_of
from hftd.compiled.jit import inline, kernel
from hftd.compiled.layout import offset_of
from hftd.compiled.native import load_i64, record_at, round_away, store_i64
from hftd.compiled.order_index import index_find
from hftd.compiled.row_access import (
    copy_row,
    ev_of,
    exch_ts_of,
    is_sound,
    local_ts_of,
    order_id_of,
    px_of,
    qty_of,
)
from hftd.rows import ROW_BYTES, Address, Ns
from hftd.types import (
    ADD_ORDER_EVENT,
    BUY,
    BUY_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    FILL_EVENT,
    INVALID_MAX,
    INVALID_MIN,
    KIND_MASK,
    LOCAL_EVENT,
    NONE,
    SELL,
    SELL_EVENT,
    TRADE_EVENT,
)
from sim.checks import layout
from sim.checks.found import bucket_at, bucket_of, lasted, note
from sim.checks.layout import SPREADS, books_dtype

books_at = record_at(books_dtype)
_LAST_EVENT = offset_of(books_dtype, "last_event")


@inline
def _orders_have(book: Address, order_id: int):
    return index_find(book_at(book).market_orders + INDEX, order_id) >= 0


@inline
def _apply_order(s: Any, row: Address, row_no: int, ev: int, kind: int):
    """A row of a single order, to the book of its side. Returns whether it changed one."""
    if kind == DEPTH_CLEAR_EVENT:
        side = side_of(ev)
        if side != SELL:
            apply_order_row(s.bids, row)
        if side != BUY:
            apply_order_row(s.asks, row)
        return True
    order_id = order_id_of(row)
    in_bids, in_asks = _orders_have(s.bids, order_id), _orders_have(s.asks, order_id)
    if kind == ADD_ORDER_EVENT:
        if in_bids or in_asks:
            note(s.problems, layout.DUPLICATE_ORDER, s.file, row_no, row, 0)
            return False
        side = side_of(ev)
        if side == NONE:
            return False
        apply_order_row(s.bids if side == BUY else s.asks, row)
        return True
    if not (in_bids or in_asks):
        note(s.problems, layout.UNKNOWN_ORDER, s.file, row_no, row, 0)
        return False
    apply_order_row(s.bids if in_bids else s.asks, row)
    return kind != FILL_EVENT


@inline
def _apply_level(s: Any, row: Address, ev: int, kind: int):
    """A row of a level or a clear. Returns whether it changed the book."""
    b = book_at(s.bids)
    px, qty = px_of(row), qty_of(row)
    if kind == DEPTH_CLEAR_EVENT:
        sides = ev & (BUY_EVENT | SELL_EVENT)
        is_all = sides == 0
        if is_all or sides & BUY_EVENT:
            clear_bids(s.bids, float("inf") if is_all else px, b.tick_size)
        if is_all or not sides & BUY_EVENT:
            clear_asks(s.asks, float("inf") if is_all else px, b.tick_size)
        return True
    if not is_sound(px / b.tick_size, qty):
        return False
    tick = round_away(px / b.tick_size)
    if ev & BUY_EVENT:
        set_bid(s.bids, tick, level_qty(qty, b.lot_size))
        return True
    if ev & SELL_EVENT:
        set_ask(s.asks, tick, level_qty(qty, b.lot_size))
        return True
    return False


@inline
def _share(s: Any, until_ts: Ns):
    """Give the series its share of a crossed or locked stretch."""
    if s.state != 0 and until_ts > s.until_ts:
        b = bucket_at(bucket_of(s.series, until_ts))
        if s.state == layout.CROSSED:
            b.crossed_ns += until_ts - s.until_ts
        else:
            b.locked_ns += until_ts - s.until_ts
    s.until_ts = until_ts


@inline
def _count_spread(s: Any, bid, ask):
    spread = ask - bid
    number = min(spread, SPREADS - 1)
    store_i64(s.spreads + 8 * number, load_i64(s.spreads + 8 * number) + 1)
    s.spread_count += 1
    s.spread_max = max(s.spread_max, spread)
    b = bucket_at(bucket_of(s.series, s.local_ts))
    b.spreads += 1
    b.spread_sum += float(spread)
    b.spread_max = max(b.spread_max, spread)
    b.mid = 0.5 * float(bid + ask) * book_at(s.bids).tick_size


@inline
def _end_message(state: Address):
    """All rows of a message are in: see how the best prices stand to each other."""
    s = books_at(state)
    bid, ask = book_at(s.bids).best_bid_tick, book_at(s.asks).best_ask_tick
    _share(s, s.local_ts)
    now = 0
    if bid != INVALID_MIN and ask != INVALID_MAX:
        if bid > ask:
            now = layout.CROSSED
        elif bid == ask:
            now = layout.LOCKED
        else:
            _count_spread(s, bid, ask)
    if now != s.state:
        if s.state != 0:
            lasted(s.problems, s.state, max(s.local_ts - s.since_ts, 0))
        if now != 0:
            note(s.problems, now, s.last_file, s.last_row, state + _LAST_EVENT, 0)
            s.since_ts = s.local_ts
        s.state = now
    s.is_changed = 0


@inline
def _check_trade(s: Any, row: Address, row_no: int, ev: int):
    """Where a trade stands in the book before it."""
    bid, ask = book_at(s.bids).best_bid_tick, book_at(s.asks).best_ask_tick
    tick_size = book_at(s.bids).tick_size
    px = px_of(row)
    if bid == INVALID_MIN or ask == INVALID_MAX or bid >= ask or not is_sound(px / tick_size, qty_of(row)):
        s.trades_unknown += 1
        return
    mid = 0.5 * float(bid + ask) * tick_size
    if abs(px - mid) > s.far_share * abs(mid) + float(ask - bid) * tick_size:
        note(s.problems, layout.TRADE_FAR, s.file, row_no, row, 0)
        s.trades_unknown += 1
        return
    tick = round_away(px / tick_size)
    sides = ev & (BUY_EVENT | SELL_EVENT)
    if sides == 0 or sides == BUY_EVENT | SELL_EVENT:
        s.trades_unknown += 1
        return
    beyond = tick - ask if sides == BUY_EVENT else bid - tick
    if beyond == 0:
        s.trades_at += 1
    elif beyond > 0:
        s.trades_through += 1
    elif -beyond < ask - bid:
        s.trades_inside += 1
    else:
        s.trades_behind += 1
        note(s.problems, layout.TRADE_BEHIND, s.file, row_no, row, 0)


@kernel("int64(int64, int64, int64)")
def follow_books(state: Address, rows: Address, count: int) -> int:
    """Follow the book through a block; `state` is a `books_dtype` record. Returns the number of rows."""
    s = books_at(state)
    for number in range(count):
        row = rows + number * ROW_BYTES
        ev = ev_of(row)
        if ev & LOCAL_EVENT == 0:
            continue
        exch_ts, local_ts = exch_ts_of(row), local_ts_of(row)
        if s.is_changed != 0 and (exch_ts != s.exch_ts or local_ts != s.local_ts):
            _end_message(state)
        kind = ev & KIND_MASK
        if kind == TRADE_EVENT:
            _check_trade(s, row, s.row + number, ev)
            continue
        is_changed = False
        if s.by_order != 0:
            if kind == DEPTH_CLEAR_EVENT or ADD_ORDER_EVENT <= kind <= FILL_EVENT:
                is_changed = _apply_order(s, row, s.row + number, ev, kind)
        elif kind == DEPTH_EVENT or kind == DEPTH_SNAPSHOT_EVENT or kind == DEPTH_CLEAR_EVENT:
            is_changed = _apply_level(s, row, ev, kind)
        if is_changed:
            s.is_changed = 1
            s.exch_ts, s.local_ts = exch_ts, local_ts
            s.last_file, s.last_row = s.file, s.row + number
            copy_row(state + _LAST_EVENT, row)
    s.row += count
    return count


@kernel("int64(int64, int64)")
def end_books(state: Address, local_ts: Ns) -> int:
    """The data are over at `local_ts`: what is still crossed was so until then."""
    s = books_at(state)
    if s.is_changed != 0:
        _end_message(state)
    _share(s, max(local_ts, s.local_ts))
    if s.state != 0:
        lasted(s.problems, s.state, max(local_ts - s.since_ts, 0))
        s.state = 0
    return market_orders_at(book_at(s.bids).market_orders).dropped if s.by_order != 0 else 0
