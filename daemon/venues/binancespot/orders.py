"""Orders of Binance Spot: requests, and what answers to them mean. Pure: no socket, no clock.

What differs from futures:

- Post-only is a type, LIMIT_MAKER, which has no time in force. Where it would cross it is refused, and never was.
- A reduction of the quantity keeps an order's place (``order.amend.keepPriority``). Any other change is a cancel and a
  new order in one request (``order.cancelReplace``), with STOP_ON_FAILURE: what can't be cancelled is not replaced. The
  new order has the same client id, which is free again, and another id of the exchange's. The request is no
  transaction: the old one may be cancelled, and the new one refused (-2021).

::

    {"id":7,"status":200,"result":{"cancelResult":"SUCCESS","newOrderResult":"SUCCESS","cancelResponse":{..order..},
     "newOrderResponse":{..order..}}}
    {"id":7,"status":409,"error":{"code":-2021,"msg":"Order cancel-replace partially failed.","data":{
     "cancelResult":"SUCCESS","newOrderResult":"FAILURE","cancelResponse":{..order..},
     "newOrderResponse":{"code":-2010,"msg":"Account has insufficient balance for requested action."}}}}
    {"id":8,"status":200,"result":{"transactTime":..,"executionId":..,"amendedOrder":{..,"qty":"0.5"}}}
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from daemon.messages import (
    BY_REPLY,
    CONFIRMED,
    REFUSED,
    UNKNOWN,
    Cancel,
    Command,
    Modify,
    Outcome,
    Query,
    Report,
    Submit,
)
from daemon.session.catalog import Steps
from daemon.session.errors import DECODE_ERRORS, RequestError, WireError
from daemon.session.facts import Error, Params, Signer
from daemon.venues.binance import codes, orders
from daemon.venues.binance.codes import SIDE_TEXTS, TIME_IN_FORCE_TEXTS
from daemon.venues.binance.instruments import Code
from daemon.venues.binance.requests import CLIENT_ID
from hftd import constants as c

REPLACE_CODES: Final = frozenset({-2021, -2022})
"""A replacement failed in part, or wholly; `data` says how."""
REJECTED_CODE: Final = -2010
_REJECTIONS: Final = (
    ("insufficient balance", c.REASON_MARGIN),
    ("duplicate order", c.REASON_DUPLICATE),
    ("immediately match", c.REASON_POST_ONLY),
    ("market is closed", c.REASON_NOT_TRADING),
    ("not permitted", c.REASON_PERMISSION),
    ("may not", c.REASON_PERMISSION),
)
"""What the text of -2010 says, in lower case, and which REASON_* it is."""

_ENDS_AT_ONCE: Final = {"FOK": c.REASON_FOK, "IOC": c.REASON_EXPIRED}
"""Why an order of that time in force has expired."""

METHODS: Final = {Cancel: ("order.cancel", "DELETE", "order"), Query: ("order.status", "GET", "order")}
PLACE: Final = ("order.place", "POST", "order")
AMEND: Final = ("order.amend.keepPriority", "PUT", "order/amend/keepPriority")
REPLACE: Final = ("order.cancelReplace", "POST", "order/cancelReplace")


# ---- requests


def request_of(
    command: Command, steps: Steps, prevention: str
) -> tuple[tuple[str, str, str], dict[str, str]]:
    """A command as WebSocket method, REST method and path; and its parameters, without time and signature.

    Args:
        command: It.
        steps: Of its symbol.
        prevention: Of self-trades; empty for the exchange's own.

    Raises:
        RequestError: The command holds what can't be sent.
    """
    params = {"symbol": command.symbol}
    if isinstance(command, Submit):
        return PLACE, params | _order(command, steps, prevention, command.qty_lots)
    if isinstance(command, Modify) and not command.is_reduction:
        params |= _named(command, "cancelOrigClientOrderId", "cancelOrderId")
        params["cancelReplaceMode"] = "STOP_ON_FAILURE"
        # What is executed stays with the order that is there.
        return REPLACE, params | _order(command, steps, prevention, command.qty_lots - command.done_lots)
    params |= _named(command, "origClientOrderId", "orderId")
    if isinstance(command, Modify):
        # Left out, the exchange would give it a new one.
        return AMEND, params | {
            "newClientOrderId": _client_id(command),
            "newQty": steps.lot.text(command.qty_lots),
        }
    return METHODS[type(command)], params


def _client_id(command: Command) -> str:
    if not CLIENT_ID.fullmatch(command.client_id):
        raise RequestError(f"{command.client_id!r} is not a client order id")
    return command.client_id


def _named(command: Modify | Cancel | Query, by_client_id: str, by_id: str) -> dict[str, str]:
    """How a request names an order: by our id where there is one, which a replacement keeps."""
    if command.client_id:
        return {by_client_id: _client_id(command)}
    order_id = command.exch_order_id
    if not (order_id.isascii() and order_id.isdigit() and len(order_id) < 20):
        raise RequestError(
            f"{order_id!r} is not an order id of the exchange, and there is no client order id"
        )
    return {by_id: order_id}


def _order(command: Submit | Modify, steps: Steps, prevention: str, lots: int) -> dict[str, str]:
    if lots <= 0:
        raise RequestError("there is nothing left to order")
    params = {
        "side": SIDE_TEXTS[command.side],
        "quantity": steps.lot.text(lots),
        "newClientOrderId": _client_id(command),
        # The state is wanted of every type; a LIMIT_MAKER would be answered with a receipt.
        "newOrderRespType": "RESULT",
    }
    if prevention:
        params["selfTradePreventionMode"] = prevention
    if isinstance(command, Submit) and command.order_type == c.MARKET:
        return params | {"type": "MARKET"}
    params["price"] = steps.tick.text(command.price_tick)
    if command.time_in_force == c.GTX:
        return params | {"type": codes.POST_ONLY_TYPE}
    return params | {"type": "LIMIT", "timeInForce": TIME_IN_FORCE_TEXTS[command.time_in_force]}


class Requests:
    """Writes commands as WebSocket API requests.

    Args:
        signer: Of the key; one that has sessions has logged the socket on, and requests carry neither key nor
            signature.
        window_ms: How old a request may be when it is handled.
        prevention: Of self-trades.
    """

    def __init__(self, signer: Signer, window_ms: int, prevention: str) -> None:
        self._signer = signer
        self._window = window_ms
        self._prevention = prevention

    def request(self, command: Command, steps: Steps, timestamp_ms: int) -> bytes:
        """The request's bytes.

        Raises:
            RequestError: The command holds what can't be sent.
        """
        (method, _, _), texts = request_of(command, steps, self._prevention)
        params: dict[str, str | int] = {**texts, "recvWindow": self._window, "timestamp": timestamp_ms}
        if not self._signer.has_session:
            params["apiKey"] = self._signer.api_key
            params["signature"] = self._signer.sign(
                "&".join(f"{name}={params[name]}" for name in sorted(params))
            )
        return msgspec.json.encode({"id": command.request, "method": method, "params": params})


def rest_request(command: Command, steps: Steps, prevention: str) -> tuple[str, str, Params]:
    """The same over REST: method, path behind the version, and parameters."""
    (_, method, path), params = request_of(command, steps, prevention)
    return method, path, list(params.items())


# ---- answers


class ReplaceError(Error, frozen=True):
    """A replacement that failed; `data` says what became of its halves."""

    data: bytes = b""


class _ErrorText(orders.ErrorText, frozen=True):
    def neutral(self) -> Error:
        """As the machines know it."""
        if self.code in REPLACE_CODES:
            return ReplaceError(self.code, self.msg, data=bytes(self.data))
        return super().neutral()


class _Named(msgspec.Struct, frozen=True):
    e: str = ""


class Reply(orders.SharedReply, frozen=True):
    """An answer, or what the exchange says by itself on the same socket: its end, or that of the session."""

    id: int | str | None = None
    status: Code = 200
    error: _ErrorText | None = None
    event: _Named | None = None

    @property
    def is_last(self) -> bool:
        """The exchange is about to end the connection."""
        return self.event is not None and self.event.e == "serverShutdown"


class _Ended(msgspec.Struct, frozen=True):
    status: str = ""
    timeInForce: str = ""  # noqa: N815


class _Half(msgspec.Struct, frozen=True):
    code: Code = 0
    msg: str = ""


class _Replaced(msgspec.Struct, frozen=True):
    cancelResult: str = ""  # noqa: N815
    newOrderResult: str = ""  # noqa: N815
    cancelResponse: msgspec.Raw = msgspec.Raw()  # noqa: N815
    newOrderResponse: msgspec.Raw = msgspec.Raw()  # noqa: N815


class _Amended(msgspec.Struct, frozen=True):
    amendedOrder: dict[str, Any]  # noqa: N815
    transactTime: int = 0  # noqa: N815


_reply = msgspec.json.Decoder(Reply)
_error = msgspec.json.Decoder(_ErrorText)
_ended = msgspec.json.Decoder(_Ended)
_half = msgspec.json.Decoder(_Half)
_replaced = msgspec.json.Decoder(_Replaced)
_amended = msgspec.json.Decoder(_Amended)


def read_reply(data: bytes) -> Reply:
    """Read a WebSocket API message.

    Raises:
        WireError: It is no reply.
    """
    try:
        return _reply.decode(data)
    except DECODE_ERRORS as error:
        raise WireError(f"a WebSocket API reply: {error}") from None


def read_error(body: bytes) -> Error | None:
    """The error in the body of a REST answer, if it is one of the exchange's own."""
    try:
        return _error.decode(body).neutral()
    except DECODE_ERRORS:
        return None


