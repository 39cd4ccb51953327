"""From archive rows to the columns that the inner loop runs over.

A row takes 64 bytes, of which the loop needs a time, a kind, a tick and a quantity. Rows that one side sees at the
same time and that are of the same kind are gathered in a segment, so the loop neither compares times nor tells kinds
apart row by row. Each side of an asset has its own columns, made in chunks that stay in the cache.
"""

# pyright: basic

import numpy as np

from hftd.book.book import book_at, level_qty, place_window
from hftd.compiled.jit import inline, kernel
from hftd.compiled.native import load_i64, record_at, round_away, store_f64, store_i64
from hftd.compiled.row_access import ev_of, exch_ts_of, is_sound, is_tick, is_time, px_of, qty_of
from hftd.rows import BOOK_LOST, EXCH_TS, LOCAL_TS, ROW_BYTES, Address, Ns
from hftd.types import (
    ADD_ORDER_EVENT,
    BUY_EVENT,
    CANCEL_ORDER_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EXCH_EVENT,
    FILL_EVENT,
    KIND_MASK,
    LOCAL_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    USER_DEFINED_EVENT,
)
from sim.model.layout import (
    KINDS_OF_LEVELS,
    KINDS_OF_ORDERS,
    KINDS_OF_ORDERS_AT_EXCHANGE,
    NEVER,
    PREPARE_NEGATIVE_QTY,
    PREPARE_NO_TIME,
    PREPARE_NOT_FINITE,
    PREPARE_OK,
    PREPARE_UNSORTED,
    SEG_ASKS,
    SEG_BIDS,
    SEG_BUY_TRADES,
    SEG_CLEAR,
    SEG_CLEAR_ASKS,
    SEG_CLEAR_BIDS,
    SEG_FAR_ASKS,
    SEG_FAR_BIDS,
    SEG_ORDERS,
    SEG_OTHER,
    SEG_SELL_TRADES,
    SEG_TRADES,
    SEG_USER,
    segment_dtype,
    stream_dtype,
)

stream_at = record_at(stream_dtype)
segment_at = record_at(segment_dtype)

SEGMENT_BYTES = segment_dtype.itemsize


def _segment_kinds(kinds: int) -> np.ndarray:
    """The SEG_* of each event kind below 16 and each pair of side bits, at 4 * kind + side."""
    buy, sell, both = BUY_EVENT >> 28, SELL_EVENT >> 28, (BUY_EVENT | SELL_EVENT) >> 28
    table = np.full(64, SEG_OTHER, np.int64)
    for kind in (DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT) if kinds == KINDS_OF_LEVELS else ():
        table[4 * kind + buy] = table[4 * kind + both] = SEG_BIDS
        table[4 * kind + sell] = SEG_ASKS
    if kinds != KINDS_OF_ORDERS_AT_EXCHANGE:
        table[4 * TRADE_EVENT] = SEG_TRADES
        table[4 * TRADE_EVENT + buy] = table[4 * TRADE_EVENT + both] = SEG_BUY_TRADES
        table[4 * TRADE_EVENT + sell] = SEG_SELL_TRADES
    if kinds != KINDS_OF_LEVELS:
        table[4 * ADD_ORDER_EVENT : 4 * FILL_EVENT + 4] = SEG_ORDERS
    table[4 * DEPTH_CLEAR_EVENT] = SEG_CLEAR
    table[4 * DEPTH_CLEAR_EVENT + buy] = table[4 * DEPTH_CLEAR_EVENT + both] = SEG_CLEAR_BIDS
    table[4 * DEPTH_CLEAR_EVENT + sell] = SEG_CLEAR_ASKS
    return table


_SEGMENT_KINDS = np.concatenate(
    [_segment_kinds(kinds) for kinds in (KINDS_OF_LEVELS, KINDS_OF_ORDERS, KINDS_OF_ORDERS_AT_EXCHANGE)]
)


@inline
def _fail(stream: Address, code: int, row: Address, last_ts: Ns) -> int:
    s = stream_at(stream)
    s.last_ts = last_ts
    s.error = code
    s.error_row = row
    return code


@inline
def is_time_shifted(ts: Ns, shift_ns: Ns) -> bool:
    """Whether a row's time is one, also on the bot's clock."""
    return is_time(ts) and is_time(ts + shift_ns)


@inline
def what_is_wrong(ticks: float, qty: float) -> int:
    """PREPARE_OK, or what is wrong with a price in ticks and a quantity."""
    if is_sound(ticks, qty):
        return PREPARE_OK
    return PREPARE_NEGATIVE_QTY if is_tick(ticks) and qty < 0.0 else PREPARE_NOT_FINITE


@inline
def _check_order_row(row: Address, tick_size: float) -> int:
    """PREPARE_OK, or what is wrong with the price or the quantity of an order's row; a cancel needs none."""
    if (ev_of(row) & KIND_MASK) != CANCEL_ORDER_EVENT:
        return what_is_wrong(px_of(row) / tick_size, qty_of(row))
    return PREPARE_OK


