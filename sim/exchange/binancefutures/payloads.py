"""Instruments, orders, trades, positions and balances as the exchange's replies and events have them."""

from typing import Any, Final

from sim.exchange.accounts import Account, Order, Position, Trade, Wallet
from sim.exchange.instruments import MONEY_DIGITS, Instrument, show
from sim.exchange.matching import (
    BY_DELISTING,
    BY_IOC,
    BY_LIQUIDATION,
    BY_MARKET,
    BY_REDUCE_ONLY,
    BY_SELF_TRADE,
    BY_TIME,
)
from sim.exchange.streams import Event

DELIVERY_MS: Final = 4133404800000
ONBOARD_MS: Final = 1569398400000
_SIDE: Final = {1: "BUY", -1: "SELL"}
_EXPIRED_BY: Final = {
    "": "0",
    BY_SELF_TRADE: "1",
    BY_IOC: "2",
    BY_REDUCE_ONLY: "4",
    BY_LIQUIDATION: "5",
    BY_TIME: "6",
    BY_DELISTING: "7",
    BY_MARKET: "9",
}


def money(value: int) -> str:
    """Money as text."""
    return show(value, MONEY_DIGITS)


def order_reply(order: Order) -> dict[str, Any]:
    """An order as the replies to place, modify and cancel have it."""
    i = order.instrument
    return {
        "orderId": order.order_id,
        "symbol": i.symbol,
        "status": order.status,
        "clientOrderId": order.client_id,
        "price": i.price(order.tick),
        "origQty": i.qty(order.lots),
        "executedQty": i.qty(order.executed_lots),
        "cumQty": i.qty(order.executed_lots),
        "timeInForce": order.tif,
        "type": order.kind,
        "reduceOnly": order.asked.reduce_only,
        "closePosition": False,
        "side": _SIDE[order.side],
        "positionSide": order.asked.position_side,
        "stopPrice": i.price(0),
        "workingType": "CONTRACT_PRICE",
        "priceProtect": False,
        "origType": order.kind,
        "priceMatch": order.asked.echo.get("priceMatch", "NONE"),
        "selfTradePreventionMode": order.asked.stp,
        "goodTillDate": order.asked.expire_ms,
        "updateTime": order.updated_ms,
    }


def ack(reply: dict[str, Any]) -> dict[str, Any]:
    """A reply that does not wait for what becomes of the order: it has not been executed yet."""
    zero = "0" if "." not in reply["origQty"] else "0." + "0" * len(reply["origQty"].partition(".")[2])
    return reply | {"status": "NEW", "executedQty": zero, "cumQty": zero}


def order_query(order: Order) -> dict[str, Any]:
    """An order as queries have it."""
    i = order.instrument
    return order_reply(order) | {
        "avgPrice": i.average(order.worth, order.executed_lots),
        "cumQuote": money(i.money(order.worth)),
        "time": order.created_ms,
    }


def trade_query(trade: Trade) -> dict[str, Any]:
    """A trade as userTrades has it."""
    order, i = trade.order, trade.order.instrument
    return {
        "symbol": i.symbol,
        "id": trade.trade_id,
        "orderId": order.order_id,
        "side": _SIDE[order.side],
        "price": i.price(trade.tick),
        "qty": i.qty(trade.lots),
        "realizedPnl": money(trade.realized),
        "quoteQty": money(trade.money),
        "commission": money(trade.fee),
        "commissionAsset": i.margin_asset,
        "time": trade.time_ms,
        "positionSide": order.asked.position_side,
        "maker": trade.maker,
        "buyer": order.side > 0,
    }


def order_events(order: Order, what: str, trade: Trade | None, time_ms: int, now_ms: int) -> list[Event]:
    """ORDER_TRADE_UPDATE, and of an execution TRADE_LITE before it."""
    event = "ORDER_TRADE_UPDATE", _order_event(order, what, trade, time_ms, now_ms)
    if trade is None or what != "TRADE":
        return [event]
    return [("TRADE_LITE", _trade_lite(order, trade, time_ms, now_ms)), event]


