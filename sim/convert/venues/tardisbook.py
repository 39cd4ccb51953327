"""The books of Tardis's files: snapshots that are held back until they end, and their rows; numba compiles this.

What becomes of them: :mod:`sim.convert.venues.tardis`.
"""

# pyright: basic

from typing import Any, Final

import numpy as np

from hftd.compiled.jit import inline
from hftd.compiled.layout import offset_of
from hftd.compiled.native import copy_bytes, load_f64, load_i64, move_bytes, record_at, store_f64, store_i64
from hftd.compiled.row_access import is_price, is_qty
from hftd.rows import Address, Ns
from hftd.types import BUY_EVENT, DEPTH_CLEAR_EVENT, DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT, SELL_EVENT
from hftd.venues.message import FIELD, add_row
from sim.convert.reader.state import LEVELS, ROWS_FULL, SNAPSHOT_LEFT_OUT

_PROCESS, _IGNORE_START, _IGNORE = range(3)
MODES: Final = {"process": _PROCESS, "ignore_sod": _IGNORE_START, "ignore": _IGNORE}
"""The ways to take snapshots, by their names."""

LEVELS_MAX: Final = 1 << 20
"""Levels of one snapshot on each side."""
_LEVEL: Final = 32

own_dtype = np.dtype(
    [
        ("mode", "i8"),
        ("is_as_hftbacktest", "i8"),
        ("exchange", "i8"),  # the number of its name; -1: the first that comes
        ("is_start", "i8"),  # no line of the file but those of its first snapshot was there
        ("start_ts", "i8"),  # the local time of the file's first snapshot; 0: none yet
        ("awaits", "i8"),  # a snapshot comes in the file, and did not come yet
        ("bids", "i8"),  # levels of the snapshot that is held back
        ("asks", "i8"),
        ("put", "i8"),  # rows of it that were appended
        ("exch_ts", "i8"),  # its times
        ("local_ts", "i8"),
        ("follows", "i8"),  # the book is that of the last snapshot, without an update since
        ("buffer", "i8"),  # which of the two lists of each side is the one that is held back
        ("bids_before", "i8"),  # levels of the last one
        ("asks_before", "i8"),
        ("has_bid", "i8"),  # as far as which any level stood
        ("low_bid", "f8"),
        ("has_ask", "i8"),
        ("high_ask", "f8"),
        (
            "levels",
            "i8",
            (4 * LEVELS_MAX * _LEVEL // 8,),
        ),  # bids and asks, twice: both times, price, quantity
        ("spare", "i8", (LEVELS_MAX * _LEVEL // 8,)),
    ],
    align=True,
)
"""What the reader keeps from line to line; memory that no snapshot needs is never touched."""
own_at = record_at(own_dtype)
_LEVELS_AT: Final = offset_of(own_dtype, "levels")
_SPARE_AT: Final = offset_of(own_dtype, "spare")


@inline
def _levels_of(s: Any, own: Any, is_bid: bool):
    """Where the levels of a side are held back."""
    return s.own + _LEVELS_AT + (own.buffer * 2 + (0 if is_bid else 1)) * LEVELS_MAX * _LEVEL


@inline
def _reach(levels: Address, count: int, is_bid: bool):
    """The price as far as which a side's levels reach."""
    far = load_f64(levels + 16)
    for level in range(levels + _LEVEL, levels + count * _LEVEL, _LEVEL):
        px = load_f64(level + 16)
        far = min(far, px) if is_bid else max(far, px)
    return far


@inline
def _put_level(s: Any, own: Any, number: int, is_bid: bool):
    """Append a row of a snapshot's side: its clear (number 0), or one of its levels."""
    levels = _levels_of(s, own, is_bid)
    count = own.bids if is_bid else own.asks
    flag = BUY_EVENT if is_bid else SELL_EVENT
    if number:
        at = levels + (number - 1) * _LEVEL
        ev = DEPTH_SNAPSHOT_EVENT | flag
        add_row(s, ev, load_i64(at), load_i64(at + 8), load_f64(at + 16), load_f64(at + 24))
    elif count:
        far = _reach(levels, count, is_bid)
        add_row(s, DEPTH_CLEAR_EVENT | flag, load_i64(levels), load_i64(levels + 8), far, 0.0)
    elif own.has_bid if is_bid else own.has_ask:
        other = _levels_of(s, own, not is_bid)
        far = own.low_bid if is_bid else own.high_ask
        add_row(s, DEPTH_CLEAR_EVENT | flag, load_i64(other), load_i64(other + 8), far, 0.0)


@inline
def _is_better(at: Address, other, is_bid: bool):
    return load_f64(at + 16) > load_f64(other + 16) if is_bid else load_f64(at + 16) < load_f64(other + 16)


@inline
def _merge_sorted(levels: Address, spare, start: Address, middle, stop: Address, is_bid: bool):
    """Merge two stretches of levels that are sorted each into `spare`; of equal prices the earlier comes first."""
    a, b, out = start, middle, start
    while out < stop:
        takes_a = a < middle and (
            b >= stop or not _is_better(levels + b * _LEVEL, levels + a * _LEVEL, is_bid)
        )
        copy_bytes(spare + out * _LEVEL, levels + (a if takes_a else b) * _LEVEL, _LEVEL)
        a += takes_a
        b += not takes_a
        out += 1


@inline
def _sort_levels(levels: Address, count: int, spare, is_bid: bool):
    """Sort a snapshot's levels from the best on; returns how many are left, the last of each price."""
    width = 1
    is_sorted = True
    for number in range(1, count):
        if not _is_better(levels + (number - 1) * _LEVEL, levels + number * _LEVEL, is_bid):
            is_sorted = False
            break
    if is_sorted:
        return count
    while width < count:
        start = 0
        while start < count:
            middle = min(start + width, count)
            _merge_sorted(levels, spare, start, middle, min(middle + width, count), is_bid)
            start += 2 * width
        copy_bytes(levels, spare, count * _LEVEL)
        width *= 2
    kept = 0
    for number in range(count):
        at = levels + number * _LEVEL
        if number + 1 < count and load_f64(at + 16) == load_f64(at + _LEVEL + 16):
            continue
        move_bytes(levels + kept * _LEVEL, at, _LEVEL)
        kept += 1
    return kept


@inline
def _put_changes(s: Any, own: Any, is_bid: bool, step: int):
    """Append a side's rows for what differs from the snapshot before: what is gone (step 0), or new (1)."""
    flag = DEPTH_EVENT | (BUY_EVENT if is_bid else SELL_EVENT)
    after = _levels_of(s, own, is_bid)
    own.buffer = 1 - own.buffer
    before = _levels_of(s, own, is_bid)
    own.buffer = 1 - own.buffer
    count = own.bids if is_bid else own.asks
    count_before = own.bids_before if is_bid else own.asks_before
    a, b = 0, 0
    while a < count or b < count_before:
        at, old = after + a * _LEVEL, before + b * _LEVEL
        is_new = a < count and (b >= count_before or _is_better(at, old, is_bid))
        is_gone = b < count_before and (a >= count or _is_better(old, at, is_bid))
        if step == 0 and is_gone:
            add_row(s, flag, own.exch_ts, own.local_ts, load_f64(old + 16), 0.0)
        if step == 1 and not is_gone and (is_new or load_f64(at + 24) != load_f64(old + 24)):
            add_row(s, flag, load_i64(at), own.local_ts, load_f64(at + 16), load_f64(at + 24))
        a += not is_gone
        b += not is_new


@inline
def _put_book(s: Any, own: Any):
    """Append the rows of the book that was held back: all of it, or what differs from the one before."""
    if s.row_capacity - s.row_count < own.bids + own.asks + own.bids_before + own.asks_before + 1:
        s.code = ROWS_FULL
        return False
    spare = s.own + _SPARE_AT
    own.bids = _sort_levels(_levels_of(s, own, True), own.bids, spare, True)
    own.asks = _sort_levels(_levels_of(s, own, False), own.asks, spare, False)
    if own.follows:
        # All that is gone first, so that the book is not crossed in between.
        for step in range(4):
            _put_changes(s, own, step % 2 == 0, step // 2)
    else:
        add_row(s, DEPTH_CLEAR_EVENT, own.exch_ts, own.local_ts, 0.0, 0.0)
        for number in range(own.bids + own.asks):
            is_bid = number < own.bids
            at = _levels_of(s, own, is_bid) + (number if is_bid else number - own.bids) * _LEVEL
            flag = BUY_EVENT if is_bid else SELL_EVENT
            add_row(
                s,
                DEPTH_SNAPSHOT_EVENT | flag,
                load_i64(at),
                own.local_ts,
                load_f64(at + 16),
                load_f64(at + 24),
            )
    own.bids_before, own.asks_before = own.bids, own.asks
    own.buffer = 1 - own.buffer
    own.follows = 1
    own.bids = 0
    own.asks = 0
    return True


@inline
def put_snapshot(s: Any, own: Any):
    """Append the rows of the snapshot that was held back; False (ROWS_FULL) if there is no room for all."""
    if own.bids + own.asks == 0:
        return True
    if not own.is_as_hftbacktest:
        return _put_book(s, own)
    while own.put < own.bids + own.asks + 2:
        if s.row_count >= s.row_capacity:
            s.code = ROWS_FULL
            return False
        is_bid = own.put <= own.bids
        _put_level(s, own, own.put if is_bid else own.put - own.bids - 1, is_bid)
        own.put += 1
    own.bids = 0
    own.asks = 0
    own.put = 0
    return True


@inline
def note_far(own: Any, is_bid: bool, px: float):
    """Remember as far as which any level of a side stood."""
    if is_bid:
        own.low_bid = min(own.low_bid, px) if own.has_bid else px
        own.has_bid = 1
    else:
        own.high_ask = max(own.high_ask, px) if own.has_ask else px
        own.has_ask = 1


@inline
def hold_back(s: Any, own: Any, is_bid: bool, exch_ts: Ns, local_ts: Ns, px: float, qty: float):
    """Keep a level of a snapshot until this ends; 0, or why not."""
    if own.mode == _IGNORE or (own.mode == _IGNORE_START and own.is_start):
        return SNAPSHOT_LEFT_OUT
    if not (is_price(px) and is_qty(qty)):
        return FIELD
    if qty == 0.0 and not own.is_as_hftbacktest:
        # Nothing is there.
        s.used[DEPTH_SNAPSHOT_EVENT] += 1
        return 0
    count = own.bids if is_bid else own.asks
    if count == LEVELS_MAX:
        return LEVELS
    if own.bids + own.asks == 0:
        own.exch_ts, own.local_ts = exch_ts, local_ts
    at = _levels_of(s, own, is_bid) + count * _LEVEL
    store_i64(at, exch_ts)
    store_i64(at + 8, local_ts)
    store_f64(at + 16, px)
    store_f64(at + 24, qty)
    if is_bid:
        own.bids += 1
    else:
        own.asks += 1
    note_far(own, is_bid, px)
    s.used[DEPTH_SNAPSHOT_EVENT] += 1
    return 0
