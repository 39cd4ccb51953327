"""The exchange without its sockets: instruments, accounts, desk, feeds and users on one market and one clock."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec
from numpy.typing import NDArray

from hftd.errors import UsageError
from sim.asset import AssetModel
from sim.exchange.binancefutures.accounts import Account
from sim.exchange.binancefutures.desk import Desk
from sim.exchange.binancefutures.feeds import Feed
from sim.exchange.binancefutures.gate import Gate
from sim.exchange.binancefutures.instruments import DELIVERY_MS, ONBOARD_MS, Instrument
from sim.exchange.binancefutures.mishaps import Mishaps
from sim.exchange.binancefutures.outages import Outages
from sim.exchange.binancefutures.topics import USER, Topics
from sim.exchange.binancefutures.users import Users
from sim.exchange.chaos import Chaos
from sim.exchange.clock import ExchangeClock
from sim.exchange.config import ExchangeConfig
from sim.exchange.market import Market
from sim.exchange.source import models_of
from sim.exchange.tape import Message

_IDS_START = 5_123_107_831_900
CHANGEABLE: Final = frozenset(
    (
        "tick_size",
        "lot_size",
        "status",
        "min_price",
        "max_price",
        "min_qty",
        "max_qty",
        "market_max_qty",
        "min_notional",
        "multiplier_up",
        "multiplier_down",
        "max_orders",
    )
)
"""What can change of an instrument while the exchange runs."""


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
        self.all_instruments = [Instrument(number, section) for number, section in enumerate(config.symbols)]
        self.instruments = {one.symbol: one for one in self.all_instruments if one.is_listed}
        """Those that are listed."""
        self.accounts = [Account(number, section) for number, section in enumerate(config.accounts)]
        self.gate = Gate(config.limits, self.clock, self.accounts)
        self.users = Users(self.clock, self.chaos, config.limits.listen_key_s, server.ids_seed)
        self.topics = Topics(self.chaos)
        self.outages = Outages(self.chaos)
        self.desk = Desk(
            self.instruments,
            self.accounts,
            self.clock,
            self.users,
            config.limits.modifies_max,
            server.ids_seed,
            [section.symbol for section in config.symbols],
        )
        self.desk.count_order = self.gate.count_order
        self._last_id = _IDS_START
        self._random = random.Random(f"{server.ids_seed}/latency")  # noqa: S311 - it must repeat
        self._models = models_of(config, {one.symbol: one for one in self.all_instruments}, base, dates, rows)
        self.modifying: set[tuple[int, str]] = set()
        """Orders whose modification is under way: the account's number, and as the request names it."""
        self.mishaps = Mishaps(self)
        self.feeds: list[Feed] = []
        self.market: Market = self._open(self._models)
        self.latency = config.latency
        self.users.is_silent = lambda: self.topics.is_silent(USER)
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
                for one in self.all_instruments
            ]
            self.users.feeds = {feed.instrument.symbol: feed for feed in self.feeds}
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
            if feed.instrument.is_listed:
                feed.on_time(now_ns, self.clock)
        self.desk.on_time()
        now_ms = self.now_ms
        self.outages.on_time(now_ms)
        self.topics.on_time(now_ms)
        self.mishaps.on_time(now_ms)

    @property
    def now_ms(self) -> int:
        """The time of what goes wrong: the exchange's, whatever its clock shows."""
        return self.clock.server_ms() - self.clock.offset_ms

    # Instruments.

    def instrument(self, symbol: str) -> Instrument:
        """An instrument, whether it is listed or not.

        Raises:
            UsageError: There is none of that name.
        """
        for one in self.all_instruments:
            if one.symbol == symbol:
                return one
        raise UsageError(
            f"there is no instrument {symbol!r}; there are {', '.join(i.symbol for i in self.all_instruments)}"
        )

    def change(self, symbol: str, changes: dict[str, str]) -> Instrument:
        """Other steps, filters or status of an instrument (keys of `[[symbols]]`); orders that rest keep their price.

        Raises:
            UsageError: It can't be changed to that.
        """
        instrument = self.instrument(symbol)
        was = instrument.section.status
        fixed = set(changes) - CHANGEABLE
        if fixed:
            raise UsageError(
                f"can't change {', '.join(sorted(fixed))}; can change {', '.join(sorted(CHANGEABLE))}"
            )
        try:
            section = msgspec.convert(
                msgspec.to_builtins(instrument.section) | changes, type(instrument.section), strict=False
            )
            instrument.set(section)
        except (msgspec.ValidationError, ValueError) as error:
            raise UsageError(str(error)) from None
        if section.status != was:
            self._tell_contract(instrument, section.status)
        return instrument

    def delist(self, symbol: str) -> None:
        """The end of an instrument: its orders expire, its positions are settled, and it is known no more."""
        instrument = self.instrument(symbol)
        self.change(symbol, {"status": "SETTLING"})
        for account in self.accounts:
            self.desk.force_close(account, instrument, "settlement")
        instrument.is_listed = False
        self.instruments.pop(symbol, None)
        self._tell_contract(instrument, "CLOSE")

    def list_again(self, symbol: str, status: str = "TRADING") -> None:
        """An instrument is listed, for the first time or again."""
        instrument = self.instrument(symbol)
        told = instrument.section.status != status
        self.change(symbol, {"status": status})
        instrument.is_listed = True
        self.instruments[symbol] = instrument
        if not told:
            self._tell_contract(instrument, status)

    def _tell_contract(self, instrument: Instrument, status: str) -> None:
        """`!contractInfo` tells of listings, delistings and statuses; of steps and filters it does not."""
        s = instrument.symbol
        self.topics.publish(
            "!contractInfo",
            f'{{"e":"contractInfo","E":{self.clock.server_ms()},"s":"{s}","ps":"{s}","ct":"PERPETUAL"'
            f',"dt":{DELIVERY_MS},"ot":{ONBOARD_MS},"cs":"{status}","st":1}}'.encode(),
        )

    def _on_message(self, asset_no: int, message: Message) -> None:
        clock = self.clock
        if not self.all_instruments[asset_no].is_listed:
            return
        self.feeds[asset_no].on_message(message, clock.stamp_ms(message.ts_ns), clock.server_ms())
