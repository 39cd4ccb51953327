"""Whole books, asked for: at the start, after each break, each hour, and where a stream has gone silent.

Limits: `IN_FLIGHT_MAX` questions at a time; one that failed, or whose answer is too old, is asked again by a back-off
of its symbol.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from daemon.collector.recorder import Recorder
from daemon.connector.supervise import Backoff
from daemon.session.errors import EXPECTED
from daemon.session.facts import MarketFacts, Reader
from daemon.session.market.snapshots import read_book
from daemon.session.rest import Rest
from hftd.clock import monotonic_ns, stamp_ns

IN_FLIGHT_MAX: Final = 8
TIMEOUT_S: Final = 10.0
LOOK_S: Final = 0.1
SILENT_S: Final = 30.0
"""A book without changes for so long is asked for: the stream may have died alone; again each `SILENT_AGAIN_S`."""
SILENT_AGAIN_S: Final = 60.0
GRACE_S: Final = 2.0
"""What changed just now may still be on its way."""
THE_HOUR: Final = "each so often"
SILENT: Final = "its stream is silent"

_log = structlog.get_logger("hftd.collect")


class Books:
    """See the module.

    Args:
        facts: How market data is spoken.
        rest: Where books are asked for; None where all comes by the streams.
        recorders: Of the exchange.
        is_streamed: Whole books come by the stream as well, when it is subscribed anew.
        every_s: How often.
        again: Subscribes a symbol's depth stream anew.
        reader_of: The reader of a connection that brings a symbol.
        seed: Of the waits.
    """

    def __init__(
        self,
        facts: MarketFacts,
        rest: Rest | None,
        recorders: Sequence[Recorder],
        is_streamed: bool,
        every_s: float,
        again: Callable[[Recorder], None],
        reader_of: Callable[[Recorder], Reader | None],
        seed: int,
    ) -> None:
        self._facts = facts
        self._reader_of = reader_of
        self._rest = rest
        self._recorders = recorders
        self._is_streamed = is_streamed
        self._every_ns = int(every_s * 1e9)
        self._again = again
        self._backoffs = {one: Backoff(0.5, 30.0, seed + number) for number, one in enumerate(recorders)}
        self._due_ns: dict[Recorder, int] = {}
        """Not before then is it asked again."""
        # At the start it is the first change that asks, unless the stream has the book.
        first_ns = monotonic_ns() + (0 if is_streamed else self._every_ns)
        self._hourly_ns = dict.fromkeys(recorders, first_ns)
        self._silent_ns: dict[Recorder, int] = {}
        self._subscribed_ns: dict[Recorder, int] = {}
        self._tasks: dict[Recorder, asyncio.Task[None]] = {}
        self.failures: dict[Recorder, str] = {}

    async def run(self) -> None:
        """Ask for them, until cancelled."""
        try:
            while True:
                await asyncio.sleep(LOOK_S)
                now_ns = monotonic_ns()
                for one in self._recorders:
                    self._look(one, now_ns)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _look(self, one: Recorder, now_ns: int) -> None:
        if one.is_paused:
            return
        if one.wants_book and one.is_heard and self._is_streamed:
            if now_ns >= self._subscribed_ns.get(one, 0):
                self._subscribed_ns[one] = now_ns + int(self._backoffs[one].next_s() * 1e9)
                self._again(one)
        elif one.is_whole and self._subscribed_ns.pop(one, 0):
            self._backoffs[one].reset()
        why = self._reason(one, now_ns)
        if self._rest is None or not why or one in self._tasks or len(self._tasks) >= IN_FLIGHT_MAX:
            return
        if now_ns < self._due_ns.get(one, 0):
            return
        task = asyncio.create_task(self._ask(self._rest, one, why), name=f"book of {one.symbol}")
        self._tasks[one] = task
        task.add_done_callback(lambda _task: self._tasks.pop(one, None))

    def _reason(self, one: Recorder, now_ns: int) -> str:
        if now_ns >= self._hourly_ns[one]:
            return one.wants_book or THE_HOUR
        if one.wants_book and not self._is_streamed:
            return one.wants_book
        if one.is_whole and not self._is_streamed and now_ns >= self._silent_ns.get(one, 0):
            if stamp_ns() - one.depth_ns > SILENT_S * 1e9:
                self._silent_ns[one] = now_ns + int(SILENT_AGAIN_S * 1e9)
                return SILENT
        return ""

    async def _ask(self, rest: Rest, one: Recorder, why: str) -> None:
        error: Exception | None = None
        is_taken = False
        try:
            is_taken = await self._get(rest, one, why)
        except EXPECTED as found:
            error = found
        except Exception as found:
            error = found
            _log.exception("collect_book_failed", symbol=one.symbol)
        if is_taken:
            self.failures.pop(one, None)
            if one.is_whole:
                self._backoffs[one].reset()
            self._due_ns[one] = monotonic_ns() + int(self._backoffs[one].next_s() * 1e9)
            self._hourly_ns[one] = monotonic_ns() + self._every_ns
            return
        wait_s = self._backoffs[one].next_s(error)
        self._due_ns[one] = monotonic_ns() + int(wait_s * 1e9)
        if error is not None:
            self.failures[one] = str(error)
            _log.warning("collect_no_book", symbol=one.symbol, why=str(error), again_in_s=round(wait_s, 3))

    async def _get(self, rest: Rest, one: Recorder, why: str) -> bool:
        asked = self._facts.ask_snapshot(one.symbol)
        known, changed_ns = one.depth.last, one.depth_ns
        body = await rest.ask(
            asked.path, asked.params, weight=asked.weight, auth="none", tries=1, timeout_s=TIMEOUT_S
        )
        read = read_book(self._reader_of(one) or self._facts.reader(), body)
        if not one.on_snapshot(body, read, why, stamp_ns()):
            return False
        if why == SILENT and read.last_id > known:
            await self._doubt(one, changed_ns)
        return True

    async def _doubt(self, one: Recorder, changed_ns: int) -> None:
        """The exchange's book has changed: has its stream said so?"""
        await asyncio.sleep(GRACE_S)
        if one.depth_ns == changed_ns and one.is_whole:
            _log.warning("collect_stream_silent", symbol=one.symbol)
            one.lose("its stream was silent while the exchange's book changed", changed_ns, stamp_ns())
            self._again(one)
