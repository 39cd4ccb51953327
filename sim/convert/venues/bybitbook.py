"""The books of Bybit's streams: snapshots and deltas of a depth, and those of one level; in code that numba compiles.

A snapshot replaces the whole book, as nothing is known of levels behind its last one. `u` grows by one from message to
message, `seq` never falls. Books of one level come as snapshots only, and are compared with the one before.
"""

# pyright: basic

from typing import Any, Final

import numpy as np

from hftd.compiled.jit import inline
from hftd.compiled.json_fields import field, text_key
from hftd.compiled.json_numbers import integer
from hftd.compiled.native import record_at
from hftd.compiled.row_access import move_row, qty_of
from hftd.rows import BEST_ASK, BEST_BID, ROW_BYTES, Address, Ns
from hftd.types import DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT
from hftd.venues.bybit.market import add_book, add_side, book_ids, book_sides, dot_behind
from hftd.venues.message import CLOCK_JUMP_NS, FIELD
from sim.convert.reader.messages import count_name, follow, is_chosen_text, note_late, was_there
from sim.convert.reader.state import BOOK_SIZE, BOOKS, OTHER_BOOK, OTHER_SYMBOL, SUPERSEDED
from sim.convert.reader.wholebook import LEVELS_MAX, book_dtype, take_book

_DATA: Final = text_key("data")

HELD_MAX_NS: Final = 1_000_000_000
"""A message is held back by no more than that behind the one before."""


own_dtype = np.dtype(
    [
        ("book", book_dtype),
        ("depth", "i8"),
        ("seq", "i8"),
        ("latency_ns", "i8"),
        ("book_local_ts", "i8"),
        ("sent_ts", "i8"),
        ("delay_ns", "i8"),
        ("held", "i8"),
        ("bad_times", "i8"),
        ("gaps", "i8"),
        ("symbol", "i8"),
        ("spot_trades", "i8"),
        ("derivative_trades", "i8"),
        ("asks_first", "i8"),
        ("is_as_hftbacktest", "i8"),
    ],
    align=True,
)
"""The book of one level; the depth that is taken (0: the first); the last `seq`, local time, `ts`, and how long that
was behind `cts`; messages that were held back, and those with a wrong time; the gaps before the last snapshot. Of the
history: the number of the file name's symbol (-1: none), and trades of both markets."""

own_at = record_at(own_dtype)


@inline
def local_time(s: Any, own: Any, sent_ns: Ns, local_ts: Ns):
    """When the message arrived: as the line says, or a latency after it was sent where lines have no time."""
    return sent_ns + own.latency_ns if s.has_no_time else local_ts


@inline
def _true_times(own: Any, matched_ns: Ns, sent_ns: Ns):
    """The times of a message without a local time: one that is far from the other and from those before is wrong."""
    if matched_ns < 0:
        matched_ns = sent_ns
    elif abs(sent_ns - matched_ns) > CLOCK_JUMP_NS:
        own.bad_times += 1
        if own.sent_ts and abs(sent_ns - own.sent_ts) < abs(matched_ns - own.sent_ts):
            matched_ns = sent_ns - own.delay_ns
        else:
            sent_ns = matched_ns + own.delay_ns
    return matched_ns, sent_ns


@inline
def _held_back(own: Any, local_ts: Ns):
    """A connection keeps the order: a message does not arrive before the one that was sent before it.

    One that is much earlier shows that the time before was wrong, and is not moved.
    """
    ahead_ns = own.book_local_ts - local_ts
    return own.book_local_ts if 0 < ahead_ns <= HELD_MAX_NS else local_ts


@inline
def _was_there(
    s: Any,
    own: Any,
    is_snapshot: bool,
    is_compared: bool,
    update_id: int,
    seq: int,
    exch_ts: Ns,
    local_ts: Ns,
):
    """Whether the book has a message already: it comes once more, from another connection or late."""
    if update_id < 0:
        return False
    is_old = 0 <= seq <= own.seq
    is_near = exch_ts <= s.update_ts + CLOCK_JUMP_NS
    if (update_id == 1 and not is_old) or (seq > own.seq and update_id <= s.update_id):
        # Ids begin anew.
        s.updates[0] = update_id
        s.updates_count = 1
        s.update_ts = exch_ts
        return False
    # A book of one level comes again with the same id while nothing changes; a snapshot mends a book with a gap.
    if update_id == s.update_id and (is_compared or (is_snapshot and s.gap_count > own.gaps)):
        return False
    # A snapshot would set the book back; and files are read one after the other, however long they overlap.
    if (is_snapshot or s.has_no_time) and update_id <= s.update_id and is_near:
        note_late(s, s.update_id, update_id, local_ts)
        return True
    return was_there(s, update_id, exch_ts, local_ts)


