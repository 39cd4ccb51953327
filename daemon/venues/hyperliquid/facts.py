"""What the machines are told of Hyperliquid's public streams; see `daemon.session.facts`.

::

    {"channel":"l2Book","data":{"coin":"BTC","time":1757130041083,"levels":[[{"px":"111065.0","sz":"6.98","n":16}],[]]}}
    {"channel":"bbo","data":{"coin":"SOL","time":1765887848009,"bbo":[{"px":"128.5","sz":"36.93","n":2},null]}}
    {"channel":"trades","data":[{"coin":"SOL","side":"A","px":"128.5","sz":"0.42","time":1765887848009,"tid":8678915}]}

A book is whole each time. Some hosts greet with a line that is no JSON. A trade is known by its time, coin and tid.
"""

from collections.abc import Sequence
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

import msgspec
import numpy as np

from daemon.session.errors import DECODE_ERRORS, WireError
from daemon.session.facts import ControlReply, Pong, Question, UnknownEvent
from daemon.session.manners import Heartbeat
from daemon.venues.hyperliquid.book import WholeBooks
from hftd.types import event_dtype
from hftd.venues.reader import BEST, BOOK, TRADES, Message

_Ms = Annotated[int, msgspec.Meta(ge=0, le=8_999_999_999_999)]
_NS_PER_MS: Final = 1_000_000
_PARTS: Final = MappingProxyType({"l2Book": "depth", "bbo": "best", "trades": "trade"})
_KINDS: Final = MappingProxyType({"l2Book": BOOK, "bbo": BEST})
_NO_ROWS: Final = np.zeros(0, event_dtype)


class _Said(msgspec.Struct):
    coin: str
    time: _Ms
    tid: int = 0


class _Any(msgspec.Struct):
    channel: str = ""
    data: msgspec.Raw = msgspec.Raw()


_decode: Final = msgspec.json.Decoder(_Any).decode
_decode_said: Final = msgspec.json.Decoder(_Said).decode
_decode_trades: Final = msgspec.json.Decoder(list[_Said]).decode
_decode_text: Final = msgspec.json.Decoder(str).decode


class StreamReader:
    """Tells what a message is and by what it is known; of its prices and quantities it makes no rows."""

    def keep_trade_ids(self) -> None:
        """Rows of trades always have them."""

    def off_grid(self, count: int, per_price: float) -> int:
        """There are no prices."""
        del count, per_price
        return 0

    def read(self, message: bytes, local_ns: int) -> Message | None:
        """A message; None for one of no known kind, or that can't be read."""
        del local_ns
        try:
            head = _decode(message)
            if head.channel == "trades":
                return _of_trades(_decode_trades(head.data))
            kind = _KINDS.get(head.channel)
            if kind is None:
                return None
            said = _decode_said(head.data)
        except DECODE_ERRORS:
            return None
        stream = f"{head.channel}:{said.coin}"
        return Message(stream, kind, _NO_ROWS, said.time * _NS_PER_MS, said.time, -1)


def _of_trades(trades: Sequence[_Said]) -> Message | None:
    if not trades:
        return None
    rows = np.zeros(len(trades), event_dtype)
    rows["exch_ts"] = [one.time * _NS_PER_MS for one in trades]
    # As a number that is never 0; the tid has 50 bits.
    ids = [(one.tid << 13 ^ one.time) & 0x7FFFFFFFFFFFFFFF | 1 for one in trades]
    rows["fval"] = np.array(ids, np.int64).view(np.float64)
    return Message(f"trades:{trades[0].coin}", TRADES, rows, trades[-1].time * _NS_PER_MS, 0, 0)


class MarketFacts:
    """Market data.

    Args:
        fast: Books of 5 levels, twice a second.
    """

    streams_max = 1000
    streams_a_message = 1
    controls_a_second = 10.0
    """The exchange takes 2000 a minute of an address."""
    best_is_book = False
    sync = WholeBooks

    def __init__(self, fast: bool = False) -> None:
        self._fast = fast

    def reader(self) -> StreamReader:
        """Reads books, best prices and trades."""
        return StreamReader()

    def streams(self, symbol: str) -> tuple[str, ...]:
        """The streams of a coin, the book's first."""
        return f"l2Book:{symbol}", f"trades:{symbol}", f"bbo:{symbol}"

    def part_of(self, stream: str) -> str:
        """Which part of a market a stream is."""
        return _PARTS.get(stream.partition(":")[0], stream)

    def control(
        self, method: Literal["SUBSCRIBE", "UNSUBSCRIBE"], streams: Sequence[str], number: int
    ) -> str:
        """A subscription, of one stream."""
        del number
        kind, _, coin = streams[0].partition(":")
        asked: dict[str, Any] = {"type": kind, "coin": coin}
        if kind == "l2Book" and self._fast:
            asked["fast"] = True
        return msgspec.json.encode({"method": method.lower(), "subscription": asked}).decode()

    def read_other(self, message: bytes) -> ControlReply | UnknownEvent | Pong:
        """A message without rows.

        Raises:
            WireError: It can't be read.
        """
        try:
            head = _decode(message)
            if head.channel == "error":
                return ControlReply(None, _decode_text(head.data)[:300])
        except DECODE_ERRORS as error:
            if not message.lstrip().startswith(b"{"):
                return UnknownEvent("no JSON")
            raise WireError(f"a message of the market: {error}") from None
        if head.channel == "pong":
            return Pong()
        if head.channel == "subscriptionResponse":
            return ControlReply()
        if head.channel in _PARTS:
            raise WireError(f"{head.channel}: a field is missing, or is not what it should be")
        return UnknownEvent(head.channel[:64])

    def ask_snapshot(self, symbol: str) -> Question:
        """Books come by the stream."""
        raise NotImplementedError(symbol)

    def ask_levels(self, symbol: str) -> Question:
        """Books come by the stream."""
        raise NotImplementedError(symbol)

    def ask_trades(self, symbol: str) -> Question:
        """Trades come by the stream."""
        raise NotImplementedError(symbol)

    def read_last_trade_ms(self, body: bytes) -> int:
        """Nothing is asked for."""
        raise NotImplementedError(body)


def heartbeat(every_s: float) -> Heartbeat:
    """Pings, which the exchange answers."""
    return Heartbeat(lambda _number: '{"method":"ping"}', every_s, min(10.0, every_s))
