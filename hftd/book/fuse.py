"""Best bids and offers fused with conflated depth, in compiled code: the most granular depth that both tell.

An exchange's depth stream tells every level, but gathers what happened in an interval; its stream of best bids and
offers tells each change of the best levels, and nothing else. Here one book is made of both, as they arrive, and what
it learns is written as depth rows. The rules are those of HftBacktest's fused depth:

- A row that is older (by the exchange's time) than what is known of the best prices, or of its own level, is dropped.
- A best bid takes its level's place, and the bids above it, which it says are gone, are deleted; the same for asks.
- Asks at or below a new best bid are gone, whatever stream it comes from; and so are bids at or above a new best ask.

Both sides are one code: levels stand by key, see :mod:`hftd.book.fused_levels`.
"""

# pyright: basic

import numpy as np

from hftd.book.fused_levels import (
    NO_KEY,
    fused_side_dtype,
    level_above,
    level_below,
    level_of,
    set_level,
    side_at,
)
from hftd.compiled.jit import inline, kernel
from hftd.compiled.layout import offset_of
from hftd.compiled.native import load_i64, record_at, round_away, store_i64
from hftd.compiled.row_access import (
    copy_row,
    ev_of,
    exch_ts_of,
    is_sound,
    is_tick,
    local_ts_of,
    px_of,
    qty_of,
    set_ev,
    write_row,
)
from hftd.rows import ROW_BYTES, Address, Ns, Tick
from hftd.types import (
    BUY_EVENT,
    DEPTH_BBO_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EXCH_EVENT,
    KIND_MASK,
    LOCAL_EVENT,
    SELL_EVENT,
)

fuser_dtype = np.dtype(
    [
        ("bids", fused_side_dtype),
        ("asks", fused_side_dtype),
        ("tick_size", "f8"),
        ("lot_size", "f8"),
        ("error", "i8"),
    ],
    align=True,
)

# What is wrong with the row at which `fuse` stopped.
FUSE_OK = 0
FUSE_NOT_FINITE = 1
FUSE_NEGATIVE_QTY = 2
FUSE_NO_SIDE = 3
FUSE_NOT_DEPTH = 4
FUSE_TOO_FAR = 5
FUSE_NO_ROOM = 6

fuser_at = record_at(fuser_dtype)

_BIDS = offset_of(fuser_dtype, "bids")
_ASKS = offset_of(fuser_dtype, "asks")
_FLAGS = EXCH_EVENT | LOCAL_EVENT
_SIDES = BUY_EVENT | SELL_EVENT


@inline
def _write_deletion(row: Address, out: Address, flag: int, key: Tick, sign: int, tick_size: float) -> None:
    ev = (ev_of(row) & _FLAGS) | flag | DEPTH_EVENT
    write_row(out, ev, exch_ts_of(row), local_ts_of(row), float(sign * key) * tick_size, 0.0)


@inline
def _delete_from(fuser: Address, side: Address, low: Tick, row: Address, out: Address) -> int:
    """Delete the levels of a side at a key and above, written in the order of their prices. Returns how many."""
    s = side_at(side)
    flag = BUY_EVENT if s.sign > 0 else SELL_EVENT
    tick_size = fuser_at(fuser).tick_size
    high = s.best
    count = 0
    key = level_above(side, low - 1, high) if s.sign > 0 else level_below(side, high + 1)
    while key != NO_KEY and key >= low:
        _write_deletion(row, out + count * ROW_BYTES, flag, key, s.sign, tick_size)
        set_level(side, key, 0.0, 0)
        count += 1
        key = level_above(side, key, high) if s.sign > 0 else level_below(side, key)
    return count


@inline
def _uncross(fuser: Address, other: Address, key: Tick, row: Address, out: Address, ts: Ns) -> int:
    """The levels that a new best price of the opposite side meets or crosses are gone. Returns rows written."""
    o = side_at(other)
    if key < -o.best:
        return 0
    count = _delete_from(fuser, other, -key, row, out)
    o.best = level_below(other, -key)
    o.best_ts = ts
    if o.best == NO_KEY:
        o.worst = -NO_KEY
    return count


