"""How a connector reads messages: bytes to rows in a buffer, and what there is to know of them.

A family's `read` is an `entry` of compiled code with the signature `ENTRY`: message, address of a `reader_dtype`
record, time of receipt. It says what the message is, where its stream's name stands, and returns 0, or why there are
no rows: NUMBER if only a price or a quantity is wrong, NO_TIME if there is no time and none is known yet, another
reason for a message that is not what it seems to be.
"""

# pyright: basic, reportCallIssue=false, reportArgumentType=false

from typing import Any, Final

import msgspec
import numpy as np
from numba import types
from numpy.typing import NDArray

from hftd.compiled.jit import Entry, entry, inline
from hftd.compiled.json_fields import FIELD_BYTES, FIELDS_MAX, place_of, read_fields
from hftd.compiled.json_levels import skip_blanks
from hftd.compiled.native import load_u8, record_at
from hftd.compiled.row_access import px_of
from hftd.compiled.text import BYTES, address_of
from hftd.rows import BEST_ASK, BEST_BID, ROW_BYTES
from hftd.types import BUY_EVENT, DEPTH_CLEAR_EVENT, EXCH_EVENT, KIND_MASK, LOCAL_EVENT, event_dtype
from hftd.venues.message import LEVEL_BYTES_MIN, NO_TIME, NUMBER, ROWS_MORE

ROWS_AT_FIRST: Final = 1 << 12
ROWS_MAX: Final = 1 << 18
"""Rows of one message; one with more is refused."""
OFF_GRID_TICKS: Final = 1e-6
"""A price that is farther from a tick, and farther than what a double can tell, is on none."""
ENTRY: Final = (BYTES, types.int64, types.int64)

# What a message is.
OTHER: Final = 0
DEPTH: Final = 1
"""A change of the book."""
BOOK: Final = 2
"""A whole book: a snapshot."""
BEST: Final = 3
"""Best prices."""
TRADES: Final = 4

_SAID: Final = (
    "kind",
    "row_count",
    "exch_ts",
    "last_id",
    "previous_id",
    "stream",
    "stream_stop",
    "odd_count",
    "odd",
    "odd_stop",
    "bad_count",
)
reader_dtype = np.dtype(
    [
        *((name, "i8") for name in _SAID),
        ("rows", "i8"),
        ("row_capacity", "i8"),
        ("fields", "i8"),
        ("field_count", "i8"),
        ("flags", "i8"),
        ("takes_again", "i8"),
        ("newest_ts", "i8"),
        ("bid_ev", "i8"),
        ("ask_ev", "i8"),
    ],
    align=True,
)
"""Of a message: its kind, rows, time and ids; where the name of its stream begins and ends; the trades of it that are
not of the market, and where the word for them begins and ends (0: it has none); and those that can't be read.
Of all messages: the newest time."""

reader_at = record_at(reader_dtype)


@inline
def begin(s: Any, message: bytes) -> bool:
    """Note the fields of a message; False where it is no object of JSON."""
    s.kind = OTHER
    s.row_count = s.exch_ts = s.last_id = s.previous_id = 0
    s.stream = s.stream_stop = s.odd_count = s.odd = s.odd_stop = s.bad_count = 0
    size = len(message)
    if size == 0:
        return False
    start = address_of(message)
    end = start + size
    p = skip_blanks(start, end)
    if p == end or load_u8(p) != 123:
        return False
    stop = read_fields(s, p, end)
    return stop != 0 and skip_blanks(stop, end) == end


@inline
def note_place(s: Any, message: bytes, number: int) -> tuple[int, int]:
    """Where a field's text begins and ends in the message; zeros without a field (-1)."""
    start, stop = place_of(s, number)
    return (start - address_of(message), stop - address_of(message)) if start else (0, 0)


@entry("int64(int64, int64, float64)")
def _off_grid(rows, count, per_price):
    """How many rows have a price that is not a whole number of ticks."""
    off = 0
    for k in range(count):
        ticks = px_of(rows + k * ROW_BYTES) * per_price
        away = abs(ticks - np.floor(ticks + 0.5))
        if away > OFF_GRID_TICKS and away > abs(ticks) * 1e-15:
            off += 1
    return off


