"""One order: what is known of it, and what each message changes in that.

::

            submit ──► NONE ──────► NEW ──► PARTIALLY_FILLED ──┬─► FILLED
                        │            └──────────┬──────────────┤
                        │ refused               └──────────────┴─► CANCELED, EXPIRED
                        └─► REJECTED, EXPIRED

A status only goes to the right, executed quantities only grow, and a price and quantity are replaced only by ones that
are newer at the exchange. So reports come to the same in any order and any number of times.

Three requests may be under way at an order at once: one modification, one cancel, one query (and the submit itself).
Each ends confirmed, refused or unknown; what is unknown is asked for. The one thing that brings a finished order back
is evidence that it had been given up wrongly: refused or never found, and yet it shows up (`REVIVED`).
"""

from fractions import Fraction
from typing import Final

import msgspec

from daemon.messages import Report
from hftd.constants import (
    CANCELED,
    EXPIRED,
    FILLED,
    FOK,
    GTX,
    IOC,
    LIMIT,
    MARKET,
    NEW,
    NONE,
    PARTIALLY_FILLED,
    REASON_FOK,
    REASON_POST_ONLY,
    REJECTED,
)
from hftd.errors import DataError

NEVER: Final = (1 << 63) - 1
"""A time that does not come."""

# How far a request got.
SENT: Final = 1
UNSURE: Final = 2
DONE: Final = 3

# How sure the end of an order is: said by the exchange; concluded from its executions; concluded from a refusal or
# from the exchange's not finding it.
SURE: Final = 0
BY_EXECUTIONS: Final = 1
BY_ABSENCE: Final = 2

# What a message changed, as bits.
CHANGED: Final = 1
LIVE: Final = 2
"""It is known to be at the exchange, for the first time."""
MODIFIED: Final = 4
"""Its price and quantity are new: the modification's, or somebody else's."""
FINISHED: Final = 8
REVIVED: Final = 16
"""It was given up, and is alive."""


class Former(msgspec.Struct, array_like=True):
    """One of the exchange's orders that a modification has replaced.

    Attributes:
        cum_lots: What it executed, as the exchange says.
        executed_lots: What it executed, as counted from executions.
    """

    exch_order_id: str
    cum_lots: int
    executed_lots: int


class Modification(msgspec.Struct, array_like=True, kw_only=True):
    """A modification under way.

    Attributes:
        base_lots: What was executed when it was made; `qty_lots`, the total, counts from there on for the bot.
        local_ts: The bot's time of it.
        sent_ns: Our time of it.
        request: The command's number.
        phase: SENT or UNSURE.
        replaces: It ends the exchange's order and makes another one (`replacing.py`).
        client_id: What that one is called; empty: the same.
    """

    price_tick: int
    qty_lots: int
    base_lots: int
    local_ts: int
    sent_ns: int
    request: int
    phase: int = SENT
    replaces: bool = False
    client_id: str = ""


