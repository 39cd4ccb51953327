"""What COIN-M says otherwise than the family does."""

from typing import Any, ClassVar, Final

from sim.exchange.accounts.accounts import Account, Order, Payment, Position, Trade, Wallet
from sim.exchange.binance.payloads import Payloads, money
from sim.exchange.rules.instruments import Instrument

CAP: Final = {"maxQty": "1000000"}
_NOT_REPLIED: Final = {"goodTillDate"}
_NOT_IN_EVENTS: Final = {"si", "ss", "gtd"}
_OF_ACCOUNT: Final = (
    *("symbol", "positionSide", "positionAmt", "entryPrice", "breakEvenPrice", "leverage", "maxQty"),
    *("notionalValue", "isolatedWallet", "updateTime"),
)


def _without(names: set[str], content: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name not in names}


class CoinmPayloads(Payloads):
    """See `Payloads`."""

    names_pairs: ClassVar[bool] = True
    status_key: ClassVar[str] = "contractStatus"
    cap: ClassVar[dict[str, Any]] = CAP

    def instrument_query(self, instrument: Instrument) -> dict[str, Any]:
        """With the contract's size."""
        size = {"contractSize": int(instrument.section.contract_size), "equalQtyPrecision": 4}
        return super().instrument_query(instrument) | size

    # Orders and trades.

    def price(self, instrument: Instrument, tick: int) -> str:
        """Not padded: 32000, and not 32000.0."""
        text = super().price(instrument, tick)
        return text.rstrip("0").rstrip(".") if "." in text else text

    def income_query(self, payment: Payment) -> dict[str, Any]:
        """Its id is a text."""
        return super().income_query(payment) | {"tranId": str(payment.payment_id)}

    def order_reply(self, order: Order) -> dict[str, Any]:
        """Without the end of its time."""
        return _without(_NOT_REPLIED, super().order_reply(order))

    def order_query(self, order: Order) -> dict[str, Any]:
        """With the value of what is executed in coin, too."""
        base = money(order.instrument.money(order.worth))
        return super().order_query(order) | {"cumBase": base}

    def cum_quote(self, order: Order) -> str:
        """Contracts times their size."""
        return self._quote(order.instrument, order.executed_lots)

    def quote_qty(self, trade: Trade) -> str:
        """Contracts times their size."""
        return self._quote(trade.order.instrument, trade.lots)

    def _quote(self, instrument: Instrument, lots: int) -> str:
        return str(int(instrument.qty(lots)) * int(instrument.section.contract_size))

    def trade_query(self, trade: Trade) -> dict[str, Any]:
        """With its value in coin."""
        asset = trade.order.instrument.margin_asset
        return super().trade_query(trade) | {"marginAsset": asset, "baseQty": money(trade.money)}

    def order_event(self, order: Order, what: str, trade: Trade | None, time_ms: int) -> dict[str, Any]:
        """The fee always, and what the account's open orders in the contract are worth, in coin."""
        asset = order.instrument.margin_asset
        event = _without(_NOT_IN_EVENTS, super().order_event(order, what, trade, time_ms))
        bids, asks = (self._open_value(order, side) for side in (1, -1))
        return event | {
            "ma": asset,
            "N": asset,
            "n": money(trade.fee) if trade else "0",
            "b": bids,
            "a": asks,
        }

    def _open_value(self, order: Order, side: int) -> str:
        found = order.account.open_orders.values()
        value = sum(one.reserved for one in found if one.instrument is order.instrument and one.side == side)
        return money(value) if value else "0"

    # Accounts.

    def position_event(self, position: Position, mark_tick: int) -> dict[str, Any]:
        """The break-even price as a bare number."""
        event = super().position_event(position, mark_tick)
        return event | {"bep": float(position.entry_price())}

    def position_query(self, position: Position, mark_tick: int, leverage: int) -> dict[str, Any]:
        """With its value in coin; a truth value as text."""
        value = position.instrument.notional(mark_tick, position.lots)
        flat = {} if position.lots else dict.fromkeys(("entryPrice", "breakEvenPrice"), money(0))
        return (
            self.position_core(position, mark_tick)
            | flat
            | {
                "leverage": str(leverage),
                **CAP,
                "marginType": "cross",
                "isolatedMargin": "0.00000000",
                "isAutoAddMargin": "false",
                "notionalValue": money(value) if value else "0",
            }
        )

    def balance_query(self, account: Account, wallet: Wallet, profit: int) -> dict[str, Any]:
        """With what may be taken away."""
        query = super().balance_query(account, wallet, profit)
        return query | {"withdrawAvailable": query["availableBalance"]}

    def asset_query(self, account: Account, wallet: Wallet, profit: int) -> dict[str, Any]:
        """With margins, of this coin alone."""
        query = super().asset_query(account, wallet, profit)
        orders = money(wallet.reserved // account.leverage)
        return query | {
            "maintMargin": "0.00000000",
            "initialMargin": orders,
            "positionInitialMargin": "0.00000000",
            "openOrderInitialMargin": orders,
            "maxWithdrawAmount": query["availableBalance"],
            "crossWalletBalance": query["walletBalance"],
            "crossUnPnl": query["unrealizedProfit"],
        }

    def account_position(self, row: dict[str, Any]) -> dict[str, Any]:
        """A position as the account query has it, of one as positionRisk has it."""
        margins = ("initialMargin", "maintMargin", "positionInitialMargin", "openOrderInitialMargin")
        return {
            **{name: row[name] for name in _OF_ACCOUNT},
            "unrealizedProfit": row["unRealizedProfit"],
            **dict.fromkeys(margins, "0.00000000"),
            "isolated": False,
        }
