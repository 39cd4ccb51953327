"""A venue of the family, as the local exchange's framework asks for it (`sim/exchange/venue.py`)."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal

from sim.exchange.accounts.accounts import Account, Order, Payment, Position, Request, Trade, Wallet
from sim.exchange.accounts.limits import DAY_MS
from sim.exchange.accounts.matching import Forced
from sim.exchange.accounts.processing import Operation
from sim.exchange.binance import api
from sim.exchange.binance.errors import CODES, error_of
from sim.exchange.binance.feeds import BinanceFeed
from sim.exchange.binance.listen_keys import ListenKeys
from sim.exchange.binance.orders import FORCED, STATUSES, request_of
from sim.exchange.binance.payloads import ONBOARD_MS, Payloads
from sim.exchange.binance.product import A_MINUTE, OrderWindow
from sim.exchange.binance.rest import answer
from sim.exchange.binance.streams import StreamServer
from sim.exchange.binance.wsapi import WsApi
from sim.exchange.core import Exchange
from sim.exchange.rules.config import ExchangeConfig, ServerSection
from sim.exchange.rules.instruments import Instrument
from sim.exchange.rules.refusals import RefusedError, Why
from sim.exchange.streams.connection import Tasks
from sim.exchange.streams.streams import Event
from sim.exchange.venue import SocketServer


class BinanceServer(ServerSection, frozen=True):
    """`[exchange]`, with what the family has besides.

    Attributes:
        unrouted: What the older paths `/ws` and `/stream` serve: `public` streams, `all`, or nothing (`closed`).
        routed: What `/public`, `/market` and `/private` serve: the streams of their `class`, or `all`. Others are
            confirmed and silent.
        unfit: Post-only orders that would take, and fill-or-kill orders that can't be filled, are `refused`, or taken
            and `expired`.
    """

    unrouted: Literal["public", "all", "closed"] = "public"
    routed: Literal["class", "all"] = "class"
    unfit: Literal["refused", "expired"] = "refused"


class BinanceConfig(ExchangeConfig, frozen=True):
    """The whole configuration."""

    exchange: BinanceServer = BinanceServer()


def endpoints_of(prefix: str) -> tuple[str, ...]:
    """Patterns of a product's requests that chaos lets fail."""
    queried = ("openOrders", "userTrades", "income", "positionRisk", "order", "exchangeInfo", "depth", "time")
    return (
        *(f"GET {prefix}/*/{name}" for name in queried),
        *("GET *", f"* {prefix}/*/listenKey", f"* {prefix}/*/countdownCancelAll"),
        *("order.status", "order.cancel", "order.modify"),
    )