@kernel("int64(int64)")
def prepare(stream: Address) -> int:
    """Prepare the next chunk of a stream's rows.

    Afterwards `segment` up to `segments_end` are the chunk's, none if there are no more rows in this file.

    Returns:
        0, or a PREPARE_* code, with the offending row's address in `error_row`.
    """
    s = stream_at(stream)
    flag = LOCAL_EVENT if s.is_local != 0 else EXCH_EVENT
    # The exchange takes no notice of user events.
    user = SEG_USER if s.is_local != 0 else SEG_OTHER
    ts_offset = LOCAL_TS if s.is_local != 0 else EXCH_TS
    shift_ns = s.offset_ns if s.is_local != 0 else 0
    book = book_at(s.book)
    tick_size = book.tick_size
    lot_size = book.lot_size
    kinds = s.kinds
    low = book.base_tick
    window = book.window_ticks
    roi_low = book.roi_lb_tick
    roi_high = book.roi_ub_tick
    last_ts = s.last_ts
    row = s.row
    end = s.rows_end
    ticks = s.buffer_ticks
    qtys = s.buffer_qtys
    chunk_rows = s.chunk_rows
    segment = s.buffer_segments
    count = 0
    while row < end and count < chunk_rows:
        ev = ev_of(row)
        if (ev & flag) == 0:
            row += ROW_BYTES
            continue
        ts = load_i64(row + ts_offset)
        if not is_time_shifted(ts, shift_ns):
            return _fail(stream, PREPARE_NO_TIME, row, last_ts)
        if ts + shift_ns < last_ts:
            return _fail(stream, PREPARE_UNSORTED, row, last_ts)
        kind_byte = ev & KIND_MASK
        kind = SEG_OTHER
        if kind_byte < 16:
            kind = _SEGMENT_KINDS[kinds + 4 * kind_byte + ((ev >> 28) & 3)]
        elif kind_byte >= BOOK_LOST:
            kind = SEG_USER
        elif kind_byte >= USER_DEFINED_EVENT:
            kind = user
        seg = segment_at(segment)
        seg.ts = ts + shift_ns
        seg.first_kind = 16 * count + kind
        seg.row = row
        segment += SEGMENT_BYTES
        last_ts = ts + shift_ns
        if kind == SEG_ORDERS:
            # What they hold is read from the rows themselves, which stand one behind the other.
            while True:
                code = _check_order_row(row, tick_size)
                if code != PREPARE_OK:
                    return _fail(stream, code, row, last_ts)
                count += 1
                row += ROW_BYTES
                if row >= end or count >= chunk_rows or load_i64(row + ts_offset) != ts:
                    break
                ev = ev_of(row)
                kind_byte = ev & KIND_MASK
                if (ev & flag) == 0 or kind_byte < ADD_ORDER_EVENT or kind_byte > FILL_EVENT:
                    break
            seg.exch_ts = exch_ts_of(row - ROW_BYTES)
            continue
        if kind == SEG_OTHER or kind >= SEG_CLEAR_BIDS:
            # One row each: what they hold is read from the row itself.
            seg.exch_ts = exch_ts_of(row)
            store_i64(ticks + 8 * count, 0)
            store_f64(qtys + 8 * count, 0.0)
            count += 1
            row += ROW_BYTES
            continue
        # Rows just like this one but for price and quantity.
        is_depth = kind <= SEG_ASKS
        while True:
            exact = px_of(row) / tick_size
            qty = qty_of(row)
            if not is_sound(exact, qty):
                return _fail(stream, what_is_wrong(exact, qty), row, last_ts)
            tick = round_away(exact)
            if window == 0:
                place_window(s.book, tick)
                low = book.base_tick
                window = book.window_ticks
            if is_depth:
                if tick < roi_low or tick > roi_high:
                    # Nothing to the book, but still a moment at which something arrives.
                    far = SEG_OTHER
                elif tick < low or tick >= low + window:
                    far = SEG_FAR_BIDS if kind == SEG_BIDS else SEG_FAR_ASKS
                else:
                    far = kind
                now_kind = segment_at(segment - SEGMENT_BYTES).first_kind & 15
                if far != now_kind:
                    previous = segment_at(segment - SEGMENT_BYTES)
                    if (previous.first_kind >> 4) == count:
                        previous.first_kind = 16 * count + far
                    else:
                        previous.exch_ts = exch_ts_of(row - ROW_BYTES)
                        seg = segment_at(segment)
                        seg.ts = last_ts
                        seg.first_kind = 16 * count + far
                        seg.row = row
                        segment += SEGMENT_BYTES
                store_f64(qtys + 8 * count, level_qty(qty, lot_size))
            else:
                store_f64(qtys + 8 * count, qty)
            store_i64(ticks + 8 * count, tick)
            count += 1
            row += ROW_BYTES
            if row >= end or count >= chunk_rows or ev_of(row) != ev or load_i64(row + ts_offset) != ts:
                break
        segment_at(segment - SEGMENT_BYTES).exch_ts = exch_ts_of(row - ROW_BYTES)
    # One more, whose first row is the end of the last segment's.
    segment_at(segment).first_kind = 16 * count
    s.ticks = ticks
    s.qtys = qtys
    s.segment = s.buffer_segments
    s.segments_end = segment
    s.next_ts = segment_at(s.buffer_segments).ts if segment != s.buffer_segments else NEVER
    s.row = row
    s.last_ts = last_ts
    s.rows_done += count
    return PREPARE_OK
