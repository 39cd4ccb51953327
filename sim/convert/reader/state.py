"""The state of a compiled reader: what it is given, what it counts, and why lines give no rows.

Addresses are int64.
"""

# pyright: basic

from typing import Any, Final

import numpy as np

from hftd.compiled.json_fields import FIELD_BYTES, FIELDS_MAX, name_key
from hftd.compiled.native import record_at
from hftd.venues.message import FIELD, MATCH_TIME, NO_TIME, NOT_A_TRADE, SENT_TIME

UPDATES_MAX: Final = 2048
"""So many ids of updates are remembered, to tell one that comes once more from one that is only late."""
NAMES_MAX: Final = 512
"""Different names of events, errors and books that are counted apart; the rest counts as "others"."""
NAMES_ROOM: Final = 1 << 16
"""Places for names of all categories: so many symbols are told apart. A line of one beyond is never converted."""
NAMES_INDEX: Final = 1 << 18
NAME_SIZE: Final = 64
"""Bytes of a name that are kept; longer names are told apart by their length and a hash too."""
NAME_BYTES: Final = 32 + NAME_SIZE
PLACES_MAX: Final = 16
"""Places of trouble that are kept; all are counted."""

# What became of a line: 0, or why it gave no rows. Those below UNREADABLE_MAX are damage.
TIMESTAMP: Final = 1
JSON: Final = 2
LENGTH: Final = 4
TORN_END: Final = 5
COLUMNS: Final = 6
QUOTES: Final = 7
TIME_UNIT: Final = 8
BOOK_SIZE: Final = 9
SIDE: Final = 10
LEVELS: Final = 11
RECORD: Final = 12
ACTION: Final = 13
NO_PRICE: Final = 14
LEVEL_ORDER: Final = 15
UNREADABLE_MAX: Final = 20
BLANK: Final = 20
ERROR_OBJECT: Final = 22
UNKNOWN: Final = 23
NOT_ASKED: Final = 24
PARTIAL_DEPTH: Final = 25
OTHER_SYMBOL: Final = 26
LOST_SNAPSHOT: Final = 27
HEADER_AGAIN: Final = 28
SNAPSHOT_LEFT_OUT: Final = 29
OTHER_EXCHANGE: Final = 30
NO_CHANGE: Final = 31
OTHER_BOOK: Final = 32
SUPERSEDED: Final = 33
BLOCK_TRADE: Final = 34
TRADE_AGAIN: Final = 35
BEFORE_SNAPSHOT: Final = 37
LIQUIDATION: Final = 38
REASONS: Final = {
    TIMESTAMP: "no local time of 16 or 19 digits",
    JSON: "torn, or not JSON",
    FIELD: "a field is missing, or is not a number",
    LENGTH: "longer than a line may be",
    TORN_END: "torn at the end of the file",
    COLUMNS: "not as many columns as the header has",
    QUOTES: "quotes that are not around a whole field",
    TIME_UNIT: "a time in another unit than the format has",
    BOOK_SIZE: "a book of more levels than 1,000 a side",
    SIDE: "a side that is neither buy nor sell",
    LEVELS: "a level beyond those that a snapshot may have",
    RECORD: "a record of a length that it can't have",
    ACTION: "an unknown action",
    NO_PRICE: "no price",
    LEVEL_ORDER: "levels that are not in the order of their prices",
    MATCH_TIME: "the field T is missing, or is no time",
    SENT_TIME: "the field E is missing, or is no time",
    BLANK: "blank",
    NOT_A_TRADE: "a trade that is not of the market",
    ERROR_OBJECT: "an error of the exchange",
    UNKNOWN: "an event or stream that is not converted",
    NOT_ASKED: "an event that was not asked for (`--user-events book_ticker`, `mark_price`)",
    PARTIAL_DEPTH: "a partial depth stream",
    OTHER_SYMBOL: "another symbol",
    LOST_SNAPSHOT: "a snapshot in a capture of several symbols, which does not say whose it is",
    HEADER_AGAIN: "the header once more",
    BEFORE_SNAPSHOT: "an update before the file's first snapshot",
    LIQUIDATION: "a liquidation, which is among the trades",
    NO_TIME: "a message without a time, before any that has one",
    SNAPSHOT_LEFT_OUT: "a level of a snapshot that was not asked for",
    OTHER_EXCHANGE: "another exchange or publisher",
    NO_CHANGE: "a record that changes nothing",
    OTHER_BOOK: "a book of another depth",
    SUPERSEDED: "an update that the book had already",
    BLOCK_TRADE: "a block trade (each trade is counted)",
    TRADE_AGAIN: "a trade that was there before (each trade is counted)",
}

