"""A place for one connection: made again when it breaks, and, as planned, before the exchange ends it.

At a planned end the next connection comes first: the old one goes on until the new one brings all symbols, and a little
longer, or until `OVERLAP_S` are over. What both bring is written once.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import aiohttp
import structlog

from daemon.collector.link import Link
from daemon.collector.recorder import Recorder
from daemon.collector.source import Source
from daemon.connector.supervise import Backoff, Supervision, supervised
from daemon.connector.watch.unreadable import Unreadable
from hftd.clock import stamp_ns
from hftd.recording import Reconnect

OVERLAP_S: Final = 30.0
LINGER_S: Final = 0.5
"""Streams of one connection may not be in step with each other."""

_log = structlog.get_logger("hftd.collect")


class Slot:
    """See the module.

    Args:
        name: For the log and `hftd status`.
        source: How the exchange speaks.
        recorders: By stream, who is told.
        http: For the connections.
        seed: Of all jitter.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        recorders: Mapping[str, Recorder],
        http: aiohttp.ClientSession,
        seed: int,
    ) -> None:
        self._source = source
        self._recorders = recorders
        self._http = http
        self._seed = seed
        self._backoff = Backoff(0.5, 30.0, seed)
        self._old: list[asyncio.Task[None]] = []
        self.link: Link | None = None
        self.supervision = Supervision(name)
        self.unreadable = Unreadable(_log)
        self._messages = 0

    async def run(self) -> None:
        """Keep a connection up until cancelled."""
        try:
            await supervised(
                self.supervision.name, self._connect_once, self._backoff, supervision=self.supervision
            )
        finally:
            for task in self._old:
                task.cancel()
            await asyncio.gather(*self._old, return_exceptions=True)

    @property
    def messages(self) -> int:
        """That came on all its connections."""
        return self._messages + (self.link.messages if self.link is not None else 0)

    async def _connect_once(self) -> None:
        name = self.supervision.name
        link = Link(
            self._source,
            self._recorders,
            self._http,
            name,
            self._seed + self.supervision.attempts,
            self.unreadable,
            self.supervision.up,
        )
        self.link = link
        running = asyncio.create_task(self._live(link), name=name)
        waiting = [asyncio.create_task(link.is_leaving.wait()), asyncio.create_task(self._relieve(link))]
        try:
            await asyncio.wait([running, waiting[0]], return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            raise
        finally:
            for task in waiting:
                task.cancel()
            self._messages += link.messages
            self.link = None
        if running.done():
            running.result()
            return
        # It goes on until the next one is there.
        self._old.append(running)
        running.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        if task in self._old:
            self._old.remove(task)
        if not task.cancelled():
            # That it broke a little earlier than planned is no news.
            task.exception()

    async def _relieve(self, link: Link) -> None:
        """The old connections end once this one brings all symbols."""
        if not self._old:
            return
        try:
            async with asyncio.timeout(OVERLAP_S):
                await link.is_complete.wait()
                await asyncio.sleep(LINGER_S)
        except TimeoutError:
            pass
        for task in list(self._old):
            task.cancel()

    async def _live(self, link: Link) -> None:
        why = "its planned end"
        try:
            await link.run()
        except Exception as error:
            why = str(error) or type(error).__name__
            raise
        finally:
            now_ns = stamp_ns()
            for recorder in set(self._recorders.values()):
                if recorder.is_heard_by(link):
                    recorder.note(Reconnect(now_ns, self.supervision.name, why))
                    recorder.drop(link, f"the connection ended: {why}", now_ns)
