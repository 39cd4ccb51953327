"""Replies and orders of the exchange as outcomes and reports. Pure: bytes in, values out.

::

    {"id":7,"status":200,"result":{"orderId":325078477,"symbol":"BTCUSDT","status":"NEW","clientOrderId":"a1", ..},
     "rateLimits":[{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":300,"count":1}, ..]}
    {"id":7,"status":400,"error":{"code":-2011,"msg":"Unknown order sent."}}
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from daemon.messages import (
    BY_QUERY,
    BY_REPLY,
    CONFIRMED,
    UNKNOWN,
    Cancel,
    Command,
    Modify,
    Outcome,
    Query,
    Report,
    Submit,
)
from daemon.session.catalog import Steps, known_steps, lots_of, price_of, whole_lots_of
from daemon.session.errors import DECODE_ERRORS, Odd, OddItemError, WireError
from daemon.session.facts import Error
from daemon.session.steps import NumberError
from daemon.venues.binance.codes import (
    HINTS,
    POST_ONLY_TYPE,
    REASONS,
    SIDES,
    STATUSES,
    TIMES_IN_FORCE,
    verdict,
)
from daemon.venues.binance.instruments import Code, Id, Ms, RateLimitText, counts_of_reply
from hftd.constants import GTX, LIMIT, MARKET, NEW, PARTIALLY_FILLED

_MS_NS: Final = 1_000_000


class OrderText(msgspec.Struct, frozen=True):
    """An order in a reply, as GET order and openOrders give it too; what is not needed is not read."""

    orderId: Id  # noqa: N815
    symbol: str
    status: str
    clientOrderId: str  # noqa: N815
    price: str
    origQty: str  # noqa: N815
    executedQty: str  # noqa: N815
    side: str
    type: str = "LIMIT"
    timeInForce: str = "GTC"  # noqa: N815
    updateTime: Ms = 0  # noqa: N815
    transactTime: Ms = 0  # noqa: N815
    origClientOrderId: str = ""  # noqa: N815


class ErrorText(msgspec.Struct, frozen=True):
    """The exchange's error in an answer."""

    code: Code
    msg: str = ""
    data: msgspec.Raw = msgspec.Raw()

    def neutral(self) -> Error:
        """As the machines know it."""
        try:
            retry_after_ms = _error_data.decode(self.data).retryAfter if bytes(self.data) else 0
        except DECODE_ERRORS:
            retry_after_ms = 0
        return Error(self.code, self.msg, retry_after_ms)


class _ErrorData(msgspec.Struct, frozen=True):
    retryAfter: Ms = 0  # noqa: N815


class Reply(msgspec.Struct, frozen=True):
    """A reply of the WebSocket API; `result` is still raw."""

    id: int | str | None
    status: Code
    result: msgspec.Raw = msgspec.Raw()
    error: ErrorText | None = None
    rateLimits: list[RateLimitText] = []  # noqa: N815

    def failure(self) -> Error | None:
        """The error in it."""
        return self.error.neutral() if self.error is not None else None

    def counts(self) -> dict[str, int]:
        """What the exchange counted, by the limiter's names."""
        return counts_of_reply(self.rateLimits) if self.rateLimits else {}


class SharedReply(Reply, frozen=True):
    """One of a member whose request weight is one pool for REST and the WebSocket API."""

    def counts(self) -> dict[str, int]:
        """What the exchange counted, by the limiter's names."""
        return counts_of_reply(self.rateLimits, "")


class _Only(msgspec.Struct, frozen=True):
    id: int | str | None = None


class _OnlyNames(msgspec.Struct, frozen=True):
    clientOrderId: str = ""  # noqa: N815
    symbol: str = ""
    orderId: Id = 0  # noqa: N815


_reply = msgspec.json.Decoder(Reply)
_shared_reply = msgspec.json.Decoder(SharedReply)
_only_names = msgspec.json.Decoder(_OnlyNames)
_only_id = msgspec.json.Decoder(_Only)
_order = msgspec.json.Decoder(OrderText)
_orders = msgspec.json.Decoder(list[msgspec.Raw])
_error_data = msgspec.json.Decoder(_ErrorData)
_error = msgspec.json.Decoder(ErrorText)


def read_reply(data: bytes, *, is_shared: bool = False) -> Reply:
    """Read a WebSocket API message.

    Args:
        data: The message.
        is_shared: Its request weight counts in the pool of REST.

    Raises:
        WireError: It is no reply.
    """
    try:
        return (_shared_reply if is_shared else _reply).decode(data)
    except DECODE_ERRORS as error:
        raise WireError(f"a WebSocket API reply: {error}") from None


def read_reply_id(data: bytes) -> int | str | None:
    """The id of a reply that is otherwise unreadable; None if even that is."""
    try:
        return _only_id.decode(data).id
    except DECODE_ERRORS:
        return None


def read_error(body: bytes) -> Error | None:
    """The error in the body of a REST answer, if it is one of the exchange's own."""
    try:
        return _error.decode(body).neutral()
    except DECODE_ERRORS:
        return None


