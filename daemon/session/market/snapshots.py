"""Snapshots of books by REST: several at a time, so that one symbol's never holds up another's."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

import structlog

from daemon.connector.supervise import Backoff
from daemon.connector.watch.unreadable import Unreadable
from daemon.session.errors import EXPECTED, WireError
from daemon.session.facts import MarketFacts, Reader
from daemon.session.market.feeds import Feed
from daemon.session.rest import Rest
from hftd.clock import monotonic_ns
from hftd.venues.reader import BOOK, Message

TIMEOUT_S: Final = 10.0
IN_FLIGHT_MAX: Final = 8
AGAIN_IN_FLIGHT_MAX: Final = 4
"""Of these, so many may be for symbols whose last one failed: the others find a place, however many fail."""
A_MINUTE: Final = 6
"""So many that are asked for within a minute come at once; a book with more gaps than that waits before each one."""
WAIT_S: Final = 10.0

_log = structlog.get_logger("hftd.market")


class Snapshots:
    """Gets snapshots for those who ask; each again until it is taken, by a back-off of its own.

    Args:
        facts: What to ask.
        reader: Reads the answers.
        rest: For the requests; it keeps to the request weights.
        take: Given the feed and its snapshot; False if it needs another one.
        unreadable: Where answers go that can't be read.
        seed: Of the waits before another one.
    """

    def __init__(
        self,
        facts: MarketFacts,
        reader: Reader,
        rest: Rest,
        take: Callable[[Feed, Message], bool],
        unreadable: Unreadable,
        seed: int,
    ) -> None:
        self._facts = facts
        self._reader = reader
        self._rest = rest
        self._take = take
        self._unreadable = unreadable
        self._seed = seed
        self._backoffs: dict[int, Backoff] = {}
        self._asked: deque[Feed] = deque()
        self._failed: deque[Feed] = deque()
        self._tasks: dict[asyncio.Task[None], bool] = {}  # whether it is for one that failed
        self._asked_ns: dict[int, deque[int]] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._is_running = False

    def ask(self, feed: Feed) -> None:
        """Get a snapshot for this one. The feed asks once: its `wants_snapshot` says that it did."""
        backoff = self._backoffs.get(feed.number)
        if feed.number in self._timers:
            return
        if backoff is not None and backoff.failures:
            self._later(feed, backoff, None)
            return
        times = self._asked_ns.setdefault(feed.number, deque(maxlen=A_MINUTE))
        now_ns = monotonic_ns()
        if len(times) == A_MINUTE and now_ns - times[0] < 60_000_000_000:
            times.append(now_ns)
            self._wait(feed, WAIT_S)
            return
        times.append(now_ns)
        self._asked.append(feed)
        self._start()

    def clear(self) -> None:
        """Nobody wants one any more."""
        self._asked.clear()
        self._failed.clear()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    @property
    def retries(self) -> int:
        """How often one was asked for again."""
        return sum(one.count for one in self._backoffs.values())

    async def run(self) -> None:
        """Get them, until cancelled."""
        self._is_running = True
        self._start()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._is_running = False
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self) -> None:
        while self._is_running and len(self._tasks) < IN_FLIGHT_MAX:
            is_again = not self._asked
            if is_again and (not self._failed or sum(self._tasks.values()) >= AGAIN_IN_FLIGHT_MAX):
                return
            feed = (self._failed if is_again else self._asked).popleft()
            if feed.wants_snapshot:
                task = asyncio.create_task(self._get(feed), name=f"snapshot of {feed.instrument.symbol}")
                self._tasks[task] = is_again
                task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("snapshot_crashed", why=repr(error))
        self._start()

    async def _get(self, feed: Feed) -> None:
        error: Exception | None = None
        is_taken = False
        try:
            is_taken = await self._ask(feed)
        except EXPECTED as found:
            error = found
        except Exception as found:
            error = found
            _log.exception("snapshot_crashed", symbol=feed.instrument.symbol)
        backoff = self._backoffs.get(feed.number)
        if is_taken:
            if backoff is not None:
                backoff.reset()
            return
        if backoff is None:
            backoff = self._backoffs[feed.number] = Backoff(0.1, 30.0, self._seed + 1 + feed.number)
        self._later(feed, backoff, error)

    def _later(self, feed: Feed, backoff: Backoff, error: Exception | None) -> None:
        wait_s = backoff.next_s(error)
        if error is not None and backoff.failures < 10:
            _log.warning(
                "snapshot_failed", symbol=feed.instrument.symbol, why=str(error), again_in_s=round(wait_s, 3)
            )
        self._wait(feed, wait_s)

    def _wait(self, feed: Feed, wait_s: float) -> None:
        loop = asyncio.get_running_loop()
        self._timers[feed.number] = loop.call_later(wait_s, self._again, feed)

    def _again(self, feed: Feed) -> None:
        self._timers.pop(feed.number, None)
        self._failed.append(feed)
        self._start()

    async def _ask(self, feed: Feed) -> bool:
        asked = self._facts.ask_snapshot(feed.instrument.symbol)
        body = await self._rest.ask(
            asked.path, asked.params, weight=asked.weight, auth="none", tries=1, timeout_s=TIMEOUT_S
        )
        try:
            snapshot = read_book(self._reader, body)
        except WireError as error:
            self._unreadable.note("snapshot", str(error), body)
            raise
        if snapshot.rows is None:
            self._unreadable.note("numbers", "levels of a snapshot that are no levels", body)
            return False
        return self._take(feed, snapshot) if feed.wants_snapshot else True


def read_book(reader: Reader, body: bytes) -> Message:
    """A whole book as an answer, received at 0.

    Raises:
        WireError: It is not a snapshot.
    """
    read = reader.read(body, 0)
    if read is None or read.kind != BOOK:
        raise WireError("an answer that is no book")
    return read
