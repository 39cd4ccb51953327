"""What the venue says, and what follows from it: for the order, its bot, the books, and what is asked next.

An outcome ends a command; a report is news of an order, from whatever side; an execution is counted once. Each becomes
a change of the order (`machine.py`), and `_changed` is the one place that acts on changes.
"""

from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from daemon.orders.account import FEE_ONLY, NEW_TRADE, OLD_TRADE
from daemon.orders.courier import AMEND, GRACE_NS, PLACE, QUERY, WITHDRAW, Courier
from daemon.orders.ending import Endings
from daemon.orders.forced import ForcedCloses
from daemon.orders.journal import Traded
from daemon.orders.machine import (
    AMENDED,
    CHANGED,
    DONE,
    FINISHED,
    LIVE,
    NEVER,
    REVIVED,
    UNSURE,
    Amendment,
    Order,
    apply_execution,
    apply_report,
    check_filled,
    confirm_amend,
    confirm_place,
    give_up,
    refuse_place,
)
from daemon.orders.messages import CONFIRMED, REFUSED, Execution, Outcome, Report
from daemon.orders.refusals import ORDINARY, Refusals
from daemon.orders.replacing import as_one, count_execution
from daemon.orders.snapshot import Counters
from daemon.orders.store import Store
from daemon.orders.telling import Teller
from hftd.channel import wire
from hftd.constants import (
    NEW,
    NONE,
    PARTIALLY_FILLED,
    REASON_DISCONNECTED,
    REASON_DUPLICATE,
    REASON_FILTER,
    REASON_MARGIN,
    REASON_NEVER_SENT,
    REASON_RATE_LIMIT,
    REASON_UNKNOWN_ORDER,
)

if TYPE_CHECKING:
    from daemon.orders.reconcile import Reconciler

HOLD_NS: Final = 5_000_000_000
"""How long the end of an order is kept from its bot while executions of it are missing."""
LINGER_NS: Final = 1_000_000_000
"""An order that can't rest and does so that long is asked about."""
SURE_TRIES: Final = 2
"""An order that was at the exchange must be unknown to it more often than that before it is given up."""
_HARMLESS: Final = frozenset(
    (REASON_DISCONNECTED, REASON_NEVER_SENT, REASON_RATE_LIMIT, REASON_FILTER, REASON_MARGIN)
)
"""Refusals of a modification that leave the order as it was."""

_WHAT: Final = {PLACE: "new", AMEND: "modify", WITHDRAW: "cancel", QUERY: "query"}

_log = structlog.get_logger("hftd.orders")


