"""What an exchange's folder says to the machines: values, and pure functions of bytes; no socket, no clock."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, Protocol

import msgspec

from daemon.connector.limiter import RateLimit
from daemon.messages import Command, Funding, Funds, Holding, Instrument, Outcome, Report, Transfer
from daemon.session.catalog import Steps
from daemon.session.errors import Odd
from hftd.venues.reader import Message

Auth = Literal["none", "key", "signed"]
"""What a request needs: nothing, the key alone, or a signature."""
Params = Sequence[tuple[str, object]]

# ---- the account


class Signer(Protocol):
    """Makes signatures for one API key."""

    @property
    def api_key(self) -> str:
        """The key's public part, which still is a secret to logs."""
        ...

    @property
    def has_session(self) -> bool:
        """Whether it can log a WebSocket on once for all, or signs each request."""
        ...

    def sign(self, payload: str) -> str:
        """The signature of a text, as the exchange wants it."""
        ...


class Balance(msgspec.Struct, frozen=True):
    """What the account has of an asset, in whole units, without the unrealised profit of positions."""

    asset: str
    wallet: float
    exch_ns: int


class Commission(msgspec.Struct, frozen=True):
    """Fee rates of a symbol: so much of the traded value; negative is a rebate."""

    symbol: str
    maker: float
    taker: float


class AccessExpired(msgspec.Struct, frozen=True):
    """The user data stream's key or login is over: the stream may stay open, and says nothing more."""


class Leaving(msgspec.Struct, frozen=True):
    """The exchange is about to end this connection, and still speaks on it: another one is to be made at once."""


class Other(msgspec.Struct, frozen=True):
    """An event that says nothing about plain orders, positions or balances."""

    name: str


class Pong(msgspec.Struct, frozen=True):
    """The answer to a ping of ours, where it is a message like others: that it came is all that it says."""


Event = Report | Holding | Funds | Transfer | Funding | Balance | AccessExpired | Leaving | Other | Pong
"""What a user data stream says."""


class Error(msgspec.Struct, frozen=True):
    """An error that the exchange answers with.

    Attributes:
        code: Its own, 0 if it gave none.
        retry_after_ms: From when on it wants to hear from us again, in Unix milliseconds; 0 if it does not say.
    """

    code: int
    msg: str = ""
    retry_after_ms: int = 0


class Reply(Protocol):
    """An answer on the socket that orders go out on.

    Two more members may be there: `allowed`, by the limiter's names, where an answer states what the account is
    allowed; and `is_last`, True of a socket that takes nothing new and is to be replaced.
    """

    @property
    def id(self) -> int | str | None:
        """The request's number."""
        ...

    @property
    def status(self) -> int:
        """As HTTP has it: 200 is a success."""
        ...

    @property
    def result(self) -> Any:
        """What it says of a success, still raw."""
        ...

    def failure(self) -> Error | None:
        """The error in it."""
        ...

    def counts(self) -> Mapping[str, int]:
        """What the exchange counted, by the limiter's names."""
        ...


# ---- REST


class Signed(msgspec.Struct, frozen=True):
    """A request as it goes out: what was signed is what is sent.

    Attributes:
        query: Percent-encoded.
        body: None for no body.
    """

    query: str
    headers: dict[str, str]
    body: bytes | None = None


class RestFacts(Protocol):
    """How REST is spoken.

    Two more members may be there: `again_codes`, refusals of a question that is asked again soon (too many of a kind);
    and, of an exchange that counts by paths, `limits_of_call(path, headers)`, which gives (the limiter's name, what the
    account is allowed, what it has used) for each limit that an answer states.
    """

    weight: str
    """The limit that questions count in."""
    time_path: str
    clock_codes: frozenset[int]
    """Outside of the time window: the offset has to be sampled again."""

    def signed(
        self,
        method: str,
        path: str,
        params: Params,
        auth: Auth,
        signer: Signer | None,
        now_ms: int,
        window_ms: int,
    ) -> Signed:
        """A request, ready to be sent.

        `now_ms` is a nonce where the exchange wants those (`daemon.session.rest`), and 0 if nothing is signed.
        """
        ...

    def read_server_time(self, body: bytes) -> int:
        """The exchange's time in milliseconds, from the answer of `time_path`."""
        ...

    def error_of(self, status: int, body: bytes) -> Error | None:
        """The error in an answer; None for a success."""
        ...

    def counts_of_headers(self, headers: Mapping[str, str]) -> dict[str, int]:
        """What the exchange counted, by the limiter's names."""
        ...

    def quiet_s(self, status: int, error: Error | None, headers: Mapping[str, str], now_ms: int) -> float:
        """For how long the exchange wants to hear nothing after this answer; 0: it does not mind."""
        ...

    def allowed(self, words: str) -> int:
        """What an error's words say that is allowed in a minute; 0 if they do not."""
        ...

    def verdict(self, status: int, code: int, message: str) -> tuple[str, int]:
        """What an answer other than a success means: REFUSED and a REASON_*, or UNKNOWN and 0."""
        ...


