"""Replies and orders of the exchange as outcomes and reports. Pure: bytes in, values out.

::

    {"reqId":"1711001595207-7","retCode":0,"retMsg":"OK","op":"order.create","data":{"orderId":"373b..","orderLinkId":
     "t1"},"retExtInfo":{},"header":{"X-Bapi-Limit":"10","X-Bapi-Limit-Status":"9", ..},"connId":".."}
    {"retCode":0,"retMsg":"OK","result":{"orderId":"373b..","orderLinkId":"t1"},"time":1737695187735}

Such an answer says that the request has arrived, and no more: see `daemon.session.trading.acknowledged`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from daemon.messages import BY_QUERY, CONFIRMED, REFUSED, UNKNOWN, Command, Outcome, Query, Report
from daemon.orders.ids.wire_ids import from_plain, to_plain
from daemon.session.catalog import Steps, known_steps, lots_of, price_of, whole_lots_of
from daemon.session.errors import DECODE_ERRORS, Odd, OddItemError, WireError
from daemon.session.facts import Error, Pong
from daemon.session.manners import RECEIVED
from daemon.session.steps import NumberError
from daemon.venues.bybit.codes import (
    HINTS,
    LOGGED_IN_CODE,
    RESTARTS_CODE,
    SIDES,
    TIMES_IN_FORCE,
    end_of,
    verdict,
)
from daemon.venues.bybit.instruments import decoded, read_page
from hftd.constants import LIMIT, MARKET, NEW, PARTIALLY_FILLED, REASON_UNKNOWN_ORDER

LOGON_ID: Final = "logon"
MS_NS: Final = 1_000_000
MS_MAX: Final = 8_999_999_999_999
LIMIT_NAMES: Final = {
    "order.create": "orders_1s",
    "order.amend": "amends_1s",
    "order.cancel": "cancels_1s",
    "/v5/order/create": "orders_1s",
    "/v5/order/amend": "amends_1s",
    "/v5/order/cancel": "cancels_1s",
}
"""The limiter's names of what is counted by operation."""
Code = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]


class OrderText(msgspec.Struct, frozen=True):
    """An order, as a question and the stream give it; what is not needed is not read."""

    symbol: str
    orderId: str  # noqa: N815
    side: str
    orderStatus: str  # noqa: N815
    price: str
    qty: str
    cumExecQty: str  # noqa: N815
    orderLinkId: str = ""  # noqa: N815
    orderType: str = "Limit"  # noqa: N815
    timeInForce: str = "GTC"  # noqa: N815
    cancelType: str = ""  # noqa: N815
    rejectReason: str = ""  # noqa: N815
    updatedTime: str = "0"  # noqa: N815
    category: str = "linear"


class _Names(msgspec.Struct, frozen=True):
    orderId: str = ""  # noqa: N815
    orderLinkId: str = ""  # noqa: N815
    symbol: str = ""


class _Receipt(msgspec.Struct, frozen=True):
    result: _Names | None = None
    orderId: str = ""  # noqa: N815
    orderLinkId: str = ""  # noqa: N815


class _Error(msgspec.Struct, frozen=True):
    retCode: Code  # noqa: N815
    retMsg: str = ""  # noqa: N815


class Reply(msgspec.Struct, frozen=True):
    """A reply of the trade socket."""

    retCode: Code  # noqa: N815
    op: str = ""
    reqId: str = ""  # noqa: N815
    retMsg: str = ""  # noqa: N815
    data: msgspec.Raw = msgspec.Raw(b"{}")
    header: dict[str, Any] = {}

    @property
    def id(self) -> int | str | None:
        """The request's number; `LOGON_ID` of the logon."""
        return LOGON_ID if self.op == "auth" else number_of(self.reqId)

    @property
    def status(self) -> int:
        """200 for a success."""
        return 200 if self.retCode in (0, LOGGED_IN_CODE) else 400

    @property
    def result(self) -> msgspec.Raw:
        """The order's ids."""
        return self.data

    @property
    def is_last(self) -> bool:
        """Whether the socket takes nothing new."""
        return self.retCode == RESTARTS_CODE

    def failure(self) -> Error | None:
        """The error in it."""
        return Error(self.retCode, self.retMsg) if self.status != 200 else None

    def _limits(self) -> tuple[str, int, int] | None:
        return limit_of(LIMIT_NAMES.get(self.op, ""), self.header) if self.header else None

    def counts(self) -> dict[str, int]:
        """What the exchange counted, by the limiter's names."""
        found = self._limits()
        return {found[0]: found[2]} if found else {}

    @property
    def allowed(self) -> dict[str, int]:
        """What the account is allowed, by the limiter's names."""
        found = self._limits()
        return {found[0]: found[1]} if found else {}


class _OnlyId(msgspec.Struct, frozen=True):
    reqId: str = ""  # noqa: N815


_reply: Final = msgspec.json.Decoder(Reply)
_order: Final = msgspec.json.Decoder(OrderText)


def number_of(text: str) -> int | None:
    """The command's number in a request's id."""
    number = text.rpartition("-")[2]
    return int(number) if number.isascii() and number.isdigit() and len(number) < 19 else None


def limit_of(name: str, headers: Mapping[str, Any]) -> tuple[str, int, int] | None:
    """A limit, what it allows, and what is used of it, from the headers ``X-Bapi-Limit`` and ``-Limit-Status``."""
    if not name:
        return None
    allowed, left = str(headers.get("X-Bapi-Limit", "")), str(headers.get("X-Bapi-Limit-Status", ""))
    if not all(one.isascii() and one.isdigit() and len(one) < 8 for one in (allowed, left)):
        return None
    return name, int(allowed), max(0, int(allowed) - int(left))