@inline
def _on_level(
    fuser: Address, side: Address, other: Address, row: Address, out: Address, key: Tick, qty: float, ts: Ns
) -> int:
    """A row of the depth stream. Returns rows written, or a negative FUSE_* code."""
    s = side_at(side)
    o = side_at(other)
    if (key >= s.best and ts < s.best_ts) or (key >= -o.best and ts < o.best_ts):
        return 0
    before, before_ts = level_of(side, key)
    # A level that is gone is not remembered, so its time is not either.
    if (before > 0.0 and ts < before_ts) or (before <= 0.0 and qty <= 0.0):
        return 0
    if not set_level(side, key, qty, ts):
        return -FUSE_TOO_FAR
    copy_row(out, row)
    if qty <= 0.0:
        if key == s.best:
            s.best = level_below(side, key)
            s.best_ts = ts
            if s.best == NO_KEY:
                s.worst = -NO_KEY
        return 1
    if key < s.best:
        return 1
    s.best = key
    s.best_ts = ts
    return 1 + _uncross(fuser, other, key, row, out + ROW_BYTES, ts)


@inline
def _on_best(
    fuser: Address, side: Address, other: Address, row: Address, out: Address, key: Tick, qty: float, ts: Ns
) -> int:
    """A best bid or offer. Returns rows written, or a negative FUSE_* code."""
    s = side_at(side)
    o = side_at(other)
    if ts < s.best_ts:
        return 0
    if qty <= 0.0:
        # Nobody is there: that is all it says, whatever the price in its place.
        count = _delete_from(fuser, side, NO_KEY + 1, row, out) if s.best != NO_KEY else 0
        s.best = NO_KEY
        s.best_ts = ts
        s.worst = -NO_KEY
        return count
    if key >= -o.best and ts < o.best_ts:
        return 0
    if key == s.best and level_of(side, key)[0] == qty:
        s.best_ts = ts
        return 0
    if not set_level(side, key, qty, ts):
        return -FUSE_TOO_FAR
    copy_row(out, row)
    set_ev(out, (ev_of(row) & ~KIND_MASK) | DEPTH_EVENT)
    count = 1 + _uncross(fuser, other, key, row, out + ROW_BYTES, ts)
    if key < s.best:
        count += _delete_from(fuser, side, key + 1, row, out + count * ROW_BYTES)
    s.best = key
    s.best_ts = ts
    return count


@inline
def _clear_from(side: Address, low: Tick, ts: Ns) -> None:
    """Take away the levels at a key and above, without rows: the clear event itself says so."""
    s = side_at(side)
    key = s.best
    while key != NO_KEY and key >= low:
        set_level(side, key, 0.0, 0)
        key = level_below(side, key)
    s.best = key
    s.best_ts = ts
    if key == NO_KEY:
        s.worst = -NO_KEY


@inline
def _on_clear(fuser: Address, row: Address, ev: int, ts: Ns) -> None:
    """A clear event: up to its price, or all where that is not a number or it names no side."""
    if (ev & _SIDES) == 0:
        _clear_from(fuser + _BIDS, NO_KEY + 1, ts)
        _clear_from(fuser + _ASKS, NO_KEY + 1, ts)
        return
    side = fuser + _BIDS if (ev & BUY_EVENT) != 0 else fuser + _ASKS
    low = NO_KEY + 1
    ticks = px_of(row) / fuser_at(fuser).tick_size
    if is_tick(ticks):
        low = side_at(side).sign * round_away(ticks)
    _clear_from(side, low, ts)


@inline
def _room(fuser: Address) -> int:
    """The most rows that one row can become."""
    return 1 + fuser_at(fuser).bids.count + fuser_at(fuser).asks.count


@inline
def _fuse_row(fuser: Address, row: Address, out: Address) -> int:
    """Take a depth, snapshot, clear or best row. Returns rows written, or a negative FUSE_* code."""
    ev = ev_of(row)
    kind = ev & KIND_MASK
    ts = exch_ts_of(row)
    if kind == DEPTH_CLEAR_EVENT:
        _on_clear(fuser, row, ev, ts)
        copy_row(out, row)
        return 1
    if (ev & _SIDES) == 0:
        return -FUSE_NO_SIDE
    raw_qty = qty_of(row)
    ticks = px_of(row) / fuser_at(fuser).tick_size
    if not is_sound(ticks, raw_qty):
        return -FUSE_NEGATIVE_QTY if is_tick(ticks) and raw_qty < 0.0 else -FUSE_NOT_FINITE
    is_bid = (ev & BUY_EVENT) != 0
    side = fuser + (_BIDS if is_bid else _ASKS)
    other = fuser + (_ASKS if is_bid else _BIDS)
    key = side_at(side).sign * round_away(ticks)
    # Less than half a lot is nothing.
    qty = raw_qty if raw_qty / fuser_at(fuser).lot_size >= 0.5 else 0.0
    if kind == DEPTH_BBO_EVENT:
        return _on_best(fuser, side, other, row, out, key, qty, ts)
    return _on_level(fuser, side, other, row, out, key, qty, ts)


