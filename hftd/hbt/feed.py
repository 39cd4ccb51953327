"""Rows of market data as they come from a channel, applied to the local side in compiled code.

The rules are those of archives: the flags say who sees a row and which side of the book it is of, the low byte its
kind. Rows that the local side does not see, and kinds that it does not know, change no book.
"""

# pyright: basic

from hftd.book.book import book_at, clear_asks, clear_bids, clear_book, level_qty, set_ask, set_bid
from hftd.book.market_orders import market_orders_at
from hftd.compiled.jit import inline, kernel
from hftd.compiled.layout import BY_BOT, BY_DAEMON, asset_dtype, offset_of
from hftd.compiled.native import call_code, round_away
from hftd.compiled.row_access import copy_row, ev_of, exch_ts_of, is_sound, local_ts_of, px_of, qty_of
from hftd.hbt.orders import asset_at
from hftd.rows import BOOK_LOST, ROW_BYTES, Address
from hftd.types import (
    BUY_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    KIND_MASK,
    LOCAL_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    USER_DEFINED_EVENT,
)

BOOK = offset_of(asset_dtype, "book")


@inline
def apply_book_row(book: Address, row: Address) -> None:
    """Apply a depth, snapshot or clear row to a book; rows whose price or quantity can't be are ignored.

    A book that is made from single orders takes rows of orders and clears instead.
    """
    b = book_at(book)
    if b.market_orders != 0:
        call_code(market_orders_at(b.market_orders).fn_apply_rows, (book, row, 1))
        return
    ev = ev_of(row)
    px = px_of(row)
    qty = qty_of(row)
    kind = ev & KIND_MASK
    if kind == DEPTH_EVENT or kind == DEPTH_SNAPSHOT_EVENT:
        ticks = px / b.tick_size
        if not is_sound(ticks, qty):
            return
        tick = round_away(ticks)
        if tick < b.roi_lb_tick or tick > b.roi_ub_tick:
            return
        if (ev & BUY_EVENT) != 0:
            set_bid(book, tick, level_qty(qty, b.lot_size))
        elif (ev & SELL_EVENT) != 0:
            set_ask(book, tick, level_qty(qty, b.lot_size))
    elif kind == DEPTH_CLEAR_EVENT:
        if (ev & BUY_EVENT) != 0:
            clear_bids(book, px, b.tick_size)
        elif (ev & SELL_EVENT) != 0:
            clear_asks(book, px, b.tick_size)
        else:
            clear_book(book)


@inline
def set_lost(asset: Address, kind: int) -> None:
    """The recording says that something of the book is missing from here on, or that nothing is any more."""
    book = asset_at(asset).book
    if kind == BOOK_LOST:
        book.not_valid |= BY_DAEMON
    else:
        book.not_valid &= BY_BOT


@inline
def apply_rows(asset: Address, rows: Address, count: int) -> int:
    """Apply `count` rows at an address to the local side of an asset."""
    a = asset_at(asset)
    book = asset + BOOK
    row = rows
    seen = 0
    for _ in range(count):
        ev = ev_of(row)
        if (ev & LOCAL_EVENT) != 0:
            seen += 1
            a.feed_exch_ts = exch_ts_of(row)
            a.feed_local_ts = local_ts_of(row)
            kind = ev & KIND_MASK
            if kind == TRADE_EVENT:
                if a.trades_len < a.trades_cap:
                    copy_row(a.trades + a.trades_len * ROW_BYTES, row)
                    a.trades_len += 1
                elif a.trades_cap > 0:
                    a.trades_dropped += 1
            elif kind >= BOOK_LOST:
                set_lost(asset, kind)
            elif kind >= USER_DEFINED_EVENT:
                if a.user_events_len < a.user_events_cap:
                    copy_row(a.user_events + a.user_events_len * ROW_BYTES, row)
                    a.user_events_len += 1
                elif a.user_events_cap > 0:
                    a.user_events_dropped += 1
            else:
                apply_book_row(book, row)
        row += ROW_BYTES
    if seen > 0:
        a.feed_seen = 1
        a.rows += seen
    return seen


@kernel("int64(int64, int64, int64)")
def load_book(book: Address, rows: Address, count: int) -> int:
    """Apply rows to a book alone: an initial snapshot."""
    row = rows
    for _ in range(count):
        apply_book_row(book, row)
        row += ROW_BYTES
    return count
