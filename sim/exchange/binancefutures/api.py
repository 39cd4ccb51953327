"""What can be asked of USD-M alone, and all that can: by REST, and by the WebSocket API."""

from typing import Any, Final

from sim.exchange.accounts.accounts import Account
from sim.exchange.accounts.processing import KEY, NOTHING, SIGNED, Operation, Params
from sim.exchange.binance import api, queries
from sim.exchange.binance.orders import read_order
from sim.exchange.binance.queries import one_or_all, position_row, profit_of, rate_limit, symbols_of
from sim.exchange.binancefutures.payloads import UsdmPayloads
from sim.exchange.core import Exchange

SAYS: Final = UsdmPayloads()
_UNLIMITED: Final = 1_000_000_000


def exchange_info(exchange: Exchange, account: None, params: Params) -> Any:
    """With the margin assets."""
    quotes = dict.fromkeys(one.quote for one in exchange.instruments.values())
    return queries.exchange_info(exchange, account, params) | {
        "futuresType": "U_MARGINED",
        "assets": [{"asset": quote, "marginAvailable": True, "autoAssetExchange": "0"} for quote in quotes],
    }


def test_order(exchange: Exchange, account: Account, params: Params) -> Any:
    """Check an order and do nothing."""
    read_order(exchange, account, params)
    return {}


def positions(exchange: Exchange, account: Account, params: Params) -> Any:
    """Positions, of instruments that have one or have orders."""
    symbols = symbols_of(exchange, params)
    with_orders = {one.instrument.symbol for one in account.open_orders.values()}
    return [
        position_row(exchange, account, one)
        for one in account.positions.values()
        if one.instrument.symbol in symbols and (one.lots or one.instrument.symbol in with_orders)
    ]


def account(exchange: Exchange, account: Account, _params: Params) -> Any:
    """Balances and positions."""
    rows = [position_row(exchange, account, one) for one in account.positions.values() if one.lots]
    wallet = account.main
    return SAYS.account_query(account, wallet, profit_of(exchange, account, wallet), rows)


def account_config(_exchange: Exchange, account: Account, _params: Params) -> Any:
    """How the account trades."""
    return {
        "feeTier": 0,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "dualSidePosition": account.hedge,
        "updateTime": 0,
        "multiAssetsMargin": False,
        "tradeGroupId": -1,
    }


def symbol_config(exchange: Exchange, account: Account, params: Params) -> Any:
    """How the account trades an instrument."""
    return [
        {
            "symbol": symbol,
            "marginType": "CROSSED",
            "isAutoAddMargin": False,
            "leverage": account.leverage,
            "maxNotionalValue": "1000000000",
        }
        for symbol in symbols_of(exchange, params)
    ]


def order_limits(exchange: Exchange, account: Account, _params: Params) -> Any:
    """Order limits, and how far they are used."""
    counts, settings = exchange.limits.order_counts(account), exchange.limits.settings
    return [
        rate_limit("ORDERS", "SECOND", 10, settings.orders_10s or _UNLIMITED) | {"count": counts[0]},
        rate_limit("ORDERS", "MINUTE", 1, settings.orders_1m or _UNLIMITED) | {"count": counts[1]},
    ]


def leverage_bracket(exchange: Exchange, _account: Account, params: Params) -> Any:
    """One bracket for all."""
    bracket = {
        "bracket": 1,
        "initialLeverage": 125,
        "notionalCap": 1_000_000_000,
        "notionalFloor": 0,
        "maintMarginRatio": 0.025,
        "cum": 0.0,
    }
    rows = [{"symbol": symbol, "brackets": [bracket]} for symbol in symbols_of(exchange, params)]
    return one_or_all(exchange, params, rows)


def keep_listen_key(exchange: Exchange, account: Account, params: Params) -> Any:
    """Let a listen key live longer; REST does not say it again."""
    api.keep_listen_key(exchange, account, params)
    return {}


def commission_rate(exchange: Exchange, account: Account, params: Params) -> Any:
    """Fees."""
    return queries.commission_rate(exchange, account, params) | {"rpiCommissionRate": "0.00000000"}


_POSITIONS: Final = Operation(positions, SIGNED, 5)
_BALANCE: Final = Operation(queries.balance, SIGNED, 5)
_ACCOUNT: Final = Operation(account, SIGNED, 5)

REST: Final = api.REST | {
    ("GET", "/v1/exchangeInfo"): Operation(exchange_info, NOTHING, 1),
    ("GET", "/v2/ticker/price"): api.PRICE,
    ("POST", "/v1/order/test"): Operation(test_order, SIGNED, 1),
    ("PUT", "/v1/listenKey"): Operation(keep_listen_key, KEY, 1),
    ("GET", "/v2/positionRisk"): _POSITIONS,
    ("GET", "/v3/positionRisk"): _POSITIONS,
    ("GET", "/v2/balance"): _BALANCE,
    ("GET", "/v3/balance"): _BALANCE,
    ("GET", "/v2/account"): _ACCOUNT,
    ("GET", "/v3/account"): _ACCOUNT,
    ("GET", "/v1/accountConfig"): Operation(account_config, SIGNED, 5),
    ("GET", "/v1/symbolConfig"): Operation(symbol_config, SIGNED, 5),
    ("GET", "/v1/commissionRate"): Operation(commission_rate, SIGNED, 20),
    ("GET", "/v1/rateLimit/order"): Operation(order_limits, SIGNED, 1),
    ("GET", "/v1/leverageBracket"): Operation(leverage_bracket, SIGNED, 1),
    ("GET", "/v1/multiAssetsMargin"): Operation(lambda _e, _a, _p: {"multiAssetsMargin": False}, SIGNED, 30),
}
WS_METHODS: Final = api.WS_METHODS | {
    "account.position": _POSITIONS,
    "v2/account.position": _POSITIONS,
    "account.balance": _BALANCE,
    "v2/account.balance": _BALANCE,
    "account.status": _ACCOUNT,
    "v2/account.status": _ACCOUNT,
    "depth": api.DEPTH,
    "ticker.book": api.TICKER,
    "ticker.price": api.PRICE,
}
