"""What COIN-M says, as its documentation has it, with numbers of our own."""

from decimal import Decimal

from daemon.messages import Instrument
from daemon.session.catalog import steps_of

PERP = Instrument(
    number=0,
    symbol="BTCUSD_PERP",
    tick_size=Decimal("0.1"),
    lot_size=Decimal(1),
    min_qty_lots=1,
    max_qty_lots=1_000_000,
    market_max_qty_lots=60_000,
    contract_size=100.0,
    inverse=True,
    base="BTC",
    quote="USD",
)
STEPS = steps_of([PERP])

SYMBOL = {
    "symbol": "BTCUSD_PERP",
    "pair": "BTCUSD",
    "contractType": "PERPETUAL",
    "contractStatus": "TRADING",
    "contractSize": 100,
    "marginAsset": "BTC",
    "baseAsset": "BTC",
    "quoteAsset": "USD",
    "pricePrecision": 1,
    "quantityPrecision": 0,
    "equalQtyPrecision": 4,
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "1000", "maxPrice": "4520958", "tickSize": "0.1"},
        {"filterType": "LOT_SIZE", "stepSize": "1", "maxQty": "1000000", "minQty": "1"},
        {"filterType": "MARKET_LOT_SIZE", "stepSize": "1", "maxQty": "60000", "minQty": "1"},
    ],
}
QUARTER = SYMBOL | {
    "symbol": "ETHUSD_261225",
    "pair": "ETHUSD",
    "contractSize": 10,
    "marginAsset": "ETH",
    "baseAsset": "ETH",
}
INFO = {
    "rateLimits": [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400},
        {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
    ],
    "symbols": [SYMBOL, QUARTER],
}

ORDER = {
    "orderId": 199338059036,
    "symbol": "BTCUSD_PERP",
    "pair": "BTCUSD",
    "status": "NEW",
    "clientOrderId": "a1",
    "price": "43187",
    "origQty": "100",
    "executedQty": "0",
    "cumQty": "0",
    "timeInForce": "GTX",
    "type": "LIMIT",
    "side": "BUY",
    "positionSide": "BOTH",
    "selfTradePreventionMode": "EXPIRE_MAKER",
    "priceMatch": "NONE",
    "updateTime": 1765338056122,
}
UNTOLD_LIMITS = [
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": -1, "count": -1},
    {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200, "count": 3},
]

POSITION = {
    "symbol": "BTCUSD_PERP",
    "positionAmt": "-7",
    "entryPrice": "51080.10000066",
    "markPrice": "51000.00000000",
    "isAutoAddMargin": "false",
    "positionSide": "BOTH",
    "updateTime": 1765338056122,
}


def position(symbol: str, amount: str) -> dict[str, object]:
    """A position in a contract, none for "0"."""
    return POSITION | {"symbol": symbol, "positionAmt": amount}


def user_order(**changes: object) -> dict[str, object]:
    """An ORDER_TRADE_UPDATE of an order of 100 contracts."""
    order: dict[str, object] = {
        "s": "BTCUSD_PERP",
        "c": "a1",
        "S": "BUY",
        "o": "LIMIT",
        "f": "GTX",
        "q": "100",
        "p": "43187",
        "ap": "0",
        "sp": "0",
        "x": "NEW",
        "X": "NEW",
        "i": 199338059036,
        "l": "0",
        "z": "0",
        "L": "0",
        "ma": "BTC",
        "N": "BTC",
        "n": "0",
        "T": 1765338056122,
        "t": 0,
        "b": "0.23155116",
        "a": "0",
        "m": False,
        "R": False,
        "ps": "BOTH",
        "rp": "0",
        "V": "EXPIRE_MAKER",
        "pm": "NONE",
        "er": "0",
    }
    return {
        "e": "ORDER_TRADE_UPDATE",
        "E": 1765338056123,
        "T": 1765338056122,
        "i": "SfsR",
        "o": order | changes,
    }
