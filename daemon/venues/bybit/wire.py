"""Market data that is no price: answers to subscriptions and pings, unknown topics, the last trade.

What has rows is read by :mod:`hftd.venues.bybit.market`; what that does not take comes here, to be told what it is. The
answer to a subscription, and to a ping, is
``{"success":true,"ret_msg":"","conn_id":"..","req_id":"1","op":"subscribe"}``.
"""

from typing import Annotated, Final

import msgspec

from daemon.session.errors import DECODE_ERRORS, WireError
from daemon.session.facts import ControlReply, Pong, UnknownEvent

# Beyond these a number is nonsense, and must not get into 64 bits of nanoseconds.
Ms = Annotated[int, msgspec.Meta(ge=0, le=8_999_999_999_999)]


class _Message(msgspec.Struct):
    topic: str = ""
    success: bool | None = None
    ret_msg: str = ""
    req_id: str = ""
    op: str = ""


class _RestTrade(msgspec.Struct):
    time: str


class _RestTradeList(msgspec.Struct):
    list: list[_RestTrade]


class _RestTrades(msgspec.Struct):
    result: _RestTradeList


_KNOWN: Final = frozenset(("orderbook", "publicTrade"))
_decode: Final = msgspec.json.Decoder(_Message).decode
_decode_rest_trades: Final = msgspec.json.Decoder(_RestTrades).decode


def read_other(message: bytes) -> ControlReply | UnknownEvent | Pong:
    """Read a message of the public socket that has no rows.

    Raises:
        WireError: It can't be read, or is of a topic that should have rows.
    """
    try:
        read = _decode(message)
    except DECODE_ERRORS as error:
        raise WireError(f"a message of the market: {error}") from None
    if read.topic:
        name = read.topic.partition(".")[0]
        if name in _KNOWN:
            raise WireError(f"{name}: a field is missing, or is not what it should be")
        return UnknownEvent(name[:64])
    if read.ret_msg == "pong" or read.op == "pong":
        return Pong()
    if read.success is None:
        raise WireError("a message without a topic that answers nothing")
    number = read.req_id
    is_number = number.isascii() and number.isdigit() and len(number) < 19
    problem = "" if read.success else read.ret_msg or "refused without a word"
    return ControlReply(int(number) if is_number else number or None, problem)


def read_last_trade_ms(body: bytes) -> int:
    """When the latest of some trades was, from the answer of ``GET /v5/market/recent-trade``; -1 without one.

    Raises:
        WireError: The bytes are not what was expected.
    """
    try:
        return max((int(one.time[:16]) for one in _decode_rest_trades(body).result.list), default=-1)
    except (*DECODE_ERRORS, ValueError) as error:
        raise WireError(f"recent-trade: {error}") from None
