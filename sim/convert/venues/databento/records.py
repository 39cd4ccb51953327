"""The records of Databento's files, one after the other; numba compiles this."""

# pyright: basic

from typing import Any, Final

from hftd.compiled.jit import inline, kernel
from hftd.compiled.native import load_i64, load_u8, load_u32, stack_bytes, store_i64, store_u8
from hftd.rows import Address
from hftd.types import DEPTH_CLEAR_EVENT, DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT, TRADE_EVENT
from hftd.venues.message import add_row, later_of
from sim.convert.reader.messages import count_name, end_message, start_block
from sim.convert.reader.state import (
    ACTION,
    DONE,
    EVENTS,
    EXCHANGES,
    LEVEL_ORDER,
    NAME_BYTES,
    NO_CHANGE,
    NO_PRICE,
    OPENING,
    OTHER_EXCHANGE,
    OTHER_SYMBOL,
    RECORD,
    ROWS_FULL,
    SIDE,
    SYMBOLS,
    TIME_UNIT,
    TORN_END,
    UNKNOWN,
    state_at,
)
from sim.convert.venues.databento.mbp import KNOWN_MAX, UNDEFINED, change_levels, given_count
from sim.convert.venues.databento.orders import order_record
from sim.convert.venues.databento.own_rows import (
    ASKS_AT,
    BIDS_AT,
    RESTING_AT,
    own_at,
    put_row,
    put_trade_id,
    side_flag,
    times_of,
)
from sim.convert.venues.databento.resting import prepare_resting

