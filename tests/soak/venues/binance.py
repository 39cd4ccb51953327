"""What the members of Binance's futures family share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec

from daemon.session.catalog import ExchangeInfo, Steps
from daemon.session.facts import Signer
from daemon.venues.binance.instruments import read_exchange_info
from daemon.venues.binance.product import Product
from daemon.venues.binance.queries import Queries
from daemon.venues.keys import HmacSigner
from sim.exchange.accounts.accounts import Account
from sim.exchange.binance.listen_keys import keys_of
from sim.exchange.binance.product import product_of
from sim.exchange.binance.wsapi import Session, WsApi
from sim.exchange.core import Exchange
from sim.exchange.servers.server import LocalExchange
from sim.exchange.streams.connection import Tasks
from sim.exchange.streams.streams import Listener
from tests.soak.books import PREFIX
from tests.soak.venues.product import Refusal, SoakProduct

REFUSALS = (
    Refusal(-2019, "Margin is insufficient."),
    Refusal(-2022, "ReduceOnly Order is rejected.", "reduceOnly=true"),
    Refusal(
        -4131, "The counterparty's best price does not meet the PERCENT_PRICE filter limit.", "type=MARKET"
    ),
    Refusal(
        -1008,
        "Server is currently overloaded with other requests. Please try again in a few minutes.",
        status=503,
    ),
    Refusal(-2027, "Exceeded the maximum allowable position at current leverage."),
    Refusal(-4418, "Opening positions is not allowed in your region."),
    Refusal(-9999, "A code that nobody has heard of."),
)


@dataclass(frozen=True, kw_only=True)
class BinanceProduct(SoakProduct):
    """A member of the family.

    Attributes:
        product: What tells the connector's side apart from others.
    """

    product: Product

    clocks: ClassVar[tuple[str, ...]] = ("daemon.venues.binance.queries",)
    places: ClassVar[tuple[str, str]] = ("order.place", "order.*")
    settings: ClassVar[dict[str, Any]] = {"countdown_s": 0.0}
    sockets: ClassVar[tuple[str, ...]] = ("private", "ws-api", "public", "")

    @property
    def forced_ids(self) -> tuple[str, ...]:  # type: ignore[override]
        """How client ids of the exchange's own orders begin."""
        return tuple(one.client_id.partition("{")[0] for one in self.local.forced.values())

    @property
    def fails(self) -> tuple[str, ...]:  # type: ignore[override]
        """Patterns of requests that may fail for a while."""
        prefix = self.product.prefix
        return f"GET {prefix}/*", f"GET {prefix}/v1/openOrders", "order.*"

    def signer(self, key: str, secret: str) -> Signer:
        """HMAC."""
        return HmacSigner(key, secret)

    def queries(self, rest: Any, steps: dict[str, Steps]) -> Queries:
        """The family's."""
        return Queries(rest, steps, PREFIX, self.product)

    def info(self, exchange: Exchange) -> ExchangeInfo:
        """exchangeInfo."""
        told = product_of(exchange).rest["GET", "/v1/exchangeInfo"].run(exchange, None, {})
        return read_exchange_info(msgspec.json.encode(told), is_inverse=self.product.is_inverse)

    def listen_orders(self, exchange: Exchange, tasks: Tasks) -> Callable[[Any], None]:
        """The WebSocket API."""
        api = WsApi(exchange, tasks)

        def listen(wire: Any) -> None:
            wire.kind = "ws-api"
            session = Session(wire, "local", True, 0)
            wire.on_request = lambda text: api.on_text(session, text)

        return listen

    def listen_user(self, exchange: Exchange, account: Account) -> Callable[[Any], None]:
        """Under a listen key that has just been asked for."""

        def listen(wire: Any) -> None:
            wire.kind = "private"
            exchange.users.listen(keys_of(exchange).start(account), Listener(wire))

        return listen

    def by_hand(
        self, symbol: str, name: str, side: str, qty: str, price: str, *, takes_own: bool
    ) -> dict[str, str]:
        """A limit order."""
        return {
            "symbol": symbol,
            "side": side,
            "type": "LIMIT",
            "timeInForce": "GTC",
            "quantity": qty,
            "price": price,
            "newClientOrderId": name,
            "selfTradePreventionMode": "NONE" if takes_own else "EXPIRE_TAKER",
        }

    def by_hand_again(self, symbol: str, name: str) -> dict[str, str]:
        """By its name."""
        return {"symbol": symbol, "origClientOrderId": name}

    def urls(self, exchange: LocalExchange) -> dict[str, str]:
        """Orders have an address of their own."""
        return super().urls(exchange) | {"ws_api_url": exchange.urls["ws_api"]}

    def silences(self, symbol: str) -> tuple[str, ...]:
        """All of a symbol, its book, the account's events."""
        return f"{symbol.lower()}@*", f"{symbol.lower()}@depth*", "user"

    def lower_limits(self, exchange: Exchange) -> Callable[[], None]:
        """Weights and orders are counted."""
        limits, was = exchange.limits, exchange.limits.settings
        limits.settings = msgspec.structs.replace(was, weight_1m=2400, orders_10s=20, bans_after=3, ban_s=2.0)
        limits.use_up(2300)

        def put_right() -> None:
            limits.settings = was

        return put_right
