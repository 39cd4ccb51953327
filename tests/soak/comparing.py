"""What must hold when all is quiet: the exchange's book, the connector's, its journal's and the bots' are the same."""

import contextlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.messages import Instrument
from daemon.orders.ids.client_ids import bot_hash
from daemon.orders.journal import Journal
from daemon.orders.limits import AccountLimits
from daemon.orders.manager import OrderManager
from daemon.orders.positions import BotBook, Ledger
from hftd.constants import FILLED, NEW, NONE, PARTIALLY_FILLED, REASON_FORGOTTEN
from tests.daemon.orders.world import LocalOrder
from tests.soak.books import (
    PREFIX,
    Faults,
    Truth,
    compare_journal,
    compare_manager,
    compare_requests,
    long_finished,
)
from tests.soak.bots import RandomBot
from tests.soak.spot import compare_balances, compare_foreign_fees

if TYPE_CHECKING:
    from tests.soak.fast import Soak


@contextlib.contextmanager
def restored(path: Path, instruments: Iterable[Instrument]) -> Iterator[OrderManager]:
    """Order management of a connector that starts from a copy of a journal."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal.open(Path(shutil.copy(path, folder)))
        manager = OrderManager(
            prefix=PREFIX,
            run=journal.last_run + 1,
            limits=AccountLimits(),
            journal=journal,
            emit=lambda _bot, _update: None,
            send=lambda _command: None,
        )
        try:
            for one in instruments:
                manager.add_instrument(one)
            yield manager
        finally:
            journal.close()


class Comparison:
    """The four books of a seed.

    Args:
        soak: Of which.
    """

    def __init__(self, soak: "Soak") -> None:
        self._soak = soak
        self._faults = Faults()
        product = soak.product
        self._truth = Truth(
            product.truth(soak.exchange.account),
            tuple(soak.bots),
            product.forced_ids,
            rounded=product.rounded() if "steps" in soak.mishaps else {},
            inverse=product.inverse,
            tolerance=product.tolerance,
            bases=product.bases,
        )
        # By the clock that was furthest ahead.
        self._forgotten = long_finished(soak.path, soak.now_ns + soak.most_ahead_ns)
        self.counts: Counter[str] = Counter()

    def run(self) -> list[str]:
        """What does not agree."""
        soak, faults, truth = self._soak, self._faults, self._truth
        manager = soak.trader.manager
        compare_manager(faults, truth, manager, "connector", self._forgotten)
        if truth.bases:
            compare_balances(faults, truth, manager, "connector")
            compare_foreign_fees(faults, truth, manager, "connector")
        compare_journal(faults, truth, soak.path, soak.trader.counts_in)
        self.counts["requests checked"] = compare_requests(faults, truth, soak.asked)
        with restored(soak.path, [one.instrument for one in manager.store.ledgers.values()]) as again:
            compare_manager(faults, truth, again, "restored", self._forgotten)
            self._profits(again)
            if truth.bases:
                compare_foreign_fees(faults, truth, again, "restored")
        for bot in soak.bots.values():
            self._bot(bot)
        for order in truth.foreign:
            if order["status"] == "CANCELED" and order["client_id"] not in soak.stranger.cancelled:
                faults.say(f"somebody else's order was cancelled: {order}")
        self.counts["orders"] = len(truth.orders)
        self.counts["fills"] = len(truth.trades)
        self.counts["open at the end"] = len(truth.open)
        return faults.found

    def _profits(self, again: OrderManager) -> None:
        """What was earned is what cash and cost say, and the journal has it to the last digit."""
        kept = self._soak.trader.manager.store.money
        self._faults.expect("restored: days", list(again.store.money.days.rows()), list(kept.days.rows()))
        self._faults.expect("restored: funding", again.store.money.funded(), kept.funded())
        for symbol, ledger in self._soak.trader.manager.store.ledgers.items():
            sign = -1 if ledger.inverse else 1
            for name, book in ledger.books.items():
                if not book.num_trades:
                    continue
                what = f"bot {name}, {symbol}: profit"
                cost = book.cost or 0.0
                self._faults.near(
                    what, book.realised, sign * (book.balance + cost), self._truth.tolerance.balance
                )
                other = again.store.ledgers[symbol].book(name)
                told = [(one.realised, one.cost, one.fee, one.funding, one.start) for one in (book, other)]
                self._faults.expect(f"restored: {what}", told[1], told[0])

    def _bot(self, bot: RandomBot) -> None:
        name = bot.name
        left = [one for client_id, one in self._truth.open.items() if self._truth.owner[client_id] == name]
        if not self._soak.is_attached(name):
            if bot.on_end != "keep" and left:
                self._faults.say(f"dead bot {name} ({bot.on_end}) left {left}")
            for symbol, ledger in self._soak.trader.manager.store.ledgers.items():
                book = ledger.books.get(name)
                if bot.on_end == "flatten" and book and self._reducible(ledger, book) > 0:
                    self._faults.say(
                        f"dead bot {name} left a position of {book.position_lots} lots in {symbol}"
                    )
            return
        for symbol in bot.numbers:
            self._model(bot, symbol)
        ids = self._soak.trader.manager.store.ids
        for client_id, order in self._truth.open.items():
            found = ids.read(client_id)
            if found is not None and found.bot == bot_hash(name) and order["symbol"] in bot.numbers:
                known = bot.models[order["symbol"]].orders.get(found.order_id)
                if known is None or known.is_inactive:
                    self._faults.say(f"bot {name} does not know its open order {order}: {known}")

    def _reducible(self, ledger: Ledger, book: BotBook) -> Decimal:
        """How much of a dead bot's position the exchange would let it close.

        Where another one's position stands against it, there may be nothing in the account to reduce. Bots of a spot
        account have none in common; there nothing is closed that is less than an order may be, nor what was less than
        a lot when lots were larger, and the bot was done with it.
        """
        soak, symbol, lots = self._soak, ledger.symbol, book.position_lots
        side = 1 if lots > 0 else -1
        if symbol not in self._truth.bases:
            return self._truth.positions.get(symbol, Decimal(0)) * lots
        instrument = soak.exchange.core.instrument(symbol)
        lot, least = Decimal(ledger.instrument.lot_size), Decimal(instrument.section.min_qty)
        qty = min(abs(lots), (lots + ledger.other_lots) * side) * lot
        price = Decimal(instrument.price(soak.exchange.core.feeds[instrument.number].mark_tick()))
        if qty < least or qty * price < Decimal(instrument.section.min_notional):
            return Decimal(0)
        largest = soak.product.coarsest(symbol, is_changing="steps" in soak.mishaps)
        return Decimal(0) if abs(lots * lot + book.dust) < largest else qty

    def _model(self, bot: RandomBot, symbol: str) -> None:
        """What a bot believes of an instrument."""
        name, state, step = f"bot {bot.name}, {symbol}", bot.models[symbol].state, bot.steps[symbol]
        total = self._truth.total(bot.name, symbol)
        if symbol in self._truth.forced:
            book = self._soak.trader.manager.store.ledgers[symbol].books.get(bot.name)
            lots = book.position_lots if book else 0
            self._faults.expect(f"{name}: position", round(state.position / float(step.lot)), lots)
        else:
            held = round(state.position / float(step.lot)) * step.lot
            if symbol in self._truth.bases:
                held = Decimal(f"{state.position:.8f}")
            self._faults.expect(f"{name}: position", held, total.qty)
            self._faults.expect(f"{name}: trades", state.num_trades, total.trades)
            self._faults.near(f"{name}: fee", state.fee, total.fee, self._truth.tolerance.fee)
            self._faults.near(f"{name}: balance", state.balance, total.balance, self._truth.tolerance.balance)
            self._faults.near(
                f"{name}: value", state.trading_value, total.value, self._truth.tolerance.balance
            )
        for order_id, local in bot.models[symbol].orders.items():
            self._local(bot, symbol, order_id, local)

    def _local(self, bot: RandomBot, symbol: str, order_id: int, local: LocalOrder) -> None:
        what, step = f"bot {bot.name}: order {order_id} in {symbol}", bot.steps[symbol]
        self._faults.expect(f"{what} request under way", local.req, NONE)
        client_id = self._soak.latest.get((bot.name, symbol, order_id), "")
        true = self._truth.orders.get(client_id)
        if true is None:
            self._faults.expect(f"{what} is over", local.is_inactive, True)
        elif true["status"] in ("NEW", "PARTIALLY_FILLED"):
            self._faults.expect(f"{what} is open", local.status in (NEW, PARTIALLY_FILLED), True)
            leaves = Decimal(true["qty"]) - Decimal(true["executed_qty"])
            self._faults.expect(
                f"{what} leaves", round(local.leaves_qty / float(step.lot)) * step.lot, leaves
            )
            if not Decimal(true["price"]) % step.tick:
                self._faults.expect(f"{what} price", local.price_tick * step.tick, Decimal(true["price"]))
        else:
            if local.reason != REASON_FORGOTTEN or client_id not in self._forgotten:
                self._faults.expect(f"{what} is filled", local.status == FILLED, true["status"] == "FILLED")
            self._faults.expect(f"{what} is over", local.is_inactive, True)