class Order(msgspec.Struct, array_like=True, kw_only=True, tag="order"):
    """All that is known of one order; the journal keeps it as it is.

    Attributes:
        bot: Whose it is; `order_id` is the bot's own id for it.
        price_tick: Its price at the exchange, as far as is known.
        qty_lots: Its total quantity there.
        local_ts: The time of the bot's request that its updates answer.
        submitted_ns: When it was sent, on our clock.
        submit_phase: SENT, UNSURE or DONE.
        cum_lots: Executed, as the exchange says. It never goes back.
        executed_lots: Executed, as counted from executions. Less than `cum_lots` while some are on their way.
        written_off_lots: Executed, but the exchange tells no execution.
        base_lots: What was executed before the last modification: a bot's quantities count from there.
        stays_partial: It was partly filled before a modification that kept its place.
        exec_lots: Lots of the last execution.
        exec_price_tick: Its price.
        maker: 1 if it made the market, 0 if it took.
        exch_ns: The newest time that the exchange said of it.
        terms_exch_ns: When its price and quantity became what they are; `terms_ns` when we heard it.
        seen_ns: When the exchange last said that it exists, on our clock.
        finished_ns: When it was known to be finished, 0 while it is not; `sure` tells how sure that is.
        told: The bot was told that it is finished.
        hold_until_ns: Until then the end is kept from the bot, since executions are missing; NEVER if none are.
        cancel_wanted: It is to be cancelled, and will be, however often it takes.
        cancel_ts: The time of the bot's request for that, 0 if it was not the bot's.
        reason: Why it ended, or is being cancelled.
        exposed_lots: What limits count for it.
        former: The exchange's orders that modifications replaced (`replacing.py`).
        live_id: Its client id at the exchange, if that is not `client_id` any more.
        other_ids: All client ids that it has, had or may get beside `client_id`.
        value: Lots times price of what was counted by totals (`Report.totals`).
        fee: Fees counted by totals.
    """

    client_id: str
    bot: str
    order_id: int
    symbol: str
    side: int
    order_type: int
    time_in_force: int
    reduce_only: bool
    price_tick: int
    qty_lots: int
    local_ts: int
    submitted_ns: int
    submit_phase: int = SENT
    status: int = NONE
    cum_lots: int = 0
    executed_lots: int = 0
    written_off_lots: int = 0
    base_lots: int = 0
    stays_partial: bool = False
    exec_lots: int = 0
    exec_price_tick: int = 0
    maker: int = 0
    exch_order_id: str = ""
    exch_ns: int = 0
    terms_exch_ns: int = 0
    terms_ns: int = 0
    seen_ns: int = 0
    finished_ns: int = 0
    sure: int = SURE
    told: bool = False
    cancel_wanted: bool = False
    cancel_ts: int = 0
    reason: int = 0
    modify: Modification | None = None
    # What is under way in this process only; a restart begins it anew.
    submit_request: int = 0
    cancel_request: int = 0
    cancel_sent_ns: int = 0
    cancel_tries: int = 0
    cancel_due_ns: int = NEVER
    query_request: int = 0
    query_sent_ns: int = 0
    query_tries: int = 0
    query_due_ns: int = NEVER
    hold_until_ns: int = NEVER
    exposed_lots: int = 0
    timer_ns: int = NEVER
    former: list[Former] = []
    value: float = 0.0
    fee: float = 0.0
    live_id: str = ""
    other_ids: tuple[str, ...] = ()

    @property
    def is_finished(self) -> bool:
        """Whether nothing but late executions can happen to it."""
        return self.finished_ns != 0

    @property
    def is_unsure(self) -> bool:
        """Whether it must be asked what became of a request."""
        modify = self.modify
        return self.submit_phase == UNSURE or (modify is not None and modify.phase == UNSURE)

    @property
    def name(self) -> str:
        """Its client id at the exchange."""
        return self.live_id or self.client_id

    @property
    def is_submitting(self) -> bool:
        """Whether it is not known yet what became of its submit."""
        return self.submit_phase != DONE

    @property
    def gap_lots(self) -> int:
        """Executed quantity whose executions have not come yet."""
        return self.cum_lots - self.done_lots

    @property
    def done_lots(self) -> int:
        """Executed, counted or written off."""
        return self.executed_lots + self.written_off_lots

    @property
    def leaves_lots(self) -> int:
        """What is not executed, as the bot is told."""
        return max(0, self.qty_lots - self.done_lots)

    @property
    def rests(self) -> bool:
        """Whether it may stand in the book; others execute or expire at once."""
        return self.order_type != MARKET and self.time_in_force != IOC and self.time_in_force != FOK

    @property
    def exposure_lots(self) -> int:
        """What may still be executed, or has been without its executions: at most that much."""
        if self.finished_ns:
            return max(0, self.gap_lots)
        total = self.qty_lots
        if self.modify is not None and self.modify.qty_lots > total:
            total = self.modify.qty_lots
        return max(0, total - self.done_lots)

    @property
    def shown_status(self) -> int:
        """The status that the simulator would give a bot now."""
        if self.finished_ns:
            return self.status
        if self.done_lots > self.base_lots or self.stays_partial:
            return PARTIALLY_FILLED
        return NONE if self.status == NONE else NEW


