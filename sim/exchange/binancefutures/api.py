"""What can be asked of the exchange, whichever way it is asked: REST or WebSocket API."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from sim.exchange.binancefutures import market_queries, queries, shapes
from sim.exchange.binancefutures.accounts import Account
from sim.exchange.binancefutures.checks import Params, text, whole
from sim.exchange.binancefutures.errors import ApiError, missing
from sim.exchange.binancefutures.venue import Venue

# What a request must bring.
NOTHING: Final = 0
KEY: Final = 1
SIGNED: Final = 2

# Cost of a call in the pool of request weights.
Weight = Callable[[Params], int]
_COUNTDOWN_MAX_MS: Final = 1 << 40
_BATCH_MAX: Final = 5
_BATCH_CANCEL_MAX: Final = 10


class Operation(NamedTuple):
    """What can be asked.

    Attributes:
        run: Does it: venue, account (None for what needs none), parameters; returns the reply.
        needs: NOTHING, KEY or SIGNED.
        weight: What it costs.
        changes: Whether it reaches the matching engine: its reply has order counts, and it can be lost on the way.
    """

    run: Callable[[Venue, Any, Params], Any]
    needs: int
    weight: int | Weight
    changes: bool = False


def place(venue: Venue, account: Account, params: Params, *, counts: bool = True) -> Any:
    """A new order."""
    order = venue.desk.place(account, params, counts=counts)
    reply = shapes.order_reply(order)
    waits = params.get("newOrderRespType") == "RESULT" and (
        order.kind == "MARKET" or order.tif in ("IOC", "FOK")
    )
    return reply if waits or order.status == "EXPIRED_IN_MATCH" else shapes.ack(reply)


def modify(venue: Venue, account: Account, params: Params, *, counts: bool = True) -> Any:
    """Another price and quantity."""
    return shapes.order_reply(venue.desk.modify(account, params, counts=counts))


def cancel(venue: Venue, account: Account, params: Params) -> Any:
    """The end of an order."""
    return shapes.order_reply(venue.desk.cancel(account, params))


def cancel_all(venue: Venue, account: Account, params: Params) -> Any:
    """The end of all orders in an instrument."""
    venue.desk.cancel_all(account, venue.desk.instrument(params).symbol)
    return {"code": 200, "msg": "The operation of cancel all open order is done."}


def countdown(venue: Venue, account: Account, params: Params) -> Any:
    """The dead-man switch."""
    symbol = venue.desk.instrument(params).symbol
    milliseconds = min(whole(params, "countdownTime"), _COUNTDOWN_MAX_MS)
    if milliseconds == 0:
        account.countdowns.pop(symbol, None)
    else:
        account.countdowns[symbol] = venue.clock.stamp_ms(venue.market.now_ns) + milliseconds
    return {"symbol": symbol, "countdownTime": str(milliseconds)}


def batch(act: Callable[..., Any]) -> Callable[[Venue, Account, Params], Any]:
    """Several orders in one request: each succeeds or fails by itself."""

    def run(venue: Venue, account: Account, params: Params) -> Any:
        orders = _list(params, "batchOrders")
        if not 0 < len(orders) <= _BATCH_MAX:
            raise ApiError(-4082, "Invalid number of batch place orders.")
        venue.gate.count_order(account, ten_s=_BATCH_MAX, minute=1)
        replies: list[Any] = []
        for one in orders:
            if not isinstance(one, dict):
                raise ApiError(-4083, "Fail to place batch orders.")
            try:
                replies.append(act(venue, account, {k: _word(v) for k, v in one.items()}, counts=False))
            except ApiError as error:
                replies.append(error.body())
        return replies

    return run


def batch_cancel(venue: Venue, account: Account, params: Params) -> Any:
    """The end of several orders."""
    symbol = text(params, "symbol")
    if params.get("orderIdList"):
        ids = [{"orderId": str(one)} for one in _list(params, "orderIdList")]
    else:
        ids = [{"origClientOrderId": str(one)} for one in _list(params, "origClientOrderIdList")]
    if not 0 < len(ids) <= _BATCH_CANCEL_MAX:
        raise ApiError(-4082, "Invalid number of batch cancel orders.")
    replies: list[Any] = []
    for one in ids:
        try:
            replies.append(cancel(venue, account, {"symbol": symbol} | one))
        except ApiError as error:
            replies.append(error.body())
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


def start_listen_key(venue: Venue, account: Account, _params: Params) -> Any:
    """A listen key."""
    return {"listenKey": venue.users.start(account)}


def keep_listen_key(venue: Venue, account: Account, _params: Params) -> Any:
    """Let it live longer."""
    return {"listenKey": venue.users.keep(account)}


def stop_listen_key(venue: Venue, account: Account, _params: Params) -> Any:
    """Its end."""
    venue.users.stop(account)
    return {}


def set_hedge(_venue: Venue, account: Account, params: Params) -> Any:
    """Long and short positions apart, or not."""
    wanted = text(params, "dualSidePosition").lower() == "true"
    if wanted == account.hedge:
        raise ApiError(-4059, "No need to change position side.")
    if account.open_orders:
        raise ApiError(-4067, "Position side cannot be changed if there exists open orders.")
    if any(position.lots for position in account.positions.values()):
        raise ApiError(-4068, "Position side cannot be changed if there exists position.")
    account.hedge = wanted
    return {"code": 200, "msg": "success"}


def set_leverage(venue: Venue, account: Account, params: Params) -> Any:
    """The leverage of the account."""
    symbol = venue.desk.instrument(params).symbol
    leverage = whole(params, "leverage")
    if not 1 <= leverage <= 125:
        raise ApiError(-4028, f"Leverage {leverage} is not valid.")
    account.leverage = leverage
    return {"leverage": leverage, "maxNotionalValue": "1000000000", "symbol": symbol}


def _open_orders_weight(params: Params) -> int:
    return 1 if params.get("symbol") else 40


PLACE: Final = Operation(place, SIGNED, 0, changes=True)
MODIFY: Final = Operation(modify, SIGNED, 0, changes=True)
CANCEL: Final = Operation(cancel, SIGNED, 1, changes=True)
QUERY: Final = Operation(queries.order, SIGNED, 1)
BALANCE: Final = Operation(queries.balance, SIGNED, 5)
ACCOUNT: Final = Operation(queries.account, SIGNED, 5)
POSITIONS: Final = Operation(queries.positions, SIGNED, 5)
DEPTH: Final = Operation(market_queries.depth, NOTHING, market_queries.depth_weight)
TICKER: Final = Operation(market_queries.book_ticker, NOTHING, 2)
PRICE: Final = Operation(market_queries.price, NOTHING, 1)
START_KEY: Final = Operation(start_listen_key, KEY, 1)
KEEP_KEY: Final = Operation(keep_listen_key, KEY, 1)
STOP_KEY: Final = Operation(stop_listen_key, KEY, 1)

REST: Final[dict[tuple[str, str], Operation]] = {
    ("GET", "/fapi/v1/ping"): Operation(lambda _v, _a, _p: {}, NOTHING, 1),
    ("GET", "/fapi/v1/time"): Operation(lambda v, _a, _p: {"serverTime": v.clock.server_ms()}, NOTHING, 1),
    ("GET", "/fapi/v1/exchangeInfo"): Operation(market_queries.exchange_info, NOTHING, 1),
    ("GET", "/fapi/v1/depth"): DEPTH,
    ("GET", "/fapi/v1/ticker/bookTicker"): TICKER,
    ("GET", "/fapi/v1/ticker/price"): PRICE,
    ("GET", "/fapi/v2/ticker/price"): PRICE,
    ("GET", "/fapi/v1/premiumIndex"): Operation(market_queries.premium_index, NOTHING, 1),
    ("POST", "/fapi/v1/order"): PLACE,
    ("PUT", "/fapi/v1/order"): MODIFY,
    ("DELETE", "/fapi/v1/order"): CANCEL,
    ("GET", "/fapi/v1/order"): QUERY,
    ("POST", "/fapi/v1/order/test"): Operation(queries.test_order, SIGNED, 1),
    ("POST", "/fapi/v1/batchOrders"): Operation(batch(place), SIGNED, 5, changes=True),
    ("PUT", "/fapi/v1/batchOrders"): Operation(batch(modify), SIGNED, 5, changes=True),
    ("DELETE", "/fapi/v1/batchOrders"): Operation(batch_cancel, SIGNED, 1, changes=True),
    ("DELETE", "/fapi/v1/allOpenOrders"): Operation(cancel_all, SIGNED, 1, changes=True),
    ("POST", "/fapi/v1/countdownCancelAll"): Operation(countdown, SIGNED, 10),
    ("GET", "/fapi/v1/openOrder"): Operation(queries.open_order, SIGNED, 1),
    ("GET", "/fapi/v1/openOrders"): Operation(queries.open_orders, SIGNED, _open_orders_weight),
    ("GET", "/fapi/v1/allOrders"): Operation(queries.all_orders, SIGNED, 5),
    ("GET", "/fapi/v1/userTrades"): Operation(queries.user_trades, SIGNED, 5),
    ("POST", "/fapi/v1/listenKey"): START_KEY,
    ("PUT", "/fapi/v1/listenKey"): KEEP_KEY,
    ("DELETE", "/fapi/v1/listenKey"): STOP_KEY,
    ("GET", "/fapi/v2/positionRisk"): POSITIONS,
    ("GET", "/fapi/v3/positionRisk"): POSITIONS,
    ("GET", "/fapi/v2/balance"): BALANCE,
    ("GET", "/fapi/v3/balance"): BALANCE,
    ("GET", "/fapi/v2/account"): ACCOUNT,
    ("GET", "/fapi/v3/account"): ACCOUNT,
    ("GET", "/fapi/v1/accountConfig"): Operation(queries.account_config, SIGNED, 5),
    ("GET", "/fapi/v1/symbolConfig"): Operation(queries.symbol_config, SIGNED, 5),
    ("GET", "/fapi/v1/commissionRate"): Operation(queries.commission_rate, SIGNED, 20),
    ("GET", "/fapi/v1/rateLimit/order"): Operation(queries.order_limits, SIGNED, 1),
    ("GET", "/fapi/v1/leverageBracket"): Operation(queries.leverage_bracket, SIGNED, 1),
    ("POST", "/fapi/v1/leverage"): Operation(set_leverage, SIGNED, 1),
    ("GET", "/fapi/v1/positionSide/dual"): Operation(queries.hedge, SIGNED, 30),
    ("POST", "/fapi/v1/positionSide/dual"): Operation(set_hedge, SIGNED, 1),
    ("GET", "/fapi/v1/multiAssetsMargin"): Operation(
        lambda _v, _a, _p: {"multiAssetsMargin": False}, SIGNED, 30
    ),
}
"""Method and path of REST."""

WS_API: Final[dict[str, Operation]] = {
    "order.place": PLACE,
    "order.modify": MODIFY,
    "order.cancel": CANCEL,
    "order.status": QUERY,
    "account.position": POSITIONS,
    "v2/account.position": POSITIONS,
    "account.balance": BALANCE,
    "v2/account.balance": BALANCE,
    "account.status": ACCOUNT,
    "v2/account.status": ACCOUNT,
    "depth": DEPTH,
    "ticker.book": TICKER,
    "ticker.price": PRICE,
    "userDataStream.start": START_KEY,
    "userDataStream.ping": KEEP_KEY,
    "userDataStream.stop": STOP_KEY,
}
"""Methods of the WebSocket API; those of the session are its own."""
