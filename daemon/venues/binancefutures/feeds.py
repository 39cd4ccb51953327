"""One instrument's market data: its book's place in the sequence, and what is kept until there is a snapshot."""

from collections import deque
from typing import Any, Final

from numpy.typing import NDArray

from daemon.orders.messages import Instrument
from daemon.venues.binancefutures import book
from daemon.venues.binancefutures.grid import Grid

HELD_MAX: Final = 4096
"""Messages that are kept while a snapshot is on its way; with more the oldest go, and the snapshot must be newer."""

DIFF: Final = 0
BEST: Final = 1


class Feed:
    """What is known of one instrument.

    Attributes:
        instrument: It.
        streams: The names of its streams, the depth's first.
        grid: Prices of it that are on no tick.
        is_valid: Whether its book is.
        wants_snapshot: Whether one was asked for, or is to be.
        held: (DIFF or BEST, u, pu, rows) of what came since the book was lost, in its order.
        ahead_since_ns: Since when best prices come that are newer than the last diff; 0 if none do.
    """

    def __init__(self, instrument: Instrument, streams: tuple[str, ...]) -> None:
        self.instrument = instrument
        self.number = instrument.number
        self.streams = streams
        self.sync = book.BookSync()
        self.grid = Grid(instrument)
        self.is_valid = False
        self.wants_snapshot = False
        self.held: deque[tuple[int, int, int, NDArray[Any]]] = deque()
        self.ahead_since_ns = 0
        self.messages = 0
        self.gaps = 0
        self.resyncs = 0
        self.stale_snapshots = 0

    def lose(self) -> None:
        """The book is lost: the connection broke."""
        self.sync.lose()
        self.held.clear()
        self.grid.lose()
        self.wants_snapshot = False
        self.ahead_since_ns = 0

    def hold(self, kind: int, last_id: int, previous_id: int, rows: NDArray[Any]) -> None:
        """Keep a diff's or a best price's rows until there is a snapshot."""
        if len(self.held) >= HELD_MAX:
            self.held.popleft()
            self.sync.first_held_pu = next((pu for what, _, pu, _ in self.held if what == DIFF), -1)
        self.held.append((kind, last_id, previous_id, rows.copy()))
