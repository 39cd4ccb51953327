"""Instruments, orders, executions, positions and wallets as replies and events have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.exchange.accounts.accounts import Account, Order, Payment, Position, Trade
from sim.exchange.accounts.matching import (
    BY_DELISTING,
    BY_IOC,
    BY_LIQUIDATION,
    BY_MARKET,
    BY_REDUCE_ONLY,
    BY_SELF_TRADE,
)
from sim.exchange.bybit.ids import execution_uuid, order_uuid
from sim.exchange.bybit.orders import CATEGORY, FORCED, POSITION_SIDES, STPS, TIFS
from sim.exchange.rules.instruments import MONEY_DIGITS, RATE, Instrument, show
from sim.exchange.streams.streams import Event

if TYPE_CHECKING:
    from sim.exchange.core import Exchange

RACE: Final = "RACE"
"""A cancel came too late for an order that was filled, and had been acknowledged."""
ONBOARD_MS: Final = 1585526400000
_UID: Final = 505077818
_UNMADE: Final = ("EC_NoImmediateQtyToFill", "UNKNOWN")
FUNDING: Final = "Funding"
"""The kind of an execution that is a payment of funding."""
_SIDE: Final = {1: "Buy", -1: "Sell", 0: ""}
_STATUS: Final = {"NEW": "New", "PARTIALLY_FILLED": "PartiallyFilled", "FILLED": "Filled"}
_OWN_KINDS: Final = frozenset(one.kind for one in FORCED.values())
_KIND: Final = {"LIMIT": "Limit", "MARKET": "Market"} | dict.fromkeys(_OWN_KINDS, "Market")
_TIF: Final = {ours: theirs for theirs, ours in TIFS.items()}
_STP: Final = {ours: theirs for theirs, ours in STPS.items()}
_UNFIT: Final = {"GTX": "EC_PostOnlyWillTakeLiquidity", "FOK": "EC_NoEnoughQtyToFill"}
_ENDED_BY: Final = {
    BY_SELF_TRADE: ("EC_BySelfMatch", "CancelBySmp"),
    BY_IOC: _UNMADE,
    BY_MARKET: _UNMADE,
    BY_REDUCE_ONLY: ("EC_NoError", "CancelByReduceOnly"),
    BY_LIQUIDATION: ("EC_NoError", "CancelAllBeforeLiq"),
    BY_DELISTING: ("EC_NoError", "CancelBySettle"),
}


_UNSET: Final = {"triggerDirection": 0, "closeOnTrigger": False, "smpGroup": 0} | {
    **dict.fromkeys(("triggerPrice", "triggerBy", "takeProfit", "stopLoss", "tpslMode", "stopOrderType"), ""),
    **dict.fromkeys(("blockTradeId", "isLeverage", "orderIv", "smpOrderId", "placeType", "feeCurrency"), ""),
    "parentOrderLinkId": "",
}
"""Of all orders: what they do not have here."""
_PLAIN: Final = {"riskId": 1, "tradeMode": 0, "positionStatus": "Normal", "isReduceOnly": False} | {
    **dict.fromkeys(("liqPrice", "positionMM", "takeProfit", "stopLoss", "breakEvenPrice"), ""),
    **dict.fromkeys(("adlRankIndicator", "autoAddMargin"), 0),
}
"""Of all positions."""
_COIN: Final = {
    "availableToWithdraw": "",
    "marginCollateral": True,
    "collateralSwitch": True,
} | dict.fromkeys(("locked", "totalPositionMM", "borrowAmount", "accruedInterest", "bonus"), "0")
"""Of all coins."""
_PERPETUAL: Final = {
    "contractType": "LinearPerpetual",
    "launchTime": str(ONBOARD_MS),
    "deliveryTime": "0",
    "deliveryFeeRate": "",
    "upperFundingRate": "0.00375",
    "lowerFundingRate": "-0.00375",
    "fundingInterval": 480,
    "isPreListing": False,
    "preListingInfo": None,
    "unifiedMarginTrade": True,
    "copyTrading": "none",
    "symbolType": "",
}
"""Of all instruments."""


def trim(number: str) -> str:
    """A decimal number without zeros at its end."""
    return number.rstrip("0").rstrip(".") if "." in number else number


def money(value: int) -> str:
    """Money as text."""
    return trim(show(value, MONEY_DIGITS))


def position_idx(side: str) -> int:
    """0 in an account that has one position in each instrument; 1 long, 2 short."""
    return POSITION_SIDES.index(side)


def why_ended(order: Order) -> tuple[str, str]:
    """The reason for which an order ended, and by whom."""
    if order.is_open or order.status == "FILLED":
        return "EC_NoError", "UNKNOWN"
    if order.reason == BY_IOC and order.tif in _UNFIT:
        return _UNFIT[order.tif], "UNKNOWN"
    if order.reason in (BY_IOC, BY_MARKET) and order.executed_lots:
        return "EC_CancelForNoFullFill", "UNKNOWN"
    if order.ended_by == "amendment":
        return _UNFIT["GTX"], "UNKNOWN"
    if order.reason in _ENDED_BY:
        return _ENDED_BY[order.reason]
    if order.ended_by == "switch":
        return "EC_PerCancelRequest", "CancelByDCP"
    return (
        ("EC_PerCancelRequest", "CancelByUser")
        if order.status == "CANCELED"
        else ("EC_NoError", "CancelByAdmin")
    )


def order_row(exchange: Exchange, order: Order) -> dict[str, Any]:
    """An order as queries have it; the stream adds its category."""
    i, asked = order.instrument, order.asked
    reason, by = why_ended(order)
    leaves = order.leaves_lots if order.is_open else 0
    last_tick = exchange.feeds[i.number].last_tick
    ids = {"symbol": i.symbol, "orderId": order_uuid(order.order_id), "orderLinkId": asked.client_id}
    kind = {"side": _SIDE[order.side], "orderType": _KIND[order.kind], "timeInForce": _TIF[order.tif]}
    mode = {"positionIdx": position_idx(asked.position_side), "reduceOnly": asked.reduce_only}
    made = {"smpType": _STP[asked.stp], "createType": _maker_of(order)}
    state = {"orderStatus": _STATUS.get(order.status, "Cancelled"), "cancelType": by, "rejectReason": reason}
    return (
        _UNSET
        | ids
        | kind
        | mode
        | made
        | state
        | {
            "price": _price_of(order),
            "qty": trim(i.qty(order.lots)),
            "avgPrice": trim(i.average(order.worth, order.executed_lots)) if order.executed_lots else "",
            "leavesQty": trim(i.qty(leaves)),
            "leavesValue": money(i.notional(order.tick, leaves)),
            "cumExecQty": trim(i.qty(order.executed_lots)),
            "cumExecValue": money(i.money(order.worth)),
            "cumExecFee": money(order.fees),
            "cumFeeDetail": {i.margin_asset: money(order.fees)} if order.executed_lots else {},
            "closedPnl": money(order.realized),
            "lastPriceOnCreated": trim(i.price(last_tick)) if last_tick else "",
            "createdTime": str(order.created_ms),
            "updatedTime": str(order.updated_ms),
        }
    )


def _price_of(order: Order) -> str:
    return trim(order.asked.echo.get("price") or order.instrument.price(order.tick))


def _maker_of(order: Order) -> str:
    return "CreateByUser" if order.asked.echo else "CreateByClosing"


def order_query(exchange: Exchange, order: Order) -> dict[str, Any]:
    """As queries have it: nothing is left of one that is over."""
    row = order_row(exchange, order)
    return row if order.is_open else row | {"leavesQty": "", "leavesValue": ""}


def kind_of(trade: Trade) -> str:
    """The kind of an execution: `Trade`, or of what order of the exchange's own."""
    return trade.order.kind if trade.order.kind in _OWN_KINDS else "Trade"


