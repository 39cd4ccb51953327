"""Binance USD-M Futures, as the local exchange's framework asks for it (`sim/exchange/venue.py`)."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import ClassVar, Literal

from sim.exchange.accounts import Account, Position
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
from sim.exchange.matching import Forced
from sim.exchange.refusals import RefusedError
from sim.exchange.streams import Event
from sim.exchange.venue import LocalVenue, SocketServer


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

    name: ClassVar[str] = "binancefutures"
    config_type: ClassVar[type[ExchangeConfig]] = BinanceConfig
    statuses: ClassVar[Mapping[str, int]] = STATUSES
    ended: ClassVar[tuple[str, str]] = ("SETTLING", "CLOSE")
    halts: ClassVar[Sequence[str]] = ("BREAK", "SETTLING", "PENDING_TRADING", "PRE_DELISTING", "TRADING_HALT")
    forced: ClassVar[Mapping[str, Forced]] = FORCED
    prefix: ClassVar[str] = "/fapi"
    endpoints: ClassVar[Sequence[str]] = (
        *(f"GET /fapi/*/{name}" for name in ("openOrders", "userTrades", "positionRisk", "order")),
        *(f"GET /fapi/*/{name}" for name in ("exchangeInfo", "depth", "time")),
        *("GET *", "* /fapi/*/listenKey", "* /fapi/*/countdownCancelAll"),
        *("order.status", "order.cancel", "order.modify"),
    )
    sockets: ClassVar[Mapping[str, str]] = {"ws_api": "/ws-fapi/v1"}
    pings: ClassVar[bool] = True

    request = staticmethod(request_of)
    describe_order = staticmethod(payloads.order_reply)
    describe_instrument = staticmethod(payloads.instrument_query)
    order_events = staticmethod(payloads.order_events)

    def __init__(self, exchange: Exchange) -> None:
        server = exchange.config.exchange
        self.exchange = exchange
        self.keys = ListenKeys(exchange)
        self.tasks = Tasks()
        self.ws_api = WsApi(exchange, self.tasks)
        unrouted = server.unrouted if isinstance(server, BinanceServer) else BinanceServer().unrouted
        self._streams = StreamServer(exchange, unrouted)
        self.http = partial(answer, exchange, self.prefix)
        self.place = partial(api.place_order, exchange)
        self.cancel = partial(api.cancel_order, exchange)
        self.feed = partial(BinanceFeed, exchange)
        self.on_time = self.keys.on_time
        self.expire = self.keys.expire
        self.stop = self.tasks.stop

    def socket(self, path: str) -> SocketServer | None:
        """The WebSocket API or the streams."""
        if path == self.sockets["ws_api"]:
            return self.ws_api
        return self._streams if self._streams.serves(path) else None

    def refusal(self, refused: RefusedError) -> tuple[int, str]:
        """Code and words."""
        return error_of(refused)[:2]

    def pattern_of(self, stream: str) -> str:
        """Streams begin with their instrument."""
        return stream.partition("@")[0] + "@*"

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


VENUE: type[LocalVenue] = BinanceFutures