def _is_end(status: int) -> bool:
    return status in (FILLED, CANCELED, EXPIRED, REJECTED)


def _finish(order: Order, status: int, sure: int, now_ns: int) -> int:
    order.status = status
    order.sure = sure
    order.finished_ns = now_ns
    order.submit_phase = DONE
    order.cancel_due_ns = NEVER
    order.query_due_ns = NEVER
    order.query_tries = 0
    return FINISHED | CHANGED


def _revive(order: Order, status: int) -> int:
    order.status = status
    order.sure = SURE
    order.finished_ns = 0
    order.told = False
    order.hold_until_ns = NEVER
    order.reason = 0
    return REVIVED | LIVE | CHANGED


def apply_report(order: Order, report: Report, now_ns: int, asked_ns: int = 0) -> int:
    """Take over what the exchange says of an order; its execution is counted apart (`apply_execution`).

    Args:
        order: The order, changed in place.
        report: Any report about it, however late or often it comes.
        now_ns: Now.
        asked_ns: When it was asked for, if it is an answer; 0 otherwise.

    Returns:
        What changed: CHANGED, LIVE, MODIFIED, FINISHED, REVIVED.
    """
    changed = 0
    if report.exch_order_id and not order.exch_order_id:
        order.exch_order_id = report.exch_order_id
        changed = CHANGED
    order.seen_ns = now_ns
    if not report.has_fee:
        # A short form of a fill knows neither the status nor the total.
        return changed | _note_live(order, NEW, now_ns)
    if report.exch_ns > order.exch_ns:
        order.exch_ns = report.exch_ns
    if report.cum_lots > order.cum_lots:
        order.cum_lots = report.cum_lots
        changed |= CHANGED
    if not order.finished_ns and report.qty_lots > 0 and order.order_type == LIMIT:
        changed |= _apply_terms(order, report, now_ns, asked_ns)
    if _is_end(report.status):
        return changed | _apply_end(order, report, now_ns)
    if report.status == NEW or report.status == PARTIALLY_FILLED:
        return changed | _apply_alive(order, report, now_ns)
    return changed


def _note_live(order: Order, status: int, now_ns: int) -> int:
    """It is at the exchange."""
    if order.finished_ns:
        return 0
    if order.submit_phase != DONE:
        order.submit_phase = DONE
    if order.status == NONE:
        order.status = status
        order.terms_ns = now_ns
        return LIVE | CHANGED
    return 0


def _apply_alive(order: Order, report: Report, now_ns: int) -> int:
    if order.finished_ns:
        if order.sure == BY_ABSENCE:
            return _revive(order, report.status)
        if (
            order.sure == BY_EXECUTIONS
            and report.qty_lots > order.executed_lots
            and report.exch_ns > order.exch_ns
        ):
            # Somebody else made it larger.
            order.qty_lots = report.qty_lots
            return _revive(order, report.status)
        return 0
    changed = _note_live(order, report.status, now_ns)
    if report.status == PARTIALLY_FILLED and order.status == NEW:
        order.status = PARTIALLY_FILLED
        changed |= CHANGED
    if order.terms_exch_ns == 0:
        order.terms_exch_ns = report.exch_ns
    return changed


def _apply_end(order: Order, report: Report, now_ns: int) -> int:
    if not order.finished_ns:
        order.reason = order.reason or report.reason
        return _finish(order, report.status, SURE, now_ns)
    if order.sure != SURE or (report.status == FILLED and order.status != FILLED):
        if order.status == report.status:
            order.sure = SURE
            return CHANGED
        order.status = report.status
        order.reason = report.reason
        order.sure = SURE
        # A bot was told another end only of an order that was given up, and the executions tell it of this one.
        return CHANGED
    return 0


