"""Market data of Binance's futures: bytes to values.

Combined streams wrap each event with its stream's name::

    {"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1723161256299,"T":1723161256298,"s":"BTCUSDT",
        "U":5123107832006,"u":5123107837557,"pu":5123107831937,"b":[["58710.20","0.014"]],"a":[]}}
    {"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":5123107839020,"s":"BTCUSDT","b":"61800.20",
        "B":"2.507","a":"61800.30","A":"2.510","T":1723161256313,"E":1723161256313}}
    {"stream":"btcusdt@trade","data":{"e":"trade","E":1723161256322,"T":1723161256322,"s":"BTCUSDT",
        "t":5266583935,"p":"61800.30","q":"0.006","X":"MARKET","m":false}}

The answer to a SUBSCRIBE is ``{"result":null,"id":1}``, a mistake ``{"code":2,"msg":"Invalid request: ..."}`` (or with
``"error":{"code":..,"msg":..}``). ``GET depth`` answers
``{"lastUpdateId":5123107852948,"E":1723161256501,"T":1723161256493,"bids":[["61800.20","2.909"]],"asks":[]}``.

Fields that are not read may be there or not. Prices and quantities stay texts of the message: the compiled code of
:mod:`daemon.connector.market.rows` reads them.
"""

from typing import Annotated, Final

import msgspec
from msgspec import field

from daemon.session.errors import DECODE_ERRORS, WireError
from daemon.session.facts import ControlReply, UnknownEvent
from hftd.rows import BEST_ASK, BEST_BID
from hftd.types import BUY_EVENT, DEPTH_BBO_EVENT, SELL_EVENT

AS_EVENTS: Final = (BEST_BID, BEST_ASK)
"""Best prices as user events, as `hftd convert --book-ticker` writes them."""
TO_BE_FUSED: Final = (DEPTH_BBO_EVENT | BUY_EVENT, DEPTH_BBO_EVENT | SELL_EVENT)

# Beyond these a number is nonsense, and must not get into 64 bits of nanoseconds.
_Ms = Annotated[int, msgspec.Meta(ge=0, le=8_999_999_999_999)]
_Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class DepthUpdate(msgspec.Struct, tag_field="e", tag="depthUpdate", gc=False):
    """A change of the book: of the updates up to `last_id`, the last one before it being `previous_id`."""

    exch_ms: _Ms = field(name="T")
    first_id: _Id = field(name="U")
    last_id: _Id = field(name="u")
    previous_id: _Id = field(name="pu")
    bids: msgspec.Raw = field(name="b")
    asks: msgspec.Raw = field(name="a")


class BookTicker(msgspec.Struct, tag_field="e", tag="bookTicker", gc=False):
    """The best prices as of update `last_id`."""

    exch_ms: _Ms = field(name="T")
    last_id: _Id = field(name="u")
    bid: msgspec.Raw = field(name="b")
    bid_qty: msgspec.Raw = field(name="B")
    ask: msgspec.Raw = field(name="a")
    ask_qty: msgspec.Raw = field(name="A")


class Trade(msgspec.Struct, tag_field="e", tag="trade", gc=False):
    """A trade. `m` of the message, that the buyer was the maker, is that the taker sold; X is how it came about."""

    exch_ms: _Ms = field(name="T")
    price: msgspec.Raw = field(name="p")
    qty: msgspec.Raw = field(name="q")
    is_sell: bool = field(name="m")
    how: str = field(name="X", default="MARKET")

    @property
    def kind(self) -> str:
        """Empty for one of the market."""
        return "" if self.how == "MARKET" else self.how or "without a kind"


class StreamMessage(msgspec.Struct, gc=False):
    """An event with its stream's name."""

    stream: str
    data: DepthUpdate | BookTicker | Trade


class _Error(msgspec.Struct):
    code: int = 0
    msg: str = ""


class Snapshot(msgspec.Struct):
    """The book as of `last_id`."""

    last_id: _Id = field(name="lastUpdateId")
    exch_ms: _Ms = field(name="T")
    bids: msgspec.Raw
    asks: msgspec.Raw


class _PublicTrade(msgspec.Struct):
    time: _Ms


class _Named(msgspec.Struct):
    e: str = ""


class _Anything(msgspec.Struct):
    stream: str = ""
    data: _Named | None = None
    e: str = ""
    id: int | str | None = None
    result: msgspec.Raw = msgspec.Raw()
    error: _Error | None = None
    code: int = 0
    msg: str = ""


_KNOWN: Final = frozenset(("depthUpdate", "bookTicker", "trade"))
_decode: Final = msgspec.json.Decoder(StreamMessage).decode
_decode_anything: Final = msgspec.json.Decoder(_Anything).decode
_decode_snapshot: Final = msgspec.json.Decoder(Snapshot).decode
_decode_levels: Final = msgspec.json.Decoder(list[tuple[str, str]]).decode
_decode_trades: Final = msgspec.json.Decoder(list[_PublicTrade]).decode


def read_stream(message: bytes) -> StreamMessage | ControlReply | UnknownEvent:
    """Read a message of a combined stream.

    Raises:
        WireError: It can't be read.
    """
    try:
        return _decode(message)
    except DECODE_ERRORS as error:
        return read_other(message, error)


def read_other(message: bytes, error: Exception) -> ControlReply | UnknownEvent:
    """What a message is that is no event of a market.

    Raises:
        WireError: It is one, and can't be read, or it is nothing that is known.
    """
    try:
        other = _decode_anything(message)
    except DECODE_ERRORS:
        raise WireError(str(error)) from None
    event = other.data.e if other.data is not None else other.e
    if event in _KNOWN:
        raise WireError(f"{event}: {error}")
    if event or other.stream:
        return UnknownEvent((event or other.stream)[:64])
    if bytes(other.result) or other.error is not None or other.code or other.msg:
        problem = other.error or _Error(other.code, other.msg)
        has_problem = other.error is not None or other.code or other.msg
        return ControlReply(other.id, f"{problem.code}: {problem.msg}" if has_problem else "")
    raise WireError(str(error))


def read_snapshot(body: bytes) -> Snapshot:
    """Read the answer of ``GET depth``.

    Raises:
        WireError: The bytes are not what was expected.
    """
    try:
        return _decode_snapshot(body)
    except DECODE_ERRORS as error:
        raise WireError(f"depth: {error}") from None


def best_of(snapshot: Snapshot) -> tuple[float, float]:
    """The best prices of a snapshot, bid and ask; NaN for an empty side.

    Raises:
        WireError: They are no numbers.
    """
    try:
        bids, asks = _decode_levels(snapshot.bids), _decode_levels(snapshot.asks)
        return (
            float(bids[0][0]) if bids else float("nan"),
            float(asks[0][0]) if asks else float("nan"),
        )
    except (*DECODE_ERRORS, ValueError) as error:
        raise WireError(f"depth: {error}") from None


def read_last_trade_ms(body: bytes) -> int:
    """When the latest of some trades was, from the answer of ``GET trades``; -1 without one.

    Raises:
        WireError: The bytes are not what was expected.
    """
    try:
        return max((one.time for one in _decode_trades(body)), default=-1)
    except DECODE_ERRORS as error:
        raise WireError(f"trades: {error}") from None
