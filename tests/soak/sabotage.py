"""Connectors that do one thing wrong: a comparison that can't fail proves nothing."""

from typing import Any

import msgspec

from daemon.messages import CONFIRMED, Cancel, Command, Execution, Outcome, Report, Submit
from daemon.orders.ids.trades import Traded
from daemon.orders.journal import Row
from daemon.orders.order import Order
from daemon.session.catalog import steps_of
from hftd.constants import CANCELED
from tests.soak.trader import DyingJournal, Trader


class LosesAFill(Trader):
    """One execution never comes, by whatever way."""

    lost: str = ""

    def _starts(self) -> None:
        take = self.manager.reconcile
        self.manager.reconcile = lambda orders, executions, *rest, **more: take(  # type: ignore[method-assign]
            orders, [one for one in executions if not self._is_lost(one)], *rest, **more
        )

    def _is_lost(self, execution: Execution) -> bool:
        cls = type(self)
        if not cls.lost and execution.client_id.startswith("soak:"):
            cls.lost = execution.trade_id
        return execution.trade_id == cls.lost

    def _on_report(self, report: Report) -> None:
        if report.execution is None or not self._is_lost(report.execution):
            super()._on_report(report)


class CountsTwice(Trader):
    """One execution is taken for two."""

    doubled = False

    def _on_report(self, report: Report) -> None:
        super()._on_report(report)
        if report.execution is not None and not type(self).doubled and report.client_id.startswith("soak:"):
            type(self).doubled = True
            again = msgspec.structs.replace(report.execution, trade_id=f"9{report.execution.trade_id}")
            super()._on_report(msgspec.structs.replace(report, execution=again))


class PaysAUnitMore(Trader):
    """One fee is taken for one unit of the coin's last digit more."""

    paid = False

    def _on_report(self, report: Report) -> None:
        one = report.execution
        if one is not None and one.fee and not type(self).paid and report.client_id.startswith("soak:"):
            type(self).paid = True
            report = msgspec.structs.replace(
                report, execution=msgspec.structs.replace(one, fee=one.fee + 1e-8)
            )
        super()._on_report(report)


class ForgetsAnOrder(Trader):
    """A finished order is no more known."""

    def _starts(self) -> None:
        store = self.manager.store
        if store.orders:
            store.orders.pop(next(iter(store.orders)))


class LeavesAnOrder(Trader):
    """Cancels of dead bots' orders are taken for done, and not sent; whoever asks is told that they are gone."""

    left = ""

    def _starts(self) -> None:
        take = self.manager.reconcile
        self.manager.reconcile = lambda orders, *rest, **more: take(  # type: ignore[method-assign]
            [one for one in orders if one.client_id != type(self).left], *rest, **more
        )

    def send(self, command: Command) -> None:
        cls = type(self)
        if type(command) is Cancel and self._is_calm() and not cls.left:
            # One that the exchange has.
            order = self.manager.store.orders[command.client_id]
            cls.left = command.client_id if order.exch_order_id else ""
        if cls.left and command.client_id == cls.left:
            order = self.manager.store.orders[command.client_id]
            report = _ended(order)
            self.incoming.on_outcome(Outcome(command.request, CONFIRMED, report=report))
            return
        super().send(command)

    def _on_report(self, report: Report) -> None:
        if report.client_id != type(self).left:
            super()._on_report(report)


def _ended(order: Order) -> Report:
    return Report(
        source="reply",
        client_id=order.client_id,
        exch_order_id=order.exch_order_id,
        symbol=order.symbol,
        side=order.side,
        order_type=order.order_type,
        time_in_force=order.time_in_force,
        status=CANCELED,
        price_tick=order.price_tick,
        qty_lots=order.qty_lots,
        cum_lots=order.cum_lots,
        exch_ns=order.exch_ns + 1,
    )


class TellsNoBot(Trader):
    """Towards the end its bots are told nothing more."""

    def _starts(self) -> None:
        tell = self.manager._emit

        def emit(name: str, update: Any) -> None:
            if not self._is_calm():
                tell(name, update)

        self.manager._emit = emit


class SkipsRecords(DyingJournal):
    """Towards the end executions are not written."""

    is_calm = staticmethod(lambda: False)

    def write(self, rows: list[Row]) -> None:
        if not (type(self).is_calm() and any(isinstance(row, Traded) and row.client_id for row in rows)):
            super().write(rows)


class SendsOtherPrices(Trader):
    """Prices are rounded on their way to the exchange."""

    def send(self, command: Command) -> None:
        if type(command) is Submit and command.price_tick % 10 == 7:
            command = msgspec.structs.replace(command, price_tick=command.price_tick - 2)
        super().send(command)


class WritesInNewSteps(Trader):
    """When the exchange's steps change, requests are written in the new ones, and orders are kept in the old."""

    def _describe(self) -> None:
        self.steps.update(steps_of(self._info().instruments))


class CountsSelfTradesOnce(Trader):
    """An execution is known by its trade id alone, though both sides of a self-trade have the same."""

    def _starts(self) -> None:
        trades = self.manager.store.trades
        note, is_complete = trades.note, trades.is_complete
        trades.note = lambda symbol, trade_id, ns, has_fee, _side=0, client_id="": note(  # type: ignore[method-assign]
            symbol, trade_id, ns, has_fee, 0, client_id
        )
        trades.is_complete = lambda symbol, trade_id, _side=0: is_complete(symbol, trade_id, 0)  # type: ignore[method-assign]


def fresh(kind: type) -> type:
    """A sabotage that has not happened yet."""
    return type(kind.__name__, (kind,), {})


__all__ = [
    "CountsSelfTradesOnce",
    "CountsTwice",
    "ForgetsAnOrder",
    "LeavesAnOrder",
    "LosesAFill",
    "PaysAUnitMore",
    "SendsOtherPrices",
    "SkipsRecords",
    "TellsNoBot",
    "WritesInNewSteps",
    "fresh",
]
