"""Orders and the constants that stand in them, by the names that scripts written for HftBacktest look for."""

from typing import Final

from hftd.compiled.layout import order_dtype
from hftd.constants import (
    BUY,
    CANCELED,
    EXPIRED,
    FILLED,
    FOK,
    GTC,
    GTX,
    IOC,
    LIMIT,
    MARKET,
    NEW,
    NONE,
    PARTIALLY_FILLED,
    REJECTED,
    SELL,
)
from hftd.hbt.views import Order

UNSUPPORTED: Final = 255
Order_ = Order

__all__ = [
    "BUY",
    "CANCELED",
    "EXPIRED",
    "FILLED",
    "FOK",
    "GTC",
    "GTX",
    "IOC",
    "LIMIT",
    "MARKET",
    "NEW",
    "NONE",
    "PARTIALLY_FILLED",
    "REJECTED",
    "SELL",
    "UNSUPPORTED",
    "Order",
    "Order_",
    "order_dtype",
]
