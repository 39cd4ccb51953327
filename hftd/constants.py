"""Constants that archives, channels, strategies and the engine share.

Names and values are those of HftBacktest 2.4.4, so that its archives and strategies carry over.
"""

from typing import Final

__all__ = [
    "ADD_ORDER_EVENT",
    "ALL_ASSETS",
    "BUY",
    "BUY_EVENT",
    "CANCELED",
    "CANCEL_ORDER_EVENT",
    "DEPTH_BBO_EVENT",
    "DEPTH_CLEAR_EVENT",
    "DEPTH_EVENT",
    "DEPTH_SNAPSHOT_EVENT",
    "END_OF_DATA",
    "ERR_DATA",
    "ERR_END_OF_DATA",
    "ERR_INVALID_REQUEST",
    "ERR_INVALID_STATUS",
    "ERR_NO_SUCH_ASSET",
    "ERR_ORDER_ID_EXISTS",
    "ERR_ORDER_NOT_FOUND",
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
ERR_DATA: Final = 100
"""The data could not be read on; said once, then the data counts as ended. The run's error says what and where."""

INVALID_MIN: Final = -9223372036854775808
"""The best bid in ticks when there is none."""
INVALID_MAX: Final = 9223372036854775807
"""The best ask in ticks when there is none."""
