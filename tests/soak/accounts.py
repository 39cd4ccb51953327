"""The books of processes: what the connector and the bots say of themselves, and their journal."""

import json
from decimal import Decimal
from typing import TYPE_CHECKING

from hftd.control import status
from tests.soak.books import Faults, Step, Truth, compare_journal, compare_manager
from tests.soak.comparing import restored
from tests.soak.processes import BotProcess
from tests.soak.spot import compare_foreign_fees, compare_shown

if TYPE_CHECKING:
    from tests.soak.real import RealSoak


class ProcessBooks:
    """Compares them.

    Args:
        soak: Whose.
    """

    def __init__(self, soak: "RealSoak") -> None:
        self._soak = soak
        self._symbol = soak.symbol
        section = soak.product.symbols[0]
        self._lot = Decimal(section.lot_size)
        self._steps = {section.symbol: Step(Decimal(section.tick_size), self._lot)}

    def truth(self) -> Truth:
        """The exchange's."""
        soak, product = self._soak, self._soak.product
        return Truth(
            product.truth(soak.exchange.core.accounts[0]),
            tuple(bot.name for bot in (*soak.bots, soak.flood)),
            product.forced_ids,
            inverse=product.inverse,
            tolerance=product.tolerance,
            bases=product.bases,
        )

    def _qty(self, value: float) -> Decimal:
        return round(value / float(self._lot)) * self._lot

    def _position(self, value: float) -> Decimal:
        """A bot's: of a spot instrument not only whole lots."""
        return Decimal(f"{value:.8f}") if self._soak.product.bases else self._qty(value)

    async def compare(self, *, is_ended: bool) -> list[str]:
        """What `hftd status` says, and the journal."""
        soak, symbol = self._soak, self._symbol
        told = await soak.told(2.0)
        soak.note_lag(told)
        truth, faults = self.truth(), Faults()
        account = {one.symbol: one.position for one in told.account}
        is_forced = symbol in truth.forced
        if truth.bases:
            compare_shown(faults, truth, told.balances)
        else:
            position = truth.positions.get(symbol, Decimal(0))
            faults.expect("status: position", self._qty(account.get(symbol, 0.0)), position)
        known = {one.name: one for one in told.bots}
        open_orders: list[tuple[str, Decimal]] = []
        for bot in (*soak.bots, soak.flood):
            shown = known.get(bot.name)
            self._bot(faults, truth, bot, shown, is_forced=is_forced)
            for order in shown.orders if shown else ():
                open_orders.append((order.client_id, self._qty(order.leaves_qty)))
        faults.expect(
            "status: open orders",
            sorted(open_orders),
            sorted(
                (name, Decimal(one["qty"]) - Decimal(one["executed_qty"])) for name, one in truth.open.items()
            ),
        )
        faults.expect("status: in flight", told.counters["in_flight"], 0)
        if not is_ended:
            faults.expect(
                "bots attached",
                sorted(n for n, b in known.items() if b.is_attached),
                sorted(b.name for b in soak.bots if b.is_alive),
            )
        compare_journal(faults, truth, soak.folder / "orders.journal", self._steps)
        soak.events["orders"], soak.events["fills"] = len(truth.orders), len(truth.trades)
        soak.events["user events"] = soak.exchange.core.users.events_sent
        soak.events["rows"] = told.channels[0].rows
        return faults.found

    def _bot(
        self, faults: Faults, truth: Truth, bot: BotProcess, shown: status.Bot | None, *, is_forced: bool
    ) -> None:
        total = truth.total(bot.name, self._symbol)
        position = (
            shown.positions[0]
            if shown and shown.positions
            else status.Position(symbol=self._symbol, position=0.0)
        )
        # Of a bot that is gone less than a lot is not shown; the journal has it.
        if (shown or abs(total.qty) >= self._lot) and not is_forced:
            name, tolerance = f"status: {bot.name}", truth.tolerance
            faults.expect(f"{name} position", self._position(position.position), total.qty)
            faults.expect(f"{name} trades", position.num_trades, total.trades)
            faults.near(f"{name} fee", position.fee, total.fee, tolerance.fee)
            faults.near(f"{name} balance", position.balance, total.balance, tolerance.balance)
        for order in shown.orders if shown else ():
            faults.expect(f"status: {order.client_id} under way", order.request, "")
        left = [one for one in truth.open if truth.owner[one] == bot.name]
        if not bot.is_alive and bot.end != "keep" and left:
            faults.say(f"the dead bot {bot.name} ({bot.end}) left {left}")

    def result(self, bot: BotProcess, before: int) -> list[str]:
        """What the bot itself came to, by its own account of it.

        What is executed after its end (by a cancel that came too late, or to flatten its position) it can't know, but
        all that was executed before it was told to end.
        """
        faults, truth = Faults(), self.truth()
        result = json.loads((self._soak.folder / f"{bot.name}.json").read_text())
        mine = [one for one in truth.trades.values() if truth.owner[one["client_id"]] == bot.name]
        known = mine[: result["num_trades"]]
        if self._symbol in truth.forced:
            return []
        name, tolerance = bot.name, truth.tolerance
        if not before <= result["num_trades"] <= len(mine):
            faults.say(f"{name}: {result['num_trades']} trades, the exchange has {before} to {len(mine)}")
        total = truth.sum_of(known)
        faults.expect(f"{name}: position", self._position(result["position"]), total.qty)
        faults.near(f"{name}: volume", result["trading_volume"], float(total.volume), 1e-6)
        faults.near(f"{name}: fee", result["fee"], total.fee, tolerance.fee)
        faults.near(f"{name}: balance", result["balance"], total.balance, tolerance.balance)
        return faults.found

    def journal(self) -> list[str]:
        """What is left when all processes have ended: a connector that starts from it knows what the exchange knows."""
        faults, path = Faults(), self._soak.folder / "orders.journal"
        compare_journal(faults, self.truth(), path, self._steps)
        info = self._soak.product.info(self._soak.exchange.core)
        with restored(path, info.instruments[:1]) as manager:
            compare_manager(faults, self.truth(), manager, "restored")
            compare_foreign_fees(faults, self.truth(), manager, "restored")
        return faults.found
