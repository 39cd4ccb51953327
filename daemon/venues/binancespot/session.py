"""Binance Spot as a venue: its facts and the machines, joined."""

from collections.abc import Callable, Iterator
from typing import Final

import aiohttp
import structlog

from daemon.connector.config import Credentials
from daemon.connector.limiter import Limiter
from daemon.connector.venue import Listener, Venue
from daemon.connector.watch.offset import ClockOffset
from daemon.session.catalog import Steps
from daemon.session.facts import Handlers, Signer
from daemon.session.manners import Manners
from daemon.session.market.stream import MarketSession
from daemon.session.rest import Rest
from daemon.session.trading.account import Trading, TradingConfig
from daemon.session.trading.login import Login
from daemon.session.trading.session import AccountSession
from daemon.venues.binance.signing import make_signer
from daemon.venues.binancespot.config import BinanceSpotConfig
from daemon.venues.binancespot.facts import REST, SPOT, LoginFacts, MarketFacts, OrderFacts
from daemon.venues.binancespot.queries import SpotQueries
from daemon.warnings import Warn
from hftd.errors import ConfigError

DOWN_S: Final = 5.0

_log = structlog.get_logger("hftd.connector")


def trading_of(
    config: TradingConfig,
    api_url: str,
    signer: Signer,
    http: aiohttp.ClientSession,
    handlers: Handlers,
    *,
    limiter: Limiter,
    offset: ClockOffset,
    prevention: str = "",
    is_healthy: Callable[[], bool] = lambda: True,
) -> Trading:
    """The trading side of an account.

    Args:
        config: How; the account's events come by the address of its orders.
        api_url: REST, such as ``https://api.binance.com``.
        signer: Of the API key.
        http: The HTTP client; its owner closes it.
        handlers: Whom to tell.
        limiter: Of the address and account.
        offset: Of the exchange's clock.
        prevention: Of self-trades; empty for the exchange's own.
        is_healthy: Nothing hangs on it: there is no dead-man switch.
    """
    rest = Rest(http, REST, api_url, signer, limiter, offset, recv_window_ms=config.recv_window_ms)
    steps: dict[str, Steps] = {}
    return Trading(
        config,
        OrderFacts(steps, prevention),
        signer,
        http,
        rest,
        SpotQueries(rest, steps, config.order_prefix),
        Login(LoginFacts(has_session=signer.has_session), config.orders_url, signer, offset.corrected_ms),
        steps,
        handlers,
        limiter=limiter,
        offset=offset,
        is_healthy=is_healthy,
        manners=Manners(cost_amend=OrderFacts.cost_amend, cost_query=OrderFacts.cost_query),
    )


class SpotSession(AccountSession):
    """One account at Binance Spot.

    Args:
        config: The connector's.
        credentials: Empty for market data alone.
        http: The HTTP client.
        listener: Whom to tell.
        seed: Of all jitter.
    """

    def __init__(
        self,
        config: BinanceSpotConfig,
        credentials: Credentials,
        http: aiohttp.ClientSession,
        listener: Listener,
        seed: int,
    ) -> None:
        limiter, offset = Limiter(SPOT.limits), ClockOffset()
        rest = Rest(http, REST, config.rest_url(), None, limiter, offset)
        market = MarketSession(
            MarketFacts(config.depth, config.best_prices),
            config.market_url(),
            config,
            http,
            rest,
            life_s=config.connection_life_s,
            on_rows=listener.on_rows,
            on_book_state=listener.on_book_state,
            on_off_grid=listener.on_instruments_wanted,
            seed=seed,
        )
        questions = SpotQueries(rest, {}, config.order_prefix)
        super().__init__(
            OrderFacts({}), rest, market, None, questions, limiter, offset, listener, (), seed + 8
        )
        if not credentials.are_there:
            return
        if not config.orders_url():
            raise ConfigError(
                "where the account's events come by WebSocket is not known for this host",
                where=config.api_url,
                hint="set ws_api_url",
            )
        _log.warning("no_dead_man_switch")
        self.trading = trading_of(
            TradingConfig(
                orders_url=config.orders_url(),
                order_prefix=config.order_prefix,
                order_path="ws" if config.order_entry == "websocket" else "rest",
                recv_window_ms=config.recv_window_ms,
                countdown_s=0.0,
                life_s=config.connection_life_s,
                seed=seed + 100,
            ),
            config.rest_url(),
            make_signer(credentials.reveal("api_key"), credentials.reveal("secret")),
            http,
            self.handlers(),
            limiter=limiter,
            offset=offset,
            prevention=config.self_trade_prevention,
            is_healthy=listener.is_healthy,
        )

    def warnings(self) -> Iterator[Warn]:
        """What needs a person."""
        yield from super().warnings()
        if self.trading is not None and not self.trading.is_up:
            yield Warn(
                "no_dead_man_switch",
                "orders can't be sent, and this exchange has no dead-man switch: what is open stays open until the "
                "connection is back, or is cancelled at the exchange by hand",
                after_s=DOWN_S,
            )


VENUE: Final = Venue("binancespot", BinanceSpotConfig, SpotSession)
