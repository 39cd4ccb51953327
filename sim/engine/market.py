"""The inner loops: the recorded market goes by on the exchange's side and on the local side.

A depth segment is the common case. For most of its rows nothing is to be done but a store: the row is below the best
price and none of the bot's orders stands at its tick. The loops keep the best price and the ticks between which own
orders stand in registers, and leave for the general functions when a row touches either.
"""

# pyright: basic

from hftd.book.book import ask_above, bid_below, book_at, clear_asks, clear_bids, clear_book, set_ask, set_bid
from hftd.book.market_orders import market_orders_at
from hftd.compiled.jit import inline
from hftd.compiled.layout import asset_dtype, offset_of
from hftd.compiled.native import call_code, load_f64, load_i64, prefetch_read, prefetch_write, store_f64
from hftd.compiled.row_access import copy_row, ev_of, local_ts_of, px_of, set_local_ts
from hftd.hbt.feed import set_lost
from hftd.hbt.life import CAUSE_CROSSED
from hftd.hbt.orders import asset_at
from hftd.rows import BOOK_LOST, ROW_BYTES, Address, Ns
from hftd.types import INVALID_MAX, INVALID_MIN, KIND_MASK
from sim.engine.life import OF_THE_LEVEL
from sim.engine.own import BOOK
from sim.engine.pulling import book_state_changed
from sim.engine.reach import (
    ask_level_changed,
    bid_level_changed,
    buy_trade,
    fill_buys_downto,
    fill_sells_upto,
    sell_trade,
)
from sim.model.latency import exchange_at
from sim.model.layout import (
    SEG_ASKS,
    SEG_BIDS,
    SEG_BUY_TRADES,
    SEG_CLEAR,
    SEG_CLEAR_ASKS,
    SEG_CLEAR_BIDS,
    SEG_FAR_ASKS,
    SEG_FAR_BIDS,
    SEG_SELL_TRADES,
    SEG_TRADES,
    SEG_USER,
    segment_dtype,
)

ASSET_BOOK = offset_of(asset_dtype, "book")
_SEGMENT = segment_dtype.itemsize
_SEG_FIRST = offset_of(segment_dtype, "first_kind")
_SEG_EXCH = offset_of(segment_dtype, "exch_ts")
_SEG_ROW = offset_of(segment_dtype, "row")
_LOOK_AHEAD = 24
"""Rows."""


@inline
def apply_bids(book: Address, tick: Address, stop: Address, qty: Address) -> None:
    """Store a segment of bids (addresses of its ticks, their end, its quantities) into a book's window."""
    b = book_at(book)
    bids = b.bids - 8 * b.base_tick
    best = b.best_bid_tick
    low = b.low_bid_tick
    high = b.high_bid_tick
    while tick < stop:
        t = load_i64(tick)
        q = load_f64(qty)
        store_f64(bids + 8 * t, q)
        low = min(low, t)
        high = max(high, t)
        tick += 8
        qty += 8
        if t >= best:
            if q > 0.0:
                if t > best:
                    best = t
                    if t >= b.best_ask_tick:
                        b.best_ask_tick = ask_above(book, t)
            elif t == best:
                b.low_bid_tick = low
                b.high_bid_tick = high
                best = bid_below(book, t)
    b.best_bid_tick = best
    b.low_bid_tick = low
    b.high_bid_tick = high


@inline
def apply_asks(book: Address, tick: Address, stop: Address, qty: Address) -> None:
    """Store a segment of asks into a book's window."""
    b = book_at(book)
    asks = b.asks - 8 * b.base_tick
    best = b.best_ask_tick
    low = b.low_ask_tick
    high = b.high_ask_tick
    while tick < stop:
        t = load_i64(tick)
        q = load_f64(qty)
        store_f64(asks + 8 * t, q)
        low = min(low, t)
        high = max(high, t)
        tick += 8
        qty += 8
        if t <= best:
            if q > 0.0:
                if t < best:
                    best = t
                    if t <= b.best_bid_tick:
                        b.best_bid_tick = bid_below(book, t)
            elif t == best:
                b.low_ask_tick = low
                b.high_ask_tick = high
                best = ask_above(book, t)
    b.best_ask_tick = best
    b.low_ask_tick = low
    b.high_ask_tick = high


