"""An order in the exchange's words: its parameters are read and checked in the order in which the exchange does it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sim.exchange.accounts.accounts import BUY, SELL, Account, NewOrder, Order, Request
from sim.exchange.accounts.margin import check_band
from sim.exchange.accounts.matching import BY_DELISTING, BY_LIQUIDATION, Forced
from sim.exchange.accounts.processing import Params
from sim.exchange.binance.errors import missing, refusal, unneeded
from sim.exchange.binance.product import product_of
from sim.exchange.rules.instruments import (
    ALL_ORDERS,
    NO_ORDERS,
    REDUCING,
    BadNumberError,
    Instrument,
    PrecisionError,
    parse,
)
from sim.exchange.rules.refusals import RefusedError, Why

if TYPE_CHECKING:
    from sim.exchange.core import Exchange

STATUSES: Final = {
    "TRADING": ALL_ORDERS,
    "BREAK": REDUCING,
    "HALT": REDUCING,
    "TRADING_HALT": REDUCING,
    "PRE_DELISTING": REDUCING,
    "PRE_SETTLE": REDUCING,
    "PENDING_TRADING": NO_ORDERS,
    "SETTLING": NO_ORDERS,
    "CLOSE": NO_ORDERS,
    "DELIVERING": NO_ORDERS,
    "DELIVERED": NO_ORDERS,
}
FORCED: Final = {
    "liquidation": Forced("autoclose-{}", "LIQUIDATION", "NEW", "CALCULATED", BY_LIQUIDATION),
    "insurance": Forced("autoclose-{}", "LIQUIDATION", "NEW_INSURANCE", "CALCULATED", BY_LIQUIDATION),
    "adl": Forced("adl_autoclose", "LIMIT", "NEW_ADL", "CALCULATED", ""),
    "settlement": Forced("settlement_autoclose-{}", "MARKET", "NEW", "TRADE", BY_DELISTING),
}
CLIENT_ID: Final = re.compile(r"[\.A-Z\:/a-z0-9_-]{1,36}")
GTD_LEAST_S: Final = 600

_SIDES: Final = {"BUY": BUY, "SELL": SELL}
_KINDS: Final = ("LIMIT", "MARKET")
_ALGO_KINDS: Final = ("STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET")
_TIFS: Final = ("GTC", "IOC", "FOK", "GTX", "GTD")
_STPS: Final = ("NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH")
_POSITION_SIDES: Final = ("BOTH", "LONG", "SHORT")
_MATCHES: Final = {
    f"{way}{'' if level == 1 else f'_{level}'}": (way, level)
    for way in ("OPPONENT", "QUEUE")
    for level in (1, 5, 10, 20)
}


def text(params: Params, name: str) -> str:
    """A parameter that must be there."""
    value = params.get(name, "")
    if not value:
        raise missing(name)
    return value


def whole(params: Params, name: str, default: int | None = None) -> int:
    """A whole number."""
    value = params.get(name, "")
    if not value and default is not None:
        return default
    if not value:
        raise missing(name)
    if not re.fullmatch(r"[0-9]{1,18}", value):
        raise refusal(
            -1102, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."
        )
    return int(value)


def flag(params: Params, name: str) -> bool:
    """A truth value."""
    value = params.get(name, "false").lower()
    if value not in ("true", "false"):
        raise missing(name)
    return value == "true"


def number(params: Params, name: str, digits: int) -> int:
    """A decimal number in units of its last digit."""
    value = text(params, name)
    try:
        return parse(value, digits)
    except PrecisionError:
        raise refusal(-1111, "Precision is over the maximum defined for this asset.") from None
    except BadNumberError:
        raise missing(name) from None


def side_of(params: Params) -> int:
    """BUY or SELL."""
    side = _SIDES.get(text(params, "side"))
    if side is None:
        raise refusal(-1117, "Invalid side.")
    return side


def named_instrument(exchange: Exchange, params: Params) -> Instrument:
    """The instrument that a request names."""
    found = exchange.instruments.get(text(params, "symbol"))
    if found is None:
        raise RefusedError(Why.UNKNOWN_SYMBOL)
    return found


def named_order(
    exchange: Exchange, account: Account, params: Params, *, only_open: bool = True
) -> Order | None:
    """The order that a request names."""
    instrument = named_instrument(exchange, params)
    if not params.get("orderId") and not params.get("origClientOrderId"):
        raise refusal(-1102, "Either orderId or origClientOrderId must be sent.")
    found = account.find(params.get("orderId") or None, params.get("origClientOrderId"), only_open=only_open)
    return found if found is not None and found.instrument is instrument else None


def request_of(what: str, params: Params) -> Request:
    """What is asked for, in the words in which it came."""
    return Request(
        what,
        params.get("newClientOrderId") or params.get("origClientOrderId", ""),
        params.get("symbol", ""),
        params.get("side", ""),
        params.get("type", ""),
        params.get("price", ""),
        params.get("quantity", ""),
        params.get("reduceOnly", "") == "true",
        params.get("orderId", ""),
    )


def read_order(exchange: Exchange, account: Account, params: Params) -> NewOrder:
    """A new order: parameters first, then filters, then the account's mode."""
    instrument = named_instrument(exchange, params)
    instrument.check_takes(only_reduces=flag(params, "reduceOnly"))
    side = side_of(params)
    kind = text(params, "type")
    if kind in _ALGO_KINDS:
        raise refusal(
            -4120,
            "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
        )
    if kind not in _KINDS:
        raise refusal(-1116, "Invalid orderType.")
    is_limit = kind == "LIMIT"
    match = params.get("priceMatch", "NONE")
    tif = "GTC"
    if is_limit:
        tif = text(params, "timeInForce")
        if tif not in _TIFS:
            raise refusal(-1115, "Invalid timeInForce.")
    else:
        for name in ("timeInForce", "price"):
            if params.get(name):
                raise unneeded(name)
    units = number(params, "quantity", instrument.qty_digits)
    tick = _price(params, instrument, side, match, exchange) if is_limit else 0
    expire_ms = _expiry(params, tif, exchange.matching.now_ms)
    stp = params.get("selfTradePreventionMode", "EXPIRE_MAKER")
    if stp not in _STPS:
        raise refusal(-5039, "Invalid selfTradePreventionMode.")
    reduce_only = flag(params, "reduceOnly")
    lots = instrument.check_lots(units, at_market=not is_limit)
    if is_limit:
        check_band(exchange.market, instrument, side, tick)
        if not reduce_only:
            instrument.check_value(tick, lots)
    position_side = _position_side(params, account)
    if account.hedge and "reduceOnly" in params:
        raise unneeded("reduceOnly")
    client_id = params.get("newClientOrderId", "")
    if client_id and not CLIENT_ID.fullmatch(client_id):
        raise refusal(-4015, "Client order id is not valid.")
    return NewOrder(
        instrument=instrument,
        side=side,
        kind=kind,
        tif=tif,
        tick=tick,
        lots=lots,
        position_side=position_side,
        reduce_only=reduce_only,
        client_id=client_id,
        stp=stp,
        expire_ms=expire_ms,
        expires_unfit=product_of(exchange).expires_unfit,
        echo={"priceMatch": match},
    )