@inline
def _is_depth(ev: int) -> bool:
    kind = ev & KIND_MASK
    return (
        kind == DEPTH_EVENT
        or kind == DEPTH_SNAPSHOT_EVENT
        or kind == DEPTH_CLEAR_EVENT
        or kind == DEPTH_BBO_EVENT
    )


@kernel("int64(int64, int64, int64, int64, int64, int64)")
def fuse_events(fuser: Address, rows: Address, count: int, out: Address, capacity: int, done: Address) -> int:
    """Fuse rows of one stream: depth, snapshots, clears and bests, in the order in which they arrive.

    Args:
        fuser: The address of a `fuser_dtype` record; its `error` says what is wrong with a row.
        rows: The rows' address.
        count: How many.
        out: Where fused rows go.
        capacity: How many may.
        done: The address of two words, to be filled: rows taken, rows written.

    Returns:
        0, FUSE_NO_ROOM to be called again with room and the rows behind those that were taken, or another FUSE_*.
    """
    taken = 0
    written = 0
    code = FUSE_OK
    while taken < count:
        row = rows + taken * ROW_BYTES
        if not _is_depth(ev_of(row)):
            code = FUSE_NOT_DEPTH
            break
        if written + _room(fuser) > capacity:
            code = FUSE_NO_ROOM
            break
        made = _fuse_row(fuser, row, out + written * ROW_BYTES)
        if made < 0:
            code = -made
            break
        written += made
        taken += 1
    store_i64(done, taken)
    store_i64(done + 8, written)
    return code


@inline
def _same_rows(a: Address, b: Address, count: int) -> bool:
    for word in range(count * (ROW_BYTES // 8)):
        if load_i64(a + 8 * word) != load_i64(b + 8 * word):
            return False
    return True


@inline
def _join(rows: Address, of_exch: int, of_local: int) -> int:
    """What the two clocks got of one row: the same, which stays once, or rows for each. Returns how many are left."""
    if of_exch == of_local and _same_rows(rows, rows + of_exch * ROW_BYTES, of_exch):
        return of_exch
    for i in range(of_exch + of_local):
        row = rows + i * ROW_BYTES
        set_ev(row, (ev_of(row) & ~_FLAGS) | (EXCH_EVENT if i < of_exch else LOCAL_EVENT))
    return of_exch + of_local


@kernel("int64(int64, int64, int64, int64, int64, int64, int64)")
def fuse_archive(
    exch: Address, local: Address, rows: Address, count: int, out: Address, capacity: int, done: Address
) -> int:
    """Fuse the rows of an archive: each clock's rows into a book of its own, in the order in which it sees them.

    What both clocks see and both books make the same of stays one row; where they differ, because the streams arrive
    in another order than the exchange sent them, each clock gets rows of its own. They stand in the place of the row
    that they come from and have its times, so the order of both clocks stays as it was. Other kinds pass untouched.

    `exch` and `local` are the fusers of the two clocks; the other arguments and the result are those of `fuse_events`.
    """
    taken = 0
    written = 0
    code = FUSE_OK
    while taken < count:
        row = rows + taken * ROW_BYTES
        target = out + written * ROW_BYTES
        if written + _room(exch) + _room(local) > capacity:
            code = FUSE_NO_ROOM
            break
        ev = ev_of(row)
        flags = ev & _FLAGS
        made = 0
        if not _is_depth(ev) or flags == 0:
            copy_row(target, row)
            made = 1
        else:
            of_exch = 0
            for clock in range(2):
                flag = LOCAL_EVENT if clock == 1 else EXCH_EVENT
                if (flags & flag) == 0:
                    continue
                new = _fuse_row(local if clock == 1 else exch, row, target + made * ROW_BYTES)
                if new < 0:
                    made = new
                    break
                if clock == 0:
                    of_exch = new
                made += new
            if made > 0 and flags == _FLAGS:
                made = _join(target, of_exch, made - of_exch)
        if made < 0:
            code = -made
            break
        written += made
        taken += 1
    store_i64(done, taken)
    store_i64(done + 8, written)
    return code