# ---- orders


class Writer(Protocol):
    """Writes commands as requests of a socket."""

    def request(self, command: Command, steps: Steps, timestamp_ms: int) -> bytes:
        """The request's bytes, which are written at once; `timestamp_ms` is a nonce where the exchange wants those.

        Raises:
            RequestError: The command holds what can't be sent.
        """
        ...


class OrderFacts(Protocol):
    """How orders are sent, and how their fates are told."""

    cost_order: Mapping[str, int]
    """What a new order or a change counts, by the limiter's names."""
    cost_cancel: Mapping[str, int]
    """What a cancel or a question counts."""
    instrument_codes: frozenset[int]
    """Refusals that an instrument's description should have foreseen."""
    too_many_orders_code: int
    """The limits on orders are used up, and nothing else is; 0 if there is no such code."""
    logon_id: str

    def limits_of(self, name: str, limit: int, interval_ns: int) -> Sequence[RateLimit]:
        """A limit of the exchange, with what is kept of it for whom."""
        ...

    def writer(self, signer: Signer, window_ms: int) -> Writer:
        """Writes requests for a socket that is logged on, if `signer` has sessions."""
        ...

    def rest_request(self, command: Command, steps: Steps) -> tuple[str, str, Params]:
        """A command over REST: method, path and parameters, not yet signed.

        Raises:
            RequestError: The command holds what can't be sent.
        """
        ...

    def outcome_of_order(self, command: Command, data: Any, steps: Mapping[str, Steps]) -> Outcome:
        """The outcome of a command that was answered with an order."""
        ...

    def outcome_of_error(self, command: Command, status: int, error: Error | None, text: str = "") -> Outcome:
        """The outcome of a command that was answered with an error."""
        ...

    def logon(self, signer: Signer, timestamp_ms: int) -> bytes:
        """The request that logs a socket on."""
        ...

    def read_reply(self, data: bytes) -> Reply | Pong:
        """An answer on the socket.

        Raises:
            WireError: The bytes are not what was expected.
        """
        ...

    def read_reply_id(self, data: bytes) -> int | str | None:
        """The number of an answer that is otherwise unreadable; None if even that is."""
        ...

    def read_order(self, data: Any, steps: Mapping[str, Steps], source: str) -> Report:
        """An order.

        Raises:
            WireError: The bytes are not what was expected.
        """
        ...

    def read_event(self, data: bytes, steps: Mapping[str, Steps], odd: list[Odd] | None) -> Sequence[Event]:
        """What a message of the user data stream says; what can't be taken over goes to `odd`.

        Raises:
            OddItemError: An order in it can't be taken over.
            WireError: It can't be read.
        """
        ...

    def odd_of_event(self, data: bytes, why: str) -> tuple[list[Odd], str]:
        """What of an event is to be set aside, and the key of an open order that is over with it."""
        ...


# ---- market data

APPLY: Final = 1
"""It follows: apply it."""
HOLD: Final = 2
"""There is no snapshot yet: keep it."""
DROP: Final = 3
"""It is older than the book."""
GAP: Final = 4
"""Something before it is missing: keep it, and get a snapshot."""


class Sync(Protocol):
    """Where a book stands in the exchange's sequence.

    Attributes:
        last_id: The update as of which the book is; -1 without one.
        is_joined: Whether an update has followed the snapshot: only then is it known that the two belong together.
        first_held_pu: What the first update that is kept says was before it.
    """

    last_id: int
    is_joined: bool
    first_held_pu: int

    def lose(self) -> None:
        """The connection broke, or a gap was found: a snapshot is needed."""
        ...

    def diff(self, last_id: int, previous_id: int) -> int:
        """What to do with an update: APPLY, HOLD, DROP or GAP."""
        ...

    def snapshot(self, last_update_id: int) -> bool:
        """Take a snapshot. False if it is older than the first update that was kept: get another one."""
        ...


class ControlReply(msgspec.Struct):
    """The answer to a subscription; `problem` is empty if all is well."""

    id: int | str | None = None
    problem: str = ""


class UnknownEvent(msgspec.Struct):
    """A message that is no event we know: it is counted by this name, and ignored."""

    name: str


Level = tuple[str, str]
"""A price and a quantity in the digits in which they came."""


