"""Instruments, orders, trades, positions and balances as the family's replies and events have them.

`Payloads` says what all products have; a product's own class adds what it has besides, and says differently what is.
"""

import datetime
from typing import Any, ClassVar, Final

from sim.exchange.accounts.accounts import Account, Order, Payment, Position, Trade, Wallet
from sim.exchange.accounts.matching import (
    BY_DELISTING,
    BY_IOC,
    BY_LIQUIDATION,
    BY_MARKET,
    BY_REDUCE_ONLY,
    BY_SELF_TRADE,
    BY_TIME,
)
from sim.exchange.rules.instruments import MONEY_DIGITS, Instrument, show
from sim.exchange.streams.streams import Event

PERPETUAL: Final = "PERPETUAL"
DELIVERY_MS: Final = 4133404800000
"""Of a contract that is never delivered."""
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


def ack(reply: dict[str, Any]) -> dict[str, Any]:
    """A reply that does not wait for what becomes of the order: it has not been executed yet."""
    zero = "0" if "." not in reply["origQty"] else "0." + "0" * len(reply["origQty"].partition(".")[2])
    return reply | {"status": "NEW", "executedQty": zero, "cumQty": zero}


def alias(account: Account) -> str:
    """The account's name in balances and events."""
    return f"local{account.number}"