class Message(msgspec.Struct, gc=False):
    """What a message says.

    Attributes:
        stream: The name of its stream; empty for an answer.
        kind: DEPTH, BOOK, BEST or TRADES.
        rows: Its rows (`event_dtype`, shape (n,)), which hold until the next message is read; None where a price or a
            quantity is not what it should be. Best prices of no known time have none.
        exch_ns: Its time, or its last trade's.
        last_id: The id of the update as of which the book is afterwards.
        previous_id: Of a change: that of the update before it.
        odd: What trades that are not of the market are called; `odd_count` of them are not among the rows.
        odd_count: See `odd`.
        bad_count: Trades that can't be read, which are not among the rows.
    """

    stream: str
    kind: int
    rows: NDArray[Any] | None
    exch_ns: int
    last_id: int
    previous_id: int
    odd: str = ""
    odd_count: int = 0
    bad_count: int = 0


class MarketReader:
    """Reads the messages of one connection into a buffer of its own.

    Args:
        read: The family's reader.
        best_kinds: The kinds of rows of best bids and asks, sides included.
        odd: What trades that are not of the market are, where the message has no word for it.
    """

    def __init__(
        self, read: Entry, best_kinds: tuple[int, int] = (BEST_BID, BEST_ASK), odd: str = "without a kind"
    ) -> None:
        self._read = read.direct
        self._off_grid = _off_grid.direct
        self._odd = odd
        self._fields = np.zeros((FIELDS_MAX, FIELD_BYTES // 8), np.int64)
        self._state = np.zeros(1, reader_dtype)
        self._address = int(self._state.ctypes.data)
        self._said = self._state.view(np.int64)[: len(_SAID)].tolist
        record = self._state[0]
        record["fields"] = self._fields.ctypes.data
        record["flags"] = EXCH_EVENT | LOCAL_EVENT
        record["takes_again"] = 1
        record["bid_ev"], record["ask_ev"] = best_kinds
        self._make_room(ROWS_AT_FIRST)

    def _make_room(self, capacity: int) -> None:
        self._rows = np.zeros(capacity, event_dtype)
        self._rows_address = int(self._rows.ctypes.data)
        self._state[0]["rows"], self._state[0]["row_capacity"] = self._rows_address, capacity
        self._bytes_max = (capacity - ROWS_MORE) * LEVEL_BYTES_MIN if capacity < ROWS_MAX else 1 << 62
        self._first_one, self._first_two = self._rows[:1], self._rows[:2]

    def read(self, message: bytes, local_ns: int) -> Message | None:
        """Read a message, received at a time; None for one that is of no kind, or can't be read."""
        while len(message) > self._bytes_max:
            self._make_room(2 * len(self._rows))
        reason = self._read(message, self._address, local_ns)
        if reason not in (0, NUMBER, NO_TIME):
            return None
        kind, count, exch_ns, last_id, previous_id, start, stop, odd_count, odd, odd_stop, bad = self._said()
        if kind == OTHER:
            return None
        stream = message[start:stop].decode("utf-8", "replace")
        if reason == NO_TIME:
            return Message(stream, kind, self._rows[:0], 0, last_id, previous_id) if kind == BEST else None
        if reason:
            return Message(stream, kind, None, exch_ns, last_id, previous_id)
        rows = self._first_one if count == 1 else self._first_two if count == 2 else self._rows[:count]
        if odd_count or bad:
            word = message[odd:odd_stop].decode("utf-8", "replace") or self._odd
            return Message(stream, kind, rows, exch_ns, last_id, previous_id, word, odd_count, bad)
        return Message(stream, kind, rows, exch_ns, last_id, previous_id)

    def off_grid(self, count: int, per_price: float) -> int:
        """How many of the first rows have a price on no tick; `per_price`: ticks in a price of 1."""
        return self._off_grid(self._rows_address, count, per_price)


def best_prices(rows: NDArray[Any] | None) -> tuple[float, float]:
    """The first bid and the first ask among rows of levels; NaN where there is none."""
    found = [float("nan"), float("nan")]
    if rows is not None:
        levels = rows[(rows["ev"] & KIND_MASK) != DEPTH_CLEAR_EVENT]
        is_bid = ((levels["ev"] & BUY_EVENT) != 0) | ((levels["ev"] & KIND_MASK) == BEST_BID)
        for side, prices in enumerate((levels["px"][is_bid], levels["px"][~is_bid])):
            if len(prices):
                found[side] = float(prices[0])
    return found[0], found[1]
