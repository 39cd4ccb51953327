"""Binance USD-M Futures as a venue: market data and trading of one account, joined."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp

from daemon.connector.config import ConnectorConfig, Credentials
from daemon.connector.limiter import Limiter
from daemon.connector.offset import ClockOffset
from daemon.connector.supervise import Backoff, Supervision, first_to_end
from daemon.connector.venue import Listener
from daemon.orders.messages import (
    REFUSED,
    STEPS_CHANGED,
    Command,
    Execution,
    Holding,
    Instrument,
    Outcome,
    Report,
)
from daemon.venues.binancefutures.config import BinanceFuturesConfig
from daemon.venues.binancefutures.contracts import ContractStream
from daemon.venues.binancefutures.instruments import Contract, WireError
from daemon.venues.binancefutures.market import MarketSession
from daemon.venues.binancefutures.queries import Queries
from daemon.venues.binancefutures.rest import ExchangeError, FateUnknownError, NotSentError, Rest
from daemon.venues.binancefutures.signing import make_signer
from daemon.venues.binancefutures.trading import CLOCK_AGAIN_S, Trading
from daemon.venues.binancefutures.trading_config import Handlers, TradingConfig, limits_of
from daemon.warnings import Warn
from hftd.channel.status import Connection, Used
from hftd.clock import running_ns, wall_ns
from hftd.constants import REASON_DISCONNECTED
from hftd.errors import ConfigError

CLOCK_EVERY_S: Final = 60.0
WEIGHTS: Final = tuple(limits_of("weight_1m", 2400, 60_000_000_000))
"""Until the exchange has said what they are."""


class BinanceFuturesSession:
    """One account at Binance USD-M Futures; see `daemon.connector.venue.Session`.

    Args:
        config: The connector's.
        credentials: Empty for market data alone.
        http: The HTTP client.
        listener: Whom to tell.
        seed: Of all jitter.
    """

    def __init__(
        self,
        config: BinanceFuturesConfig,
        credentials: Credentials,
        http: aiohttp.ClientSession,
        listener: Listener,
        seed: int,
    ) -> None:
        self._limiter = Limiter(WEIGHTS)
        self._offset = ClockOffset()
        self._listener = listener
        self._rest = rest = Rest(http, config.rest_url(), None, self._limiter, self._offset)
        self._clock_backoff = Backoff(CLOCK_AGAIN_S, CLOCK_EVERY_S, seed + 8)
        self._queries = Queries(rest, {}, config.order_prefix)
        self.market = MarketSession(
            config,
            http,
            rest,
            on_rows=listener.on_rows,
            on_book_state=listener.on_book_state,
            on_off_grid=listener.on_instruments_wanted,
            seed=seed,
        )
        self.contracts = ContractStream(config.contracts_url(), http, self._on_contract, seed + 7)
        self.trading: Trading | None = None
        if credentials.are_there:
            self.trading = self._trading(config, credentials, http, seed)

    def _trading(
        self, config: BinanceFuturesConfig, credentials: Credentials, http: aiohttp.ClientSession, seed: int
    ) -> Trading:
        if config.order_entry == "websocket" and not config.orders_url():
            raise ConfigError(
                "where orders go by WebSocket is not known for this host",
                where=config.api_url,
                hint='set ws_api_url, or order_entry = "rest"',
            )
        listener = self._listener
        return Trading(
            TradingConfig(
                api_url=config.rest_url(),
                ws_api_url=config.orders_url(),
                user_url=config.user_url(),
                order_prefix=config.order_prefix,
                order_path="ws" if config.order_entry == "websocket" else "rest",
                recv_window_ms=config.recv_window_ms,
                countdown_s=config.countdown_s,
                countdown_every_s=config.countdown_s / 4 if config.countdown_s else 30.0,
                life_s=config.connection_life_s,
                seed=seed + 100,
            ),
            make_signer(credentials.api_key.reveal(), credentials.secret.reveal()),
            http,
            Handlers(
                on_outcome=listener.on_outcome,
                on_report=listener.on_report,
                on_holding=listener.on_holding,
                on_connection=listener.on_connection,
                on_instruments=self._on_instruments,
                on_instruments_wanted=listener.on_instruments_wanted,
                on_unread_order=listener.on_unread_order,
                is_ours=listener.is_ours,
            ),
            limiter=self._limiter,
            offset=self._offset,
            is_healthy=listener.is_healthy,
        )

    async def instruments(self) -> list[Instrument]:
        """The exchange's instruments, in its order."""
        if self.trading is not None:
            instruments = await self.trading.instruments()
        else:
            info = await self._queries.exchange_info()
            for name, (limit, interval_ns) in info.limits.items():
                if name.startswith("weight"):
                    for rate in limits_of(name, limit, interval_ns):
                        self._limiter.set_limit(rate)
            instruments = info.instruments
        self._hold(instruments)
        return instruments

    def _hold(self, instruments: Sequence[Instrument]) -> None:
        """Books of instruments whose steps have changed are not valid any more."""
        for one in instruments:
            if one.trouble == STEPS_CHANGED:
                self.market.hold(one.number, one.why)

    def _on_instruments(self, instruments: Sequence[Instrument]) -> None:
        self._hold(instruments)
        self._listener.on_instruments(instruments)

    def _on_contract(self, contract: Contract) -> None:
        """The exchange says what happens to a contract: exchangeInfo has the rest."""
        catalog = self._queries.catalog if self.trading is None else self.trading.catalog
        if (stopped := catalog.hear(contract)) is not None:
            self._on_instruments([stopped])
        self._listener.on_instruments_wanted()

    def subscribe(self, instrument: Instrument) -> None:
        """Follow an instrument's market."""
        self.market.subscribe(instrument)

    def send(self, command: Command) -> None:
        """Send a command."""
        if self.trading is None:
            refusal = Outcome(command.request, REFUSED, REASON_DISCONNECTED, "there is no API key")
            self._listener.on_outcome(refusal)
            return
        self.trading.send(command)

    def rehearse(self, command: Command) -> None:
        """Do everything but send it."""
        if self.trading is not None:
            self.trading.rehearse(command)

    async def open_orders(self) -> Sequence[Report]:
        """All open orders of the account."""
        return await self.trading.open_orders() if self.trading else ()

    async def executions(
        self, symbol: str, since_ns: int, is_counted: Callable[[str, str, int], bool]
    ) -> Sequence[Execution]:
        """A symbol's fills."""
        return await self.trading.executions(symbol, since_ns, is_counted) if self.trading else ()

    async def holdings(self) -> Sequence[Holding]:
        """All positions."""
        return await self.trading.holdings() if self.trading else ()

    async def run(self) -> None:
        """Keep all connections up until cancelled."""
        runs = [self.market.run(), self.contracts.run()]
        runs.append(self._keep_clock() if self.trading is None else self.trading.run())
        await first_to_end(*runs)

    async def _keep_clock(self) -> None:
        """Without trading nothing depends on the exchange's time, but a clock that is off spoils records."""
        while True:
            try:
                await self._rest.sample_clock()
            except (ExchangeError, NotSentError, FateUnknownError, WireError) as error:
                wait_s = self._clock_backoff.next_s(error)
            else:
                self._clock_backoff.reset()
                wait_s = CLOCK_EVERY_S
            await asyncio.sleep(wait_s)

    def exchange_ns(self, now_ns: int) -> int:
        """A moment of ours by the exchange's clock."""
        return self._offset.corrected_ns(now_ns)

    def check_connections(self, why: str) -> None:
        """Make all connections anew."""
        self.market.abort(why)
        if self.trading is not None:
            self.trading.abort(why)

    def connections(self) -> list[Connection]:
        """How the connections are."""
        market = self.market
        found = [
            _connection(market.supervision, messages=market.messages, errors=market.oddities.total),
        ]
        if self.trading is not None:
            found += [
                _connection(self.trading.orders_supervision),
                _connection(self.trading.user_supervision),
            ]
        return found

    def limits(self) -> list[Used]:
        """The exchange's limits."""
        return [
            Used(name=name, used=one["used"], limit=one["limit"])
            for name, one in self._limiter.statistics(running_ns()).items()
        ]

    def warnings(self) -> Iterator[Warn]:
        """What needs a person."""
        if left_s := self._limiter.ban_left_s(running_ns()):
            until = datetime.fromtimestamp((wall_ns() / 1e9) + left_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
            yield Warn(
                "banned",
                f"the exchange bans this address until {until} UTC ({left_s:.0f} s more): nothing is asked over REST, "
                "new orders are refused, the dead-man switch is not refreshed; cancels go by the WebSocket API unless "
                "it is banned as well, else at the end of the ban",
            )
        yield from self.market.warnings()
        if self.trading is not None:
            yield from self.trading.warnings()
        yield from self._offset.warnings(running_ns(), wall_ns())

    def market_counters(self, number: int) -> dict[str, int]:
        """Counters of an instrument's market."""
        feed = self.market.feed(number)
        if feed is None:
            return {}
        return {"messages": feed.messages, "gaps": feed.gaps, "resyncs": feed.resyncs}

    def counters(self) -> dict[str, int]:
        """All other counters."""
        found = self.market.statistics()
        found["contract_events"] = self.contracts.events
        found["contract_stream_is_up"] = int(self.contracts.supervision.is_up)
        if self.trading is not None:
            found.update(self.trading.statistics())
        return found


def _connection(supervision: Supervision, messages: int = 0, errors: int = 0) -> Connection:
    return Connection(
        name=supervision.name,
        is_up=supervision.is_up,
        since_ns=supervision.since_ns,
        reconnects=max(0, supervision.attempts - 1),
        messages=messages,
        errors=errors,
        last_error=supervision.last_error,
    )


class BinanceFutures:
    """The venue; see `daemon.connector.venue.Venue`."""

    name = "binancefutures"
    config_type: type[ConnectorConfig] = BinanceFuturesConfig

    def session(
        self,
        config: Any,
        credentials: Credentials,
        http: aiohttp.ClientSession,
        listener: Listener,
        seed: int,
    ) -> BinanceFuturesSession:
        """Make a session."""
        return BinanceFuturesSession(config, credentials, http, listener, seed)

    def symbols(self, config: Any) -> Sequence[str]:
        """The symbols to follow from the start."""
        return config.symbols


VENUE: Final = BinanceFutures()