def verdict(status: int, code: int, message: str, reasons: Mapping[int, int]) -> tuple[str, int]:
    """What an error means: REFUSED and a REASON_*, or UNKNOWN and 0."""
    if code == REJECTED_CODE:
        text = message.lower()
        return REFUSED, next((reason for part, reason in _REJECTIONS if part in text), c.REASON_EXCHANGE)
    return codes.verdict(status, code, message, reasons)


def outcome_of_order(command: Command, data: bytes | msgspec.Raw, steps: Mapping[str, Steps]) -> Outcome:
    """The outcome of a command that was answered with an order; see the family's."""
    if not isinstance(command, Modify):
        return _with_reason(orders.outcome_of_order(command, data, steps), data)
    former: Report | None = None
    try:
        if command.is_reduction:
            amended = _amended.decode(data)
            one = amended.amendedOrder
            order = {**one, "origQty": one.get("qty"), "transactTime": amended.transactTime}
            data = msgspec.json.encode(order)
        else:
            replaced = _replaced.decode(data)
            former = orders.read_order(replaced.cancelResponse, steps, BY_REPLY)
            data = replaced.newOrderResponse
    except (*DECODE_ERRORS, WireError) as error:
        return Outcome(command.request, UNKNOWN, 0, str(error))
    outcome = _with_reason(orders.outcome_of_order(command, data, steps), data)
    return msgspec.structs.replace(outcome, former=former) if outcome.kind == CONFIRMED else outcome