def execution_row(exchange: Exchange, trade: Trade, leaves_lots: int = 0) -> dict[str, Any]:
    """An execution as queries have it; the stream adds its category."""
    order, i = trade.order, trade.order.instrument
    feed, qty = exchange.feeds[i.number], trim(i.qty(trade.lots))
    rate = i.maker_rate if trade.maker else i.taker_rate
    ids = {"symbol": i.symbol, "orderId": order_uuid(order.order_id), "orderLinkId": order.asked.client_id}
    kind = {"side": _SIDE[order.side], "orderType": _KIND[order.kind], "stopOrderType": "UNKNOWN"}
    plain = {
        "tradeIv": "",
        "markIv": "",
        "indexPrice": "",
        "isLeverage": "0",
        "marketUnit": "",
        "extraFees": [],
    }
    done = {
        "execId": execution_uuid(trade.trade_id, order.order_id),
        "execType": kind_of(trade),
        "execQty": qty,
    }
    fees = {"execFee": money(trade.fee), "feeRate": money(rate), "feeCurrency": i.margin_asset}
    return (
        plain
        | ids
        | kind
        | done
        | fees
        | {
            "execPrice": trim(i.price(trade.tick)),
            "execValue": money(trade.money),
            "execPnl": money(trade.realized),
            "execTime": str(trade.time_ms),
            "closedSize": qty if trade.realized else "0",
            "leavesQty": trim(i.qty(leaves_lots)),
            "markPrice": trim(i.price(feed.mark_tick())),
            "orderPrice": _price_of(order),
            "orderQty": trim(i.qty(order.lots)),
            "isMaker": trade.maker,
            "seq": feed.last_id,
            "createType": _maker_of(order),
        }
    )


