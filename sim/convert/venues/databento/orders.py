"""Databento's market by order: what records do to single orders, and the rows that say so; numba compiles this."""

# pyright: basic

from typing import Any

from hftd.compiled.jit import inline
from hftd.compiled.native import load_i64, load_u8, load_u32, store_i64
from hftd.rows import IVAL, ROW_BYTES, Address, Ns
from hftd.types import (
    ADD_ORDER_EVENT,
    BUY_EVENT,
    CANCEL_ORDER_EVENT,
    DEPTH_CLEAR_EVENT,
    FILL_EVENT,
    MODIFY_ORDER_EVENT,
    TRADE_EVENT,
)
from hftd.venues.message import add_row, later_of
from sim.convert.reader.state import ACTION, NO_CHANGE, NO_PRICE, SIDE, TIME_UNIT
from sim.convert.venues.databento.mbp import UNDEFINED
from sim.convert.venues.databento.own_rows import (
    F_SNAPSHOT,
    F_TOB,
    RESTING_AT,
    put_row,
    put_trade_id,
    side_flag,
    times_of,
)
from sim.convert.venues.databento.resting import clear_resting, find_resting, remove_resting, set_resting

_A, _C, _F, _M, _N, _R, _T = (ord(letter) for letter in "ACFMNRT")
_TOP_BID_ID, _TOP_ASK_ID = 1, 2
"""Ids of orders that are the top of a book and have none."""


@inline
def _clear_orders(s: Any, side: int, exch_ts: Ns, local_ts: Ns, flags: int):
    """Append a clear; what was known of the orders of one side does no harm."""
    add_row(s, DEPTH_CLEAR_EVENT | side, exch_ts, local_ts, 0.0, 0.0)
    store_i64(s.rows + (s.row_count - 1) * ROW_BYTES + IVAL, flags)
    if side == 0:
        clear_resting(s.own + RESTING_AT)


@inline
def _cancelled(s: Any, order_id: int, qty: float):
    """Take a quantity from an order; returns its price and what is left, 0 if it is gone or was not known."""
    at = find_resting(s.own + RESTING_AT, order_id)
    if at == 0:
        return 0, 0
    px, left = load_i64(at), load_i64(at + 8) - qty
    if left <= 0:
        remove_resting(s.own + RESTING_AT, order_id)
        return px, 0
    store_i64(at + 8, left)
    return px, left


@inline
def _kind_of(action: int):
    """The kind of row of an action; 0 where it is unknown."""
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
def order_record(s: Any, own: Any, p: Address):
    """Append the rows of a record of market by order; 0, or why it gives none."""
    flags, action, side = load_u8(p + 36), load_u8(p + 38), side_flag(load_u8(p + 39))
    order_id, px, qty = load_i64(p + 16), load_i64(p + 24), load_u32(p + 32)
    if side < 0:
        return SIDE
    exch_ts, local_ts, has_times = times_of(own, p, p + 40, flags)
    if not has_times:
        return TIME_UNIT
    if action == _N:
        return NO_CHANGE
    if action == _R:
        _clear_orders(s, side, exch_ts, local_ts, flags)
        own.in_snapshot = 1
        s.used[DEPTH_CLEAR_EVENT] += 1
        return 0
    if flags & F_SNAPSHOT == 0:
        own.in_snapshot = 0
    kind = _kind_of(action)
    if kind == 0:
        return ACTION
    if action == _A and flags & F_TOB and side:
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
    if flags & F_SNAPSHOT and not own.in_snapshot:
        _snapshot_begins(s, own, exch_ts, local_ts, flags)
    s.used[kind] += 1
    own.has_orders = 1
    if kind == CANCEL_ORDER_EVENT:
        px_known, left = _cancelled(s, order_id, qty)
        if left:
            kind, px, qty = MODIFY_ORDER_EVENT, px_known, left
    elif kind in (ADD_ORDER_EVENT, MODIFY_ORDER_EVENT):
        if kind == MODIFY_ORDER_EVENT and find_resting(s.own + RESTING_AT, order_id) == 0:
            kind = ADD_ORDER_EVENT
        set_resting(s.own + RESTING_AT, order_id, px, qty)
    put_row(s, kind | side, exch_ts, local_ts, px, qty, order_id, flags)
    if kind == TRADE_EVENT:
        put_trade_id(s, own)
    s.book_ts = later_of(s.book_ts, local_ts)
    return 0


@inline
def _snapshot_begins(s: Any, own: Any, exch_ts: Ns, local_ts: Ns, flags: int):
    """A snapshot without a clear before it: what was there before is gone all the same."""
    own.in_snapshot = 1
    if own.has_orders:
        _clear_orders(s, 0, exch_ts, local_ts, flags)
    else:
        own.no_clear += 1
