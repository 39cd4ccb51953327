"""All orders of an account: bots' requests in, commands to the venue and updates to the bots out.

::

    bots ── request ──►  OrderManager ── Submit, Modify, Cancel, Query ──►  venue
         ◄── emit ─────   │  │  │  │  ◄── Outcome, Report, Holding ───────
                          │  │  │  └── BotRequests, LeaseEnds: what bots want             (requests.py, lease_end.py)
                          │  │  └───── Reports, AccountReconciler: what the venue says    (reports.py, reconcile.py)
                          │  └──────── Commands, Updates: what leaves                     (commands.py, updates.py)
                          └─────────── Store: orders, books, bots; its copy on the disk   (state.py, journal.py)

Each call changes what is known, then writes what changed into the journal, then lets out what follows from it. What
comes back in from there (a venue that refuses at once) is taken in the same way, in turn.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import structlog

from daemon.messages import (
    REFUSED,
    STEPS_CHANGED,
    Command,
    Execution,
    Funding,
    Funds,
    Holding,
    Instrument,
    Modify,
    Outcome,
    Report,
    Submit,
    Transfer,
)
from daemon.orders.checkpoint import checkpoint
from daemon.orders.commands import SUBMIT, Commands, Strays
from daemon.orders.ids.client_ids import MAX_ORDER_ID, ClientIds
from daemon.orders.journal import Journal, ParametersSet, Refused
from daemon.orders.lease_end import LeaseEnds
from daemon.orders.limits import AccountLimits, BotLimits
from daemon.orders.money.watching import ACCOUNT, Breach, Money
from daemon.orders.positions import ForcedCloses
from daemon.orders.quality.fills import Fills
from daemon.orders.reconcile import AccountReconciler, Reconciliation
from daemon.orders.reports import Reports
from daemon.orders.requests import BotRequests
from daemon.orders.snapshot import Counters, Refusals, Snapshot, take_snapshot, warnings_of
from daemon.orders.state import REMEMBER_NS, Store
from daemon.orders.updates import Sent, Update, Updates
from daemon.warnings import Warn
from hftd import wire
from hftd.constants import REASON_HALTED, REASON_NEVER_SENT, REASON_NOT_TRADING
from hftd.control import status
from hftd.errors import RefusedError

__all__ = ["OrderManager", "Update"]

REWRITE_PAUSE_NS = 10_000_000_000
"""After a journal could not be rewritten."""
ROTATE_EVERY_NS = 5_000_000
"""Between two steps of a new file of the journal."""
LOOK_PAUSE_NS = 1_000_000_000
"""Between two looks whether the journal's file is still there."""

_log = structlog.get_logger("hftd.orders")


