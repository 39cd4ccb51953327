"""What can be asked of Spot, by REST and by the WebSocket API."""

from typing import Any, Final

import msgspec

from sim.exchange.accounts.accounts import Account, Order
from sim.exchange.accounts.processing import NOTHING, SIGNED, Operation, Params
from sim.exchange.binance import queries
from sim.exchange.binance.errors import error_of, missing, refusal
from sim.exchange.binance.orders import flag, named_instrument, text, whole
from sim.exchange.binance.payloads import money
from sim.exchange.binance.product import product_of
from sim.exchange.binance.queries import UNLIMITED, one_or_all, rate_limit, symbols_of
from sim.exchange.binance.rest import long_count
from sim.exchange.binancespot.feeds import SpotFeed
from sim.exchange.binancespot.orders import check_value, client_id_of, lots_of, open_order, read_order
from sim.exchange.binancespot.payloads import SpotPayloads, padded, rate
from sim.exchange.core import Exchange
from sim.exchange.rules.instruments import Instrument
from sim.exchange.rules.refusals import RefusedError, Why

SAYS: Final = SpotPayloads()
DEPTH_MAX: Final = 5000
_DEPTH_WEIGHTS: Final = ((100, 5), (500, 25), (1000, 50), (DEPTH_MAX, 250))
_REPLIES: Final = ("ACK", "RESULT", "FULL")
_RAW_REQUESTS: Final = 300_000


# Orders.


def place_order(exchange: Exchange, account: Account, params: Params, *, counts: bool = True) -> Order:
    """A new order."""
    return exchange.matching.place(account, read_order(exchange, account, params), counts=counts)


def place(exchange: Exchange, account: Account, params: Params, *, counts: bool = True) -> Any:
    """A new order, answered as shortly as was asked for: by default with its executions, but those of makers."""
    wanted = params.get("newOrderRespType", "ACK" if params.get("type") == "LIMIT_MAKER" else "FULL")
    if wanted not in _REPLIES:
        raise refusal(-1130, "Data sent for parameter 'newOrderRespType' is not valid.")
    before = len(account.trades)
    order = place_order(exchange, account, params, counts=counts)
    if wanted == "ACK":
        return SAYS.ack(order)
    if wanted == "RESULT":
        return SAYS.order_reply(order)
    fills = [SAYS.fill(one) for one in account.trades[before:] if one.order is order]
    return SAYS.order_reply(order) | {"fills": fills}


def test_order(exchange: Exchange, account: Account, params: Params) -> Any:
    """Check an order and do nothing."""
    read_order(exchange, account, params)
    return _rates(exchange, params) if flag(params, "computeCommissionRates") else {}


def cancel_order(exchange: Exchange, account: Account, params: Params) -> Order:
    """The end of an order; the cancel has a client id of its own."""
    order = open_order(exchange, account, params, -2011)
    name = client_id_of(params)
    restricted = params.get("cancelRestrictions", "")
    if restricted not in ("", "ONLY_NEW", "ONLY_PARTIALLY_FILLED"):
        raise refusal(-1145, "Invalid cancelRestrictions")
    if restricted and restricted != f"ONLY_{order.status}":
        raise refusal(-2011, "Order was not canceled due to cancel restrictions.")
    return _end(exchange, order, name)


def _end(exchange: Exchange, order: Order, name: str = "") -> Order:
    order.request_id = name or exchange.matching.new_client_id(order.order_id)
    exchange.matching.end(order)
    return order


def cancel(exchange: Exchange, account: Account, params: Params) -> Any:
    """The end of an order."""
    return SAYS.cancel_reply(cancel_order(exchange, account, params))


def cancel_all(exchange: Exchange, account: Account, params: Params) -> Any:
    """The end of all orders in an instrument."""
    instrument = named_instrument(exchange, params)
    found = [one for one in account.open_orders.values() if one.instrument is instrument]
    if not found:
        raise refusal(-2011, "Unknown order sent.")
    return [SAYS.cancel_reply(_end(exchange, one)) for one in found]


