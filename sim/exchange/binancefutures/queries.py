"""What can be asked without changing anything: of the market, and of an account."""

from typing import Any, Final

from sim.exchange.accounts import Account, Order, Position, Wallet
from sim.exchange.binancefutures import payloads
from sim.exchange.binancefutures.errors import refusal
from sim.exchange.binancefutures.feeds import BinanceFeed
from sim.exchange.binancefutures.orders import named_instrument, named_order, read_order, whole
from sim.exchange.core import Exchange
from sim.exchange.instruments import RATE, show
from sim.exchange.processing import Params
from sim.exchange.refusals import RefusedError, Why

DEPTH_WEIGHTS: Final = {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1000: 20}
_PAGE_DEFAULT: Final = 500
_PAGE_MAX: Final = 1000
_WEEK_MS: Final = 7 * 86_400_000
_KEPT_MS: Final = 3 * 86_400_000
_NEVER_MS: Final = 1 << 60
_UNLIMITED: Final = 1_000_000_000


def symbols_of(exchange: Exchange, params: Params) -> list[str]:
    """The instruments that a query means: the one that it names, or all."""
    symbol = params.get("symbol")
    if not symbol:
        return list(exchange.instruments)
    if symbol not in exchange.instruments:
        raise RefusedError(Why.UNKNOWN_SYMBOL)
    return [symbol]


def one_or_all(params: Params, rows: list[Any]) -> Any:
    """One row where an instrument was named, else all."""
    return rows[0] if params.get("symbol") else rows


def rate_limit(kind: str, interval: str, number: int, limit: int) -> dict[str, Any]:
    """A limit as the exchange states it; with `count` it is how far it is used."""
    return {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit}


def exchange_info(exchange: Exchange, _account: None, _params: Params) -> Any:
    """Instruments, filters and limits."""
    settings = exchange.limits.settings
    return {
        "timezone": "UTC",
        "serverTime": exchange.clock.server_ms(),
        "futuresType": "U_MARGINED",
        "rateLimits": [
            rate_limit("REQUEST_WEIGHT", "MINUTE", 1, settings.weight_1m or _UNLIMITED),
            rate_limit("ORDERS", "MINUTE", 1, settings.orders_1m or _UNLIMITED),
            rate_limit("ORDERS", "SECOND", 10, settings.orders_10s or _UNLIMITED),
        ],
        "exchangeFilters": [],
        "assets": [
            {"asset": quote, "marginAvailable": True, "autoAssetExchange": "0"}
            for quote in dict.fromkeys(one.quote for one in exchange.instruments.values())
        ],
        "symbols": [payloads.instrument_query(one) for one in exchange.instruments.values()],
    }


def book_ticker(exchange: Exchange, _account: None, params: Params) -> Any:
    """The best prices."""
    rows = []
    for symbol in symbols_of(exchange, params):
        i = exchange.instruments[symbol]
        feed = exchange.feeds[i.number]
        bid, ask = feed.best()
        rows.append(
            {
                "symbol": symbol,
                "bidPrice": i.price(bid[0]),
                "bidQty": i.qty(bid[1]),
                "askPrice": i.price(ask[0]),
                "askQty": i.qty(ask[1]),
                "time": feed.time_ms,
                "lastUpdateId": feed.last_id,
            }
        )
    return one_or_all(params, rows)


def price(exchange: Exchange, _account: None, params: Params) -> Any:
    """The last price."""
    rows = []
    for symbol in symbols_of(exchange, params):
        i = exchange.instruments[symbol]
        feed = exchange.feeds[i.number]
        rows.append(
            {"symbol": symbol, "price": i.price(feed.last_tick or feed.mark_tick()), "time": feed.time_ms}
        )
    return one_or_all(params, rows)


