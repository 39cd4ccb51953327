"""The pass over single rows: order, flags, values, steps, times, latencies, gaps."""

# pyright: basic

from typing import Any

from hftd.compiled.jit import inline, kernel
from hftd.compiled.native import load_i64, record_at, stack_bytes, store_i64
from hftd.compiled.row_access import ev_of, exch_ts_of, is_tick, is_time, local_ts_of, px_of, qty_of
from hftd.rows import QTY_MAX, ROW_BYTES, Address, Ns
from hftd.types import (
    ADD_ORDER_EVENT,
    BUY_EVENT,
    CANCEL_ORDER_EVENT,
    DEPTH_BBO_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EXCH_EVENT,
    FILL_EVENT,
    KIND_MASK,
    LOCAL_EVENT,
    MODIFY_ORDER_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    USER_DEFINED_EVENT,
)
from sim.checks import layout
from sim.checks.found import add_latency, bucket_at, bucket_of, count_in_bin, is_close, note
from sim.checks.layout import rows_dtype

rows_at = record_at(rows_dtype)

TIME_MIN, TIME_MAX = 100_000_000_000_000_000, 4_200_000_000_000_000_000
"""1973 and 2103: what lies outside is no time in nanoseconds."""
JUMPED_MAX = 64
"""So many rows that are away from those before are not out of line any more: the clock is another one."""
_BOTH_SIDES = BUY_EVENT | SELL_EVENT
_KNOWN_FLAGS = EXCH_EVENT | LOCAL_EVENT | _BOTH_SIDES | KIND_MASK
_BIN_BYTES = 8 * layout.BINS


@inline
def is_priced(kind: int):
    """Whether rows of a kind have a price and a quantity that count."""
    return (
        kind == DEPTH_EVENT
        or kind == TRADE_EVENT
        or kind == DEPTH_SNAPSHOT_EVENT
        or kind == DEPTH_BBO_EVENT
        or kind == ADD_ORDER_EVENT
        or kind == MODIFY_ORDER_EVENT
        or kind == FILL_EVENT
    )


@inline
def is_known(kind: int):
    """Whether there is such a kind."""
    return (
        is_priced(kind)
        or kind == DEPTH_CLEAR_EVENT
        or kind == CANCEL_ORDER_EVENT
        or kind >= USER_DEFINED_EVENT
    )


@inline
def _check_values(s: Any, row: Address, row_no: int, kind: int):
    """A row's price and quantity: finite, not negative, whole ticks and lots."""
    px, qty = px_of(row), qty_of(row)
    if not is_tick(px / s.tick_size):
        note(s.problems, layout.PRICE, s.file, row_no, row, 0)
        return
    # One below zero is a problem of its own, unless it is garbage, too.
    if not (qty < QTY_MAX and qty > -QTY_MAX):
        note(s.problems, layout.QTY, s.file, row_no, row, 0)
        return
    if qty < 0.0:
        note(s.problems, layout.NEGATIVE_QTY, s.file, row_no, row, 0)
        return
    if not is_close(px, s.tick_size):
        note(s.problems, layout.OFF_TICK, s.file, row_no, row, 0)
    if not is_close(qty, s.lot_size):
        note(s.problems, layout.OFF_LOT, s.file, row_no, row, 0)
    if px <= 0.0:
        note(s.problems, layout.NOT_POSITIVE, s.file, row_no, row, 0)
    s.px_min, s.px_max = min(s.px_min, px), max(s.px_max, px)
    if kind == TRADE_EVENT:
        if qty == 0.0:
            note(s.problems, layout.ZERO_TRADE, s.file, row_no, row, 0)
        s.trade_qty += qty


@inline
def _check_flags(s: Any, row: Address, row_no: int, ev: int, kind: int):
    if not is_known(kind):
        note(s.problems, layout.KIND, s.file, row_no, row, 0)
    if ev & ~_KNOWN_FLAGS != 0:
        note(s.problems, layout.FLAGS, s.file, row_no, row, 0)
    sides = ev & _BOTH_SIDES
    needs_side = (
        kind == DEPTH_EVENT
        or kind == TRADE_EVENT
        or kind == DEPTH_SNAPSHOT_EVENT
        or kind == DEPTH_BBO_EVENT
        or kind == ADD_ORDER_EVENT
    )
    if needs_side and (sides == 0 or sides == _BOTH_SIDES):
        note(s.problems, layout.NO_SIDE, s.file, row_no, row, 0)


@inline
def _is_of_other_unit(ts, kind: int):
    # The rows of a snapshot of the end of a day have no times.
    is_none = ts == 0 and kind in (DEPTH_SNAPSHOT_EVENT, ADD_ORDER_EVENT)
    return (ts < TIME_MIN or ts > TIME_MAX) and not is_none and is_time(ts)


@inline
def _check_times(
    s: Any, row: Address, row_no: int, exch_ts: Ns, local_ts: Ns, is_exch: bool, is_local: bool, kind: int
):
    """That the times of the clocks that a row has are some: a row counts once, whichever of them are wrong."""
    if (is_exch and not is_time(exch_ts)) or (is_local and not is_time(local_ts)):
        note(s.problems, layout.NO_TIME, s.file, row_no, row, 0)
    if (is_exch and _is_of_other_unit(exch_ts, kind)) or (is_local and _is_of_other_unit(local_ts, kind)):
        note(s.problems, layout.TIME_UNIT, s.file, row_no, row, 0)


@inline
def _check_clock(s: Any, row: Address, row_no: int, ts, last, problem):
    """That the times of one clock do not go back. Returns the last time now."""
    if not is_time(ts):
        return last
    if ts < last:
        note(s.problems, problem, s.file, row_no, row, last - ts)
    return ts


