"""What can be asked without changing anything: of the market, and of an account."""

from typing import Any, Final

from sim.exchange.accounts.accounts import Account, Order, Position, Wallet
from sim.exchange.accounts.processing import Params
from sim.exchange.binance.errors import refusal
from sim.exchange.binance.feeds import BinanceFeed
from sim.exchange.binance.orders import named_instrument, named_order, whole
from sim.exchange.binance.product import is_of, product_of
from sim.exchange.core import Exchange
from sim.exchange.rules.instruments import RATE, show
from sim.exchange.rules.refusals import RefusedError, Why

DEPTH_WEIGHTS: Final = {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1000: 20}
_KEPT_MS: Final = 3 * 86_400_000
_NEVER_MS: Final = 1 << 60
UNLIMITED: Final = 1_000_000_000


def symbols_of(exchange: Exchange, params: Params) -> list[str]:
    """The instruments that a query means: the one or the pair that it names, or all."""
    symbol = params.get("symbol")
    if symbol and symbol not in exchange.instruments:
        raise RefusedError(Why.UNKNOWN_SYMBOL)
    says = product_of(exchange).says
    return [name for name, one in exchange.instruments.items() if is_of(one, params, says)]


def one_or_all(exchange: Exchange, params: Params, rows: list[Any]) -> Any:
    """One row where an instrument was named, else all; some products always answer with a list."""
    return rows[0] if params.get("symbol") and not product_of(exchange).lists_one else rows


def rate_limit(kind: str, interval: str, number: int, limit: int) -> dict[str, Any]:
    """A limit as the exchange states it; with `count` it is how far it is used."""
    return {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit}


def exchange_info(exchange: Exchange, _account: None, _params: Params) -> Any:
    """Instruments, filters and limits."""
    settings, product = exchange.limits.settings, product_of(exchange)
    long = product.long_window
    limits = [
        rate_limit("REQUEST_WEIGHT", "MINUTE", 1, settings.weight_1m or UNLIMITED),
        rate_limit("ORDERS", long.interval, 1, getattr(settings, long.setting) or UNLIMITED),
    ]
    if product.limits_10s:
        limits.append(rate_limit("ORDERS", "SECOND", 10, settings.orders_10s or UNLIMITED))
    return {
        "timezone": "UTC",
        "serverTime": exchange.clock.server_ms(),
        "rateLimits": limits,
        "exchangeFilters": [],
        "symbols": [product.says.instrument_query(one) for one in exchange.instruments.values()],
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
                **product_of(exchange).says.names(i),
                "bidPrice": i.price(bid[0]),
                "bidQty": i.qty(bid[1]),
                "askPrice": i.price(ask[0]),
                "askQty": i.qty(ask[1]),
                "time": feed.time_ms,
                "lastUpdateId": feed.last_id,
            }
        )
    return one_or_all(exchange, params, rows)


def price(exchange: Exchange, _account: None, params: Params) -> Any:
    """The last price."""
    rows = []
    for symbol in symbols_of(exchange, params):
        i = exchange.instruments[symbol]
        feed = exchange.feeds[i.number]
        rows.append(
            {
                **product_of(exchange).says.price_names(i),
                "price": i.price(feed.last_tick or feed.mark_tick()),
                "time": feed.time_ms,
            }
        )
    return one_or_all(exchange, params, rows)


def premium_index(exchange: Exchange, _account: None, params: Params) -> Any:
    """The mark price: here the middle of the best prices."""
    rows = []
    for symbol in symbols_of(exchange, params):
        i = exchange.instruments[symbol]
        mark = i.price(exchange.feeds[i.number].mark_tick())
        now_ms = exchange.clock.server_ms()
        rows.append(
            {
                **product_of(exchange).says.names(i),
                "markPrice": mark,
                "indexPrice": mark,
                "estimatedSettlePrice": mark,
                "lastFundingRate": "0.00010000",
                "interestRate": "0.00010000",
                "nextFundingTime": (now_ms // 28_800_000 + 1) * 28_800_000,
                "time": now_ms,
            }
        )
    return one_or_all(exchange, params, rows)


def depth(exchange: Exchange, _account: None, params: Params) -> Any:
    """The book."""
    instrument = named_instrument(exchange, params)
    feed = exchange.feeds[instrument.number]
    limit = whole(params, "limit", 500)
    if limit not in DEPTH_WEIGHTS:
        raise refusal(-4021, f"{limit} is not valid depth limit.")
    assert isinstance(feed, BinanceFeed)
    return feed.snapshot(limit, exchange.clock.server_ms()) | product_of(exchange).says.book_names(instrument)


def depth_weight(params: Params) -> int:
    """What the book costs, by its depth."""
    return DEPTH_WEIGHTS.get(whole(params, "limit", 500), 2)


# Of an account.


def order(exchange: Exchange, account: Account, params: Params) -> Any:
    """One order, open or over."""
    found = _find(exchange, account, params, only_open=False)
    if not found.is_open and not found.executed_lots:
        if exchange.clock.server_ms() - found.updated_ms > _KEPT_MS:
            raise RefusedError(Why.UNKNOWN_ORDER)
    return product_of(exchange).says.order_query(found)


def open_order(exchange: Exchange, account: Account, params: Params) -> Any:
    """One open order."""
    return product_of(exchange).says.order_query(_find(exchange, account, params, only_open=True))


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
        product_of(exchange).says.order_query(one)
        for one in account.open_orders.values()
        if one.instrument.symbol in symbols and not _is_unseen(exchange, one)
    ]