def _with_reason(outcome: Outcome, data: bytes | msgspec.Raw) -> Outcome:
    """Why an order that was taken has ended: the answer does not say it, and may come before the event that does."""
    report = outcome.report
    if report is None or report.status != c.EXPIRED:
        return outcome
    order = _ended.decode(data)
    if order.status == "EXPIRED_IN_MATCH":
        reason = c.REASON_SELF_TRADE
    elif order.timeInForce in _ENDS_AT_ONCE:
        reason = _ENDS_AT_ONCE[order.timeInForce]
    else:
        return outcome
    return msgspec.structs.replace(outcome, report=msgspec.structs.replace(report, reason=reason))


def outcome_of_error(
    command: Command,
    status: int,
    error: Error | None,
    text: str,
    steps: Mapping[str, Steps],
    reasons: Mapping[int, int],
    hints: Mapping[int, str],
) -> Outcome:
    """The outcome of a command that was answered with an error; see the family's."""
    if isinstance(error, ReplaceError):
        return _outcome_of_replacement(command, error, steps, reasons, hints)
    code, message = (error.code, error.msg) if error else (0, text)
    kind, reason = verdict(status, code, message, reasons)
    words = f"{status} {code} {message[:200]}"
    return Outcome(command.request, kind, reason, words, code=code, hint=hints.get(code, ""))


def _outcome_of_replacement(
    command: Command,
    error: ReplaceError,
    steps: Mapping[str, Steps],
    reasons: Mapping[int, int],
    hints: Mapping[int, str],
) -> Outcome:
    """What became of both halves; what can't be read has to be asked about."""
    former: Report | None = None
    try:
        halves = _replaced.decode(error.data)
        is_cancelled = halves.cancelResult == "SUCCESS"
        if is_cancelled:
            former = orders.read_order(halves.cancelResponse, steps, BY_REPLY)
        half = _half.decode(halves.newOrderResponse if is_cancelled else halves.cancelResponse)
    except (*DECODE_ERRORS, WireError) as why:
        return Outcome(command.request, UNKNOWN, 0, f"{error.code} {error.msg[:100]}: {why}")
    kind, reason = verdict(400, half.code, half.msg, reasons)
    words = f"{error.code} {half.code} {half.msg[:200]}"
    if kind == UNKNOWN or not half.code:
        # Whether there is a new order is not known, whatever became of the old one.
        return Outcome(command.request, UNKNOWN, 0, words, code=half.code)
    return Outcome(
        command.request, REFUSED, reason, words, code=half.code, hint=hints.get(half.code, ""), former=former
    )
