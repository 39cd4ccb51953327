"""Binance Spot, as the local exchange's framework asks for it (`sim/exchange/venue.py`)."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec

from sim.exchange.accounts.accounts import Account, Order, Request, Trade, Wallet
from sim.exchange.accounts.limits import DAY_MS
from sim.exchange.accounts.matching import BY_DELISTING, Forced
from sim.exchange.accounts.processing import Operation
from sim.exchange.binance.errors import CODES
from sim.exchange.binance.family import Binance, BinanceConfig, BinanceServer
from sim.exchange.binance.feeds import BinanceFeed
from sim.exchange.binance.payloads import Payloads, money
from sim.exchange.binance.product import A_DAY, OrderWindow
from sim.exchange.binance.wsapi import WsApi
from sim.exchange.binancespot import api
from sim.exchange.binancespot.feeds import SpotFeed
from sim.exchange.binancespot.orders import request_of
from sim.exchange.binancespot.wsapi import SpotWsApi, user_key
from sim.exchange.rules.config import ExchangeConfig, LimitsSection, SymbolSection
from sim.exchange.rules.instruments import ALL_ORDERS, NO_ORDERS, Instrument
from sim.exchange.rules.refusals import Why
from sim.exchange.streams.streams import Event
from sim.exchange.venue import LocalVenue

_FILTER: Final = "Filter failure: "
_REJECTED: Final = {
    Why.CLOSED: "Market is closed.",
    Why.DOUBLED_CLIENT_ID: "Duplicate order sent.",
    Why.NO_MARGIN: "Account has insufficient balance for requested action.",
    Why.WOULD_TAKE: "Order would immediately match and take.",
}
_FILTERS: Final = {
    **dict.fromkeys((Why.TICK, Why.PRICE_LOW, Why.PRICE_HIGH), "PRICE_FILTER"),
    **dict.fromkeys((Why.ABOVE_BAND, Why.BELOW_BAND), "PERCENT_PRICE_BY_SIDE"),
    **dict.fromkeys((Why.QTY_ZERO, Why.LOT, Why.QTY_LOW, Why.QTY_HIGH), "LOT_SIZE"),
    **dict.fromkeys((Why.VALUE_LOW, Why.AMENDED_VALUE_LOW), "NOTIONAL"),
    Why.TOO_MANY_OPEN: "MAX_NUM_ORDERS",
    Why.TOO_MANY_AMENDS: "MAX_NUM_ORDER_AMENDS",
}
_AMENDS: Final = {
    Why.NOT_CHANGED: "The requested action would change no state; rejecting.",
    Why.NO_AMENDS: "Market is closed.",
    Why.AMEND_PENDING: "Another amend of this order is under way.",
    Why.NOT_LIMIT: "Order amend is not supported for this order type.",
}
SPOT_CODES: Final[Mapping[Why, tuple[int, str, int]]] = (
    CODES
    | {why: (-2010, msg, 400) for why, msg in _REJECTED.items()}
    | {why: (-1013, _FILTER + name, 400) for why, name in _FILTERS.items()}
    | {why: (-2038, msg, 400) for why, msg in _AMENDS.items()}
    | {Why.LATE_AT_ENGINE: CODES[Why.LATE]}
)


class SpotServer(BinanceServer, frozen=True):
    """`[exchange]`: all streams are on `/ws` and `/stream`, unless they are closed."""

    unrouted: Literal["public", "all", "closed"] = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.routed, self.unfit) != ("class", "refused"):
            raise ValueError("`routed` and `unfit` are settings of futures: leave them out")


class SpotSymbol(SymbolSection, frozen=True):
    """One of `[[symbols]]`; what orders may be worth at most stands in `max_notional`, 0 is no limit."""

    symbol: Annotated[str, msgspec.Meta(pattern="^[A-Z0-9_\u0080-\U0010ffff]{1,32}$")] = "BTCUSDT"
    tick_size: str = "0.01"
    lot_size: str = "0.00001"
    spot: bool = True
    min_price: str = "0.01"
    max_price: str = "1000000"
    min_qty: str = "0.00001"
    max_qty: str = "9000"
    market_max_qty: str = "120"
    min_notional: str = "5"
    max_notional: str = "9000000"
    multiplier_up: str = "5"
    multiplier_down: str = "0.2"
    maker_fee: str = "0.001"
    taker_fee: str = "0.001"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.spot:
            raise ValueError("`spot` must be true")


class SpotLimits(LimitsSection, frozen=True):
    """`[limits]`, as Spot states them; orders are counted until they are executed."""

    weight_1m: Annotated[int, msgspec.Meta(ge=0)] = 6000
    orders_10s: Annotated[int, msgspec.Meta(ge=0)] = 100
    orders_1m: Annotated[int, msgspec.Meta(ge=0)] = 0
    orders_1d: Annotated[int, msgspec.Meta(ge=0)] = 200_000
    fills_give_back: bool = True
    stream_messages_1s: Annotated[int, msgspec.Meta(ge=0)] = 5
    ping_s: Annotated[float, msgspec.Meta(gt=0)] = 20.0
    pong_s: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    notice_s: Annotated[float, msgspec.Meta(ge=0)] = 10.0
    modifies_max: Annotated[int, msgspec.Meta(ge=0)] = 10


class SpotConfig(BinanceConfig, frozen=True, kw_only=True):
    """The whole configuration."""

    symbols: Annotated[list[SpotSymbol], msgspec.Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: [SpotSymbol()]
    )
    exchange: SpotServer = SpotServer()
    limits: SpotLimits = SpotLimits()


class BinanceSpot(Binance):
    """See `LocalVenue` and `Product`."""

    name: ClassVar[str] = "binancespot"
    config_type: ClassVar[type[ExchangeConfig]] = SpotConfig
    server_type: ClassVar[type[BinanceServer]] = SpotServer
    statuses: ClassVar[Mapping[str, int]] = {"TRADING": ALL_ORDERS} | dict.fromkeys(
        ("END_OF_DAY", "HALT", "BREAK", "CANCEL_ONLY"), NO_ORDERS
    )
    ended: ClassVar[tuple[str, str]] = ("BREAK", "BREAK")
    halts: ClassVar[Sequence[str]] = ("HALT", "BREAK", "CANCEL_ONLY")
    # There is nothing to liquidate; of an instrument that is delisted, orders end.
    forced: ClassVar[Mapping[str, Forced]] = {
        "settlement": Forced("settlement-{}", "MARKET", "NEW", "TRADE", BY_DELISTING)
    }
    prefix: ClassVar[str] = "/api"
    number: ClassVar[int] = 0
    endpoints: ClassVar[Sequence[str]] = (
        *(f"GET /api/v3/{name}" for name in ("openOrders", "myTrades", "account", "order", "allOrders")),
        *(f"GET /api/v3/{name}" for name in ("exchangeInfo", "depth", "time", "account/commission")),
        *("GET *", "userDataStream.*", "order.status", "order.cancel", "order.cancelReplace"),
        *("order.amend.keepPriority", "openOrders.*", "account.status"),
    )
    sockets: ClassVar[Mapping[str, str]] = {"ws_api": "/ws-api/v3"}
    says: ClassVar[Payloads] = api.SAYS
    rest: ClassVar[Mapping[tuple[str, str], Operation]] = api.REST
    ws_methods: ClassVar[Mapping[str, Operation]] = api.WS_METHODS
    codes: Mapping[Why, tuple[int, str, int]] = SPOT_CODES
    feed_type: ClassVar[type[BinanceFeed]] = SpotFeed
    ws_api_type: ClassVar[type[WsApi]] = SpotWsApi
    long_window: ClassVar[OrderWindow] = A_DAY
    ws_pool: ClassVar[str] = "rest"
    connect_weight: ClassVar[int] = 2
    wraps_faults: ClassVar[bool] = True
    has_routes: ClassVar[bool] = False
    must_encode: ClassVar[bool] = True
    fine_times: ClassVar[bool] = True
    tells_shutdown: ClassVar[bool] = True
    page_window: ClassVar[tuple[int, int, str]] = (
        DAY_MS,
        -1127,
        "More than 24 hours between startTime and endTime.",
    )

    def __init__(self, exchange: Any) -> None:
        super().__init__(exchange)
        subscriptions = self.ws_api
        assert isinstance(subscriptions, SpotWsApi)
        self.place = partial(api.place_order, exchange)
        self.cancel = partial(api.cancel_order, exchange)
        self.on_time = subscriptions.on_time
        self.expire = subscriptions.expire
        for account in exchange.accounts:
            account.user_key = user_key(account)

    def request(self, what: str, params: dict[str, str]) -> Request:
        """In the words in which it came."""
        return request_of(what, params)

    def describe_order(self, order: Order) -> dict[str, Any]:
        """As queries have it."""
        return self.says.order_query(order)

    def order_events(
        self, order: Order, what: str, trade: Trade | None, time_ms: int, now_ms: int
    ) -> Iterable[Event]:
        """An execution, under an id, and the balances: what is locked is changed by each."""
        # Once the market has ended its time stands still.
        time_ms = max(time_ms, order.created_ms)
        for asset in (order.instrument.base, order.instrument.quote):
            wallet = order.account.wallets[asset]
            wallet.updated_ms = max(wallet.updated_ms, time_ms)
        events = self.says.order_events(order, what, trade, time_ms, now_ms)
        events[0][1]["I"] = self.exchange.next_id(1)
        return events

    def on_balance(self, account: Account, wallet: Wallet, change: int) -> None:
        """balanceUpdate, and what there is now is said by the next outboundAccountPosition."""
        wallet.updated_ms = now_ms = self.exchange.clock.server_ms()
        event = {"e": "balanceUpdate", "E": now_ms, "a": wallet.asset, "d": money(change), "T": now_ms}
        self.exchange.users.say(account, [("balanceUpdate", event)])

    def on_status(self, instrument: Instrument, status: str) -> None:
        """Nothing is said of it: clients look at the list of instruments."""


VENUE: type[LocalVenue] = BinanceSpot
