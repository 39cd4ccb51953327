"""Texts of prices and quantities, as they stand in an exchange's message, to rows of events, in compiled code.

The texts are `msgspec.Raw`: pieces of the message that nobody has looked into yet. No loop of Python runs over levels.
Where the instrument's tick is given, rows whose price is on none are counted by the way (`RowWriter.off_grid`).
"""

# pyright: basic, reportCallIssue=false, reportArgumentType=false, reportGeneralTypeIssues=false

from typing import Any, Final

import msgspec
import numpy as np
from numba import types
from numpy.typing import NDArray

from hftd.channel.endpoint import BYTES, address_of
from hftd.compiled.jit import entry, inline
from hftd.compiled.json_levels import NO_LEVELS, NO_ROOM, write_levels
from hftd.compiled.json_numbers import decimal
from hftd.compiled.native import load_i64, load_u8, store_i64
from hftd.compiled.row_access import px_of, set_px, write_row
from hftd.rows import ROW_BYTES
from hftd.types import (
    BUY_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EXCH_EVENT,
    LOCAL_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    event_dtype,
)

ROWS_AT_FIRST: Final = 1 << 12
ROWS_MAX: Final = 1 << 18
"""Rows of one message; one with more is refused."""
_BOTH: Final = EXCH_EVENT | LOCAL_EVENT
_I64: Final = types.int64
_F64: Final = types.float64
OFF_GRID_TICKS: Final = 1e-6
"""A price that is farther from a tick, and farther than what a double can tell, is on none."""


@inline
def _count_off(rows, count, per_price, found):
    """Add to the word at `found` how many rows have a price that is no whole number of ticks."""
    if per_price > 0.0:
        off = 0
        for k in range(count):
            ticks = px_of(rows + k * ROW_BYTES) * per_price
            away = abs(ticks - np.floor(ticks + 0.5))
            if away > OFF_GRID_TICKS and away > abs(ticks) * 1e-15:
                off += 1
        if off:
            store_i64(found, load_i64(found) + off)


@inline
def _side(text, rows, capacity, ev, exch_ts, local_ts):
    start = address_of(text)
    return write_levels(start, start + len(text), rows, capacity, ev, exch_ts, local_ts)


@entry((BYTES, BYTES, _I64, _I64, _I64, _I64, _F64, _I64))
def _depth(bids, asks, rows, capacity, exch_ts, local_ts, per_price, found):
    count = _side(bids, rows, capacity, _BOTH | DEPTH_EVENT | BUY_EVENT, exch_ts, local_ts)
    if count < 0:
        return count
    more = _side(
        asks,
        rows + count * ROW_BYTES,
        capacity - count,
        _BOTH | DEPTH_EVENT | SELL_EVENT,
        exch_ts,
        local_ts,
    )
    if more < 0:
        return more
    _count_off(rows, count + more, per_price, found)
    return count + more


@inline
def _snapshot_side(text, rows, capacity, side, exch_ts, local_ts):
    """A clear of the side as far as the snapshot reaches, and its levels; nothing where it has none."""
    if capacity < 1:
        return NO_ROOM
    count = _side(
        text, rows + ROW_BYTES, capacity - 1, _BOTH | DEPTH_SNAPSHOT_EVENT | side, exch_ts, local_ts
    )
    if count <= 0:
        return count
    write_row(rows, _BOTH | DEPTH_CLEAR_EVENT | side, exch_ts, local_ts, 0.0, 0.0)
    set_px(rows, px_of(rows + count * ROW_BYTES))
    return count + 1


@entry((BYTES, BYTES, _I64, _I64, _I64, _I64, _F64, _I64))
def _snapshot(bids, asks, rows, capacity, exch_ts, local_ts, per_price, found):
    count = _snapshot_side(bids, rows, capacity, BUY_EVENT, exch_ts, local_ts)
    if count < 0:
        return count
    more = _snapshot_side(asks, rows + count * ROW_BYTES, capacity - count, SELL_EVENT, exch_ts, local_ts)
    if more < 0:
        return more
    _count_off(rows, count + more, per_price, found)
    return count + more


@entry((BYTES, BYTES, _I64, _I64, _I64, _I64, _F64, _I64))
def _whole(bids, asks, rows, capacity, exch_ts, local_ts, per_price, found):
    if capacity < 1:
        return NO_ROOM
    write_row(rows, _BOTH | DEPTH_CLEAR_EVENT, exch_ts, local_ts, 0.0, 0.0)
    count = 1
    for is_ask in range(2):
        text, side = (asks, SELL_EVENT) if is_ask else (bids, BUY_EVENT)
        ev = _BOTH | DEPTH_SNAPSHOT_EVENT | side
        more = _side(text, rows + count * ROW_BYTES, capacity - count, ev, exch_ts, local_ts)
        if more < 0:
            return more
        count += more
    _count_off(rows, count, per_price, found)
    return count


@inline
def _number(text):
    """A number, quoted or not, and whether the text is one."""
    start = address_of(text)
    end = start + len(text)
    if end - start >= 2 and load_u8(start) == 34 and load_u8(end - 1) == 34:
        start += 1
        end -= 1
    value, behind = decimal(start, end)
    return value, behind == end and behind != 0


