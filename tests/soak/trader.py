"""The connector without sockets: real order management, journal, requests and readers, on a `Schedule`."""

import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from daemon.connector.limiter import Limiter
from daemon.connector.watch.offset import ClockOffset
from daemon.orders.client_ids import MAX_IDENTITY
from daemon.orders.journal import Journal
from daemon.orders.limits import AccountLimits
from daemon.orders.machine import Order
from daemon.orders.manager import OrderManager, Update
from daemon.orders.messages import (
    REFUSED,
    UNKNOWN,
    Command,
    Execution,
    Holding,
    Instrument,
    Outcome,
    Report,
    Submit,
)
from daemon.session.catalog import ExchangeInfo
from daemon.session.facts import Handlers
from daemon.session.trading.incoming import Incoming
from daemon.venues.binance.instruments import read_exchange_info
from daemon.venues.binance.queries import Queries
from daemon.venues.binance.requests import Requests
from daemon.venues.binance.signing import HmacSigner
from hftd.constants import REASON_DISCONNECTED
from hftd.errors import HftdError
from sim.exchange.binance.listen_keys import keys_of
from tests.soak.books import Step, steps_of
from tests.soak.schedule import MS, SECOND, Pause, Schedule
from tests.soak.venue import KEY, SECRET, Exchange, Rest, Wire