@inline
def _follow(s: Any, own: Any, is_snapshot: bool, update_id: int, seq: int, local_ts: Ns):
    """Check that a message follows the one before by its `u`, and did not come late by its `seq`."""
    if is_snapshot:
        s.update_id = update_id
        own.gaps = s.gap_count
    elif update_id >= 0:
        in_order = s.update_id < 0 or update_id == s.update_id + 1
        if in_order and 0 <= seq < own.seq:
            note_late(s, own.seq, seq, local_ts)
        follow(s, update_id - 1, update_id, local_ts)
    own.seq = seq


@inline
def _best_rows(s: Any, row: int):
    """Keep the rows of quantity from `row` on, as best bids and offers."""
    kept = row
    for number in range(row, s.row_count):
        at = s.rows + number * ROW_BYTES
        if qty_of(at) > 0.0:
            target = s.rows + kept * ROW_BYTES
            move_row(target, at)
            kept += 1
    s.row_count = kept


@inline
def _best(s: Any, data: int, exch_ts: Ns, local_ts: Ns):
    """`orderbook.1` as user events."""
    row = s.row_count
    bid_field, ask_field = book_sides(s, data)
    bids = add_side(s, bid_field, BEST_BID, exch_ts, local_ts)
    asks = add_side(s, ask_field, BEST_ASK, exch_ts, local_ts)
    if bids < 0 or asks < 0:
        return FIELD
    _best_rows(s, row)
    s.used[BEST_BID] += 1
    return 0


@inline
def book_message(s: Any, own: Any, is_snapshot: bool, start: Address, stop: Address, local_ts: Ns) -> int:
    """A message of the topic `orderbook.<depth>.<symbol>`, of which `start` is behind the first dot."""
    dot = dot_behind(start, stop)
    depth = integer(start, dot)
    data = field(s, _DATA, -1)
    update_id, seq, matched_ns, sent_ns = book_ids(s)
    if depth <= 0 or dot == stop or data < 0 or sent_ns < 0:
        return FIELD
    # 1: the service began anew, and so does the book.
    is_snapshot = is_snapshot or (update_id == 1 and not own.is_as_hftbacktest)
    bad_times = own.bad_times
    if s.has_no_time and not own.is_as_hftbacktest:
        matched_ns, sent_ns = _true_times(own, matched_ns, sent_ns)
    exch_ts = sent_ns if matched_ns < 0 or own.is_as_hftbacktest else matched_ns
    local_ts = local_time(s, own, sent_ns, local_ts)
    arrived_ts = local_ts
    if s.has_no_time and not own.is_as_hftbacktest:
        local_ts = _held_back(own, local_ts)
    if depth == 1 and s.wants_ticker:
        if not is_chosen_text(s, dot + 1, stop):
            return OTHER_SYMBOL
        return _best(s, data, exch_ts, local_ts)
    if own.depth > 0 and own.depth != depth:
        if not is_chosen_text(s, dot + 1, stop):
            return OTHER_SYMBOL
        count_name(s, BOOKS, start, dot)
        return OTHER_BOOK
    row = s.row_count
    reason, bids, asks = add_book(
        s, data, is_snapshot, own.is_as_hftbacktest != 0, own.asks_first != 0, exch_ts, local_ts
    )
    if reason:
        return reason
    is_compared = depth == 1 and is_snapshot and not own.is_as_hftbacktest
    if is_compared and (bids > LEVELS_MAX or asks > LEVELS_MAX):
        return BOOK_SIZE
    if not is_chosen_text(s, dot + 1, stop):
        return OTHER_SYMBOL
    own.depth = depth
    count_name(s, BOOKS, start, dot)
    if not own.is_as_hftbacktest and _was_there(
        s, own, is_snapshot, is_compared, update_id, seq, exch_ts, local_ts
    ):
        own.bad_times = bad_times
        return SUPERSEDED
    if is_compared:
        take_book(s, s.own, row, bids, asks, exch_ts, local_ts)
    own.held += local_ts != arrived_ts
    own.book_local_ts = local_ts
    own.sent_ts, own.delay_ns = sent_ns, sent_ns - exch_ts
    _follow(s, own, is_snapshot, update_id, seq, local_ts)
    s.used[DEPTH_SNAPSHOT_EVENT if is_snapshot else DEPTH_EVENT] += 1
    return 0