# What names are counted of.
SYMBOLS: Final = 0
EVENTS: Final = 1
ERRORS: Final = 2
BOOKS: Final = 3
EXCHANGES: Final = 4
"""As of symbols, any number of them is told apart."""

# Why the reader came back.
DONE: Final = 0
ROWS_FULL: Final = 1
SNAPSHOT: Final = 2
OPENING: Final = 3
"""A file begins: what stands before its lines or records must be looked at, see `Venue.open_input`."""

COLUMNS_MAX: Final = 32
"""Columns that a reader of tables asks for."""

name_dtype = np.dtype(
    [("category", "i8"), ("size", "i8"), ("count", "i8"), ("name", f"S{NAME_SIZE}"), ("key", "i8")],
    align=True,
)
assert name_dtype.itemsize == NAME_BYTES
place_dtype = np.dtype(
    [("file", "i8"), ("line", "i8"), ("local_ts", "i8"), ("what", "i8"), ("expected", "i8"), ("got", "i8")],
    align=True,
)
state_dtype = np.dtype(
    [
        ("text", "i8"),
        ("size", "i8"),
        ("at_end", "i8"),
        ("consumed", "i8"),
        ("rows", "i8"),
        ("row_count", "i8"),
        ("row_capacity", "i8"),
        ("row_mark", "i8"),
        ("snapshot_row", "i8"),
        ("code", "i8"),
        ("local_ts", "i8"),
        ("exch_ts", "i8"),
        ("is_cut", "i8"),
        ("is_damaged", "i8"),
        ("file", "i8"),
        ("line", "i8"),
        ("fields", "i8"),
        ("field_count", "i8"),
        ("names", "i8"),
        ("name_count", "i8"),
        ("name_index", "i8"),
        ("event_names", "i8"),
        ("others", "i8"),
        ("symbols_beyond", "i8"),
        ("chosen", "i8"),
        ("wants_mark", "i8"),
        ("wants_ticker", "i8"),
        ("update_id", "i8"),
        ("update_ts", "i8"),
        ("book_ts", "i8"),
        ("local_high", "i8"),
        ("back_ns", "i8"),
        ("lines_back", "i8"),
        ("updates_count", "i8"),
        ("updates", "i8", (UPDATES_MAX,)),
        ("takes_again", "i8"),
        ("flags", "i8"),
        ("gap_count", "i8"),
        ("repeat_count", "i8"),
        ("gap_places", "i8"),
        ("bad_count", "i8"),
        ("bad_places", "i8"),
        ("lines_in_ns", "i8"),
        ("lines_in_us", "i8"),
        ("lines_used", "i8"),
        ("own", "i8"),
        ("has_no_time", "i8"),
        ("rows_extra", "i8"),
        ("table", "i8"),
        ("column_count", "i8"),
        ("header_key", "i8"),
        ("columns", "i8", (COLUMNS_MAX,)),
        ("ignored", "i8", (64,)),
        ("used", "i8", (256,)),
    ],
    align=True,
)
"""What a reader is given and what it keeps from block to block; the arrays are those of `Scan`."""

state_at = record_at(state_dtype)


