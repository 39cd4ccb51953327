"""Snapshots of books by REST, one at a time."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

import structlog

from daemon.connector.oddities import Oddities
from daemon.connector.supervise import Backoff
from daemon.venues.binancefutures import wire
from daemon.venues.binancefutures.feeds import Feed
from daemon.venues.binancefutures.instruments import WireError
from daemon.venues.binancefutures.rest import ExchangeError, FateUnknownError, NotSentError, Rest

TIMEOUT_S: Final = 10.0

_log = structlog.get_logger("hftd.binancefutures.market")


class Snapshots:
    """Gets snapshots for those who ask, in their order; each again until it is taken.

    Args:
        rest: For the requests; it keeps to the request weights.
        take: Given the feed and its snapshot; False if it needs another one.
        oddities: Where answers go that can't be read.
        seed: Of the waits before another one.
    """

    def __init__(
        self, rest: Rest, take: Callable[[Feed, wire.Snapshot], bool], oddities: Oddities, seed: int
    ) -> None:
        self._rest = rest
        self._take = take
        self._oddities = oddities
        self._backoff = Backoff(0.1, 10.0, seed + 1)
        self._asked: deque[Feed] = deque()
        self._wake = asyncio.Event()

    def ask(self, feed: Feed) -> None:
        """Get a snapshot for this one. The feed asks once: its `wants_snapshot` says that it did."""
        self._asked.append(feed)
        self._wake.set()

    def clear(self) -> None:
        """Nobody wants one any more."""
        self._asked.clear()

    async def run(self) -> None:
        """Get them, until cancelled."""
        while True:
            if not self._asked:
                self._wake.clear()
                await self._wake.wait()
                continue
            feed = self._asked.popleft()
            if not feed.wants_snapshot:
                continue
            if await self._get(feed):
                self._backoff.reset()
            else:
                self._asked.append(feed)
                await asyncio.sleep(self._backoff.next_s())

    async def _get(self, feed: Feed) -> bool:
        symbol = feed.instrument.symbol
        try:
            body = await self._rest.ask(
                "/fapi/v1/depth",
                (("symbol", symbol), ("limit", wire.SNAPSHOT_LEVELS)),
                weight=wire.SNAPSHOT_WEIGHT,
                auth="none",
                tries=1,
                timeout_s=TIMEOUT_S,
            )
        except (ExchangeError, FateUnknownError, NotSentError) as error:
            _log.warning("no snapshot", symbol=symbol, why=str(error))
            return False
        try:
            snapshot = wire.read_snapshot(body)
        except WireError as error:
            self._oddities.note("snapshot", str(error), body)
            return False
        return self._take(feed, snapshot) if feed.wants_snapshot else True
