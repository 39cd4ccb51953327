"""The connector without sockets: real order management, journal, requests and readers, on a `Schedule`."""

import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from daemon.connector.limiter import Limiter
from daemon.connector.watch.offset import ClockOffset
from daemon.messages import (
    Command,
    Execution,
    Funding,
    Funds,
    Holding,
    Instrument,
    Outcome,
    Report,
    Submit,
    Transfer,
)
from daemon.orders.files.rotation import SWITCHING
from daemon.orders.ids.client_ids import MAX_IDENTITY
from daemon.orders.journal import ROTATE_BYTES, Journal
from daemon.orders.limits import AccountLimits
from daemon.orders.manager import OrderManager, Update
from daemon.orders.order import Order
from daemon.session.catalog import ExchangeInfo
from daemon.session.errors import EXPECTED
from daemon.session.facts import Handlers
from daemon.session.trading.incoming import Incoming
from hftd.errors import HftdError
from tests.daemon.orders.world import Inline
from tests.soak.books import PREFIX, Step, steps_of
from tests.soak.links import OrderLink, UserLink
from tests.soak.schedule import MS, SECOND, Pause, Schedule
from tests.soak.venue import KEY, Exchange, Rest

EVERY_NS = 10 * SECOND
REFRESH_NS = 2 * SECOND


class Killed(BaseException):
    """The connector's process ends here; no `except Exception` may hold that up."""


class DyingJournal(Journal):
    """A journal whose process may be killed at or in a write."""

    fuse = -1
    share = 1.0
    writes = 0

    def write(self, rows: list) -> None:
        type(self).writes += 1
        if self.fuse == 0:
            size, after = self.size, self._next
            size_after = after.size if after is not None and after.state == SWITCHING else -1
            super().write(rows)
            # The process was killed in the call: the kernel has a part, and of the next file's nothing.
            os.ftruncate(self._fd, size + int((self.size - size) * self.share))
            if after is not None and size_after >= 0:
                os.ftruncate(after.fd, size_after)
            raise Killed
        self.fuse -= self.fuse > 0
        super().write(rows)