@inline
def _own_low(ticks: Address, count: int):
    return load_i64(ticks) if count > 0 else INVALID_MAX


@inline
def _own_high(ticks: Address, count: int):
    return load_i64(ticks + 8 * (count - 1)) if count > 0 else INVALID_MIN


@inline
def exchange_bids(exchange: Address, tick: Address, stop: Address, qty: Address, now_ns: Ns) -> None:
    """A segment of bids at the exchange: queue places of own buys, fills of own sells."""
    x = exchange_at(exchange)
    book = exchange + BOOK
    b = book_at(book)
    bids = b.bids - 8 * b.base_tick
    best = b.best_bid_tick
    low = b.low_bid_tick
    high = b.high_bid_tick
    # A bid level fills own sells only, so the ticks between which own buys stand hold for the whole segment.
    own_low = _own_low(x.buy_ticks, x.buys)
    own_high = _own_high(x.buy_ticks, x.buys)
    while tick < stop:
        t = load_i64(tick)
        q = load_f64(qty)
        address = bids + 8 * t
        if own_low <= t <= own_high:
            bid_level_changed(exchange, t, load_f64(address), q, best, now_ns)
        store_f64(address, q)
        low = min(low, t)
        high = max(high, t)
        tick += 8
        qty += 8
        if t >= best:
            if q > 0.0:
                if t > best:
                    best = t
                    b.best_bid_tick = t
                    if t >= b.best_ask_tick:
                        b.best_ask_tick = ask_above(book, t)
                    if x.sells > 0:
                        fill_sells_upto(exchange, t, CAUSE_CROSSED, t, OF_THE_LEVEL, now_ns)
            elif t == best:
                b.low_bid_tick = low
                b.high_bid_tick = high
                best = bid_below(book, t)
    b.best_bid_tick = best
    b.low_bid_tick = low
    b.high_bid_tick = high


@inline
def exchange_asks(exchange: Address, tick: Address, stop: Address, qty: Address, now_ns: Ns) -> None:
    """A segment of asks at the exchange: queue places of own sells, fills of own buys."""
    x = exchange_at(exchange)
    book = exchange + BOOK
    b = book_at(book)
    asks = b.asks - 8 * b.base_tick
    best = b.best_ask_tick
    low = b.low_ask_tick
    high = b.high_ask_tick
    own_low = _own_low(x.sell_ticks, x.sells)
    own_high = _own_high(x.sell_ticks, x.sells)
    while tick < stop:
        t = load_i64(tick)
        q = load_f64(qty)
        address = asks + 8 * t
        if own_low <= t <= own_high:
            ask_level_changed(exchange, t, load_f64(address), q, best, now_ns)
        store_f64(address, q)
        low = min(low, t)
        high = max(high, t)
        tick += 8
        qty += 8
        if t <= best:
            if q > 0.0:
                if t < best:
                    best = t
                    b.best_ask_tick = t
                    if t <= b.best_bid_tick:
                        b.best_bid_tick = bid_below(book, t)
                    if x.buys > 0:
                        fill_buys_downto(exchange, t, CAUSE_CROSSED, t, OF_THE_LEVEL, now_ns)
            elif t == best:
                b.low_ask_tick = low
                b.high_ask_tick = high
                best = ask_above(book, t)
    b.best_ask_tick = best
    b.low_ask_tick = low
    b.high_ask_tick = high


