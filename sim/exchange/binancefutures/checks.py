"""The checks of an order before it reaches the market, in the order in which the exchange makes them."""

import re
from typing import Final, NamedTuple

from sim.exchange.binancefutures.accounts import BUY, SELL, Account
from sim.exchange.binancefutures.errors import ApiError, missing, precision, unneeded
from sim.exchange.binancefutures.instruments import Instrument
from sim.exchange.binancefutures.numbers import RATE, BadNumberError, PrecisionError, parse
from sim.exchange.market import Market

Params = dict[str, str]

CLIENT_ID: Final = re.compile(r"[\.A-Z\:/a-z0-9_-]{1,36}")
GTD_LEAST_S: Final = 600

_CLOSED: Final = frozenset(("PENDING_TRADING", "SETTLING", "CLOSE", "DELIVERING", "DELIVERED"))
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


class Wanted(NamedTuple):
    """An order as it was asked for."""

    instrument: Instrument
    side: int
    kind: str
    tif: str
    tick: int
    lots: int
    position_side: str
    reduce_only: bool
    client_id: str
    stp: str
    price_match: str
    expire_ms: int
    wants_result: bool


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
        raise ApiError(
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
        raise precision() from None
    except BadNumberError:
        raise missing(name) from None


def one_of(params: Params, name: str, values: tuple[str, ...], default: str, error: ApiError) -> str:
    """A word out of some."""
    value = params.get(name, default)
    if value not in values:
        raise error
    return value


def side_of(params: Params) -> int:
    """BUY or SELL."""
    side = _SIDES.get(text(params, "side"))
    if side is None:
        raise ApiError(-1117, "Invalid side.")
    return side


def wanted(params: Params, account: Account, instrument: Instrument, market: Market, now_ms: int) -> Wanted:
    """Read and check what an order says of itself: parameters, then filters, then the account's mode."""
    check_status(instrument, flag(params, "reduceOnly"))
    side = side_of(params)
    kind = text(params, "type")
    if kind in _ALGO_KINDS:
        raise ApiError(
            -4120,
            "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
        )
    if kind not in _KINDS:
        raise ApiError(-1116, "Invalid orderType.")
    match = params.get("priceMatch", "NONE")
    tif = ""
    if kind == "LIMIT":
        tif = text(params, "timeInForce")
        if tif not in _TIFS:
            raise ApiError(-1115, "Invalid timeInForce.")
    else:
        for name in ("timeInForce", "price"):
            if params.get(name):
                raise unneeded(name)
        tif = "GTC"
    units = number(params, "quantity", instrument.qty_digits)
    tick = 0
    if kind == "LIMIT":
        tick = _price(params, instrument, side, match, market)
    expire_ms = _expiry(params, tif, now_ms)
    stp = one_of(
        params,
        "selfTradePreventionMode",
        _STPS,
        "EXPIRE_MAKER",
        ApiError(-5039, "Invalid selfTradePreventionMode."),
    )
    reduce_only = flag(params, "reduceOnly")
    lots = check_qty(instrument, units, kind)
    if kind == "LIMIT":
        check_price(instrument, side, tick, market)
        if not reduce_only and instrument.notional(tick, lots) < instrument.min_notional:
            raise _min_notional(instrument, -4164)
    position_side = _position_side(params, account)
    if account.hedge and "reduceOnly" in params:
        raise unneeded("reduceOnly")
    client_id = params.get("newClientOrderId", "")
    if client_id and not CLIENT_ID.fullmatch(client_id):
        raise ApiError(-4015, "Client order id is not valid.")
    wants_result = params.get("newOrderRespType", "ACK") == "RESULT"
    return Wanted(
        instrument,
        side,
        kind,
        tif,
        tick,
        lots,
        position_side,
        reduce_only,
        client_id,
        stp,
        match,
        expire_ms,
        wants_result,
    )


def check_status(instrument: Instrument, only_reduces: bool) -> None:
    """Whether the instrument takes an order at all."""
    status = instrument.section.status
    if status in _CLOSED:
        raise ApiError(-4108, "This contract is being settled or is not trading.")
    if status != "TRADING" and not only_reduces:
        raise ApiError(-4140, "Invalid symbol status for opening position.")


def _price(params: Params, instrument: Instrument, side: int, match: str, market: Market) -> int:
    if match == "NONE":
        return check_tick(instrument, number(params, "price", instrument.price_digits))
    if match not in _MATCHES:
        raise ApiError(-5037, "Invalid price match.")
    if params.get("price"):
        raise unneeded("price")
    way, level = _MATCHES[match]
    levels = market.levels(instrument.number, side if way == "QUEUE" else -side, level)
    if len(levels) < level:
        raise ApiError(-5041, "No depth matches this price match.")
    return levels[level - 1][0]


def check_tick(instrument: Instrument, units: int) -> int:
    """A price in ticks."""
    if units < instrument.min_price_units or units <= 0:
        raise ApiError(-4013, f"Price less than min price ({instrument.section.min_price}).")
    if units > instrument.max_price_units:
        raise ApiError(-4002, "Price greater than max price.")
    if units % instrument.tick_units:
        raise ApiError(-4014, "Price not increased by tick size.")
    return units // instrument.grid_tick_units


def check_qty(instrument: Instrument, units: int, kind: str) -> int:
    """A quantity in lots."""
    if units <= 0:
        raise ApiError(-4003, "Quantity less than or equal to zero.")
    if units % instrument.lot_units:
        raise ApiError(-4023, "Qty not increased by step size.")
    if units < instrument.min_qty_units:
        raise ApiError(-4004, "Quantity less than min quantity.")
    if units > (instrument.max_qty_units if kind == "LIMIT" else instrument.market_max_qty_units):
        raise ApiError(-4005, "Quantity greater than max quantity.")
    return units // instrument.grid_lot_units


def check_price(instrument: Instrument, side: int, tick: int, market: Market) -> None:
    """PERCENT_PRICE, around the middle of the best prices."""
    touch = market.touch(instrument.number)
    if not touch.bid_lots or not touch.ask_lots:
        return
    double_mark = touch.bid_tick + touch.ask_tick
    if side == BUY and 2 * tick * RATE > double_mark * instrument.multiplier_up:
        highest = double_mark * instrument.multiplier_up // (2 * RATE)
        raise ApiError(-4016, f"Limit price can't be higher than {instrument.price(highest)}.")
    if side == SELL and 2 * tick * RATE < double_mark * instrument.multiplier_down:
        lowest = -(-double_mark * instrument.multiplier_down // (2 * RATE))
        raise ApiError(-4024, f"Limit price can't be lower than {instrument.price(lowest)}.")


def check_modified_notional(instrument: Instrument, tick: int, lots: int) -> None:
    """MIN_NOTIONAL of a modified order."""
    if instrument.notional(tick, lots) < instrument.min_notional:
        raise _min_notional(instrument, -5029)


def _min_notional(instrument: Instrument, code: int) -> ApiError:
    least = instrument.section.min_notional
    return ApiError(
        code, f"Order's notional must be no smaller than {least} (unless you choose reduce only)."
    )


def _expiry(params: Params, tif: str, now_ms: int) -> int:
    if tif != "GTD":
        return 0
    expire_ms = whole(params, "goodTillDate") // 1000 * 1000
    if expire_ms < now_ms + GTD_LEAST_S * 1000:
        raise ApiError(-5040, "goodTillDate must be greater than the current time plus 600 seconds.")
    return expire_ms


def _position_side(params: Params, account: Account) -> str:
    side = params.get("positionSide", "BOTH")
    if side not in _POSITION_SIDES or (side == "BOTH") == account.hedge:
        raise ApiError(-4061, "Order's position side does not match user's setting.")
    return side
