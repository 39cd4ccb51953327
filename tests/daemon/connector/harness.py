"""A whole connector: local exchange, connector and channel in one loop; bots in threads."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from daemon.connector.config import Credentials
from daemon.connector.secrets import Secret
from daemon.connector.service import Connector
from daemon.venues.binancefutures.config import BinanceFuturesConfig
from daemon.venues.binancefutures.session import VENUE
from hftd import wire
from hftd.bot.bot import Bot, Instrument
from hftd.clock import monotonic_ns
from sim.exchange.binancefutures.venue import BinanceFutures
from sim.exchange.rules.config import (
    AccountSection,
    ExchangeConfig,
    GenerateSection,
    MarketSection,
    SymbolSection,
)
from sim.exchange.servers.server import LocalExchange

KEY, SECRET = "k" * 64, "s" * 64
CHANNEL = "bf"
_T = TypeVar("_T")


def exchange_config(**more: Any) -> ExchangeConfig:
    """A lively market of two symbols, and one account."""
    return ExchangeConfig(
        **{
            "market": MarketSection(generate=GenerateSection(duration_s=300.0, updates_per_s=300.0)),
            "symbols": [
                SymbolSection(symbol="BTCUSDT", tick_size="0.1", lot_size="0.001"),
                SymbolSection(symbol="ETHUSDT", tick_size="0.1", lot_size="0.001"),
            ],
            "accounts": [AccountSection(name="one", api_key=KEY, secret=SECRET)],
            **more,
        }
    )


class Whole:
    """An exchange and a connector."""

    def __init__(self, exchange: LocalExchange, connector: Connector, serving: "asyncio.Task[None]") -> None:
        self.exchange = exchange
        self.connector = connector
        self.serving = serving

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds."""
        deadline_ns = monotonic_ns() + 60_000_000_000
        while not condition():
            assert monotonic_ns() < deadline_ns, "it never came to be"
            if self.serving.done():
                self.serving.result()
            await asyncio.sleep(0.01)

    async def until_valid(self, symbol: str = "BTCUSDT") -> None:
        """Wait until a symbol's book is valid and orders can be sent."""
        market = self.connector.bots.books.get(self.connector.bots.instrument(symbol).number)
        assert market is not None
        await self.until(lambda: market.is_valid and self.connector.bots.is_connected)

    @property
    def open_orders(self) -> list[Any]:
        """What is open at the exchange."""
        return self.exchange.truth(KEY)["open_orders"]


def bot_of(name: str = "mm", end: str = "cancel", symbol: str = "BTCUSDT", **more: Any) -> Bot:
    """A bot on the channel."""
    return Bot([Instrument(CHANNEL, symbol, 0.1, 0.001, **more)], name=name, end=end)


def wait_for_book(bot: Bot) -> None:
    """Let time pass until there is a book and orders can be sent."""
    for _ in range(300):
        depth = bot.depth(0)
        if depth.best_bid < depth.best_ask and depth.best_bid > 0:
            bot.elapse(300_000_000)
            return
        bot.elapse(50_000_000)
    raise AssertionError("there was never a book")


async def in_thread(run: Callable[[], _T]) -> _T:
    """Run a bot."""
    return await asyncio.wait_for(asyncio.to_thread(run), 60.0)


@asynccontextmanager
async def running(
    tmp_path: Path,
    *,
    config: dict[str, Any] | None = None,
    exchange: ExchangeConfig | None = None,
    has_keys: bool = True,
) -> AsyncIterator[Whole]:
    """An exchange, and a connector that serves `CHANNEL`."""
    async with LocalExchange(BinanceFutures, exchange or exchange_config()) as served:
        connector_config = BinanceFuturesConfig(
            **{
                "stream_url": served.stream_url,
                "api_url": served.rest_url,
                "ws_api_url": served.urls["ws_api"],
                "symbols": ("BTCUSDT",),
                **(config or {}),
            }
        )
        credentials = Credentials(api_key=Secret(KEY), secret=Secret(SECRET)) if has_keys else Credentials()
        journal = tmp_path / "orders.journal" if has_keys else None
        connector = Connector(CHANNEL, VENUE, connector_config, credentials, journal, seed=1)
        serving = asyncio.create_task(connector.run())
        whole = Whole(served, connector, serving)
        try:
            await whole.until(lambda: hasattr(connector, "server") and bool(connector.bots.books.markets()))
            yield whole
        finally:
            connector.stop()
            await asyncio.wait_for(serving, 30.0)


def hello_of(*instruments: tuple[str, float, float], bot: str = "mm", **more: Any) -> wire.Hello:
    """A bot's Hello."""
    from hftd.channel.layout import PROTOCOL_VERSION

    return wire.Hello(
        version=PROTOCOL_VERSION,
        bot=bot,
        pid=1,
        instruments=instruments or (("BTCUSDT", 0.1, 0.001),),
        **more,
    )
