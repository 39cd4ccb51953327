"""The passes that look for equals: trades that are there twice, and the two halves of rows that are split."""

# pyright: basic

from typing import Any

from hftd.compiled.jit import inline, kernel
from hftd.compiled.native import high_bits, load_i64, record_at, store_i64, wrapping_product
from hftd.compiled.order_index import index_find, index_insert, index_remove
from hftd.compiled.row_access import copy_row, ev_of, exch_ts_of, local_ts_of, order_id_of
from hftd.rows import EXCH_TS, IVAL, ORDER_ID, PX, QTY, ROW_BYTES, Address
from hftd.types import (
    BUY_EVENT,
    EXCH_EVENT,
    KIND_MASK,
    LOCAL_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    USER_DEFINED_EVENT,
)
from sim.checks import layout
from sim.checks.found import note
from sim.checks.layout import (
    DOUBLES_MAX,
    HALVES_MAX,
    SPAN_GROUPS,
    TRADES_BITS,
    halves_dtype,
    place_dtype,
    trade_dtype,
    trades_dtype,
)

trades_at = record_at(trades_dtype)
halves_at = record_at(halves_dtype)

LATE_NS = 1_000_000_000
"""An equal trade that arrives so much later is the same one again, whatever came in between."""
_TRADE_BYTES = trade_dtype.itemsize
_PLACE_BYTES = place_dtype.itemsize
_BOTH = EXCH_EVENT | LOCAL_EVENT
_SIDES = BUY_EVENT | SELL_EVENT
# Odd constants of splitmix64 (Steele, Lea, Flood 2014).
_MIX_1, _MIX_2 = -4658895280553007687, -7723592293110705685


@inline
def mixed(print_, value):
    """Mix a value into a print: a hash in which each bit of the value counts."""
    x = print_ ^ value
    x = wrapping_product(x ^ high_bits(x, 34), _MIX_1)
    x = wrapping_product(x ^ high_bits(x, 37), _MIX_2)
    return x ^ high_bits(x, 33)


@inline
def trade_print(row: Address):
    """What makes a trade the same one, whenever it arrives."""
    x = mixed(1, ev_of(row) & (_SIDES | KIND_MASK))
    for offset in (EXCH_TS, PX, QTY, ORDER_ID, IVAL):
        x = mixed(x, load_i64(row + offset))
    return x


@inline
def row_print(row: Address):
    """All of a row but for the flags of the two clocks."""
    x = mixed(2, ev_of(row) & ~_BOTH)
    for offset in range(EXCH_TS, ROW_BYTES, 8):
        x = mixed(x, load_i64(row + offset))
    return x


@inline
def _keep(target: Address, count: int, print_):
    if count < DOUBLES_MAX:
        store_i64(target + 8 * count, print_)


@inline
def _end_group(s: Any):
    """The trades of one exchange time are all there: is each there an even number of times?"""
    # Equal prints take each other away, whatever their order.
    if s.group_trades and s.group_print == 0:
        s.even_groups += 1
        s.even_trades += s.group_trades
    elif s.group_trades:
        if s.even_groups >= SPAN_GROUPS:
            s.span_trades += s.even_trades
        s.odd_groups += 1
        s.even_groups = 0
        s.even_trades = 0
    s.group_trades = 0
    s.group_print = 0


@inline
def _count_group(s: Any, row: Address, row_no: int):
    exch_ts = exch_ts_of(row)
    if exch_ts != s.group_ts:
        _end_group(s)
        s.group_ts = exch_ts
        if s.even_groups == SPAN_GROUPS:
            note(s.problems, layout.SPAN_DOUBLED, s.file, row_no, row, 0)
    s.group_print ^= trade_print(row)
    s.group_trades += 1


@kernel("int64(int64)")
def end_doubles(state: Address) -> int:
    """All rows were seen; returns the trades of spans in which each is there an even number of times."""
    s = trades_at(state)
    _end_group(s)
    # A short archive may be doubled as a whole, too.
    is_span = s.even_groups >= SPAN_GROUPS or (s.even_groups >= 3 and s.odd_groups == 0)
    if is_span:
        s.span_trades += s.even_trades
    return s.span_trades


