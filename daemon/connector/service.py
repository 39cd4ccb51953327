"""The connector daemon: one account of one exchange behind one channel.

::

    bots ── rings ──>  Bots  ── requests ──>  OrderManager  ── commands ──>  venue session  ──>  exchange
         <─────────  (books) <── updates ───               <── reports ───                  <──

Everything runs in one thread on one event loop; nothing in it waits but on sockets.
"""

import asyncio
import contextlib
import gc
import hashlib
import os
import secrets
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp
import structlog
import uvloop
from numpy.typing import NDArray

from daemon.connector import report
from daemon.connector.bots.bots import Bots
from daemon.connector.bots.warm_up import WarmUp
from daemon.connector.compiling import compile_all
from daemon.connector.config import ConnectorConfig, Credentials
from daemon.connector.identities import Presence
from daemon.connector.market.merging import merge
from daemon.connector.reasons import why_not
from daemon.connector.reconciling import Reconciler
from daemon.connector.supervise import Backoff
from daemon.connector.venue import Session, Venue
from daemon.connector.waiting import Waiting
from daemon.connector.watch.clock_watch import ClockWatch, read_clocks
from daemon.connector.watch.health import Health
from daemon.connector.watch.loop_lag import LoopLag
from daemon.connector.watch.mishaps import Mishaps
from daemon.connector.watch.watchdog import Watchdog
from daemon.messages import (
    DELISTED,
    NOT_TRADING,
    Funding,
    Funds,
    Holding,
    Instrument,
    Outcome,
    Report,
    Transfer,
)
from daemon.orders.ids.client_ids import MAX_IDENTITY
from daemon.orders.journal import Journal, uncollected
from daemon.orders.limits import BotLimits
from daemon.orders.manager import OrderManager
from daemon.warnings import LOOK_EVERY_S, Warnings
from hftd import wire
from hftd.cleanup import run_all
from hftd.clock import monotonic_ns, running_ns
from hftd.control.asking import Reply
from hftd.control.notify import READY, STOPPING, how, more_time, notify
from hftd.control.protocol import runtime_dir
from hftd.control.server import ChannelServer
from hftd.errors import ConfigError, HftdError, RefusedError, UsageError

TICK_MAX_S: Final = 0.1
TICK_MIN_S: Final = 0.001
MORE_TIME_S: Final = 120.0
"""What a question to the exchange may take, which systemd is to wait for beyond a pause."""
LEAVE_S: Final = 10.0
"""How long the orders of a connector that ends may take to be cancelled."""
CANCEL_S: Final = 5.0
"""How long its tasks may take to end after that."""
INSTRUMENTS_EVERY_S: Final = 3600.0
INSTRUMENTS_PAUSE_S: Final = 2.0
"""Between two times that they are asked for because something says that they have changed; twice as long each time that
nothing had, up to `INSTRUMENTS_PAUSE_MAX_S`."""
INSTRUMENTS_PAUSE_MAX_S: Final = 300.0
INSTRUMENTS_LAG_S: Final = 60.0
"""After so long they are asked for once more, if something said that they have changed and they had not, or if one that
is followed takes no orders."""

_log = structlog.get_logger("hftd.connector")


