"""The books of Bybit's streams: snapshots and deltas of a depth, and those of one level; in code that numba compiles.

A snapshot replaces the whole book, as nothing is known of levels behind its last one. `u` grows by one from message to
message, `seq` never falls. Books of one level come as snapshots only, and are compared with the one before.
"""

# pyright: basic

from typing import Final

import numpy as np

from hftd.jit import inline
from hftd.json_numbers import integer
from hftd.native import load_f64, load_i64, load_u8, record_at, store_i64
from hftd.types import BUY_EVENT, DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT, SELL_EVENT
from sim.convert.items import add_arrays, ms_of
from sim.convert.message import field, hashed, integer_of, text_key, text_of
from sim.convert.scan import count_name, follow, is_chosen_text, note_late
from sim.convert.state import BOOK_SIZE, BOOKS, FIELD, OTHER_BOOK, OTHER_SYMBOL, ROW_SIZE
from sim.convert.wholebook import LEVELS_MAX, add_clear, book_dtype, clear_as_far, take_book

BEST_BID: Final = 103
BEST_ASK: Final = 104

_TYPE: Final = text_key("type")
_DATA: Final = text_key("data")
_SENT: Final = text_key("ts")
_MATCHED: Final = text_key("cts")
_BIDS: Final = text_key("b")
_ASKS: Final = text_key("a")
_UPDATE_ID: Final = text_key("u")
_CROSS_SEQ: Final = text_key("seq")
_SNAPSHOT: Final = text_key("snapshot")
_DELTA: Final = text_key("delta")

own_dtype = np.dtype(
    [
        ("book", book_dtype),
        ("depth", "i8"),
        ("seq", "i8"),
        ("latency_ns", "i8"),
        ("book_local_ts", "i8"),
        ("asks_first", "i8"),
        ("is_as_hftbacktest", "i8"),
    ],
    align=True,
)
"""The book of one level; the depth that is taken (0: the first); the last `seq` and local time; and how to read."""

own_at = record_at(own_dtype)


@inline
def dot_behind(p, stop):
    """The address of the next dot, or the end."""
    while p < stop and load_u8(p) != 46:
        p += 1
    return p


@inline
def local_time(s, own, sent_ns, local_ts):
    """When the message arrived: as the line says, or a latency after it was sent where lines have no time."""
    return sent_ns + own.latency_ns if s.has_no_time else local_ts


@inline
def _levels(s, number, ev, exch_ts, local_ts):
    """Append the levels of a field; how many, -1 if they are none. A side that did not change may be missing."""
    if number < 0:
        return 0
    start, stop = text_of(s, number)
    return add_arrays(s, start, stop, ev, exch_ts, local_ts)


@inline
def _side(s, number, side, kind, exch_ts, local_ts, with_clear):
    """Append a side's levels, behind a clear as far as they reach if asked; how many, -1 if they are none."""
    row = add_clear(s, side, exch_ts, local_ts) if with_clear else 0
    count = _levels(s, number, kind | side, exch_ts, local_ts)
    if with_clear and count >= 0:
        clear_as_far(s, row, count)
    return count


@inline
def _book_rows(s, own, data, is_snapshot, exch_ts, local_ts):
    """Append the rows of a book's message; how many bids and asks, -1 if something in it is wrong."""
    kind = DEPTH_SNAPSHOT_EVENT if is_snapshot else DEPTH_EVENT
    with_clears = is_snapshot and own.is_as_hftbacktest != 0
    if is_snapshot and not with_clears:
        add_clear(s, 0, exch_ts, local_ts)
    bid_levels, ask_levels = field(s, _BIDS, data), field(s, _ASKS, data)
    if bid_levels < 0 and ask_levels < 0:
        return -1, -1
    if own.asks_first:
        asks = _side(s, ask_levels, SELL_EVENT, kind, exch_ts, local_ts, with_clears)
        bids = _side(s, bid_levels, BUY_EVENT, kind, exch_ts, local_ts, with_clears)
    else:
        bids = _side(s, bid_levels, BUY_EVENT, kind, exch_ts, local_ts, with_clears)
        asks = _side(s, ask_levels, SELL_EVENT, kind, exch_ts, local_ts, with_clears)
    return bids, asks


