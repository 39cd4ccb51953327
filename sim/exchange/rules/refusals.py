"""Why the exchange refuses a request. A venue says each reason in its own codes and words."""

from enum import Enum, auto
from typing import Any


class Why(Enum):
    """Reasons; what stands behind one are the facts that it comes with."""

    # Who asks, and when.
    NO_KEY = auto()
    UNKNOWN_KEY = auto()
    NO_SIGNATURE = auto()
    BAD_SIGNATURE = auto()
    NOT_ED25519 = auto()
    """This needs an Ed25519 key, and the account has none."""
    EARLY = auto()
    """Its time is ahead of the exchange's."""
    LATE = auto()
    """It is older than its window."""
    LATE_AT_ENGINE = auto()
    """It was, when it reached the matching engine."""
    WINDOW_TOO_LONG = auto()
    # Limits.
    BANNED = auto()
    """address, until_ms, retry_s"""
    OVER_LIMIT = auto()
    """who, limit, retry_s"""
    TOO_MANY_ORDERS = auto()
    # Mishaps.
    FLOODED = auto()
    """Too many requests, whoever sent them: retry_s"""
    THROTTLED = auto()
    UNAVAILABLE = auto()
    UNKNOWN_OUTCOME = auto()
    """It may have been done, or not."""
    TIMED_OUT = auto()
    """It may have been done, or not."""
    OTHER = auto()
    """A reason of the venue's own, or that of an endpoint which fails: code, msg, status"""
    # The instrument.
    UNKNOWN_SYMBOL = auto()
    CLOSED = auto()
    """It takes no orders."""
    ONLY_REDUCING = auto()
    """It takes only orders that reduce a position."""
    NO_AMENDS = auto()
    """Its orders can't be modified now."""
    TICK = auto()
    """The price is not a multiple of the step."""
    PRICE_LOW = auto()
    """limit"""
    PRICE_HIGH = auto()
    ABOVE_BAND = auto()
    """limit"""
    BELOW_BAND = auto()
    """limit"""
    QTY_ZERO = auto()
    LOT = auto()
    """The quantity is not a multiple of the step."""
    QTY_LOW = auto()
    QTY_HIGH = auto()
    VALUE_LOW = auto()
    """limit"""
    AMENDED_VALUE_LOW = auto()
    """limit"""
    # The order and its account.
    DOUBLED_CLIENT_ID = auto()
    TOO_MANY_OPEN = auto()
    NO_MARGIN = auto()
    WOULD_TAKE = auto()
    NOT_REDUCING = auto()
    NOT_FILLED = auto()
    """A fill-or-kill order could not be filled."""
    UNKNOWN_ORDER = auto()
    NOT_LIMIT = auto()
    """Only limit orders are modified."""
    NOT_CHANGED = auto()
    TOO_MANY_AMENDS = auto()
    AMEND_PENDING = auto()
    """Another modification of the order is under way."""


class RefusedError(Exception):
    """A request is refused.

    Args:
        why: The reason.
        facts: What belongs to it.
    """

    def __init__(self, why: Why, **facts: Any) -> None:
        super().__init__(why.name)
        self.why = why
        self.facts = facts
