"""What the venue says, and what follows from it: for the order, its bot, the books, and what is asked next.

An outcome ends a command; a report is news of an order, from whatever side; an execution is counted once. Each becomes
a change of the order (`order.py`), and `_changed` is the one place that acts on changes.
"""

from typing import Final

import msgspec
import structlog

from daemon.messages import CONFIRMED, REFUSED, UNKNOWN, Execution, Outcome, Report, Totals
from daemon.orders.commands import CANCEL, GRACE_NS, MODIFY, QUERY, SUBMIT, Commands, Strays
from daemon.orders.ids.trades import FEE_ONLY, NEW_TRADE, OLD_TRADE, Traded
from daemon.orders.journal import Refused
from daemon.orders.lease_end import LeaseEnds
from daemon.orders.order import (
    CHANGED,
    DONE,
    FINISHED,
    LIVE,
    MODIFIED,
    NEVER,
    REVIVED,
    SURE,
    UNSURE,
    Modification,
    Order,
    apply_execution,
    apply_report,
    check_filled,
    confirm_modify,
    confirm_submit,
    give_up,
    refuse_submit,
)
from daemon.orders.positions import ForcedCloses
from daemon.orders.quality.outcomes import Outcomes
from daemon.orders.replacing import as_one, count_execution
from daemon.orders.snapshot import ORDINARY, Counters, Refusals
from daemon.orders.state import Store
from daemon.orders.updates import Updates
from hftd import wire
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

HOLD_NS: Final = 5_000_000_000
"""How long the end of an order is kept from its bot while executions of it are missing."""
LINGER_NS: Final = 1_000_000_000
"""An order that can't rest and does so that long is asked about."""
SURE_TRIES: Final = 2
"""An order that was at the exchange must be unknown to it more often than that before it is given up."""
WORDS_MAX: Final = 500
"""Of a refusal's words the journal keeps so many characters."""
_HARMLESS: Final = frozenset(
    (REASON_DISCONNECTED, REASON_NEVER_SENT, REASON_RATE_LIMIT, REASON_FILTER, REASON_MARGIN)
)
"""Refusals of a modification that leave the order as it was."""

_NOT_ASKED: Final = frozenset((REASON_DISCONNECTED, REASON_NEVER_SENT, REASON_RATE_LIMIT))
"""Why a request did not get to the exchange."""

_NAMES: Final = {SUBMIT: "new", MODIFY: "modify", CANCEL: "cancel", QUERY: "query"}

_log = structlog.get_logger("hftd.orders")