PREFIX = "soak"
REPLY_TIMEOUT_NS = 5 * SECOND
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
            size = self.size
            super().write(rows)
            # The process was killed in the call: the kernel has a part.
            os.ftruncate(self._fd, size + int((self.size - size) * self.share))
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
    """

    def __init__(
        self,
        exchange: Exchange,
        path: Path,
        emit: Callable[[str, Update], None],
        seed: str,
        is_calm: Callable[[], bool],
        on_place: Callable[[Order], None],
        journal_type: type[Journal],
    ) -> None:
        self.exchange = exchange
        self.schedule: Schedule = exchange.schedule
        self.is_dead = False
        self.is_up = False
        self.send_fuse = -1
        self._rng = rng = random.Random(seed)
        self._is_calm = is_calm
        self._on_place = on_place
        self._least_ns = rng.randrange(MS // 10, 3 * MS)
        self._jitter_ns = rng.choice((MS, 10 * MS, 60 * MS))
        self._offset = ClockOffset()
        self.journal = journal_type.open(path)
        identity, run = self.journal.begin(rng.randrange(1, MAX_IDENTITY))
        self.manager = OrderManager(
            prefix=PREFIX,
            run=run,
            identity=identity,
            limits=AccountLimits(self_trade="allow", max_open_orders=10_000),
            journal=self.journal,
            emit=emit,
            send=self.send,
            to_exchange=self._offset.corrected_ns,
        )
        self.rest = Rest(exchange, rng, self._latency_ns, lambda: not is_calm(), self._pause)
        self.steps: dict = {}
        self.queries = Queries(self.rest, self.steps, PREFIX, exchange.product.product)  # type: ignore[arg-type]
        handlers = Handlers(
            self._on_outcome,
            self._on_report,
            self._on_holding,
            lambda _up: None,
            on_instruments=self._take_over,
            on_instruments_wanted=lambda: self.schedule.after(10 * MS, self._when_awake(self._describe)),
            on_unread_order=self._on_stray,
            is_ours=self.manager.is_ours,
        )
        self.queries.is_ours = self.manager.is_ours
        self.queries.on_unread_order = handlers.on_unread_order
        self.queries.set_aside.on_instruments = handlers.on_instruments
        self.queries.set_aside.on_wanted = handlers.on_instruments_wanted
        signer = HmacSigner(KEY, SECRET)
        self._requests = Requests(signer, has_session=False)
        self.incoming = Incoming(
            exchange.product.orders,
            handlers,
            Limiter([]),
            self._offset,
            self.rest,  # type: ignore[arg-type]
            self.steps,
            self.queries.names,
            secrets=lambda: (KEY,),
            on_clock_error=self._sample_clock,
            on_key_expired=lambda: self._user_down("the listen key has expired"),
            set_aside=self.queries.set_aside,
        )
        self._in_flight: dict[int, tuple[Command, int]] = {}
        self._suspended_until_ns = 0
        self._orders: Wire | None = None
        self._user: Wire | None = None
        self._due_ns = 0
        self._is_reconciling = False
        self.settled_at_ns = -1
        self.reconciliations = 0
        self._sample_clock()
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

    def _when_awake(self, act: Callable[[], None]) -> Callable[[], None]:
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

    def _latency_ns(self) -> int:
        return self._least_ns + int(self._rng.random() * self._jitter_ns)

    def _sample_clock(self) -> None:
        way_ns = self._least_ns
        self._offset.sample(self.now_ns - way_ns, self.exchange.clock.server_ms(), self.now_ns + way_ns)

    def _start(self) -> None:
        self.instruments = self._read()
        for one in self.instruments:
            self.manager.add_instrument(one)
        self.schedule.after(REFRESH_NS, self._refresh)
        self._connect_orders()
        self._connect_user()
        self._tick()
        self._look()

    def _read(self) -> list[Instrument]:
        return self.queries.catalog.take(self._info())

    def _info(self) -> ExchangeInfo:
        product = self.exchange.product
        body = msgspec.json.encode(product.exchange_info(self.exchange.core))
        return read_exchange_info(body, is_inverse=product.product.is_inverse)

    def _describe(self) -> None:
        """As `daemon.connector.service` does it."""
        try:
            found = self._read()
        except HftdError:
            return
        self.queries.set_aside.look_again()
        self._take_over(found)

    def _refresh(self) -> None:
        """Now and then; each hour in `daemon.connector.service`."""
        if not self.is_dead:
            self._describe()
            self.schedule.after(REFRESH_NS, self._when_awake(self._refresh))

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
        for wire in (self._orders, self._user):
            if wire is not None:
                wire.cut()

    def _alive(self, act: Callable[[], None]) -> Callable[[], None]:
        return self._when_awake(act)

    # Connections.

    def _connect_orders(self) -> None:
        self._orders = Wire(
            self.schedule, self._rng, self._latency_ns, lambda data: self._hear(lambda: self._on_reply(data))
        )
        self.exchange.open_api(self._orders)
        self._see_up()

    def _connect_user(self) -> None:
        if self.is_dead or self._user is not None:
            return
        key = keys_of(self.exchange.core).start(self.exchange.account)
        self._user = wire = Wire(
            self.schedule,
            self._rng,
            self._latency_ns,
            lambda data: self._hear(lambda: self._on_event(wire, data)),
        )
        self.exchange.open_user(self._user, key)
        self._see_up()

    def tear(self, which: str) -> None:
        """A connection breaks; it may take a while until that is noticed."""
        wire = self._orders if which == "orders" else self._user
        if wire is None or wire.is_cut:
            return
        wire.cut()
        noticed_ns = self._rng.choice((0, 0, 30 * MS, 2 * SECOND))
        down = self._orders_down if which == "orders" else lambda: self._user_down("torn")
        self.schedule.after(noticed_ns, self._alive(down))

    def _orders_down(self) -> None:
        self._orders = None
        self._see_up()
        owed, self._in_flight = list(self._in_flight.values()), {}
        for command, _ in owed:
            self.incoming.on_outcome(Outcome(command.request, UNKNOWN, 0, "torn"))
        self.schedule.after(self._rng.randrange(10 * MS, SECOND), self._alive(self._connect_orders))

    def _user_down(self, _why: str) -> None:
        if self._user is None:
            return
        self._user.cut()
        self._user = None
        self._see_up()
        self.schedule.after(self._rng.randrange(10 * MS, SECOND), self._alive(self._connect_user))

    def _see_up(self) -> None:
        is_up = self._orders is not None and self._user is not None
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
        wire = self._orders
        if wire is None:
            self.incoming.on_outcome(Outcome(command.request, REFUSED, REASON_DISCONNECTED))
            return
        data = self._requests.request(
            command, self.steps[command.symbol], self._offset.corrected_ms(self.now_ns)
        )
        self._in_flight[command.request] = command, self.now_ns
        wire.write(data)

    def _sweep(self) -> None:
        for request, (command, sent_ns) in list(self._in_flight.items()):
            if self.now_ns - sent_ns >= REPLY_TIMEOUT_NS:
                del self._in_flight[request]
                self.incoming.on_outcome(Outcome(command.request, UNKNOWN, 0, "no answer"))

    # What comes in.

    def _hear(self, act: Callable[[], None]) -> None:
        """Of a process that is suspended the kernel keeps what comes; the order of each connection's messages stays."""
        if self.schedule.now_ns < self._suspended_until_ns:
            self.schedule.at(self._suspended_until_ns, self._when_awake(act))
        else:
            act()

    def _on_reply(self, data: bytes) -> None:
        if self.is_dead:
            return
        reply = self.exchange.product.orders.read_reply(data)
        owed = self._in_flight.pop(reply.id, None)  # type: ignore[arg-type]
        if owed is None:
            self.incoming.on_late(reply)
        else:
            self.incoming.on_reply(owed[0], reply)

    def _on_event(self, wire: Wire, data: bytes) -> None:
        if not self.is_dead and wire is self._user:
            self.incoming.on_user_message(data)

    def _on_outcome(self, outcome: Outcome) -> None:
        self.manager.on_outcome(outcome, self.now_ns)

    def _on_report(self, report: Report) -> None:
        self.manager.on_report(report, self.now_ns)

    def _on_holding(self, holding: Holding) -> None:
        self.manager.on_holding(holding, self.now_ns)

    # Time.

    def _tick(self) -> None:
        if self.is_dead:
            return
        self._sweep()
        due_ns = self.manager.tick(self.now_ns)
        self.schedule.after(min(max(due_ns - self.now_ns, MS), 100 * MS), self._when_awake(self._tick))

    def _look(self) -> None:
        """As `daemon.connector.reconciling` does it."""
        if self.is_dead:
            return
        is_due = self.is_up and self.now_ns >= min(self._due_ns, self.manager.reconcile_due_ns())
        if is_due and not self._is_reconciling:
            self._is_reconciling = True
            self.schedule.drive(self._reconcile())
        if self.incoming.is_user_stream_silent(self.now_ns):
            self._user_down("silent")
        self.schedule.after(50 * MS, self._when_awake(self._look))

    async def _reconcile(self) -> None:
        asked_ns = self.now_ns
        settled = False
        try:
            open_orders = await self.queries.open_orders()
            # Before the executions: what is in a position is among those that are asked for later.
            holdings = await self.queries.holdings()
            executions: list[Execution] = []
            ledgers = self.manager.store.ledgers
            first = {one.symbol for one in holdings if one.is_told and not ledgers[one.symbol].has_holding}
            for symbol in sorted({*self.manager.symbols(), *first}):
                since_ns = self.manager.executions_since_ns(symbol)
                executions += await self.queries.executions(symbol, since_ns, self.manager.is_counted)
        except (HftdError, ValueError):
            pass
        else:
            if self.is_dead:
                return
            found = self.manager.reconcile(open_orders, executions, holdings, asked_ns, self.now_ns)
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
        return self.is_up and not self._in_flight and not self.manager.courier.in_flight


__all__ = ["PREFIX", "Killed", "Trader"]
