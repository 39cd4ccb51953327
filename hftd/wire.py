"""The messages, as msgspec makes and reads them: each a msgpack array whose first element is its number.

Data plane (in the rings): what the compiled side reads and writes in :mod:`hftd.channel.messages`. Control
plane (over the socket): :class:`Hello`, :class:`Welcome`, :class:`Refused`, :class:`Bye`, :class:`Ask`,
:class:`Answer`.

Prices are in ticks of the instrument as the bot gave it in its Hello; quantities in units of the instrument;
times in nanoseconds since the epoch. Sides, order types, times in force and states are the codes of
:mod:`hftd.types`.

What these classes say of a message is said nowhere else: compiled code has its records from `columns`. Messages of many
fields are made by name alone.
"""

from typing import Annotated, Any, Final

import msgspec

from hftd.constants import BOOK_INVALID, BOOK_VALID, CONNECTED, DISCONNECTED, HALTED

PROTOCOL_VERSION: Final = 5
"""The version of layout, frames and messages together; any change of any of them raises it."""

OrderId = Annotated[int, "0 to 2**64 - 1"]
"""A bot's own id of an order."""


class Feed(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Rows of `event_dtype`, 64 bytes each, at most `MAX_ROWS`; the last field, so that they are aligned."""

    instrument: int
    rows: bytes


class Status(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """What an instrument's book, or the way of its orders, is worth from here on.

    BOOK_VALID and BOOK_INVALID are of the book. CONNECTED, DISCONNECTED and HALTED are of the way that its orders and
    their answers take: HALTED is a way that is connected, on which the connector takes no new orders. It may stand in
    both rings; in a response ring, for a newcomer.
    """

    instrument: int
    state: int


class OrderUpdate(msgspec.Struct, frozen=True, array_like=True, kw_only=True, tag=3):
    """An order's state after an answer or an execution, and the account's after it (absolute values).

    Attributes:
        status: The order's, as a NEW, FILLED ...; NONE where a request was refused that made no order.
        req: NONE, or REJECTED: the request with this `local_ts` was refused, and the rest of the message is not taken
            over; the order is what it was before the request, and if that was to make it, or `status` is EXPIRED,
            it is over.
        exch_ts: When the exchange did it; 0 if it did not get that far, or it is not known.
        local_ts: The `local_ts` of the request that this answers; in a later message, of the last one answered.
        recv_ts: When the bot's side of the wire received it, on the bot's clock; on the system's clock the bot takes
            the moment at which it reads it.
        executed: 1 if this message is about an execution (`exec_qty`, `exec_price_tick`, `maker`), else 0. Only then
            the account's values are taken over.
        reason: Why it was refused or ended, a REASON_* of :mod:`hftd.constants`; 0 if there is none.
    """

    instrument: int
    order_id: OrderId
    status: int
    req: int
    side: int
    order_type: int
    time_in_force: int
    maker: int
    price_tick: int
    qty: float
    leaves_qty: float
    exec_qty: float
    exec_price_tick: int
    exch_ts: int
    local_ts: int
    recv_ts: int
    executed: int
    position: float
    balance: float
    fee: float
    num_trades: int
    trading_volume: float
    trading_value: float
    reason: int = 0


class State(msgspec.Struct, frozen=True, array_like=True, kw_only=True, tag=4):
    """The account's state in an instrument, in absolute values."""

    instrument: int
    position: float
    balance: float
    fee: float
    num_trades: int
    trading_volume: float
    trading_value: float


class Splice(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """The book rows before this, in the response ring, are the market up to `position` of the market ring."""

    position: int


NOTICE_REFUSED: Final = 1
NOTICE_FORCED_CLOSE: Final = 2
NOTICE_BY_HAND: Final = 3
MAX_NOTICE_CHARS: Final = 500


class Notice(msgspec.Struct, frozen=True, array_like=True, kw_only=True, tag=6):
    """Words for whoever runs the bot, in a response ring; the strategy does not see it.

    Attributes:
        kind: NOTICE_REFUSED: a request about `order_id` was refused, in these words of the exchange; the update that
            says so follows. NOTICE_FORCED_CLOSE: the exchange closed a part of the bot's position by itself; the State
            before has what is left. NOTICE_BY_HAND: somebody else traded what the bot holds.
        order_id: The order's, 0 if it is about none.
        reason: A REASON_* of :mod:`hftd.constants`.
        code: The exchange's own number, 0 if there is none.
        position: The bot's, after it.
        words: At most `MAX_NOTICE_CHARS`.
    """

    instrument: int
    kind: int
    order_id: OrderId
    reason: int
    code: int
    position: float
    words: str


class Submit(msgspec.Struct, frozen=True, array_like=True, kw_only=True, tag=16):
    """A new order."""

    instrument: int
    order_id: OrderId
    side: int
    order_type: int
    time_in_force: int
    price_tick: int
    qty: float
    local_ts: int


class Modify(msgspec.Struct, frozen=True, array_like=True, tag=17):
    """A new price and quantity for an order."""

    instrument: int
    order_id: OrderId
    price_tick: int
    qty: float
    local_ts: int


class Cancel(msgspec.Struct, frozen=True, array_like=True, tag=18):
    """Take an order out of the market."""

    instrument: int
    order_id: OrderId
    local_ts: int


class Resync(msgspec.Struct, frozen=True, array_like=True, tag=19):
    """The bot was lapped: send books, orders and positions again, then a Splice."""


class Inquire(msgspec.Struct, frozen=True, array_like=True, tag=20):
    """What became of this order? A bot that came back asks it for each order that it holds for open.

    The answer is an OrderUpdate with the order's true state, `req` NONE and `executed` 0. For an order that the daemon
    knows nothing of (its Submit was never read) it has this `local_ts`, `req` REJECTED, `status` EXPIRED and
    REASON_NEVER_SENT.

    Attributes:
        local_ts: Of the bot's last request for the order.
    """

    instrument: int
    order_id: OrderId
    local_ts: int


Response = Feed | Status | OrderUpdate | State | Splice | Notice
"""What a market ring or a response ring may hold."""
Request = Submit | Modify | Cancel | Resync | Inquire


class Limits(msgspec.Struct, frozen=True, array_like=True):
    """What a bot wants to be held to; 0 for no limit. The daemon's own limits hold as well.

    Attributes:
        order_qty: Of one order.
        order_value: Price * quantity (* contract size) of one order.
        position: Of the position in an instrument, long or short, with what is open on that side filled.
        open_orders: At a time.
        orders_a_second: New orders and modifications.
        price_band: How far a limit order may be beyond the opposite best, as a fraction of it.
        day_loss: What may be lost on a day of UTC, in the asset in which instruments settle, of each by itself.
        drawdown: How far the profit may fall below its highest, of each by itself.
    """

    order_qty: float = 0.0
    order_value: float = 0.0
    position: float = 0.0
    open_orders: int = 0
    orders_a_second: float = 0.0
    price_band: float = 0.0
    day_loss: float = 0.0
    drawdown: float = 0.0


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=32):
    """A bot's first message; its bot page travels with it.

    Attributes:
        instruments: (symbol, tick_size, lot_size) of each.
        on_end: What happens to its open orders when the lease ends: "cancel", "keep", or "flatten" (cancel,
            and close the position).
        pull_quotes: Cancel its open orders in an instrument when the feed is stale or the book not valid, and refuse
            new ones while it is.
        limits: What the daemon is to hold it to.
        watchdog_s: For how long its strategy may make no step (`layout.BOT_STEPS`) before a connector takes the lease;
            0 for ever.
        channels: All channels that it trades on, this one included, for `hftd status`.
    """

    version: int
    bot: str
    pid: int
    instruments: tuple[tuple[str, float, float], ...]
    on_end: str = "cancel"
    pull_quotes: bool = False
    limits: Limits = Limits()
    watchdog_s: float = 0.0
    channels: tuple[str, ...] = ()


class Welcome(msgspec.Struct, frozen=True, array_like=True, tag=33):
    """The daemon's answer; with it travel clock page, market ring, link and the bot's doorbell, in this order.

    Attributes:
        instruments: The numbers by which messages name the Hello's instruments, in the Hello's order.
        market_bytes: Capacity of the market ring.
        request_bytes: Capacity of the link's ring of requests.
        response_bytes: Capacity of its ring of responses.
        contracts: (size, whether it is inverse) of each instrument's contract.
        by_order: Whether each instrument's book is made from single orders (row kinds 10 to 13).
        market: Of a replay, what it plays: JSON of a `hftd.runs.recipe.Market`; empty of a live channel.
    """

    version: int
    daemon: str
    pid: int
    clock_id: int
    instruments: tuple[int, ...]
    market_bytes: int
    request_bytes: int
    response_bytes: int
    contracts: tuple[tuple[float, bool], ...] = ()
    by_order: tuple[bool, ...] = ()
    market: str = ""


class Refused(msgspec.Struct, frozen=True, array_like=True, tag=34):
    """The daemon's answer when it takes no lease: a short code, what is wrong, what to do."""

    code: str
    what: str
    hint: str


class Bye(msgspec.Struct, frozen=True, array_like=True, tag=35):
    """The end of a lease, from either side; then the socket closes."""

    reason: str


class Ask(msgspec.Struct, frozen=True, array_like=True, tag=36):
    """A tool's first message, in place of a Hello; and a daemon's over a lease, which the bot answers there.

    Attributes:
        what: One of `QUESTIONS`.
        argument: Depends on it; the reason of a halt, what is to be set.
    """

    version: int
    what: str
    argument: str = ""


class Answer(msgspec.Struct, frozen=True, array_like=True, tag=37):
    """The answer to an Ask; or a Refused is.

    Attributes:
        ok: False if it was done in part only; the body says what is missing.
        body: JSON of the Struct in :mod:`hftd.control.status` that belongs to the question. A body beyond
            `MAX_BODY_BYTES` travels as a sealed memfd beside the message, whose body is empty then.
    """

    ok: bool
    body: bytes = b""


ASK_STATUS: Final = "status"
"""What the daemon is doing: `status.DaemonStatus`."""
ASK_TAP: Final = "tap"
"""The market ring, to be looked at: `status.Tap`; with the Answer travel clock page and market ring."""
ASK_HALT: Final = "halt"
"""Cancel everything and refuse new orders: `status.Halted`. The argument is a reason for the log."""
ASK_RESUME: Final = "resume"
"""Take orders again: `status.Halted`."""
ASK_SET: Final = "set"
"""A bot's parameters, which may be set: `status.Parameters`. The argument is a `status.SetParameters`. The daemon hands
the question on over the bot's lease; the bot answers there, and that is the answer."""
QUESTIONS: Final = (ASK_STATUS, ASK_TAP, ASK_HALT, ASK_RESUME, ASK_SET)
COMMANDS: Final = (ASK_HALT, ASK_RESUME, ASK_SET)
"""Those that change something: for the daemon's own user and root."""
MAX_BODY_BYTES: Final = 32 << 10

Control = Hello | Welcome | Refused | Bye | Ask | Answer

END_POLICIES: Final = ("cancel", "keep", "flatten")

_CODES: Final[dict[Any, str]] = {int: "i8", float: "f8", OrderId: "u8"}


def columns(kind: type[msgspec.Struct]) -> list[tuple[str, str]]:
    """(name, NumPy code) of each field of a message, in its order: all are words of 8 bytes."""
    return [(field.name, _CODES[field.type]) for field in msgspec.structs.fields(kind)]


encoder = msgspec.msgpack.Encoder()
response_decoder = msgspec.msgpack.Decoder(Response)
request_decoder = msgspec.msgpack.Decoder(Request)
control_decoder = msgspec.msgpack.Decoder(Control)

__all__ = [
    "ASK_HALT",
    "ASK_RESUME",
    "ASK_SET",
    "ASK_STATUS",
    "ASK_TAP",
    "BOOK_INVALID",
    "BOOK_VALID",
    "COMMANDS",
    "CONNECTED",
    "DISCONNECTED",
    "END_POLICIES",
    "HALTED",
    "MAX_BODY_BYTES",
    "MAX_NOTICE_CHARS",
    "NOTICE_BY_HAND",
    "NOTICE_FORCED_CLOSE",
    "NOTICE_REFUSED",
    "PROTOCOL_VERSION",
    "QUESTIONS",
    "Answer",
    "Ask",
    "Bye",
    "Cancel",
    "Control",
    "Feed",
    "Hello",
    "Inquire",
    "Limits",
    "Modify",
    "Notice",
    "OrderId",
    "OrderUpdate",
    "Refused",
    "Request",
    "Response",
    "Resync",
    "Splice",
    "State",
    "Status",
    "Submit",
    "Welcome",
    "columns",
    "control_decoder",
    "encoder",
    "request_decoder",
    "response_decoder",
]