@inline
def _exchange_rare(
    exchange: Address, kind: int, segment: Address, tick: Address, stop: Address, qty: Address, now_ns: Ns
) -> None:
    """Far levels, clears, single orders, and a book that is lost or back."""
    book = exchange + BOOK
    b = book_at(book)
    if kind == SEG_FAR_BIDS or kind == SEG_FAR_ASKS:
        while tick < stop:
            t = load_i64(tick)
            q = load_f64(qty)
            if kind == SEG_FAR_BIDS:
                prior_best = b.best_bid_tick
                before = set_bid(book, t, q)
                bid_level_changed(exchange, t, before, q, prior_best, now_ns)
                if b.best_bid_tick > prior_best:
                    fill_sells_upto(
                        exchange, b.best_bid_tick, CAUSE_CROSSED, b.best_bid_tick, OF_THE_LEVEL, now_ns
                    )
            else:
                prior_best = b.best_ask_tick
                before = set_ask(book, t, q)
                ask_level_changed(exchange, t, before, q, prior_best, now_ns)
                if b.best_ask_tick < prior_best:
                    fill_buys_downto(
                        exchange, b.best_ask_tick, CAUSE_CROSSED, b.best_ask_tick, OF_THE_LEVEL, now_ns
                    )
            tick += 8
            qty += 8
    elif kind == SEG_USER:
        book_state_changed(
            exchange, exchange_at(exchange).stream.rows_base + load_i64(segment + _SEG_ROW), now_ns
        )
    elif b.market_orders != 0:
        x = exchange_at(exchange)
        row = x.stream.rows_base + load_i64(segment + _SEG_ROW)
        call_code(x.fn_orders, (exchange, row, (stop - tick) >> 3, now_ns))
    else:
        apply_clear(book, kind, exchange_at(exchange).stream.rows_base + load_i64(segment + _SEG_ROW))


@inline
def apply_clear(book: Address, kind: int, row: Address) -> None:
    """Take the levels away that a clear event names: those of one side up to its price, or all."""
    tick_size = book_at(book).tick_size
    if kind == SEG_CLEAR_BIDS:
        clear_bids(book, px_of(row), tick_size)
    elif kind == SEG_CLEAR_ASKS:
        clear_asks(book, px_of(row), tick_size)
    elif kind == SEG_CLEAR:
        clear_book(book)


@inline
def exchange_segment(exchange: Address, segment: Address, ticks: Address, qtys: Address, now_ns: Ns) -> None:
    """What one segment of the market does on the exchange's side."""
    first = load_i64(segment + _SEG_FIRST)
    kind = first & 15
    start = first >> 4
    end = load_i64(segment + _SEGMENT + _SEG_FIRST) >> 4
    tick = ticks + 8 * start
    stop = ticks + 8 * end
    qty = qtys + 8 * start
    if kind == SEG_BIDS:
        exchange_bids(exchange, tick, stop, qty, now_ns)
    elif kind == SEG_ASKS:
        exchange_asks(exchange, tick, stop, qty, now_ns)
    elif kind == SEG_BUY_TRADES:
        x = exchange_at(exchange)
        while tick < stop:
            t = load_i64(tick)
            if x.sells > 0 and load_i64(x.sell_ticks) <= t:
                buy_trade(exchange, t, load_f64(qty), now_ns)
            tick += 8
            qty += 8
    elif kind == SEG_SELL_TRADES:
        x = exchange_at(exchange)
        while tick < stop:
            t = load_i64(tick)
            if x.buys > 0 and load_i64(x.buy_ticks + 8 * (x.buys - 1)) >= t:
                sell_trade(exchange, t, load_f64(qty), now_ns)
            tick += 8
            qty += 8
    elif kind >= SEG_FAR_BIDS:
        _exchange_rare(exchange, kind, segment, tick, stop, qty, now_ns)


@inline
def note_trade(asset: Address, row: Address, shift_ns: Ns) -> None:
    """Keep a trade for `last_trades`, with the local time that the bot sees."""
    a = asset_at(asset)
    if a.trades_len >= a.trades_cap:
        a.trades_dropped += 1
        return
    target = a.trades + a.trades_len * ROW_BYTES
    copy_row(target, row)
    set_local_ts(target, local_ts_of(row) + shift_ns)
    a.trades_len += 1