def read_amendment(exchange: Exchange, account: Account, params: Params) -> tuple[Order, int, int]:
    """The order that is to be modified, and its new price and quantity in ticks and lots."""
    order = named_order(exchange, account, params)
    if order is None:
        raise RefusedError(Why.UNKNOWN_ORDER)
    side_of(params)
    exchange.matching.check_amendable(order)
    instrument = order.instrument
    lots = instrument.check_lots(number(params, "quantity", instrument.qty_digits))
    tick = instrument.check_tick(number(params, "price", instrument.price_digits))
    return order, tick, lots


def _price(params: Params, instrument: Instrument, side: int, match: str, exchange: Exchange) -> int:
    if match == "NONE":
        return instrument.check_tick(number(params, "price", instrument.price_digits))
    if match not in _MATCHES:
        raise refusal(-5037, "Invalid price match.")
    if params.get("price"):
        raise unneeded("price")
    way, level = _MATCHES[match]
    levels = exchange.market.levels(instrument.number, side if way == "QUEUE" else -side, level)
    if len(levels) < level:
        raise refusal(-5041, "No depth matches this price match.")
    return levels[level - 1][0]


def _expiry(params: Params, tif: str, now_ms: int) -> int:
    if tif != "GTD":
        return 0
    expire_ms = whole(params, "goodTillDate") // 1000 * 1000
    if expire_ms < now_ms + GTD_LEAST_S * 1000:
        raise refusal(-5040, "goodTillDate must be greater than the current time plus 600 seconds.")
    return expire_ms


def _position_side(params: Params, account: Account) -> str:
    side = params.get("positionSide", "BOTH")
    if side not in _POSITION_SIDES or (side == "BOTH") == account.hedge:
        raise refusal(-4061, "Order's position side does not match user's setting.")
    return side