class Reports:
    """Takes what the venue says of orders and executions; see the module."""

    def __init__(
        self,
        store: Store,
        commands: Commands,
        updates: Updates,
        lease_ends: LeaseEnds,
        counters: Counters,
        refusals: Refusals,
        forced: ForcedCloses,
        strays: Strays,
    ) -> None:
        self.store = store
        self.commands = commands
        self.updates = updates
        self.counters = counters
        self.forced = forced
        self._strays = strays
        self._lease_ends = lease_ends
        self._refusals = refusals
        self._outcomes = Outcomes()

    # --- Outcomes -----------------------------------------------------------------------------------------------

    def take_outcome(self, outcome: Outcome, now_ns: int) -> None:
        """How a command ended."""
        found = self.commands.take(outcome.request)
        if found is None:
            # It was given up before; what it says is news all the same.
            self.counters.late_outcomes += 1
            if outcome.report is not None:
                self.take_report(outcome.report, now_ns)
            return
        kind, order, sent_ns = found
        bot = self.store.bots.get(order.bot)
        if kind != QUERY and bot is not None:
            bot.latencies.answered(outcome, sent_ns, now_ns, self.store.to_exchange)
        if outcome.kind == REFUSED:
            self._note_refusal(kind, order, outcome, now_ns)
        if outcome.kind == UNKNOWN and kind in (SUBMIT, MODIFY):
            self.commands.on_unknown(order.bot, now_ns)
        if kind == SUBMIT:
            self.submitted(order, outcome, now_ns)
        elif kind == MODIFY:
            self.modified(order, outcome, now_ns)
        elif kind == CANCEL:
            self._cancelled(order, outcome, now_ns)
        else:
            self._answered(order, outcome, now_ns)

    def _note_refusal(self, kind: int, order: Order, outcome: Outcome, now_ns: int) -> None:
        """Keep the words of a refusal, and tell them to the bot before what comes of it."""
        if kind != SUBMIT and kind != MODIFY:
            if not outcome.code or outcome.reason == REASON_UNKNOWN_ORDER:
                # That there is no such order, and that there is no connection, are answers in the course of asking.
                return
        elif outcome.reason not in ORDINARY and (outcome.code or outcome.reason not in _NOT_ASKED):
            # What closes a position for a bot is not the bot's.
            if not order.reduce_only:
                self._refusals.on_counted(order.bot, now_ns)
        what = _NAMES[kind]
        if kind != QUERY:
            words = outcome.message[:WORDS_MAX]
            told = order.client_id, order.bot, order.symbol, what, outcome.reason, outcome.code, words
            self.store.note(Refused(*told))
        self._refusals.note(
            order.bot,
            order.symbol,
            outcome.reason,
            now_ns,
            order_id=order.order_id,
            what=what,
            outcome=outcome,
        )
        if outcome.message and outcome.reason not in ORDINARY and self.updates.is_heard(order):
            words = f"{outcome.message}; {outcome.hint}" if outcome.hint else outcome.message
            ledger = self.store.ledgers[order.symbol]
            self.updates.notice(
                order.bot,
                ledger,
                wire.NOTICE_REFUSED,
                outcome.reason,
                words,
                order_id=order.order_id,
                code=outcome.code,
            )

    def submitted(self, order: Order, outcome: Outcome, now_ns: int) -> None:
        """How sending a new order ended."""
        order.submit_request = 0
        if outcome.report is not None:
            self.take_report(outcome.report, now_ns)
        if outcome.kind == CONFIRMED:
            self._changed(order, confirm_submit(order, outcome.exch_ns, now_ns), now_ns)
            if order.status != NONE:
                order.submit_phase = DONE
        elif outcome.kind == REFUSED and outcome.reason != REASON_DUPLICATE:
            changed = refuse_submit(order, outcome.reason, outcome.exch_ns, now_ns)
            if not changed and not order.finished_ns:
                # It lives, and was refused? It may have ended meanwhile.
                self.commands.ask(order, now_ns)
            self._changed(order, changed, now_ns)
        elif not order.finished_ns and order.status == NONE:
            # Unknown, or its id is taken, and by nobody but itself: sent twice.
            order.submit_phase = UNSURE
            self.store.touch(order)
            self.commands.ask(order, now_ns)
        self.commands.work(order, now_ns)

    def modified(self, order: Order, outcome: Outcome, now_ns: int) -> None:
        """How a modification ended."""
        modify = order.modify
        is_open = modify is not None and modify.request == outcome.request
        report = outcome.report
        if outcome.former is not None and outcome.kind == CONFIRMED:
            # Another one took its place: what it executed counts, and not its end.
            self.take_report(msgspec.structs.replace(outcome.former, status=NONE), now_ns)
        if report is not None:
            if is_open and modify is not None and outcome.kind == CONFIRMED and _is_alive(report):
                # What the exchange made of it.
                seen = as_one(order, report) if self._replaces(order) else report
                modify.price_tick, modify.qty_lots = seen.price_tick, seen.qty_lots
            self.take_report(report, now_ns)
            is_open = is_open and order.modify is modify
        if (
            is_open
            and modify is not None
            and modify.replaces
            and outcome.kind == CONFIRMED
            and report is None
        ):
            # Which order there is now is not told.
            modify.phase = UNSURE
            self.store.touch(order)
            self.commands.ask(order, now_ns)
        elif outcome.kind == CONFIRMED:
            if is_open and not order.finished_ns:
                self._changed(order, confirm_modify(order, outcome.exch_ns, now_ns), now_ns, modify)
        elif outcome.kind == REFUSED:
            if is_open:
                self._refuse_modify(order, outcome.reason, outcome.exch_ns, now_ns)
            if outcome.former is not None:
                # It was cancelled, and another one was not made.
                order.reason = order.reason or outcome.reason
                self.take_report(outcome.former, now_ns)
            is_harmless = is_open and outcome.reason in _HARMLESS and not self._replaces(order)
            if not order.finished_ns and not is_harmless:
                # What is refused may have ended the order, and what came through is contradicted.
                self.commands.ask(order, now_ns)
        elif is_open and modify is not None:
            modify.phase = UNSURE
            self.store.touch(order)
            self.commands.ask(order, now_ns)
        self.commands.work(order, now_ns)

    def _refuse_modify(self, order: Order, reason: int, exch_ns: int, now_ns: int) -> None:
        modify = order.modify
        assert modify is not None
        order.modify = None
        self.updates.refusal(order, modify.local_ts, reason, now_ns, exch_ns)
        self.store.touch(order)
        self._changed(order, check_filled(order, now_ns), now_ns)

    def _cancelled(self, order: Order, outcome: Outcome, now_ns: int) -> None:
        order.cancel_request = 0
        if outcome.report is not None:
            self.take_report(outcome.report, now_ns)
        if order.finished_ns:
            return
        if outcome.kind == REFUSED and outcome.reason == REASON_UNKNOWN_ORDER:
            # Finished, or not there yet.
            if order.submit_phase == DONE and order.cancel_sent_ns < order.terms_ns:
                order.cancel_due_ns = now_ns
            else:
                self.commands.retry_cancel(order, now_ns)
            self.commands.ask(order, now_ns)
        else:
            self.commands.retry_cancel(order, now_ns)
            if outcome.kind == CONFIRMED:
                self.commands.ask(order, now_ns + LINGER_NS)
        self.commands.work(order, now_ns)

    def _answered(self, order: Order, outcome: Outcome, now_ns: int) -> None:
        order.query_request = 0
        asked_ns = order.query_sent_ns
        if outcome.report is not None:
            self.take_report(outcome.report, now_ns, asked_ns)
        if order.finished_ns:
            return
        is_unknown = outcome.kind == REFUSED and outcome.reason == REASON_UNKNOWN_ORDER
        modify = order.modify
        if outcome.kind == CONFIRMED and outcome.report is not None:
            self._settle(order, asked_ns, now_ns)
        elif modify is not None and modify.client_id:
            # What is to take its place and what stands there are asked for in turn (`Commands.names`).
            was_new = not order.query_tries & 1
            self.commands.retry_query(order, now_ns)
            if is_unknown and was_new and modify.phase == UNSURE and asked_ns - modify.sent_ns >= GRACE_NS:
                self._refuse_modify(order, REASON_NEVER_SENT, 0, now_ns)
                self.commands.ask(order, now_ns)
        elif (
            is_unknown
            and asked_ns - max(order.submitted_ns, order.seen_ns) >= GRACE_NS
            and (order.status == NONE or order.query_tries >= SURE_TRIES)
        ):
            _log.warning("order_unknown_to_exchange", client_id=order.client_id, bot=order.bot)
            reason = REASON_NEVER_SENT if order.status == NONE else REASON_UNKNOWN_ORDER
            self._changed(order, give_up(order, reason, now_ns), now_ns, is_unknown=True)
        else:
            self.commands.retry_query(order, now_ns)
        self.commands.work(order, now_ns)

    def _settle(self, order: Order, asked_ns: int, now_ns: int) -> None:
        """The exchange has answered how an order is; whether everything about it is known now."""
        modify = order.modify
        if modify is not None and modify.phase == UNSURE:
            # What is to take its place is asked for by its own client id, if it has one.
            if asked_ns - modify.sent_ns >= GRACE_NS and not modify.client_id:
                self._refuse_modify(order, REASON_NEVER_SENT, 0, now_ns)
            else:
                self.commands.retry_query(order, now_ns)
        elif not order.rests:
            self.commands.retry_query(order, now_ns)
        else:
            order.query_tries = 0
        if order.modify is not None and order.modify.replaces:
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
        order = self.store.find(report.client_id)
        execution = report.execution
        if order is None:
            self._unknown(report, now_ns)
            return
        if report.is_off_grid and not order.finished_ns:
            self.store.off_grid.add(order.client_id)
        modify = order.modify
        if modify is not None and asked_ns and modify.sent_ns >= asked_ns:
            # Asked before it was sent, so it says nothing of it.
            asked_ns = 0
        if self._replaces(order):
            report = as_one(order, report, asked_ns)
        if report.totals is not None:
            execution = self._count_totals(order, report, report.totals, now_ns)
        changed = apply_report(order, report, now_ns, asked_ns)
        if execution is None or self._execute(
            order, execution, report.has_fee, changed, now_ns, modify
        ) not in (NEW_TRADE, FEE_ONLY):
            self._changed(order, changed, now_ns, modify)

    def _count_totals(self, order: Order, report: Report, totals: Totals, now_ns: int) -> Execution | None:
        """The execution that the totals tell of beyond what was counted, if there is one.

        Reports that come again or late tell of less, or of nothing; the same quantity with another fee is a fee that
        was not known yet.
        """
        lots = report.cum_lots - order.done_lots
        fee = totals.fee - order.fee
        if lots < 0 or (lots == 0 and (fee == 0.0 or report.exch_ns < order.exch_ns)):
            return None
        ledger = self.store.ledgers[order.symbol]
        value = totals.avg_price * report.cum_lots - order.value
        price = value / lots if lots and value > 0.0 else totals.avg_price
        execution = Execution(
            symbol=order.symbol,
            trade_id=f"{order.client_id}#{report.cum_lots}",
            client_id=order.client_id,
            exch_order_id=report.exch_order_id,
            side=order.side,
            price_tick=round(price * ledger.tick_den / ledger.tick_num),
            qty_lots=lots,
            is_maker=totals.is_maker,
            fee=fee,
            fee_asset=totals.fee_asset,
            exch_ns=report.exch_ns,
            price=price,
        )
        order.fee = totals.fee
        if lots:
            order.value = totals.avg_price * report.cum_lots
            return execution
        book = ledger.book(order.bot)
        ledger.count_fee(book, execution, now_ns)
        self.store.traded(book, Traded.of(execution, True, order.client_id, order.bot))
        self.store.touch(order)
        self.updates.state(order)
        return None

    def _execute(
        self,
        order: Order,
        execution: Execution,
        has_fee: bool,
        changed: int,
        now_ns: int,
        modify: Modification | None,
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
            store.traded(book, Traded.of(execution, True, order.client_id, order.bot))
            self._changed(order, changed, now_ns, modify)
            self.updates.state(order)
            return known
        if known != NEW_TRADE:
            self.counters.repeated_executions += 1
            return known
        ledger.count(book, execution, has_fee, now_ns)
        store.traded(book, Traded.of(execution, has_fee, order.client_id, order.bot))
        if ledger.instrument.replaces:
            count_execution(order, execution)
        more = apply_execution(
            order,
            execution.qty_lots,
            execution.price_tick,
            execution.is_maker,
            now_ns,
            may_be_written_off=not store.by_totals,
        )
        # The execution is told before what comes of it, and makes a first NEW needless.
        self._changed(order, (changed | more) & ~LIVE, now_ns, modify, execution)
        if changed & LIVE:
            self.commands.confirm_submit(order, now_ns)
        return known

    def _changed(
        self,
        order: Order,
        changed: int,
        now_ns: int,
        modify: Modification | None = None,
        execution: Execution | None = None,
        *,
        is_unknown: bool = False,
    ) -> None:
        """Tell and do what follows from a change of an order; `is_unknown`: it was given up."""
        if not changed:
            return
        store, updates = self.store, self.updates
        if not changed & FINISHED:
            self._outcomes.changed(order, is_sure=order.sure == SURE)
        if changed & REVIVED:
            self._revived(order, now_ns)
        if changed & FINISHED:
            store.finished(order, now_ns)
            self._outcomes.ended(store.bots[order.bot], order, is_unknown=is_unknown)
        store.touch(order)
        if changed & MODIFIED and not order.finished_ns:
            store.off_grid.discard(order.client_id)
            self._tell_modified(order, modify, now_ns)
        if execution is not None:
            updates.execution(order, execution.exch_ns, now_ns)
        elif changed & LIVE:
            if order.rests:
                updates.order(order, now_ns)
            else:
                self.commands.ask(order, now_ns + LINGER_NS)
        store.note_gap(order, now_ns)
        if order.finished_ns:
            self.finish(order, now_ns)
        elif changed & LIVE:
            self.commands.confirm_submit(order, now_ns)

    def _tell_modified(self, order: Order, modify: Modification | None, now_ns: int) -> None:
        if modify is not None and order.modify is None:
            self.updates.answer(order, modify.local_ts, now_ns)
        else:
            self.updates.order(order, now_ns)

    def finish(self, order: Order, now_ns: int) -> None:
        """Tell the end, now or when its executions are all there."""
        if order.told:
            # Its last execution told it, maybe while its end was held back for that one.
            order.hold_until_ns = NEVER
            self._lease_ends.order_ended(order, now_ns)
        elif order.gap_lots <= 0 or order.hold_until_ns <= now_ns:
            order.hold_until_ns = NEVER
            self.updates.end(order, now_ns)
            self._lease_ends.order_ended(order, now_ns)
        elif order.hold_until_ns == NEVER:
            order.hold_until_ns = now_ns + HOLD_NS
            self.commands.arm(order)

    def _revived(self, order: Order, now_ns: int) -> None:
        """It had been given up, its bot was told so, and it lives: it must go."""
        self.counters.revived += 1
        self.store.revived(order)
        _log.warning("abandoned_order_alive", client_id=order.client_id, bot=order.bot)
        order.reason = REASON_NEVER_SENT
        self.commands.want_cancel(order, now_ns)

    def _unknown(self, report: Report, now_ns: int) -> None:
        """A report about an order that is not known: somebody else's, or one of ours of long ago."""
        execution = report.execution
        ours = self.store.read_own(report.client_id)
        if ours is None:
            self.counters.foreign_reports += 1
            self._strays.heard(report, now_ns)
        if execution is not None:
            self.count_apart(execution, report.has_fee, now_ns)
        elif report.forced_lots:
            self.forced.heard(report, now_ns)
        if ours is not None and _is_alive(report):
            # It may be alive: whether it is, the list of open orders says.
            self.store.want(now_ns)

    def count_apart(self, execution: Execution, has_fee: bool, now_ns: int) -> bool:
        """Count an execution whose order is not known: for the bot that its id names, or for nobody."""
        store = self.store
        ledger = store.ledgers.get(execution.symbol)
        if ledger is None or execution.symbol in store.unfit:
            # What the journal has of it is in other lots: it is counted when these fit again.
            return False
        # Whose the first, short form of it was is known, if the exchange finds the order no more.
        client_id = execution.client_id or store.trades.whose(
            execution.symbol, execution.trade_id, execution.side
        )
        ours = store.read_own(client_id)
        if execution.exch_ns < store.since_ns(execution.symbol):
            # From before this account was looked after.
            self.counters.old_executions += 1
            return False
        known = store.trades.note(
            execution.symbol, execution.trade_id, execution.exch_ns, has_fee, execution.side, client_id
        )
        if known not in (NEW_TRADE, FEE_ONLY):
            if known == OLD_TRADE:
                self.counters.old_executions += 1
            else:
                self.counters.repeated_executions += 1
            return False
        if execution.is_forced and ours is None:
            if known == NEW_TRADE:
                self.forced.execution(ledger, execution, has_fee, now_ns)
            else:
                self.forced.fee(ledger, execution, now_ns)
            return known == NEW_TRADE
        book = None
        if ours is not None:
            bot = store.bot(store.bot_of_hash(ours.bot))
            book = ledger.book(bot.name)
        else:
            self.counters.foreign_executions += 1
        if known == NEW_TRADE:
            ledger.count(book, execution, has_fee, now_ns)
        elif book is not None:
            ledger.count_fee(book, execution, now_ns)
        store.traded(book, Traded.of(execution, has_fee, bot=book.bot if book is not None else ""))
        if book is not None:
            self.updates.account(book.bot, ledger)
        elif known == NEW_TRADE:
            self.forced.by_hand(ledger, execution, now_ns)
        return known == NEW_TRADE

    # --- For the reconciliation ---------------------------------------------------------------------------------

    def take_execution(self, order: Order, execution: Execution, now_ns: int) -> bool:
        """An execution that the exchange lists; whether it was missed."""
        # Lists of executions may name the order by the exchange's id alone.
        named = msgspec.structs.replace(execution, client_id=order.client_id)
        return self._execute(order, named, True, 0, now_ns, order.modify) == NEW_TRADE

    def written_off(self, order: Order, now_ns: int) -> None:
        """An order's missing executions were given up."""
        self._changed(order, CHANGED | check_filled(order, now_ns), now_ns)

    def adopted(self, order: Order, now_ns: int) -> None:
        """An order was found at the exchange."""
        if not order.finished_ns:
            self._lease_ends.adopted(order, now_ns)


def _is_alive(report: Report) -> bool:
    return report.status in (NEW, PARTIALLY_FILLED)
