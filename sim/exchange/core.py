"""The exchange without its sockets: instruments, accounts, matching, streams, mishaps on one market and one clock."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec
from numpy.typing import NDArray

from hftd.errors import UsageError
from sim.exchange.accounts.accounts import Account
from sim.exchange.accounts.limits import Limits
from sim.exchange.accounts.matching import Matching
from sim.exchange.accounts.mishaps import SETTLEMENT, Mishaps, Outages
from sim.exchange.playback.market import Market
from sim.exchange.playback.source import models_of
from sim.exchange.playback.tape import Message
from sim.exchange.rules.auth import Authentication
from sim.exchange.rules.chaos import Chaos
from sim.exchange.rules.clock import ExchangeClock
from sim.exchange.rules.config import ExchangeConfig
from sim.exchange.rules.instruments import Instrument
from sim.exchange.streams.streams import USER, Feed, Streams, UserStreams
from sim.exchange.venue import LocalVenue
from sim.feed.asset import AssetModel

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


class Exchange:
    """All that the exchange is.

    Args:
        venue: Whose protocol it speaks.
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
        venue: type[LocalVenue],
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
        try:
            self.all_instruments = [
                Instrument(number, section, venue.statuses) for number, section in enumerate(config.symbols)
            ]
        except ValueError as error:
            raise UsageError(str(error)) from None
        self.instruments = {one.symbol: one for one in self.all_instruments if one.is_listed}
        """Those that are listed."""
        assets = list(dict.fromkeys(asset for one in self.all_instruments for asset in one.assets))
        self.accounts = [Account(number, section, assets) for number, section in enumerate(config.accounts)]
        self.limits = Limits(config.limits, self.clock)
        self.auth = Authentication(self.clock, self.accounts)
        self.latency = config.latency
        self.modifying: set[tuple[int, str]] = set()
        """Orders whose modification is under way: the account's number, and as the request names it."""
        self._last_id = _IDS_START
        self._random = random.Random(f"{server.ids_seed}/latency")  # noqa: S311 - it must repeat
        self.venue = venue(self)
        self.streams = Streams(self.chaos, self.venue.pattern_of, lambda: self.latency_ns("feed_ms"))
        self.users = UserStreams(
            self.clock,
            self.chaos,
            self.venue.order_events,
            self.venue.account_events,
            lambda: self.streams.is_silent(USER),
            lambda: self.latency_ns("event_ms"),
        )
        self.outages = Outages(self.chaos, venue.endpoints)
        self.matching = Matching(
            self.accounts,
            self.clock,
            self.users,
            self.limits,
            venue.forced,
            config.limits.modifies_max,
            server.ids_seed,
            [section.symbol for section in config.symbols],
        )
        self.mishaps = Mishaps(self)
        instruments = {one.symbol: one for one in self.all_instruments}
        self._models = models_of(config, venue.name, instruments, base, dates, rows)
        self.feeds: list[Feed] = []
        self.market: Market = self._open(self._models)

    def _open(self, models: list[AssetModel]) -> Market:
        market = Market(
            [replace(model) for model in models],
            len(self.accounts),
            self.matching.on_updates,
            self._on_message,
        )
        self.matching.market = market
        if self.feeds:
            for feed in self.feeds:
                feed.play(market)
        else:
            self.feeds = [self.venue.feed(one, market) for one in self.all_instruments]
        return market

    def next_id(self, further: int) -> int:
        """An id of the exchange, so many further than the last one."""
        self._last_id += further
        return self._last_id

    def latency_ns(self, way: str) -> int:
        """How long a way takes this time."""
        least, most = getattr(self.latency, way)
        return int((least if least == most else self._random.uniform(least, most)) * 1e6)

    # Time.

    def start(self, market_ns: int | None = None, wall_ns: int | None = None) -> None:
        """The market begins, with its first message or at a time of its own, now or at a time of the system's clock."""
        self.clock.start(self.market.start_ns if market_ns is None else market_ns, wall_ns)
        self.pump()

    def rewind(self, market_ns: int | None = None, wall_ns: int | None = None) -> None:
        """The market begins again, as `start` says; open orders end, the accounts stay as they are."""
        for account in self.accounts:
            for order in list(account.open_orders.values()):
                self.matching.end(order, what="EXPIRED")
        self.market = self._open(self._models)
        self.start(market_ns, wall_ns)

    def pump(self) -> None:
        """Let the market go on to the clock's time."""
        now_ns = self.clock.market_ns()
        if now_ns <= self.market.now_ns:
            return
        self.market.advance(now_ns)
        for feed in self.feeds:
            if feed.instrument.is_listed:
                feed.on_time(now_ns, self.clock)
        self.matching.on_time()
        now_ms = self.now_ms
        self.outages.on_time(now_ms)
        self.streams.on_time(now_ms)
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
        was = instrument.status
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
        if instrument.status != was:
            self.venue.on_status(instrument, instrument.status)
        return instrument

    def delist(self, symbol: str) -> None:
        """The end of an instrument: its orders expire, its positions are settled, and it is known no more."""
        instrument = self.instrument(symbol)
        self.change(symbol, {"status": self.venue.ended[0]})
        for account in self.accounts:
            self.matching.force_close(account, instrument, SETTLEMENT)
        instrument.is_listed = False
        self.instruments.pop(symbol, None)
        self.venue.on_status(instrument, self.venue.ended[1])

    def list_again(self, symbol: str, status: str = "") -> None:
        """An instrument is listed, for the first time or again."""
        instrument = self.instrument(symbol)
        was = instrument.status
        self.change(symbol, {"status": status})
        instrument.is_listed = True
        self.instruments[symbol] = instrument
        if instrument.status == was:
            self.venue.on_status(instrument, was)

    def _on_message(self, asset_no: int, message: Message) -> None:
        clock = self.clock
        if not self.all_instruments[asset_no].is_listed:
            return
        self.feeds[asset_no].on_message(message, clock.stamp_ms(message.ts_ns), clock.server_ms())
