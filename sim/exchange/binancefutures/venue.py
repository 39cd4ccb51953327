"""Binance USD-M Futures, as the local exchange's framework asks for it (`sim/exchange/venue.py`)."""

from collections.abc import Iterable
from typing import Any, ClassVar, Literal

from sim.exchange.accounts import Account, Order, Position, Request, Trade
from sim.exchange.binancefutures import api, payloads
from sim.exchange.binancefutures.errors import error_of
from sim.exchange.binancefutures.feeds import BinanceFeed
from sim.exchange.binancefutures.listen_keys import ListenKeys
from sim.exchange.binancefutures.orders import FORCED, STATUSES, request_of
from sim.exchange.binancefutures.rest import answer
from sim.exchange.binancefutures.streams import StreamServer
from sim.exchange.binancefutures.wsapi import WsApi
from sim.exchange.config import ExchangeConfig, ServerSection
from sim.exchange.connection import Tasks
from sim.exchange.core import Exchange
from sim.exchange.instruments import Instrument
from sim.exchange.market import Market
from sim.exchange.processing import Params
from sim.exchange.refusals import RefusedError
from sim.exchange.streams import Event
from sim.exchange.venue import HttpReply, HttpRequest, SocketServer


class BinanceServer(ServerSection, frozen=True):
    """`[exchange]`, with what this exchange has of its own.

    Attributes:
        unrouted: What the older paths `/ws` and `/stream` serve: `public` streams, `all`, or nothing (`closed`).
    """

    unrouted: Literal["public", "all", "closed"] = "public"


class BinanceConfig(ExchangeConfig, frozen=True):
    """The whole configuration."""

    exchange: BinanceServer = BinanceServer()


class BinanceFutures:
    """See `LocalVenue`.

    Attributes:
        prefix: Of all paths of REST.
    """

    name: ClassVar = "binancefutures"
    config_type: ClassVar = BinanceConfig
    statuses: ClassVar = STATUSES
    ended: ClassVar = ("SETTLING", "CLOSE")
    halts: ClassVar = ("BREAK", "SETTLING", "PENDING_TRADING", "PRE_DELISTING", "TRADING_HALT")
    forced: ClassVar = FORCED
    prefix: ClassVar = "/fapi"
    endpoints: ClassVar = (
        *(f"GET /fapi/*/{name}" for name in ("openOrders", "userTrades", "positionRisk", "order")),
        *(f"GET /fapi/*/{name}" for name in ("exchangeInfo", "depth", "time")),
        *("GET *", "* /fapi/*/listenKey", "* /fapi/*/countdownCancelAll"),
        *("order.status", "order.cancel", "order.modify"),
    )
    sockets: ClassVar = {"ws_api": "/ws-fapi/v1"}
    pings: ClassVar = True

    def __init__(self, exchange: Exchange) -> None:
        server = exchange.config.exchange
        self.exchange = exchange
        self.keys = ListenKeys(exchange)
        self.tasks = Tasks()
        self.ws_api = WsApi(exchange, self.tasks)
        unrouted = server.unrouted if isinstance(server, BinanceServer) else BinanceServer().unrouted
        self._streams = StreamServer(exchange, unrouted)

    async def http(self, request: HttpRequest) -> HttpReply:
        """See `LocalVenue`, as all that follows."""
        return await answer(self.exchange, self.prefix, request)

    def socket(self, path: str) -> SocketServer | None:
        """The WebSocket API or the streams."""
        if path == self.sockets["ws_api"]:
            return self.ws_api
        return self._streams if self._streams.serves(path) else None

    def request(self, what: str, params: Params) -> Request:
        """From the parameters' names."""
        return request_of(what, params)

    def refusal(self, refused: RefusedError) -> tuple[int, str]:
        """Code and words."""
        return error_of(refused)[:2]

    def place(self, account: Account, params: Params, *, counts: bool = True) -> Order:
        """As `POST order`."""
        return api.place_order(self.exchange, account, params, counts=counts)

    def cancel(self, account: Account, params: Params) -> Order:
        """As `DELETE order`."""
        return api.cancel_order(self.exchange, account, params)

    def describe_order(self, order: Order) -> dict[str, Any]:
        """As the reply to an order."""
        return payloads.order_reply(order)

    def describe_instrument(self, instrument: Instrument) -> dict[str, Any]:
        """As in exchangeInfo."""
        return payloads.instrument_query(instrument)

    def feed(self, instrument: Instrument, market: Market) -> BinanceFeed:
        """The market's streams."""
        return BinanceFeed(self.exchange, instrument, market)

    def pattern_of(self, stream: str) -> str:
        """Streams begin with their instrument."""
        return stream.partition("@")[0] + "@*"

    def order_events(
        self, order: Order, what: str, trade: Trade | None, time_ms: int, now_ms: int
    ) -> Iterable[Event]:
        """ORDER_TRADE_UPDATE and TRADE_LITE."""
        return payloads.order_events(order, what, trade, time_ms, now_ms)

    def account_events(
        self, account: Account, position: Position, time_ms: int, now_ms: int
    ) -> Iterable[Event]:
        """ACCOUNT_UPDATE."""
        mark_tick = self.exchange.feeds[position.instrument.number].mark_tick()
        event = payloads.account_event(account, position, mark_tick, time_ms, now_ms)
        return [("ACCOUNT_UPDATE", event)]

    def on_status(self, instrument: Instrument, status: str) -> None:
        """`!contractInfo` tells of listings, delistings and statuses; of steps and filters it does not."""
        s = instrument.symbol
        dates = f'"dt":{payloads.DELIVERY_MS},"ot":{payloads.ONBOARD_MS}'
        self.exchange.streams.publish(
            "!contractInfo",
            f'{{"e":"contractInfo","E":{self.exchange.clock.server_ms()},"s":"{s}","ps":"{s}","ct":"PERPETUAL"'
            f',{dates},"cs":"{status}","st":1}}'.encode(),
        )

    def on_time(self) -> None:
        """Listen keys end."""
        self.keys.on_time()

    def expire(self, account: Account) -> None:
        """The account's listen key."""
        self.keys.expire(account)

    def stop(self) -> None:
        """Requests of the WebSocket API."""
        self.tasks.stop()


VENUE = BinanceFutures
