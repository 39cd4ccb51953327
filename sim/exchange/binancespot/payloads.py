"""What Spot says of instruments, orders, executions and balances. Prices and quantities have 8 digits."""

from collections.abc import Mapping
from typing import Any, Final

from sim.exchange.accounts.accounts import Account, Order, Trade, Wallet
from sim.exchange.accounts.matching import BY_DELISTING, BY_IOC, BY_MARKET, BY_SELF_TRADE
from sim.exchange.binance.payloads import Payloads, money
from sim.exchange.rules.instruments import MONEY_DIGITS, RATE, Instrument, show
from sim.exchange.streams.streams import Event

KINDS: Final = ("LIMIT", "LIMIT_MAKER", "MARKET")
STPS: Final = ("NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH")
PREVENTS: Final = "EXPIRE_MAKER"
"""What a self-trade does where an order says nothing of it."""
_SIDE: Final = {1: "BUY", -1: "SELL"}
_EXPIRED_BY: Final = {
    BY_MARKET: "INSUFFICIENT_LIQUIDITY",
    BY_DELISTING: "EXCHANGE_CANCELED",
    "": "EXCHANGE_CANCELED",
}
_EXECUTIONS: Final = {"AMENDMENT": "REPLACED"}
_ZERO: Final = "0.00000000"


def padded(text: str) -> str:
    """A number with 8 digits behind the point."""
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.ljust(MONEY_DIGITS, '0')}"


def rate(units: int) -> str:
    """A part of 1."""
    return show(units, len(str(RATE)) - 1)


def _kind(order: Order) -> str:
    return order.asked.echo.get("type", order.kind)


def _tif(order: Order) -> str:
    return "GTC" if order.tif == "GTX" else order.tif


