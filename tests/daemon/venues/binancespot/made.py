"""What Spot says, as its documentation has it, with numbers of our own."""

from decimal import Decimal

from daemon.messages import Instrument
from daemon.session.catalog import steps_of

BTC = Instrument(
    number=0,
    symbol="BTCUSDT",
    tick_size=Decimal("0.01"),
    lot_size=Decimal("0.00001"),
    base="BTC",
    quote="USDT",
    is_spot=True,
    replaces=True,
)
STEPS = steps_of([BTC])

SYMBOL = {
    "symbol": "BTCUSDT",
    "status": "TRADING",
    "baseAsset": "BTC",
    "baseAssetPrecision": 8,
    "quoteAsset": "USDT",
    "quotePrecision": 8,
    "isSpotTradingAllowed": True,
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01000000"},
        {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00001000"},
        {"filterType": "MARKET_LOT_SIZE", "minQty": "0", "maxQty": "100", "stepSize": "0"},
        {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True},
    ],
}
INFO = {
    "rateLimits": [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000},
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
        {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 200000},
        {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 300000},
    ],
    "symbols": [SYMBOL, SYMBOL | {"symbol": "币安人生USDT", "baseAsset": "币安人生"}],
}

ORDER = {
    "symbol": "BTCUSDT",
    "orderId": 55471195855,
    "orderListId": -1,
    "clientOrderId": "a1",
    "transactTime": 1768635167519,
    "price": "80000.00000000",
    "origQty": "0.00100000",
    "executedQty": "0.00000000",
    "cummulativeQuoteQty": "0.00000000",
    "status": "NEW",
    "timeInForce": "GTC",
    "type": "LIMIT",
    "side": "BUY",
    "selfTradePreventionMode": "EXPIRE_MAKER",
}
LIMITS = [
    {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100, "count": 1},
    {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 200000, "count": 2},
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000, "count": 546},
]
ACCOUNT = {
    "canTrade": True,
    "updateTime": 1768635167000,
    "balances": [
        {"asset": "BTC", "free": "0.50000000", "locked": "0.10000000"},
        {"asset": "USDT", "free": "1000.00000000", "locked": "0.00000000"},
    ],
}
TRADE = {
    "symbol": "BTCUSDT",
    "id": 28457,
    "orderId": 55471195855,
    "orderListId": -1,
    "price": "80000.00000000",
    "qty": "0.00100000",
    "quoteQty": "80.00000000",
    "commission": "0.00000100",
    "commissionAsset": "BTC",
    "time": 1768635167520,
    "isBuyer": True,
    "isMaker": False,
    "isBestMatch": True,
}


def told(event: dict, subscription: int = 0) -> dict:
    """An event as it comes on the WebSocket API."""
    return {"subscriptionId": subscription, "event": event}


def execution_report(**changes: object) -> dict:
    """An order's event."""
    event: dict[str, object] = {
        "e": "executionReport",
        "E": 1768640962931,
        "s": "BTCUSDT",
        "c": "a1",
        "S": "BUY",
        "o": "LIMIT",
        "f": "GTC",
        "q": "0.00100000",
        "p": "80000.00000000",
        "P": "0.00000000",
        "F": "0.00000000",
        "g": -1,
        "C": "",
        "x": "NEW",
        "X": "NEW",
        "r": "NONE",
        "i": 55472337221,
        "l": "0.00000000",
        "z": "0.00000000",
        "L": "0.00000000",
        "n": "0",
        "N": None,
        "T": 1768640962930,
        "t": -1,
        "I": 117599651999,
        "w": True,
        "m": False,
        "M": False,
        "O": 1768640962930,
        "Z": "0.00000000",
        "Y": "0.00000000",
        "Q": "0.00000000",
        "W": 1768640962930,
        "V": "EXPIRE_MAKER",
    }
    return told(event | changes)
