"""Books whose snapshots come in the stream itself.

The first message of a depth stream is a whole book, and so may any later one be: it takes the place of all that was
before. There is nothing to join and nothing to ask for. After a gap the stream is unsubscribed and subscribed, upon
which it begins with a book again; if none comes, once more, ever more seldom.

What comes between a gap and the next book is dropped: the book has all of it. Where messages have a checksum, one that
is not right is a gap: nothing of its message is published.

Limits: `A_MINUTE` times within a minute a stream is subscribed anew at once; a book with more gaps than that waits
before each one.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from daemon.connector.supervise import Backoff
from daemon.session.facts import APPLY, GAP, Checksum, Reader
from daemon.session.market.digits import Digits
from daemon.session.market.feeds import Feed
from hftd.clock import monotonic_ns
from hftd.types import BUY_EVENT, DEPTH_EVENT, EXCH_EVENT, LOCAL_EVENT, SELL_EVENT, event_dtype
from hftd.venues.reader import BOOK, Message

FIRST_WAIT_S: Final = 4.0
"""A book that is not there after this, though its stream says something, is asked for again."""
WAIT_MAX_S: Final = 60.0
A_MINUTE: Final = 6
MANY_WAIT_S: Final = 10.0
_MINUTE_NS: Final = 60_000_000_000
_Rows = NDArray[Any]


class Streamed:
    """The books of one connection.

    Args:
        reader: Has read the messages.
        on_rows: Given an instrument's number, rows, and that they are of the book.
        set_valid: The book is, or is not, what the exchange's is, and why not.
        sort_out: Leaves out rows whose price is on no tick.
        again: Unsubscribes streams and subscribes them anew.
        seed: Of the waits.
        checksum: How checksums are reckoned; None without.

    Attributes:
        mismatches: Checksums that were not right.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        on_rows: Callable[[int, _Rows, bool], None],
        set_valid: Callable[[Feed, bool, str], None],
        sort_out: Callable[[Feed, _Rows, Callable[[_Rows], _Rows]], _Rows],
        again: Callable[[tuple[str, ...]], None],
        seed: int,
        checksum: Checksum | None = None,
    ) -> None:
        self._checksum = checksum
        self._digits: dict[int, Digits] = {}
        self.mismatches = 0
        self._off_grid = reader.off_grid
        self._on_rows = on_rows
        self._set_valid = set_valid
        self._sort_out = sort_out
        self._again = again
        self._seed = seed
        self._backoffs: dict[int, Backoff] = {}
        self._due_ns: dict[int, int] = {}  # until when a book is waited for
        self._asked_ns: dict[int, deque[int]] = {}

    def clear(self) -> None:
        """The connection is gone."""
        self._due_ns.clear()

    def on_message(self, feed: Feed, read: Message, rows: _Rows, message: bytes) -> None:
        """A whole book, or a change of it."""
        has_off = self._off_grid(len(rows), feed.grid.per_price) > 0
        if read.kind == BOOK:
            self._on_book(feed, rows, read, message, has_off)
        else:
            self._on_depth(feed, rows, read, message, has_off)

    def _on_book(self, feed: Feed, rows: _Rows, read: Message, message: bytes, has_off: bool) -> None:
        is_right, gone = self._check(feed, read, message)
        if not is_right:
            return
        feed.sync.snapshot(read.last_id)
        feed.wants_snapshot = False
        self._due_ns.pop(feed.number, None)
        if (backoff := self._backoffs.get(feed.number)) is not None:
            backoff.reset()
        if has_off or feed.grid.is_off:
            rows = self._sort_out(feed, rows, feed.grid.on_snapshot)
        self._on_rows(feed.number, rows, True)
        if gone is not None:
            self._on_rows(feed.number, gone, True)
        self._set_valid(feed, True, "")

    def _on_depth(self, feed: Feed, rows: _Rows, read: Message, message: bytes, has_off: bool) -> None:
        action = feed.sync.diff(read.last_id, read.previous_id)
        if action == APPLY:
            is_right, gone = self._check(feed, read, message)
            if not is_right:
                return
            if has_off:
                rows = self._sort_out(feed, rows, feed.grid.on_levels)
            self._on_rows(feed.number, rows, True)
            if gone is not None:
                self._on_rows(feed.number, gone, True)
            if not feed.is_valid:
                # It was doubted, and nothing is missing.
                self._set_valid(feed, True, "")
        elif action == GAP:
            feed.gaps += 1
            self.lose(feed, f"a gap before update {read.last_id}")
        elif monotonic_ns() >= self._due_ns.get(feed.number, 0):
            # There is no book yet, or none came after the stream was subscribed anew.
            if feed.number in self._due_ns:
                self.want(feed)
            else:
                self._wait(feed)

    def _check(self, feed: Feed, read: Message, message: bytes) -> tuple[bool, _Rows | None]:
        """Whether a message's checksum is right, and rows of the levels that have left the window with it."""
        if self._checksum is None:
            return True, None
        digits = self._digits.get(feed.number)
        if digits is None:
            digits = self._digits[feed.number] = Digits(self._checksum)
        try:
            bids, asks, checksum = self._checksum.read(message)
            gone = digits.take(bids, asks, is_whole=read.kind == BOOK)
        except ValueError:
            self.lose(feed, f"levels of update {read.last_id} that can't be read")
            return False, None
        if checksum is None or digits.is_right(checksum):
            return True, None if gone is None else _rows_of_gone(*gone, read)
        self.mismatches += 1
        self.lose(feed, f"the checksum of update {read.last_id} is another")
        return False, None

    def lose(self, feed: Feed, why: str) -> None:
        """The book is not valid, and a whole one is needed."""
        feed.sync.lose()
        self._set_valid(feed, False, why)
        self.want(feed)

    def want(self, feed: Feed) -> None:
        """Get a book, unless one is on its way."""
        now_ns = monotonic_ns()
        if now_ns < self._due_ns.get(feed.number, 0):
            return
        feed.wants_snapshot = True
        times = self._asked_ns.setdefault(feed.number, deque(maxlen=A_MINUTE))
        has_waited = feed.number in self._due_ns
        if not has_waited and len(times) == A_MINUTE and now_ns - times[0] < _MINUTE_NS:
            self._due_ns[feed.number] = now_ns + int(MANY_WAIT_S * 1e9)
            return
        times.append(now_ns)
        self._wait(feed)
        self._again(feed.streams[:1])

    def _wait(self, feed: Feed) -> None:
        backoff = self._backoffs.get(feed.number)
        if backoff is None:
            backoff = self._backoffs[feed.number] = Backoff(
                FIRST_WAIT_S, WAIT_MAX_S, self._seed + feed.number
            )
        self._due_ns[feed.number] = monotonic_ns() + int(backoff.next_s() * 1e9)


def _rows_of_gone(bids: list[float], asks: list[float], read: Message) -> _Rows:
    """Rows that take levels away, with the times of a message."""
    assert read.rows is not None
    rows = np.zeros(len(bids) + len(asks), event_dtype)
    rows["ev"] = EXCH_EVENT | LOCAL_EVENT | DEPTH_EVENT
    rows["ev"][: len(bids)] |= np.uint64(BUY_EVENT)
    rows["ev"][len(bids) :] |= np.uint64(SELL_EVENT)
    rows["px"] = [*bids, *asks]
    rows["exch_ts"] = read.exch_ns
    rows["local_ts"] = read.rows["local_ts"][-1] if len(read.rows) else read.exch_ns
    return rows
