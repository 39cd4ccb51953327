"""A low limit on losses in all weathers: once it is reached no new order leaves, over kills and restarts.

    python -m tests.soak --losses --seeds 200

What is judged is what leaves: each new order and change is looked at as it is handed to the connections. That a limit
is reached is said by order management, and checked by another sum: cash and fees of what was counted, and the position
at the middle of the book. Whoever is beyond a limit for some looks and not halted is a fault as well.
"""

import random
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

from daemon.messages import Command, Funding, Modify, Submit
from daemon.orders.limits import AccountLimits, BotLimits
from daemon.orders.money.watching import NOBODY
from hftd.constants import REASON_HALTED
from tests.soak.fast import Result, Soak
from tests.soak.schedule import MS, SECOND
from tests.soak.trader import Trader
from tests.soak.venues import BYBIT, COINM, SPOT, USDM

BOOK_EVERY_NS = 50 * MS
LOOKS = 8
"""So many ticks, and as many times `LOOK_EVERY_NS`, somebody may be beyond a limit before it is a fault."""
LOOK_EVERY_NS = 100 * MS
SHARES = (0.03, 0.1, 0.25, 0.6)
"""Limits as parts of what is lost in a usual run: `TYPICAL`, in what the instruments settle in."""
TYPICAL = {USDM.name: 20.0, BYBIT.name: 30.0, COINM.name: 0.004, SPOT.name: 20.0}
RATES = ("0.0001", "-0.0003", "0.002")
ACCOUNT = ""


class Watched:
    """What was seen of halts, in all lives of the connector.

    Attributes:
        reached: Whose limit is reached, until a person resumes.
        ever: The same, whether it was lifted or not.
        refused: New orders and changes that were asked for by those.
        resumed: Whether a person has lifted a halt.
        days: On which it was looked.
        faults: What must not be.
    """

    def __init__(self) -> None:
        self.reached: set[str] = set()
        self.ever: set[str] = set()
        self.refused = 0
        self.resumed = False
        self.days: set[int] = set()
        self.faults: list[str] = []

    def note(self, trader: Trader) -> None:
        """Who is halted, as the journal has it: what is not written is not let out."""
        store = trader.manager.store
        found = {bot.name for bot in store.bots.values() if bot.halt_reason}
        found |= {ACCOUNT} if store.halt_ends else set()
        if lost := self.reached - found:
            self.faults.append(f"the halt of {sorted(lost)} did not last: {trader.schedule.now_ns}")
            self.reached -= lost
        self.reached |= found
        self.ever |= found

    def ended(self, trader: Trader) -> None:
        """A life of the connector is over."""
        self.refused += trader.manager.counters.refused.get(REASON_HALTED, 0)

    def sends(self, trader: Trader, command: Command) -> None:
        """A command leaves."""
        if type(command) not in (Submit, Modify):
            return
        order = trader.manager.store.find(command.client_id)
        if order is None or order.reduce_only:
            return
        if ACCOUNT in self.reached or order.bot in self.reached:
            self.faults.append(f"{command} of {order.bot} left after the limit was reached")


