"""A market session with a channel behind it, tapped."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, NamedTuple

import aiohttp
import numpy as np

from daemon.connector.limiter import Limiter, RateLimit
from daemon.connector.market.books import Books
from daemon.connector.watch.offset import ClockOffset
from daemon.messages import Instrument
from daemon.session.facts import RestFacts
from daemon.session.market.stream import MarketSession
from daemon.session.rest import Rest
from daemon.venues.binance.config import BinanceConfig
from daemon.venues.binancecoinm import facts as coinm
from daemon.venues.binancecoinm.config import BinanceCoinMConfig
from daemon.venues.binancefutures import facts as usdm
from daemon.venues.binancefutures.config import BinanceFuturesConfig
from hftd import wire
from hftd.channel.endpoint import MarketTap
from hftd.channel.layout import MODE_SYSTEM
from hftd.channel.memory import ClockPage, MarketRing
from hftd.channel.publisher import MarketPublisher
from hftd.types import event_dtype

BTCUSDT = Instrument(0, "BTCUSDT", Decimal("0.1"), Decimal("0.001"))
ETHUSDT = Instrument(1, "ETHUSDT", Decimal("0.01"), Decimal("0.001"))
BTCUSD = Instrument(
    0, "BTCUSD_PERP", Decimal("0.1"), Decimal(1), contract_size=100.0, inverse=True, base="BTC", quote="USD"
)


class Member(NamedTuple):
    """A member of the family, as tests of its market data need it."""

    venue: str
    config_type: type[BinanceConfig]
    rest: RestFacts
    market: Callable[[str, str], Any]
    instrument: Instrument


USDM = Member("binancefutures", BinanceFuturesConfig, usdm.REST, usdm.MarketFacts, BTCUSDT)
COINM = Member("binancecoinm", BinanceCoinMConfig, coinm.REST, coinm.MarketFacts, BTCUSD)


class Client:
    """What comes out of a connector's market side, as a tap of its channel sees it."""

    def __init__(self, session: MarketSession, books: Books, tap: MarketTap) -> None:
        self.session = session
        self.books = books
        self.limiter = Limiter([])
        self.messages: list[wire.Response] = []
        self.best: list[tuple[int, int, int, bool]] = []
        self._tap = tap

    def look(self) -> list[wire.Response]:
        """Take what has been published."""
        while (read := self._tap.read()) is not None:
            self.messages.append(read[1])
        assert self._tap.lapped == 0
        return self.messages

    def follow(self, instrument: Instrument = BTCUSDT) -> None:
        """Ask for an instrument."""
        self.books.follow(instrument)
        self.session.subscribe(instrument)

    @property
    def states(self) -> list[int]:
        """The book's states, in their order."""
        return [message.state for message in self.look() if isinstance(message, wire.Status)]

    @property
    def rows(self) -> np.ndarray:
        """All rows."""
        parts = [
            np.frombuffer(message.rows, event_dtype)
            for message in self.look()
            if isinstance(message, wire.Feed)
        ]
        return np.concatenate(parts) if parts else np.zeros(0, event_dtype)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds."""
        for _ in range(1000):
            if condition():
                return
            await asyncio.sleep(0.01)
        raise AssertionError("it never came to be")

    async def until_valid(self) -> None:
        """Wait until the book is valid."""
        await self.until(lambda: self.states[-1:] == [wire.BOOK_VALID])


@asynccontextmanager
async def connected(
    keys: dict[str, Any], *, member: Member = USDM, ring_bytes: int = 1 << 24, seed: int = 1
) -> AsyncIterator[Client]:
    """A market session that runs, behind a channel's ring that is tapped."""
    config = member.config_type(**keys)
    with ClockPage.make(7, MODE_SYSTEM) as clock, MarketRing.make(ring_bytes, lossless=False) as ring:
        publisher = MarketPublisher(ring, clock)
        best: list[tuple[int, int, int, bool]] = []
        books = Books(
            publisher,
            config.best_prices == "fused",
            lambda number, bid, ask, is_valid, _now: best.append((number, bid, ask, is_valid)),
        )
        limiter = Limiter([RateLimit("weight_1m", 2400, 60_000_000_000)])
        async with aiohttp.ClientSession() as http:
            session = MarketSession(
                member.market(config.depth, config.best_prices),
                config.market_url(),
                config,
                http,
                Rest(http, member.rest, config.rest_url(), None, limiter, ClockOffset()),
                life_s=config.connection_life_s,
                on_rows=books.on_rows,
                on_book_state=books.on_book_state,
                seed=seed,
            )
            client = Client(session, books, MarketTap(ring))
            client.best, client.limiter = best, limiter
            task = asyncio.create_task(session.run())
            try:
                yield client
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
