"""Databento's DBN files: records to rows.

Records begin with their length (in words of 4 bytes), kind, publisher, instrument and the time of the event; the
prices are integers of 1e-9 and become the nearest double. Times are those of the matching engine (`ts_event`) and of
Databento's capture server (`ts_recv`).

====================  =============================================================================================
market by order       rows of single orders (kinds 10 to 13), trades (2) and clears (3); `ival` holds the flags
MBP-1, MBP-10, TBBO   trades, and depth rows of what changed in the levels: :mod:`sim.convert.mbp`
trades                trades
====================  =============================================================================================

Market by order, as Databento documents its actions:

- A cancellation may take a part of an order. An archive's cancel row takes the whole, so a part becomes a modify row
  with what is left. (HftBacktest 2.4.4 makes a cancel row of it, and the order is gone.)
- A modification of an order that is not known adds it.
- Records of a snapshot have the times at which their orders came, hours or days before. Their rows all have the
  time of the snapshot, `ts_recv`, on both clocks.
- Of venues that only tell the top of their book (flag F_TOB) an added order takes the place of its whole side.

numba compiles this.
"""

# pyright: basic

from pathlib import Path
from typing import Any, Final

import numpy as np

from hftd.errors import DataError
from hftd.jit import inline, kernel
from hftd.layout import offset_of
from hftd.native import load_i64, load_u8, load_u32, record_at, stack_bytes, store_i64, store_u8
from hftd.types import (
    ADD_ORDER_EVENT,
    BUY_EVENT,
    CANCEL_ORDER_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    FILL_EVENT,
    MODIFY_ORDER_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
)
from sim.convert.dbn import read_metadata
from sim.convert.mbp import KNOWN_MAX, SIDE_BYTES, UNDEFINED, change_levels, given_count, price_of
from sim.convert.message import add_row
from sim.convert.reading import Venue
from sim.convert.resting import (
    RESTING_BYTES,
    clear_resting,
    find_resting,
    prepare_resting,
    remove_resting,
    set_resting,
)
from sim.convert.scan import count_name, end_message, start_block
from sim.convert.state import (
    ACTION,
    DONE,
    EVENTS,
    EXCHANGES,
    LEVEL_ORDER,
    NO_CHANGE,
    NO_PRICE,
    OPENING,
    OTHER_EXCHANGE,
    OTHER_SYMBOL,
    RECORD,
    ROW_SIZE,
    ROWS_FULL,
    SIDE,
    SYMBOLS,
    TIME_UNIT,
    TORN_END,
    UNKNOWN,
    Scan,
    name_dtype,
    state_at,
)

KINDS: Final = {10: "add order", 11: "cancel order", 12: "modify order", 13: "fill"}

_MBO, _TRADES, _MBP_1, _MBP_10 = 160, 0, 1, 10
_RECORD_KINDS: Final = {
    18: "status",
    19: "definition",
    20: "imbalance",
    21: "error",
    22: "symbol mapping",
    23: "system",
    24: "statistics",
    32: "ohlcv-1s",
    33: "ohlcv-1m",
    34: "ohlcv-1h",
    35: "ohlcv-1d",
    36: "ohlcv-eod",
    177: "cmbp-1",
    192: "cbbo-1s",
    193: "cbbo-1m",
    194: "tcbbo",
    195: "bbo-1s",
    196: "bbo-1m",
}
_HEADER: Final = 16
_MBO_SIZE: Final = 56
_TRADE_SIZE: Final = 48
_LEVEL_SIZE: Final = 32

_F_TOB, _F_SNAPSHOT, _F_BAD_TS_RECV, _F_MAYBE_BAD_BOOK = 64, 32, 8, 4
_A, _B, _C, _F, _M, _N, _R, _T = (ord(letter) for letter in "ABCFMNRT")
_TIME_MIN: Final = 100_000_000_000_000_000
"""Nanoseconds: in 1973. What is less is in another unit."""

