"""An order in the exchange's words: its parameters are read and checked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from sim.exchange.accounts.accounts import BUY, SELL, Account, NewOrder, Order, Request
from sim.exchange.accounts.margin import check_band
from sim.exchange.accounts.matching import BY_DELISTING, BY_LIQUIDATION, Forced
from sim.exchange.accounts.processing import Params
from sim.exchange.bybit.errors import refusal, wrong
from sim.exchange.bybit.ids import number_of
from sim.exchange.rules.instruments import (
    ALL_ORDERS,
    NO_ORDERS,
    BadNumberError,
    Instrument,
    PrecisionError,
    parse,
)
from sim.exchange.rules.refusals import RefusedError, Why

if TYPE_CHECKING:
    from sim.exchange.core import Exchange

CATEGORY: Final = "linear"
STATUSES: Final = {
    "Trading": ALL_ORDERS,
    "PreLaunch": NO_ORDERS,
    "Delivering": NO_ORDERS,
    "Closed": NO_ORDERS,
}
FORCED: Final = {
    "liquidation": Forced("", "BustTrade", "NEW", "TRADE", BY_LIQUIDATION),
    "adl": Forced("", "AdlTrade", "NEW", "TRADE", ""),
    "settlement": Forced("", "Settle", "NEW", "TRADE", BY_DELISTING),
}
"""By the kinds of their executions; to clients their orders are at the market."""
TIFS: Final = {"GTC": "GTC", "IOC": "IOC", "FOK": "FOK", "PostOnly": "GTX"}
STPS: Final = {
    "None": "NONE",
    "CancelMaker": "EXPIRE_MAKER",
    "CancelTaker": "EXPIRE_TAKER",
    "CancelBoth": "EXPIRE_BOTH",
}
POSITION_SIDES: Final = ("BOTH", "LONG", "SHORT")
_SIDES: Final = {"Buy": BUY, "Sell": SELL}
_LINK_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,36}")
_UNSERVED: Final = (
    *("triggerPrice", "takeProfit", "stopLoss", "tpslMode", "bboSideType", "slippageTolerance"),
    "closeOnTrigger",
)
_TEXTS: Final = frozenset(
    ("qty", "price", "symbol", "side", "orderType", "timeInForce", "orderLinkId", "orderId")
)
_decode = msgspec.json.Decoder().decode


def words_of(body: Any) -> Params:
    """The fields of a JSON object as texts; an object or list in it stays JSON.

    Raises:
        RefusedError: It is no object, or has a number where the exchange wants a text.
    """
    if not isinstance(body, dict):
        raise wrong("the body is no JSON object")
    params: Params = {}
    for name, value in body.items():
        if value is None:
            continue
        if name in _TEXTS and not isinstance(value, str):
            raise wrong(f"{name} must be a text")
        if isinstance(value, bool):
            params[name] = "true" if value else "false"
        elif isinstance(value, (dict, list)):
            params[name] = msgspec.json.encode(value).decode()
        else:
            params[name] = str(value)
    return params


def text(params: Params, name: str) -> str:
    """A parameter that must be there."""
    value = params.get(name, "")
    if not value:
        raise wrong(f"{name} is missing")
    return value


def whole(params: Params, name: str, default: int, most: int = 1 << 60) -> int:
    """A whole number of at least 0, and at most so much."""
    value = params.get(name, "")
    if not value:
        return default
    if not re.fullmatch(r"[0-9]{1,18}", value) or int(value) > most:
        raise wrong(f"{name} invalid")
    return int(value)


def check_category(params: Params) -> None:
    """Only linear contracts are here."""
    if params.get("category") != CATEGORY:
        raise refusal(10001, "Illegal category")


def named_instrument(exchange: Exchange, params: Params) -> Instrument:
    """The instrument that a request names."""
    check_category(params)
    found = exchange.instruments.get(text(params, "symbol"))
    if found is None:
        raise RefusedError(Why.UNKNOWN_SYMBOL)
    return found


def named_order(exchange: Exchange, account: Account, params: Params, verb: str) -> Order:
    """The order that a request names, open or not; its id counts before its link id."""
    instrument = named_instrument(exchange, params)
    order_id, link_id = params.get("orderId", ""), params.get("orderLinkId", "")
    if not order_id and not link_id:
        raise wrong("orderId or orderLinkId is required")
    found = account.find(number_of(order_id) if order_id else None, link_id, only_open=False)
    if found is None or found.instrument is not instrument:
        raise RefusedError(Why.UNKNOWN_ORDER, verb=verb)
    return found


def request_of(what: str, params: Params) -> Request:
    """What is asked for, in the words in which it came."""
    p = params.get
    names = ("orderLinkId", "symbol", "side", "orderType", "price", "qty")
    order_id = p("orderId", "")
    return Request(
        what,
        *(p(name, "") for name in names),
        only_reduces=p("reduceOnly", "") == "true",
        order_id=number_of(order_id) if order_id else "",
    )


def _number(params: Params, name: str, digits: int) -> int:
    try:
        return parse(text(params, name), digits)
    except (PrecisionError, BadNumberError):
        raise wrong(f"{name} invalid") from None


def _choice(params: Params, name: str, choices: Any, default: str) -> str:
    value = params.get(name) or default
    if value not in choices:
        raise wrong(f"{name} invalid")
    return value


def read_order(exchange: Exchange, account: Account, params: Params) -> NewOrder:
    """A new order."""
    instrument = named_instrument(exchange, params)
    for name in _UNSERVED:
        if params.get(name, "false") not in ("false", "", "0"):
            raise wrong(f"{name} is not served here")
    reduce_only = _choice(params, "reduceOnly", ("true", "false"), "false") == "true"
    instrument.check_takes(only_reduces=reduce_only)
    side = _SIDES[_choice(params, "side", _SIDES, "")]
    is_limit = _choice(params, "orderType", ("Limit", "Market"), "") == "Limit"
    tif = TIFS[_choice(params, "timeInForce", TIFS, "GTC")] if is_limit else "IOC"
    position_side = POSITION_SIDES[whole(params, "positionIdx", 0, 2)]
    if (position_side != "BOTH") != account.hedge:
        raise refusal(10001, "position idx not match position mode")
    link_id = params.get("orderLinkId", "")
    if link_id and not _LINK_ID.fullmatch(link_id):
        raise wrong("orderLinkId invalid")
    # An id is not free again when its order is over.
    if link_id in account.last_by_client_id:
        raise RefusedError(Why.DOUBLED_CLIENT_ID)
    lots = instrument.check_lots(_number(params, "qty", instrument.qty_digits), at_market=not is_limit)
    tick = instrument.check_tick(_number(params, "price", instrument.price_digits)) if is_limit else 0
    if is_limit:
        check_band(exchange.market, instrument, side, tick)
        if not reduce_only:
            instrument.check_value(tick, lots)
    return NewOrder(
        instrument=instrument,
        side=side,
        kind="LIMIT" if is_limit else "MARKET",
        tif=tif,
        tick=tick,
        lots=lots,
        position_side=position_side,
        reduce_only=reduce_only,
        client_id=link_id,
        stp=STPS[_choice(params, "smpType", STPS, "None")],
        expires_unfit=True,
        echo={"price": "" if is_limit else _market_price(exchange, instrument, side)},
    )


def _market_price(exchange: Exchange, instrument: Instrument, side: int) -> str:
    """As which limit an order at the market is shown: a twentieth beyond the mark price."""
    mark = exchange.feeds[instrument.number].mark_tick()
    step = instrument.tick_units // instrument.grid_tick_units
    return instrument.price(mark * (20 + side) // 20 // step * step)


def read_amendment(exchange: Exchange, account: Account, params: Params) -> tuple[Order, int, int]:
    """The order that is to be amended, and its new price and quantity in ticks and lots."""
    order = named_order(exchange, account, params, "replace")
    if not order.is_open:
        raise RefusedError(Why.UNKNOWN_ORDER, verb="replace")
    exchange.matching.check_amendable(order)
    instrument, tick, lots = order.instrument, order.tick, order.lots
    if params.get("price"):
        tick = instrument.check_tick(_number(params, "price", instrument.price_digits))
    if params.get("qty"):
        lots = instrument.check_lots(_number(params, "qty", instrument.qty_digits))
    if lots <= order.executed_lots:
        raise refusal(110064, "The order quantity must be above what is filled")
    return order, tick, lots


def items_of(params: Params, most: int) -> list[Any]:
    """What a batch asks for."""
    check_category(params)
    try:
        items = _decode(text(params, "request"))
    except msgspec.DecodeError:
        raise wrong("request invalid") from None
    if not isinstance(items, list) or not 0 < len(items) <= most:
        raise wrong(f"a batch has 1 to {most} orders")
    return items