def _order_event(order: Order, what: str, trade: Trade | None, time_ms: int, now_ms: int) -> dict[str, Any]:
    i = order.instrument
    o = {
        "s": i.symbol,
        "c": order.client_id,
        "S": _SIDE[order.side],
        "o": order.kind,
        "f": order.tif,
        "q": i.qty(order.lots),
        "p": i.price(order.tick),
        "ap": i.average(order.worth, order.executed_lots) if order.executed_lots else "0",
        "sp": "0",
        "x": what,
        "X": order.status,
        "i": order.order_id,
        "l": i.qty(trade.lots) if trade else "0",
        "z": i.qty(order.executed_lots),
        "L": i.price(trade.tick) if trade else "0",
        "T": time_ms,
        "t": trade.trade_id if trade else 0,
        "b": "0",
        "a": "0",
        "m": trade.maker if trade else False,
        "R": order.asked.reduce_only,
        "wt": "CONTRACT_PRICE",
        "ot": order.kind,
        "ps": order.asked.position_side,
        "cp": False,
        "rp": money(trade.realized) if trade else "0",
        "pP": False,
        "si": 0,
        "ss": 0,
        "V": order.asked.stp,
        "pm": order.asked.echo.get("priceMatch", "NONE"),
        "gtd": order.asked.expire_ms,
        "er": _EXPIRED_BY[order.reason],
    }
    if trade is not None:
        o |= {"N": i.margin_asset, "n": money(trade.fee)}
    return {"e": "ORDER_TRADE_UPDATE", "E": now_ms, "T": time_ms, "o": o}


def _trade_lite(order: Order, trade: Trade, time_ms: int, now_ms: int) -> dict[str, Any]:
    i = order.instrument
    return {
        "e": "TRADE_LITE",
        "E": now_ms,
        "T": time_ms,
        "s": i.symbol,
        "q": i.qty(order.lots),
        "p": i.price(order.tick),
        "m": trade.maker,
        "c": order.client_id,
        "S": _SIDE[order.side],
        "L": i.price(trade.tick),
        "l": i.qty(trade.lots),
        "t": trade.trade_id,
        "i": order.order_id,
    }


def account_event(
    account: Account, position: Position, mark_tick: int, time_ms: int, now_ms: int
) -> dict[str, Any]:
    """ACCOUNT_UPDATE after an execution."""
    i = position.instrument
    balance = money(account.wallet(i).balance)
    return {
        "e": "ACCOUNT_UPDATE",
        "E": now_ms,
        "T": time_ms,
        "a": {
            "m": "ORDER",
            "B": [{"a": i.margin_asset, "wb": balance, "cw": balance, "bc": "0"}],
            "P": [
                {
                    "s": i.symbol,
                    "pa": i.qty(position.lots),
                    "ep": position.entry_price(),
                    "bep": "0",
                    "cr": money(position.realized),
                    "up": money(position.profit(mark_tick)),
                    "mt": "cross",
                    "iw": "0",
                    "ps": position.side,
                    "ma": i.margin_asset,
                }
            ],
        },
    }


