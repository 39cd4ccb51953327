"""A bot of a scenario: what it asks of the connector, and what it was told."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from daemon.orders.limits import BotLimits
from hftd import wire
from hftd.clock import running_ns
from hftd.constants import BUY, CANCELED, GTC, LIMIT, NEW, REPLACED
from tests.daemon.orders.world import BotModel, LocalOrder
from tests.scenarios.market import MID, SIDES, TICK
from tests.soak.books import Asked

if TYPE_CHECKING:
    from tests.scenarios.driver import Scenario


class Bot:
    """A bot: what it asks for, and what it was told."""

    def __init__(self, scenario: "Scenario", name: str, on_end: str, limits: BotLimits) -> None:
        self.name = name
        self.on_end = on_end
        self.limits = limits
        self.model = BotModel(name)
        self.said: list[Any] = []
        self.is_attached = False
        self._scenario = scenario

    @property
    def orders(self) -> dict[int, LocalOrder]:
        """What it believes of its orders, by their numbers."""
        return self.model.orders

    def attach(self) -> None:
        """Take up a lease, and ask about the orders that it holds for open."""
        s = self._scenario
        held = [(number, one) for number, one in self.orders.items() if not one.is_inactive]

        def run() -> None:
            orders = s.connector.orders
            for update in orders.attach(self.name, [s.number], self.limits, self.on_end, running_ns()):
                self.apply(update)
            self.is_attached = True
            for number, one in held:
                orders.request(self.name, wire.Inquire(s.number, number, one.local_ts), running_ns())

        s.act(run)

    def detach(self) -> None:
        """Its lease is over."""
        s = self._scenario
        self.is_attached = False
        s.act(lambda: s.connector.orders.detach(self.name, running_ns()))

    def apply(self, update: Any) -> None:
        """It is told something."""
        self.said.append(update)
        self.model.apply(update)

    def _ask(self, message: Any) -> None:
        s = self._scenario
        s.act(lambda: s.connector.orders.request(self.name, message, running_ns()))

    def _note(self, number: int, what: str, side: int, ticks: int, lots: int) -> None:
        s = self._scenario
        for one in SIDES.values() if side == 0 else (SIDES[side],):
            price = (MID + ticks) * TICK if ticks > -MID else Decimal(0)
            asked = Asked(what, s.case.symbol, one, price, lots * s.lot)
            s.asked.setdefault((self.name, number), []).append(asked)

    def place(
        self,
        number: int,
        ticks: int = -5,
        lots: int = 10,
        *,
        side: int = BUY,
        tif: int = GTC,
        kind: int = LIMIT,
    ) -> None:
        """A new order."""
        s = self._scenario
        known = self.orders.get(number)
        assert known is None or known.is_inactive, "the bot's library refuses that"
        is_limit = kind == LIMIT
        tick, qty, now_ns = MID + ticks if is_limit else 0, lots * float(s.lot), running_ns()
        s.latest.pop((self.name, number), None)
        self.orders[number] = LocalOrder(now_ns, req=NEW, price_tick=tick, qty=qty, leaves_qty=qty)
        self._note(number, "place", side, ticks if is_limit else -MID, lots)
        self._ask(
            wire.Submit(
                instrument=s.number,
                order_id=number,
                side=side,
                order_type=kind,
                time_in_force=tif,
                price_tick=tick,
                qty=qty,
                local_ts=now_ns,
            )
        )

    def modify(self, number: int, ticks: int, lots: int) -> None:
        """A new price, and how much is to remain."""
        s, order = self._scenario, self.orders[number]
        order.prior = order.price_tick, order.qty
        order.price_tick, order.qty = MID + ticks, lots * float(s.lot)
        order.req, order.local_ts = REPLACED, running_ns()
        self._note(number, "modify", 0, ticks, lots)
        self._ask(wire.Modify(s.number, number, order.price_tick, order.qty, order.local_ts))

    def cancel(self, number: int) -> None:
        """The end of an order."""
        s, order = self._scenario, self.orders[number]
        order.req, order.local_ts = CANCELED, running_ns()
        self._ask(wire.Cancel(s.number, number, order.local_ts))

    def lots(self, number: int) -> int:
        """What remains of an order, as it believes."""
        return round(self.orders[number].leaves_qty / float(self._scenario.lot))

    @property
    def exact(self) -> Decimal:
        """Its position as it believes: of a spot instrument not only whole lots."""
        return Decimal(f"{self.model.state.position:.8f}")

    @property
    def position(self) -> int:
        """In lots, as it believes; the nearest number of them."""
        return round(self.model.state.position / float(self._scenario.lot))

    def fills(self, number: int) -> list[int]:
        """The lots of each execution of an order that it was told of."""
        return [
            round(one.exec_qty / float(self._scenario.lot))
            for one in self.said
            if isinstance(one, wire.OrderUpdate) and one.order_id == number and one.executed
        ]
