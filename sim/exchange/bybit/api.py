"""What can be asked of the exchange, over HTTP or on the trade socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from sim.exchange.accounts.accounts import Account, Order
from sim.exchange.accounts.limits import Allowance
from sim.exchange.accounts.processing import NOTHING, SIGNED, Operation, Params
from sim.exchange.bybit import queries
from sim.exchange.bybit.config import settings_of
from sim.exchange.bybit.errors import Error, error_of, refusal, wrong
from sim.exchange.bybit.ids import order_uuid
from sim.exchange.bybit.orders import (
    check_category,
    items_of,
    named_instrument,
    named_order,
    read_amendment,
    read_order,
    text,
    whole,
    words_of,
)
from sim.exchange.bybit.payloads import RACE
from sim.exchange.core import Exchange
from sim.exchange.rules.refusals import RefusedError, Why

SECOND_MS: Final = 1000
BATCH_MAX: Final = 20
_CANCEL_ALL_MAX: Final = 500
_SWITCH_S: Final = (3, 300)
_LEVERAGE_MAX: Final = 100


class Batch(NamedTuple):
    """The reply to several orders at once: what became of each, and what was said of each."""

    result: Any
    said: Any


class Route(NamedTuple):
    """An operation, and the limit that it counts against.

    Attributes:
        family: What is counted together; empty: only the address's requests are.
        limit: How often in a second; -1 stands for the configured number of orders, -2 for that of queries.
    """

    operation: Operation
    family: str = ""
    limit: int = -2


# Orders.


def place_order(exchange: Exchange, account: Account, params: Params, *, counts: bool = True) -> Order:
    """A new order; whether it rests, is executed or ends at once is said by the stream."""
    return exchange.matching.place(account, read_order(exchange, account, params), counts=counts)


def cancel_order(exchange: Exchange, account: Account, params: Params) -> Order:
    """The end of an order; of one that was filled just now, an acknowledgement all the same."""
    order = named_order(exchange, account, params, "cancel")
    if order.is_open:
        exchange.matching.end(order)
        return order
    age_ms = exchange.matching.now_ms - order.updated_ms
    if order.status != "FILLED" or age_ms >= settings_of(exchange).race_ms:
        raise RefusedError(Why.UNKNOWN_ORDER, verb="cancel")
    exchange.users.on_order(order, RACE, exchange.market.now_ns)
    return order


def _amend_order(exchange: Exchange, account: Account, params: Params) -> Order:
    order, tick, lots = read_amendment(exchange, account, params)
    exchange.matching.amend(order, tick, lots)
    return order


def _ids(order: Order) -> dict[str, str]:
    return {"orderId": order_uuid(order.order_id), "orderLinkId": order.asked.client_id}


def _one(act: Callable[..., Order]) -> Callable[[Exchange, Account, Params], Any]:
    """The reply to an order says its ids, and no more."""
    return lambda exchange, account, params: _ids(act(exchange, account, params))


def _batch(family: str, act: Callable[..., Order]) -> Callable[[Exchange, Account, Params], Any]:
    """Several orders: each succeeds or fails by itself, and those beyond the limit fail."""

    def run(exchange: Exchange, account: Account, params: Params) -> Any:
        category, rows, said = params.get("category", ""), [], []
        limit = settings_of(exchange).orders_1s
        for item in items_of(params, BATCH_MAX):
            row = {"category": category, "symbol": "", "orderId": "", "orderLinkId": "", "createAt": ""}
            code, msg = 0, "OK"
            try:
                given = words_of(item) | {"category": category}
                row |= {"symbol": given.get("symbol", ""), "orderLinkId": given.get("orderLinkId", "")}
                exchange.limits.allow(account.api_key, family, SECOND_MS, limit)
                order = act(exchange, account, given)
                row |= _ids(order) | {"createAt": str(order.created_ms)}
            except RefusedError as refused:
                code, msg = error_of(refused)[:2]
            rows.append(row)
            said.append({"code": code, "msg": msg})
        return Batch({"list": rows}, {"list": said})

    return run


def _cancel_all(exchange: Exchange, account: Account, params: Params) -> Any:
    """The end of all orders of an instrument, a base, or what is settled in a coin."""
    check_category(params)
    p = params.get
    if p("symbol"):
        named_instrument(exchange, params)
    elif not p("baseCoin") and not p("settleCoin"):
        raise wrong("one of symbol, baseCoin, settleCoin is required")
    chosen = [
        one
        for one in account.open_orders.values()
        if (i := one.instrument)
        and (i.symbol == p("symbol") if p("symbol") else p("baseCoin", i.base) == i.base)
        and (p("symbol") or p("settleCoin", i.margin_asset) == i.margin_asset)
    ][:_CANCEL_ALL_MAX]
    for order in chosen:
        exchange.matching.end(order)
    return {"list": [_ids(one) for one in chosen], "success": "1"}


# Settings.


def _set_switch(exchange: Exchange, account: Account, params: Params) -> Any:
    """The dead-man switch; that of other products than derivatives switches nothing here."""
    window_s = whole(params, "timeWindow", 0)
    if not _SWITCH_S[0] <= window_s <= _SWITCH_S[1]:
        raise wrong("timeWindow invalid")
    if params.get("product", "OPTIONS") == "DERIVATIVES":
        account.switch_s = window_s
        if account.is_watched:
            exchange.matching.sign_of_life(account)
    return {}


def _set_leverage(exchange: Exchange, account: Account, params: Params) -> Any:
    """The leverage, here of all instruments."""
    named_instrument(exchange, params)
    wanted = {text(params, f"{side}Leverage").partition(".")[0] for side in ("buy", "sell")}
    if len(wanted) != 1 or not (one := wanted.pop()).isdecimal():
        raise wrong("buy leverage must equal sell leverage")
    if not 1 <= int(one) <= _LEVERAGE_MAX:
        raise refusal(110013, "cannot set leverage gt maxLeverage by risk limit")
    if int(one) == account.leverage:
        raise refusal(110043, "leverage not modified")
    account.leverage = int(one)
    return {}


def _switch_mode(_exchange: Exchange, account: Account, params: Params) -> Any:
    """Long and short positions apart (3), or not (0)."""
    check_category(params)
    wanted = {"0": False, "3": True}.get(text(params, "mode"))
    if wanted is None:
        raise wrong("mode invalid")
    if wanted == account.hedge:
        raise refusal(110025, "Position mode is not modified")
    if any(one.lots for one in account.positions.values()):
        raise refusal(110024, "You have an existing position, so the position mode cannot be switched.")
    if account.open_orders:
        raise refusal(110028, "You have existing open orders, so the position mode cannot be switched.")
    account.hedge = wanted
    return {}


CREATE: Final = Route(Operation(_one(place_order), SIGNED, 1, changes=True, what="place"), "create", -1)
AMEND: Final = Route(Operation(_one(_amend_order), SIGNED, 1, changes=True, what="modify"), "amend", -1)
CANCEL: Final = Route(Operation(_one(cancel_order), SIGNED, 1, changes=True, what="cancel"), "cancel", -1)
# They count their orders themselves.
CREATE_BATCH: Final = Route(Operation(_batch("create-batch", place_order), SIGNED, 1, changes=True))
AMEND_BATCH: Final = Route(Operation(_batch("amend-batch", _amend_order), SIGNED, 1, changes=True))
CANCEL_BATCH: Final = Route(Operation(_batch("cancel-batch", cancel_order), SIGNED, 1, changes=True))


def _public(run: Any) -> Route:
    return Route(Operation(run, NOTHING, 1))


def _query(run: Any, family: str, limit: int = -2) -> Route:
    return Route(Operation(run, SIGNED, 1), family, limit)


REST: Final[dict[tuple[str, str], Route]] = {
    ("GET", "/v5/market/time"): _public(queries.server_time),
    ("GET", "/v5/market/instruments-info"): _public(queries.instruments),
    ("GET", "/v5/market/orderbook"): _public(queries.book),
    ("GET", "/v5/market/tickers"): _public(queries.tickers),
    ("GET", "/v5/market/recent-trade"): _public(queries.recent_trades),
    ("POST", "/v5/order/create"): CREATE,
    ("POST", "/v5/order/amend"): AMEND,
    ("POST", "/v5/order/cancel"): CANCEL,
    ("POST", "/v5/order/create-batch"): CREATE_BATCH,
    ("POST", "/v5/order/amend-batch"): AMEND_BATCH,
    ("POST", "/v5/order/cancel-batch"): CANCEL_BATCH,
    ("POST", "/v5/order/cancel-all"): Route(
        Operation(_cancel_all, SIGNED, 1, changes=True), "cancel-all", -1
    ),
    ("POST", "/v5/order/disconnected-cancel-all"): _query(_set_switch, "dcp", 5),
    ("GET", "/v5/order/realtime"): _query(queries.realtime, "realtime"),
    ("GET", "/v5/order/history"): _query(queries.history, "history"),
    ("GET", "/v5/execution/list"): _query(queries.executions, "executions"),
    ("GET", "/v5/position/list"): _query(queries.positions, "positions"),
    ("POST", "/v5/position/set-leverage"): _query(_set_leverage, "leverage", 10),
    ("POST", "/v5/position/switch-mode"): _query(_switch_mode, "mode", 10),
    ("GET", "/v5/account/wallet-balance"): _query(queries.wallet_balance, "wallet"),
    ("GET", "/v5/account/fee-rate"): _query(queries.fee_rate, "fee-rate", 5),
    ("GET", "/v5/account/info"): _query(queries.account_info, "account"),
    ("GET", "/v5/account/query-dcp-info"): _query(queries.dcp_info, "dcp-info", 5),
    ("GET", "/v5/user/query-api"): _query(queries.key_info, "key", 10),
}
"""By method and path."""

TRADE: Final[dict[str, Route]] = {
    "order.create": CREATE,
    "order.amend": AMEND,
    "order.cancel": CANCEL,
    "order.create-batch": CREATE_BATCH,
    "order.amend-batch": AMEND_BATCH,
    "order.cancel-batch": CANCEL_BATCH,
}
"""By the trade socket's `op`."""