class SpotPayloads(Payloads):
    """See `Payloads`."""

    def instrument_query(self, instrument: Instrument) -> dict[str, Any]:
        """With filters; a value of 0 switches a filter's part off."""
        i, s = instrument, instrument.section
        qty = {"minQty": padded(s.min_qty), "maxQty": padded(s.max_qty), "stepSize": padded(s.lot_size)}
        price = {"minPrice": padded(s.min_price), "maxPrice": padded(s.max_price)}
        up, down = s.multiplier_up, s.multiplier_down
        value = {
            "minNotional": padded(s.min_notional),
            "maxNotional": padded(getattr(s, "max_notional", "0")),
        }
        return {
            "symbol": i.symbol,
            "status": i.status,
            "baseAsset": i.base,
            "baseAssetPrecision": 8,
            "quoteAsset": i.quote,
            "quotePrecision": 8,
            "quoteAssetPrecision": 8,
            "baseCommissionPrecision": 8,
            "quoteCommissionPrecision": 8,
            "orderTypes": list(KINDS),
            **dict.fromkeys(("icebergAllowed", "ocoAllowed", "otoAllowed", "opoAllowed"), False),
            "quoteOrderQtyMarketAllowed": True,
            "allowTrailingStop": False,
            "cancelReplaceAllowed": True,
            "amendAllowed": True,
            "pegInstructionsAllowed": False,
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": [
                {"filterType": "PRICE_FILTER"} | price | {"tickSize": padded(s.tick_size)},
                {"filterType": "LOT_SIZE"} | qty,
                {"filterType": "MARKET_LOT_SIZE"} | qty | {"maxQty": padded(s.market_max_qty)},
                {
                    "filterType": "PERCENT_PRICE_BY_SIDE",
                    "bidMultiplierUp": up,
                    "bidMultiplierDown": down,
                    "askMultiplierUp": up,
                    "askMultiplierDown": down,
                    "avgPriceMins": 5,
                },
                {"filterType": "NOTIONAL", "applyMinToMarket": True, "applyMaxToMarket": False}
                | value
                | {"avgPriceMins": 5},
                {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": s.max_orders},
                {"filterType": "MAX_NUM_ORDER_AMENDS", "maxNumOrderAmends": 10},
            ],
            "permissions": [],
            "permissionSets": [["SPOT"]],
            "defaultSelfTradePreventionMode": PREVENTS,
            "allowedSelfTradePreventionModes": list(STPS),
        }

    # Orders and trades.

    def _core(self, order: Order) -> dict[str, Any]:
        i = order.instrument
        return {
            "price": padded(i.price(order.tick)),
            "origQty": padded(i.qty(order.lots)),
            "executedQty": padded(i.qty(order.executed_lots)),
            "origQuoteOrderQty": order.asked.echo.get("quoteOrderQty", _ZERO),
            "cummulativeQuoteQty": money(order.worth),
            "status": order.status,
            "timeInForce": _tif(order),
            "type": _kind(order),
            "side": _SIDE[order.side],
            "selfTradePreventionMode": order.asked.stp,
        }

    def ack(self, order: Order) -> dict[str, Any]:
        """A reply that does not wait for what becomes of a new order."""
        ids = {"symbol": order.instrument.symbol, "orderId": order.order_id, "orderListId": -1}
        return ids | {"clientOrderId": order.client_id, "transactTime": order.updated_ms}

    def order_reply(self, order: Order) -> dict[str, Any]:
        """An order as the reply to a new one has it."""
        prevented = {} if order.prevented_by is None or order.reason != BY_SELF_TRADE else _prevented(order)
        return self.ack(order) | self._core(order) | {"workingTime": order.created_ms} | prevented

    def cancel_reply(self, order: Order) -> dict[str, Any]:
        """The end of an order: `clientOrderId` is the id of the cancel itself."""
        ids = {"origClientOrderId": order.client_id, "clientOrderId": order.request_id}
        return self.ack(order) | self._core(order) | ids

    def amend_reply(self, order: Order) -> dict[str, Any]:
        """A smaller quantity: here cumulative has one m."""
        core = self._core(order)
        kept = ("price", "executedQty", "status", "timeInForce", "type", "side", "selfTradePreventionMode")
        amended = {
            "symbol": order.instrument.symbol,
            "orderId": order.order_id,
            "orderListId": -1,
            "origClientOrderId": order.former_id,
            "clientOrderId": order.client_id,
            **{name: core[name] for name in kept},
            "qty": core["origQty"],
            "preventedQty": _ZERO,
            "quoteOrderQty": core["origQuoteOrderQty"],
            "cumulativeQuoteQty": core["cummulativeQuoteQty"],
            "workingTime": order.created_ms,
        }
        return {
            "transactTime": order.updated_ms,
            "executionId": 0,
            "amendedOrder": amended,
        }

    def order_query(self, order: Order) -> dict[str, Any]:
        """An order as queries have it."""
        ids = {"symbol": order.instrument.symbol, "orderId": order.order_id, "orderListId": -1}
        return (
            ids
            | {"clientOrderId": order.client_id}
            | self._core(order)
            | {
                "stopPrice": _ZERO,
                "icebergQty": _ZERO,
                "isWorking": True,
                "time": order.created_ms,
                "updateTime": order.updated_ms,
                "workingTime": order.created_ms,
            }
        )

    def fill(self, trade: Trade) -> dict[str, Any]:
        """An execution in the reply to a new order."""
        i = trade.order.instrument
        return {
            "price": padded(i.price(trade.tick)),
            "qty": padded(i.qty(trade.lots)),
            "commission": money(trade.fee),
            "commissionAsset": trade.fee_asset,
            "tradeId": trade.trade_id,
        }

    def trade_query(self, trade: Trade) -> dict[str, Any]:
        """An execution as myTrades has it."""
        order, fill = trade.order, self.fill(trade)
        del fill["tradeId"]
        return {
            "symbol": order.instrument.symbol,
            "id": trade.trade_id,
            "orderId": order.order_id,
            "orderListId": -1,
            **fill,
            "quoteQty": money(trade.money),
            "time": trade.time_ms,
            "isBuyer": order.side > 0,
            "isMaker": trade.maker,
            "isBestMatch": True,
        }

    # Events.

    def order_events(
        self, order: Order, what: str, trade: Trade | None, time_ms: int, now_ms: int
    ) -> list[Event]:
        """The execution, and the balances that it left: each of them locks or frees something."""
        report = self._report(order, what, trade, time_ms, now_ms)
        position = self.position_event(order.account, order.instrument, time_ms, now_ms)
        return [("executionReport", report), ("outboundAccountPosition", position)]

    def _report(
        self, order: Order, what: str, trade: Trade | None, time_ms: int, now_ms: int
    ) -> dict[str, Any]:
        i, account = order.instrument, order.account
        name, former = order.client_id, ""
        if what == "CANCELED":
            # The cancel has an id of its own, and the order's is the original one.
            name, former = order.request_id or f"web_{order.order_id}", order.client_id
        elif what == "AMENDMENT" and order.former_id != order.client_id:
            former = order.former_id
        by_match = order.reason == BY_SELF_TRADE
        report = {
            "e": "executionReport",
            "E": now_ms,
            "s": i.symbol,
            "c": name,
            "S": _SIDE[order.side],
            "o": _kind(order),
            "f": _tif(order),
            "q": padded(i.qty(order.lots)),
            "p": padded(i.price(order.tick)),
            "P": _ZERO,
            "F": _ZERO,
            "g": -1,
            "C": former,
            "x": "TRADE_PREVENTION" if by_match else _EXECUTIONS.get(what, what),
            "X": "NEW" if what == "NEW" else order.status,
            "r": "NONE",
            "i": order.order_id,
            "l": padded(i.qty(trade.lots)) if trade else _ZERO,
            "z": padded(i.qty(order.executed_lots)),
            "L": padded(i.price(trade.tick)) if trade else _ZERO,
            "n": money(trade.fee) if trade else "0",
            "N": trade.fee_asset if trade else None,
            "T": time_ms,
            "t": trade.trade_id if trade else -1,
            "I": 0,
            "w": order.order_id in account.open_orders and order.kind != "MARKET",
            "m": trade.maker if trade else False,
            "M": trade is not None,
            "O": order.created_ms,
            "Z": money(order.worth),
            "Y": money(trade.money) if trade else _ZERO,
            "Q": order.asked.echo.get("quoteOrderQty", _ZERO),
            "W": order.created_ms,
            "V": order.asked.stp,
        }
        if order.status == "EXPIRED":
            report["eR"] = _expired_by(order)
        return report | (_prevented_event(order) if by_match else {})

    def position_event(
        self, account: Account, instrument: Instrument, time_ms: int, now_ms: int
    ) -> dict[str, Any]:
        """The balances that something in an instrument may have changed."""
        names = dict.fromkeys((instrument.base, account.section.fee_asset, instrument.quote))
        found = [account.wallets[name] for name in names if name]
        balances = [{"a": one.asset, "f": money(one.free), "l": money(one.reserved)} for one in found]
        return {"e": "outboundAccountPosition", "E": now_ms, "u": time_ms, "B": balances}

    # Accounts.

    def balance(self, wallet: Wallet) -> dict[str, Any]:
        """A balance as the account query has it."""
        return {"asset": wallet.asset, "free": money(wallet.free), "locked": money(wallet.reserved)}

    def account_query(self, account: Account, fees: Mapping[str, str], *, omit_zero: bool) -> dict[str, Any]:
        """Balances, and what the account may do."""
        wallets = [one for one in account.wallets.values() if not omit_zero or one.balance or one.reserved]
        zeros = ("buyerCommission", "sellerCommission")
        return {
            "makerCommission": round(float(fees["maker"]) * 10_000),
            "takerCommission": round(float(fees["taker"]) * 10_000),
            **dict.fromkeys(zeros, 0),
            "commissionRates": dict(fees),
            **dict.fromkeys(("canTrade", "canWithdraw", "canDeposit"), True),
            **dict.fromkeys(("brokered", "requireSelfTradePrevention", "preventSor"), False),
            "updateTime": max(one.updated_ms for one in account.wallets.values()),
            "accountType": "SPOT",
            "balances": [self.balance(one) for one in wallets],
            "permissions": ["SPOT"],
            "uid": 354_937_868 + account.number,
        }


def _expired_by(order: Order) -> str:
    if order.reason == BY_IOC:
        return "UNFILLED_FOK_ORDER_EXPIRED" if order.tif == "FOK" else "UNFILLED_IOC_QUANTITY_EXPIRED"
    return _EXPIRED_BY.get(order.reason, "EXCHANGE_CANCELED")


def _prevented(order: Order) -> dict[str, Any]:
    return {
        "preventedMatchId": order.order_id % 1_000_000,
        "preventedQuantity": padded(order.instrument.qty(order.leaves_lots)),
    }


def _prevented_event(order: Order) -> dict[str, Any]:
    """What only the end by self-trade prevention says."""
    i, other = order.instrument, order.prevented_by
    qty = padded(i.qty(order.leaves_lots))
    event: dict[str, Any] = {"v": order.order_id % 1_000_000, "A": qty, "B": qty, "u": 1}
    if other is None:
        return event
    lots = min(order.leaves_lots, other.leaves_lots)
    tick = order.tick or other.tick
    return event | {
        "U": other.order_id,
        "Cs": i.symbol,
        "pl": padded(i.qty(lots)),
        "pL": padded(i.price(tick)),
        "pY": money(i.notional(tick, lots)),
    }