class Connector:
    """One account behind one channel.

    Args:
        name: The channel's.
        venue: The exchange.
        config: Of the venue's type.
        credentials: Empty for market data alone.
        journal_path: Where orders and executions are kept; None to keep nothing.
        seed: Of all jitter.
        directory: The runtime directory, if it is another than the usual one.
        is_same_account: The journal is this account's even if another key wrote it.
    """

    def __init__(
        self,
        name: str,
        venue: Venue,
        config: ConnectorConfig,
        credentials: Credentials,
        journal_path: Path | None,
        *,
        seed: int,
        directory: Path | None = None,
        is_same_account: bool = False,
    ) -> None:
        self.name = name
        self.venue = venue
        self.config = config
        self.pid = os.getpid()
        self.started_ns = running_ns()
        self._credentials = credentials
        self._is_same_account = is_same_account
        self._journal_path = journal_path
        self._seed = seed
        self._directory = directory
        self._stopping = asyncio.Event()
        self._instruments_wanted = asyncio.Event()
        self.refreshes_failed = 0
        """How often in a row the instruments could not be asked for."""
        self.refresh_why = ""
        self._journal: Journal | None = None
        self._presence: Presence | None = None
        self._warm_up: WarmUp | None = None
        self.bots = Bots(
            venue.name,
            secrets.randbits(62) + 1,
            limits=lambda bot: config.bots.get(bot, BotLimits()),
            subscribe=lambda instrument: self.session.subscribe(instrument),
            on_answer=self._answer,
            is_fused=getattr(config, "best_prices", "fused") == "fused",
            on_best=lambda *best: self.orders.on_book(*best),
        )
        self.lag = LoopLag()
        self.session: Session
        self.orders: OrderManager
        self.reconciler: Reconciler
        self.server: ChannelServer
        self.mishaps = Mishaps(self.stop)
        self.clock_watch = ClockWatch()
        self.health = Health(
            lambda: self._journal is not None and self._journal.is_broken,
            lambda: self.bots.has_unread,
            lambda: sum(bot.requests for bot in self.bots.attached),
        )
        self.watch = report.Watch(self._journal_path)
        self.watchdog = Watchdog(self._progress, lambda: report.line_of(self))
        self.warnings = Warnings(
            lambda: self.orders.warnings(),
            lambda: self.session.warnings(),
            lambda: self.reconciler.warnings(),
            lambda: report.warnings_of(self),
        )

    @property
    def trades(self) -> bool:
        """Whether it has keys to an account."""
        return self._credentials.are_there

    def stop(self) -> None:
        """End in order."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve until `stop`.

        Raises:
            HftdError: It can't go on: a key that the exchange does not take, a channel whose name is taken.
        """
        compile_all()
        try:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=10.0)
            async with aiohttp.ClientSession(timeout=timeout) as http:
                self.session = self.venue.session(self.config, self._credentials, http, self, self._seed)
                instruments = await self._instruments()
                if instruments is not None:
                    with uncollected():
                        self._open_orders(instruments)
                    await self._serve()
        finally:
            journal, presence, warm_up = self._journal, self._presence, self._warm_up
            errors = run_all(
                lambda: journal.close() if journal is not None else None,
                lambda: presence.close() if presence is not None else None,
                lambda: warm_up.close() if warm_up is not None else None,
                self.bots.close,
            )
            for error in errors:
                _log.error("shutdown_step_failed", exc_info=error)

    async def _instruments(self) -> list[Instrument] | None:
        """What the exchange has; None if it is to end before that is known."""
        waiting = Waiting(self.name, self.venue.name, self._directory)
        try:
            return await self._wait_for_instruments(waiting)
        finally:
            waiting.close()

    async def _wait_for_instruments(self, waiting: Waiting) -> list[Instrument] | None:
        backoff = Backoff(0.5, 30.0, self._seed + 1)
        while not self._stopping.is_set():
            try:
                return await self.session.instruments()
            except UsageError:
                raise
            except HftdError as error:
                why = str(error)
                wait_s = backoff.next_s(error)
            except (aiohttp.ClientError, OSError, ValueError) as error:
                why = why_not(error)
                wait_s = backoff.next_s(error)
            _log.warning(
                "instruments_not_fetched",
                why=why,
                where=getattr(self.config, "api_url", ""),
                hint="is the address right, and is it this exchange's?",
                again_in_s=round(wait_s, 3),
            )
            notify(more_time(wait_s + MORE_TIME_S), how(f"waits for its exchange: {why}"))
            await waiting.failed(why)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._stopping.wait()
        return None

    def _open_orders(self, instruments: list[Instrument]) -> None:
        key = self._credentials.account
        # Of the key, since testnet and mainnet never share one, and several hosts may serve one account.
        account = hashlib.sha256(key.encode()).hexdigest()[:16]
        fresh = secrets.randbelow(MAX_IDENTITY) + 1
        identity, run = fresh, 1
        if self._journal_path is not None:
            self._journal_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._journal = Journal.open(
                self._journal_path,
                rotate_bytes=int(self.config.journal_rotate_mb * (1 << 20)),
                rotate_orders=self.config.journal_rotate_orders,
            )
            # Exchanges of a family may take one key. Journals of before that was noted name the account alone.
            is_same = self._is_same_account or self._journal.account == account
            self._journal.claim(f"{self.venue.name}-{account}", is_same=is_same)
            identity, run = self._journal.begin(fresh)
        self.orders = OrderManager(
            prefix=self.config.order_prefix,
            run=run,
            identity=identity,
            limits=self.config.limits,
            journal=self._journal,
            emit=self.bots.emit,
            send=self.session.send,
            order_id_max=self.session.order_id_max,
            by_totals=self.session.by_totals,
            to_exchange=self.session.exchange_ns,
        )
        if self.trades:
            self._be_there(account, identity)
        for one in instruments:
            self.orders.add_instrument(one)
        self.bots.set_instruments(instruments)
        # A halt outlives its connector.
        self.bots.set_halted(bool(self.orders.store.halt_reason))
        self.reconciler = Reconciler(self.session, self.orders, self.config.reconcile_every_s, self._seed + 2)

    def _be_there(self, account: str, identity: int) -> None:
        """Have other connectors of the account know that this one runs, and know of them."""
        journal = str(self._journal.path) if self._journal else ""
        folder = self._directory or runtime_dir(create=True)
        presence = self._presence = Presence(
            folder, f"{self.venue.name}-{account}", self.name, journal, self.config.order_prefix
        )
        presence.begin(identity)
        store, strays = self.orders.store, self.orders.strays
        store.own |= presence.former()
        strays.guard_ns = int(getattr(self.config, "countdown_s", 0.0) * 1e9)
        strays.look = lambda now_ns: presence.kin(store.own, now_ns)
        strays.look_around(running_ns())

    async def _serve(self) -> None:
        for symbol in self.config.symbols:
            try:
                instrument = self.bots.instrument(symbol)
            except RefusedError as error:
                if symbol.upper() in self.orders.store.waiting_symbols():
                    # It was traded here, and the exchange lists it no more: that is no reason to stop the others.
                    _log.warning("symbol_not_listed", symbol=symbol)
                    continue
                raise ConfigError(
                    error.what, where="`symbols` of the configuration", hint=error.hint
                ) from None
            self.bots.follow(instrument)
        self.server = server = ChannelServer(self.name, self.bots, self._directory)
        server.on_set = lambda bot, values, by: self.orders.parameters_set(bot, values, by, running_ns())
        await server.start()
        self._warm_up = self._make_warm_up()
        warm_up = self._warm_up.run if self._warm_up else None
        self.bots.start(self.orders, server.drop, spin=self.config.spin, warm_up=warm_up)
        # Nothing that was made so far will ever be garbage: the collector need not look through it again.
        gc.collect()
        gc.freeze()
        ending = "the connector ends"
        self.lag.start()
        running: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(run)
            for run in (
                self.session.run(),
                self._tick(),
                self.reconciler.run(),
                self._refresh(),
                self._look(),
            )
        ]
        stopping: asyncio.Future[Any] = asyncio.ensure_future(self._stopping.wait())
        _log.info("serving", channel=self.name, venue=self.venue.name, trades=self.trades)
        notify(READY, how(report.line_of(self)))
        try:
            done, _ = await asyncio.wait([*running, stopping], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopping}:
                ending = f"the connector failed: {task.exception()}"
                task.result()
                # None of them comes to an end by itself: what it was there for is not done any more.
                raise HftdError("a part of the connector ended unexpectedly")
            if self.mishaps.is_too_much:
                ending = "the connector failed: its callbacks fail again and again"
                raise HftdError(ending, hint="its log says why")
        finally:
            notify(STOPPING, how(ending))
            self.bots.is_ending = True
            self.lag.close()
            server.close(ending)
            try:
                await self._leave(running[0])
            except Exception:
                _log.exception("shutdown_failed")
            for task in (*running, stopping):
                task.cancel()
            _, hanging = await asyncio.wait([*running, stopping], timeout=CANCEL_S)
            if hanging:
                _log.error("shutdown_incomplete", count=len(hanging))
            self.bots.stop()

    def _make_warm_up(self) -> WarmUp | None:
        """For a connector that polls and trades."""
        instruments = self.bots.instruments
        if not (self.config.spin and self.trades and instruments):
            return None
        followed = [market.instrument for market in self.bots.books.markets()]
        instrument = followed[0] if followed else next(iter(instruments.values()))
        return WarmUp(instrument, self.session.warm_up)

    async def _leave(self, session: "asyncio.Future[Any]") -> None:
        """The leases are over; wait until what their end policies asked for is done.

        A connection that is down just now may come back in that time, as long as the session runs.
        """
        if not self.trades:
            return
        deadline_ns = monotonic_ns() + int(LEAVE_S * 1e9)
        while left := report.unfinished(self.orders):
            is_hopeless = session.done() and not self.bots.is_connected
            if is_hopeless or monotonic_ns() > deadline_ns:
                _log.error("shutdown_with_unanswered_requests", count=left)
                return
            self.orders.tick(running_ns())
            await asyncio.sleep(0.01)

    async def _tick(self) -> None:
        """What is due in order management."""
        while True:
            now_ns = running_ns()
            due_s = (self.orders.tick(now_ns) - now_ns) / 1e9
            # Whoever halted: a tool, a journal that can't be written, an exchange that closed a position.
            self.bots.set_halted(bool(self.orders.store.halt_reason))
            self.health.ticked()
            await asyncio.sleep(min(max(due_s, TICK_MIN_S), TICK_MAX_S))

    async def _look(self) -> None:
        """What needs a person, so that it is known since when."""
        while True:
            if self._presence is not None:
                self.orders.strays.look_around(running_ns())
            if (clocks := read_clocks()) is not None:
                is_account_asked, is_all_new = self.clock_watch.look(clocks)
                if is_all_new:
                    self.session.check_connections("the machine slept")
                if is_account_asked and self.trades:
                    self.orders.want_reconciliation(running_ns())
            self._compare_clocks()
            self.health.look(monotonic_ns())
            self.warnings.look(monotonic_ns())
            # This loop feeds it, so it feeds while this loop goes round as well.
            self.watchdog.look()
            await asyncio.sleep(LOOK_EVERY_S)

    def _compare_clocks(self) -> None:
        """Have the feed's latencies count by the exchange's clock."""
        ahead_ns, error_ns = self.session.clock()
        if error_ns >= 0:
            self.bots.books.set_ahead(ahead_ns)

    def _progress(self) -> dict[str, int]:
        """By loop, when it last went round (monotonic ns)."""
        own = {"order management": self.health.ticked_ns, "bots": self.bots.looked_ns}
        return own | self.session.progress()

    async def _refresh(self) -> None:
        """Ask now and then what the exchange's filters are, and which instruments trade.

        Sooner if something says that they have changed.
        """
        pauses = Backoff(INSTRUMENTS_PAUSE_S, INSTRUMENTS_PAUSE_MAX_S, self._seed + 3)
        wait_s = INSTRUMENTS_EVERY_S
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._instruments_wanted.wait()
            is_wanted = self._instruments_wanted.is_set()
            self._instruments_wanted.clear()
            failure: Exception | None = None
            wait_s = INSTRUMENTS_EVERY_S
            try:
                instruments = await self.session.instruments()
            except (HftdError, aiohttp.ClientError, OSError, ValueError) as error:
                _log.warning("instruments_not_refreshed", why=str(error) or type(error).__name__)
                self._instruments_wanted.set()
                failure = error
                self.refreshes_failed += 1
                self.refresh_why = str(error) or type(error).__name__
            else:
                self.refreshes_failed = 0
                if self._take_over(instruments) or not is_wanted:
                    pauses.reset()
                else:
                    # What the exchange describes may lag behind what it does.
                    wait_s = min(INSTRUMENTS_LAG_S, wait_s)
                if self._is_one_halted():
                    # Not every exchange says when it goes on.
                    wait_s = min(INSTRUMENTS_LAG_S, wait_s)
            await asyncio.sleep(pauses.next_s(failure))

    def _is_one_halted(self) -> bool:
        """Whether an instrument that is followed takes no orders for now."""
        known = self.bots.instruments
        followed = (known.get(market.instrument.symbol) for market in self.bots.books.markets())
        return any(one is not None and one.trouble in (NOT_TRADING, DELISTED) for one in followed)

    def _take_over(self, instruments: Sequence[Instrument]) -> bool:
        """New descriptions of instruments; whether something was new.

        Numbers and steps stay what they are as long as the process runs: books, bots and orders count in them. An
        instrument whose steps have changed at the exchange is not traded any more, and its orders are cancelled.
        """
        known = self.bots.instruments
        changed = merge(known, instruments)
        if changed:
            self.bots.set_instruments(list(known.values()))
            self.orders.on_instruments(changed, running_ns())
        return bool(changed)

    # What the session tells.

    def on_rows(self, number: int, rows: NDArray[Any], is_book: bool) -> None:
        """Market data."""
        self.bots.books.on_rows(number, rows, is_book)

    def on_book_state(self, number: int, state: int) -> None:
        """What a book is worth."""
        self.bots.books.on_book_state(number, state)
        self._compare_clocks()

    def on_outcome(self, outcome: Outcome) -> None:
        """How a command ended."""
        self.orders.on_outcome(outcome, running_ns())

    def on_report(self, report: Report) -> None:
        """What the exchange says of an order."""
        self.orders.on_report(report, running_ns())

    def on_holding(self, holding: Holding) -> None:
        """The account's position."""
        self.orders.on_holding(holding, running_ns())

    def on_funds(self, funds: Funds | Transfer | Funding) -> None:
        """A balance of a spot account."""
        self.orders.on_funds(funds, running_ns())

    def on_instruments(self, instruments: Sequence[Instrument]) -> None:
        """Instruments that are described anew."""
        self._take_over(instruments)

    def on_instruments_wanted(self) -> None:
        """Something says that the instruments have changed."""
        self._instruments_wanted.set()

    def on_unread_order(self, symbol: str, client_id: str, exch_order_id: str) -> None:
        """An open order of ours that can't be taken over."""
        self.orders.on_stray(symbol, client_id, exch_order_id, running_ns())

    def is_ours(self, client_id: str) -> bool:
        """Whether an order is this connector's."""
        return self.orders.is_ours(client_id)

    def is_healthy(self) -> bool:
        """Whether it does its work: see `daemon.connector.watch.health`."""
        return not self.health.trouble

    def on_connection(self, is_up: bool) -> None:
        """Whether orders can be sent."""
        _log.info("orders_connected" if is_up else "orders_disconnected", channel=self.name)
        self.orders.on_connection(is_up, running_ns())
        self.bots.set_connected(is_up)
        self._compare_clocks()
        self.reconciler.on_connection(is_up)

    # What tools ask.

    def _answer(self, ask: wire.Ask) -> Reply:
        match ask.what:
            case wire.ASK_STATUS:
                return Reply(report.status_of(self))
            case wire.ASK_TAP:
                return Reply(report.tap_of(self), fds=[self.bots.clock.fd, self.bots.ring.fd])
            case wire.ASK_HALT:
                halted = self.orders.halt(ask.argument or "asked to", running_ns(), by=self.server.asking)
            case _:
                halted = self.orders.resume(running_ns(), by=self.server.asking)
        self.bots.set_halted(halted.is_halted)
        return Reply(halted, ok=halted.left == 0)


def run(connector_of: Callable[[], Connector]) -> None:
    """Run a connector until SIGTERM or SIGINT.

    Args:
        connector_of: Makes the `Connector`; it is called in the event loop.

    Raises:
        HftdError: It could not start, or could not go on.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(connector_of))


async def _run(connector_of: Callable[[], Connector]) -> None:
    connector = connector_of()
    asyncio.get_running_loop().set_exception_handler(connector.mishaps.on_loop_error)
    with _signals_to(connector):
        await connector.run()


@contextlib.contextmanager
def _signals_to(connector: Connector) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, connector.stop)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
