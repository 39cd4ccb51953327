"""What USD-M says besides what all products do."""

from typing import Any, ClassVar, Final

from sim.exchange.accounts.accounts import Account, Order, Position, Trade, Wallet
from sim.exchange.binance.payloads import Payloads, money
from sim.exchange.rules.instruments import Instrument
from sim.exchange.streams.streams import Event

_OF_ACCOUNT: Final = (
    *("symbol", "positionSide", "positionAmt", "isolatedMargin", "notional"),
    *("isolatedWallet", "initialMargin", "maintMargin", "updateTime"),
)


class UsdmPayloads(Payloads):
    """See `Payloads`."""

    cap: ClassVar[dict[str, Any]] = {"maxNotionalValue": "1000000000"}

    def instrument_query(self, instrument: Instrument) -> dict[str, Any]:
        """With filters of values."""
        query = super().instrument_query(instrument)
        query["timeInForce"] = [*query["timeInForce"], "GTD"]
        query["permissionSets"] = ["GRID", "COPY"]
        query["filters"] += [
            {"filterType": "MIN_NOTIONAL", "notional": instrument.section.min_notional},
            {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
        ]
        return query

    def order_event(self, order: Order, what: str, trade: Trade | None, time_ms: int) -> dict[str, Any]:
        """The fee only of an execution."""
        fee = {"N": order.instrument.margin_asset, "n": money(trade.fee)} if trade is not None else {}
        return super().order_event(order, what, trade, time_ms) | fee

    def order_events(
        self, order: Order, what: str, trade: Trade | None, time_ms: int, now_ms: int
    ) -> list[Event]:
        """Of an execution TRADE_LITE before it."""
        events = super().order_events(order, what, trade, time_ms, now_ms)
        if trade is None or what != "TRADE":
            return events
        return [("TRADE_LITE", self._trade_lite(order, trade, time_ms, now_ms)), *events]

    def _trade_lite(self, order: Order, trade: Trade, time_ms: int, now_ms: int) -> dict[str, Any]:
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
            "S": "BUY" if order.side > 0 else "SELL",
            "L": i.price(trade.tick),
            "l": i.qty(trade.lots),
            "t": trade.trade_id,
            "i": order.order_id,
        }

    def position_event(self, position: Position, mark_tick: int) -> dict[str, Any]:
        """With the margin asset."""
        return super().position_event(position, mark_tick) | {"ma": position.instrument.margin_asset}

    def position_query(self, position: Position, mark_tick: int, leverage: int) -> dict[str, Any]:
        """With margins and value."""
        i = position.instrument
        value = i.notional(mark_tick, position.lots)
        margin = money(abs(value) // leverage)
        return self.position_core(position, mark_tick) | {
            "notional": money(value),
            "marginAsset": i.margin_asset,
            "initialMargin": margin,
            "maintMargin": money(abs(value) // 40),
            "positionInitialMargin": margin,
            "openOrderInitialMargin": "0",
            "adl": 1,
            "bidNotional": "0",
            "askNotional": "0",
        }

    def balance_query(self, account: Account, wallet: Wallet, profit: int) -> dict[str, Any]:
        """With what may be taken away."""
        query = super().balance_query(account, wallet, profit)
        return query | {"maxWithdrawAmount": query["availableBalance"], "marginAvailable": True}

    def account_query(
        self, account: Account, wallet: Wallet, profit: int, positions: list[dict[str, Any]]
    ) -> dict[str, Any]:
        """Balances and positions as the account query has them; positions as `position_query` has them."""
        asset = self.asset_query(account, wallet, profit)
        free = asset["availableBalance"]
        return {
            "totalInitialMargin": "0.00000000",
            "totalMaintMargin": "0.00000000",
            "totalWalletBalance": asset["walletBalance"],
            "totalUnrealizedProfit": money(profit),
            "totalMarginBalance": asset["marginBalance"],
            "totalPositionInitialMargin": "0.00000000",
            "totalOpenOrderInitialMargin": money(wallet.reserved // account.leverage),
            "totalCrossWalletBalance": asset["walletBalance"],
            "totalCrossUnPnl": money(profit),
            "availableBalance": free,
            "maxWithdrawAmount": free,
            "assets": [asset],
            "positions": [
                {name: row[name] for name in _OF_ACCOUNT} | {"unrealizedProfit": row["unRealizedProfit"]}
                for row in positions
            ],
        }
