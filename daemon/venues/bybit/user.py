"""Events of the private socket. Pure: bytes in, values out.

::

    {"topic":"order.linear","id":"..","creationTime":1759432560943,"data":[{"category":"linear","symbol":"SOLUSDT",
      "orderId":"373b..","orderLinkId":"t1","side":"Buy","orderStatus":"Filled","cancelType":"UNKNOWN","rejectReason":
      "EC_NoError","timeInForce":"FOK","price":"240","qty":"0.2","cumExecQty":"0.2","orderType":"Limit",
      "updatedTime":"1759432560942", ..}]}
    {"topic":"execution.linear", .., "data":[{"category":"linear","symbol":"SOLUSDT","execFee":"0.0256322","execId":
      "3fb9..","execPrice":"233.02","execQty":"0.2","execType":"Trade","orderId":"373b..","orderLinkId":"t1","side":"Buy",
      "execTime":"1759432560940","isMaker":false,"extraFees":[],"feeCurrency":"USDT", ..}]}
    {"topic":"position.linear", .., "data":[{"positionIdx":0,"symbol":"SOLUSDT","side":"Buy","size":"0.2",
      "entryPrice":"233.02","updatedTime":"1759432560944", ..}]}
    {"topic":"wallet", .., "data":[{"accountType":"UNIFIED","coin":[{"coin":"USDT","walletBalance":"1000.5", ..}]}]}

An execution and its order come as two events, in any order; several items may stand in one. An item that can't be taken
over is set aside, and spoils no other.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from daemon.messages import BY_STREAM, Execution, Report
from daemon.session.catalog import Steps
from daemon.session.errors import DECODE_ERRORS, Odd, WireError
from daemon.session.facts import Balance, Event, Other, Pong
from daemon.session.steps import NumberError
from daemon.session.trading.login import Entrance
from daemon.venues.bybit.account import ExecutionText, execution_of, funding_of, position_of, read_coins
from daemon.venues.bybit.codes import NO_TRADES
from daemon.venues.bybit.instruments import symbol_of
from daemon.venues.bybit.orders import odd_order, read_order
from daemon.venues.bybit.wire import Ms
from hftd import constants as c

LOGIN_ID: Final = "auth"


class _Message(msgspec.Struct, frozen=True):
    topic: str = ""
    creationTime: Ms = 0  # noqa: N815
    data: msgspec.Raw = msgspec.Raw(b"[]")
    op: str = ""
    success: bool | None = None
    ret_msg: str = ""
    req_id: str = ""
    retCode: int = 0  # noqa: N815


_message: Final = msgspec.json.Decoder(_Message)
_items: Final = msgspec.json.Decoder(list[msgspec.Raw])


def _decoded(data: bytes) -> _Message:
    try:
        return _message.decode(data)
    except DECODE_ERRORS as error:
        raise WireError(f"a user event: {error}") from None


def read_entrance(data: bytes) -> Entrance | None:
    """An answer to the login or to a subscription; None for an event.

    Raises:
        WireError: It can't be read.
    """
    message = _decoded(data)
    if message.topic or message.op == "pong" or message.success is None:
        return None
    number = LOGIN_ID if message.op == "auth" else message.req_id
    problem = "" if message.success else message.ret_msg or "refused without a word"
    return Entrance(number, problem, message.retCode)


def read_event(data: bytes, steps: Mapping[str, Steps], odd: list[Odd] | None) -> list[Event]:
    """Read a message of the private socket.

    Args:
        data: Its bytes.
        steps: The symbols that are known.
        odd: Takes the items that can't be taken over; None: the first of them is an error.

    Raises:
        WireError: It can't be read.
    """
    message = _decoded(data)
    topic = message.topic.partition(".")[0]
    if not topic:
        is_pong = message.op in ("pong", "ping") or message.ret_msg == "pong"
        return [Pong() if is_pong else Other(message.op[:80] or "without a topic")]
    read = _READERS.get(topic)
    if read is None or message.topic.startswith("execution.fast"):
        return [Other(message.topic[:80])]
    try:
        items = _items.decode(message.data)
    except DECODE_ERRORS as error:
        raise WireError(f"a user event of {topic}: {error}") from None
    events: list[Event] = []
    for item in items:
        try:
            events += read(item, steps, message.creationTime)
        except (*DECODE_ERRORS, KeyError, NumberError, WireError) as error:
            why = error if isinstance(error, WireError) else WireError(f"a user event of {topic}: {error}")
            if odd is None:
                raise why from None
            odd.append(_odd(topic, item, why))
    return events


def _odd(topic: str, item: msgspec.Raw, why: WireError) -> Odd:
    if topic == "order":
        return odd_order(item, why)
    if topic == "execution":
        one = odd_order(item, why)
        return Odd("fill", one.symbol, fill_key(item), str(why), one.client_id, one.exch_order_id)
    symbol = getattr(why, "symbol", "") or symbol_of(item)
    return Odd("position" if topic == "position" else "balance", symbol, symbol, str(why))


class _Fill(msgspec.Struct, frozen=True):
    execId: str = ""  # noqa: N815
    side: str = ""


def fill_key(item: msgspec.Raw) -> str:
    """By what a fill is known among those that are set aside."""
    try:
        one = msgspec.json.decode(item, type=_Fill)
    except DECODE_ERRORS:
        return ""
    return f"{one.execId} {one.side}"


def _order(item: msgspec.Raw, steps: Mapping[str, Steps], _sent_ms: int) -> list[Event]:
    return [read_order(item, steps, BY_STREAM)]


_execution: Final = msgspec.json.Decoder(ExecutionText)


def _fill(item: msgspec.Raw, steps: Mapping[str, Steps], _sent_ms: int) -> list[Event]:
    fill = _execution.decode(item)
    if fill.execType in NO_TRADES:
        return [funding_of(fill)]
    return [report_of_fill(execution_of(fill, steps))]


def report_of_fill(execution: Execution) -> Report:
    """A fill by itself: of the order's state and terms it says nothing."""
    return Report(
        source=BY_STREAM,
        client_id=execution.client_id,
        exch_order_id=execution.exch_order_id,
        symbol=execution.symbol,
        side=execution.side,
        order_type=c.LIMIT,
        time_in_force=c.GTC,
        status=c.NONE,
        price_tick=0,
        qty_lots=0,
        cum_lots=0,
        exch_ns=execution.exch_ns,
        execution=execution,
        is_off_grid=execution.price != 0.0,
    )


def _position(item: msgspec.Raw, steps: Mapping[str, Steps], sent_ms: int) -> list[Event]:
    holding = position_of(item, steps, sent_ms)
    return [] if holding is None else [holding]


def _wallet(item: msgspec.Raw, _steps: Mapping[str, Steps], sent_ms: int) -> list[Event]:
    balances: list[Balance] = read_coins(item, sent_ms)
    return [*balances]


_Reader = Callable[[msgspec.Raw, Mapping[str, Steps], int], list[Event]]
_READERS: Final[Mapping[str, _Reader]] = {
    "order": _order,
    "execution": _fill,
    "position": _position,
    "wallet": _wallet,
}
