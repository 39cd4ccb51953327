"""The messages, as msgspec makes and reads them: each a msgpack array whose first element is its number.

Data plane (in the rings): what the compiled side reads and writes in :mod:`hftd.channel.messages`. Control
plane (over the socket): :class:`Hello`, :class:`Welcome`, :class:`Refused`, :class:`Bye`.

Prices are in ticks of the instrument as the bot gave it in its Hello; quantities in units of the instrument;
times in nanoseconds since the epoch. Sides, order types, times in force and states are the codes of
:mod:`hftd.types`.
"""

from typing import Final

import msgspec

from hftd.channel.layout import PROTOCOL_VERSION

BOOK_VALID: Final = 0
BOOK_INVALID: Final = 1
DISCONNECTED: Final = 2
CONNECTED: Final = 3


class Feed(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Rows of `event_dtype`, 64 bytes each, at most `MAX_ROWS`; the last field, so that they are aligned."""

    instrument: int
    rows: bytes


class Status(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """What an instrument's book is worth from here on: BOOK_VALID, BOOK_INVALID, DISCONNECTED, CONNECTED."""

    instrument: int
    state: int


class OrderUpdate(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """An order's state after an answer or an execution, and the account's after it (absolute values).

    `recv_ts` is when the bot's side of the wire received it, on the bot's clock.
    """

    instrument: int
    order_id: int
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


class State(msgspec.Struct, frozen=True, array_like=True, tag=4):
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


class Submit(msgspec.Struct, frozen=True, array_like=True, tag=16):
    """A new order."""

    instrument: int
    order_id: int
    side: int
    order_type: int
    time_in_force: int
    price_tick: int
    qty: float
    local_ts: int


class Modify(msgspec.Struct, frozen=True, array_like=True, tag=17):
    """A new price and quantity for an order."""

    instrument: int
    order_id: int
    price_tick: int
    qty: float
    local_ts: int


class Cancel(msgspec.Struct, frozen=True, array_like=True, tag=18):
    """Take an order out of the market."""

    instrument: int
    order_id: int
    local_ts: int


class Resync(msgspec.Struct, frozen=True, array_like=True, tag=19):
    """The bot was lapped: send books, orders and positions again, then a Splice."""


Response = Feed | Status | OrderUpdate | State | Splice
"""What a market ring or a response ring may hold."""
Request = Submit | Modify | Cancel | Resync


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=32):
    """A bot's first message; its bot page travels with it.

    Attributes:
        instruments: (symbol, tick_size, lot_size) of each.
        on_end: What happens to its open orders when the lease ends: "cancel", "keep", or "flatten" (cancel,
            and close the position).
    """

    version: int
    bot: str
    pid: int
    instruments: tuple[tuple[str, float, float], ...]
    on_end: str = "cancel"


class Welcome(msgspec.Struct, frozen=True, array_like=True, tag=33):
    """The daemon's answer; with it travel clock page, market ring, link and doorbell, in this order.

    Attributes:
        instruments: The numbers by which messages name the Hello's instruments, in the Hello's order.
        market_bytes: Capacity of the market ring; likewise of the two rings of the link.
        contracts: (size, whether it is inverse) of each instrument's contract.
        by_order: Whether each instrument's book is made from single orders (row kinds 10 to 13).
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


class Refused(msgspec.Struct, frozen=True, array_like=True, tag=34):
    """The daemon's answer when it takes no lease: a short code, what is wrong, what to do."""

    code: str
    what: str
    hint: str


class Bye(msgspec.Struct, frozen=True, array_like=True, tag=35):
    """The end of a lease, from either side; then the socket closes."""

    reason: str


Control = Hello | Welcome | Refused | Bye

END_POLICIES: Final = ("cancel", "keep", "flatten")

encoder = msgspec.msgpack.Encoder()
response_decoder = msgspec.msgpack.Decoder(Response)
request_decoder = msgspec.msgpack.Decoder(Request)
control_decoder = msgspec.msgpack.Decoder(Control)

__all__ = [
    "BOOK_INVALID",
    "BOOK_VALID",
    "CONNECTED",
    "DISCONNECTED",
    "END_POLICIES",
    "PROTOCOL_VERSION",
    "Bye",
    "Cancel",
    "Control",
    "Feed",
    "Hello",
    "Modify",
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
    "control_decoder",
    "encoder",
    "request_decoder",
    "response_decoder",
]
