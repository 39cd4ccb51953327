"""Snapshots of books by REST, one at a time, within the request weights."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

import aiohttp
import structlog

from daemon.connector.limiter import Limiter
from daemon.connector.oddities import Oddities
from daemon.connector.rest import read_body
from daemon.connector.supervise import EXPECTED_ERRORS, Backoff
from daemon.venues.binancefutures import wire
from daemon.venues.binancefutures.config import BinanceFuturesConfig
from daemon.venues.binancefutures.feeds import Feed
from daemon.venues.binancefutures.instruments import WireError, counts_of_headers
from hftd.clock import wall_ns

TIMEOUT_S: Final = 10.0
BODY_MAX_BYTES: Final = 4 << 20

_log = structlog.get_logger("hftd.binancefutures.market")


class Snapshots:
    """Gets snapshots for those who ask, in their order; each again until it is taken.

    Args:
        config: The connector's.
        http: For the requests.
        limiter: The address's request weights.
        take: Given the feed and its snapshot; False if it needs another one.
        oddities: Where answers go that can't be read.
        seed: Of the jitter.
    """

    def __init__(
        self,
        config: BinanceFuturesConfig,
        http: aiohttp.ClientSession,
        limiter: Limiter,
        take: Callable[[Feed, wire.Snapshot], bool],
        oddities: Oddities,
        seed: int,
    ) -> None:
        self._config = config
        self._http = http
        self._limiter = limiter
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
        await self._limiter.wait({"weight_1m": wire.SNAPSHOT_WEIGHT})
        try:
            async with self._http.get(
                f"{self._config.rest_url()}/fapi/v1/depth",
                params={"symbol": symbol, "limit": str(wire.SNAPSHOT_LEVELS)},
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            ) as answer:
                body = await read_body(answer, BODY_MAX_BYTES)
                self._limiter.seen(counts_of_headers(answer.headers), wall_ns())
                if answer.status != 200:
                    self._on_refusal(symbol, answer, body)
                    return False
        except EXPECTED_ERRORS as error:
            _log.warning("no snapshot", symbol=symbol, why=str(error) or type(error).__name__)
            return False
        try:
            snapshot = wire.read_snapshot(body)
        except WireError as error:
            self._oddities.note("snapshot", str(error), body)
            return False
        if not feed.wants_snapshot:
            return True
        return self._take(feed, snapshot)

    def _on_refusal(self, symbol: str, answer: aiohttp.ClientResponse, body: bytes) -> None:
        _log.warning("no snapshot", symbol=symbol, status=answer.status, body=body[:300])
        if answer.status in (418, 429):
            after = answer.headers.get("Retry-After", "")
            seconds = int(after) if after.isascii() and after.isdigit() and len(after) < 8 else 60
            self._limiter.banned_until(wall_ns() + seconds * 1_000_000_000)