class Trader:
    """One life of the connector.

    Args:
        exchange: The other side.
        path: The journal.
        emit: Tells a bot.
        seed: Of all that is by chance in it.
        is_calm: Whether nothing is to go wrong any more.
        on_place: Told of each order that is sent.
        rotate_bytes: Of the journal.
    """

    limits = AccountLimits(self_trade="allow", max_open_orders=10_000)

    def __init__(
        self,
        exchange: Exchange,
        path: Path,
        emit: Callable[[str, Update], None],
        seed: str,
        is_calm: Callable[[], bool],
        on_place: Callable[[Order], None],
        journal_type: type[Journal],
        rotate_bytes: int = ROTATE_BYTES,
    ) -> None:
        self.exchange = exchange
        self.schedule: Schedule = exchange.schedule
        self.is_dead = False
        self.is_up = False
        self.send_fuse = -1
        self.rng = rng = random.Random(seed)
        self._is_calm = is_calm
        self._on_place = on_place
        self._least_ns = rng.randrange(MS // 10, 3 * MS)
        self._jitter_ns = rng.choice((MS, 10 * MS, 60 * MS))
        self._offset = ClockOffset()
        self.journal = journal_type.open(path, rotate_bytes=rotate_bytes, worker=Inline())
        identity, run = self.journal.begin(rng.randrange(1, MAX_IDENTITY))
        self.manager = OrderManager(
            prefix=PREFIX,
            run=run,
            identity=identity,
            limits=self.limits,
            journal=self.journal,
            emit=emit,
            send=self.send,
            to_exchange=self._offset.corrected_ns,
        )
        self.rest = Rest(exchange, rng, self.latency_ns, lambda: not is_calm(), self._pause)
        self.steps: dict = {}
        self.facts = exchange.product.order_facts(self.steps)
        self.queries = exchange.product.queries(self.rest, self.steps)
        handlers = Handlers(
            self._on_outcome,
            self._on_report,
            self._on_holding,
            lambda _up: None,
            on_funds=self._on_funds,
            on_instruments=self._take_over,
            on_instruments_wanted=lambda: self.schedule.after(10 * MS, self.when_awake(self._describe)),
            on_unread_order=self._on_stray,
            is_ours=self.manager.is_ours,
        )
        self.queries.is_ours = self.manager.is_ours
        self.queries.on_unread_order = handlers.on_unread_order
        if hasattr(self.queries, "on_funding"):
            self.queries.on_funding = handlers.on_funds
        self.queries.set_aside.on_instruments = handlers.on_instruments
        self.queries.set_aside.on_wanted = handlers.on_instruments_wanted
        self.incoming = Incoming(
            self.facts,
            handlers,
            Limiter([]),
            self._offset,
            self.rest,  # type: ignore[arg-type]
            self.steps,
            self.queries.names,
            secrets=lambda: (KEY,),
            on_clock_error=self.sample_clock,
            on_key_expired=lambda: self.user.down(self.user.wire),
            set_aside=self.queries.set_aside,
            manners=exchange.product.manners,
        )
        self._suspended_until_ns = 0
        self.orders = OrderLink(self)
        self.user = UserLink(self)
        self._due_ns = 0
        self._is_reconciling = False
        self.settled_at_ns = -1
        self.reconciliations = 0
        self.sample_clock()
        self._start()
        self._starts()

    @property
    def now_ns(self) -> int:
        """Now, by the clock of the connector's machine, which may be wrong."""
        return self.schedule.local_ns

    @property
    def counts_in(self) -> dict[str, Step]:
        """The steps in which this life counts."""
        return steps_of(self.manager)

    def suspend(self, ns: int) -> None:
        """The process stands still so long: what comes waits."""
        self._suspended_until_ns = max(self._suspended_until_ns, self.schedule.now_ns + ns)

    def when_awake(self, act: Callable[[], None]) -> Callable[[], None]:
        """Do something, if the process is suspended as soon as it goes on."""

        def later() -> None:
            if self.is_dead:
                return
            if self.schedule.now_ns < self._suspended_until_ns:
                self.schedule.at(self._suspended_until_ns, later)
            else:
                act()

        return later

    async def _pause(self, ns: int) -> None:
        await Pause(ns)
        while self.schedule.now_ns < self._suspended_until_ns:
            await Pause(self._suspended_until_ns - self.schedule.now_ns)
        if self.is_dead:
            raise HftdError("the process was killed")

    def latency_ns(self) -> int:
        """Of one way, this time."""
        return self._least_ns + int(self.rng.random() * self._jitter_ns)

    def corrected_ms(self) -> int:
        """The exchange's time, as far as it is known."""
        return self._offset.corrected_ms(self.now_ns)

    def sample_clock(self) -> None:
        """Ask for the exchange's time."""
        way_ns = self._least_ns
        self._offset.sample(self.now_ns - way_ns, self.exchange.clock.server_ms(), self.now_ns + way_ns)

    def _start(self) -> None:
        self.instruments = self._read()
        for one in self.instruments:
            self.manager.add_instrument(one)
        self.schedule.after(REFRESH_NS, self._refresh)
        self.orders.connect()
        self.user.connect()
        self._tick()
        self._look()

    def _read(self) -> list[Instrument]:
        return self.queries.catalog.take(self._info())

    def _info(self) -> ExchangeInfo:
        return self.exchange.product.info(self.exchange.core)

    def _describe(self) -> None:
        """As `daemon.connector.service` does it."""
        try:
            found = self._read()
        except EXPECTED:
            return
        self.queries.set_aside.look_again()
        self._take_over(found)

    def _refresh(self) -> None:
        """Now and then; each hour in `daemon.connector.service`."""
        if not self.is_dead:
            self._describe()
            self.schedule.after(REFRESH_NS, self.when_awake(self._refresh))

    def _on_stray(self, symbol: str, client_id: str, exch_order_id: str) -> None:
        if not self.is_dead:
            self.manager.on_stray(symbol, client_id, exch_order_id, self.now_ns)

    def _take_over(self, instruments: Sequence[Instrument]) -> None:
        known = {symbol: one.instrument for symbol, one in self.manager.store.ledgers.items()}
        changed = [one for one in instruments if known.get(one.symbol) != one]
        if changed and not self.is_dead:
            self.manager.on_instruments(changed, self.now_ns)

    def _starts(self) -> None:
        """For connectors that do something wrong."""

    def die(self) -> None:
        """Killed: its sockets are the kernel's to close, and what it knew is gone."""
        self.is_dead = True
        self.journal.close()
        self.orders.die()
        self.user.die()

    def tear(self, which: str) -> None:
        """A connection breaks: `orders` or `user`."""
        (self.orders if which == "orders" else self.user).tear()

    def see_up(self) -> None:
        """A connection has come or gone."""
        is_up = self.orders.is_up and self.user.is_up
        if is_up != self.is_up:
            self.is_up = is_up
            self.manager.on_connection(is_up, self.now_ns)
            if is_up:
                self._due_ns = 0

    # Commands.

    def send(self, command: Command) -> None:
        """The manager's `send`."""
        if self.send_fuse == 0:
            raise Killed
        self.send_fuse -= self.send_fuse > 0
        if type(command) is Submit:
            self._on_place(self.manager.store.orders[command.client_id])
        self.orders.send(command)

    # What comes in.

    def hear(self, act: Callable[[], None]) -> None:
        """Of a process that is suspended the kernel keeps what comes; the order of each connection's messages stays."""
        if self.schedule.now_ns < self._suspended_until_ns:
            self.schedule.at(self._suspended_until_ns, self.when_awake(act))
        else:
            act()

    def _on_outcome(self, outcome: Outcome) -> None:
        self.manager.on_outcome(outcome, self.now_ns)

    def _on_report(self, report: Report) -> None:
        self.manager.on_report(report, self.now_ns)

    def _on_holding(self, holding: Holding) -> None:
        self.manager.on_holding(holding, self.now_ns)

    def _on_funds(self, funds: Funds | Transfer | Funding) -> None:
        if not self.is_dead:
            self.manager.on_funds(funds, self.now_ns)

    # Time.

    def _tick(self) -> None:
        if self.is_dead:
            return
        self.orders.sweep()
        due_ns = self.manager.tick(self.now_ns)
        self.schedule.after(min(max(due_ns - self.now_ns, MS), 100 * MS), self.when_awake(self._tick))

    def _look(self) -> None:
        """As `daemon.connector.reconciling` does it."""
        if self.is_dead:
            return
        is_due = self.is_up and self.now_ns >= min(self._due_ns, self.manager.reconcile_due_ns())
        if is_due and not self._is_reconciling:
            self._is_reconciling = True
            self.schedule.drive(self._reconcile())
        if self.incoming.is_user_stream_silent(self.now_ns):
            self.user.down(self.user.wire)
        self.schedule.after(50 * MS, self.when_awake(self._look))

    async def _payments(self) -> list[Funding] | None:
        """Funding that the exchange lists by itself; nobody pays any but in the soak of losses."""
        return None

    async def _reconcile(self) -> None:
        asked_ns = self.now_ns
        settled = False
        try:
            open_orders = await self.queries.open_orders()
            # Before the executions: what is in a position is among those that are asked for later.
            holdings = await self.queries.holdings()
            funds = await self.queries.funds() if self.exchange.product.bases else None
            executions: list[Execution] = []
            ledgers = self.manager.store.ledgers
            first = {one.symbol for one in holdings if one.is_told and not ledgers[one.symbol].has_holding}
            for symbol in sorted({*self.manager.symbols(), *first}):
                since_ns = self.manager.executions_since_ns(symbol)
                executions += await self.queries.executions(symbol, since_ns, self.manager.is_counted)
            payments = await self._payments()
        except (HftdError, ValueError):
            pass
        else:
            if self.is_dead:
                return
            if payments is not None:
                self.manager.on_payments(payments, asked_ns, self.now_ns)
            found = self.manager.reconcile(
                open_orders, executions, holdings, asked_ns, self.now_ns, funds=funds
            )
            self.reconciliations += 1
            settled = found.is_settled
            if settled:
                self.settled_at_ns = asked_ns
        await Pause(0)
        self._is_reconciling = False
        self._due_ns = self.now_ns + (2 * SECOND if self._is_calm() else EVERY_NS if settled else SECOND)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is under way."""
        return self.is_up and not self.orders.owes and not self.manager.commands.in_flight


__all__ = ["PREFIX", "Killed", "Trader"]