@inline
def note_user_event(asset: Address, row: Address, shift_ns: Ns) -> None:
    """Keep a user event, with the local time that the bot sees; or the book is lost, or back."""
    kind = ev_of(row) & KIND_MASK
    if kind >= BOOK_LOST:
        set_lost(asset, kind)
        return
    a = asset_at(asset)
    if a.user_events_len >= a.user_events_cap:
        a.user_events_dropped += int(a.user_events_cap > 0)
        return
    target = a.user_events + a.user_events_len * ROW_BYTES
    copy_row(target, row)
    set_local_ts(target, local_ts_of(row) + shift_ns)
    a.user_events_len += 1


@inline
def look_ahead(book: Address, segment: Address, segments_end: Address, ticks: Address, qtys: Address) -> None:
    """Ask for the levels that the next rows of a book will touch.

    Between two steps of an asset come those of all others, which take its levels out of the nearest cache.
    """
    b = book_at(book)
    bids = b.bids - 8 * b.base_tick
    asks = b.asks - 8 * b.base_tick
    left = _LOOK_AHEAD
    if segment < segments_end:
        # The columns of the rows after the next: each asset reads three arrays, too many for the processor to foresee.
        at = 8 * (load_i64(segment + _SEG_FIRST) >> 4)
        for line in range(4, 8):
            prefetch_read(ticks + at + 64 * line)
            prefetch_read(qtys + at + 64 * line)
            prefetch_read(segment + 64 * line)
    while segment < segments_end and left > 0:
        first = load_i64(segment + _SEG_FIRST)
        segment += _SEGMENT
        kind = first & 15
        if kind == SEG_BIDS or kind == SEG_ASKS:
            levels = bids if kind == SEG_BIDS else asks
            at = first >> 4
            end = min(load_i64(segment + _SEG_FIRST) >> 4, at + left)
            left -= end - at
            while at < end:
                prefetch_write(levels + 8 * load_i64(ticks + 8 * at))
                at += 1


@inline
def local_segment(
    asset: Address, segment: Address, ticks: Address, qtys: Address, rows_base: int, shift_ns: Ns
) -> None:
    """What one segment of the market does on the local side."""
    first = load_i64(segment + _SEG_FIRST)
    kind = first & 15
    start = first >> 4
    end = load_i64(segment + _SEGMENT + _SEG_FIRST) >> 4
    tick = ticks + 8 * start
    stop = ticks + 8 * end
    qty = qtys + 8 * start
    book = asset + ASSET_BOOK
    if kind == SEG_BIDS:
        apply_bids(book, tick, stop, qty)
    elif kind == SEG_ASKS:
        apply_asks(book, tick, stop, qty)
    elif kind == SEG_BUY_TRADES or kind == SEG_SELL_TRADES or kind == SEG_TRADES:
        if asset_at(asset).trades_cap > 0:
            row = rows_base + load_i64(segment + _SEG_ROW)
            for i in range(end - start):
                note_trade(asset, row + i * ROW_BYTES, shift_ns)
    elif kind == SEG_FAR_BIDS:
        while tick < stop:
            set_bid(book, load_i64(tick), load_f64(qty))
            tick += 8
            qty += 8
    elif kind == SEG_FAR_ASKS:
        while tick < stop:
            set_ask(book, load_i64(tick), load_f64(qty))
            tick += 8
            qty += 8
    elif kind == SEG_USER:
        note_user_event(asset, rows_base + load_i64(segment + _SEG_ROW), shift_ns)
    elif kind >= SEG_CLEAR_BIDS:
        row = rows_base + load_i64(segment + _SEG_ROW)
        orders = book_at(book).market_orders
        if orders != 0:
            call_code(market_orders_at(orders).fn_apply_rows, (book, row, end - start))
        else:
            apply_clear(book, kind, row)
    a = asset_at(asset)
    a.rows += end - start
    a.feed_exch_ts = load_i64(segment + _SEG_EXCH)
