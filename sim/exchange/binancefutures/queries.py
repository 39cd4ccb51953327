"""What an account can be asked without changing it."""

from typing import Any, Final

from sim.exchange.binancefutures import shapes
from sim.exchange.binancefutures.accounts import Account, Order, Position
from sim.exchange.binancefutures.checks import Params, wanted, whole
from sim.exchange.binancefutures.errors import ApiError, no_such_order
from sim.exchange.binancefutures.market_queries import one_or_all, symbols_of
from sim.exchange.binancefutures.numbers import RATE, show, show_money
from sim.exchange.binancefutures.venue import Venue

_PAGE_DEFAULT: Final = 500
_PAGE_MAX: Final = 1000
_WEEK_MS: Final = 7 * 86_400_000
_KEPT_MS: Final = 3 * 86_400_000
_NEVER_MS: Final = 1 << 60


def test_order(venue: Venue, account: Account, params: Params) -> Any:
    """Check an order and do nothing."""
    now_ms = venue.clock.server_ms()
    wanted(params, account, venue.desk.instrument(params), venue.market, now_ms)
    return {}


def order(venue: Venue, account: Account, params: Params) -> Any:
    """One order, open or over."""
    found = _find(venue, account, params, only_open=False)
    if not found.is_open and not found.executed_lots:
        if venue.clock.server_ms() - found.updated_ms > _KEPT_MS:
            raise no_such_order()
    return shapes.order_query(found)


def open_order(venue: Venue, account: Account, params: Params) -> Any:
    """One open order."""
    return shapes.order_query(_find(venue, account, params, only_open=True))


def _find(venue: Venue, account: Account, params: Params, *, only_open: bool) -> Order:
    instrument = venue.desk.instrument(params)
    if not params.get("orderId") and not params.get("origClientOrderId"):
        raise ApiError(-1102, "Either orderId or origClientOrderId must be sent.")
    found = account.find(params.get("orderId") or None, params.get("origClientOrderId"), only_open=only_open)
    if found is None or found.instrument is not instrument or _is_unseen(venue, found):
        raise no_such_order()
    return found


def _is_unseen(venue: Venue, order: Order) -> bool:
    """What queries read may be behind the matching engine."""
    chaos = venue.chaos
    if chaos.settings.young_unseen <= 0.0:
        return False
    age_ms = venue.clock.stamp_ms(venue.market.now_ns) - order.created_ms
    return age_ms < chaos.settings.late_ms and chaos.strikes("young_unseen")


def open_orders(venue: Venue, account: Account, params: Params) -> Any:
    """All open orders, of an instrument or of all."""
    symbols = frozenset(symbols_of(venue, params))
    return [
        shapes.order_query(one)
        for one in account.open_orders.values()
        if one.instrument.symbol in symbols and not _is_unseen(venue, one)
    ]


def _page(params: Params) -> tuple[int, int, int]:
    """Limit, start and end time."""
    limit = whole(params, "limit", _PAGE_DEFAULT)
    if not 0 < limit <= _PAGE_MAX:
        raise ApiError(-1130, "Data sent for parameter 'limit' is not valid.")
    start_ms = whole(params, "startTime", -1 if "startTime" not in params else None)
    end_ms = whole(params, "endTime", _NEVER_MS if "endTime" not in params else None)
    if start_ms >= 0 and end_ms != _NEVER_MS and end_ms - start_ms > _WEEK_MS:
        raise ApiError(-4166, "Search window is restricted to recent 7 days only.")
    if start_ms >= 0 and end_ms == _NEVER_MS:
        end_ms = start_ms + _WEEK_MS
    return limit, start_ms, end_ms


def all_orders(venue: Venue, account: Account, params: Params) -> Any:
    """Orders, open or over, by id."""
    symbols = symbols_of(venue, params)
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
    return [shapes.order_query(one) for one in chosen]


def user_trades(venue: Venue, account: Account, params: Params) -> Any:
    """Executions, by id."""
    symbols = symbols_of(venue, params)
    limit, start_ms, end_ms = _page(params)
    first_id = whole(params, "fromId", 0)
    if first_id and (start_ms >= 0 or params.get("endTime")):
        raise ApiError(-1128, "Combination of optional parameters invalid.")
    order_id = whole(params, "orderId", 0)
    found = [
        one
        for one in account.trades
        if one.instrument.symbol in symbols
        and one.trade_id >= first_id
        and (not order_id or one.order_id == order_id)
        and start_ms <= one.time_ms <= end_ms
    ]
    chosen = found[:limit] if first_id or start_ms >= 0 else found[-limit:]
    return [shapes.trade_query(one) for one in chosen]


def _profit(venue: Venue, account: Account) -> int:
    return sum(one.profit(_mark(venue, one)) for one in account.positions.values())