def _apply_terms(order: Order, report: Report, now_ns: int, asked_ns: int) -> int:
    """Price and total quantity. Reports of before a change come after it, too, and within one tick of the clock."""
    price_tick, qty_lots = report.price_tick, report.qty_lots
    is_old = 0 < report.exch_ns < order.terms_exch_ns
    if is_old:
        return 0
    modify = order.modify
    if price_tick == order.price_tick and qty_lots == order.qty_lots:
        return 0
    if modify is not None and price_tick == modify.price_tick and qty_lots == modify.qty_lots:
        return confirm_modify(order, report.exch_ns, now_ns)
    if report.exch_ns > order.terms_exch_ns or asked_ns > order.terms_ns > 0:
        # Neither ours nor asked for by us: somebody changed it by hand, or a modification that was given up came true.
        order.price_tick = price_tick
        order.qty_lots = qty_lots
        order.terms_exch_ns = report.exch_ns
        order.terms_ns = now_ns
        return MODIFIED | CHANGED
    return 0


def confirm_modify(order: Order, exch_ns: int, now_ns: int) -> int:
    """The modification under way took place."""
    modify = order.modify
    assert modify is not None
    remainder = modify.qty_lots - modify.base_lots
    keeps_place = modify.price_tick == order.price_tick and remainder <= order.leaves_lots
    order.stays_partial = keeps_place and order.shown_status == PARTIALLY_FILLED
    if not keeps_place:
        order.local_ts = modify.local_ts
    order.price_tick = modify.price_tick
    order.qty_lots = modify.qty_lots
    order.base_lots = modify.base_lots
    order.terms_exch_ns = max(order.terms_exch_ns, exch_ns)
    order.terms_ns = now_ns
    order.modify = None
    return MODIFIED | CHANGED


def apply_execution(
    order: Order,
    qty_lots: int,
    price_tick: int,
    is_maker: bool,
    now_ns: int,
    *,
    may_be_written_off: bool = True,
) -> int:
    """Count an execution of the order, one that was not counted before.

    Args:
        order: The order, changed in place.
        qty_lots: What was executed.
        price_tick: Its price.
        is_maker: Whether it made the market.
        now_ns: Now.
        may_be_written_off: Whether it may be one of those that were written off.

    Returns:
        CHANGED, with FINISHED if it was the last, with REVIVED if the order was given up.
    """
    order.executed_lots += qty_lots
    order.exec_lots = qty_lots
    order.exec_price_tick = price_tick
    order.maker = int(is_maker)
    if order.written_off_lots and may_be_written_off:
        order.written_off_lots -= min(order.written_off_lots, qty_lots)
    if order.executed_lots > order.cum_lots:
        order.cum_lots = order.executed_lots
    changed = CHANGED
    if order.finished_ns and order.sure == BY_ABSENCE:
        changed |= _revive(order, NEW)
    if not order.finished_ns:
        if order.status in (NONE, NEW):
            order.status = PARTIALLY_FILLED
        order.submit_phase = DONE
        changed |= check_filled(order, now_ns)
    return changed


def check_filled(order: Order, now_ns: int) -> int:
    """Whether its executions fill it, before the exchange says so. A modification under way may make it larger."""
    if order.finished_ns or order.modify is not None or order.executed_lots == 0:
        return 0
    if order.done_lots < order.qty_lots:
        return 0
    return _finish(order, FILLED, BY_EXECUTIONS, now_ns)


def confirm_submit(order: Order, exch_ns: int, now_ns: int) -> int:
    """The place was confirmed, without a report."""
    if order.exch_ns < exch_ns:
        order.exch_ns = exch_ns
    return _note_live(order, NEW, now_ns)


