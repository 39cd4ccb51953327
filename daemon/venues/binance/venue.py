"""A member of Binance's futures family as a venue: its facts and the machines, joined."""

import contextlib
from collections.abc import Callable
from typing import Final

import aiohttp

from daemon.connector.config import Credentials
from daemon.connector.limiter import Limiter, Priority
from daemon.connector.venue import Listener
from daemon.connector.watch.offset import ClockOffset
from daemon.redaction import hide
from daemon.session.catalog import Steps
from daemon.session.errors import ExchangeError, WireError
from daemon.session.facts import Handlers, Signer
from daemon.session.market.stream import MarketSession
from daemon.session.rest import Rest
from daemon.session.trading.account import Trading, TradingConfig
from daemon.session.trading.order_socket import WebSocket
from daemon.session.trading.session import AccountSession
from daemon.session.trading.user_stream import AccessOverError
from daemon.venues.binance.account import read_listen_key
from daemon.venues.binance.codes import LISTEN_KEY_CODE
from daemon.venues.binance.config import BinanceConfig
from daemon.venues.binance.contracts import ContractStream
from daemon.venues.binance.facts import MarketFacts, OrderFacts, RestFacts
from daemon.venues.binance.instruments import TRADING, Contract, status_text
from daemon.venues.binance.product import Product
from daemon.venues.binance.queries import Queries
from daemon.venues.binance.signing import make_signer
from hftd.errors import ConfigError

REFRESH_S: Final = 1800.0
"""How often it is extended."""


class ListenKey:
    """Access to the user data stream by a listen key; see `daemon.session.trading.user_stream.Access`.

    It lives 60 minutes from its last extension. A POST while one lives gives the same key and extends it; so a
    restarted connector, and another one of the account, have the same key, and nobody closes it.

    Args:
        rest: Where it comes from.
        url: To which ``/ws/<listen key>`` is appended, such as ``wss://fstream.binance.com/private``.
        product: Whose it is.
    """

    def __init__(self, rest: Rest, url: str, product: Product) -> None:
        self._rest = rest
        self._url = url.rstrip("/")
        self._path = f"{product.rest}/listenKey"
        self._tells_key = product.tells_listen_key
        self._key = ""

    @property
    def secrets(self) -> tuple[str, ...]:
        """The key."""
        return (self._key,)

    async def url(self) -> str:
        """Where to connect, with the key in it."""
        body = await self._rest.ask(self._path, auth="key", method="POST", priority=Priority.ORDERS)
        self._key = read_listen_key(body)
        hide(self._key)
        return f"{self._url}/ws/{self._key}"

    async def enter(self, socket: WebSocket) -> None:
        """The key is all that is asked for."""

    async def extend(self) -> None:
        """Extend the key."""
        try:
            body = await self._rest.ask(self._path, auth="key", method="PUT", priority=Priority.ORDERS)
        except ExchangeError as error:
            if error.code == LISTEN_KEY_CODE:
                raise AccessOverError("the listen key is over") from None
            raise
        if self._tells_key:
            # An answer without a key is an extension all the same.
            with contextlib.suppress(WireError):
                if read_listen_key(body) != self._key:
                    # A socket of another key is open, and silent.
                    raise AccessOverError("the exchange has another listen key now")


class BinanceSession(AccountSession):
    """One account at a member of the family.

    Args:
        product: Which member.
        config: The connector's.
        credentials: Empty for market data alone.
        http: The HTTP client.
        listener: Whom to tell.
        seed: Of all jitter.
    """

    def __init__(
        self,
        product: Product,
        config: BinanceConfig,
        credentials: Credentials,
        http: aiohttp.ClientSession,
        listener: Listener,
        seed: int,
    ) -> None:
        self._product = product
        limiter, offset = Limiter(product.limits), ClockOffset()
        rest = Rest(http, RestFacts(product), config.rest_url(), None, limiter, offset)
        self.contracts = ContractStream(config.contracts_url(), http, self._on_contract, product.st, seed + 7)
        market = MarketSession(
            MarketFacts(product, config.depth, config.best_prices),
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
        super().__init__(
            OrderFacts(product),
            rest,
            market,
            None,
            Queries(rest, {}, config.order_prefix, product),
            limiter,
            offset,
            listener,
            [self.contracts.run],
            seed + 8,
        )
        if credentials.are_there:
            self.trading = self._trading(config, credentials, http, seed)

    def _trading(
        self, config: BinanceConfig, credentials: Credentials, http: aiohttp.ClientSession, seed: int
    ) -> Trading:
        if config.order_entry == "websocket" and not config.orders_url():
            raise ConfigError(
                "where orders go by WebSocket is not known for this host",
                where=config.api_url,
                hint='set ws_api_url, or order_entry = "rest"',
            )
        listener = self._listener
        return trading_of(
            self._product,
            TradingConfig(
                orders_url=config.orders_url(),
                order_prefix=config.order_prefix,
                order_path="ws" if config.order_entry == "websocket" else "rest",
                recv_window_ms=config.recv_window_ms,
                countdown_s=config.countdown_s,
                countdown_every_s=config.countdown_s / 4 if config.countdown_s else 30.0,
                extend_every_s=REFRESH_S,
                life_s=config.connection_life_s,
                seed=seed + 100,
            ),
            config.rest_url(),
            config.user_url(),
            make_signer(credentials.reveal("api_key"), credentials.reveal("secret")),
            http,
            self.handlers(),
            limiter=self._limiter,
            offset=self._offset,
            is_healthy=listener.is_healthy,
        )

    def _on_contract(self, contract: Contract) -> None:
        """The exchange says what happens to a contract: exchangeInfo has the rest."""
        if contract.cs and contract.cs != TRADING:
            stopped = self.catalog.stop(contract.s, status_text(contract.cs))
            if stopped is not None:
                self.on_instruments([stopped])
        self._listener.on_instruments_wanted()

    def counters(self) -> dict[str, int]:
        """All other counters."""
        return super().counters() | {
            "contract_events": self.contracts.events,
            "contract_stream_is_up": int(self.contracts.supervision.is_up),
        }


def trading_of(
    product: Product,
    config: TradingConfig,
    api_url: str,
    user_url: str,
    signer: Signer,
    http: aiohttp.ClientSession,
    handlers: Handlers,
    *,
    limiter: Limiter,
    offset: ClockOffset,
    is_healthy: Callable[[], bool] = lambda: True,
) -> Trading:
    """The trading side of an account.

    Args:
        product: Of which member of the family.
        config: How.
        api_url: REST, such as ``https://fapi.binance.com``.
        user_url: User data, to which ``/ws/<listen key>`` is appended, such as ``wss://fstream.binance.com/private``.
        signer: Of the API key.
        http: The HTTP client; its owner closes it.
        handlers: Whom to tell.
        limiter: Of the address and account.
        offset: Of the exchange's clock.
        is_healthy: While it says False, the dead-man switch is not refreshed.
    """
    rest = Rest(
        http, RestFacts(product), api_url, signer, limiter, offset, recv_window_ms=config.recv_window_ms
    )
    steps: dict[str, Steps] = {}
    return Trading(
        config,
        OrderFacts(product),
        signer,
        http,
        rest,
        Queries(rest, steps, config.order_prefix, product),
        ListenKey(rest, user_url, product),
        steps,
        handlers,
        limiter=limiter,
        offset=offset,
        is_healthy=is_healthy,
    )