def cancel_replace(exchange: Exchange, account: Account, params: Params) -> Any:
    """The end of an order, then a new one: not at once, and either can fail. Filters are looked at before both."""
    mode = text(params, "cancelReplaceMode")
    if mode not in ("STOP_ON_FAILURE", "ALLOW_FAILURE"):
        raise refusal(-1130, "Data sent for parameter 'cancelReplaceMode' is not valid.")
    read_order(exchange, account, params)
    ends = {"symbol": params["symbol"]}
    named = {"orderId": "cancelOrderId", "origClientOrderId": "cancelOrigClientOrderId"}
    named |= {"newClientOrderId": "cancelNewClientOrderId", "cancelRestrictions": "cancelRestrictions"}
    ends |= {name: params[given] for name, given in named.items() if params.get(given)}
    limited: RefusedError | None = None
    try:
        # It counts even if there is no attempt.
        exchange.limits.count_order(account)
    except RefusedError as refused:
        if params.get("orderRateLimitExceededMode") != "CANCEL_ONLY":
            raise
        limited = refused
    ended, ended_reply = _tried(exchange, lambda: cancel(exchange, account, ends))
    if not ended and mode == "STOP_ON_FAILURE":
        raise _failed(-2022, 400, ended, "NOT_ATTEMPTED", ended_reply, None)
    if limited is not None:
        reply = error_of(limited, product_of(exchange).codes)
        raise _failed(reply.code, reply.status, ended, "FAILURE", ended_reply, reply.body(), reply.msg)
    placed, reply = _tried(exchange, lambda: place(exchange, account, params, counts=False))
    if not ended or not placed:
        part = ended or placed
        result = "SUCCESS" if placed else "FAILURE"
        raise _failed(-2021 if part else -2022, 409 if part else 400, ended, result, ended_reply, reply)
    return _outcome(ended, "SUCCESS", ended_reply, reply)


def _tried(exchange: Exchange, act: Any) -> tuple[bool, Any]:
    try:
        return True, act()
    except RefusedError as refused:
        return False, error_of(refused, product_of(exchange).codes).body()


def _outcome(ended: bool, placed: str, ended_reply: Any, reply: Any) -> dict[str, Any]:
    return {
        "cancelResult": "SUCCESS" if ended else "FAILURE",
        "newOrderResult": placed,
        "cancelResponse": ended_reply,
        "newOrderResponse": reply,
    }


def _failed(
    code: int, status: int, ended: bool, placed: str, ended_reply: Any, reply: Any, msg: str = ""
) -> RefusedError:
    said = msg or f"Order cancel-replace {'partially ' if code == -2021 else ''}failed."
    return refusal(code, said, status, data=_outcome(ended, placed, ended_reply, reply))


def amend(exchange: Exchange, account: Account, params: Params) -> Any:
    """A smaller quantity, which keeps the order's place; without a name for it, the order gets a random one."""
    order = open_order(exchange, account, params, -2038)
    exchange.matching.check_amendable(order)
    lots = lots_of(params, "newQty", order.instrument)
    if lots > order.lots:
        raise refusal(-2038, "Order amend (quantity increase) is not supported.")
    check_value(order.instrument, order.tick, lots)
    name = client_id_of(params) or exchange.matching.new_client_id(order.order_id)
    exchange.matching.reduce(order, lots, name)
    return SAYS.amend_reply(order) | {"executionId": exchange.next_id(1)}


# Of the market.


def _named(exchange: Exchange, params: Params) -> list[Instrument]:
    """The instruments that a query means: `symbol`, a list in `symbols`, or all."""
    listed = params.get("symbols", "")
    if not listed:
        return [exchange.instruments[name] for name in symbols_of(exchange, params)]
    try:
        names = msgspec.json.decode(listed, type=list[str])
    except msgspec.DecodeError:
        raise missing("symbols") from None
    if len(set(names)) != len(names):
        raise refusal(-1151, "Symbol is present multiple times in the list.")
    return [named_instrument(exchange, {"symbol": name}) for name in names]


def exchange_info(exchange: Exchange, account: None, params: Params) -> Any:
    """Instruments, filters and limits."""
    found = _named(exchange, params)
    status = params.get("symbolStatus", "")
    info = queries.exchange_info(exchange, account, params)
    raw = rate_limit("RAW_REQUESTS", "MINUTE", 5, _RAW_REQUESTS)
    rows = [SAYS.instrument_query(one) for one in found if status in ("", one.status)]
    return info | {"rateLimits": [*info["rateLimits"], raw], "symbols": rows}