def report_of(order: OrderText, steps: Mapping[str, Steps], source: str) -> Report:
    """An order as a report.

    Raises:
        OddItemError: Its symbol is not known, or its quantity is on no lot.
        WireError: A state or number in it makes no sense.
    """
    known = known_steps(order.symbol, steps)
    # That an order has ended is known whatever its quantity was.
    lots = lots_of if STATUSES.get(order.status) in (NEW, PARTIALLY_FILLED) else whole_lots_of
    try:
        price_tick, exact = price_of(known, order.price)
        return Report(
            source=source,
            # Where a cancel has an id of its own, that stands in the place of the order's.
            client_id=order.origClientOrderId or order.clientOrderId,
            exch_order_id=str(order.orderId),
            symbol=order.symbol,
            side=SIDES[order.side],
            order_type=MARKET if order.type == "MARKET" else LIMIT,
            time_in_force=GTX if order.type == POST_ONLY_TYPE else TIMES_IN_FORCE.get(order.timeInForce, 0),
            status=STATUSES[order.status],
            price_tick=price_tick,
            qty_lots=lots(known, order.origQty),
            cum_lots=lots(known, order.executedQty),
            exch_ns=(order.updateTime or order.transactTime) * _MS_NS,
            is_off_grid=exact != 0.0,
        )
    except (KeyError, NumberError) as error:
        raise WireError(f"an order of {order.symbol}: {error}") from None


def read_order(data: bytes | msgspec.Raw, steps: Mapping[str, Steps], source: str) -> Report:
    """Read one order of a reply.

    Raises:
        WireError: The bytes are not what was expected.
    """
    try:
        order = _order.decode(data)
    except DECODE_ERRORS as error:
        raise WireError(f"an order: {error}") from None
    return report_of(order, steps, source)


def read_orders(data: bytes, steps: Mapping[str, Steps]) -> tuple[list[Report], list[Odd]]:
    """Read a list of orders, such as openOrders gives.

    Returns:
        The orders, and those that can't be taken over.

    Raises:
        WireError: It is no list.
    """
    try:
        items = _orders.decode(data)
    except DECODE_ERRORS as error:
        raise WireError(f"a list of orders: {error}") from None
    reports: list[Report] = []
    odd: list[Odd] = []
    for item in items:
        try:
            reports.append(read_order(item, steps, BY_QUERY))
        except WireError as error:
            odd.append(_odd_order(item, error))
    return reports, odd


def read_client_id(data: bytes) -> str:
    """Whose an order is, of one that may not be to be taken over otherwise; empty if it does not say."""
    try:
        return _only_names.decode(data).clientOrderId
    except DECODE_ERRORS:
        return ""


def _odd_order(order: msgspec.Raw, error: WireError) -> Odd:
    try:
        names = _only_names.decode(order)
    except DECODE_ERRORS:
        names = _OnlyNames()
    exch_order_id = str(names.orderId) if names.orderId > 0 else ""
    key = exch_order_id or names.clientOrderId or str(error)[:80]
    return Odd(
        "open order",
        names.symbol,
        key,
        str(error),
        names.clientOrderId,
        exch_order_id,
        # One of somebody else's that is of an unknown kind says nothing against the symbol.
        isinstance(error, OddItemError),
    )


def outcome_of_order(command: Command, data: bytes | msgspec.Raw, steps: Mapping[str, Steps]) -> Outcome:
    """The outcome of a command that was answered with an order.

    An answer that can't be read, or that is about another order, is UNKNOWN: it has to be asked about.
    """
    try:
        report = read_order(data, steps, BY_QUERY if type(command) is Query else BY_REPLY)
    except WireError as error:
        return Outcome(command.request, UNKNOWN, 0, str(error))
    is_named = report.client_id == command.client_id
    if isinstance(command, Modify | Cancel | Query) and not command.client_id:
        is_named = report.exch_order_id == command.exch_order_id
    if not is_named or report.symbol != command.symbol:
        return Outcome(
            command.request, UNKNOWN, 0, f"the answer is about another order, {report.client_id!r}"
        )
    if report.is_off_grid and isinstance(command, Submit | Modify):
        return Outcome(command.request, UNKNOWN, 0, "the answer has a price that was not asked for")
    return Outcome(command.request, CONFIRMED, 0, "", report, report.exch_ns)


def outcome_of_error(
    command: Command,
    status: int,
    error: Error | None,
    text: str = "",
    reasons: Mapping[int, int] = REASONS,
    hints: Mapping[int, str] = HINTS,
) -> Outcome:
    """The outcome of a command that was answered with an error.

    Args:
        command: What was asked.
        status: HTTP's, or the reply's.
        error: The exchange's own, None if the answer came from in front of it.
        text: What the answer said otherwise.
        reasons: REASON_* by code.
        hints: What a person can do, by code.
    """
    code, message = (error.code, error.msg) if error else (0, text)
    kind, reason = verdict(status, code, message, reasons)
    words = f"{status} {code} {message[:200]}"
    return Outcome(command.request, kind, reason, words, code=code, hint=hints.get(code, ""))