@kernel("int64(int64, int64, int64)")
def find_doubles(state: Address, rows: Address, count: int) -> int:
    """Look for trades that are there twice; `state` is a `trades_dtype` record. Returns the number of rows."""
    s = trades_at(state)
    for number in range(count):
        row = rows + number * ROW_BYTES
        ev = ev_of(row)
        if ev & KIND_MASK == TRADE_EVENT and ev & EXCH_EVENT:
            _count_group(s, row, s.row + number)
        if ev & KIND_MASK != TRADE_EVENT or ev & LOCAL_EVENT == 0:
            continue
        exch_ts, local_ts = exch_ts_of(row), local_ts_of(row)
        has_id = order_id_of(row) != 0 or load_i64(row + IVAL) != 0
        print_ = trade_print(row)
        entry = s.table + high_bits(print_, TRADES_BITS) * _TRADE_BYTES
        s.trades += 1
        if load_i64(entry) == print_:
            earlier_ts = load_i64(entry + 8)
            # Where rows are out of order, what stands behind is not what came later.
            is_late = local_ts - earlier_ts > LATE_NS or (exch_ts < s.exch_max and local_ts >= s.local_max)
            if earlier_ts == local_ts and not has_id:
                _keep(s.doubled, s.doubles, mixed(print_, local_ts))
                s.doubles += 1
                note(s.problems, layout.TRADE_DOUBLED, s.file, s.row + number, row, 0)
            elif has_id or is_late:
                # With equal local times the one before has the same print: which of them goes is all the same.
                target, size = (s.same, s.sames) if earlier_ts == local_ts else (s.again, s.agains)
                _keep(target, size, mixed(print_, local_ts))
                if earlier_ts == local_ts:
                    s.sames += 1
                else:
                    s.agains += 1
                note(s.problems, layout.TRADE_AGAIN, s.file, s.row + number, row, local_ts - earlier_ts)
                continue
        store_i64(entry, print_)
        store_i64(entry + 8, local_ts)
        s.exch_max = max(s.exch_max, exch_ts)
        s.local_max = max(s.local_max, local_ts)
    s.row += count
    return count


@kernel("int64(int64, int64, int64)")
def print_rows(rows: Address, count: int, target: Address) -> int:
    """Write the print of each trade with its local time to `target` (int64), 0 for all other rows."""
    for number in range(count):
        row = rows + number * ROW_BYTES
        is_trade = ev_of(row) & KIND_MASK == TRADE_EVENT
        store_i64(target + 8 * number, mixed(trade_print(row), local_ts_of(row)) if is_trade else 0)
    return count


@inline
def _wait(s: Any, row: Address, row_no: int, print_):
    """Keep a half until the other one comes."""
    if s.frees > 0:
        s.frees -= 1
        slot = load_i64(s.free + 8 * s.frees)
    elif s.used < HALVES_MAX:
        slot = s.used
        s.used += 1
    else:
        s.is_full = 1
        return
    place = s.pool + slot * _PLACE_BYTES
    store_i64(place, s.file)
    store_i64(place + 8, row_no)
    store_i64(place + 16, 1)
    copy_row(place + 24, row)
    index_insert(s.index, print_, slot)
    s.waiting += 1


@kernel("int64(int64, int64, int64)")
def pair_halves(state: Address, rows: Address, count: int) -> int:
    """Pair the rows of one clock with those of the other; `state` is a `halves_dtype` record."""
    s = halves_at(state)
    for number in range(count):
        row = rows + number * ROW_BYTES
        flags = ev_of(row) & _BOTH
        if flags == _BOTH or flags == 0 or ev_of(row) & KIND_MASK >= USER_DEFINED_EVENT or s.is_full != 0:
            continue
        print_ = row_print(row)
        slot = index_find(s.index, print_)
        if slot < 0:
            _wait(s, row, s.row + number, print_)
            continue
        place = s.pool + slot * _PLACE_BYTES
        # Equal rows are told by their number alone.
        if load_i64(place + 24) & _BOTH == flags:
            store_i64(place + 16, load_i64(place + 16) + 1)
            s.waiting += 1
            continue
        store_i64(place + 16, load_i64(place + 16) - 1)
        s.waiting -= 1
        s.pairs += 1
        kind = ev_of(row) & KIND_MASK
        store_i64(s.kinds + 8 * kind, load_i64(s.kinds + 8 * kind) + 1)
        if load_i64(place + 16) == 0:
            index_remove(s.index, print_)
            store_i64(s.free + 8 * s.frees, slot)
            s.frees += 1
    s.row += count
    return count


@kernel("int64(int64, int64, int64)")
def print_halves(rows: Address, count: int, target: Address) -> int:
    """Write the print of each row of one clock, with which one that is, to `target` (int64), 0 for all other rows."""
    for number in range(count):
        row = rows + number * ROW_BYTES
        flags = ev_of(row) & _BOTH
        is_half = flags != _BOTH and flags != 0 and ev_of(row) & KIND_MASK < USER_DEFINED_EVENT
        store_i64(target + 8 * number, mixed(row_print(row), flags) if is_half else 0)
    return count