def premium_index(exchange: Exchange, _account: None, params: Params) -> Any:
    """The mark price: here the middle of the best prices."""
    rows = []
    for symbol in symbols_of(exchange, params):
        i = exchange.instruments[symbol]
        mark = i.price(exchange.feeds[i.number].mark_tick())
        now_ms = exchange.clock.server_ms()
        rows.append(
            {
                "symbol": symbol,
                "markPrice": mark,
                "indexPrice": mark,
                "estimatedSettlePrice": mark,
                "lastFundingRate": "0.00010000",
                "interestRate": "0.00010000",
                "nextFundingTime": (now_ms // 28_800_000 + 1) * 28_800_000,
                "time": now_ms,
            }
        )
    return one_or_all(params, rows)


def depth(exchange: Exchange, _account: None, params: Params) -> Any:
    """The book."""
    feed = exchange.feeds[named_instrument(exchange, params).number]
    limit = whole(params, "limit", 500)
    if limit not in DEPTH_WEIGHTS:
        raise refusal(-4021, f"{limit} is not valid depth limit.")
    assert isinstance(feed, BinanceFeed)
    return feed.snapshot(limit, exchange.clock.server_ms())


def depth_weight(params: Params) -> int:
    """What the book costs, by its depth."""
    return DEPTH_WEIGHTS.get(whole(params, "limit", 500), 2)


# Of an account.


def test_order(exchange: Exchange, account: Account, params: Params) -> Any:
    """Check an order and do nothing."""
    read_order(exchange, account, params)
    return {}


def order(exchange: Exchange, account: Account, params: Params) -> Any:
    """One order, open or over."""
    found = _find(exchange, account, params, only_open=False)
    if not found.is_open and not found.executed_lots:
        if exchange.clock.server_ms() - found.updated_ms > _KEPT_MS:
            raise RefusedError(Why.UNKNOWN_ORDER)
    return payloads.order_query(found)


def open_order(exchange: Exchange, account: Account, params: Params) -> Any:
    """One open order."""
    return payloads.order_query(_find(exchange, account, params, only_open=True))


def _find(exchange: Exchange, account: Account, params: Params, *, only_open: bool) -> Order:
    found = named_order(exchange, account, params, only_open=only_open)
    if found is None or _is_unseen(exchange, found):
        raise RefusedError(Why.UNKNOWN_ORDER)
    return found


def _is_unseen(exchange: Exchange, order: Order) -> bool:
    """What queries read may be behind the matching engine."""
    chaos = exchange.chaos
    if chaos.settings.young_unseen <= 0.0:
        return False
    age_ms = exchange.matching.now_ms - order.created_ms
    return age_ms < chaos.settings.late_ms and chaos.strikes("young_unseen")


def open_orders(exchange: Exchange, account: Account, params: Params) -> Any:
    """All open orders, of an instrument or of all."""
    symbols = frozenset(symbols_of(exchange, params))
    return [
        payloads.order_query(one)
        for one in account.open_orders.values()
        if one.instrument.symbol in symbols and not _is_unseen(exchange, one)
    ]


def _page(params: Params) -> tuple[int, int, int]:
    """Limit, start and end time."""
    limit = whole(params, "limit", _PAGE_DEFAULT)
    if not 0 < limit <= _PAGE_MAX:
        raise refusal(-1130, "Data sent for parameter 'limit' is not valid.")
    start_ms = whole(params, "startTime", -1 if "startTime" not in params else None)
    end_ms = whole(params, "endTime", _NEVER_MS if "endTime" not in params else None)
    if start_ms >= 0 and end_ms != _NEVER_MS and end_ms - start_ms > _WEEK_MS:
        raise refusal(-4166, "Search window is restricted to recent 7 days only.")
    if start_ms >= 0 and end_ms == _NEVER_MS:
        end_ms = start_ms + _WEEK_MS
    return limit, start_ms, end_ms


def all_orders(exchange: Exchange, account: Account, params: Params) -> Any:
    """Orders, open or over, by id."""
    symbols = symbols_of(exchange, params)
    limit, start_ms, end_ms = _page(params)
    first_id = whole(params, "orderId", 0)
    found = [
        one
        for one in account.orders.values()
        if one.instrument.symbol in symbols
        and one.order_id >= first_id
        and start_ms <= one.created_ms <= end_ms
    ]
    # From an id or a time on the first ones; without either the last ones.
    chosen = found[:limit] if first_id or start_ms >= 0 else found[-limit:]
    return [payloads.order_query(one) for one in chosen]


def user_trades(exchange: Exchange, account: Account, params: Params) -> Any:
    """Executions, by id."""
    symbols = symbols_of(exchange, params)
    limit, start_ms, end_ms = _page(params)
    first_id = whole(params, "fromId", 0)
    if first_id and (start_ms >= 0 or params.get("endTime")):
        raise refusal(-1128, "Combination of optional parameters invalid.")
    order_id = whole(params, "orderId", 0)
    found = [
        one
        for one in account.trades
        if one.order.instrument.symbol in symbols
        and one.trade_id >= first_id
        and (not order_id or one.order.order_id == order_id)
        and start_ms <= one.time_ms <= end_ms
    ]
    chosen = found[:limit] if first_id or start_ms >= 0 else found[-limit:]
    return [payloads.trade_query(one) for one in chosen]


def _profit(exchange: Exchange, account: Account, wallet: Wallet) -> int:
    return sum(
        one.profit(_mark(exchange, one))
        for one in account.positions.values()
        if one.instrument.margin_asset == wallet.asset
    )


def _mark(exchange: Exchange, position: Position) -> int:
    return exchange.feeds[position.instrument.number].mark_tick()


def balance(exchange: Exchange, account: Account, _params: Params) -> Any:
    """The balances."""
    return [
        payloads.balance_query(account, one, _profit(exchange, account, one))
        for one in account.wallets.values()
    ]


def _position(exchange: Exchange, account: Account, position: Position) -> dict[str, Any]:
    return payloads.position_query(position, _mark(exchange, position), account.leverage)


def positions(exchange: Exchange, account: Account, params: Params) -> Any:
    """Positions, of instruments that have one or have orders."""
    symbols = symbols_of(exchange, params)
    with_orders = {one.instrument.symbol for one in account.open_orders.values()}
    return [
        _position(exchange, account, one)
        for one in account.positions.values()
        if one.instrument.symbol in symbols and (one.lots or one.instrument.symbol in with_orders)
    ]


def account(exchange: Exchange, account: Account, _params: Params) -> Any:
    """Balances and positions."""
    rows = [_position(exchange, account, one) for one in account.positions.values() if one.lots]
    wallet = account.main
    return payloads.account_query(account, wallet, _profit(exchange, account, wallet), rows)


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


def commission_rate(exchange: Exchange, _account: Account, params: Params) -> Any:
    """Fees."""
    i = named_instrument(exchange, params)
    digits = len(str(RATE)) - 1
    return {
        "symbol": i.symbol,
        "makerCommissionRate": show(i.maker_rate, digits),
        "takerCommissionRate": show(i.taker_rate, digits),
        "rpiCommissionRate": "0.00000000",
    }


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
    return one_or_all(params, rows)


def hedge(_exchange: Exchange, account: Account, _params: Params) -> Any:
    """Whether long and short positions are apart."""
    return {"dualSidePosition": account.hedge}
