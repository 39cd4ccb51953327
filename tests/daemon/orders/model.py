"""A tiny truthful exchange: it says what happens at it through three pipes, and never lies. What becomes of its words
on their way is the test's affair.
"""

from dataclasses import dataclass, field, replace
from decimal import Decimal

from daemon.messages import (
    BY_QUERY,
    BY_REPLY,
    BY_STREAM,
    CONFIRMED,
    REFUSED,
    Cancel,
    Command,
    Execution,
    Holding,
    Instrument,
    Modify,
    Outcome,
    Query,
    Report,
    Submit,
)
from hftd.constants import (
    BUY,
    CANCELED,
    EXPIRED,
    FILLED,
    FOK,
    GTX,
    IOC,
    MARKET,
    NEW,
    PARTIALLY_FILLED,
    REASON_DUPLICATE,
    REASON_EXPIRED,
    REASON_FOK,
    REASON_PERMISSION,
    REASON_POST_ONLY,
    REASON_UNKNOWN_ORDER,
)

SYMBOL = "BTCUSDT"
MS = 1_000_000
SECOND = 1_000_000_000
RECV_WINDOW_NS = 5 * SECOND
FEE_A_LOT = 0.25

INSTRUMENT = Instrument(
    7, SYMBOL, tick_size=Decimal("0.1"), lot_size=Decimal("0.001"), base="BTC", quote="USDT"
)


@dataclass
class TrueOrder:
    client_id: str
    exch_order_id: str
    symbol: str
    side: int
    order_type: int
    time_in_force: int
    price_tick: int
    qty_lots: int
    cum_lots: int = 0
    status: int = NEW
    reason: int = 0
    exch_ns: int = 0
    fills: list[Execution] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        return self.status in (NEW, PARTIALLY_FILLED)

    @property
    def is_taking(self) -> bool:
        return self.order_type == MARKET or self.time_in_force in (IOC, FOK)


