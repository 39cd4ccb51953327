"""Orders, trades, positions and balances as the exchange's replies and events have them."""

from typing import Any

from sim.exchange.binancefutures.accounts import Account, Order, Position, Trade
from sim.exchange.binancefutures.numbers import show_money

_SIDE = {1: "BUY", -1: "SELL"}


def side_word(side: int) -> str:
    """BUY or SELL."""
    return _SIDE[side]


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
        "reduceOnly": order.reduce_only,
        "closePosition": False,
        "side": _SIDE[order.side],
        "positionSide": order.position_side,
        "stopPrice": i.price(0),
        "workingType": "CONTRACT_PRICE",
        "priceProtect": False,
        "origType": order.kind,
        "priceMatch": order.price_match,
        "selfTradePreventionMode": order.stp,
        "goodTillDate": order.expire_ms,
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
        "avgPrice": i.average(order.money, order.executed_lots),
        "cumQuote": show_money(order.money),
        "time": order.created_ms,
    }


def trade_query(trade: Trade) -> dict[str, Any]:
    """A trade as userTrades has it."""
    i = trade.instrument
    return {
        "symbol": i.symbol,
        "id": trade.trade_id,
        "orderId": trade.order_id,
        "side": _SIDE[trade.side],
        "price": i.price(trade.tick),
        "qty": i.qty(trade.lots),
        "realizedPnl": show_money(trade.realized),
        "quoteQty": show_money(trade.money),
        "commission": show_money(trade.fee),
        "commissionAsset": i.quote,
        "time": trade.time_ms,
        "positionSide": trade.position_side,
        "maker": trade.maker,
        "buyer": trade.side > 0,
    }


def order_event(order: Order, what: str, trade: Trade | None, time_ms: int, now_ms: int) -> dict[str, Any]:
    """ORDER_TRADE_UPDATE."""
    i = order.instrument
    o = {
        "s": i.symbol,
        "c": order.client_id,
        "S": _SIDE[order.side],
        "o": order.kind,
        "f": order.tif,
        "q": i.qty(order.lots),
        "p": i.price(order.tick),
        "ap": i.average(order.money, order.executed_lots) if order.executed_lots else "0",
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
        "R": order.reduce_only,
        "wt": "CONTRACT_PRICE",
        "ot": order.kind,
        "ps": order.position_side,
        "cp": False,
        "rp": show_money(trade.realized) if trade else "0",
        "pP": False,
        "si": 0,
        "ss": 0,
        "V": order.stp,
        "pm": order.price_match,
        "gtd": order.expire_ms,
        "er": order.reason,
    }
    if trade is not None:
        o |= {"N": i.quote, "n": show_money(trade.fee)}
    return {"e": "ORDER_TRADE_UPDATE", "E": now_ms, "T": time_ms, "o": o}


def trade_lite(order: Order, trade: Trade, time_ms: int, now_ms: int) -> dict[str, Any]:
    """TRADE_LITE."""
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
    return {
        "e": "ACCOUNT_UPDATE",
        "E": now_ms,
        "T": time_ms,
        "a": {
            "m": "ORDER",
            "B": [
                {
                    "a": i.quote,
                    "wb": show_money(account.balance),
                    "cw": show_money(account.balance),
                    "bc": "0",
                }
            ],
            "P": [
                {
                    "s": i.symbol,
                    "pa": i.qty(position.lots),
                    "ep": position.entry_price(),
                    "bep": "0",
                    "cr": show_money(position.realized),
                    "up": show_money(position.profit(mark_tick)),
                    "mt": "cross",
                    "iw": "0",
                    "ps": position.side,
                    "ma": i.quote,
                }
            ],
        },
    }


def position_query(position: Position, mark_tick: int, leverage: int) -> dict[str, Any]:
    """A position as positionRisk has it."""
    i = position.instrument
    value = i.notional(mark_tick, position.lots)
    margin = show_money(abs(value) // leverage)
    return {
        "symbol": i.symbol,
        "positionSide": position.side,
        "positionAmt": i.qty(position.lots),
        "entryPrice": position.entry_price(),
        "breakEvenPrice": position.entry_price(),
        "markPrice": i.price(mark_tick),
        "unRealizedProfit": show_money(position.profit(mark_tick)),
        "liquidationPrice": "0",
        "isolatedMargin": "0",
        "notional": show_money(value),
        "marginAsset": i.quote,
        "isolatedWallet": "0",
        "initialMargin": margin,
        "maintMargin": show_money(abs(value) // 40),
        "positionInitialMargin": margin,
        "openOrderInitialMargin": "0",
        "adl": 1,
        "bidNotional": "0",
        "askNotional": "0",
        "updateTime": position.updated_ms,
    }


def balance_query(account: Account, quote: str, profit: int) -> dict[str, Any]:
    """A balance as the balance query has it."""
    free = max(account.balance + min(profit, 0) - account.open_money // account.leverage, 0)
    return {
        "accountAlias": f"local{account.number}",
        "asset": quote,
        "balance": show_money(account.balance),
        "crossWalletBalance": show_money(account.balance),
        "crossUnPnl": show_money(profit),
        "availableBalance": show_money(free),
        "maxWithdrawAmount": show_money(free),
        "marginAvailable": True,
        "updateTime": account.balance_ms,
    }
