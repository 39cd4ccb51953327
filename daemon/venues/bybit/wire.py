"""Market data: bytes to values.

::

    {"topic":"orderbook.50.BTCUSDT","type":"snapshot","ts":1773386409389,"data":{"s":"BTCUSDT",
        "b":[["71423.80","0.557"]],"a":[["71423.90","4.669"]],"u":10132540,"seq":546137962055},"cts":1773386409385}
    {"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1774021164273,"data":[{"T":1774021164272,"s":"BTCUSDT",
        "S":"Sell","v":"0.001","p":"69916.80","L":"MinusTick","i":"8c93..","BT":false,"RPI":false,"seq":549792210006}]}

`cts` is the matching engine's time, as a trade's `T`; a book without it has `ts`, when the gateway sent it. The answer
to a subscription, and to a ping, is ``{"success":true,"ret_msg":"","conn_id":"..","req_id":"1","op":"subscribe"}``.
Fields come in any order. Prices and quantities stay texts, which the code of :mod:`daemon.connector.market.rows` reads.
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import field

from daemon.session.errors import DECODE_ERRORS, WireError
from daemon.session.facts import ControlReply, Pong, UnknownEvent

# Beyond these a number is nonsense, and must not get into 64 bits of nanoseconds.
Ms = Annotated[int, msgspec.Meta(ge=0, le=8_999_999_999_999)]
Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_EMPTY: Final = msgspec.Raw(b"[]")


class Levels(msgspec.Struct, gc=False):
    """A book's levels, or changes of them; a side that did not change may be missing."""

    last_id: Id = field(name="u")
    bids: msgspec.Raw = field(name="b", default=_EMPTY)
    asks: msgspec.Raw = field(name="a", default=_EMPTY)


class Book(msgspec.Struct, gc=False):
    """A whole book as of `last_id`."""

    exch_ms: int
    last_id: int
    bids: msgspec.Raw
    asks: msgspec.Raw


class Delta(msgspec.Struct, gc=False):
    """A change of the book."""

    exch_ms: int
    last_id: int
    previous_id: int
    bids: msgspec.Raw
    asks: msgspec.Raw


class Trade(msgspec.Struct, gc=False):
    """A trade; S is the taker's side. A block trade was agreed elsewhere: no order of the book was touched.

    One with an order of retail price improvement is a trade, as `hftd convert` has it: who had the same price or a
    better one in the book was before that order.
    """

    exch_ms: Ms = field(name="T")
    price: msgspec.Raw = field(name="p")
    qty: msgspec.Raw = field(name="v")
    side: str = field(name="S")
    is_block: bool = field(name="BT", default=False)

    @property
    def is_sell(self) -> bool:
        """Whether the taker sold."""
        return self.side == "Sell"

    @property
    def kind(self) -> str:
        """Empty for one of the market."""
        if self.is_block:
            return "block"
        return "" if self.side in ("Buy", "Sell") else "without a side"


class Best(msgspec.Struct, gc=False):
    """Best prices by themselves: none are subscribed."""


class StreamMessage(msgspec.Struct, gc=False):
    """What a topic says."""

    stream: str
    data: Book | Delta | list[Trade]


class _Message(msgspec.Struct, gc=False):
    topic: str = ""
    type: str = ""
    ts: Ms = 0
    cts: Ms = 0
    data: msgspec.Raw = msgspec.Raw()
    success: bool | None = None
    ret_msg: str = ""
    req_id: str = ""
    op: str = ""


class _RestLevels(msgspec.Struct):
    bids: msgspec.Raw = field(name="b")
    asks: msgspec.Raw = field(name="a")
    last_id: Id = field(name="seq")
    exch_ms: Ms = field(name="ts", default=0)


class _RestBook(msgspec.Struct):
    result: _RestLevels


class _RestTrade(msgspec.Struct):
    time: str


class _RestTradeList(msgspec.Struct):
    list: list[_RestTrade]


class _RestTrades(msgspec.Struct):
    result: _RestTradeList


_decode: Final = msgspec.json.Decoder(_Message).decode
_decode_levels: Final = msgspec.json.Decoder(Levels).decode
_decode_trades: Final = msgspec.json.Decoder(list[Trade]).decode
_decode_book: Final = msgspec.json.Decoder(_RestBook).decode
_decode_rest_trades: Final = msgspec.json.Decoder(_RestTrades).decode
_decode_pairs: Final = msgspec.json.Decoder(list[tuple[str, str]]).decode


def read_stream(message: bytes) -> StreamMessage | ControlReply | UnknownEvent | Pong:
    """Read a message of the public socket.

    Raises:
        WireError: It can't be read.
    """
    try:
        read = _decode(message)
        topic = read.topic
        if topic.startswith("orderbook."):
            return StreamMessage(topic, _book(read))
        if topic.startswith("publicTrade."):
            return StreamMessage(topic, _decode_trades(read.data))
    except DECODE_ERRORS as error:
        raise WireError(f"a message of the market: {error}") from None
    if topic:
        return UnknownEvent(topic.partition(".")[0][:64])
    if read.ret_msg == "pong" or read.op == "pong":
        return Pong()
    if read.success is None:
        raise WireError("a message without a topic that answers nothing")
    number = read.req_id
    is_number = number.isascii() and number.isdigit() and len(number) < 19
    problem = "" if read.success else read.ret_msg or "refused without a word"
    return ControlReply(int(number) if is_number else number or None, problem)


def _book(read: _Message) -> Book | Delta:
    levels = _decode_levels(read.data)
    exch_ms = read.cts or read.ts
    if read.type == "snapshot":
        return Book(exch_ms, levels.last_id, levels.bids, levels.asks)
    if read.type == "delta":
        return Delta(exch_ms, levels.last_id, levels.last_id - 1, levels.bids, levels.asks)
    raise WireError(f"a book of the type {read.type[:20]!r}")


def read_snapshot(body: bytes) -> Any:
    """Read the answer of ``GET /v5/market/orderbook``; it is as of its cross sequence.

    Raises:
        WireError: The bytes are not what was expected.
    """
    try:
        return _decode_book(body).result
    except DECODE_ERRORS as error:
        raise WireError(f"orderbook: {error}") from None


def best_of(snapshot: Any) -> tuple[float, float]:
    """The best prices of a snapshot, bid and ask; NaN for an empty side.

    Raises:
        WireError: They are no numbers.
    """
    try:
        bids, asks = _decode_pairs(snapshot.bids), _decode_pairs(snapshot.asks)
        return (
            float(bids[0][0]) if bids else float("nan"),
            float(asks[0][0]) if asks else float("nan"),
        )
    except (*DECODE_ERRORS, ValueError) as error:
        raise WireError(f"orderbook: {error}") from None


def read_last_trade_ms(body: bytes) -> int:
    """When the latest of some trades was, from the answer of ``GET /v5/market/recent-trade``; -1 without one.

    Raises:
        WireError: The bytes are not what was expected.
    """
    try:
        return max((int(one.time[:16]) for one in _decode_rest_trades(body).result.list), default=-1)
    except (*DECODE_ERRORS, ValueError) as error:
        raise WireError(f"recent-trade: {error}") from None
