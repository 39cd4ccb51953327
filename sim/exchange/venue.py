"""What a venue of the local exchange provides, and where venues are found.

The framework has accounts, matching, margin, limits, authentication, streams and their queues, mishaps, the clock and
the sockets, and knows no exchange by name. A venue is a folder below this one: its `venue.py` has a class `VENUE` that
says how that exchange is asked, what it answers, and what it says by itself.
"""

import importlib
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from aiohttp import web

from hftd.errors import UsageError
from sim.exchange.accounts.accounts import Account, Order, Payment, Position, Request, Trade, Wallet
from sim.exchange.accounts.matching import Forced
from sim.exchange.playback.market import Market
from sim.exchange.rules.config import ExchangeConfig
from sim.exchange.rules.instruments import Instrument
from sim.exchange.rules.refusals import RefusedError
from sim.exchange.streams.connection import Connection
from sim.exchange.streams.streams import Event, Feed

if TYPE_CHECKING:
    from sim.exchange.core import Exchange


class HttpRequest(NamedTuple):
    """A request over HTTP, as it came: `query` and `body` undecoded; `body` is None if it is too large to be read."""

    method: str
    path: str
    query: str
    body: str | None
    headers: Mapping[str, str]
    address: str


class HttpReply(NamedTuple):
    """The answer: `content` is written as JSON."""

    status: int
    content: Any
    headers: Mapping[str, str] = {}


class SocketServer(Protocol):
    """Serves the WebSocket connections of some paths."""

    async def serve(
        self, socket: web.WebSocketResponse, connection: Connection, request: web.BaseRequest
    ) -> None:
        """Serve one connection until it ends (`connection.texts` reads it); sets `connection.kind`."""
        ...


class LocalVenue(Protocol):
    """What `sim/exchange/<name>/venue.py` calls `VENUE`: a class, made once for each exchange that runs.

    Attributes:
        name: The folder's.
        config_type: Of the configuration file: `ExchangeConfig`, or one with sections of the venue's own.
        statuses: What instruments take in each status: ALL_ORDERS, REDUCING or NO_ORDERS; the first takes all.
        ended: The statuses of an instrument that is being delisted, and of one that is.
        halts: Statuses that chaos lets instruments have for a while.
        forced: How the exchange closes positions by itself; `settlement` is that of a delisting.
        endpoints: Patterns of requests' names that chaos lets fail.
        sockets: Named WebSocket addresses beside the root: their paths.
        pings: Whether the server sends WebSocket pings; else a client has to give signs of life
            (`Connection.on_pong`) by itself.
    """

    name: ClassVar[str]
    config_type: ClassVar[type[ExchangeConfig]]
    statuses: ClassVar[Mapping[str, int]]
    ended: ClassVar[tuple[str, str]]
    halts: ClassVar[Sequence[str]]
    forced: ClassVar[Mapping[str, Forced]]
    endpoints: ClassVar[Sequence[str]]
    sockets: ClassVar[Mapping[str, str]]
    pings: ClassVar[bool]

    def __init__(self, exchange: "Exchange") -> None:
        """Made before the market is open: only the exchange's configuration, clock, chaos and accounts are there."""
        ...

    # Requests.

    async def http(self, request: HttpRequest) -> HttpReply:
        """Answer a request over HTTP: find its `Operation`, authenticate and charge it, and `perform` it.

        Raises:
            ReplyLostError: There is no answer; PageError: something before the exchange answers.
        """
        ...

    def socket(self, path: str) -> SocketServer | None:
        """Who serves WebSocket connections to a path; None: nobody."""
        ...

    def request(self, what: str, params: dict[str, str]) -> Request:
        """What is asked for, in the words in which it came: a new order, a modification or a cancel."""
        ...

    def refusal(self, refused: RefusedError) -> tuple[int, str]:
        """The code and the words for a reason."""
        ...

    def place(self, account: Account, params: dict[str, str], *, counts: bool = True) -> Order:
        """A new order, described in the venue's own words; also by its owner's hand, on the control page."""
        ...

    def cancel(self, account: Account, params: dict[str, str]) -> Order:
        """The end of an order, described in the same way; also by its owner's hand, on the control page."""
        ...

    def describe_order(self, order: Order) -> dict[str, Any]:
        """An order as replies have it."""
        ...

    def describe_instrument(self, instrument: Instrument) -> dict[str, Any]:
        """An instrument as the list of instruments has it."""
        ...

    # What it says by itself.

    def feed(self, instrument: Instrument, market: Market) -> Feed:
        """The streams of an instrument."""
        ...

    def pattern_of(self, stream: str) -> str:
        """A pattern of all streams of the instrument that a stream is of."""
        ...

    def order_events(
        self, order: Order, what: str, trade: Trade | None, time_ms: int, now_ms: int
    ) -> Iterable[Event]:
        """What users are told of an order: NEW, TRADE, CANCELED, EXPIRED, AMENDMENT or CALCULATED."""
        ...

    def account_events(
        self, account: Account, position: Position, time_ms: int, now_ms: int
    ) -> Iterable[Event]:
        """What users are told of the balance and the position that an execution changed."""
        ...

    def on_balance(self, account: Account, wallet: Wallet, change: int) -> None:
        """A balance is changed by hand, as by a deposit."""
        ...

    def on_funding(self, account: Account, payment: Payment) -> None:
        """Funding was paid for a position, or received."""
        ...

    def on_revoke(self, account: Account) -> None:
        """An account's key is revoked: whoever is logged on with it is so no more."""
        ...

    def on_status(self, instrument: Instrument, status: str) -> None:
        """An instrument's status changes, or it is listed or not any more."""
        ...

    # Time.

    def on_time(self) -> None:
        """Look at what ends by itself, such as listen keys."""
        ...

    def expire(self, account: Account) -> None:
        """End what lets an account's user events be heard, as the exchange does it now and then."""
        ...

    def stop(self) -> None:
        """Drop what is under way."""
        ...


def venue_names() -> list[str]:
    """The venues that there are: the packages of this one that have a module `venue`."""
    import sim.exchange as package

    found = (one.name for one in pkgutil.iter_modules(package.__path__) if one.ispkg)
    return sorted(name for name in found if find_spec(f"{package.__name__}.{name}.venue") is not None)


def find_venue(name: str) -> type[LocalVenue]:
    """A venue by its name.

    Raises:
        UsageError: There is no venue of that name.
    """
    names = venue_names()
    if name not in names:
        raise UsageError(f"there is no local exchange {name!r}", hint=f"--venue can be {', '.join(names)}")
    return importlib.import_module(f"sim.exchange.{name}.venue").VENUE