def read_reply(data: bytes) -> Reply | Pong:
    """Read a message of the trade socket.

    Raises:
        WireError: It is no reply.
    """
    try:
        reply = _reply.decode(data)
    except DECODE_ERRORS as error:
        raise WireError(f"a reply: {error}") from None
    return Pong() if reply.op in ("pong", "ping") else reply


def read_reply_id(data: bytes) -> int | None:
    """The number of a reply that is otherwise unreadable; None if even that is."""
    try:
        return number_of(msgspec.json.decode(data, type=_OnlyId).reqId)
    except DECODE_ERRORS:
        return None


def read_error(body: bytes) -> Error | None:
    """The error in the body of a REST answer, or that of a success (0), if it is one of the exchange's own."""
    try:
        error = msgspec.json.decode(body, type=_Error)
    except DECODE_ERRORS:
        return None
    return Error(error.retCode, error.retMsg)


def ms_of(text: str) -> int:
    """A time in Unix milliseconds, from its text.

    Raises:
        NumberError: It is not a time.
    """
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 16) or int(text) > MS_MAX:
        raise NumberError(f"{text[:28]!r} is not a time")
    return int(text)


def report_of(order: OrderText, steps: Mapping[str, Steps], source: str) -> Report:
    """An order as a report.

    Raises:
        OddItemError: Its symbol is not known, or its quantity is on no lot.
        WireError: A state or number in it makes no sense.
    """
    known = known_steps(order.symbol, steps)
    try:
        status, reason = end_of(order.orderStatus, order.cancelType, order.rejectReason)
        # That an order has ended is known whatever its quantity was.
        lots = lots_of if status in (NEW, PARTIALLY_FILLED) else whole_lots_of
        is_market = order.orderType == "Market"
        # A market order shows the bound that the exchange has given it.
        price_tick, exact = (0, 0.0) if is_market else price_of(known, order.price or "0")
        return Report(
            source=source,
            client_id=from_plain(order.orderLinkId),
            exch_order_id=order.orderId,
            symbol=order.symbol,
            side=SIDES[order.side],
            order_type=MARKET if is_market else LIMIT,
            time_in_force=TIMES_IN_FORCE.get(order.timeInForce, 0),
            status=status,
            price_tick=price_tick,
            qty_lots=lots(known, order.qty),
            cum_lots=lots(known, order.cumExecQty or "0"),
            exch_ns=ms_of(order.updatedTime) * MS_NS,
            reason=reason,
            is_off_grid=exact != 0.0,
        )
    except (KeyError, NumberError) as error:
        raise WireError(f"an order of {order.symbol}: {error}") from None


def read_order(data: bytes | msgspec.Raw, steps: Mapping[str, Steps], source: str) -> Report:
    """Read one order.

    Raises:
        WireError: The bytes are not what was expected.
    """
    try:
        order = _order.decode(data)
    except DECODE_ERRORS as error:
        raise WireError(f"an order: {error}") from None
    return report_of(order, steps, source)


def odd_order(order: msgspec.Raw, error: WireError) -> Odd:
    """An open order that can't be taken over."""
    try:
        names = msgspec.json.decode(order, type=_Names)
    except DECODE_ERRORS:
        names = _Names()
    client_id = from_plain(names.orderLinkId)
    key = names.orderId or client_id or str(error)[:80]
    # One of somebody else's that is of an unknown kind says nothing against the symbol.
    blocks = isinstance(error, OddItemError)
    return Odd("open order", names.symbol, key, str(error), client_id, names.orderId, blocks)


def outcome_of_answer(command: Command, data: bytes | msgspec.Raw, steps: Mapping[str, Steps]) -> Outcome:
    """What a command's answer without an error says: of a question how the order is, else that it has arrived."""
    try:
        if type(command) is Query:
            return _outcome_of_question(command, bytes(data), steps)
        receipt = decoded(data, _Receipt, "a receipt")
    except WireError as error:
        return Outcome(command.request, UNKNOWN, 0, str(error))
    names = receipt.result or receipt
    if names.orderLinkId and command.client_id and names.orderLinkId != to_plain(command.client_id):
        return Outcome(
            command.request, UNKNOWN, 0, f"the answer is about another order, {names.orderLinkId[:40]!r}"
        )
    return Outcome(command.request, RECEIVED)


def _outcome_of_question(command: Query, body: bytes, steps: Mapping[str, Steps]) -> Outcome:
    items, _ = read_page(body, "orders")
    for item in items:
        report = read_order(item, steps, BY_QUERY)
        is_named = (
            report.client_id == command.client_id
            if command.client_id
            else report.exch_order_id == command.exch_order_id
        )
        if is_named and report.symbol == command.symbol:
            return Outcome(command.request, CONFIRMED, 0, "", report, report.exch_ns)
    if items:
        return Outcome(command.request, UNKNOWN, 0, "the answer is about another order")
    return Outcome(command.request, REFUSED, REASON_UNKNOWN_ORDER, "the exchange lists no such order")


def outcome_of_error(command: Command, status: int, error: Error | None, text: str = "") -> Outcome:
    """The outcome of a command that was answered with an error.

    Args:
        command: What was asked.
        status: HTTP's, or the reply's.
        error: The exchange's own, None if the answer came from in front of it.
        text: What the answer said otherwise.
    """
    code, message = (error.code, error.msg) if error else (0, text)
    kind, reason = verdict(status, code, message)
    words = f"{code} {message[:200]}" if code else f"HTTP {status} {message[:200]}"
    return Outcome(command.request, kind, reason, words, code=code, hint=HINTS.get(code, ""))