def payment_row(payment: Payment) -> dict[str, Any]:
    """A payment of funding, as an execution: what is paid is its fee."""
    i, side = payment.instrument, _SIDE[1 if payment.lots > 0 else -1]
    return {
        "symbol": i.symbol,
        "orderId": f"{payment.time_ms // 1000}-{i.symbol}-{payment.payment_id}-{side}",
        "orderLinkId": "",
        "side": side,
        "orderType": "UNKNOWN",
        "stopOrderType": "UNKNOWN",
        "execId": payment_uuid(payment),
        "execType": FUNDING,
        "execFee": money(-payment.amount),
        "feeRate": payment.rate,
        "feeCurrency": "",
        "execPrice": trim(i.price(payment.tick)),
        "execQty": trim(i.qty(abs(payment.lots))),
        "execTime": str(payment.time_ms),
        "leavesQty": "0",
        "isMaker": False,
    }


def payment_uuid(payment: Payment) -> str:
    """Its id among the executions'."""
    return execution_uuid(payment.time_ms, payment.payment_id)


def funding_events(exchange: Exchange, account: Account, payment: Payment) -> list[Event]:
    """The execution, and the coin that changed."""
    i, now_ms = payment.instrument, exchange.clock.server_ms()
    head = {"id": f"{_UID}_wallet_{payment.time_ms}", "topic": "wallet", "creationTime": now_ms}
    paid = _said("execution", i, exchange.feeds[i.number].last_id, payment_row(payment), now_ms)
    return [paid, ("wallet", head | {"data": [wallet_row(exchange, account, {i.margin_asset})]})]


def _fast(row: dict[str, Any]) -> dict[str, Any]:
    names = ("symbol", "execId", "execPrice", "execQty", "orderId", "isMaker", "side", "execTime", "seq")
    link_id = "" if row["isMaker"] else row["orderLinkId"]
    return {"category": CATEGORY} | {name: row[name] for name in names} | {"orderLinkId": link_id}