_MBO, _TRADES, _MBP_1, _MBP_10 = 160, 0, 1, 10
_HEADER: Final = 16
_MBO_SIZE: Final = 56
_TRADE_SIZE: Final = 48
_LEVEL_SIZE: Final = 32
_A, _C, _F, _M, _N, _R, _T = (ord(letter) for letter in "ACFMNRT")
_ROWS_OF_ONE: Final = 2 * 10 + 2 + 2 * (KNOWN_MAX // 4)
"""Of one record, beside the deletions of all known levels."""


@inline
def _name_number(s: Any, category: int, number: int):
    """Count a number as a name, written in decimal digits."""
    text = stack_bytes(24)
    p = text + 20
    while True:
        p -= 1
        store_u8(p, 48 + number % 10)
        number //= 10
        if number == 0:
            break
    return count_name(s, category, p, text + 20)


@inline
def _is_ours(s: Any, own: Any, p: Address):
    """Count the record's instrument and publisher; 0, or why it is not to be converted."""
    instrument = load_u32(p + 4)
    publisher = load_u8(p + 2) + (load_u8(p + 3) << 8)
    if instrument != own.instrument or own.name < 0:
        own.instrument = instrument
        own.name = _name_number(s, SYMBOLS, instrument)
    else:
        at = s.names + own.name * NAME_BYTES + 16
        store_i64(at, load_i64(at) + 1)
    symbol = own.name
    if s.chosen < 0 and symbol >= 0:
        s.chosen = symbol
    if symbol < 0 or symbol != s.chosen:
        return OTHER_SYMBOL
    number = _name_number(s, EXCHANGES, publisher)
    if own.publisher < 0:
        own.publisher = number
    return 0 if number >= 0 and number == own.publisher else OTHER_EXCHANGE


@inline
def _trade(s: Any, own: Any, p: Address):
    flags, action, side = load_u8(p + 30), load_u8(p + 28), side_flag(load_u8(p + 29))
    px = load_i64(p + 16)
    if side < 0:
        return SIDE
    exch_ts, local_ts, has_times = times_of(own, p, p + 32, flags)
    if not has_times:
        return TIME_UNIT
    if action != _T:
        return ACTION
    if px == UNDEFINED or px == -UNDEFINED - 1:
        return NO_PRICE
    put_row(s, TRADE_EVENT | side, exch_ts, local_ts, px, load_u32(p + 24), 0, flags)
    put_trade_id(s, own)
    s.used[TRADE_EVENT] += 1
    return 0


@inline
def _levels(s: Any, own: Any, p: Address, limit: int):
    """A record of a book's first levels."""
    flags, action, side = load_u8(p + 30), load_u8(p + 28), side_flag(load_u8(p + 29))
    if side < 0:
        return SIDE
    if action not in (_A, _C, _M, _R, _T, _F):
        return NO_CHANGE if action == _N else ACTION
    levels = p + _TRADE_SIZE
    bids_given, asks_given = given_count(levels, limit, True), given_count(levels, limit, False)
    if bids_given < 0 or asks_given < 0:
        return LEVEL_ORDER
    exch_ts, local_ts, has_times = times_of(own, p, p + 32, flags)
    if not has_times:
        return TIME_UNIT
    if action == _T:
        reason = _trade(s, own, p)
        if reason:
            return reason
    kind = DEPTH_EVENT
    if own.is_start:
        # A day may follow another in a run: what the last one left is no longer true.
        add_row(s, DEPTH_CLEAR_EVENT, exch_ts, local_ts, 0.0, 0.0)
        store_i64(s.own + BIDS_AT, 0)
        store_i64(s.own + ASKS_AT, 0)
        kind = DEPTH_SNAPSHOT_EVENT
    # Step by step in a loop, so that the code of a step is there once.
    for step in range(4):
        is_bid = step % 2 == 0
        known = s.own + (BIDS_AT if is_bid else ASKS_AT)
        given = bids_given if is_bid else asks_given
        # As if the record could have more: then it tells that none stands behind its last.
        most = limit + own.drops_far
        change_levels(s, known, levels, given, most, is_bid, 0 if step < 2 else kind, exch_ts, local_ts)
    own.has_levels = 1
    s.book_ts = later_of(s.book_ts, local_ts)
    s.used[kind] += 1
    return 0


@inline
def _rows_max(s: Any):
    """The most rows that one record gives: all known levels may go."""
    return load_i64(s.own + BIDS_AT) + load_i64(s.own + ASKS_AT) + _ROWS_OF_ONE


@inline
def _record(s: Any, own: Any, p: Address, size: int):
    """Append the rows of a record; 0, or why it gives none."""
    kind = load_u8(p + 1)
    needed = -1
    if kind == _MBO:
        needed = _MBO_SIZE
    elif kind == _TRADES:
        needed = _TRADE_SIZE
    elif kind == _MBP_1:
        needed = _TRADE_SIZE + _LEVEL_SIZE
    elif kind == _MBP_10:
        needed = _TRADE_SIZE + 10 * _LEVEL_SIZE
    if needed < 0:
        _name_number(s, EVENTS, kind)
        return UNKNOWN
    if size != needed + own.send_size:
        return RECORD
    reason = _is_ours(s, own, p)
    if reason:
        return reason
    if kind == _MBO:
        reason = order_record(s, own, p)
    elif kind == _TRADES:
        reason = _trade(s, own, p)
    else:
        reason = _levels(s, own, p, 1 if kind == _MBP_1 else 10)
    if reason == 0:
        own.is_start = 0
    return reason


@kernel("int64(int64)")
def read_records(state: Address) -> int:
    """Read the records of the block that the state at this address describes."""
    s = state_at(state)
    own = own_at(s.own)
    start_block(s)
    prepare_resting(s.own + RESTING_AT)
    while s.consumed < s.size:
        if s.table < 0:
            return OPENING
        if own.is_broken:
            s.consumed = s.size
            return DONE
        p = s.text + s.consumed
        left = s.size - s.consumed
        size = load_u8(p) * 4
        s.row_mark = s.row_count
        if size < _HEADER:
            # Where the next one begins can't be known.
            s.line += 1
            s.is_cut = 0
            own.is_broken = 1
            own.broken_count += 1
            own.broken_file = s.file
            own.broken_line = s.line
            end_message(s, RECORD)
            continue
        if size > left:
            if s.at_end:
                s.line += 1
                s.is_cut = 1
                s.consumed = s.size
                end_message(s, TORN_END)
            return DONE
        if s.row_capacity - s.row_count < _rows_max(s):
            return ROWS_FULL
        s.line += 1
        s.is_cut = 0
        s.consumed += size
        end_message(s, _record(s, own, p, size))
    return DONE