class LimitedTrader(Trader):
    """A connector with a limit; its account and its books are watched."""

    watched: Watched

    async def _payments(self) -> list[Funding] | None:
        ask = getattr(self.queries, "payments", None)
        return None if ask is None else await ask(self.manager.payments_since_ns())

    def _starts(self) -> None:
        self._beyond: dict[str, tuple[int, int]] = {}
        resume = self.manager.resume

        def resumes(now_ns: int) -> Any:
            self.watched.reached.clear()
            self.watched.resumed = True
            return resume(now_ns)

        self.manager.resume = resumes  # type: ignore[method-assign]
        self._see_books()

    def _see_books(self) -> None:
        if self.is_dead:
            return
        for symbol in self.exchange.product.traded:
            ledger = self.manager.store.ledgers.get(symbol)
            if ledger is not None and symbol in self.exchange.core.instruments:
                step = self.counts_in[symbol].tick
                bid, ask = self.exchange.best(symbol)
                self.manager.on_book(ledger.number, int(bid // step), int(-(-ask // step)), True, self.now_ns)
        self.schedule.after(BOOK_EVERY_NS, self.when_awake(self._see_books))

    def send(self, command: Command) -> None:
        self.watched.note(self)
        self.watched.sends(self, command)
        super().send(command)

    def _tick(self) -> None:
        super()._tick()
        if self.is_dead or not hasattr(self, "_beyond"):
            return
        self.watched.days.add(self.manager.money.day)
        if self.watched.resumed or len(self.watched.days) > 1 or not self.manager.counters.reconciliations:
            self._beyond.clear()
            return
        for owner in (ACCOUNT, *self.manager.store.bots):
            is_beyond = self._is_beyond(owner)
            since_ns, looks = self._beyond.get(owner, (self.now_ns, 0))
            self._beyond[owner] = (since_ns, looks + 1) if is_beyond else (self.now_ns, 0)
            if looks > LOOKS and self.now_ns - since_ns > LOOKS * LOOK_EVERY_NS:
                self.watched.faults.append(f"{owner or 'the account'} is beyond its limit and not halted")
                self._beyond[owner] = (self.now_ns, 0)

    def _is_beyond(self, owner: str) -> bool:
        """Whether somebody has lost more than may be, and is not halted."""
        store = self.manager.store
        bot = store.bots.get(owner)
        if store.halt_reason or (bot is not None and (bot.halt_reason or not bot.is_attached)):
            return False
        limit = self.limits.max_day_loss if bot is None else bot.limits.max_day_loss
        if limit is None:
            return False
        assert isinstance(limit, float)
        earned: dict[str, float] = {}
        for ledger in store.ledgers.values():
            if (
                ledger.books
                and any(one.position_lots for one in ledger.books.values())
                and not ledger.is_book_valid
            ):
                return False
            mid = ledger.price(ledger.best_bid_tick + ledger.best_ask_tick) / 2
            for name, book in ledger.books.items():
                if bot is not None and name != owner:
                    continue
                # Fees taken in the base asset leave less than a lot.
                qty = ledger.contract_size * ledger.position(book)
                if ledger.inverse:
                    total = -(book.balance + (qty / mid if mid else 0.0)) - book.fee
                else:
                    total = book.balance + qty * mid - book.fee
                # Whether funding is right is compared with what was paid.
                earned[ledger.settles_in] = earned.get(ledger.settles_in, 0.0) + total + book.funding
        for row in store.money.days.rows():
            if bot is None and not row.bot:
                earned[row.asset] = earned.get(row.asset, 0.0) + row.funding
        return any(total < -limit * 1.001 for total in earned.values())


class ForgetsItsHalt(LimitedTrader):
    """A restart takes orders again."""

    def _starts(self) -> None:
        super()._starts()
        self.manager.store.halted("")


class HaltsTooLate(LimitedTrader):
    """A limit is looked at now and then alone."""

    def _starts(self) -> None:
        super()._starts()
        reached = self.manager.money._reached
        self.manager.money._reached = lambda *asked: (  # type: ignore[method-assign]
            one for one in reached(*asked) if self.now_ns // SECOND % 9 == 0
        )


class LossSoak(Soak):
    """A seed with a limit on losses, of the account, of each bot, or of both."""

    def __init__(
        self,
        seed: int,
        folder: Path,
        *,
        venue: str = USDM.name,
        trader_type: type[LimitedTrader] = LimitedTrader,
        **options: Any,
    ) -> None:
        rng = random.Random(f"losses {seed}")
        self.watched = watched = Watched()
        limit = rng.choice(SHARES) * TYPICAL[venue]
        who = rng.choice(("account", "bots", "both"))
        own, all_of_them = None if who == "account" else limit / 3, None if who == "bots" else limit
        self.bot_limits = BotLimits(max_day_loss=own)

        class Limited(trader_type):
            limits = AccountLimits(self_trade="allow", max_open_orders=10_000, max_day_loss=all_of_them)

        Limited.watched = watched
        super().__init__(seed, folder, venue=venue, trader_type=Limited, **options)
        self._funding = rng
        self.schedule.after(SECOND, self._fund)

    def _fund(self) -> None:
        """A moment of funding in one of the instruments."""
        if self.is_calm:
            return
        rng, exchange = self._funding, self.exchange
        self.schedule.after(rng.randrange(300 * MS, 2 * SECOND), self._fund)
        exchange.go()
        instrument = exchange.core.instruments.get(rng.choice(self.product.traded))
        if instrument is not None:
            exchange.core.mishaps.fund(exchange.account, instrument, Decimal(rng.choice(RATES)))

    def _compare(self, result: Result, when: str) -> None:
        """As ever; and each payment of funding is counted once."""
        super()._compare(result, when)
        money = self.trader.manager.store.money
        told = Counter(f"{one.amount:.8f}" for one in money.funded())
        paid = Counter(f"{one.amount / 1e8:.8f}" for one in self.exchange.account.payments if one.amount)
        self.chaos["funding paid"], self.chaos["funding counted"] = paid.total(), told.total()
        if told != paid:
            result.faults.append(f"{when}: funding counted {told}, paid {paid}")
        books = (book for one in self.trader.manager.store.ledgers.values() for book in one.books.values())
        booked = sum(book.funding for book in books)
        booked += sum(row.funding for row in money.days.rows() if row.bot in ("", NOBODY))
        if abs(booked - sum(one.amount for one in money.funded())) > 1e-9 * max(1.0, abs(booked)):
            result.faults.append(f"{when}: funding of {booked} is booked, and other funding was counted")

    def guard(self, act: Any) -> None:
        """As ever; and see who is halted."""
        super().guard(act)
        if not self.trader.is_dead:
            self.watched.note(self.trader)

    def _connector_died(self) -> None:
        if not self.trader.is_dead:
            self.watched.ended(self.trader)
        super()._connector_died()

    def run(self) -> Result:
        """A seed with what was seen of its limits."""
        result = super().run()
        self.watched.ended(self.trader)
        result.faults += self.watched.faults
        result.chaos["limits reached"] = len(self.watched.ever)
        result.chaos["refused after it"] = self.watched.refused
        return result