class OrderManager:
    """The orders, positions and limits of one account.

    No method waits, opens a socket or reads a clock. The times that it is given (`now_ns`) must not go back nor be set
    while it lives: take them from `hftd.clock.running_ns`. `emit` and `send` are called before a
    method returns, after what they tell is in the journal; they may call back into the manager (a venue that refuses at
    once).

    Args:
        prefix: The beginning of our orders' ids.
        run: This process's number, from `Journal.begin` or `client_ids.run_number(now_ns, journal.last_run)`.
        limits: The account's.
        journal: Where orders and executions are kept, None to keep nothing. What it holds is restored, instrument by
            instrument, in `add_instrument`.
        emit: Publishes to one bot. Called only for bots that are attached.
        send: Hands a command to the venue.
        identity: This connector's number in its orders' ids, and with it `run` from `Journal.begin`; 0: ids of the old
            form.
        order_id_max: Larger ids of bots' orders do not fit the exchange's ids.
        by_totals: The exchange tells no executions with ids, but what each order has executed in all
            (`Report.totals`). Its modifications must leave an order what it is (`Instrument.replaces`).
        to_exchange: Gives a moment of our clock by the exchange's, as well as that is known. Up to when executions are
            counted, and from when they are asked for, is by the exchange's clock; all else here is by ours.
    """

    def __init__(
        self,
        *,
        prefix: str,
        run: int,
        limits: AccountLimits,
        journal: Journal | None,
        emit: Callable[[str, Update], None],
        send: Callable[[Command], None],
        identity: int = 0,
        order_id_max: int = MAX_ORDER_ID,
        by_totals: bool = False,
        to_exchange: Callable[[int], int] = lambda now_ns: now_ns,
    ) -> None:
        self._emit = emit
        self._send = send
        self._out: deque[Sent] = deque()
        self._is_letting_out = False
        self._rewrite_after_ns = 0
        self._reused = 0
        self._look_after_ns = 0
        self.counters = Counters()
        self.store = Store(ClientIds(prefix, run, identity, order_id_max), journal, to_exchange)
        self.store.by_totals = by_totals
        self.commands = Commands(self.store, self._out)
        self.updates = Updates(self.store, self._out)
        self.refusals = Refusals()
        self._policy = limits.on_forced_close
        self._now_ns = 0
        self._requests = BotRequests(
            self.store, self.commands, self.updates, limits, self.counters, self.refusals
        )
        self._lease_ends = LeaseEnds(self.store, self.commands, self._requests, self.counters, self.refusals)
        forced = ForcedCloses(self.store, self.updates, self._lease_ends, limits, self.counters)
        self.strays = Strays(self.store, self.commands, self._out)
        self._reports = Reports(
            self.store,
            self.commands,
            self.updates,
            self._lease_ends,
            self.counters,
            self.refusals,
            forced,
            self.strays,
        )
        self._reconciler = AccountReconciler(self._reports, self.strays)
        self.money = Money(self.store, limits, self.counters)
        self._fills = Fills(self.store.bot, self.store.find, to_exchange, self.counters)
        self.refusals.on_counted = self.money.refused
        self.commands.on_unknown = self.money.unknown
        self._lease_ends.take_back = self._take_back

    # --- Instruments and bots -----------------------------------------------------------------------------------

    def add_instrument(self, instrument: Instrument) -> None:
        """Make an instrument known, or known anew (its filters changed); before anything else names it.

        What the journal holds in lots that do not fit those of today is left there, and the instrument is not traded.
        """
        self.store.add_instrument(instrument)
        ledger = self.store.ledgers[instrument.symbol]
        ledger.on_booked, ledger.on_fee = self._fills.booked, self._fills.fee
        self._requests.instrument_changed(instrument.symbol)

    def on_instruments(self, instruments: Sequence[Instrument], now_ns: int) -> None:
        """Instruments are described anew.

        The orders of one whose steps have changed are cancelled: bots and exchange do not mean the same by its prices
        and quantities any more. What the journal has of one that was not listed until now is seen to like all else when
        the exchange can be reached.
        """
        listed = [one.symbol for one in instruments if one.symbol not in self.store.ledgers]
        for one in instruments:
            self.add_instrument(one)
            if one.trouble == STEPS_CHANGED:
                self._lease_ends.cancel_all(one.symbol, REASON_NOT_TRADING, now_ns)
        if self.commands.is_up and not set(listed).isdisjoint(self.symbols()):
            self.store.want(now_ns)
            for order in [one for one in self.store.alive.values() if one.symbol in listed]:
                self._lease_ends.adopted(order, now_ns)
                self.commands.work_off(order, now_ns)
        self._let_out(now_ns)

    def symbols(self) -> list[str]:
        """The instruments that orders, positions or the journal name: those to ask about at a start.

        What the journal names and the exchange does not list can't be asked about (`Store.waiting_symbols`).
        """
        return sorted(
            ledger.symbol
            for ledger in self.store.ledgers.values()
            if ledger.books or ledger.other_lots or ledger.last_execution_ns
        )

    def is_ours(self, client_id: str) -> bool:
        """Whether an order is this connector's."""
        return self.store.is_ours(client_id)

    def on_stray(self, symbol: str, client_id: str, exch_order_id: str, now_ns: int) -> None:
        """An open order of ours that can't be taken over as it is: it is cancelled."""
        order = self.store.find(client_id)
        if order is not None and not order.finished_ns:
            self.commands.want_cancel(order, now_ns)
        elif self.store.is_ours(client_id):
            self.strays.add(symbol, client_id, exch_order_id, "it can't be taken over", now_ns)
        self._let_out(now_ns)

    def attach(
        self, bot: str, instruments: Sequence[int], limits: BotLimits, on_end: str, now_ns: int
    ) -> list[Update]:
        """A bot has a lease. Returns what it is told: its open orders and its State in each instrument.

        Raises:
            RefusedError: Another bot has the same hash in its orders' ids, or a limit on losses does not name the
                asset in which an instrument settles.
        """
        self._begin(now_ns)
        self.money.check(limits, [self.store.by_number[number] for number in instruments])
        self._lease_ends.attach(bot, instruments, limits, on_end, now_ns)
        self._look_at_money(self.money.look, now_ns)
        if not all(self.store.by_number[number].has_holding for number in instruments):
            self.store.want(now_ns)
        self._let_out(now_ns)
        return self.told(bot, now_ns)

    def told(self, bot: str, now_ns: int) -> list[Update]:
        """The same for a bot that is attached and asks again (Resync)."""
        return self._requests.told(bot, now_ns)

    def detach(self, bot: str, now_ns: int) -> None:
        """A bot's lease is over: apply its end policy."""
        self._lease_ends.detach(bot, now_ns)
        self._let_out(now_ns)

    def request(
        self,
        bot: str,
        message: wire.Submit | wire.Modify | wire.Cancel | wire.Inquire,
        now_ns: int,
        *,
        is_late: bool = False,
    ) -> None:
        """What a bot asks for. It is answered by `emit`, now or later.

        Args:
            bot: Its name.
            message: A new order or change that is late is refused; cancels and inquiries always pass.
            now_ns: Now.
            is_late: It waited too long to be what the bot still wants.
        """
        self._requests.take(bot, message, now_ns, is_late)
        self._let_out(now_ns)

    # --- What the venue says ------------------------------------------------------------------------------------

    def on_outcome(self, outcome: Outcome, now_ns: int) -> None:
        """How a command ended."""
        if outcome.request in self.strays.requests:
            self.strays.take(outcome, now_ns)
        else:
            self._reports.take_outcome(outcome, now_ns)
        self._let_out(now_ns)

    def on_report(self, report: Report, now_ns: int) -> None:
        """What the exchange said by itself."""
        self._reports.take_report(report, now_ns)
        self._let_out(now_ns)

    # --- The rest -----------------------------------------------------------------------------------------------

    def on_holding(self, holding: Holding, now_ns: int) -> None:
        """The account's position in an instrument."""
        self._reconciler.on_holding(holding, now_ns)
        self._let_out(now_ns)

    def on_funds(self, funds: Funds | Transfer | Funding, now_ns: int) -> None:
        """What a spot account has of an asset, or that it, or a wallet, was changed by what is no execution."""
        if isinstance(funds, Funding):
            self.money.take_funding(funds)
        else:
            self._reconciler.on_funds(funds, now_ns)
        self._let_out(now_ns)

    def payments_since_ns(self) -> int:
        """From which exchange time on payments of funding are to be asked for."""
        return self.money.payments_since_ns()

    def on_payments(self, payments: Iterable[Funding], asked_ns: int, now_ns: int) -> None:
        """What the exchange lists of funding since `payments_since_ns`; it was asked at `asked_ns`."""
        self.money.take_payments(payments, self.store.to_exchange(asked_ns))
        self._let_out(now_ns)

    def on_connection(self, is_up: bool, now_ns: int) -> None:
        """Whether commands can be sent; False at the start. Call `reconcile` after each True."""
        self._begin(now_ns)
        if is_up:
            self._settle_first(now_ns)
            self.commands.went_up(now_ns)
            self.store.want(now_ns)
            self._lease_ends.went_up(now_ns)
        else:
            self.commands.is_up = False
        self._let_out(now_ns)

    def on_book(
        self, instrument: int, best_bid_tick: int, best_ask_tick: int, is_valid: bool, now_ns: int
    ) -> None:
        """The best prices, INVALID_MIN and INVALID_MAX where there are none, and whether they are worth anything."""
        ledger = self.store.by_number[instrument]
        ledger.best_bid_tick = best_bid_tick
        ledger.best_ask_tick = best_ask_tick
        if is_valid is not ledger.is_book_valid:
            ledger.is_book_valid = is_valid
            if not is_valid:
                self._lease_ends.pull_quotes(ledger, now_ns)
                self._let_out(now_ns)

    def executions_since_ns(self, symbol: str) -> int:
        """From which exchange time on a reconciliation needs the executions of an instrument."""
        return self.store.since_ns(symbol)

    def is_counted(self, symbol: str, trade_id: str, side: int) -> bool:
        """Whether an execution was counted, its fee included: whose it is need not be found out."""
        return self.store.trades.is_complete(symbol, trade_id, side)

    def reconcile_due_ns(self) -> int:
        """When the next reconciliation is wanted besides those after connects; NEVER if none is."""
        return self.store.reconcile_due_ns

    def reconcile(
        self,
        open_orders: Sequence[Report],
        executions: Sequence[Execution],
        holdings: Sequence[Holding],
        asked_ns: int,
        now_ns: int,
        *,
        unasked: Collection[str] = (),
        funds: Sequence[Funds] | None = None,
    ) -> Reconciliation:
        """Take over what the exchange says of the whole account.

        Args:
            open_orders: All open orders of the account.
            executions: Of all `symbols()` in which something can have changed, since `executions_since_ns`.
            holdings: Of all instruments with a position, or whose position is not told; all others are flat.
            asked_ns: When the first of these was asked for, on our clock.
            now_ns: Now.
            unasked: Instruments whose executions could not be fetched: nothing of them is concluded.
            funds: All balances of a spot account; None where there are positions instead.
        """
        result = self._reconciler.reconcile(
            open_orders, executions, holdings, asked_ns, now_ns, unasked, funds
        )
        self._look_at_money(self.money.look, now_ns)
        self._let_out(now_ns)
        return result

    def want_reconciliation(self, now_ns: int) -> None:
        """Have the exchange asked for the whole account soon: something may have passed us by."""
        self.store.want(now_ns)

    def tick(self, now_ns: int) -> int:
        """Do what is due: ask about unknown outcomes, repeat cancels, end what bots left. Returns when next."""
        self._begin(now_ns)
        for order in self.commands.due(now_ns):
            if order.finished_ns and order.hold_until_ns <= now_ns:
                self.counters.untold_executions += order.gap_lots
                self._reports.finish(order, now_ns)
            self.commands.work(order, now_ns)
        self.strays.tick(now_ns)
        if self.money.is_due(now_ns):
            self._look_at_money(self.money.look, now_ns)
        lease_ends_ns = self._lease_ends.tick(now_ns)
        self._look_for_another_exchange(now_ns)
        self.store.forget(now_ns)
        self._let_out(now_ns)
        self._rotate(now_ns)
        is_rotating = self.store.journal is not None and self.store.journal.is_rotating
        next_ns = min(self._fills.look(now_ns), now_ns + (ROTATE_EVERY_NS if is_rotating else REMEMBER_NS))
        return min(self.commands.next_due_ns(), lease_ends_ns, next_ns)

    def halt(self, reason: str, now_ns: int, *, by: str = "") -> status.Halted:
        """Cancel all orders and refuse new ones until `resume`; a restart of the connector stays halted.

        Args:
            reason: Why.
            now_ns: Now.
            by: The person who asks for it, for the journal.
        """
        self._lease_ends.halt(reason, now_ns, by=by)
        self._let_out(now_ns)
        return self._lease_ends.halted()

    def parameters_set(self, bot: str, values: str, by: str, now_ns: int) -> None:
        """Somebody set parameters of a bot, and it has taken them over; the journal has who."""
        self.store.note(ParametersSet(bot, values, by))
        self._let_out(now_ns)

    def resume(self, now_ns: int, *, by: str = "") -> status.Halted:
        """Take orders again, of all bots. Where a limit on losses was reached, what is lost counts from here.

        Args:
            now_ns: Now.
            by: The person who asks for it, for the journal.

        Raises:
            RefusedError: The journal can't be written: a restart would not know the orders.
        """
        journal = self.store.journal
        if journal is not None and journal.is_broken:
            self._rewrite_after_ns = now_ns
            self._rotate(now_ns)
            if journal.is_broken:
                raise RefusedError(
                    "the journal can't be written, so no orders are taken",
                    where=str(journal.path),
                    hint="make room on its disk, then resume",
                )
        limited = [bot.name for bot in self.store.bots.values() if bot.halt_reason]
        limited += [ACCOUNT] if self.store.halt_ends else []
        self._lease_ends.resume(by)
        for owner in limited:
            self.money.lifted(owner, now_ns)
        self._let_out(now_ns)
        return self._lease_ends.halted()

    def snapshot(self, now_ns: int) -> Snapshot:
        """What `hftd status` shows."""
        return take_snapshot(
            self.store, self.commands, self._requests, self.counters, self.refusals, self.money, now_ns
        )

    def fills(self) -> list[status.Fill]:
        """The last executions of all bots."""
        return self._fills.told()

    def warnings(self) -> Iterator[Warn]:
        """What needs a person."""
        yield from warnings_of(self.store, self.refusals, self._policy, self._now_ns)
        yield from self.store.wallet.warnings(self._now_ns)
        yield from self.strays.warnings()
        yield from self.money.warnings(self._now_ns)

    def unfinished(self) -> int:
        """How much of what was sent, or is to be cancelled or flattened, has no answer yet."""
        left = sum(1 for order in self.store.alive.values() if order.cancel_wanted)
        return len(self.commands.in_flight) + left + self._lease_ends.unfinished()

    def _look_for_another_exchange(self, now_ns: int) -> None:
        """Executions with ids of others are not counted, so positions are not known: nothing is traded on them."""
        reused, self._reused = self._reused, self.store.trades.reused
        if self._reused > reused and not self.store.halt_reason:
            _log.error("journal_ids_conflict")
            self._lease_ends.halt(
                "the journal is of another exchange, or of one that began its ids anew", now_ns
            )

    def _begin(self, now_ns: int) -> None:
        store = self.store
        self._now_ns = now_ns
        if store.birth_ns == 0:
            store.begin(now_ns)
            if store.settled_ns == 0:
                store.settled(store.to_exchange(now_ns))

    def _settle_first(self, now_ns: int) -> None:
        """With the first connection it is known how the exchange's clock goes, which was a guess so far."""
        store = self.store
        begin_ns = store.to_exchange(now_ns if store.is_restored else store.birth_ns)
        if not self.counters.reconciliations and store.settled_ns != begin_ns:
            if not store.is_restored or store.settled_ns > begin_ns:
                store.settled(begin_ns)

    # --- Letting out --------------------------------------------------------------------------------------------

    def _let_out(self, now_ns: int) -> None:
        """Write what changed, then let out what follows; what comes back meanwhile waits for its turn."""
        if self._is_letting_out:
            return
        self._is_letting_out = True
        out = self._out
        try:
            while True:
                if self.money.has_news:
                    self._look_at_money(self.money.judge, now_ns)
                if now_ns >= self.refusals.write_ns:
                    for bot, symbol, reason, count in self.refusals.to_write(now_ns):
                        self.store.note(Refused("", bot, symbol, "", reason, 0, "", count))
                if self.store.is_dirty:
                    try:
                        self.store.write(now_ns)
                    except OSError as error:
                        self._journal_failed(error, now_ns)
                if not out:
                    return
                item = out.popleft()
                if isinstance(item, tuple):
                    if self.store.bots[item[0]].is_attached:
                        self._emit(*item)
                else:
                    self._send(item)
        finally:
            self._is_letting_out = False

    def _journal_failed(self, error: OSError, now_ns: int) -> None:
        """Nothing new is sent that is not written: the account is halted, and what waits is refused."""
        self.counters.journal_errors += 1
        _log.error("journal_not_written", error=error.strerror)
        self._take_back(now_ns, "", also_closing=True)
        if not self.store.halt_reason:
            self._lease_ends.halt("the journal can't be written", now_ns)

    def _take_back(self, now_ns: int, bot: str, *, also_closing: bool = False) -> None:
        """Refuse new orders and changes that are not sent yet, of all or of one bot."""
        in_flight = self.commands.in_flight
        waiting = [
            item
            for item in self._out
            if isinstance(item, Submit | Modify)
            and (not bot or in_flight[item.request][1].bot == bot)
            and (also_closing or not in_flight[item.request][1].reduce_only)
        ]
        for command in waiting:
            self._out.remove(command)
        for command in waiting:
            found = self.commands.take(command.request)
            if found is not None:
                outcome = Outcome(command.request, REFUSED, REASON_NEVER_SENT)
                (self._reports.submitted if found[0] == SUBMIT else self._reports.modified)(
                    found[1], outcome, now_ns
                )

    def _look_at_money(self, look: Callable[[int], list[Breach]], now_ns: int) -> None:
        """Halt whoever has reached a limit, and all if that can't be found out."""
        try:
            found = look(now_ns)
        except Exception:
            _log.exception("profit_failed")
            found = self.money.failed()
        for one in found:
            bot = self.store.bots.get(one.owner)
            is_known = bool(bot.halt_reason) if bot is not None else self.store.halt_ends
            if is_known or (self.store.halt_reason and not self.store.halt_ends):
                # A person has halted: it is judged again when that is over.
                continue
            self._lease_ends.halt(one.words, now_ns, one.owner, ends=True)
            _log.error("halted_by_limit", whose=one.owner or "the account", why=one.words)
            if bot is not None and bot.symbols:
                ledger = self.store.ledgers[bot.symbols[0]]
                words = f"halted: {one.words}"
                self.updates.notice(bot.name, ledger, wire.NOTICE_REFUSED, REASON_HALTED, words)

    def _rotate(self, now_ns: int) -> None:
        journal = self.store.journal
        if journal is None:
            return
        if now_ns >= self._look_after_ns:
            self._look_after_ns = now_ns + LOOK_PAUSE_NS
            if not journal.is_broken and not journal.look():
                _log.error("journal_file_removed", journal=str(journal.path))
        if now_ns < self._rewrite_after_ns:
            return
        store = self.store
        try:
            if journal.is_broken:
                journal.rewrite(store.rows(), now_ns)
                store.closed = 0
            elif journal.is_rotating:
                journal.go_on()
            elif journal.is_full or store.closed >= journal.rotate_orders:
                store.closed = 0
                journal.rotate(checkpoint(store), now_ns)
        except OSError as error:
            self.counters.journal_errors += 1
            self._rewrite_after_ns = now_ns + REWRITE_PAUSE_NS
            _log.error("journal_not_rewritten", error=error.strerror)
            if not journal.is_broken:
                journal.troubles.not_rotated = error.strerror or str(error)
                # Whatever it was full of, it is tried again.
                store.closed = max(store.closed, journal.rotate_orders)
            if journal.is_broken and not store.halt_reason:
                self._lease_ends.halt("the journal can't be written", now_ns)
                self._let_out(now_ns)
