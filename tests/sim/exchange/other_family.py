"""A made-up exchange of another family: what the local exchange's framework must be able to serve besides.

One socket for all: topics that begin with a snapshot and count their messages, login by a message, orders that are only
received when they are answered, an order stream that says what becomes of them, pings by the client as JSON, and a
dead-man switch that begins when the connection ends.
"""

from functools import partial
from typing import Any, ClassVar

import msgspec
from aiohttp import web

from sim.exchange.accounts.accounts import Account, NewOrder, Order, Payment, Position, Request, Trade, Wallet
from sim.exchange.accounts.matching import Forced
from sim.exchange.accounts.processing import SIGNED, Operation, Params, perform
from sim.exchange.core import Exchange
from sim.exchange.playback.market import Market
from sim.exchange.playback.tape import Level
from sim.exchange.rules.config import ExchangeConfig
from sim.exchange.rules.instruments import ALL_ORDERS, NO_ORDERS, Instrument, parse
from sim.exchange.rules.refusals import RefusedError, Why
from sim.exchange.streams.connection import Connection, Tasks, texts
from sim.exchange.streams.streams import Event, Feed, Listener
from sim.exchange.venue import HttpReply, HttpRequest, SocketServer

_encode = msgspec.json.Encoder().encode
_TIFS = {"Gtc": "GTC", "Ioc": "IOC", "PostOnly": "GTX"}
_STATES = {"NEW": "Live", "PARTIALLY_FILLED": "Live", "FILLED": "Done", "CANCELED": "Gone", "EXPIRED": "Gone"}


class BookFeed(Feed):
    """Of each instrument one topic."""

    def on_depth(self, bids: list[Level], asks: list[Level], time_ms: int, now_ms: int) -> None:
        self.last_id += 1
        if (spoiled := self.spoiled(bids)) is not None:
            self.streams.publish(f"book.{self.instrument.symbol}", self.written("delta", spoiled, asks))

    def written(self, kind: str, bids: list[Level], asks: list[Level]) -> bytes:
        book = {"b": self.texts(bids), "a": self.texts(asks)}
        return _encode({"topic": f"book.{self.instrument.symbol}", "type": kind, "u": self.last_id} | book)

    def snapshot(self) -> bytes:
        return self.written("snapshot", self.levels(1, 5), self.levels(-1, 5))


