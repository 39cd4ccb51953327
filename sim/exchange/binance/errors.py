"""The exchange's errors: code, message, HTTP status."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from sim.exchange.rules.refusals import RefusedError, Why

_TIMED_OUT: Final = (
    "Timeout waiting for response from backend server. Send status unknown; execution status unknown."
)
_BUSY: Final = "Server is currently overloaded with other requests. Please try again in a few minutes."
_NO_AMENDS: Final = "Symbol is not in trading status. Order amendment is not permitted."
_TAKES: Final = "Due to the order could not be executed as maker, the Post Only order will be rejected."
_UNFILLED: Final = "Due to the order could not be filled immediately, the FOK order has been rejected."
_ONLY_ED25519: Final = "Only Ed25519 keys are supported for session.logon."
_VALUE: Final = "Order's notional must be no smaller than {limit} (unless you choose reduce only)."
_LATE: Final = "Timestamp for this request is outside of the recvWindow."
_EARLY: Final = "Timestamp for this request was 1000ms ahead of the server's time."
_OVER: Final = "Too many requests; current limit of IP({who}) is {limit} requests per minute."
_BANNED: Final = (
    "Way too many requests; IP({address}) banned until {until_ms}. "
    "Please use the websocket for live updates to avoid bans."
)
_MISSING: Final = "Mandatory parameter '{}' was not sent, was empty/null, or malformed."

CODES: Final[dict[Why, tuple[int, str, int]]] = {
    Why.NO_KEY: (-2014, "API-key format invalid.", 401),
    Why.UNKNOWN_KEY: (-2015, "Invalid API-key, IP, or permissions for action.", 401),
    Why.NO_SIGNATURE: (-1102, _MISSING.format("signature"), 400),
    Why.BAD_SIGNATURE: (-1022, "Signature for this request is not valid.", 400),
    Why.NOT_ED25519: (-4056, _ONLY_ED25519, 400),
    Why.EARLY: (-1021, _EARLY, 400),
    Why.LATE: (-1021, _LATE, 400),
    Why.LATE_AT_ENGINE: (-5028, "Timestamp for this request is outside of the ME recvWindow.", 400),
    Why.WINDOW_TOO_LONG: (-1131, "recvWindow must be less than 60000.", 400),
    Why.BANNED: (-1003, _BANNED, 418),
    Why.OVER_LIMIT: (-1003, _OVER, 429),
    Why.TOO_MANY_ORDERS: (-1015, "Too many new orders; please use the batch or slow down.", 429),
    Why.FLOODED: (-1003, "Too many requests; current limit is exceeded.", 429),
    Why.THROTTLED: (-1008, _BUSY, 503),
    Why.UNAVAILABLE: (-1000, "Service Unavailable.", 503),
    Why.UNKNOWN_OUTCOME: (-1000, "Unknown error, please check your request or try again later.", 503),
    Why.TIMED_OUT: (-1007, _TIMED_OUT, 408),
    Why.UNKNOWN_SYMBOL: (-1121, "Invalid symbol.", 400),
    Why.CLOSED: (-4108, "This contract is being settled or is not trading.", 400),
    Why.ONLY_REDUCING: (-4140, "Invalid symbol status for opening position.", 400),
    Why.NO_AMENDS: (-5024, _NO_AMENDS, 400),
    Why.TICK: (-4014, "Price not increased by tick size.", 400),
    Why.PRICE_LOW: (-4013, "Price less than min price ({limit}).", 400),
    Why.PRICE_HIGH: (-4002, "Price greater than max price.", 400),
    Why.ABOVE_BAND: (-4016, "Limit price can't be higher than {limit}.", 400),
    Why.BELOW_BAND: (-4024, "Limit price can't be lower than {limit}.", 400),
    Why.QTY_ZERO: (-4003, "Quantity less than or equal to zero.", 400),
    Why.LOT: (-4023, "Qty not increased by step size.", 400),
    Why.QTY_LOW: (-4004, "Quantity less than min quantity.", 400),
    Why.QTY_HIGH: (-4005, "Quantity greater than max quantity.", 400),
    Why.VALUE_LOW: (-4164, _VALUE, 400),
    Why.AMENDED_VALUE_LOW: (-5029, _VALUE, 400),
    Why.DOUBLED_CLIENT_ID: (-4116, "ClientOrderId is duplicated.", 400),
    Why.TOO_MANY_OPEN: (-2025, "Reach max open order limit.", 400),
    Why.NO_MARGIN: (-2019, "Margin is insufficient.", 400),
    Why.WOULD_TAKE: (-5022, _TAKES, 400),
    Why.NOT_REDUCING: (-2022, "ReduceOnly Order is rejected.", 400),
    Why.NOT_FILLED: (-5021, _UNFILLED, 400),
    Why.UNKNOWN_ORDER: (-2013, "Order does not exist.", 400),
    Why.NOT_LIMIT: (-5025, "Only limit order is supported.", 400),
    Why.NOT_CHANGED: (-5027, "No need to modify the order.", 400),
    Why.TOO_MANY_AMENDS: (-5026, "Exceed maximum modify order limit.", 400),
    Why.AMEND_PENDING: (-5043, "A pending modification already exists for this order.", 400),
}
"""Of all reasons but those that bring their own; products say some of them in other numbers."""


class Error(NamedTuple):
    """A refusal as replies have it.

    Attributes:
        status: HTTP's.
        retry_s: When to come again; 0: it is not said.
        data: What is said besides, if anything.
    """

    code: int
    msg: str
    status: int
    retry_s: int
    data: Any = None

    def body(self) -> dict[str, Any]:
        """As the reply has it."""
        more = {"data": self.data} if self.data is not None else {}
        return {"code": self.code, "msg": self.msg} | more


def error_of(refused: RefusedError, codes: Mapping[Why, tuple[int, str, int]] = CODES) -> Error:
    """How the exchange says it, by a product's codes."""
    facts = refused.facts
    if refused.why is Why.OTHER:
        code, msg, _ = codes[Why.UNAVAILABLE]
        code, msg, status = facts["code"] or code, facts["msg"] or msg, facts["status"]
    else:
        code, msg, status = codes[refused.why]
        msg = msg.format(**facts)
    return Error(code, msg, status, facts.get("retry_s", 0), facts.get("data"))


def refusal(code: int, msg: str, status: int = 400, **facts: Any) -> RefusedError:
    """One that no other exchange has."""
    return RefusedError(Why.OTHER, code=code, msg=msg, status=status, **facts)


def missing(name: str) -> RefusedError:
    """A parameter is not there, or is no value."""
    return refusal(-1102, _MISSING.format(name))


def unneeded(name: str) -> RefusedError:
    """A parameter must not be there."""
    return refusal(-1106, f"Parameter '{name}' sent when not required.")
