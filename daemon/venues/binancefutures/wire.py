"""Market data of Binance USD-M Futures: bytes to values.

Combined streams wrap each event with its stream's name::

    {"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1723161256299,"T":1723161256298,"s":"BTCUSDT",
        "U":5123107832006,"u":5123107837557,"pu":5123107831937,"b":[["58710.20","0.014"]],"a":[]}}
    {"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":5123107839020,"s":"BTCUSDT","b":"61800.20",
        "B":"2.507","a":"61800.30","A":"2.510","T":1723161256313,"E":1723161256313}}
    {"stream":"btcusdt@trade","data":{"e":"trade","E":1723161256322,"T":1723161256322,"s":"BTCUSDT",
        "t":5266583935,"p":"61800.30","q":"0.006","X":"MARKET","m":false}}

The answer to a SUBSCRIBE is ``{"result":null,"id":1}``, a mistake ``{"code":2,"msg":"Invalid request: ..."}`` (or with
``"error":{"code":..,"msg":..}``). ``GET /fapi/v1/depth`` answers
``{"lastUpdateId":5123107852948,"E":1723161256501,"T":1723161256493,"bids":[["61800.20","2.909"]],"asks":[]}``.

Fields that are not read may be there or not. Prices and quantities stay texts of the message: the compiled code of
:mod:`daemon.connector.rows` reads them.
"""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from daemon.venues.binancefutures.instruments import WireError
from hftd.rows import BEST_ASK, BEST_BID
from hftd.types import BUY_EVENT, DEPTH_BBO_EVENT, SELL_EVENT

AS_EVENTS: Final = (BEST_BID, BEST_ASK)
"""Best prices as user events, as `hftd convert --book-ticker` writes them."""
TO_BE_FUSED: Final = (DEPTH_BBO_EVENT | BUY_EVENT, DEPTH_BBO_EVENT | SELL_EVENT)

SNAPSHOT_LEVELS: Final = 1000
SNAPSHOT_WEIGHT: Final = 20
MS_NS: Final = 1_000_000

# Beyond these a number is nonsense, and must not get into 64 bits of nanoseconds.
_Ms = Annotated[int, msgspec.Meta(ge=0, le=8_999_999_999_999)]
_Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class DepthUpdate(msgspec.Struct, tag_field="e", tag="depthUpdate", gc=False):
    """A change of the book: of the updates U to u, the last one before it being pu."""

    T: _Ms
    U: _Id
    u: _Id
    pu: _Id
    b: msgspec.Raw
    a: msgspec.Raw


class BookTicker(msgspec.Struct, tag_field="e", tag="bookTicker", gc=False):
    """The best prices as of update u: b, B the bid and its quantity, a, A the ask and its."""

    T: _Ms
    u: _Id
    b: msgspec.Raw
    B: msgspec.Raw
    a: msgspec.Raw
    A: msgspec.Raw


class Trade(msgspec.Struct, tag_field="e", tag="trade", gc=False):
    """A trade; m: the buyer was the maker. X other than MARKET is none of the market."""

    T: _Ms
    p: msgspec.Raw
    q: msgspec.Raw
    m: bool
    X: str = "MARKET"


class StreamMessage(msgspec.Struct, gc=False):
    """An event with its stream's name."""

    stream: str
    data: DepthUpdate | BookTicker | Trade


class _Error(msgspec.Struct):
    code: int = 0
    msg: str = ""


class ControlReply(msgspec.Struct):
    """The answer to a SUBSCRIBE or the like; `problem` is empty if all is well."""

    id: int | str | None = None
    error: _Error | None = None
    code: int = 0
    msg: str = ""

    @property
    def problem(self) -> str:
        """What the exchange does not like."""
        if self.error is not None:
            return f"{self.error.code}: {self.error.msg}"
        return f"{self.code}: {self.msg}" if self.code or self.msg else ""


class UnknownEvent(msgspec.Struct):
    """A message that is no event we know: it is counted by this name, and ignored."""

    name: str


class Snapshot(msgspec.Struct):
    """The book as of `lastUpdateId`."""

    lastUpdateId: _Id  # noqa: N815
    T: _Ms
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
_BROKEN: Final = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)


def read_stream(message: bytes) -> StreamMessage | ControlReply | UnknownEvent:
    """Read a message of a combined stream.

    Raises:
        WireError: It can't be read.
    """
    try:
        return _decode(message)
    except _BROKEN as error:
        return _read_other(message, error)


def _read_other(message: bytes, error: Exception) -> ControlReply | UnknownEvent:
    try:
        other = _decode_anything(message)
    except _BROKEN:
        raise WireError(str(error)) from None
    event = other.data.e if other.data is not None else other.e
    if event in _KNOWN:
        raise WireError(f"{event}: {error}")
    if event or other.stream:
        return UnknownEvent((event or other.stream)[:64])
    if bytes(other.result) or other.error is not None or other.code or other.msg:
        return ControlReply(other.id, other.error, other.code, other.msg)
    raise WireError(str(error))


def read_snapshot(body: bytes) -> Snapshot:
    """Read the answer of ``GET /fapi/v1/depth``.

    Raises:
        WireError: It is none.
    """
    try:
        return _decode_snapshot(body)
    except _BROKEN as error:
        raise WireError(f"depth: {error}") from None


def best_of(snapshot: Snapshot) -> tuple[float, float]:
    """The best prices of a snapshot, bid and ask; NaN where there are none.

    Raises:
        WireError: They are no numbers.
    """
    try:
        bids, asks = _decode_levels(snapshot.bids), _decode_levels(snapshot.asks)
        return (
            float(bids[0][0]) if bids else float("nan"),
            float(asks[0][0]) if asks else float("nan"),
        )
    except (*_BROKEN, ValueError) as error:
        raise WireError(f"depth: {error}") from None


def price_of(text: msgspec.Raw) -> float:
    """A price as a number; NaN if it is none."""
    try:
        return float(bytes(text).strip(b'"'))
    except ValueError:
        return float("nan")


def read_last_trade_ms(body: bytes) -> int:
    """When the latest of some trades was, from the answer of ``GET /fapi/v1/trades``; -1 without one.

    Raises:
        WireError: It is none.
    """
    try:
        return max((one.time for one in _decode_trades(body)), default=-1)
    except _BROKEN as error:
        raise WireError(f"trades: {error}") from None


def stream_names(symbol: str, depth: str, best_prices: bool) -> tuple[str, ...]:
    """The streams of a symbol, the depth's first; `depth` is "0ms" or "100ms"."""
    name = symbol.lower()
    streams = [f"{name}@depth@{depth}", f"{name}@trade"]
    if best_prices:
        streams.append(f"{name}@bookTicker")
    return tuple(streams)


def control(method: str, streams: Sequence[str], number: int) -> bytes:
    """A SUBSCRIBE or UNSUBSCRIBE."""
    return msgspec.json.encode({"method": method, "params": list(streams), "id": number})
