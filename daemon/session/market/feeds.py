"""One instrument's market data: its book's place in the sequence, and what is kept until there is a snapshot."""

from collections import deque
from typing import Any, Final

from numpy.typing import NDArray

from daemon.messages import Instrument
from daemon.session.facts import Sync
from daemon.session.market.grid import Grid
from hftd.clock import monotonic_ns

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
        depth_ns: When the last message of the depth stream came (monotonic), 0 for never.
        best_ns: When the last one of best prices came.
        trade_ns: When the last one of trades came.
        best_id: The id of the update of the last best prices; -1 before the first.
        best_message: The message with them.
        trade_ms: The last trade's time at the exchange.
        asked: When the depth stream had been heard last when the exchange was asked about it, and its levels then.
        invalid_ns: Since when the book is not valid (monotonic), and `why`.
    """

    def __init__(self, instrument: Instrument, streams: tuple[str, ...], sync: Sync) -> None:
        self.instrument = instrument
        self.number = instrument.number
        self.streams = streams
        self.sync = sync
        self.grid = Grid(instrument)
        self.is_valid = False
        self.wants_snapshot = False
        self.held: deque[tuple[int, int, int, NDArray[Any]]] = deque()
        self.ahead_since_ns = 0
        self.depth_ns = 0
        self.best_ns = 0
        self.trade_ns = 0
        self.best_id = -1
        self.best_message = b""
        self.trade_ms = 0
        self.asked: tuple[int, bytes] = (-1, b"")
        self.invalid_ns = monotonic_ns()
        self.why = "it has not been synchronised yet"
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

    def hear_nothing(self) -> None:
        """Another connection begins: nothing was heard on it."""
        self.depth_ns = self.best_ns = self.trade_ns = 0
        self.best_id = -1

    @property
    def newest_id(self) -> int:
        """The newest update that was heard of; -1 without one."""
        return max(self.sync.last_id, self.best_id, self.held[-1][1] if self.held else -1)

    def hold(self, kind: int, last_id: int, previous_id: int, rows: NDArray[Any]) -> None:
        """Keep a diff's or a best price's rows until there is a snapshot."""
        if len(self.held) >= HELD_MAX:
            self.held.popleft()
            self.sync.first_held_pu = next((pu for what, _, pu, _ in self.held if what == DIFF), -1)
        self.held.append((kind, last_id, previous_id, rows.copy()))
