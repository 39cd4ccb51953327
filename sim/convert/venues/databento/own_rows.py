"""What the records of Databento's schemas have in common: sides, times, flags; and what their reader keeps.

numba compiles this.
"""

# pyright: basic

from typing import Any, Final

import numpy as np

from hftd.compiled.jit import inline
from hftd.compiled.json_fields import mixed_id
from hftd.compiled.layout import offset_of
from hftd.compiled.native import load_i64, record_at, store_i64
from hftd.compiled.row_access import exch_ts_of, local_ts_of
from hftd.rows import EV, IVAL, LOCAL_TS, ORDER_ID, PX, QTY, ROW_BYTES, Address, Ns
from hftd.types import BUY_EVENT, SELL_EVENT
from hftd.venues.message import add_row, set_trade_id
from sim.convert.venues.databento.mbp import SIDE_BYTES, price_of
from sim.convert.venues.databento.resting import RESTING_BYTES

F_TOB, F_SNAPSHOT, _F_BAD_TS_RECV, _F_MAYBE_BAD_BOOK = 64, 32, 8, 4
"""Flags: the top of a book that has no more; a snapshot; a doubtful local time; a doubtful book."""
_ASK, _BID, _NONE = (ord(letter) for letter in "ABN")
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
        ("trade_exch_ts", "i8"),  # of the last trade, and which of those of equal times it is
        ("trade_local_ts", "i8"),
        ("trade_number", "i8"),
        ("has_levels", "i8"),
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
RESTING_AT: Final = offset_of(own_dtype, "resting")
BIDS_AT: Final = offset_of(own_dtype, "bids")
ASKS_AT: Final = offset_of(own_dtype, "asks")


@inline
def side_flag(side: int):
    """The flag of a side, 0 for none; -1 where it is no side."""
    if side == _BID:
        return BUY_EVENT
    if side == _ASK:
        return SELL_EVENT
    return 0 if side == _NONE else -1


@inline
def times_of(own: Any, p: Address, ts_recv, flags: int):
    """The times of a record's rows, and whether they are any."""
    exch_ts = load_i64(p + 8)
    local_ts = load_i64(ts_recv)
    if flags & F_SNAPSHOT:
        exch_ts = local_ts
    elif flags & _F_BAD_TS_RECV:
        own.bad_times += 1
    if flags & _F_MAYBE_BAD_BOOK:
        own.bad_books += 1
    return exch_ts, local_ts, exch_ts >= _TIME_MIN and local_ts >= _TIME_MIN


@inline
def put_trade_id(s: Any, own: Any):
    """Give the last row, a trade's, an id: the same in all schemas that have trades.

    A message may have several trades that are equal, so it counts which of those of equal times it is.
    """
    row = s.rows + (s.row_count - 1) * ROW_BYTES
    exch_ts, local_ts = exch_ts_of(row), local_ts_of(row)
    is_next = exch_ts == own.trade_exch_ts and local_ts == own.trade_local_ts
    own.trade_number = own.trade_number + 1 if is_next else 0
    own.trade_exch_ts, own.trade_local_ts = exch_ts, local_ts
    trade_id = mixed_id(exch_ts, own.trade_number)
    for offset in (EV, LOCAL_TS, PX, QTY):
        trade_id = mixed_id(trade_id, load_i64(row + offset))
    set_trade_id(s, trade_id)


@inline
def put_row(s: Any, ev: int, exch_ts: Ns, local_ts: Ns, px: float, qty: float, order_id: int, flags: int):
    """Append a row; its price is given in units of 1e-9, and the flags go to `ival`."""
    at = s.rows + s.row_count * ROW_BYTES
    add_row(s, ev, exch_ts, local_ts, price_of(px), float(qty))
    store_i64(at + ORDER_ID, order_id)
    store_i64(at + IVAL, flags)
