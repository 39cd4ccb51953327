"""Constants that archives, channels, strategies and the engine share.

Names and values are those of HftBacktest 2.4.4, so that its archives and strategies carry over.
"""

from typing import Final

__all__ = [
    "ADD_ORDER_EVENT",
    "ALL_ASSETS",
    "BOOK_INVALID",
    "BOOK_VALID",
    "BUY",
    "BUY_EVENT",
    "CANCELED",
    "CANCEL_ORDER_EVENT",
    "CONNECTED",
    "DEPTH_BBO_EVENT",
    "DEPTH_CLEAR_EVENT",
    "DEPTH_EVENT",
    "DEPTH_SNAPSHOT_EVENT",
    "DISCONNECTED",
    "END_OF_DATA",
    "ERR_DATA",
    "ERR_DISCONNECTED",
    "ERR_END_OF_DATA",
    "ERR_INVALID_REQUEST",
    "ERR_INVALID_STATUS",
    "ERR_NO_SUCH_ASSET",
    "ERR_ORDER_ID_EXISTS",
    "ERR_ORDER_NOT_FOUND",
    "ERR_PORTFOLIO_LIMIT",
    "ERR_REQUEST_IN_PROCESS",
    "ERR_RING_FULL",
    "ERR_TOO_MANY_ORDERS",
    "EXCH_EVENT",
    "EXPIRED",
    "FILLED",
    "FILL_EVENT",
    "FOK",
    "GTC",
    "GTX",
    "HALTED",
    "INVALID_MAX",
    "INVALID_MIN",
    "IOC",
    "KIND_MASK",
    "LIMIT",
    "LOCAL_EVENT",
    "MARKET",
    "MARKET_FEED",
    "MODIFY_ORDER_EVENT",
    "NEW",
    "NONE",
    "OK",
    "ORDER_RESPONSE",
    "PARTIALLY_FILLED",
    "REASON_BOOK_NOT_VALID",
    "REASON_DISCONNECTED",
    "REASON_DUPLICATE",
    "REASON_EXCHANGE",
    "REASON_EXPIRED",
    "REASON_FILTER",
    "REASON_FOK",
    "REASON_FORGOTTEN",
    "REASON_HALTED",
    "REASON_LEASE_ENDED",
    "REASON_LIMIT_NOTIONAL",
    "REASON_LIMIT_ORDERS",
    "REASON_LIMIT_POSITION",
    "REASON_LIMIT_PRICE",
    "REASON_LIMIT_QTY",
    "REASON_LIMIT_RATE",
    "REASON_LIQUIDATION",
    "REASON_MARGIN",
    "REASON_NEVER_SENT",
    "REASON_NONE",
    "REASON_NOT_TRADING",
    "REASON_OFF_GRID",
    "REASON_PERMISSION",
    "REASON_POST_ONLY",
    "REASON_RATE_LIMIT",
    "REASON_REDUCE_ONLY",
    "REASON_SELF_TRADE",
    "REASON_UNKNOWN_ORDER",
    "REJECTED",
    "REPLACED",
    "SELL",
    "SELL_EVENT",
    "TRADE_EVENT",
    "UNTIL_END_OF_DATA",
    "USER_DEFINED_EVENT",
]

ALL_ASSETS: Final = -1
"""As an asset number: all assets of the bot."""

UNTIL_END_OF_DATA: Final = 9223372036854775807
"""A time that no event reaches (the greatest int64)."""

# Event flags: which side of the wire sees the row, and its side of the book.
EXCH_EVENT: Final = 1 << 31
LOCAL_EVENT: Final = 1 << 30
BUY_EVENT: Final = 1 << 29
SELL_EVENT: Final = 1 << 28

# Event kinds: the low byte of `ev`.
DEPTH_EVENT: Final = 1
TRADE_EVENT: Final = 2
DEPTH_CLEAR_EVENT: Final = 3
DEPTH_SNAPSHOT_EVENT: Final = 4
DEPTH_BBO_EVENT: Final = 5
ADD_ORDER_EVENT: Final = 10
CANCEL_ORDER_EVENT: Final = 11
MODIFY_ORDER_EVENT: Final = 12
FILL_EVENT: Final = 13
USER_DEFINED_EVENT: Final = 100
"""The first kind that a user may define."""

KIND_MASK: Final = 0xFF

BUY: Final = 1
SELL: Final = -1

# Order states; REPLACED is a request only.
NONE: Final = 0
NEW: Final = 1
EXPIRED: Final = 2
FILLED: Final = 3
CANCELED: Final = 4
PARTIALLY_FILLED: Final = 5
REJECTED: Final = 6
REPLACED: Final = 7

# Time in force.
GTC: Final = 0
GTX: Final = 1
FOK: Final = 2
IOC: Final = 3

# Order types.
LIMIT: Final = 0
MARKET: Final = 1