@inline
def _follow(s, own, is_snapshot, update_id, seq, local_ts):
    """Check that a message follows the one before by its `u`, and did not come late by its `seq`."""
    if is_snapshot:
        s.update_id = update_id
    elif update_id >= 0:
        in_order = s.update_id < 0 or update_id == s.update_id + 1
        if in_order and 0 <= seq < own.seq:
            note_late(s, own.seq, seq, local_ts)
        follow(s, update_id - 1, update_id, local_ts)
    own.seq = seq


@inline
def _best_rows(s, row):
    """Keep the rows of quantity from `row` on, as best bids and offers."""
    kept = row
    for number in range(row, s.row_count):
        at = s.rows + number * ROW_SIZE
        qty = load_f64(at + 32)
        if qty > 0.0:
            target = s.rows + kept * ROW_SIZE
            for offset in range(0, 48, 8):
                store_i64(target + offset, load_i64(at + offset))
            kept += 1
    s.row_count = kept


@inline
def _best(s, data, exch_ts, local_ts):
    """`orderbook.1` as user events."""
    row = s.row_count
    bid_levels, ask_levels = field(s, _BIDS, data), field(s, _ASKS, data)
    bids = _levels(s, bid_levels, BEST_BID, exch_ts, local_ts)
    asks = _levels(s, ask_levels, BEST_ASK, exch_ts, local_ts)
    if bids < 0 or asks < 0:
        return FIELD
    _best_rows(s, row)
    s.used[BEST_BID] += 1
    return 0


@inline
def book_message(s, own, start, stop, local_ts):
    """A message of the topic `orderbook.<depth>.<symbol>`, of which `start` is behind the first dot."""
    dot = dot_behind(start, stop)
    depth = integer(start, dot)
    data, kind = field(s, _DATA, -1), field(s, _TYPE, -1)
    sent_ns = ms_of(s, field(s, _SENT, -1))
    if depth <= 0 or dot == stop or data < 0 or kind < 0 or sent_ns < 0:
        return FIELD
    kind_start, kind_stop = text_of(s, kind)
    name = hashed(kind_start, kind_stop)
    if name != _SNAPSHOT and name != _DELTA:
        return FIELD
    is_snapshot = name == _SNAPSHOT
    matched_ns = ms_of(s, field(s, _MATCHED, -1))
    exch_ts = sent_ns if matched_ns < 0 or own.is_as_hftbacktest else matched_ns
    local_ts = local_time(s, own, sent_ns, local_ts)
    if s.has_no_time and not own.is_as_hftbacktest:
        # A connection keeps the order: a message does not arrive before the one that was sent before it.
        local_ts = max(local_ts, own.book_local_ts)
    if depth == 1 and s.wants_ticker:
        if not is_chosen_text(s, dot + 1, stop):
            return OTHER_SYMBOL
        return _best(s, data, exch_ts, local_ts)
    if own.depth > 0 and own.depth != depth:
        if not is_chosen_text(s, dot + 1, stop):
            return OTHER_SYMBOL
        count_name(s, BOOKS, start, dot)
        return OTHER_BOOK
    update_id = integer_of(s, field(s, _UPDATE_ID, data))
    seq = integer_of(s, field(s, _CROSS_SEQ, data))
    row = s.row_count
    bids, asks = _book_rows(s, own, data, is_snapshot, exch_ts, local_ts)
    if bids < 0 or asks < 0:
        return FIELD
    is_compared = depth == 1 and is_snapshot and not own.is_as_hftbacktest
    if is_compared and (bids > LEVELS_MAX or asks > LEVELS_MAX):
        return BOOK_SIZE
    if not is_chosen_text(s, dot + 1, stop):
        return OTHER_SYMBOL
    own.depth = depth
    count_name(s, BOOKS, start, dot)
    if is_compared:
        take_book(s, s.own, row, bids, asks, exch_ts, local_ts)
    own.book_local_ts = local_ts
    _follow(s, own, is_snapshot, update_id, seq, local_ts)
    s.used[DEPTH_SNAPSHOT_EVENT if is_snapshot else DEPTH_EVENT] += 1
    return 0