own_dtype = np.dtype(
    [
        ("instrument", "i8"),  # the last one, and the number of its name
        ("name", "i8"),
        ("publisher", "i8"),  # the number of its name; -1: the first that comes
        ("is_start", "i8"),  # no record of the file gave rows
        ("send_size", "i8"),
        ("drops_far", "i8"),  # levels behind those that a record has are deleted
        ("is_broken", "i8"),  # the rest of the file can't be read
        ("broken_count", "i8"),  # files of which that is so, the last of them, and where
        ("broken_file", "i8"),
        ("broken_line", "i8"),
        ("in_snapshot", "i8"),
        ("has_orders", "i8"),
        ("no_clear", "i8"),  # how often each was there
        ("bad_times", "i8"),
        ("bad_books", "i8"),
        ("resting", "i8", (RESTING_BYTES // 8,)),
        ("bids", "i8", (SIDE_BYTES // 8,)),
        ("asks", "i8", (SIDE_BYTES // 8,)),
    ],
    align=True,
)
"""What the reader keeps from record to record; memory that no order needs is never touched."""
own_at = record_at(own_dtype)
_RESTING_AT: Final = offset_of(own_dtype, "resting")
_BIDS_AT: Final = offset_of(own_dtype, "bids")
_ASKS_AT: Final = offset_of(own_dtype, "asks")
_TOP_BID_ID, _TOP_ASK_ID = 1, 2
_LISTED: Final = 12
_NAME_BYTES: Final = name_dtype.itemsize
_ROWS_OF_ONE: Final = 2 * 10 + 2 + 2 * (KNOWN_MAX // 4)
"""Of one record, beside the deletions of all known levels."""


@inline
def _name_number(s, category, number):
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
def _is_ours(s, own, p):
    """Count the record's instrument and publisher; 0, or why it is not to be converted."""
    instrument = load_u32(p + 4)
    publisher = load_u8(p + 2) + (load_u8(p + 3) << 8)
    if instrument != own.instrument or own.name < 0:
        own.instrument = instrument
        own.name = _name_number(s, SYMBOLS, instrument)
    else:
        at = s.names + own.name * _NAME_BYTES + 16
        store_i64(at, load_i64(at) + 1)
    symbol = own.name
    if s.chosen < 0:
        s.chosen = symbol
    if symbol != s.chosen:
        return OTHER_SYMBOL
    number = _name_number(s, EXCHANGES, publisher)
    if own.publisher < 0:
        own.publisher = number
    return 0 if number == own.publisher else OTHER_EXCHANGE


@inline
def _side_flag(side):
    """The flag of a side, 0 for none; -1 where it is no side."""
    if side == _B:
        return BUY_EVENT
    if side == _A:
        return SELL_EVENT
    return 0 if side == _N else -1


@inline
def _times(own, p, ts_recv, flags):
    """The times of a record's rows, and whether they are any."""
    exch_ts = load_i64(p + 8)
    local_ts = load_i64(ts_recv)
    if flags & _F_SNAPSHOT:
        exch_ts = local_ts
    elif flags & _F_BAD_TS_RECV:
        own.bad_times += 1
    if flags & _F_MAYBE_BAD_BOOK:
        own.bad_books += 1
    return exch_ts, local_ts, exch_ts >= _TIME_MIN and local_ts >= _TIME_MIN


@inline
def _order_row(s, ev, exch_ts, local_ts, px, qty, order_id, flags):
    at = s.rows + s.row_count * ROW_SIZE
    add_row(s, ev, exch_ts, local_ts, price_of(px), float(qty))
    store_i64(at + 40, order_id)
    store_i64(at + 48, flags)


@inline
def _clear_orders(s, side, exch_ts, local_ts, flags):
    """Append a clear; what was known of the orders of one side does no harm."""
    add_row(s, DEPTH_CLEAR_EVENT | side, exch_ts, local_ts, 0.0, 0.0)
    store_i64(s.rows + (s.row_count - 1) * ROW_SIZE + 48, flags)
    if side == 0:
        clear_resting(s.own + _RESTING_AT)


@inline
def _cancelled(s, order_id, qty):
    """Take a quantity from an order; returns its price and what is left, 0 if it is gone or was not known."""
    at = find_resting(s.own + _RESTING_AT, order_id)
    if at == 0:
        return 0, 0
    px, left = load_i64(at), load_i64(at + 8) - qty
    if left <= 0:
        remove_resting(s.own + _RESTING_AT, order_id)
        return px, 0
    store_i64(at + 8, left)
    return px, left


@inline
def _kind_of(action):
    """The kind of row of an action; 0 where it is none."""
    if action == _A:
        return ADD_ORDER_EVENT
    if action == _C:
        return CANCEL_ORDER_EVENT
    if action == _M:
        return MODIFY_ORDER_EVENT
    if action == _F:
        return FILL_EVENT
    return TRADE_EVENT if action == _T else 0


@inline
def _mbo(s, own, p):
    """A record of market by order."""
    flags, action, side = load_u8(p + 36), load_u8(p + 38), _side_flag(load_u8(p + 39))
    order_id, px, qty = load_i64(p + 16), load_i64(p + 24), load_u32(p + 32)
    if side < 0:
        return SIDE
    exch_ts, local_ts, has_times = _times(own, p, p + 40, flags)
    if not has_times:
        return TIME_UNIT
    if action == _N:
        return NO_CHANGE
    if action == _R:
        _clear_orders(s, side, exch_ts, local_ts, flags)
        own.in_snapshot = 1
        s.used[DEPTH_CLEAR_EVENT] += 1
        return 0
    if flags & _F_SNAPSHOT == 0:
        own.in_snapshot = 0
    kind = _kind_of(action)
    if kind == 0:
        return ACTION
    if action == _A and flags & _F_TOB and side:
        # The venue tells of the top only: the order is its whole side, and without a price the side is empty.
        _clear_orders(s, side, exch_ts, local_ts, flags)
        if px == UNDEFINED:
            s.used[kind] += 1
            return 0
        if order_id == 0:
            order_id = _TOP_BID_ID if side == BUY_EVENT else _TOP_ASK_ID
    if px == UNDEFINED or px < -UNDEFINED:
        if kind != CANCEL_ORDER_EVENT:
            return NO_PRICE
        px = 0
    if flags & _F_SNAPSHOT and not own.in_snapshot:
        _snapshot_begins(s, own, exch_ts, local_ts, flags)
    s.used[kind] += 1
    own.has_orders = 1
    if kind == CANCEL_ORDER_EVENT:
        px_known, left = _cancelled(s, order_id, qty)
        if left:
            kind, px, qty = MODIFY_ORDER_EVENT, px_known, left
    elif kind in (ADD_ORDER_EVENT, MODIFY_ORDER_EVENT):
        if kind == MODIFY_ORDER_EVENT and find_resting(s.own + _RESTING_AT, order_id) == 0:
            kind = ADD_ORDER_EVENT
        set_resting(s.own + _RESTING_AT, order_id, px, qty)
    _order_row(s, kind | side, exch_ts, local_ts, px, qty, order_id, flags)
    return 0


@inline
def _snapshot_begins(s, own, exch_ts, local_ts, flags):
    """A snapshot without a clear before it: what was there before is gone all the same."""
    own.in_snapshot = 1
    if own.has_orders:
        _clear_orders(s, 0, exch_ts, local_ts, flags)
    else:
        own.no_clear += 1


@inline
def _trade(s, own, p):
    flags, action, side = load_u8(p + 30), load_u8(p + 28), _side_flag(load_u8(p + 29))
    px = load_i64(p + 16)
    if side < 0:
        return SIDE
    exch_ts, local_ts, has_times = _times(own, p, p + 32, flags)
    if not has_times:
        return TIME_UNIT
    if action != _T:
        return ACTION
    if px == UNDEFINED or px == -UNDEFINED - 1:
        return NO_PRICE
    _order_row(s, TRADE_EVENT | side, exch_ts, local_ts, px, load_u32(p + 24), 0, flags)
    s.used[TRADE_EVENT] += 1
    return 0


@inline
def _levels(s, own, p, limit):
    """A record of a book's first levels."""
    flags, action, side = load_u8(p + 30), load_u8(p + 28), _side_flag(load_u8(p + 29))
    if side < 0:
        return SIDE
    if action not in (_A, _C, _M, _R, _T, _F):
        return NO_CHANGE if action == _N else ACTION
    levels = p + _TRADE_SIZE
    bids_given, asks_given = given_count(levels, limit, True), given_count(levels, limit, False)
    if bids_given < 0 or asks_given < 0:
        return LEVEL_ORDER
    exch_ts, local_ts, has_times = _times(own, p, p + 32, flags)
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
        store_i64(s.own + _BIDS_AT, 0)
        store_i64(s.own + _ASKS_AT, 0)
        kind = DEPTH_SNAPSHOT_EVENT
    # Step by step in a loop, so that the code of a step is there once.
    for step in range(4):
        is_bid = step % 2 == 0
        known = s.own + (_BIDS_AT if is_bid else _ASKS_AT)
        given = bids_given if is_bid else asks_given
        # As if the record could have more: then it tells that none stands behind its last.
        most = limit + own.drops_far
        change_levels(s, known, levels, given, most, is_bid, 0 if step < 2 else kind, exch_ts, local_ts)
    s.used[kind] += 1
    return 0


@inline
def _rows_max(s):
    """The most rows that one record gives: all known levels may go."""
    return load_i64(s.own + _BIDS_AT) + load_i64(s.own + _ASKS_AT) + _ROWS_OF_ONE


@inline
def _record(s, own, p, size):
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
        reason = _mbo(s, own, p)
    elif kind == _TRADES:
        reason = _trade(s, own, p)
    else:
        reason = _levels(s, own, p, 1 if kind == _MBP_1 else 10)
    if reason == 0:
        own.is_start = 0
    return reason


@kernel("int64(int64)")
def read_records(state):
    """Read the records of the block that the state at this address describes."""
    s = state_at(state)
    own = own_at(s.own)
    start_block(s)
    prepare_resting(s.own + _RESTING_AT)
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


class _Names:
    """What the user asked for, the id that it is, and the files by their numbers."""

    def __init__(self, asked: str) -> None:
        self.asked = asked
        self.chosen: int | None = None
        self.paths: dict[int, Path] = {}


def set_up(scan: Scan, options: Any) -> None:
    """Take the symbol: a raw symbol or an instrument id, either of them behind `<publisher id>:` or not."""
    own = scan.give_own(own_dtype)
    own["name"] = own["publisher"] = -1
    own["drops_far"] = options.keep_far_levels is False
    asked = options.symbol or ""
    publisher, colon, symbol = asked.partition(":")
    scan.kept = _Names(asked)
    scan.spelling = {(EVENTS, str(kind)): name for kind, name in _RECORD_KINDS.items()}
    scan.record["name_count"], scan.record["chosen"], scan.asked = 0, -1, None
    if colon and publisher.isdigit():
        scan.kept.asked = symbol
        own["publisher"] = scan.add_name(EXCHANGES, publisher)


def open_input(scan: Scan, text: bytes, at_end: bool, path: Path) -> int:
    """Read the metadata, and find the id of the symbol that was asked for."""
    found = read_metadata(text, at_end, path)
    if found is None:
        return -1
    metadata, size = found
    names: _Names = scan.kept
    names.paths[int(scan.record["file"])] = path
    for symbol, ids in metadata.ids.items():
        for number in ids:
            spelt = symbol if len(ids) == 1 else f"{symbol}#{number}"
            scan.spelling.setdefault((SYMBOLS, str(number)), spelt)
    if names.asked:
        _choose(scan, names, metadata.ids, path)
    scan.own["is_start"] = 1
    scan.own["is_broken"] = 0
    scan.own["in_snapshot"] = 0
    scan.own["send_size"] = 8 if metadata.has_send_ts else 0
    scan.record["table"] = 0
    return size


def _choose(scan: Scan, names: _Names, ids: dict[str, list[int]], path: Path) -> None:
    asked = names.asked
    found = ids.get(asked, [int(asked)] if asked.isascii() and asked.isdigit() else [])
    if not found:
        listed = ", ".join(list(ids)[:_LISTED]) + (" ..." if len(ids) > _LISTED else "")
        raise DataError(
            f"the file has no symbol {asked}",
            where=str(path),
            hint=f"it has {listed}" if ids else "it names none: choose an instrument by its id",
        )
    if len(found) > 1 or (names.chosen is not None and names.chosen != found[0]):
        several = {*found, *(() if names.chosen is None else (names.chosen,))}
        raise DataError(
            f"{asked} is not one instrument: its ids are {', '.join(map(str, sorted(several)))}",
            where=str(path),
            hint="an archive holds one: choose it by its id",
        )
    if names.chosen is None:
        names.chosen = found[0]
        scan.record["chosen"] = scan.add_name(SYMBOLS, str(found[0]))
        scan.asked = scan.spelling.get((SYMBOLS, str(found[0])), str(found[0]))


def check(scan: Scan, options: Any, where: str) -> list[str]:
    """Refuse records of several publishers of which none was chosen; say what flags say.

    Raises:
        DataError: Says the publishers, and how many records there are of each.
    """
    publishers = scan.counts(EXCHANGES)
    listed = ", ".join(f"{name} ({count:,} records)" for name, count in publishers.items())
    asked, colon, _ = (options.symbol or "").partition(":")
    is_chosen = bool(colon) and asked.isdigit()
    if len(publishers) > 1 and not is_chosen:
        raise DataError(
            f"the records are of several publishers: {listed}",
            where=where,
            hint=f"each has a book of its own: choose one, such as {next(iter(publishers))}:{scan.symbol}",
        )
    if is_chosen and asked not in publishers:
        raise DataError(f"there are no records of the publisher {asked}", where=where, hint=listed)
    own = scan.own
    if count := int(own["broken_count"]):
        others = "" if count == 1 else f"; so it is in {count} files"
        scan.damage.append(
            f"{scan.kept.paths[int(own['broken_file'])]}: record {own['broken_line']:,} has no valid length; "
            f"what stands before it was kept, the rest is lost{others}"
        )
    notes: list[str] = []
    if own["no_clear"]:
        notes.append(
            "the snapshot begins without a clear: in a run of several days, orders of the day before stay"
        )
    if own["bad_times"]:
        notes.append(f"{own['bad_times']:,} records are flagged: their local time is not to be relied on")
    if own["bad_books"]:
        notes.append(f"{own['bad_books']:,} records are flagged: the book may be wrong there")
    return notes


VENUE: Final = Venue(
    "databento",
    read_records,
    KINDS,
    open_input=open_input,
    set_up=set_up,
    check=check,
    keeps_case=True,
    is_binary=True,
)
