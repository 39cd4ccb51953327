"""The recorded market as messages: what the exchange's feeds publish, and when.

Rows of one kind and time are one message, as they were when they were recorded. Of a day's rows only a part is looked
at at a time.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hftd.rows import BEST_ASK, BEST_BID
from hftd.types import (
    BUY_EVENT,
    DEPTH_BBO_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EXCH_EVENT,
    INVALID_MAX,
    KIND_MASK,
    SELL_EVENT,
    TRADE_EVENT,
)
from sim.engine.build import Engine

# Kinds of messages.
DEPTH: Final = 1
TRADE: Final = 2
BBO: Final = 3
RESET: Final = 4
"""The book is replaced: what it was before and is after is told by the engine."""

CHUNK_ROWS: Final = 1 << 16
NEVER: Final = INVALID_MAX

Level = tuple[int, int]
"""Tick and lots; 0 lots: the level is gone."""


class Message(NamedTuple):
    """What the market said at one time.

    Attributes:
        kind: DEPTH, TRADE, BBO or RESET.
        ts_ns: When, by the exchange.
        bids: Changed levels; of a trade whose buyer took, its price and quantity; of a BBO the best bid.
        asks: Changed levels; of a trade whose seller took, its price and quantity; of a BBO the best ask.
    """

    kind: int
    ts_ns: int
    bids: list[Level]
    asks: list[Level]


class Tape:
    """One instrument's messages in their order.

    Args:
        engine: Opens the files.
        asset_no: The instrument's number there.
    """

    def __init__(self, engine: Engine, asset_no: int) -> None:
        self._engine = engine
        self._asset_no = asset_no
        model = engine.models[asset_no]
        self._tick_size = model.tick_size
        self._lot_size = model.lot_size
        self._file_no = -1
        self._rows: NDArray[Any] = np.empty(0)
        self._done = 0
        self._messages: list[Message] = []
        self._next = 0
        self.has_bbo = False
        """Whether best bids and asks were recorded; else they follow from the depth."""
        self.next_ns = NEVER
        self._find_next()

    @property
    def start_ns(self) -> int:
        """The time of the next message."""
        return self.next_ns

    def pop(self) -> Message:
        """Take the next message."""
        message = self._messages[self._next]
        self._next += 1
        if self._next < len(self._messages):
            self.next_ns = self._messages[self._next].ts_ns
        else:
            self._find_next()
        return message

    def _find_next(self) -> None:
        while True:
            if self._done < len(self._rows):
                self._messages = self._read_chunk()
                self._next = 0
                if self._messages:
                    self.next_ns = self._messages[0].ts_ns
                    return
                continue
            if not self._open_next():
                self._messages, self._next = [], 0
                self.next_ns = NEVER
                return

    def _open_next(self) -> bool:
        self._file_no += 1
        # The engine lets go of the files before this one.
        self._engine.locals[self._asset_no]["file_no"] = self._file_no
        if self._file_no >= len(self._engine.models[self._asset_no].data):
            self._rows, self._done = np.empty(0), 0
            return False
        self._rows, self._done = self._engine.rows_of(self._asset_no, self._file_no), 0
        return True

    def _read_chunk(self) -> list[Message]:
        size = CHUNK_ROWS
        while True:
            rows = self._rows[self._done : self._done + size]
            is_last = self._done + size >= len(self._rows)
            kinds = _message_kinds(rows)
            used = np.flatnonzero(kinds)
            if is_last:
                self._done = len(self._rows)
                break
            starts = _starts(rows, kinds, used)
            # The last message may go on behind the chunk.
            if len(starts) > 1:
                last = int(used[starts[-1]])
                self._done += last
                used = used[: int(starts[-1])]
                break
            if not len(used):
                self._done += size
                break
            size *= 2
        return self._messages_of(rows, kinds, used)

    def _messages_of(self, rows: NDArray[Any], kinds: NDArray[Any], used: NDArray[Any]) -> list[Message]:
        if not len(used):
            return []
        starts = _starts(rows, kinds, used)
        stops = [*starts[1:].tolist(), len(used)]
        first = used[starts]
        rows = rows[used]
        with np.errstate(invalid="ignore"):
            ticks = _whole(rows["px"] / self._tick_size)
            lots = _whole(rows["qty"] / self._lot_size)
        levels = list(zip(ticks, lots, strict=True))
        is_bid = ((rows["ev"] & np.uint64(BUY_EVENT)) != 0) | (
            (rows["ev"] & np.uint64(KIND_MASK)) == BEST_BID
        )
        is_bid = is_bid.tolist()
        made: list[Message] = []
        message_kinds = kinds[first].tolist()
        times = rows["exch_ts"][starts].tolist()
        for kind, ts_ns, start, stop in zip(message_kinds, times, starts.tolist(), stops, strict=True):
            bids = [levels[i] for i in range(start, stop) if is_bid[i]]
            asks = [levels[i] for i in range(start, stop) if not is_bid[i]]
            made.append(Message(kind, ts_ns, bids, asks))
        self.has_bbo = self.has_bbo or BBO in message_kinds
        return made


def _message_kinds(rows: NDArray[Any]) -> NDArray[Any]:
    """The kind of message that each row belongs to; 0 for rows that no feed shows."""
    ev = rows["ev"]
    kind = ev & np.uint64(KIND_MASK)
    has_side = (ev & np.uint64(BUY_EVENT | SELL_EVENT)) != 0
    kinds = np.zeros(len(rows), np.int64)
    kinds[(kind == DEPTH_EVENT) & has_side] = DEPTH
    kinds[(kind == TRADE_EVENT) & has_side] = TRADE
    kinds[((kind == DEPTH_BBO_EVENT) & has_side) | (kind == BEST_BID) | (kind == BEST_ASK)] = BBO
    kinds[(kind == DEPTH_SNAPSHOT_EVENT) | (kind == DEPTH_CLEAR_EVENT)] = RESET
    kinds[(ev & np.uint64(EXCH_EVENT)) == 0] = 0
    return kinds


def _starts(rows: NDArray[Any], kinds: NDArray[Any], used: NDArray[Any]) -> NDArray[Any]:
    """Where in `used` each message begins."""
    if not len(used):
        return np.empty(0, np.int64)
    kind, exch_ts, local_ts = kinds[used], rows["exch_ts"][used], rows["local_ts"][used]
    new = np.ones(len(used), bool)
    new[1:] = (kind[1:] != kind[:-1]) | (exch_ts[1:] != exch_ts[:-1]) | (kind[1:] == TRADE)
    # Several messages of one time: they were received one after the other.
    new[1:] |= (local_ts[1:] != local_ts[:-1]) & (kind[1:] != RESET)
    return np.flatnonzero(new)


def _whole(values: NDArray[Any]) -> list[int]:
    """Rounded half away from zero, as the engine rounds."""
    finite = np.where(np.isfinite(values), values, 0.0)
    return np.trunc(finite + np.copysign(0.5, finite)).astype(np.int64).tolist()