def _page(exchange: Exchange, params: Params, page: tuple[int, int]) -> tuple[int, int, int]:
    """Limit, start and end time."""
    most_ms, code, msg = product_of(exchange).page_window
    limit = whole(params, "limit", page[0])
    if not 0 < limit <= page[1]:
        raise refusal(-1130, "Data sent for parameter 'limit' is not valid.")
    start_ms = whole(params, "startTime", -1 if "startTime" not in params else None)
    end_ms = whole(params, "endTime", _NEVER_MS if "endTime" not in params else None)
    if start_ms >= 0 and end_ms != _NEVER_MS and end_ms - start_ms > most_ms:
        raise refusal(code, msg)
    if start_ms >= 0 and end_ms == _NEVER_MS:
        end_ms = start_ms + most_ms
    return limit, start_ms, end_ms


def all_orders(exchange: Exchange, account: Account, params: Params) -> Any:
    """Orders, open or over, by id."""
    symbols = symbols_of(exchange, params)
    limit, start_ms, end_ms = _page(exchange, params, product_of(exchange).orders_page)
    first_id = whole(params, "orderId", 0)
    if first_id and params.get("pair"):
        raise refusal(-1128, "Combination of optional parameters invalid.")
    found = [
        one
        for one in account.orders.values()
        if one.instrument.symbol in symbols
        and one.order_id >= first_id
        and start_ms <= one.created_ms <= end_ms
    ]
    # From an id or a time on the first ones; without either the last ones.
    chosen = found[:limit] if first_id or start_ms >= 0 else found[-limit:]
    return [product_of(exchange).says.order_query(one) for one in chosen]


def user_trades(exchange: Exchange, account: Account, params: Params) -> Any:
    """Executions, by id."""
    symbols = symbols_of(exchange, params)
    limit, start_ms, end_ms = _page(exchange, params, product_of(exchange).trades_page)
    first_id = whole(params, "fromId", 0)
    if first_id and (start_ms >= 0 or params.get("endTime") or params.get("pair")):
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
    return [product_of(exchange).says.trade_query(one) for one in chosen]


def income(exchange: Exchange, account: Account, params: Params) -> Any:
    """Payments of funding, the only income that is kept; by time, in pages."""
    limit, number = whole(params, "limit", 100), whole(params, "page", 1)
    now_ms = exchange.clock.server_ms()
    is_timed = "startTime" in params or "endTime" in params
    start_ms = whole(params, "startTime", 0 if is_timed else now_ms - 7 * 86_400_000)
    end_ms = whole(params, "endTime", _NEVER_MS)
    if params.get("incomeType", "FUNDING_FEE") != "FUNDING_FEE":
        return []
    found = [
        one
        for one in account.payments
        if start_ms <= one.time_ms <= end_ms
        and params.get("symbol", one.instrument.symbol) == one.instrument.symbol
    ]
    limit = min(limit, 1000)
    says = product_of(exchange).says
    return [says.income_query(one) for one in found[(number - 1) * limit : number * limit]]


def profit_of(exchange: Exchange, account: Account, wallet: Wallet) -> int:
    """What an account's positions in an asset have won and not realized."""
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
        product_of(exchange).says.balance_query(account, one, profit_of(exchange, account, one))
        for one in account.wallets.values()
    ]


def position_row(exchange: Exchange, account: Account, position: Position) -> dict[str, Any]:
    """A position as queries have it."""
    return product_of(exchange).says.position_query(position, _mark(exchange, position), account.leverage)


def commission_rate(exchange: Exchange, _account: Account, params: Params) -> Any:
    """Fees."""
    i = named_instrument(exchange, params)
    digits = len(str(RATE)) - 1
    return {
        "symbol": i.symbol,
        "makerCommissionRate": show(i.maker_rate, digits),
        "takerCommissionRate": show(i.taker_rate, digits),
    }


def hedge(_exchange: Exchange, account: Account, _params: Params) -> Any:
    """Whether long and short positions are apart."""
    return {"dualSidePosition": account.hedge}