def refuse_submit(order: Order, reason: int, exch_ns: int, now_ns: int) -> int:
    """The place was refused. An order that is known to live is not ended by that."""
    if order.finished_ns or order.status != NONE:
        return 0
    order.reason = reason
    order.exch_ns = max(order.exch_ns, exch_ns)
    # As in a simulation: what the matching could not do expires, what did not get there is rejected.
    status = EXPIRED if reason in (REASON_POST_ONLY, REASON_FOK) else REJECTED
    return _finish(order, status, BY_ABSENCE, now_ns)


def give_up(order: Order, reason: int, now_ns: int) -> int:
    """The exchange does not know it, long after it was sent."""
    if order.finished_ns:
        return 0
    order.reason = order.reason or reason
    return _finish(order, REJECTED if order.status == NONE else EXPIRED, BY_ABSENCE, now_ns)


def write_off(order: Order) -> int:
    """Give up the executions that are missing. Returns how many lots they were."""
    lots = order.gap_lots
    order.written_off_lots += lots
    return lots


def ended_by_modify(order: Order) -> bool:
    """Whether a cancellation was the exchange's answer to a modification of a post-only order."""
    return (
        order.status == CANCELED
        and order.modify is not None
        and order.time_in_force == GTX
        and not order.cancel_wanted
        and order.modify.qty_lots > order.cum_lots
    )


# --- What a former process wrote ----------------------------------------------------------------------------------

_TIMES: Final = ("submitted_ns", "seen_ns", "terms_ns", "finished_ns", "cancel_sent_ns", "query_sent_ns")


def scaled(lots: int, factor: Fraction, symbol: str) -> int:
    """Lots in other lots.

    Raises:
        DataError: They are no whole number of those.
    """
    scaled = lots * factor
    if scaled.denominator != 1:
        raise DataError(
            f"the journal holds {lots} lots of {symbol} that are no whole number of its lots of today: the exchange "
            "has changed its lot_size. It is left as it is, and orders in the symbol are refused; close the position "
            "at the exchange, end the connector and move the journal away",
            where=symbol,
        )
    return int(scaled)


def rescale(order: Order, tick: Fraction, lot: Fraction) -> None:
    """An order in other steps. What does not fit is rounded, and put right by the exchange's own answer."""
    order.price_tick = round(order.price_tick * tick)
    order.exec_price_tick = round(order.exec_price_tick * tick)
    for name in ("qty_lots", "cum_lots", "executed_lots", "written_off_lots", "base_lots", "exec_lots"):
        setattr(order, name, round(getattr(order, name) * lot))
    if order.modify is not None:
        order.modify.price_tick = round(order.modify.price_tick * tick)
        order.modify.qty_lots = round(order.modify.qty_lots * lot)
        order.modify.base_lots = round(order.modify.base_lots * lot)
    order.value *= float(lot)
    for former in order.former:
        former.cum_lots = round(former.cum_lots * lot)
        former.executed_lots = round(former.executed_lots * lot)


def retime(order: Order, now_ns: int) -> None:
    """The clock may have been set between the two: nothing lies ahead, and no time of grace has passed.

    Args:
        order: As the journal has it.
        now_ns: The first moment of this process.
    """
    for name in _TIMES:
        if getattr(order, name) > now_ns:
            setattr(order, name, now_ns)
    if not order.finished_ns:
        order.seen_ns = now_ns
        if order.modify is not None:
            order.modify.sent_ns = now_ns


def interrupt(order: Order) -> None:
    """The process that had requests under way is gone: an order as the journal has it waits for none of them."""
    order.submit_request = order.cancel_request = order.query_request = 0
    order.cancel_tries = order.query_tries = 0
    order.cancel_due_ns = order.query_due_ns = order.timer_ns = order.hold_until_ns = NEVER
    order.exposed_lots = 0
    if order.submit_phase == SENT:
        order.submit_phase = UNSURE
    if order.modify is not None:
        order.modify.phase = UNSURE