def _mark(venue: Venue, position: Position) -> int:
    return venue.feeds[position.instrument.number].mark_tick()


def _quote(venue: Venue) -> str:
    return venue.all_instruments[0].quote


def balance(venue: Venue, account: Account, _params: Params) -> Any:
    """The balances."""
    return [shapes.balance_query(account, _quote(venue), _profit(venue, account))]


def positions(venue: Venue, account: Account, params: Params) -> Any:
    """Positions, of instruments that have one or have orders."""
    symbols = symbols_of(venue, params)
    with_orders = {one.instrument.symbol for one in account.open_orders.values()}
    return [
        shapes.position_query(one, _mark(venue, one), account.leverage)
        for one in account.positions.values()
        if one.instrument.symbol in symbols and (one.lots or one.instrument.symbol in with_orders)
    ]


def account(venue: Venue, account: Account, _params: Params) -> Any:
    """Balances and positions."""
    profit = _profit(venue, account)
    asset = shapes.balance_query(account, _quote(venue), profit)
    rows = [
        shapes.position_query(one, _mark(venue, one), account.leverage)
        for one in account.positions.values()
        if one.lots
    ]
    return {
        "totalInitialMargin": "0.00000000",
        "totalMaintMargin": "0.00000000",
        "totalWalletBalance": asset["balance"],
        "totalUnrealizedProfit": show_money(profit),
        "totalMarginBalance": show_money(account.balance + profit),
        "totalPositionInitialMargin": "0.00000000",
        "totalOpenOrderInitialMargin": show_money(account.open_money // account.leverage),
        "totalCrossWalletBalance": asset["balance"],
        "totalCrossUnPnl": show_money(profit),
        "availableBalance": asset["availableBalance"],
        "maxWithdrawAmount": asset["availableBalance"],
        "assets": [
            {
                "asset": asset["asset"],
                "walletBalance": asset["balance"],
                "unrealizedProfit": show_money(profit),
                "marginBalance": show_money(account.balance + profit),
                "availableBalance": asset["availableBalance"],
                "updateTime": account.balance_ms,
            }
        ],
        "positions": [
            {
                "symbol": row["symbol"],
                "positionSide": row["positionSide"],
                "positionAmt": row["positionAmt"],
                "unrealizedProfit": row["unRealizedProfit"],
                "isolatedMargin": "0",
                "notional": row["notional"],
                "isolatedWallet": "0",
                "initialMargin": row["initialMargin"],
                "maintMargin": row["maintMargin"],
                "updateTime": row["updateTime"],
            }
            for row in rows
        ],
    }


def account_config(_venue: Venue, account: Account, _params: Params) -> Any:
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


def symbol_config(venue: Venue, account: Account, params: Params) -> Any:
    """How the account trades an instrument."""
    return [
        {
            "symbol": symbol,
            "marginType": "CROSSED",
            "isAutoAddMargin": False,
            "leverage": account.leverage,
            "maxNotionalValue": "1000000000",
        }
        for symbol in symbols_of(venue, params)
    ]


def commission_rate(venue: Venue, _account: Account, params: Params) -> Any:
    """Fees."""
    i = venue.desk.instrument(params)
    digits = len(str(RATE)) - 1
    return {
        "symbol": i.symbol,
        "makerCommissionRate": show(i.maker_rate, digits),
        "takerCommissionRate": show(i.taker_rate, digits),
        "rpiCommissionRate": "0.00000000",
    }


def order_limits(venue: Venue, account: Account, _params: Params) -> Any:
    """Order limits, and how far they are used."""
    counts = venue.gate.order_counts(account)
    limits = venue.gate.limits
    return [
        {
            "rateLimitType": "ORDERS",
            "interval": "SECOND",
            "intervalNum": 10,
            "limit": limits.orders_10s or 1_000_000_000,
            "count": counts["10S"],
        },
        {
            "rateLimitType": "ORDERS",
            "interval": "MINUTE",
            "intervalNum": 1,
            "limit": limits.orders_1m or 1_000_000_000,
            "count": counts["1M"],
        },
    ]


def leverage_bracket(venue: Venue, _account: Account, params: Params) -> Any:
    """One bracket for all."""
    bracket = {
        "bracket": 1,
        "initialLeverage": 125,
        "notionalCap": 1_000_000_000,
        "notionalFloor": 0,
        "maintMarginRatio": 0.025,
        "cum": 0.0,
    }
    rows = [{"symbol": symbol, "brackets": [bracket]} for symbol in symbols_of(venue, params)]
    return one_or_all(params, rows)


def hedge(_venue: Venue, account: Account, _params: Params) -> Any:
    """Whether long and short positions are apart."""
    return {"dualSidePosition": account.hedge}