def depth(exchange: Exchange, _account: None, params: Params) -> Any:
    """The book; a limit that is too high is taken for the highest."""
    instrument, limit = named_instrument(exchange, params), whole(params, "limit", 100)
    if not limit:
        raise refusal(-1130, "Data sent for parameter 'limit' is not valid.")
    return _feed(exchange, instrument).snapshot(min(limit, DEPTH_MAX), exchange.clock.server_ms())


def depth_weight(params: Params) -> int:
    """What the book costs, by its depth."""
    limit = whole(params, "limit", 100)
    return next((weight for most, weight in _DEPTH_WEIGHTS if limit <= most), _DEPTH_WEIGHTS[-1][1])


def trades(exchange: Exchange, _account: None, params: Params) -> Any:
    """The last trades of the market, the oldest first."""
    feed = _feed(exchange, named_instrument(exchange, params))
    return list(feed.trades)[-max(whole(params, "limit", 500), 1) :]


def book_ticker(exchange: Exchange, _account: None, params: Params) -> Any:
    """The best prices."""
    found = _named(exchange, params)
    return one_or_all(
        exchange, params, [{"symbol": one.symbol} | _feed(exchange, one).best_query() for one in found]
    )


def price(exchange: Exchange, _account: None, params: Params) -> Any:
    """The last price."""
    rows = []
    for one in _named(exchange, params):
        feed = _feed(exchange, one)
        last = padded(one.price(feed.last_tick or feed.mark_tick()))
        rows.append({"symbol": one.symbol, "price": last})
    return one_or_all(exchange, params, rows)


def average_price(exchange: Exchange, _account: None, params: Params) -> Any:
    """What the filters go by: here the middle of the best prices."""
    instrument = named_instrument(exchange, params)
    mark = padded(instrument.price(_feed(exchange, instrument).mark_tick()))
    return {"mins": 5, "price": mark, "closeTime": exchange.clock.server_ms()}


def _feed(exchange: Exchange, instrument: Instrument) -> SpotFeed:
    feed = exchange.feeds[instrument.number]
    assert isinstance(feed, SpotFeed)
    return feed


# Of an account.


def account(exchange: Exchange, account: Account, params: Params) -> Any:
    """Balances."""
    first = exchange.all_instruments[0]
    fees = {"maker": rate(first.maker_rate), "taker": rate(first.taker_rate), "buyer": rate(0)}
    return SAYS.account_query(account, fees | {"seller": rate(0)}, omit_zero=flag(params, "omitZeroBalances"))


def commission(exchange: Exchange, account: Account, params: Params) -> Any:
    """Fees, and what is saved by paying them in another asset."""
    instrument = named_instrument(exchange, params)
    enabled = bool(account.section.fee_asset)
    return (
        {"symbol": instrument.symbol}
        | _rates(exchange, params, "Commission")
        | {
            "discount": {
                "enabledForAccount": enabled,
                "enabledForSymbol": bool(instrument.fee_asset_price),
                "discountAsset": account.section.fee_asset or "BNB",
                "discount": rate(instrument.fee_asset_share),
            }
        }
    )


def _rates(exchange: Exchange, params: Params, suffix: str = "CommissionForOrder") -> dict[str, Any]:
    instrument = named_instrument(exchange, params)
    sides = {} if suffix.endswith("Order") else dict.fromkeys(("buyer", "seller"), money(0))
    none = dict.fromkeys(("maker", "taker"), money(0)) | sides
    own = {"maker": rate(instrument.maker_rate), "taker": rate(instrument.taker_rate)} | sides
    return {f"standard{suffix}": own, f"special{suffix}": none, f"tax{suffix}": none}


def order_limits(exchange: Exchange, account: Account, _params: Params) -> Any:
    """Order limits, and how far they are used."""
    settings, ten_s = exchange.limits.settings, exchange.limits.order_counts(account)[0]
    day = long_count(exchange, account)
    return [
        rate_limit("ORDERS", "SECOND", 10, settings.orders_10s or UNLIMITED) | {"count": ten_s},
        rate_limit("ORDERS", "DAY", 1, settings.orders_1d or UNLIMITED) | {"count": day},
    ]


def gone(_exchange: Exchange, _account: None, _params: Params) -> Any:
    """Listen keys are no more."""
    raise RefusedError(Why.OTHER, code=-1020, msg="This operation is not supported.", status=410)


def _open_orders_weight(params: Params) -> int:
    return 6 if params.get("symbol") else 80


def _trades_weight(params: Params) -> int:
    return 5 if params.get("orderId") else 20


