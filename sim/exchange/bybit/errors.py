"""The exchange's errors: code, words, and the status of HTTP, which is 200 of most."""

from typing import Any, Final, NamedTuple

from sim.exchange.rules.refusals import RefusedError, Why

_LATE: Final = "invalid request, please check your server timestamp or recv_window param."
_NOT_LIVE: Final = "This contract is not live"
_BAND: Final = "Order price exceeds the allowable range."
_OVER: Final = "access too frequent, please try again in 5 minutes"

CODES: Final[dict[Why, tuple[int, str, int]]] = {
    Why.NO_KEY: (10003, "API key is invalid.", 401),
    Why.UNKNOWN_KEY: (10003, "API key is invalid.", 200),
    Why.NO_SIGNATURE: (10004, "error sign! the signature is missing", 401),
    Why.BAD_SIGNATURE: (10004, "error sign!", 200),
    Why.NOT_ED25519: (10004, "error sign!", 200),
    Why.EARLY: (10002, _LATE, 200),
    Why.LATE: (10002, _LATE, 200),
    Why.LATE_AT_ENGINE: (10002, _LATE, 200),
    Why.WINDOW_TOO_LONG: (10001, "recv_window is invalid", 200),
    Why.BANNED: (10018, _OVER, 403),
    Why.OVER_LIMIT: (10018, _OVER, 403),
    Why.FLOODED: (10018, _OVER, 403),
    Why.TOO_MANY_ORDERS: (10006, "Too many visits!", 200),
    Why.THROTTLED: (10429, "System level frequency protection", 429),
    Why.UNAVAILABLE: (10016, "Server error.", 200),
    Why.UNKNOWN_OUTCOME: (10016, "Server error.", 200),
    Why.TIMED_OUT: (10000, "Server Timeout", 200),
    Why.UNKNOWN_SYMBOL: (10001, "params error: symbol invalid", 200),
    Why.CLOSED: (110074, _NOT_LIVE, 200),
    Why.ONLY_REDUCING: (110023, "Can only reduce positions", 200),
    Why.NO_AMENDS: (110074, _NOT_LIVE, 200),
    Why.TICK: (10001, "params error: price is not a multiple of the tick", 200),
    Why.PRICE_LOW: (110003, _BAND, 200),
    Why.PRICE_HIGH: (110003, _BAND, 200),
    Why.ABOVE_BAND: (110003, _BAND, 200),
    Why.BELOW_BAND: (110003, _BAND, 200),
    Why.QTY_ZERO: (10001, "params error: qty invalid", 200),
    Why.LOT: (10001, "params error: qty is not a multiple of the step", 200),
    Why.QTY_LOW: (10001, "The number of contracts is below the minimum limit allowed", 200),
    Why.QTY_HIGH: (10001, "The number of contracts exceeds maximum limit allowed", 200),
    Why.VALUE_LOW: (110094, "Order does not meet minimum order value {limit}", 200),
    Why.AMENDED_VALUE_LOW: (110094, "Order does not meet minimum order value {limit}", 200),
    Why.DOUBLED_CLIENT_ID: (110072, "OrderLinkedID is duplicate", 200),
    Why.TOO_MANY_OPEN: (110020, "Not allowed to have more than 500 active orders", 200),
    Why.NO_MARGIN: (110007, "ab not enough for new order", 200),
    # Such orders are taken and end (`NewOrder.expires_unfit`): these two are said by the stream.
    Why.WOULD_TAKE: (10001, "EC_PostOnlyWillTakeLiquidity", 200),
    Why.NOT_FILLED: (10001, "EC_NoEnoughQtyToFill", 200),
    Why.NOT_REDUCING: (110017, "current position is zero, cannot fix reduce-only order qty", 200),
    Why.UNKNOWN_ORDER: (110001, "order not exists or too late to {verb}", 200),
    Why.NOT_LIMIT: (110001, "order not exists or too late to replace", 200),
    Why.NOT_CHANGED: (10001, "order not modified", 200),
    Why.TOO_MANY_AMENDS: (10001, "order was modified too often", 200),
    Why.AMEND_PENDING: (
        110079,
        "The order is processing and can not be operated, please try again later",
        200,
    ),
}
"""Of all reasons but those that bring their own."""


class Error(NamedTuple):
    """A refusal as replies have it.

    Attributes:
        status: HTTP's.
        retry_s: When to come again; 0: it is not said.
    """

    code: int
    msg: str
    status: int
    retry_s: int


def error_of(refused: RefusedError) -> Error:
    """How the exchange says it."""
    facts: dict[str, Any] = {"verb": "cancel"} | refused.facts
    if refused.why is Why.OTHER:
        code, msg, _ = CODES[Why.UNAVAILABLE]
        code, msg, status = facts["code"] or code, facts["msg"] or msg, facts["status"]
    else:
        code, msg, status = CODES[refused.why]
        msg = msg.format(**facts)
    return Error(code, msg, status, facts.get("retry_s", 0))


def refusal(code: int, msg: str, status: int = 200) -> RefusedError:
    """One that no other exchange has."""
    return RefusedError(Why.OTHER, code=code, msg=msg, status=status)


def wrong(what: str) -> RefusedError:
    """A parameter is not there, or is no value."""
    return refusal(10001, f"params error: {what}")


def envelope(result: Any, time_ms: int, error: Error | None = None, more: Any = None) -> dict[str, Any]:
    """A reply over HTTP."""
    return {
        "retCode": error.code if error else 0,
        "retMsg": error.msg if error else "OK",
        "result": result,
        "retExtInfo": more if more is not None else {},
        "time": time_ms,
    }
