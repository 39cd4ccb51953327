"""Market data of Binance's futures that is no price: answers to subscriptions, errors, unknown events, the last trade.

What has rows is read by :mod:`hftd.venues.binance.market`; what that does not take comes here, to be told what it is.
The answer to a SUBSCRIBE is ``{"result":null,"id":1}``, a mistake ``{"code":2,"msg":"Invalid request: ..."}`` (or with
``"error":{"code":..,"msg":..}``).
"""

from typing import Annotated, Final

import msgspec

from daemon.session.errors import DECODE_ERRORS, WireError
from daemon.session.facts import ControlReply, UnknownEvent
from hftd.rows import BEST_ASK, BEST_BID
from hftd.types import BUY_EVENT, DEPTH_BBO_EVENT, SELL_EVENT

AS_EVENTS: Final = (BEST_BID, BEST_ASK)
"""Best prices as user events, as `hftd convert --book-ticker` writes them."""
TO_BE_FUSED: Final = (DEPTH_BBO_EVENT | BUY_EVENT, DEPTH_BBO_EVENT | SELL_EVENT)

# Beyond these a number is nonsense, and must not get into 64 bits of nanoseconds.
_Ms = Annotated[int, msgspec.Meta(ge=0, le=8_999_999_999_999)]


class _Error(msgspec.Struct):
    code: int = 0
    msg: str = ""


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
_decode: Final = msgspec.json.Decoder(_Anything).decode
_decode_trades: Final = msgspec.json.Decoder(list[_PublicTrade]).decode


def read_other(message: bytes) -> ControlReply | UnknownEvent:
    """Read a message of a combined stream that has no rows.

    Raises:
        WireError: It can't be read, or is an event that should have rows.
    """
    try:
        other = _decode(message)
    except DECODE_ERRORS as error:
        raise WireError(f"a message of the market: {error}") from None
    event = other.data.e if other.data is not None else other.e
    if event in _KNOWN:
        raise WireError(f"{event}: a field is missing, or is not what it should be")
    if event or other.stream:
        return UnknownEvent((event or other.stream)[:64])
    if bytes(other.result) or other.error is not None or other.code or other.msg:
        problem = other.error or _Error(other.code, other.msg)
        has_problem = other.error is not None or other.code or other.msg
        return ControlReply(other.id, f"{problem.code}: {problem.msg}" if has_problem else "")
    raise WireError("a message that is no event, no answer and no error")


def read_last_trade_ms(body: bytes) -> int:
    """When the latest of some trades was, from the answer of ``GET trades``; -1 without one.

    Raises:
        WireError: The bytes are not what was expected.
    """
    try:
        return max((one.time for one in _decode_trades(body)), default=-1)
    except DECODE_ERRORS as error:
        raise WireError(f"trades: {error}") from None