def _test_weight(params: Params) -> int:
    return 20 if params.get("computeCommissionRates") == "true" else 1


_PING: Final = Operation(lambda _e, _a, _p: {}, NOTHING, 1)
_TIME: Final = Operation(lambda e, _a, _p: {"serverTime": e.clock.server_ms()}, NOTHING, 1)
_INFO: Final = Operation(exchange_info, NOTHING, 20)
_DEPTH: Final = Operation(depth, NOTHING, depth_weight)
_TRADES: Final = Operation(trades, NOTHING, 25)
_TICKER: Final = Operation(book_ticker, NOTHING, 4)
_PRICE: Final = Operation(price, NOTHING, 4)
_AVERAGE: Final = Operation(average_price, NOTHING, 2)
_PLACE: Final = Operation(place, SIGNED, 1, changes=True, what="place", is_free=True)
_TEST: Final = Operation(test_order, SIGNED, _test_weight)
_CANCEL: Final = Operation(cancel, SIGNED, 1, changes=True, what="cancel", is_free=True)
_CANCEL_ALL: Final = Operation(cancel_all, SIGNED, 1, changes=True)
_REPLACE: Final = Operation(cancel_replace, SIGNED, 1, changes=True, what="place", is_free=True)
_AMEND: Final = Operation(amend, SIGNED, 4, changes=True, what="modify")
_ORDER: Final = Operation(queries.order, SIGNED, 4)
_OPEN: Final = Operation(queries.open_orders, SIGNED, _open_orders_weight)
_ALL: Final = Operation(queries.all_orders, SIGNED, 20)
_MINE: Final = Operation(queries.user_trades, SIGNED, _trades_weight)
_ACCOUNT: Final = Operation(account, SIGNED, 20)
_COMMISSION: Final = Operation(commission, SIGNED, 20)
_LIMITS: Final = Operation(order_limits, SIGNED, 40)
_GONE: Final = Operation(gone, NOTHING, 2)

REST: Final[dict[tuple[str, str], Operation]] = {
    ("GET", "/v3/ping"): _PING,
    ("GET", "/v3/time"): _TIME,
    ("GET", "/v3/exchangeInfo"): _INFO,
    ("GET", "/v3/depth"): _DEPTH,
    ("GET", "/v3/trades"): _TRADES,
    ("GET", "/v3/ticker/bookTicker"): _TICKER,
    ("GET", "/v3/ticker/price"): _PRICE,
    ("GET", "/v3/avgPrice"): _AVERAGE,
    ("POST", "/v3/order"): _PLACE,
    ("POST", "/v3/order/test"): _TEST,
    ("DELETE", "/v3/order"): _CANCEL,
    ("GET", "/v3/order"): _ORDER,
    ("POST", "/v3/order/cancelReplace"): _REPLACE,
    ("PUT", "/v3/order/amend/keepPriority"): _AMEND,
    ("GET", "/v3/openOrders"): _OPEN,
    ("DELETE", "/v3/openOrders"): _CANCEL_ALL,
    ("GET", "/v3/allOrders"): _ALL,
    ("GET", "/v3/myTrades"): _MINE,
    ("GET", "/v3/account"): _ACCOUNT,
    ("GET", "/v3/account/commission"): _COMMISSION,
    ("GET", "/v3/rateLimit/order"): _LIMITS,
    **{(method, "/v3/userDataStream"): _GONE for method in ("POST", "PUT", "DELETE")},
}
"""Method and path, below `/api`."""

WS_METHODS: Final[dict[str, Operation]] = {
    "ping": _PING,
    "time": _TIME,
    "exchangeInfo": _INFO,
    "depth": _DEPTH,
    "trades.recent": _TRADES,
    "ticker.book": _TICKER,
    "ticker.price": _PRICE,
    "avgPrice": _AVERAGE,
    "order.place": _PLACE,
    "order.test": _TEST,
    "order.cancel": _CANCEL,
    "order.status": _ORDER,
    "order.cancelReplace": _REPLACE,
    "order.amend.keepPriority": _AMEND,
    "openOrders.status": _OPEN,
    "openOrders.cancelAll": _CANCEL_ALL,
    "allOrders": _ALL,
    "myTrades": _MINE,
    "account.status": _ACCOUNT,
    "account.commission": _COMMISSION,
    "account.rateLimits.orders": _LIMITS,
}
"""Methods of the WebSocket API; those of the session and of user data are its own."""