class Payloads:
    """What is said of instruments, orders and accounts.

    Attributes:
        names_pairs: Whether replies name the pair beside the symbol, and events the account.
        status_key: What exchangeInfo calls an instrument's status.
        cap: What the reply to a leverage says of how large a position may be.
    """

    names_pairs: ClassVar[bool] = False
    status_key: ClassVar[str] = "status"
    cap: ClassVar[dict[str, Any]] = {}

    # Instruments.

    def pair(self, instrument: Instrument) -> str:
        """What is traded, whenever it is delivered: a contract's name without the date."""
        return instrument.symbol.partition("_")[0]

    def contract(self, instrument: Instrument) -> tuple[str, int]:
        """The contract's type, and when it is delivered, in milliseconds: at 08:00 UTC of the date in its name."""
        date = instrument.symbol.partition("_")[2]
        try:
            day = datetime.datetime.strptime(f"{date} 08", "%y%m%d %H").replace(tzinfo=datetime.UTC)
        except ValueError:
            return PERPETUAL, DELIVERY_MS
        return "CURRENT_QUARTER", int(day.timestamp()) * 1000

    def names(self, instrument: Instrument) -> dict[str, Any]:
        """What orders, trades and queries of the market name an instrument by."""
        return {"symbol": instrument.symbol} | self._pair_as("pair", instrument)

    def book_names(self, instrument: Instrument) -> dict[str, Any]:
        """How a book names its instrument."""
        return self.names(instrument) if self.names_pairs else {}

    def price_names(self, instrument: Instrument) -> dict[str, Any]:
        """How a last price names its instrument."""
        return {"symbol": instrument.symbol} | self._pair_as("ps", instrument)

    def _pair_as(self, name: str, instrument: Instrument) -> dict[str, Any]:
        return {name: self.pair(instrument)} if self.names_pairs else {}

    def instrument_query(self, instrument: Instrument) -> dict[str, Any]:
        """An instrument as exchangeInfo has it."""
        i, s = instrument, instrument.section
        qty = {"minQty": s.min_qty, "maxQty": s.max_qty, "stepSize": s.lot_size}
        price = {"minPrice": s.min_price, "maxPrice": s.max_price, "tickSize": s.tick_size}
        band = {"multiplierUp": s.multiplier_up, "multiplierDown": s.multiplier_down}
        contract, delivery_ms = self.contract(i)
        return {
            "symbol": i.symbol,
            "pair": self.pair(i),
            "contractType": contract,
            "deliveryDate": delivery_ms,
            "onboardDate": ONBOARD_MS,
            self.status_key: i.status,
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
                {"filterType": "PERCENT_PRICE"} | band | {"multiplierDecimal": "4"},
            ],
            "orderTypes": ["LIMIT", "MARKET"],
            "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
        }

    # Orders and trades.

    def price(self, instrument: Instrument, tick: int) -> str:
        """A price as replies to orders have it."""
        return instrument.price(tick)

    def order_reply(self, order: Order) -> dict[str, Any]:
        """An order as the replies to place, modify and cancel have it."""
        i = order.instrument
        return {
            "orderId": order.order_id,
            **self.names(i),
            "status": order.status,
            "clientOrderId": order.client_id,
            "price": self.price(i, order.tick),
            "origQty": i.qty(order.lots),
            "executedQty": i.qty(order.executed_lots),
            "cumQty": i.qty(order.executed_lots),
            "timeInForce": order.tif,
            "type": order.kind,
            "reduceOnly": order.asked.reduce_only,
            "closePosition": False,
            "side": _SIDE[order.side],
            "positionSide": order.asked.position_side,
            "stopPrice": self.price(i, 0),
            "workingType": "CONTRACT_PRICE",
            "priceProtect": False,
            "origType": order.kind,
            "priceMatch": order.asked.echo.get("priceMatch", "NONE"),
            "selfTradePreventionMode": order.asked.stp,
            "goodTillDate": order.asked.expire_ms,
            "updateTime": order.updated_ms,
        }

    def order_query(self, order: Order) -> dict[str, Any]:
        """An order as queries have it."""
        return self.order_reply(order) | {
            "avgPrice": order.instrument.average(order.worth, order.executed_lots),
            "cumQuote": self.cum_quote(order),
            "goodTillDate": order.asked.expire_ms,
            "time": order.created_ms,
        }

    def cum_quote(self, order: Order) -> str:
        """What is executed of an order, in the quote."""
        return money(order.instrument.money(order.worth))

    def quote_qty(self, trade: Trade) -> str:
        """What an execution is worth, in the quote."""
        return money(trade.money)

    def trade_query(self, trade: Trade) -> dict[str, Any]:
        """A trade as userTrades has it."""
        order, i = trade.order, trade.order.instrument
        return {
            **self.names(i),
            "id": trade.trade_id,
            "orderId": order.order_id,
            "side": _SIDE[order.side],
            "price": i.price(trade.tick),
            "qty": i.qty(trade.lots),
            "realizedPnl": money(trade.realized),
            "quoteQty": self.quote_qty(trade),
            "commission": money(trade.fee),
            "commissionAsset": i.margin_asset,
            "time": trade.time_ms,
            "positionSide": order.asked.position_side,
            "maker": trade.maker,
            "buyer": order.side > 0,
        }

    def order_events(
        self, order: Order, what: str, trade: Trade | None, time_ms: int, now_ms: int
    ) -> list[Event]:
        """ORDER_TRADE_UPDATE."""
        event = {"e": "ORDER_TRADE_UPDATE", "E": now_ms, "T": time_ms} | self.account_names(order.account)
        return [("ORDER_TRADE_UPDATE", event | {"o": self.order_event(order, what, trade, time_ms)})]

    def account_names(self, account: Account) -> dict[str, Any]:
        """How a user's event names its account."""
        return {"i": alias(account)} if self.names_pairs else {}

    def order_event(self, order: Order, what: str, trade: Trade | None, time_ms: int) -> dict[str, Any]:
        """The order of ORDER_TRADE_UPDATE."""
        i = order.instrument
        return {
            "s": i.symbol,
            "c": order.client_id,
            "S": _SIDE[order.side],
            "o": order.kind,
            "f": order.tif,
            "q": i.qty(order.lots),
            "p": self.price(i, order.tick),
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

    # Accounts.

    def account_event(
        self, account: Account, position: Position, mark_tick: int, time_ms: int, now_ms: int
    ) -> dict[str, Any]:
        """ACCOUNT_UPDATE after an execution."""
        balance = money(account.wallet(position.instrument).balance)
        changed = {
            "m": "ORDER",
            "B": [{"a": position.instrument.margin_asset, "wb": balance, "cw": balance, "bc": "0"}],
            "P": [self.position_event(position, mark_tick)],
        }
        event = {"e": "ACCOUNT_UPDATE", "E": now_ms, "T": time_ms}
        return event | self.account_names(account) | {"a": changed}

    def funding_event(self, account: Account, payment: Payment, asset: str, now_ms: int) -> dict[str, Any]:
        """ACCOUNT_UPDATE after a payment of funding."""
        balance = money(account.wallet(payment.instrument).balance)
        changed = {
            "m": "FUNDING_FEE",
            "S": payment.instrument.symbol,
            "B": [{"a": asset, "wb": balance, "cw": balance, "bc": money(payment.amount)}],
            "P": [],
        }
        event = {"e": "ACCOUNT_UPDATE", "E": now_ms, "T": payment.time_ms}
        return event | self.account_names(account) | {"a": changed}

    def income_query(self, payment: Payment) -> dict[str, Any]:
        """A payment of funding as income has it."""
        return {
            "symbol": payment.instrument.symbol,
            "incomeType": "FUNDING_FEE",
            "income": money(payment.amount),
            "asset": payment.instrument.margin_asset,
            "info": "FUNDING_FEE",
            "time": payment.time_ms,
            "tranId": payment.payment_id,
            "tradeId": "",
        }

    def position_event(self, position: Position, mark_tick: int) -> dict[str, Any]:
        """The position of ACCOUNT_UPDATE."""
        i = position.instrument
        return {
            "s": i.symbol,
            "pa": i.qty(position.lots),
            "ep": position.entry_price(),
            "bep": "0",
            "cr": money(position.realized),
            "up": money(position.profit(mark_tick)),
            "mt": "cross",
            "iw": "0",
            "ps": position.side,
        }

    def position_query(self, position: Position, mark_tick: int, leverage: int) -> dict[str, Any]:
        """A position as positionRisk has it."""
        raise NotImplementedError

    def position_core(self, position: Position, mark_tick: int) -> dict[str, Any]:
        """What all products say of a position."""
        i = position.instrument
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
            "isolatedWallet": "0",
            "updateTime": position.updated_ms,
        }

    def free(self, account: Account, wallet: Wallet, profit: int) -> str:
        """What can be used of a wallet for more."""
        return money(max(wallet.balance + min(profit, 0) - wallet.reserved // account.leverage, 0))

    def balance_query(self, account: Account, wallet: Wallet, profit: int) -> dict[str, Any]:
        """A balance as the balance query has it."""
        return {
            "accountAlias": alias(account),
            "asset": wallet.asset,
            "balance": money(wallet.balance),
            "crossWalletBalance": money(wallet.balance),
            "crossUnPnl": money(profit),
            "availableBalance": self.free(account, wallet, profit),
            "updateTime": wallet.updated_ms,
        }

    def asset_query(self, account: Account, wallet: Wallet, profit: int) -> dict[str, Any]:
        """A balance as the account query has it."""
        return {
            "asset": wallet.asset,
            "walletBalance": money(wallet.balance),
            "unrealizedProfit": money(profit),
            "marginBalance": money(wallet.balance + profit),
            "availableBalance": self.free(account, wallet, profit),
            "updateTime": wallet.updated_ms,
        }
