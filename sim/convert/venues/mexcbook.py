"""The books of MEXC: differences, and whole books of the first levels; in code that numba compiles.

Where there are whole books only, each is compared with the one before, see :mod:`sim.convert.reader.wholebook`. Beside
differences a whole book only starts them: at first and after a gap, the sides are cleared as far as it reaches
and its levels are set. Differences that it has already are left out then. An answer to a request for the book
always starts; the levels that changed while it was on its way are set again behind it.
"""

# pyright: basic

from typing import Any, Final

import numpy as np

from hftd.compiled.jit import inline
from hftd.compiled.json_fields import field, first_item, place_of, text_key
from hftd.compiled.native import load_u8, record_at
from hftd.rows import Address, Ns
from hftd.types import BUY_EVENT, DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT, SELL_EVENT
from hftd.venues.message import (
    CLOCK_JUMP_NS,
    FIELD,
    add_arrays,
    add_clear,
    add_objects,
    clear_as_far,
)
from sim.convert.reader.messages import follow, is_chosen_text, was_there
from sim.convert.reader.recent import recent_dtype, remember, set_again
from sim.convert.reader.state import BOOK_SIZE, OTHER_SYMBOL, PARTIAL_DEPTH, SUPERSEDED
from sim.convert.reader.wholebook import LEVELS_MAX, book_dtype, take_book

_BIDS: Final = text_key("bids")
_ASKS: Final = text_key("asks")
_PRICE: Final = text_key("p")
_QTY: Final = text_key("v")

own_dtype = np.dtype(
    [
        ("book", book_dtype),
        ("snapshot_id", "i8"),
        ("has_differences", "i8"),
        ("needs_book", "i8"),
        ("is_as_hftbacktest", "i8"),
        ("recent", recent_dtype),
    ],
    align=True,
)
"""The book before; the version of the last whole book; whether there are differences, and whether they lack one; the
levels that changed last, by version."""

_own_fields: Any = own_dtype.fields
_RECENT: Final[int] = _own_fields["recent"][1]

own_at = record_at(own_dtype)


@inline
def _side(s: Any, start: Address, stop: Address, ev: int, exch_ts: Ns, local_ts: Ns):
    """Append the levels of an array of arrays or of objects (0: there is none); how many, -1 if something is wrong."""
    if start == 0:
        return 0
    p = first_item(start, stop)
    if p and load_u8(p) == 123:
        return add_objects(s, start, stop, _PRICE, _QTY, ev, exch_ts, local_ts)
    return add_arrays(s, start, stop, ev, exch_ts, local_ts)


@inline
def is_ours(s: Any, start: Address, stop: Address):
    """Count the symbol; a message without one belongs to the one that is taken."""
    return start == 0 or is_chosen_text(s, start, stop)


@inline
def differences(
    s: Any, own: Any, data: int, symbol: int, version: int, begin: int, exch_ts: Ns, local_ts: Ns
):
    """Append the rows of changed levels; `version` is the book's afterwards, `begin` that of the first change."""
    symbol_start, symbol_stop = place_of(s, symbol)
    bids, bids_stop = place_of(s, field(s, _BIDS, data))
    asks, asks_stop = place_of(s, field(s, _ASKS, data))
    row = s.row_count
    if exch_ts < 0 or (bids == 0 and asks == 0):
        return FIELD
    if _side(s, bids, bids_stop, DEPTH_EVENT | BUY_EVENT, exch_ts, local_ts) < 0:
        return FIELD
    if _side(s, asks, asks_stop, DEPTH_EVENT | SELL_EVENT, exch_ts, local_ts) < 0:
        return FIELD
    if not is_ours(s, symbol_start, symbol_stop):
        return OTHER_SYMBOL
    own.has_differences = 1
    if version >= 0:
        if version <= own.snapshot_id and not own.is_as_hftbacktest:
            return SUPERSEDED
        if not own.is_as_hftbacktest and was_there(s, version, exch_ts, local_ts):
            return SUPERSEDED
        # One that begins before the whole book and ends behind it follows it.
        previous = max((begin if begin >= 0 else version) - 1, own.snapshot_id)
        gaps = s.gap_count
        follow(s, previous, version, local_ts)
        if s.gap_count > gaps:
            own.needs_book = 1
        remember(s, s.own + _RECENT, row, version, exch_ts, local_ts)
    s.used[DEPTH_EVENT] += 1
    return 0


@inline
def _whole_rows(
    s: Any,
    bids: Address,
    bids_stop: Address,
    asks: Address,
    asks_stop: Address,
    clears: int,
    exch_ts: Ns,
    local_ts: Ns,
):
    """Append a whole book behind `clears` (0: none, 1: one of all, 2: each side's as far as it reaches)."""
    row = 0
    if clears == 1:
        add_clear(s, 0, exch_ts, local_ts)
    if clears == 2:
        row = add_clear(s, BUY_EVENT, exch_ts, local_ts)
    bid_count = _side(s, bids, bids_stop, DEPTH_SNAPSHOT_EVENT | BUY_EVENT, exch_ts, local_ts)
    if clears == 2 and bid_count >= 0:
        clear_as_far(s, row, bid_count)
    if clears == 2:
        row = add_clear(s, SELL_EVENT, exch_ts, local_ts)
    ask_count = _side(s, asks, asks_stop, DEPTH_SNAPSHOT_EVENT | SELL_EVENT, exch_ts, local_ts)
    if clears == 2 and ask_count >= 0:
        clear_as_far(s, row, ask_count)
    return bid_count, ask_count


@inline
def whole_book(
    s: Any, own: Any, data: int, symbol: int, version: int, is_answer: bool, exch_ts: Ns, local_ts: Ns
):
    """Append the rows of a whole book of the first levels; `is_answer`: to a request, which names no symbol."""
    symbol_start, symbol_stop = place_of(s, symbol)
    bids, bids_stop = place_of(s, field(s, _BIDS, data))
    asks, asks_stop = place_of(s, field(s, _ASKS, data))
    if exch_ts < 0 or bids == 0 or asks == 0:
        return FIELD
    starts = is_answer or own.has_differences
    is_plain = own.is_as_hftbacktest and not is_answer
    row = s.row_count
    clears = 0 if is_plain else 2 if starts else 1
    bid_count, ask_count = _whole_rows(s, bids, bids_stop, asks, asks_stop, clears, exch_ts, local_ts)
    if bid_count < 0 or ask_count < 0:
        return FIELD
    if bid_count > LEVELS_MAX or ask_count > LEVELS_MAX:
        return BOOK_SIZE
    if not is_ours(s, symbol_start, symbol_stop):
        return OTHER_SYMBOL
    if is_plain:
        s.used[DEPTH_SNAPSHOT_EVENT] += 1
        return 0
    if starts and not is_answer and (not own.needs_book or version < s.update_id):
        return PARTIAL_DEPTH
    if starts:
        s.snapshot_row = row if is_answer else -1
    else:
        if 0 <= version < own.snapshot_id and exch_ts <= s.update_ts + CLOCK_JUMP_NS:
            # Of another connection, which is behind.
            return SUPERSEDED
        s.update_ts = exch_ts
        take_book(s, s.own, row, bid_count, ask_count, exch_ts, local_ts)
    own.needs_book = 0
    if is_answer and version < s.update_id and not set_again(s, s.own + _RECENT, version, exch_ts, local_ts):
        own.needs_book = 1
    own.snapshot_id = version
    s.update_id = max(s.update_id, version)
    s.used[DEPTH_SNAPSHOT_EVENT] += 1
    return 0