class Reader(Protocol):
    """Reads messages to rows, as :class:`hftd.venues.reader.MarketReader` does."""

    def read(self, message: bytes, local_ns: int) -> Message | None:
        """A message, received at a time; None for one that is of no kind, or can't be read."""
        ...

    def keep_trade_ids(self) -> None:
        """From now on rows of trades have in the bits of `fval` what they are known by."""
        ...

    def off_grid(self, count: int, per_price: float) -> int:
        """How many of the first rows have a price on no tick; `per_price`: ticks in a price of 1."""
        ...


class Checksum(msgspec.Struct, frozen=True):
    """A CRC-32 of a book, over the digits in which it came.

    Attributes:
        levels: Of each side, the best first.
        text: Of bids and asks, what the checksum is of.
        read: Of a message: its bids and asks as they were sent, and its checksum, None for one without. Raises
            `ValueError` where it can't be read.
        depth: Levels beyond so many of a side are not told of any more, and left out; 0: there is no such window.
    """

    levels: int
    text: Callable[[Sequence[Level], Sequence[Level]], str]
    read: Callable[[bytes], tuple[msgspec.Raw, msgspec.Raw, int | None]]
    depth: int = 0


class Question(msgspec.Struct, frozen=True):
    """A question over REST."""

    path: str
    params: tuple[tuple[str, object], ...]
    weight: int


class MarketFacts(Protocol):
    """How market data is spoken.

    One more member may be there: `checksum`, a `Checksum`.
    """

    streams_max: int
    """Of one connection."""
    streams_a_message: int
    controls_a_second: float
    best_is_book: bool
    """Whether best prices are part of the book."""

    def streams(self, symbol: str) -> tuple[str, ...]:
        """The streams of a symbol, the depth's first."""
        ...

    def part_of(self, stream: str) -> str:
        """Which part of a symbol's market a stream is: "depth", "best" or "trade"."""
        ...

    def control(
        self, method: Literal["SUBSCRIBE", "UNSUBSCRIBE"], streams: Sequence[str], number: int
    ) -> str:
        """A subscription."""
        ...

    def sync(self) -> Sync:
        """The sequence of a book."""
        ...

    def reader(self) -> Reader:
        """Reads what has rows: changes of books, books, best prices and trades; of a connection, or answers."""
        ...

    def read_other(self, message: bytes) -> ControlReply | UnknownEvent | Leaving | Pong:
        """A message of the connection that has no rows.

        Raises:
            WireError: It can't be read.
        """
        ...

    def ask_snapshot(self, symbol: str) -> Question:
        """The question for a whole book."""
        ...

    def ask_levels(self, symbol: str) -> Question:
        """The question for a few levels of a book."""
        ...

    def ask_trades(self, symbol: str) -> Question:
        """The question for the latest trade."""
        ...

    def read_last_trade_ms(self, body: bytes) -> int:
        """When the latest trade was, from the answer to `ask_trades`; -1 without one.

        Raises:
            WireError: The bytes are not what was expected.
        """
        ...


# ---- what is told


def _ignored(_balance: Balance) -> None:
    """Balances are not wanted."""


def _unspent(_funds: Funds | Transfer | Funding) -> None:
    """There are no balances instead of positions."""


def _unheard(_instruments: Sequence[Instrument]) -> None:
    """Changes of instruments are not wanted."""


def _unasked() -> None:
    """Nobody asks for instruments anew."""


def _unguarded(_symbol: str, _client_id: str, _exch_order_id: str) -> None:
    """Orders that can't be read are not watched over."""


class Handlers(msgspec.Struct, frozen=True):
    """Whom the trading side tells; none of these may wait.

    Attributes:
        on_outcome: How a command ended: once each, in any order with the reports about it.
        on_report: What the exchange says of an order, possibly more than once.
        on_holding: A position.
        on_connection: Whether orders can be sent and their fates are heard. After each True, what was missed has to
            be asked for. False at the start.
        on_balance: A balance.
        on_funds: What a spot account has of an asset, or that it was changed by what is no execution.
        on_instruments: Instruments that are described anew, or not traded any more, or again.
        on_instruments_wanted: Something says that the instruments' list has news; it is to be asked for.
        on_unread_order: Symbol, client id and exchange's id of an open order of ours that can't be taken over.
        is_ours: Whether a client id is this connector's; None: those that begin with its prefix are.
    """

    on_outcome: Callable[[Outcome], None]
    on_report: Callable[[Report], None]
    on_holding: Callable[[Holding], None]
    on_connection: Callable[[bool], None]
    on_balance: Callable[[Balance], None] = _ignored
    on_funds: Callable[[Funds | Transfer | Funding], None] = _unspent
    on_instruments: Callable[[Sequence[Instrument]], None] = _unheard
    on_instruments_wanted: Callable[[], None] = _unasked
    on_unread_order: Callable[[str, str, str], None] = _unguarded
    is_ours: Callable[[str], bool] | None = None
