"""Market data of Binance Spot: bytes to values, and how diffs and snapshots make one book.

Combined streams wrap each event with its stream's name::

    {"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":50093239189,
        "u":50093239202,"b":[["61737.63000000","0.00000000"]],"a":[]}}
    {"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000",
        "a":"61837.64000000","A":"1.54698000"}}
    {"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,
        "p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}
    {"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}

Best prices have neither name nor time, so the stream's name says what an event is. Changes of the book have no time of
the matching engine, but of when they were sent; best prices and snapshots have none.
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import field

from daemon.session.errors import DECODE_ERRORS, WireError
from daemon.session.facts import APPLY, ControlReply, Leaving, UnknownEvent
from daemon.venues.binance import wire
from daemon.venues.binance.book import BookSync

_Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
SHUTDOWN: Final = "serverShutdown"


class DepthUpdate(msgspec.Struct, tag_field="e", tag="depthUpdate", gc=False):
    """A change of the book: of the updates from `first_id` to `last_id`."""

    exch_ms: int = field(name="E")
    first_id: _Id = field(name="U")
    last_id: _Id = field(name="u")
    bids: msgspec.Raw = field(name="b")
    asks: msgspec.Raw = field(name="a")

    @property
    def previous_id(self) -> int:
        """The last update before it."""
        return self.first_id - 1


class BookTicker(msgspec.Struct, gc=False):
    """The best prices as of update `last_id`; of when they are, they do not say."""

    last_id: _Id = field(name="u")
    bid: msgspec.Raw = field(name="b")
    bid_qty: msgspec.Raw = field(name="B")
    ask: msgspec.Raw = field(name="a")
    ask_qty: msgspec.Raw = field(name="A")
    exch_ms: int = field(name="T", default=0)


class Trade(msgspec.Struct, tag_field="e", tag="trade", gc=False):
    """A trade. `m` of the message, that the buyer was the maker, is that the taker sold."""

    exch_ms: int = field(name="T")
    price: msgspec.Raw = field(name="p")
    qty: msgspec.Raw = field(name="q")
    is_sell: bool = field(name="m")

    @property
    def kind(self) -> str:
        """All are of the market."""
        return ""


class Snapshot(msgspec.Struct):
    """The book as of `last_id`; of when it is, it does not say."""

    last_id: _Id = field(name="lastUpdateId")
    bids: msgspec.Raw
    asks: msgspec.Raw
    exch_ms: int = field(name="T", default=0)


class StreamMessage(msgspec.Struct, gc=False):
    """An event with its stream's name."""

    stream: str
    data: Any


class _Envelope(msgspec.Struct, gc=False):
    stream: str
    data: msgspec.Raw


_decode: Final = msgspec.json.Decoder(_Envelope).decode
_decode_snapshot: Final = msgspec.json.Decoder(Snapshot).decode


class Reader:
    """Reads messages whose times are in that unit.

    Args:
        unit_ns: In nanoseconds.
    """

    def __init__(self, unit_ns: int) -> None:
        self._least, self._most = 10**18 // unit_ns, 9 * 10**18 // unit_ns
        self._decoders: dict[str, Any] = {
            "depth": msgspec.json.Decoder(DepthUpdate).decode,
            "bookTicker": msgspec.json.Decoder(BookTicker).decode,
            "trade": msgspec.json.Decoder(Trade).decode,
        }

    def __call__(self, message: bytes) -> StreamMessage | ControlReply | UnknownEvent | Leaving:
        """Read a message of a combined stream.

        Raises:
            WireError: It can't be read.
        """
        try:
            found = _decode(message)
            stream = found.stream
            data = self._decoders[stream[stream.find("@") + 1 :].partition("@")[0]](found.data)
        except (*DECODE_ERRORS, KeyError) as error:
            other = wire.read_other(message, error)
            is_end = isinstance(other, UnknownEvent) and other.name == SHUTDOWN
            return Leaving() if is_end else other
        if not self._least <= data.exch_ms <= self._most and (data.exch_ms or type(data) is not BookTicker):
            raise WireError(f"a time of {data.exch_ms}: another unit than was asked for?")
        return StreamMessage(stream, data)


def read_snapshot(body: bytes) -> Snapshot:
    """Read the answer of ``GET depth``.

    Raises:
        WireError: The bytes are not what was expected.
    """
    try:
        return _decode_snapshot(body)
    except DECODE_ERRORS as error:
        raise WireError(f"depth: {error}") from None


class SpotSync(BookSync):
    """The same rules as those of futures with U - 1 in the place of `pu`, but for one.

    Update ids are a symbol's, so `U` is always one more than the `u` before. A diff that begins in what is there
    already and ends behind it is applied all the same, since its quantities are absolute.
    """

    __slots__ = ()

    def diff(self, last_id: int, previous_id: int) -> int:
        """What to do with a diff of these `u` and U - 1."""
        if self.is_joined and previous_id < self.last_id < last_id:
            self.last_id = last_id
            return APPLY
        return super().diff(last_id, previous_id)