def position_row(exchange: Exchange, account: Account, position: Position, price_name: str) -> dict[str, Any]:
    """A position; its average price has one name in queries and another in the stream."""
    i = position.instrument
    feed, value = exchange.feeds[i.number], i.money(position.cost)
    mark, realized = feed.mark_tick(), money(position.realized)
    side, changed = (position.lots > 0) - (position.lots < 0), str(position.updated_ms)
    ids = {"positionIdx": position_idx(position.side), "symbol": i.symbol, "side": _SIDE[side]}
    return (
        _PLAIN
        | ids
        | {
            "size": trim(i.qty(abs(position.lots))),
            price_name: trim(position.entry_price()),
            "positionValue": money(value) if value else "",
            "leverage": str(account.leverage),
            "markPrice": trim(i.price(mark)),
            "positionIM": money(value // account.leverage),
            "unrealisedPnl": money(position.profit(mark)),
            "curRealisedPnl": realized,
            "cumRealisedPnl": realized,
            # Of one that was never held, it says so.
            "seq": feed.last_id if position.updated_ms else -1,
            "createdTime": changed,
            "updatedTime": changed,
        }
    )


def wallet_row(exchange: Exchange, account: Account, coins: set[str]) -> dict[str, Any]:
    """The account's money: of some coins, or of all."""
    rows: list[dict[str, Any]] = []
    total = profit = margin = 0
    for wallet in account.wallets.values():
        held = [one for one in account.positions.values() if one.instrument.margin_asset == wallet.asset]
        won = sum(one.profit(exchange.feeds[one.instrument.number].mark_tick()) for one in held)
        in_orders = wallet.reserved // account.leverage
        in_positions = sum(one.instrument.money(one.cost) for one in held) // account.leverage
        total, profit, margin = total + wallet.balance, profit + won, margin + in_orders + in_positions
        worth = money(wallet.balance + won)
        row = {
            "coin": wallet.asset,
            "walletBalance": money(wallet.balance),
            "equity": worth,
            "usdValue": worth,
        }
        row |= {"totalOrderIM": money(in_orders), "totalPositionIM": money(in_positions)}
        row |= {"unrealisedPnl": money(won), "cumRealisedPnl": money(wallet.realized - wallet.fees)}
        if not coins or wallet.asset in coins:
            rows.append(_COIN | row)
    zeros = dict.fromkeys(("accountIMRate", "accountMMRate", "totalMaintenanceMargin"), "0")
    return zeros | {
        "accountType": "UNIFIED",
        "totalEquity": money(total + profit),
        "totalWalletBalance": money(total),
        "totalMarginBalance": money(total + profit),
        "totalAvailableBalance": money(total + min(profit, 0) - margin),
        "totalPerpUPL": money(profit),
        "totalInitialMargin": money(margin),
        "coin": rows,
    }


def instrument_row(instrument: Instrument) -> dict[str, Any]:
    """An instrument as the list of instruments has it."""
    i, s = instrument, instrument.section
    band = i.multiplier_up - RATE
    lots = {"qtyStep": s.lot_size, "minOrderQty": s.min_qty, "maxOrderQty": s.max_qty}
    lots |= {"postOnlyMaxOrderQty": s.max_qty, "maxMktOrderQty": s.market_max_qty}
    coins = {"baseCoin": i.base, "quoteCoin": i.quote, "settleCoin": i.margin_asset}
    return (
        _PERPETUAL
        | coins
        | {
            "symbol": i.symbol,
            "symbolId": i.number + 1,
            "status": i.status,
            "priceScale": str(i.price_digits),
            "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
            "priceFilter": {"minPrice": s.min_price, "maxPrice": s.max_price, "tickSize": s.tick_size},
            "lotSizeFilter": lots | {"minNotionalValue": s.min_notional},
            "riskParameters": {"priceLimitRatioX": money(band), "priceLimitRatioY": money(2 * band)},
        }
    )


def _said(topic: str, i: Instrument, seq: int, row: dict[str, Any], now_ms: int) -> Event:
    head = {"topic": topic, "id": f"{_UID}_{i.symbol}_{seq}", "creationTime": now_ms}
    return topic, head | {"data": [{"category": CATEGORY} | row]}


def order_events(
    exchange: Exchange, order: Order, what: str, trade: Trade | None, time_ms: int, now_ms: int
) -> list[Event]:
    """Executions before orders; of an execution the wallet and the position follow, else the position at once."""
    i, account = order.instrument, order.account
    feed = exchange.feeds[i.number]
    feed.last_id += 1
    if what == "NEW" and order.tif in ("IOC", "FOK"):
        # One that takes at once never rests, and is told of only when it is over.
        return []
    row = order_row(exchange, order)
    if what == RACE:
        row |= {"cancelType": "CancelByUser", "rejectReason": "EC_OrigClOrdIDDoesNotExist"}
    events: list[Event] = []
    if trade is not None:
        done = execution_row(exchange, trade, order.leaves_lots)
        fast = {"topic": "execution.fast", "creationTime": now_ms, "data": [_fast(done)]}
        events = [("execution.fast", fast), _said("execution", i, feed.last_id, done, now_ms)]
    events.append(_said("order", i, feed.last_id, row, now_ms))
    if trade is None:
        position = account.position(i, order.asked.position_side)
        events.append(_position_event(exchange, position, account, time_ms, now_ms))
    return events


def _position_event(
    exchange: Exchange, position: Position, account: Account, time_ms: int, now_ms: int
) -> Event:
    """A position, changed or not."""
    row = {"category": CATEGORY} | position_row(exchange, account, position, "entryPrice")
    head = {"id": f"{_UID}_position_{time_ms}", "topic": "position", "creationTime": now_ms}
    return "position", head | {"data": [row]}


def account_events(
    exchange: Exchange, account: Account, position: Position, time_ms: int, now_ms: int
) -> list[Event]:
    """The coin that changed, and the position."""
    coins = {position.instrument.margin_asset}
    head = {"id": f"{_UID}_wallet_{time_ms}", "topic": "wallet", "creationTime": now_ms}
    wallet = head | {"data": [wallet_row(exchange, account, coins)]}
    return [("wallet", wallet), _position_event(exchange, position, account, time_ms, now_ms)]