def limit_of(exchange: Exchange, route: Route) -> int:
    """How often in a second; 0: any number."""
    settings = settings_of(exchange)
    limit = {-1: settings.orders_1s, -2: settings.queries_1s}.get(route.limit, route.limit)
    return limit if route.family else 0


def charge(exchange: Exchange, account: Account, route: Route) -> None:
    """Count a request.

    Raises:
        RefusedError: It is one too many.
    """
    exchange.limits.allow(account.api_key, route.family, SECOND_MS, limit_of(exchange, route))


def limit_headers(
    exchange: Exchange, account: Account | None, route: Route, error: Error | None
) -> dict[str, str]:
    """What a reply says of the limit; one that is refused for it says when to come again."""
    limit, is_over = limit_of(exchange, route), error is not None and error.code == 10006
    if account is None or not (limit or is_over):
        return {}
    left = exchange.limits.allowance(account.api_key, route.family, SECOND_MS, limit)
    if is_over:
        left = Allowance(limit, 0, (exchange.clock.server_ms() // SECOND_MS + 1) * SECOND_MS)
    names = ("X-Bapi-Limit", "X-Bapi-Limit-Status", "X-Bapi-Limit-Reset-Timestamp")
    return {name: str(value) for name, value in zip(names, left, strict=True)}