class Binance:
    """See `LocalVenue`, and `Product` for what products differ in."""

    name: ClassVar[str]
    config_type: ClassVar[type[ExchangeConfig]] = BinanceConfig
    server_type: ClassVar[type[BinanceServer]] = BinanceServer
    statuses: ClassVar[Mapping[str, int]] = STATUSES
    ended: ClassVar[tuple[str, str]] = ("SETTLING", "CLOSE")
    halts: ClassVar[Sequence[str]] = ("BREAK", "SETTLING", "PENDING_TRADING", "PRE_DELISTING", "TRADING_HALT")
    forced: ClassVar[Mapping[str, Forced]] = FORCED
    endpoints: ClassVar[Sequence[str]]
    sockets: ClassVar[Mapping[str, str]]
    pings: ClassVar[bool] = True

    prefix: ClassVar[str]
    number: ClassVar[int]
    says: ClassVar[Payloads]
    rest: ClassVar[Mapping[tuple[str, str], Operation]]
    ws_methods: ClassVar[Mapping[str, Operation]]
    codes: Mapping[Why, tuple[int, str, int]] = CODES
    feed_type: ClassVar[type[BinanceFeed]] = BinanceFeed
    ws_api_type: ClassVar[type[WsApi]] = WsApi
    lists_one: ClassVar[bool] = False
    orders_page: ClassVar[tuple[int, int]] = (500, 1000)
    trades_page: ClassVar[tuple[int, int]] = (500, 1000)
    limits_10s: ClassVar[bool] = True
    long_window: ClassVar[OrderWindow] = A_MINUTE
    weight_told: ClassVar[bool] = True
    ws_pool: ClassVar[str] = "ws-api"
    connect_weight: ClassVar[int] = 5
    bad_json: ClassVar[tuple[int, str]] = (-1135, "JSON Request is invalid.")
    wraps_faults: ClassVar[bool] = False
    has_routes: ClassVar[bool] = True
    must_encode: ClassVar[bool] = False
    fine_times: ClassVar[bool] = False
    tells_shutdown: ClassVar[bool] = False
    page_window: ClassVar[tuple[int, int, str]] = (
        7 * DAY_MS,
        -4166,
        "Search window is restricted to recent 7 days only.",
    )

    def __init__(self, exchange: Exchange) -> None:
        found = exchange.config.exchange
        self.server = found if isinstance(found, BinanceServer) else self.server_type()
        self.exchange = exchange
        self.expires_unfit = self.server.unfit == "expired"
        self.keys = ListenKeys(exchange)
        self.tasks = Tasks()
        self.ws_api = self.ws_api_type(exchange, self.tasks)
        self._streams = StreamServer(exchange, self.server.unrouted, self.server.routed)
        self.http = partial(answer, exchange)
        self.place = partial(api.place_order, exchange)
        self.cancel = partial(api.cancel_order, exchange)
        self.feed = partial(self.feed_type, exchange)
        self.on_time = self.keys.on_time
        self.expire = self.keys.expire
        self.stop = self.tasks.stop
        self.on_revoke = self.ws_api.revoke

    def request(self, what: str, params: dict[str, str]) -> Request:
        """In the words in which it came."""
        return request_of(what, params)

    def socket(self, path: str) -> SocketServer | None:
        """The WebSocket API or the streams."""
        if path == self.sockets["ws_api"]:
            return self.ws_api
        return self._streams if self._streams.serves(path) else None

    def refusal(self, refused: RefusedError) -> tuple[int, str]:
        """Code and words."""
        return error_of(refused, self.codes)[:2]

    def describe_order(self, order: Order) -> dict[str, Any]:
        """As replies have it."""
        return self.says.order_reply(order)

    def describe_instrument(self, instrument: Instrument) -> dict[str, Any]:
        """As exchangeInfo has it."""
        return self.says.instrument_query(instrument)

    def pattern_of(self, stream: str) -> str:
        """Streams begin with their instrument."""
        return stream.partition("@")[0] + "@*"

    def order_events(
        self, order: Order, what: str, trade: Trade | None, time_ms: int, now_ms: int
    ) -> Iterable[Event]:
        """ORDER_TRADE_UPDATE, and what else a product says."""
        return self.says.order_events(order, what, trade, time_ms, now_ms)

    def account_events(
        self, account: Account, position: Position, time_ms: int, now_ms: int
    ) -> Iterable[Event]:
        """ACCOUNT_UPDATE."""
        mark_tick = self.exchange.feeds[position.instrument.number].mark_tick()
        event = self.says.account_event(account, position, mark_tick, time_ms, now_ms)
        return [("ACCOUNT_UPDATE", event)]

    def on_balance(self, account: Account, wallet: Wallet, change: int) -> None:
        """Nothing is said of it: the next execution tells the balance."""

    def on_funding(self, account: Account, payment: Payment) -> None:
        """ACCOUNT_UPDATE of the reason FUNDING_FEE: of a crossed position with the balance alone."""
        now_ms, asset = self.exchange.clock.server_ms(), payment.instrument.margin_asset
        self.exchange.users.say(
            account, [("ACCOUNT_UPDATE", self.says.funding_event(account, payment, asset, now_ms))]
        )

    def on_status(self, instrument: Instrument, status: str) -> None:
        """`!contractInfo` tells of listings, delistings and statuses; of steps and filters it does not."""
        names = instrument.symbol, self.says.pair(instrument)
        contract, delivery_ms = self.says.contract(instrument)
        self.publish_contract(*names, contract, delivery_ms, status, self.number)

    def publish_contract(
        self, symbol: str, pair: str, contract: str, delivery_ms: int, status: str, number: int
    ) -> None:
        """Say on `!contractInfo` what a contract of a product is."""
        self.exchange.streams.publish(
            "!contractInfo",
            f'{{"e":"contractInfo","E":{self.exchange.clock.server_ms()},"s":"{symbol}","ps":"{pair}"'
            f',"ct":"{contract}","dt":{delivery_ms},"ot":{ONBOARD_MS},"cs":"{status}","st":{number}}}'.encode(),
        )