class News:
    """See the module."""

    def __init__(
        self,
        store: Store,
        courier: Courier,
        teller: Teller,
        endings: Endings,
        counters: Counters,
        refusals: Refusals,
        forced: ForcedCloses,
    ) -> None:
        self.store = store
        self.courier = courier
        self.teller = teller
        self.counters = counters
        self.forced = forced
        self._endings = endings
        self._refusals = refusals
        self._reconciler: Reconciler

    def bind(self, reconciler: "Reconciler") -> None:
        """Whom to tell that executions are missing."""
        self._reconciler = reconciler

    # --- Outcomes -----------------------------------------------------------------------------------------------

    def take_outcome(self, outcome: Outcome, now_ns: int) -> None:
        """How a command ended."""
        found = self.courier.take(outcome.request)
        if found is None:
            # It was given up before; what it says is news all the same.
            self.counters.late_outcomes += 1
            if outcome.report is not None:
                self.take_report(outcome.report, now_ns)
            return
        kind, order = found
        if outcome.kind == REFUSED:
            self._note_refusal(kind, order, outcome, now_ns)
        if kind == PLACE:
            self.placed(order, outcome, now_ns)
        elif kind == AMEND:
            self.amended(order, outcome, now_ns)
        elif kind == WITHDRAW:
            self._withdrawn(order, outcome, now_ns)
        else:
            self._answered(order, outcome, now_ns)

    def _note_refusal(self, kind: int, order: Order, outcome: Outcome, now_ns: int) -> None:
        """Keep the words of a refusal, and tell them to the bot before what comes of it."""
        if kind != PLACE and kind != AMEND:
            if not outcome.code or outcome.reason == REASON_UNKNOWN_ORDER:
                # That there is no such order, and that there is no connection, are answers in the course of asking.
                return
        what = _WHAT[kind]
        self._refusals.note(
            order.bot,
            order.symbol,
            outcome.reason,
            now_ns,
            order_id=order.order_id,
            what=what,
            outcome=outcome,
        )
        if outcome.message and outcome.reason not in ORDINARY and self.teller.is_heard(order):
            words = f"{outcome.message}; {outcome.hint}" if outcome.hint else outcome.message
            ledger = self.store.ledgers[order.symbol]
            self.teller.notice(
                order.bot,
                ledger,
                wire.NOTICE_REFUSED,
                outcome.reason,
                words,
                order_id=order.order_id,
                code=outcome.code,
            )

    def placed(self, order: Order, outcome: Outcome, now_ns: int) -> None:
        """How sending a new order ended."""
        order.place_request = 0
        if outcome.report is not None:
            self.take_report(outcome.report, now_ns)
        if outcome.kind == CONFIRMED:
            self._changed(order, confirm_place(order, outcome.exch_ns, now_ns), now_ns)
            if order.status != NONE:
                order.place = DONE
        elif outcome.kind == REFUSED and outcome.reason != REASON_DUPLICATE:
            changed = refuse_place(order, outcome.reason, outcome.exch_ns, now_ns)
            if not changed and not order.finished_ns:
                # It lives, and was refused? It may have ended meanwhile.
                self.courier.ask(order, now_ns)
            self._changed(order, changed, now_ns)
        elif not order.finished_ns and order.status == NONE:
            # Unknown, or its id is taken, and by nobody but itself: sent twice.
            order.place = UNSURE
            self.store.touch(order)
            self.courier.ask(order, now_ns)
        self.courier.work(order, now_ns)

    def amended(self, order: Order, outcome: Outcome, now_ns: int) -> None:
        """How a modification ended."""
        amend = order.amend
        is_open = amend is not None and amend.request == outcome.request
        report = outcome.report
        if outcome.former is not None and outcome.kind == CONFIRMED:
            # Another one took its place: what it executed counts, and not its end.
            self.take_report(msgspec.structs.replace(outcome.former, status=NONE), now_ns)
        if report is not None:
            if is_open and amend is not None and outcome.kind == CONFIRMED and _is_alive(report):
                # What the exchange made of it.
                seen = as_one(order, report) if self._replaces(order) else report
                amend.price_tick, amend.qty_lots = seen.price_tick, seen.qty_lots
            self.take_report(report, now_ns)
            is_open = is_open and order.amend is amend
        if outcome.kind == CONFIRMED:
            if is_open and not order.finished_ns:
                self._changed(order, confirm_amend(order, outcome.exch_ns, now_ns), now_ns, amend)
        elif outcome.kind == REFUSED:
            if is_open:
                self._refuse_amend(order, outcome.reason, outcome.exch_ns, now_ns)
            if outcome.former is not None:
                # It was cancelled, and another one was not made.
                order.reason = order.reason or outcome.reason
                self.take_report(outcome.former, now_ns)
            is_harmless = is_open and outcome.reason in _HARMLESS and not self._replaces(order)
            if not order.finished_ns and not is_harmless:
                # What is refused may have ended the order, and what came through is contradicted.
                self.courier.ask(order, now_ns)
        elif is_open and amend is not None:
            amend.phase = UNSURE
            self.store.touch(order)
            self.courier.ask(order, now_ns)
        self.courier.work(order, now_ns)

    def _refuse_amend(self, order: Order, reason: int, exch_ns: int, now_ns: int) -> None:
        amend = order.amend
        assert amend is not None
        order.amend = None
        self.teller.refusal(order, amend.local_ts, reason, now_ns, exch_ns)
        self.store.touch(order)
        self._changed(order, check_filled(order, now_ns), now_ns)

    def _withdrawn(self, order: Order, outcome: Outcome, now_ns: int) -> None:
        order.cancel_request = 0
        if outcome.report is not None:
            self.take_report(outcome.report, now_ns)
        if order.finished_ns:
            return
        if outcome.kind == REFUSED and outcome.reason == REASON_UNKNOWN_ORDER:
            # Finished, or not there yet.
            if order.place == DONE and order.cancel_sent_ns < order.terms_ns:
                order.cancel_due_ns = now_ns
            else:
                self.courier.retry_cancel(order, now_ns)
            self.courier.ask(order, now_ns)
        else:
            self.courier.retry_cancel(order, now_ns)
            if outcome.kind == CONFIRMED:
                self.courier.ask(order, now_ns + LINGER_NS)
        self.courier.work(order, now_ns)

    def _answered(self, order: Order, outcome: Outcome, now_ns: int) -> None:
        order.query_request = 0
        asked_ns = order.query_sent_ns
        if outcome.report is not None:
            self.take_report(outcome.report, now_ns, asked_ns)
        if order.finished_ns:
            return
        if outcome.kind == CONFIRMED and outcome.report is not None:
            self._settle(order, asked_ns, now_ns)
        elif (
            outcome.kind == REFUSED
            and outcome.reason == REASON_UNKNOWN_ORDER
            and asked_ns - max(order.placed_ns, order.seen_ns) >= GRACE_NS
            and (order.status == NONE or order.query_tries >= SURE_TRIES)
        ):
            _log.warning("the exchange does not know an order", client_id=order.client_id, bot=order.bot)
            reason = REASON_NEVER_SENT if order.status == NONE else REASON_UNKNOWN_ORDER
            self._changed(order, give_up(order, reason, now_ns), now_ns)
        else:
            self.courier.retry_query(order, now_ns)
        self.courier.work(order, now_ns)

    def _settle(self, order: Order, asked_ns: int, now_ns: int) -> None:
        """The exchange has answered how an order is; whether everything about it is known now."""
        amend = order.amend
        if amend is not None and amend.phase == UNSURE:
            if asked_ns - amend.sent_ns >= GRACE_NS:
                self._refuse_amend(order, REASON_NEVER_SENT, 0, now_ns)
            else:
                self.courier.retry_query(order, now_ns)
        elif not order.rests:
            self.courier.retry_query(order, now_ns)
        else:
            order.query_tries = 0
        if order.amend is not None and order.amend.replaces:
            # Which of the two there is, is not known yet: cancels go on at their pace.
            return
        if order.cancel_wanted and order.cancel_request == 0 and not order.finished_ns:
            order.cancel_due_ns = min(order.cancel_due_ns, now_ns)

    def _replaces(self, order: Order) -> bool:
        """Whether modifications of the order end it at the exchange, and make another one."""
        return self.store.ledgers[order.symbol].instrument.replaces

    # --- What follows -------------------------------------------------------------------------------------------

    def take_report(self, report: Report, now_ns: int, asked_ns: int = 0) -> None:
        """What the exchange says of an order, by itself or (`asked_ns`) asked for."""
        order = self.store.orders.get(report.client_id)
        execution = report.execution
        if order is None:
            self._unknown(report, now_ns)
            return
        if report.is_off_grid and not order.finished_ns:
            self.store.off_grid.add(order.client_id)
        amend = order.amend
        if amend is not None and asked_ns and amend.sent_ns >= asked_ns:
            # Asked before it was sent, so it says nothing of it.
            asked_ns = 0
        if self._replaces(order):
            report = as_one(order, report, asked_ns)
        changed = apply_report(order, report, now_ns, asked_ns)
        if execution is None or self._execute(
            order, execution, report.has_fee, changed, now_ns, amend
        ) not in (NEW_TRADE, FEE_ONLY):
            self._changed(order, changed, now_ns, amend)

    def _execute(
        self,
        order: Order,
        execution: Execution,
        has_fee: bool,
        changed: int,
        now_ns: int,
        amend: Amendment | None,
    ) -> int:
        """Count an execution, if it is to be: NEW_TRADE, FEE_ONLY, KNOWN_TRADE or OLD_TRADE."""
        store = self.store
        known = store.trades.note(
            execution.symbol, execution.trade_id, execution.exch_ns, has_fee, execution.side, order.client_id
        )
        if known == OLD_TRADE:
            self.counters.old_executions += 1
            return known
        ledger = store.ledgers[order.symbol]
        book = ledger.book(order.bot)
        if known == FEE_ONLY:
            ledger.count_fee(book, execution, now_ns)
            store.traded(book, _traded(execution, order.client_id, True))
            self._changed(order, changed, now_ns, amend)
            self.teller.state(order)
            return known
        if known != NEW_TRADE:
            self.counters.repeated_executions += 1
            return known
        ledger.count(book, execution, has_fee, now_ns)
        store.traded(book, _traded(execution, order.client_id, has_fee))
        if ledger.instrument.replaces:
            count_execution(order, execution)
        more = apply_execution(order, execution.qty_lots, execution.price_tick, execution.is_maker, now_ns)
        # The execution is told before what comes of it, and makes a first NEW needless.
        self._changed(order, (changed | more) & ~LIVE, now_ns, amend, execution)
        if changed & LIVE:
            self.courier.confirm_place(order, now_ns)
        return known

    def _changed(
        self,
        order: Order,
        changed: int,
        now_ns: int,
        amend: Amendment | None = None,
        execution: Execution | None = None,
    ) -> None:
        """Tell and do what follows from a change of an order."""
        if not changed:
            return
        store, teller = self.store, self.teller
        if changed & REVIVED:
            self._revived(order, now_ns)
        if changed & FINISHED:
            store.finished(order, now_ns)
        store.touch(order)
        if changed & AMENDED and not order.finished_ns:
            store.off_grid.discard(order.client_id)
            self._tell_amended(order, amend, now_ns)
        if execution is not None:
            teller.execution(order, execution.exch_ns, now_ns)
        elif changed & LIVE:
            if order.rests:
                teller.order(order, now_ns)
            else:
                self.courier.ask(order, now_ns + LINGER_NS)
        self._reconciler.note_gap(order, now_ns)
        if order.finished_ns:
            self.finish(order, now_ns)
        elif changed & LIVE:
            self.courier.confirm_place(order, now_ns)

    def _tell_amended(self, order: Order, amend: Amendment | None, now_ns: int) -> None:
        if amend is not None and order.amend is None:
            self.teller.answer(order, amend.local_ts, now_ns)
        else:
            self.teller.order(order, now_ns)

    def finish(self, order: Order, now_ns: int) -> None:
        """Tell the end, now or when its executions are all there."""
        if order.told:
            # Its last execution told it, maybe while its end was held back for that one.
            order.hold_until_ns = NEVER
            self._endings.order_ended(order, now_ns)
        elif order.gap_lots <= 0 or order.hold_until_ns <= now_ns:
            order.hold_until_ns = NEVER
            self.teller.end(order, now_ns)
            self._endings.order_ended(order, now_ns)
        elif order.hold_until_ns == NEVER:
            order.hold_until_ns = now_ns + HOLD_NS
            self.courier.arm(order)

    def _revived(self, order: Order, now_ns: int) -> None:
        """It had been given up, its bot was told so, and it lives: it must go."""
        self.counters.revived += 1
        self.store.revived(order)
        _log.warning("an order that was given up is alive", client_id=order.client_id, bot=order.bot)
        order.reason = REASON_NEVER_SENT
        self.courier.want_cancel(order, now_ns)

    def _unknown(self, report: Report, now_ns: int) -> None:
        """A report about an order that is not known: somebody else's, or one of ours of long ago."""
        execution = report.execution
        ours = self.store.read_own(report.client_id)
        if ours is None:
            self.counters.foreign_reports += 1
            self._reconciler.heard(report, now_ns)
        if execution is not None:
            self._reconciler.count_apart(execution, report.has_fee, now_ns)
        elif report.forced_lots:
            self.forced.heard(report, now_ns)
        if ours is not None and _is_alive(report):
            # It may be alive: whether it is, the list of open orders says.
            self._reconciler.want(now_ns)

    # --- For the reconciliation ---------------------------------------------------------------------------------

    def take_execution(self, order: Order, execution: Execution, now_ns: int) -> bool:
        """An execution that the exchange lists; whether it was missed."""
        return self._execute(order, execution, True, 0, now_ns, order.amend) == NEW_TRADE

    def written_off(self, order: Order, now_ns: int) -> None:
        """An order's missing executions were given up."""
        self._changed(order, CHANGED | check_filled(order, now_ns), now_ns)

    def adopted(self, order: Order, now_ns: int) -> None:
        """An order was found at the exchange."""
        if not order.finished_ns:
            self._endings.adopted(order, now_ns)


def _is_alive(report: Report) -> bool:
    return report.status in (NEW, PARTIALLY_FILLED)


def _traded(execution: Execution, client_id: str, has_fee: bool) -> Traded:
    # The exchange's lists of executions do not name the order as we do.
    return Traded(
        execution.symbol,
        execution.trade_id,
        execution.exch_ns,
        has_fee,
        client_id,
        execution.side,
        execution.price_tick,
        execution.qty_lots,
        execution.fee,
        execution.is_maker,
    )