def position_query(position: Position, mark_tick: int, leverage: int) -> dict[str, Any]:
    """A position as positionRisk has it."""
    i = position.instrument
    value = i.notional(mark_tick, position.lots)
    margin = money(abs(value) // leverage)
    return {
        "symbol": i.symbol,
        "positionSide": position.side,
        "positionAmt": i.qty(position.lots),
        "entryPrice": position.entry_price(),
        "breakEvenPrice": position.entry_price(),
        "markPrice": i.price(mark_tick),
        "unRealizedProfit": money(position.profit(mark_tick)),
        "liquidationPrice": "0",
        "isolatedMargin": "0",
        "notional": money(value),
        "marginAsset": i.margin_asset,
        "isolatedWallet": "0",
        "initialMargin": margin,
        "maintMargin": money(abs(value) // 40),
        "positionInitialMargin": margin,
        "openOrderInitialMargin": "0",
        "adl": 1,
        "bidNotional": "0",
        "askNotional": "0",
        "updateTime": position.updated_ms,
    }


def balance_query(account: Account, wallet: Wallet, profit: int) -> dict[str, Any]:
    """A balance as the balance query has it."""
    free = max(wallet.balance + min(profit, 0) - wallet.reserved // account.leverage, 0)
    return {
        "accountAlias": f"local{account.number}",
        "asset": wallet.asset,
        "balance": money(wallet.balance),
        "crossWalletBalance": money(wallet.balance),
        "crossUnPnl": money(profit),
        "availableBalance": money(free),
        "maxWithdrawAmount": money(free),
        "marginAvailable": True,
        "updateTime": wallet.updated_ms,
    }


def account_query(
    account: Account, wallet: Wallet, profit: int, positions: list[dict[str, Any]]
) -> dict[str, Any]:
    """Balances and positions as the account query has them; positions as `position_query` has them."""
    asset = balance_query(account, wallet, profit)
    return {
        "totalInitialMargin": "0.00000000",
        "totalMaintMargin": "0.00000000",
        "totalWalletBalance": asset["balance"],
        "totalUnrealizedProfit": money(profit),
        "totalMarginBalance": money(wallet.balance + profit),
        "totalPositionInitialMargin": "0.00000000",
        "totalOpenOrderInitialMargin": money(wallet.reserved // account.leverage),
        "totalCrossWalletBalance": asset["balance"],
        "totalCrossUnPnl": money(profit),
        "availableBalance": asset["availableBalance"],
        "maxWithdrawAmount": asset["availableBalance"],
        "assets": [
            {
                "asset": wallet.asset,
                "walletBalance": asset["balance"],
                "unrealizedProfit": money(profit),
                "marginBalance": money(wallet.balance + profit),
                "availableBalance": asset["availableBalance"],
                "updateTime": wallet.updated_ms,
            }
        ],
        "positions": [
            {name: row["unRealizedProfit" if name == "unrealizedProfit" else name] for name in _OF_ACCOUNT}
            for row in positions
        ],
    }


_OF_ACCOUNT: Final = (
    *("symbol", "positionSide", "positionAmt", "unrealizedProfit", "isolatedMargin", "notional"),
    *("isolatedWallet", "initialMargin", "maintMargin", "updateTime"),
)


def instrument_query(instrument: Instrument) -> dict[str, Any]:
    """An instrument as exchangeInfo has it."""
    i, s = instrument, instrument.section
    qty = {"minQty": s.min_qty, "maxQty": s.max_qty, "stepSize": s.lot_size}
    price = {"minPrice": s.min_price, "maxPrice": s.max_price, "tickSize": s.tick_size}
    band = {"multiplierUp": s.multiplier_up, "multiplierDown": s.multiplier_down, "multiplierDecimal": "4"}
    return {
        "symbol": i.symbol,
        "pair": i.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": DELIVERY_MS,
        "onboardDate": ONBOARD_MS,
        "status": i.status,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": i.base,
        "quoteAsset": i.quote,
        "marginAsset": i.margin_asset,
        "pricePrecision": i.price_digits,
        "quantityPrecision": i.qty_digits,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10000,
        "filters": [
            {"filterType": "PRICE_FILTER"} | price,
            {"filterType": "LOT_SIZE"} | qty,
            {"filterType": "MARKET_LOT_SIZE"} | qty | {"maxQty": s.market_max_qty},
            {"filterType": "MAX_NUM_ORDERS", "limit": s.max_orders},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": 10},
            {"filterType": "MIN_NOTIONAL", "notional": s.min_notional},
            {"filterType": "PERCENT_PRICE"} | band,
            {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
        ],
        "orderTypes": ["LIMIT", "MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
        "permissionSets": ["GRID", "COPY"],
    }