@entry((BYTES, BYTES, _I64, _I64, _I64, _I64))
def _one(price, qty, rows, ev, exch_ts, local_ts):
    px, has_px = _number(price)
    amount, has_qty = _number(qty)
    if not has_px or not has_qty:
        return NO_LEVELS
    write_row(rows, ev, exch_ts, local_ts, px, amount)
    return 1


@entry((BYTES, BYTES, BYTES, BYTES, _I64, _I64, _I64, _I64, _I64, _F64, _I64))
def _best(bid, bid_qty, ask, ask_qty, rows, bid_ev, ask_ev, exch_ts, local_ts, per_price, found):
    px, has_px = _number(bid)
    qty, has_qty = _number(bid_qty)
    other_px, has_other_px = _number(ask)
    other_qty, has_other_qty = _number(ask_qty)
    if not has_px or not has_qty or not has_other_px or not has_other_qty:
        return NO_LEVELS
    write_row(rows, bid_ev, exch_ts, local_ts, px, qty)
    write_row(rows + ROW_BYTES, ask_ev, exch_ts, local_ts, other_px, other_qty)
    _count_off(rows, 2, per_price, found)
    return 2


class RowWriter:
    """Makes rows in a buffer of its own: what a method returns holds until the next call.

    Each returns rows of `event_dtype`, shape (n,), or None where a text is not what it should be. `per_price` is how
    many ticks a price of 1 has; 0 for not looking at that.
    """

    def __init__(self) -> None:
        self._found = np.zeros(1, np.int64)
        self._found_address = int(self._found.ctypes.data)
        self._make_room(ROWS_AT_FIRST)
        self._depth = _depth.direct
        self._snapshot = _snapshot.direct
        self._whole = _whole.direct
        self._one = _one.direct
        self._best = _best.direct

    def _make_room(self, capacity: int) -> None:
        self._rows = np.zeros(capacity, event_dtype)
        self._capacity = capacity
        self._address = int(self._rows.ctypes.data)
        self._first_one, self._first_two = self._rows[:1], self._rows[:2]

    @property
    def off_grid(self) -> int:
        """How many rows had a price on no tick since the last time that this was read."""
        found = int(self._found[0])
        if found:
            self._found[0] = 0
        return found

    def _levels(
        self,
        write: Any,
        bids: msgspec.Raw,
        asks: msgspec.Raw,
        exch_ns: int,
        local_ns: int,
        per_price: float,
    ) -> NDArray[Any] | None:
        while True:
            count = write(
                bids, asks, self._address, self._capacity, exch_ns, local_ns, per_price, self._found_address
            )
            if count >= 0:
                return self._rows[:count]
            if count != NO_ROOM or self._capacity >= ROWS_MAX:
                return None
            self._make_room(2 * self._capacity)

    def depth(
        self, bids: msgspec.Raw, asks: msgspec.Raw, exch_ns: int, local_ns: int, per_price: float = 0.0
    ) -> NDArray[Any] | None:
        """A change of the book: absolute quantities by price, bids first."""
        return self._levels(self._depth, bids, asks, exch_ns, local_ns, per_price)

    def snapshot(
        self, bids: msgspec.Raw, asks: msgspec.Raw, exch_ns: int, local_ns: int, per_price: float = 0.0
    ) -> NDArray[Any] | None:
        """The book: each side a clear as far as it reaches, then its levels."""
        return self._levels(self._snapshot, bids, asks, exch_ns, local_ns, per_price)

    def whole(
        self, bids: msgspec.Raw, asks: msgspec.Raw, exch_ns: int, local_ns: int, per_price: float = 0.0
    ) -> NDArray[Any] | None:
        """The book where nothing is known of what is behind its last levels: a clear of all of it, then its levels."""
        return self._levels(self._whole, bids, asks, exch_ns, local_ns, per_price)

    def trade(
        self, price: msgspec.Raw, qty: msgspec.Raw, side: int, exch_ns: int, local_ns: int
    ) -> NDArray[Any] | None:
        """A trade; `side` is BUY_EVENT or SELL_EVENT, the taker's."""
        ev = _BOTH | TRADE_EVENT | side
        if self._one(price, qty, self._address, ev, exch_ns, local_ns) < 0:
            return None
        return self._first_one

    def best(
        self,
        bid: tuple[msgspec.Raw, msgspec.Raw],
        ask: tuple[msgspec.Raw, msgspec.Raw],
        kinds: tuple[int, int],
        exch_ns: int,
        local_ns: int,
        per_price: float = 0.0,
    ) -> NDArray[Any] | None:
        """The best bid and the best ask, each price and quantity, as rows of two kinds (sides included)."""
        bid_ev, ask_ev = _BOTH | kinds[0], _BOTH | kinds[1]
        found = self._found_address
        if self._best(*bid, *ask, self._address, bid_ev, ask_ev, exch_ns, local_ns, per_price, found) < 0:
            return None
        return self._first_two