def name_slot(category: int, key: int) -> int:
    """Where the index of names is looked into first."""
    return ((key ^ (key >> 15)) * 31 + category * 7919) & (NAMES_INDEX - 1)


class Scan:
    """The state of a reader and the arrays that it points to.

    Attributes:
        asked: The symbol that was chosen, as it is spelt in reports; None if none was.
        spelling: How names are spelt in reports, where they are not as they were read.
        damage: What a venue found to be lost, in sentences.
        kept: What a venue keeps in Python.
    """

    def __init__(self) -> None:
        self.state = np.zeros(1, state_dtype)
        self.asked: str | None = None
        self.spelling: dict[tuple[int, str], str] = {}
        self.damage: list[str] = []
        self.kept: Any = None
        self._fields = np.zeros((FIELDS_MAX, FIELD_BYTES // 8), np.int64)
        self._own = np.zeros(1, np.int64)
        self.names = np.zeros(NAMES_ROOM, name_dtype)
        self._index = np.zeros(NAMES_INDEX, np.int64)
        self.gap_places = np.zeros(PLACES_MAX, place_dtype)
        self.bad_places = np.zeros(PLACES_MAX, place_dtype)
        record = self.record
        record["fields"] = self._fields.ctypes.data
        record["names"] = self.names.ctypes.data
        record["name_index"] = self._index.ctypes.data
        record["gap_places"] = self.gap_places.ctypes.data
        record["bad_places"] = self.bad_places.ctypes.data
        record["chosen"] = -1
        record["update_id"] = -1
        record["table"] = -1

    def give_own(self, dtype: np.dtype[Any]) -> Any:
        """Give the reader a state of its own, at the address `own`; returns that record, all zeros."""
        self._own = np.zeros(1, dtype)
        self.record["own"] = self._own.ctypes.data
        return self.own

    @property
    def own(self) -> Any:
        """The record that `give_own` made."""
        return self._own[0]

    @property
    def record(self) -> Any:
        """The state; its fields can be read and set."""
        return self.state[0]

    @property
    def address(self) -> int:
        """Where the state is, for the compiled reader."""
        return self.state.ctypes.data

    def name_number(self, category: int, name: str) -> int:
        """The number of a name of a category, for which a place is made; -1 if all are taken."""
        text = name.encode()
        key = name_key(text)
        slot = name_slot(category, key)
        while (number := int(self._index[slot]) - 1) >= 0:
            row = self.names[number]
            if row["category"] == category and row["key"] == key and row["name"] == text[:NAME_SIZE]:
                return number
            slot = (slot + 1) % NAMES_INDEX
        number = int(self.record["name_count"])
        if number == NAMES_ROOM:
            return -1
        self.names[number] = (category, len(text), 0, text[:NAME_SIZE], key)
        self._index[slot] = number + 1
        self.record["name_count"] = number + 1
        return number

    def forget_names(self) -> None:
        """Begin anew with the names."""
        self._index[:] = 0
        self.record["name_count"], self.record["chosen"], self.asked = 0, -1, None

    def choose(self, symbol: str) -> None:
        """Convert this symbol only, whichever comes first. Called before any other name is there."""
        self.forget_names()
        self.record["chosen"] = self.name_number(SYMBOLS, symbol)
        self.asked = symbol

    @property
    def symbol(self) -> str:
        """The symbol whose lines were taken; empty if none was named."""
        chosen = int(self.record["chosen"])
        return self._spelt(SYMBOLS, self.names["name"][chosen]) if chosen >= 0 else ""

    def _spelt(self, category: int, name: bytes) -> str:
        text = name.decode("utf-8", "replace")
        return self.spelling.get((category, text), text)

    def counts(self, category: int) -> dict[str, int]:
        """How often each name of a category came, the most frequent first."""
        rows = self.names[: int(self.record["name_count"])]
        rows = rows[(rows["category"] == category) & (rows["count"] > 0)]
        pairs = [(self._spelt(category, name), int(count)) for name, count in rows[["name", "count"]]]
        return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))
