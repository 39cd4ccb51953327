"""The exchanges that each scenario is run against: a new one is one entry more."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from daemon.connector.config import ConnectorConfig
from daemon.orders.ids.wire_ids import from_plain
from daemon.venues.binancecoinm.config import BinanceCoinMConfig
from daemon.venues.binancefutures.config import BinanceFuturesConfig
from daemon.venues.binancespot.config import BinanceSpotConfig
from daemon.venues.bybit.config import BybitConfig
from sim.exchange.bybit.ids import execution_uuid
from sim.exchange.servers.server import LocalExchange
from tests.soak.books import LINEAR, Tolerance


@dataclass(frozen=True)
class Case:
    """One exchange.

    Attributes:
        name: Its folder's.
        config: Of the connector, given the addresses.
        where: The addresses that it is given.
        symbols: The instruments: the one that is traded, and another one. Both have 60,000 for a price and 0.1 for a
            tick.
        balance: Of the account, in each asset.
        pays: The asset that a buyer pays with; empty: the only one.
        sections: Of the local exchange's configuration, by name, as keys.
        connections: How the local exchange calls them.
        paths: How it calls requests: of orders by WebSocket, and of what a reconciliation asks.
        streams: Patterns of what is published: of the account's events, and of the book.
        halted: A status in which no orders are taken.
        switch: The key of the dead-man switch, and how many seconds it is in the scenarios of it; None: there is none.
        by_hand: The words of an order by hand, given side, quantity and price, and those of its cancel.
        codes: The exchange's number for a reason, in `Rule.code`; one that it can't have is left out.
        words: What it says, where the number alone does not tell the reason.
        read_id: Gives our id of an order, of the one that the exchange has.
        read_trade: Gives a trade's id as clients have it, of the trade's number and its order's.
        inverse: By instrument, how much of the quote a contract that is settled in its base is.
        tolerance: Of money.
        bases: By spot instrument, what is traded there. There are balances instead of positions, fees are taken in it,
            and a modification may end an order and make another one.
    """

    name: str
    config: type[ConnectorConfig]
    where: Callable[[LocalExchange], dict[str, str]]
    symbols: tuple[str, str]
    lot: str
    balance: str
    connections: Mapping[str, str]
    paths: Mapping[str, str]
    streams: Mapping[str, str]
    halted: str
    switch: tuple[str, float] | None
    by_hand: Callable[[str, str, str, str], dict[str, str]]
    hand_id: str
    codes: Mapping[str, int]
    read_id: Callable[[str], str] = str
    read_trade: Callable[[int, int], str] = lambda trade_id, _: str(trade_id)
    inverse: Mapping[str, Decimal] = field(default_factory=dict)
    tolerance: Tolerance = LINEAR
    bases: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    pays: str = ""

    @property
    def has_positions(self) -> bool:
        """Whether what is traded are contracts: positions can be closed by force, or reduced and no more than that."""
        return not self.bases

    @property
    def has_balances(self) -> bool:
        """Whether there are balances of assets instead."""
        return bool(self.bases)

    @property
    def has_switch(self) -> bool:
        """Whether the exchange has a dead-man switch."""
        return self.switch is not None

    @property
    def symbol(self) -> str:
        """The one that is traded."""
        return self.symbols[0]


def _binance_where(exchange: LocalExchange) -> dict[str, str]:
    return {
        "stream_url": exchange.stream_url,
        "api_url": exchange.rest_url,
        "ws_api_url": exchange.urls["ws_api"],
    }


def _binance_by_hand(side: str, qty: str, price: str, name: str) -> dict[str, str]:
    kind = {"type": "LIMIT", "timeInForce": "GTC", "price": price} if price else {"type": "MARKET"}
    return {"side": side, "quantity": qty, "newClientOrderId": name} | kind


def _bybit_by_hand(side: str, qty: str, price: str, name: str) -> dict[str, str]:
    kind = {"orderType": "Limit", "timeInForce": "GTC", "price": price} if price else {"orderType": "Market"}
    return {"category": "linear", "side": side.title(), "qty": qty, "orderLinkId": name} | kind


_BINANCE_WS = {
    "place": "order.place",
    "modify": "order.modify",
    "cancel": "order.cancel",
    "query": "order.status",
}
_BINANCE_CODES = {
    "margin": -2019,
    "reduce only": -2022,
    "too many orders": -1015,
    "too many requests": -1003,
    "no permission": -2015,
    "other": -9999,
    "timed out": -1007,
    "wrong time": -1021,
}

USDM = Case(
    name="binancefutures",
    config=BinanceFuturesConfig,
    where=_binance_where,
    symbols=("BTCUSDT", "ETHUSDT"),
    lot="0.001",
    balance="1000000",
    connections={"market": "public", "user": "private", "orders": "ws-api"},
    paths={
        **_BINANCE_WS,
        "open orders": "GET /fapi/*/openOrders",
        "executions": "GET /fapi/*/userTrades",
        "positions": "GET /fapi/*/positionRisk",
        "one order": "GET /fapi/*/order",
        "instruments": "GET /fapi/*/exchangeInfo",
        "switch": "POST /fapi/*/countdownCancelAll",
    },
    streams={"user": "user", "book": "*@depth*"},
    halted="TRADING_HALT",
    switch=("countdown_s", 60.0),
    by_hand=_binance_by_hand,
    hand_id="origClientOrderId",
    codes=_BINANCE_CODES,
)

COINM = Case(
    name="binancecoinm",
    config=BinanceCoinMConfig,
    where=_binance_where,
    symbols=("BTCUSD_PERP", "ETHUSD_PERP"),
    lot="1",
    balance="100",
    connections={"market": "unrouted", "user": "private", "orders": "ws-api"},
    paths={
        **_BINANCE_WS,
        "open orders": "GET /dapi/*/openOrders",
        "executions": "GET /dapi/*/userTrades",
        "positions": "GET /dapi/*/positionRisk",
        "one order": "GET /dapi/*/order",
        "instruments": "GET /dapi/*/exchangeInfo",
        "switch": "POST /dapi/*/countdownCancelAll",
    },
    streams={"user": "user", "book": "*@depth*"},
    halted="PENDING_TRADING",
    switch=("countdown_s", 60.0),
    by_hand=_binance_by_hand,
    hand_id="origClientOrderId",
    codes=_BINANCE_CODES,
    inverse={"BTCUSD_PERP": Decimal(100), "ETHUSD_PERP": Decimal(100)},
    # The last unit of a coin.
    tolerance=Tolerance(5e-9, 5e-9),
)

BYBIT = Case(
    name="bybit",
    config=BybitConfig,
    where=lambda exchange: {
        "stream_url": exchange.urls["public"].partition("/v5")[0],
        "api_url": exchange.rest_url,
    },
    symbols=("BTCUSDT", "ETHUSDT"),
    lot="0.001",
    balance="1000000",
    connections={"market": "public", "user": "private", "orders": "trade"},
    paths={
        "place": "order.create",
        "modify": "order.amend",
        "cancel": "order.cancel",
        "query": "GET /v5/order/realtime",
        "open orders": "GET /v5/order/realtime",
        "executions": "GET /v5/execution/list",
        "positions": "GET /v5/position/list",
        "one order": "GET /v5/order/realtime",
        "instruments": "GET /v5/market/instruments-info",
        "switch": "POST /v5/order/disconnected-cancel-all",
    },
    streams={"user": "user", "book": "orderbook*"},
    halted="PreLaunch",
    switch=("dcp_window_s", 10),
    by_hand=_bybit_by_hand,
    hand_id="orderLinkId",
    codes={
        "margin": 110007,
        "reduce only": 110017,
        "too many orders": 10006,
        "too many requests": 10018,
        "no permission": 10005,
        "other": 110079,
        "timed out": 10000,
        "wrong time": 10002,
    },
    read_id=from_plain,
    read_trade=execution_uuid,
)

SPOT = Case(
    name="binancespot",
    config=BinanceSpotConfig,
    where=_binance_where,
    symbols=("BTCUSDT", "ETHUSDT"),
    lot="0.001",
    balance="1000000",
    pays="USDT",
    connections={"market": "unrouted", "user": "ws-api", "orders": "ws-api"},
    paths={
        **_BINANCE_WS,
        "modify": "order.cancelReplace",
        "open orders": "GET /api/*/openOrders",
        "executions": "GET /api/*/myTrades",
        "positions": "GET /api/*/account",
        "one order": "GET /api/*/order",
        "instruments": "GET /api/*/exchangeInfo",
    },
    streams={"user": "user", "book": "*@depth*"},
    halted="HALT",
    switch=None,
    by_hand=_binance_by_hand,
    hand_id="origClientOrderId",
    codes={why: code for why, code in _BINANCE_CODES.items() if why != "reduce only"} | {"margin": -2010},
    words={"margin": "Account has insufficient balance for requested action."},
    bases={"BTCUSDT": "BTC", "ETHUSDT": "ETH"},
)

CASES = (USDM, COINM, BYBIT, SPOT)