class Other:
    """The venue."""

    name: ClassVar[str] = "other"
    config_type: ClassVar[type[ExchangeConfig]] = ExchangeConfig
    statuses: ClassVar = {"Trading": ALL_ORDERS, "Closing": NO_ORDERS, "Closed": NO_ORDERS}
    ended: ClassVar = ("Closing", "Closed")
    halts: ClassVar = ("Closing",)
    forced: ClassVar = {"settlement": Forced("settled-{}", "MARKET", "NEW", "TRADE", "")}
    endpoints: ClassVar = ("order.*",)
    sockets: ClassVar = {"all": "/all"}
    pings: ClassVar = False

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.tasks = Tasks()
        self.stop = self.tasks.stop

    def feed(self, instrument: Instrument, market: Market) -> Feed:
        return BookFeed(instrument, market, self.exchange.streams, self.exchange.chaos)

    async def http(self, request: HttpRequest) -> HttpReply:
        return HttpReply(200, {"ms": self.exchange.clock.server_ms()})

    def socket(self, path: str) -> SocketServer | None:
        return self if path == "/all" else None

    async def serve(
        self, socket: web.WebSocketResponse, connection: Connection, request: web.BaseRequest
    ) -> None:
        connection.kind = "all"
        await texts(socket, connection, partial(Client(self, connection).on_text))

    def request(self, what: str, params: Params) -> Request:
        p = params.get
        return Request(
            what, p("id", ""), p("symbol", ""), p("side", ""), "", p("price", ""), p("qty", ""), False
        )

    def refusal(self, refused: RefusedError) -> tuple[int, str]:
        return 1000 + refused.why.value, refused.why.name.lower()

    def place(self, account: Account, params: Params, *, counts: bool = True) -> Order:
        i = self.exchange.instruments.get(params["symbol"])
        if i is None:
            raise RefusedError(Why.UNKNOWN_SYMBOL)
        new = NewOrder(
            instrument=i,
            side=1 if params["side"] == "Buy" else -1,
            kind="LIMIT",
            tif=_TIFS[params["tif"]],
            tick=i.check_tick(parse(params["price"], i.price_digits)),
            lots=i.check_lots(parse(params["qty"], i.qty_digits)),
            client_id=params["id"],
        )
        return self.exchange.matching.place(account, new, counts=counts)

    def cancel(self, account: Account, params: Params) -> Order:
        order = account.open_by_client_id[params["id"]]
        self.exchange.matching.end(order)
        return order

    def describe_order(self, order: Order) -> dict[str, Any]:
        return {"id": order.client_id, "state": _STATES[order.status]}

    def describe_instrument(self, instrument: Instrument) -> dict[str, Any]:
        return {"symbol": instrument.symbol}

    def pattern_of(self, stream: str) -> str:
        return "*." + stream.partition(".")[2]

    def order_events(
        self, order: Order, what: str, trade: Trade | None, time_ms: int, now_ms: int
    ) -> list[Event]:
        filled = order.instrument.qty(order.executed_lots)
        return [("order", {"topic": "order", "filled": filled} | self.describe_order(order))]

    def account_events(self, account: Account, position: Position, time_ms: int, now_ms: int) -> list[Event]:
        return [("wallet", {"topic": "wallet", "balance": account.wallet(position.instrument).balance})]

    def on_balance(self, account: Account, wallet: Wallet, change: int) -> None: ...

    def on_funding(self, account: Account, payment: Payment) -> None: ...

    def on_revoke(self, account: Account) -> None: ...

    def on_status(self, instrument: Instrument, status: str) -> None: ...

    def on_time(self) -> None: ...

    def expire(self, account: Account) -> None: ...


class Client:
    """What a connection has of its own."""

    def __init__(self, venue: Other, connection: Connection) -> None:
        self.venue = venue
        self.connection = connection
        self.listener = Listener(connection)
        self.account: Account | None = None
        self.alone_s = 0
        connection.on_end.append(self.on_end)

    def on_end(self) -> None:
        exchange = self.venue.exchange
        exchange.streams.drop(self.listener)
        if self.account is not None and self.alone_s:
            self.account.countdowns[""] = exchange.matching.now_ms + 1000 * self.alone_s

    def say(self, **content: Any) -> None:
        self.connection.send(_encode(content))

    def on_text(self, text: str) -> None:
        asked, exchange = msgspec.json.decode(text), self.venue.exchange
        match asked:
            case {"op": "ping"}:
                self.connection.on_pong()
                self.say(op="pong")
            case {"op": "login", "key": key, "sign": sign, "alone_s": alone_s}:
                self.account = account = exchange.auth.account(key)
                exchange.auth.verify(account, b"login", sign)
                self.alone_s, account.user_key = alone_s, key
                account.countdowns.pop("", None)
                exchange.users.listen(key, self.listener)
                self.say(op="login")
            case {"op": "subscribe", "topic": topic}:
                if exchange.streams.subscribe(self.listener, topic):
                    feed = exchange.feeds[exchange.instruments[topic.partition(".")[2]].number]
                    assert isinstance(feed, BookFeed)
                    self.connection.send(feed.snapshot())
            case {"op": "order", **params}:
                self.venue.tasks.begin(self._order(params))

    async def _order(self, params: Params) -> None:
        """The answer says that it has come; what becomes of it is said by the order stream."""
        account, venue = self.account, self.venue
        assert account is not None

        def run(_exchange: Exchange, of: Account, given: Params) -> Any:
            self.say(op="order", id=given["id"], code=0)
            try:
                venue.place(of, given)
            except RefusedError as refused:
                code, why = venue.refusal(refused)
                venue.exchange.users.tell(
                    of, {"topic": "order", "id": given["id"], "state": why, "code": code}
                )

        operation = Operation(run, SIGNED, 1, changes=True, what="place")
        await perform(venue.exchange, operation, account, params, "local", None, "order.create")


OTHER: Any = Other
