"""The exchange without its sockets: instruments, accounts, desk, feeds and users on one market and one clock."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sim.asset import AssetModel
from sim.exchange.binancefutures.accounts import Account
from sim.exchange.binancefutures.desk import Desk
from sim.exchange.binancefutures.feeds import Feed
from sim.exchange.binancefutures.gate import Gate
from sim.exchange.binancefutures.instruments import Instrument
from sim.exchange.binancefutures.topics import Topics
from sim.exchange.binancefutures.users import Users
from sim.exchange.chaos import Chaos
from sim.exchange.clock import ExchangeClock
from sim.exchange.config import ExchangeConfig
from sim.exchange.market import Market
from sim.exchange.source import models_of
from sim.exchange.tape import Message

_IDS_START = 5_123_107_831_900


class Venue:
    """All that the exchange is.

    Args:
        config: Its configuration.
        base: The folder that its paths count from.
        dates: The days to play.
        rows: The market, instead of archives: rows of `event_dtype` by symbol.
        clock: The exchange's; made from the configuration if there is none.

    Raises:
        UsageError: The market can't be played as it is described.
    """

    def __init__(
        self,
        config: ExchangeConfig,
        base: Path,
        dates: list[str],
        rows: dict[str, NDArray[Any]] | None = None,
        clock: ExchangeClock | None = None,
    ) -> None:
        self.config = config
        server = config.exchange
        self.clock = clock or ExchangeClock(server.speed, server.time, server.clock_offset_ms)
        self.chaos = Chaos(config.chaos)
        self.instruments = {
            section.symbol: Instrument(number, section) for number, section in enumerate(config.symbols)
        }
        self.accounts = [Account(number, section) for number, section in enumerate(config.accounts)]
        self.gate = Gate(config.limits, self.clock, self.accounts)
        self.users = Users(self.clock, self.chaos, config.limits.listen_key_s, server.ids_seed)
        self.topics = Topics(self.chaos)
        self.desk = Desk(
            self.instruments,
            self.accounts,
            self.clock,
            self.users,
            config.limits.modifies_max,
            server.ids_seed,
        )
        self.desk.count_order = self.gate.count_order
        self._last_id = _IDS_START
        self._random = random.Random(f"{server.ids_seed}/latency")  # noqa: S311 - it must repeat
        self._models = models_of(config, self.instruments, base, dates, rows)
        self.modifying: set[tuple[int, str]] = set()
        """Orders whose modification is under way: the account's number, and as the request names it."""
        self.feeds: list[Feed] = []
        self.market: Market = self._open(self._models)
        self.latency = config.latency
        self.users.delay_ns = lambda: self.latency_ns("event_ms")
        self.topics.delay_ns = lambda: self.latency_ns("feed_ms")

    def _open(self, models: list[AssetModel]) -> Market:
        market = Market(
            [replace(model) for model in models],
            len(self.accounts),
            self.desk.on_updates,
            self._on_message,
        )
        self.desk.market = market
        if self.feeds:
            for feed in self.feeds:
                feed.play(market)
        else:
            self.feeds = [
                Feed(one, market, self.topics, self._next_id, self.chaos, self.config.exchange.ids_seed)
                for one in self.instruments.values()
            ]
            self.users.feeds = dict(zip(self.instruments, self.feeds, strict=True))
        return market

    def _next_id(self, further: int) -> int:
        """An id of the exchange."""
        self._last_id += further
        return self._last_id

    def latency_ns(self, way: str) -> int:
        """How long a way takes this time."""
        least, most = getattr(self.latency, way)
        return int((least if least == most else self._random.uniform(least, most)) * 1e6)

    # Time.

    def start(self) -> None:
        """The market begins now."""
        self.clock.start(self.market.start_ns)
        self.pump()

    def rewind(self) -> None:
        """The market begins again; open orders end, the accounts stay as they are."""
        for account in self.accounts:
            for order in list(account.open_orders.values()):
                self.desk.end(order, what="EXPIRED")
        self.market = self._open(self._models)
        self.start()

    def pump(self) -> None:
        """Let the market go on to the clock's time."""
        now_ns = self.clock.market_ns()
        if now_ns <= self.market.now_ns:
            return
        self.market.advance(now_ns)
        for feed in self.feeds:
            feed.on_time(now_ns, self.clock)
        self.desk.on_time()

    def _on_message(self, asset_no: int, message: Message) -> None:
        clock = self.clock
        self.feeds[asset_no].on_message(message, clock.stamp_ms(message.ts_ns), clock.server_ms())
