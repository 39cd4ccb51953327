"""What can be asked of the exchange, whichever way it is asked: REST or WebSocket API."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from sim.exchange.accounts.accounts import Account, Order
from sim.exchange.accounts.processing import KEY, NOTHING, SIGNED, Operation, Params
from sim.exchange.binance import queries
from sim.exchange.binance.errors import error_of, missing, refusal
from sim.exchange.binance.listen_keys import keys_of
from sim.exchange.binance.orders import (
    named_instrument,
    named_order,
    read_amendment,
    read_order,
    text,
    whole,
)
from sim.exchange.binance.payloads import ack
from sim.exchange.binance.product import product_of
from sim.exchange.core import Exchange
from sim.exchange.rules.refusals import RefusedError

_COUNTDOWN_MAX_MS: Final = 1 << 40
_BATCH_MAX: Final = 5
_BATCH_CANCEL_MAX: Final = 10


def place_order(exchange: Exchange, account: Account, params: Params, *, counts: bool = True) -> Order:
    """A new order."""
    return exchange.matching.place(account, read_order(exchange, account, params), counts=counts)


def cancel_order(exchange: Exchange, account: Account, params: Params) -> Order:
    """The end of an order."""
    order = named_order(exchange, account, params)
    if order is None:
        raise refusal(-2011, "Unknown order sent.")
    exchange.matching.end(order)
    return order


def place(exchange: Exchange, account: Account, params: Params, *, counts: bool = True) -> Any:
    """A new order, answered as it was, or as it has become where its outcome is waited for."""
    order = place_order(exchange, account, params, counts=counts)
    reply = product_of(exchange).says.order_reply(order)
    waits = params.get("newOrderRespType") == "RESULT" and (
        order.kind == "MARKET" or order.tif in ("IOC", "FOK")
    )
    return reply if waits or order.status == "EXPIRED_IN_MATCH" else ack(reply)


def modify(exchange: Exchange, account: Account, params: Params, *, counts: bool = True) -> Any:
    """Another price and quantity."""
    order, tick, lots = read_amendment(exchange, account, params)
    exchange.matching.amend(order, tick, lots, counts=counts)
    return product_of(exchange).says.order_reply(order)


def cancel(exchange: Exchange, account: Account, params: Params) -> Any:
    """The end of an order."""
    return product_of(exchange).says.order_reply(cancel_order(exchange, account, params))


def cancel_all(exchange: Exchange, account: Account, params: Params) -> Any:
    """The end of all orders in an instrument."""
    exchange.matching.cancel_all(account, named_instrument(exchange, params).symbol)
    return {"code": 200, "msg": "The operation of cancel all open order is done."}


def countdown(exchange: Exchange, account: Account, params: Params) -> Any:
    """The dead-man switch."""
    symbol = named_instrument(exchange, params).symbol
    milliseconds = min(whole(params, "countdownTime"), _COUNTDOWN_MAX_MS)
    if milliseconds == 0:
        account.countdowns.pop(symbol, None)
    else:
        account.countdowns[symbol] = exchange.matching.passed_ms + milliseconds
    return {"symbol": symbol, "countdownTime": str(milliseconds)}


def batch(act: Callable[..., Any]) -> Callable[[Exchange, Account, Params], Any]:
    """Several orders in one request: each succeeds or fails by itself."""

    def run(exchange: Exchange, account: Account, params: Params) -> Any:
        orders = _list(params, "batchOrders")
        if not 0 < len(orders) <= _BATCH_MAX:
            raise refusal(-4082, "Invalid number of batch place orders.")
        exchange.limits.count_order(account, ten_s=_BATCH_MAX, minute=1)
        replies: list[Any] = []
        for one in orders:
            if not isinstance(one, dict):
                raise refusal(-4083, "Fail to place batch orders.")
            try:
                replies.append(act(exchange, account, {k: _word(v) for k, v in one.items()}, counts=False))
            except RefusedError as refused:
                replies.append(error_of(refused, product_of(exchange).codes).body())
        return replies

    return run


def batch_cancel(exchange: Exchange, account: Account, params: Params) -> Any:
    """The end of several orders."""
    symbol = text(params, "symbol")
    if params.get("orderIdList"):
        ids = [{"orderId": str(one)} for one in _list(params, "orderIdList")]
    else:
        ids = [{"origClientOrderId": str(one)} for one in _list(params, "origClientOrderIdList")]
    if not 0 < len(ids) <= _BATCH_CANCEL_MAX:
        raise refusal(-4082, "Invalid number of batch cancel orders.")
    replies: list[Any] = []
    for one in ids:
        try:
            replies.append(cancel(exchange, account, {"symbol": symbol} | one))
        except RefusedError as refused:
            replies.append(error_of(refused, product_of(exchange).codes).body())
    return replies


def _list(params: Params, name: str) -> list[Any]:
    try:
        found = msgspec.json.decode(text(params, name))
    except msgspec.DecodeError:
        raise missing(name) from None
    if not isinstance(found, list):
        raise missing(name)
    return found


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def start_listen_key(exchange: Exchange, account: Account, _params: Params) -> Any:
    """A listen key."""
    return {"listenKey": keys_of(exchange).start(account)}


def keep_listen_key(exchange: Exchange, account: Account, _params: Params) -> Any:
    """Let it live longer."""
    return {"listenKey": keys_of(exchange).keep(account)}


def stop_listen_key(exchange: Exchange, account: Account, _params: Params) -> Any:
    """Its end."""
    keys_of(exchange).stop(account)
    return {}


def set_hedge(_exchange: Exchange, account: Account, params: Params) -> Any:
    """Long and short positions apart, or not."""
    wanted = text(params, "dualSidePosition").lower() == "true"
    if wanted == account.hedge:
        raise refusal(-4059, "No need to change position side.")
    if account.open_orders:
        raise refusal(-4067, "Position side cannot be changed if there exists open orders.")
    if any(position.lots for position in account.positions.values()):
        raise refusal(-4068, "Position side cannot be changed if there exists position.")
    account.hedge = wanted
    return {"code": 200, "msg": "success"}


def set_leverage(exchange: Exchange, account: Account, params: Params) -> Any:
    """The leverage of the account."""
    symbol = named_instrument(exchange, params).symbol
    leverage = whole(params, "leverage")
    if not 1 <= leverage <= 125:
        raise refusal(-4028, f"Leverage {leverage} is not valid.")
    account.leverage = leverage
    return {"leverage": leverage, "symbol": symbol} | product_of(exchange).says.cap


def _open_orders_weight(params: Params) -> int:
    return 1 if params.get("symbol") else 40


PLACE: Final = Operation(place, SIGNED, 0, changes=True, what="place")
CANCEL: Final = Operation(cancel, SIGNED, 1, changes=True, what="cancel")
QUERY: Final = Operation(queries.order, SIGNED, 1)
DEPTH: Final = Operation(queries.depth, NOTHING, queries.depth_weight)
TICKER: Final = Operation(queries.book_ticker, NOTHING, 2)
PRICE: Final = Operation(queries.price, NOTHING, 1)
START_KEY: Final = Operation(start_listen_key, KEY, 1)
KEEP_KEY: Final = Operation(keep_listen_key, KEY, 1)
STOP_KEY: Final = Operation(stop_listen_key, KEY, 1)


def modify_operation(weight: int) -> Operation:
    """A modification, which costs products differently."""
    return Operation(modify, SIGNED, weight, changes=True, what="modify")


REST: Final[dict[tuple[str, str], Operation]] = {
    ("GET", "/v1/ping"): Operation(lambda _e, _a, _p: {}, NOTHING, 1),
    ("GET", "/v1/time"): Operation(lambda e, _a, _p: {"serverTime": e.clock.server_ms()}, NOTHING, 1),
    ("GET", "/v1/exchangeInfo"): Operation(queries.exchange_info, NOTHING, 1),
    ("GET", "/v1/depth"): DEPTH,
    ("GET", "/v1/ticker/bookTicker"): TICKER,
    ("GET", "/v1/ticker/price"): PRICE,
    ("GET", "/v1/premiumIndex"): Operation(queries.premium_index, NOTHING, 1),
    ("POST", "/v1/order"): PLACE,
    ("PUT", "/v1/order"): modify_operation(0),
    ("DELETE", "/v1/order"): CANCEL,
    ("GET", "/v1/order"): QUERY,
    ("POST", "/v1/batchOrders"): Operation(batch(place), SIGNED, 5, changes=True),
    ("PUT", "/v1/batchOrders"): Operation(batch(modify), SIGNED, 5, changes=True),
    ("DELETE", "/v1/batchOrders"): Operation(batch_cancel, SIGNED, 1, changes=True),
    ("DELETE", "/v1/allOpenOrders"): Operation(cancel_all, SIGNED, 1, changes=True),
    ("POST", "/v1/countdownCancelAll"): Operation(countdown, SIGNED, 10),
    ("GET", "/v1/openOrder"): Operation(queries.open_order, SIGNED, 1),
    ("GET", "/v1/openOrders"): Operation(queries.open_orders, SIGNED, _open_orders_weight),
    ("GET", "/v1/allOrders"): Operation(queries.all_orders, SIGNED, 5),
    ("GET", "/v1/userTrades"): Operation(queries.user_trades, SIGNED, 5),
    ("GET", "/v1/income"): Operation(queries.income, SIGNED, 30),
    ("POST", "/v1/listenKey"): START_KEY,
    ("PUT", "/v1/listenKey"): KEEP_KEY,
    ("DELETE", "/v1/listenKey"): STOP_KEY,
    ("GET", "/v1/commissionRate"): Operation(queries.commission_rate, SIGNED, 20),
    ("POST", "/v1/leverage"): Operation(set_leverage, SIGNED, 1),
    ("GET", "/v1/positionSide/dual"): Operation(queries.hedge, SIGNED, 30),
    ("POST", "/v1/positionSide/dual"): Operation(set_hedge, SIGNED, 1),
}
"""Method and path of REST, below the prefix of the product: what all products have."""

WS_METHODS: Final[dict[str, Operation]] = {
    "order.place": PLACE,
    "order.modify": modify_operation(0),
    "order.cancel": CANCEL,
    "order.status": QUERY,
    "userDataStream.start": START_KEY,
    "userDataStream.ping": KEEP_KEY,
    "userDataStream.stop": STOP_KEY,
}
"""Methods of the WebSocket API that all products have; those of the session are its own."""