class Exchange:
    """Orders, trades and a position. Its clock counts milliseconds, so that much happens at one time of it.

    Args:
        names_executions: Whether its lists of executions tell client ids (Binance's do not).
    """

    def __init__(self, names_executions: bool = False) -> None:
        self.now_ns = 0
        self.names_executions = names_executions
        self.orders: dict[str, TrueOrder] = {}
        self.trades: list[Execution] = []
        self.position_lots = 0
        self.events: list[Report] = []
        self.next_crosses = False
        self.take_lots = 0

    @property
    def exch_ns(self) -> int:
        return self.now_ns // MS * MS

    def named(self, client_id: str) -> TrueOrder | None:
        """An order by the client id that its first one had."""
        return self.orders.get(client_id)

    # --- What it says -------------------------------------------------------------------------------------------

    def report(
        self, order: TrueOrder, source: str, execution: Execution | None = None, has_fee: bool = True
    ) -> Report:
        return Report(
            source=source,
            client_id=order.client_id,
            exch_order_id=order.exch_order_id,
            symbol=order.symbol,
            side=order.side,
            order_type=order.order_type,
            time_in_force=order.time_in_force,
            status=order.status,
            price_tick=order.price_tick,
            qty_lots=order.qty_lots,
            cum_lots=order.cum_lots,
            exch_ns=order.exch_ns,
            execution=execution,
            has_fee=has_fee,
            reason=order.reason,
        )

    def _say(self, order: TrueOrder, execution: Execution | None = None) -> None:
        self.events.append(self.report(order, BY_STREAM, execution))

    # --- Requests -----------------------------------------------------------------------------------------------

    def handle(self, command: Command, sent_ns: int) -> Outcome:
        if not isinstance(command, Query) and self.now_ns - sent_ns > RECV_WINDOW_NS:
            return Outcome(command.request, REFUSED, REASON_PERMISSION)
        if isinstance(command, Submit):
            return self._place(command)
        order = self.orders.get(command.client_id)
        if isinstance(command, Query):
            if order is None:
                return Outcome(command.request, REFUSED, REASON_UNKNOWN_ORDER)
            return Outcome(command.request, CONFIRMED, report=self.report(order, BY_QUERY))
        if order is None or not order.is_open:
            return Outcome(command.request, REFUSED, REASON_UNKNOWN_ORDER, exch_ns=self.exch_ns)
        if isinstance(command, Cancel):
            self._end(order, CANCELED)
            return self._confirm(command, order)
        return self._amend(command, order)

    def _confirm(self, command: Command, order: TrueOrder) -> Outcome:
        return Outcome(command.request, CONFIRMED, report=self.report(order, BY_REPLY), exch_ns=self.exch_ns)

    def _place(self, command: Submit) -> Outcome:
        if command.client_id in self.orders:
            return Outcome(command.request, REFUSED, REASON_DUPLICATE)
        if self.next_crosses and command.time_in_force == GTX:
            return Outcome(command.request, REFUSED, REASON_POST_ONLY, exch_ns=self.exch_ns)
        if command.time_in_force == FOK and self.take_lots < command.qty_lots:
            return Outcome(command.request, REFUSED, REASON_FOK, exch_ns=self.exch_ns)
        order = TrueOrder(
            command.client_id,
            str(1000 + len(self.orders)),
            command.symbol,
            command.side,
            command.order_type,
            command.time_in_force,
            command.price_tick,
            command.qty_lots,
            exch_ns=self.exch_ns,
        )
        self.orders[command.client_id] = order
        self._say(order)
        accepted = self._confirm(command, order)
        if order.is_taking:
            if self.take_lots:
                self.fill(order, min(self.take_lots, order.qty_lots), is_maker=False)
            if order.is_open:
                order.reason = REASON_EXPIRED
                self._end(order, EXPIRED)
        return accepted

    def _amend(self, command: Modify, order: TrueOrder) -> Outcome:
        if self.next_crosses and order.time_in_force == GTX:
            self._end(order, CANCELED)
            return Outcome(command.request, REFUSED, REASON_POST_ONLY, exch_ns=self.exch_ns)
        if command.qty_lots <= order.cum_lots:
            self._end(order, CANCELED)
            return self._confirm(command, order)
        order.price_tick, order.qty_lots = command.price_tick, command.qty_lots
        order.exch_ns = self.exch_ns
        self._say(order)
        return self._confirm(command, order)

    def _end(self, order: TrueOrder, status: int) -> None:
        order.status = status
        order.exch_ns = self.exch_ns
        self._say(order)

    # --- The market ---------------------------------------------------------------------------------------------

    def open_orders(self) -> list[TrueOrder]:
        return [order for order in self.orders.values() if order.is_open]

    def fill(self, order: TrueOrder, lots: int, *, is_maker: bool = True) -> None:
        """It is executed; said twice, in short and in full."""
        lots = min(lots, order.qty_lots - order.cum_lots)
        order.cum_lots += lots
        order.status = FILLED if order.cum_lots == order.qty_lots else PARTIALLY_FILLED
        order.exch_ns = self.exch_ns
        execution = Execution(
            symbol=order.symbol,
            trade_id=f"t{len(self.trades)}",
            client_id=order.client_id,
            exch_order_id=order.exch_order_id,
            side=order.side,
            price_tick=order.price_tick or 1000,
            qty_lots=lots,
            is_maker=is_maker,
            fee=FEE_A_LOT * lots,
            fee_asset="USDT",
            exch_ns=self.exch_ns,
        )
        self.trades.append(execution)
        order.fills.append(execution)
        self.position_lots += lots if order.side == BUY else -lots
        short = replace_execution(execution, fee=0.0)
        self.events.append(
            Report(
                source=BY_STREAM,
                client_id=order.client_id,
                exch_order_id=order.exch_order_id,
                symbol=order.symbol,
                side=order.side,
                order_type=order.order_type,
                time_in_force=order.time_in_force,
                status=PARTIALLY_FILLED,
                price_tick=0,
                qty_lots=0,
                cum_lots=0,
                exch_ns=self.exch_ns,
                execution=short,
                has_fee=False,
            )
        )
        self._say(order, execution)

    # --- What it answers when it is asked -----------------------------------------------------------------------

    def listed(self) -> list[Report]:
        return [self.report(order, BY_QUERY) for order in self.open_orders()]

    def executions(self, since_ns: int) -> list[Execution]:
        return [
            trade if self.names_executions else replace_execution(trade, client_id="")
            for trade in self.trades
            if trade.exch_ns >= since_ns
        ]

    def holdings(self) -> list[Holding]:
        if self.position_lots == 0:
            return []
        return [Holding(SYMBOL, self.position_lots, 100.0, self.exch_ns)]


def replace_execution(execution: Execution, **changes: object) -> Execution:
    import msgspec

    return msgspec.structs.replace(execution, **changes)


__all__ = ["INSTRUMENT", "MS", "SECOND", "SYMBOL", "Exchange", "TrueOrder", "replace"]
