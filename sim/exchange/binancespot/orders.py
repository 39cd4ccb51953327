"""An order in Spot's words: parameters first, then filters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.exchange.accounts.accounts import Account, NewOrder, Order, Request
from sim.exchange.accounts.margin import bought_for, check_band
from sim.exchange.accounts.processing import Params
from sim.exchange.binance.errors import missing, refusal, unneeded
from sim.exchange.binance.orders import CLIENT_ID, named_instrument, number, side_of, text
from sim.exchange.binancespot.payloads import KINDS, PREVENTS, STPS, padded
from sim.exchange.rules.instruments import MONEY_DIGITS, Instrument, parse
from sim.exchange.rules.refusals import RefusedError, Why

if TYPE_CHECKING:
    from sim.exchange.core import Exchange

_TIFS: Final = ("GTC", "IOC", "FOK")
_OTHER_STPS: Final = ("DECREMENT", "TRANSFER")
_LEFT_OUT: Final = (
    *("stopPrice", "trailingDelta", "icebergQty"),
    *("pegPriceType", "pegOffsetType", "pegOffsetValue"),
)


def request_of(what: str, params: Params) -> Request:
    """What is asked for, in the words in which it came; another order in an order's place is a modification."""
    if params.get("cancelReplaceMode"):
        what = "modify"
    of_order = params.get("origClientOrderId") or params.get("newClientOrderId", "")
    client_id = params.get("newClientOrderId", "") if what == "place" else of_order
    qty = params.get("newQty") or params.get("quantity") or params.get("quoteOrderQty", "")
    return Request(
        what,
        client_id,
        params.get("symbol", ""),
        params.get("side", ""),
        params.get("type", ""),
        params.get("price", ""),
        qty,
        False,
        params.get("orderId", ""),
    )


def client_id_of(params: Params, name: str = "newClientOrderId") -> str:
    """A client's name for something; empty where it gives none."""
    found = params.get(name, "")
    if found and not CLIENT_ID.fullmatch(found):
        pattern = CLIENT_ID.pattern
        raise refusal(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^{pattern}$'.")
    return found


def _units(params: Params, name: str, digits: int, why: Why) -> int:
    """A number in units of an instrument's last digit: 8 digits are taken, and what is finer breaks the filter."""
    units, rest = divmod(number(params, name, MONEY_DIGITS), 10 ** (MONEY_DIGITS - digits))
    if rest:
        raise RefusedError(why)
    return units


def lots_of(params: Params, name: str, instrument: Instrument, *, at_market: bool = False) -> int:
    """A quantity in lots, by the filters."""
    units = _units(params, name, instrument.qty_digits, Why.LOT)
    if at_market and instrument.max_qty_units >= units > instrument.market_max_qty_units:
        raise refusal(-1013, "Filter failure: MARKET_LOT_SIZE")
    return instrument.check_lots(units, at_market=at_market)


def check_value(instrument: Instrument, tick: int, lots: int, *, at_market: bool = False) -> None:
    """An order must be worth something, and not too much."""
    instrument.check_value(tick, lots)
    most = parse(getattr(instrument.section, "max_notional", "0"), MONEY_DIGITS)
    if most and not at_market and instrument.notional(tick, lots) > most:
        raise RefusedError(Why.VALUE_LOW)


def read_order(exchange: Exchange, _account: Account, params: Params) -> NewOrder:
    """A new order."""
    instrument = named_instrument(exchange, params)
    instrument.check_takes(only_reduces=False)
    side, kind = side_of(params), text(params, "type")
    if kind not in KINDS:
        raise refusal(-1116, "Invalid orderType.")
    tif = _tif(params, kind)
    for name in (*_LEFT_OUT, *(("price",) if kind == "MARKET" else ("quoteOrderQty",))):
        if params.get(name):
            raise unneeded(name)
    stp = params.get("selfTradePreventionMode", PREVENTS)
    if stp in _OTHER_STPS:
        raise refusal(-1013, "This symbol does not allow the specified self-trade prevention mode.")
    if stp not in STPS:
        raise refusal(-1130, "Data sent for parameter 'selfTradePreventionMode' is not valid.")
    client_id = client_id_of(params)
    echo = {"type": kind}
    if kind == "MARKET":
        tick, lots = 0, _market_lots(exchange, params, instrument, side)
        if params.get("quoteOrderQty"):
            echo["quoteOrderQty"] = padded(params["quoteOrderQty"])
    else:
        tick = instrument.check_tick(_units(params, "price", instrument.price_digits, Why.TICK))
        lots = lots_of(params, "quantity", instrument)
        # Neither side may ask for too much or too little.
        for way in (1, -1):
            check_band(exchange.market, instrument, way, tick)
        check_value(instrument, tick, lots)
    return NewOrder(
        instrument=instrument,
        side=side,
        kind="MARKET" if kind == "MARKET" else "LIMIT",
        tif=tif,
        tick=tick,
        lots=lots,
        client_id=client_id,
        stp=stp,
        expires_unfit=tif == "FOK",
        echo=echo,
    )


def _tif(params: Params, kind: str) -> str:
    if kind != "LIMIT":
        if params.get("timeInForce"):
            raise unneeded("timeInForce")
        return "GTX" if kind == "LIMIT_MAKER" else "GTC"
    tif = text(params, "timeInForce")
    if tif not in _TIFS:
        raise refusal(-1115, "Invalid timeInForce.")
    return tif


def _market_lots(exchange: Exchange, params: Params, instrument: Instrument, side: int) -> int:
    mark = exchange.feeds[instrument.number].mark_tick()
    if not params.get("quoteOrderQty"):
        lots = lots_of(params, "quantity", instrument, at_market=True)
        check_value(instrument, mark, lots, at_market=True)
        return lots
    if params.get("quantity"):
        raise refusal(-1128, "Combination of optional parameters invalid.")
    money = number(params, "quoteOrderQty", MONEY_DIGITS)
    if money < instrument.min_notional:
        raise RefusedError(Why.VALUE_LOW)
    lots = bought_for(exchange.market, instrument, side, money)
    return instrument.check_lots(lots * instrument.grid_lot_units, at_market=True)


def open_order(exchange: Exchange, account: Account, params: Params, code: int) -> Order:
    """The open order that a request names; both of its ids must be those of one order."""
    instrument = named_instrument(exchange, params)
    order_id, client_id = params.get("orderId", ""), params.get("origClientOrderId", "")
    if not order_id and not client_id:
        raise missing("origClientOrderId")
    found = account.find(order_id or None, client_id, only_open=True)
    if found is None or found.instrument is not instrument:
        raise refusal(code, "Unknown order sent.")
    if order_id and client_id and found.client_id != client_id:
        raise refusal(-2039, "Client order ID is not correct for this order ID.")
    return found
