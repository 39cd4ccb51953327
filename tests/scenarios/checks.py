"""What must hold in the end: the books of exchange, order management, journal and bots, held against each other."""

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING

from daemon.orders.ids.client_ids import bot_hash
from hftd.clock import running_ns
from hftd.constants import CANCELED, EXPIRED, FILLED, NEW, NONE, PARTIALLY_FILLED
from tests.daemon.orders.world import LocalOrder
from tests.scenarios.bot import Bot
from tests.soak.books import (
    Asked,
    Faults,
    Truth,
    compare_journal,
    compare_manager,
    compare_requests,
    long_finished,
    steps_of,
)
from tests.soak.spot import compare_balances

if TYPE_CHECKING:
    from tests.scenarios.driver import Scenario


FORCED_IDS = ("autoclose-", "adl_autoclose", "settlement_autoclose-", "delivery_autoclose-")
"""How the ids of the exchange's own orders begin."""


class Checks:
    """Compares all books of a scenario.

    Attributes:
        faults: What does not agree.
    """

    def __init__(self, scenario: "Scenario") -> None:
        self._scenario = s = scenario
        faults = self.faults = Faults()
        case = s.case
        sizes = {"inverse": case.inverse, "tolerance": case.tolerance, "bases": case.bases}
        truth = Truth(s.truth, tuple(s.bots), FORCED_IDS, **sizes)
        forgotten = long_finished(s.path, running_ns())
        compare_manager(faults, truth, s.orders, "connector", forgotten)
        if case.bases:
            compare_balances(faults, truth, s.orders, "connector")
        compare_journal(faults, truth, s.path, steps_of(s.orders))
        compare_requests(faults, truth, s.asked)
        self._check_sent(truth)
        for bot in s.bots.values():
            if bot.is_attached:
                self._check_bot(truth, bot)

    def _check_sent(self, truth: Truth) -> None:
        """No order came to the exchange twice, nor one more often than it was asked for."""
        placed = [one["client_id"] for one in truth.raw["orders"]]
        self.faults.expect("orders of one id", len(placed), len(set(placed)))
        ids = self._scenario.orders.store.ids
        left = Counter((*key, one) for key, asked in self._scenario.asked.items() for one in asked)
        bots = {bot_hash(name): name for name in truth.bots}
        for one in truth.raw["requests"]:
            found = ids.read(one["client_id"])
            if found is None or one["what"] != "place" or one["only_reduces"]:
                continue
            price, qty = Decimal(one["price"] or 0), Decimal(one["qty"])
            wanted = bots[found.bot], found.order_id, Asked("place", one["symbol"], one["side"], price, qty)
            if not left[wanted]:
                self.faults.say(f"sent more often than asked: {one}")
            left[wanted] -= 1

    def _check_bot(self, truth: Truth, bot: Bot) -> None:
        faults, s = self.faults, self._scenario
        name, state = f"bot {bot.name}", bot.model.state
        total, symbol = truth.total(bot.name, s.case.symbol), s.case.symbol
        if symbol in truth.forced:
            book = s.orders.store.ledgers[symbol].books.get(bot.name)
            faults.expect(f"{name}: position", bot.position, book.position_lots if book else 0)
        else:
            faults.expect(f"{name}: position", bot.exact, total.qty)
            faults.expect(f"{name}: trades", state.num_trades, total.trades)
            faults.near(f"{name}: fee", state.fee, total.fee, truth.tolerance.fee)
            faults.near(f"{name}: balance", state.balance, total.balance, truth.tolerance.balance)
            faults.near(f"{name}: value", state.trading_value, total.value, truth.tolerance.balance)
        for number, local in bot.orders.items():
            self._check_order(truth, bot, number, local)
        ids = s.orders.store.ids
        for client_id, order in truth.open.items():
            found = ids.read(client_id)
            if found is not None and found.bot == bot_hash(bot.name):
                known = bot.orders.get(found.order_id)
                if known is None or known.is_inactive:
                    faults.say(f"{name} does not know its open order {order}: {known}")

    def _check_order(self, truth: Truth, bot: Bot, number: int, local: LocalOrder) -> None:
        faults, what = self.faults, f"bot {bot.name}: order {number}"
        true = truth.orders.get(self._scenario.latest.get((bot.name, number), ""))
        faults.expect(f"{what} request under way", local.req, NONE)
        if true is None:
            faults.expect(f"{what} is over", local.is_inactive, True)
        elif true["status"] in ("NEW", "PARTIALLY_FILLED"):
            faults.expect(f"{what} is open", local.status in (NEW, PARTIALLY_FILLED), True)
            faults.expect(f"{what} leaves", bot.lots(number), true["lots"] - true["executed_lots"])
            faults.expect(f"{what} price", local.price_tick, true["tick"])
        else:
            faults.expect(f"{what} is filled", local.status == FILLED, true["status"] == "FILLED")
            faults.expect(f"{what} is over", local.status in (FILLED, CANCELED, EXPIRED), True)