# What `elapse`, `wait_next_feed` and the requests return.
OK: Final = 0
END_OF_DATA: Final = 1
MARKET_FEED: Final = 2
ORDER_RESPONSE: Final = 3
ERR_ORDER_ID_EXISTS: Final = 10
ERR_REQUEST_IN_PROCESS: Final = 11
ERR_ORDER_NOT_FOUND: Final = 12
ERR_INVALID_REQUEST: Final = 13
ERR_INVALID_STATUS: Final = 14
ERR_END_OF_DATA: Final = 15
ERR_TOO_MANY_ORDERS: Final = 16
"""The bot's table of orders is full: clear inactive orders."""
ERR_RING_FULL: Final = 17
"""The request ring is full: the daemon does not keep up; the order was not sent."""
ERR_NO_SUCH_ASSET: Final = 18
"""The asset number is not one of the bot's."""
ERR_DISCONNECTED: Final = 19
"""The bot has lost its daemon and looks for it: the order was not sent."""
ERR_PORTFOLIO_LIMIT: Final = 20
"""The limits of `[portfolio]` over all instruments of the bot refuse it: the order was not sent."""
ERR_DATA: Final = 100
"""The data could not be read on; said once, then the data counts as ended. The run's error says what and where."""

INVALID_MIN: Final = -9223372036854775808
"""The best bid in ticks when there is none."""
INVALID_MAX: Final = 9223372036854775807
"""The best ask in ticks when there is none."""

# What `hbt.book_state` and `hbt.connection` return; the states of the channel's Status.
BOOK_VALID: Final = 0
BOOK_INVALID: Final = 1
"""The book is being synchronised, or the feed is stale."""
DISCONNECTED: Final = 2
"""Orders and their answers do not get through."""
CONNECTED: Final = 3
HALTED: Final = 4
"""The connector takes no new orders until `hftd resume`; cancels pass."""

ALERT_FORCED_CLOSE: Final = -1
"""The code of an alert of a connector's own: the exchange closed a part of the bot's position. Its value is what is
left. A strategy's own alerts should have codes from 0 on."""

# Why the exchange or the connector refused, cancelled or ended an order: `order.reason`; 0 where there is no reason.
REASON_NONE: Final = 0
REASON_UNKNOWN_ORDER: Final = 1
"""The exchange knows no such order, or it was finished already."""
REASON_POST_ONLY: Final = 2
"""A GTX order would have taken."""
REASON_FOK: Final = 3
"""A FOK order could not be filled whole."""
REASON_REDUCE_ONLY: Final = 4
"""A reduce-only order would not have reduced."""
REASON_MARGIN: Final = 5
"""Not enough margin or balance."""
REASON_FILTER: Final = 6
"""The exchange's filters: price step or band, quantity, notional, its number of open orders."""
REASON_RATE_LIMIT: Final = 7
"""The exchange's request limits."""
REASON_DUPLICATE: Final = 8
"""The client order id is in use."""
REASON_NOT_TRADING: Final = 9
"""The exchange takes no orders in the instrument now."""
REASON_PERMISSION: Final = 10
"""Key, signature, time window or permission."""
REASON_EXCHANGE: Final = 11
"""Another reason of the exchange; the log has its words."""
REASON_EXPIRED: Final = 12
"""Expired by its time in force or by the exchange."""
REASON_SELF_TRADE: Final = 13
"""It would have met an own order."""
REASON_LIQUIDATION: Final = 14
"""Liquidation, deleveraging or settlement ended the order; or new orders are refused after one closed a position of the
bot (`on_forced_close`), until `hftd resume`."""
REASON_LIMIT_QTY: Final = 32
"""A limit of the connector: the quantity of an order."""
REASON_LIMIT_NOTIONAL: Final = 33
"""A limit of the connector: the value of an order."""
REASON_LIMIT_POSITION: Final = 34
"""A limit of the connector: the position if it filled."""
REASON_LIMIT_ORDERS: Final = 35
"""A limit of the connector: the number of open orders."""
REASON_LIMIT_RATE: Final = 36
"""A limit of the connector: orders a second."""
REASON_LIMIT_PRICE: Final = 37
"""A limit of the connector: the distance from the book."""
REASON_HALTED: Final = 38
"""The connector is halted (`hftd halt`)."""
REASON_BOOK_NOT_VALID: Final = 39
"""The book is not valid, and the bot or the connector asked not to quote then."""
REASON_DISCONNECTED: Final = 40
"""There is no connection to send it on; it was not sent."""
REASON_NEVER_SENT: Final = 41
"""It was given up before it was sent, or the exchange never got it."""
REASON_LEASE_ENDED: Final = 42
"""The bot's lease ended, and with it its orders."""
REASON_OFF_GRID: Final = 43
"""The quantity is not a whole number of lots, or the price or quantity is out of range."""
REASON_FORGOTTEN: Final = 44
"""The order is over, but how it ended is not known any more: it ended long before the bot asked. What it executed is in
the account's values."""

_REASON_NAMES: Final = {
    value: name
    for name, value in list(globals().items())
    if name.startswith("REASON_") and isinstance(value, int)
}


def reason_name(reason: int) -> str:
    """The name of an order's `reason` as a strategy has it, `REASON_HALTED` for 38; a number that has none as it is."""
    return _REASON_NAMES.get(reason, f"reason {reason}")