@inline
def _is_jump(s: Any, row: Address, row_no: int, latency_ns: Ns):
    """Whether a row's two clocks are apart as in no row before; many such in a row are believed."""
    away = latency_ns - s.latency_base
    if away <= s.jump_ns and away >= -s.jump_ns:
        s.jumped = 0
        s.latency_base = latency_ns
        return False
    note(s.problems, layout.JUMP, s.file, row_no, row, away if away > 0 else -away)
    s.jumped += 1
    if s.jumped >= JUMPED_MAX:
        s.jumped = 0
        s.latency_base = latency_ns
    return True


@inline
def _count_latency(s: Any, row: Address, row_no: int, kind: int, latency_ns: Ns, bucket, scratch):
    if latency_ns < 0:
        note(s.problems, layout.NEGATIVE_LATENCY, s.file, row_no, row, -latency_ns)
    if kind == TRADE_EVENT:
        count_in_bin(s.bins + 2 * _BIN_BYTES, latency_ns, scratch)
        s.trade_min = min(s.trade_min, latency_ns)
        s.trade_max = max(s.trade_max, latency_ns)
    else:
        count_in_bin(s.bins, latency_ns, scratch)
        s.book_min = min(s.book_min, latency_ns)
        s.book_max = max(s.book_max, latency_ns)
    add_latency(bucket, latency_ns)


@inline
def _check_gaps(s: Any, row: Address, row_no: int, kind: int, local_ts: Ns):
    """Silence of the feed, and of the book alone."""
    is_gap = s.feed_last != 0 and local_ts - s.feed_last > s.gap_ns
    if is_gap:
        note(s.problems, layout.GAP, s.file, row_no, row, local_ts - s.feed_last)
        # The book could not come either.
        s.depth_last = 0
    s.feed_last = max(s.feed_last, local_ts)
    if kind == DEPTH_EVENT or kind == DEPTH_SNAPSHOT_EVENT or (ADD_ORDER_EVENT <= kind <= FILL_EVENT):
        if s.depth_last != 0 and local_ts - s.depth_last > s.gap_ns:
            note(s.problems, layout.DEPTH_GAP, s.file, row_no, row, local_ts - s.depth_last)
        s.depth_last = max(s.depth_last, local_ts)


@inline
def _check_sequence(s: Any, row: Address, row_no: int):
    number = load_i64(row + s.sequence_at)
    last = s.sequence_last
    if last != 0 and number > last + 1:
        note(s.problems, layout.SEQUENCE, s.file, row_no, row, number - last - 1)
    elif number < last:
        note(s.problems, layout.SEQUENCE_BACK, s.file, row_no, row, last - number)
    s.sequence_last = max(number, last)


@inline
def _arrived(s: Any, row: Address, row_no: int, kind: int, exch_ts: Ns, local_ts: Ns, scratch):
    """A row on the local side: how long it took, and since when nothing had come."""
    # What is in a snapshot or a clear may be older than the message.
    is_timed = kind != DEPTH_SNAPSHOT_EVENT and kind != DEPTH_CLEAR_EVENT
    latency_ns = local_ts - exch_ts
    if is_timed and _is_jump(s, row, row_no, latency_ns):
        return
    if local_ts == 0:
        return
    bucket = bucket_of(s.series, local_ts)
    b = bucket_at(bucket)
    b.rows += 1
    if kind == TRADE_EVENT:
        b.trades += 1
    if is_timed and kind < USER_DEFINED_EVENT:
        _count_latency(s, row, row_no, kind, latency_ns, bucket, scratch)
    _check_gaps(s, row, row_no, kind, local_ts)
    if s.sequence_at != 0 and kind == DEPTH_EVENT:
        _check_sequence(s, row, row_no)


@kernel("int64(int64, int64, int64)")
def check_rows(state: Address, rows: Address, count: int) -> int:
    """Look at each row of a block; `state` is a `rows_dtype` record. Returns the number of rows."""
    s = rows_at(state)
    scratch = stack_bytes(8)
    for number in range(count):
        row = rows + number * ROW_BYTES
        row_no = s.row + number
        ev, exch_ts, local_ts = ev_of(row), exch_ts_of(row), local_ts_of(row)
        kind = ev & KIND_MASK
        store_i64(s.kinds + 8 * kind, load_i64(s.kinds + 8 * kind) + 1)
        is_exch = ev & EXCH_EVENT != 0
        is_local = ev & LOCAL_EVENT != 0
        if not (is_exch or is_local):
            note(s.problems, layout.NO_FLAG, s.file, row_no, row, 0)
            continue
        _check_times(s, row, row_no, exch_ts, local_ts, is_exch, is_local, kind)
        if is_exch:
            s.exch_first = min(s.exch_first, exch_ts)
            s.exch_last = _check_clock(s, row, row_no, exch_ts, s.exch_last, layout.EXCH_ORDER)
            s.exch_rows += 1
        if is_local:
            s.local_first = min(s.local_first, local_ts)
            s.local_last = _check_clock(s, row, row_no, local_ts, s.local_last, layout.LOCAL_ORDER)
            s.local_rows += 1
        _check_flags(s, row, row_no, ev, kind)
        if is_priced(kind):
            _check_values(s, row, row_no, kind)
        if kind == DEPTH_SNAPSHOT_EVENT:
            s.snapshots += 1
        if is_local and is_time(local_ts) and is_time(exch_ts):
            _arrived(s, row, row_no, kind, exch_ts, local_ts, scratch)
    s.row += count
    return count
