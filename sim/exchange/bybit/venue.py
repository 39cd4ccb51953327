"""Bybit v5, linear contracts, as the local exchange's framework asks for it (`sim/exchange/venue.py`)."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar

from sim.exchange.accounts.accounts import Account, Payment, Wallet
from sim.exchange.accounts.matching import Forced
from sim.exchange.bybit import api, payloads
from sim.exchange.bybit.config import BybitConfig
from sim.exchange.bybit.errors import error_of
from sim.exchange.bybit.feeds import BybitFeed
from sim.exchange.bybit.orders import FORCED, STATUSES, request_of
from sim.exchange.bybit.rest import answer
from sim.exchange.bybit.sockets import TopicServer
from sim.exchange.bybit.trade import TradeServer
from sim.exchange.core import Exchange
from sim.exchange.rules.config import ExchangeConfig
from sim.exchange.rules.instruments import Instrument
from sim.exchange.rules.refusals import RefusedError
from sim.exchange.streams.connection import Tasks
from sim.exchange.venue import LocalVenue, SocketServer


class Bybit:
    """See `LocalVenue`."""

    name: ClassVar[str] = "bybit"
    config_type: ClassVar[type[ExchangeConfig]] = BybitConfig
    statuses: ClassVar[Mapping[str, int]] = STATUSES
    ended: ClassVar[tuple[str, str]] = ("Delivering", "Closed")
    halts: ClassVar[Sequence[str]] = ("PreLaunch", "Delivering")
    forced: ClassVar[Mapping[str, Forced]] = FORCED
    endpoints: ClassVar[Sequence[str]] = (
        *(f"GET /v5/order/{name}" for name in ("realtime", "history")),
        *(
            "GET /v5/execution/list",
            "GET /v5/position/list",
            "GET /v5/account/*",
            "GET /v5/market/*",
            "GET *",
        ),
        *("POST /v5/order/*", "order.create", "order.cancel", "order.amend"),
    )
    sockets: ClassVar[Mapping[str, str]] = {
        "public": "/v5/public/linear",
        "private": "/v5/private",
        "trade": "/v5/trade",
    }
    pings: ClassVar[bool] = False

    request = staticmethod(request_of)
    describe_instrument = staticmethod(payloads.instrument_row)

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.tasks = Tasks()
        self._servers: dict[str, SocketServer] = {
            self.sockets["public"]: TopicServer(exchange, "public"),
            self.sockets["private"]: TopicServer(exchange, "private"),
            self.sockets["trade"]: TradeServer(exchange, self.tasks),
        }
        self.http = partial(answer, exchange)
        self.place = partial(api.place_order, exchange)
        self.cancel = partial(api.cancel_order, exchange)
        self.describe_order = partial(payloads.order_row, exchange)
        self.order_events = partial(payloads.order_events, exchange)
        self.account_events = partial(payloads.account_events, exchange)
        self.feed = partial(BybitFeed, exchange)
        self.stop = self.tasks.stop
        for account in exchange.accounts:
            # Who has the key is heard as long as somebody listens.
            account.user_key = account.api_key

    def socket(self, path: str) -> SocketServer | None:
        """One of the three."""
        return self._servers.get(path)

    def refusal(self, refused: RefusedError) -> tuple[int, str]:
        """Code and words."""
        return error_of(refused)[:2]

    def pattern_of(self, stream: str) -> str:
        """Topics end with their instrument."""
        return f"*.{stream.rpartition('.')[2]}"

    def on_balance(self, account: Account, wallet: Wallet, change: int) -> None:
        """Nothing is said of it: the next execution tells the balance."""

    def on_funding(self, account: Account, payment: Payment) -> None:
        """It comes as an execution."""
        self.exchange.users.say(account, payloads.funding_events(self.exchange, account, payment))

    def on_revoke(self, account: Account) -> None:
        """Nothing is said of it: the next request is refused."""

    def on_status(self, instrument: Instrument, status: str) -> None:
        """Nothing is said of it: clients look at the list of instruments."""

    def on_time(self) -> None:
        """Nothing ends by itself."""

    def expire(self, account: Account) -> None:
        """There are no listen keys."""


VENUE: type[LocalVenue] = Bybit
