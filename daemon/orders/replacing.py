"""Orders that a modification ends and makes anew: one order for bots and limits, several in a row at the exchange.

They have one client id, or each its own (`Instrument.renames`); each has an id of the exchange's, a total and an
executed quantity of its own. What the exchange says of one of them becomes here what it means for the whole:
quantities of those before are added, and the end of one that was replaced is no end.

A cancellation that the exchange tells by itself while a replacement is under way may be its first half. It is held
back: the answer says what became of both halves, and else a question does. A question that finds nothing but the old
one, cancelled, is believed once no request can be on its way any more (`GRACE_NS`). Should another one live all the
same, the order is alive again, and is cancelled as one that was given up wrongly.

What the old one executes while it is replaced is not part of the new one's quantity, which is what the bot asked for.

Limits: the last `FORMER_MAX` are remembered; ids that are numbers rise, so that word of one before those is known as
such.
"""

from typing import Final

import msgspec

from daemon.messages import BY_QUERY, BY_STREAM, Execution, Report
from daemon.orders.order import BY_ABSENCE, SURE, Former, Order
from hftd.constants import CANCELED, NEW, NONE, PARTIALLY_FILLED

FORMER_MAX: Final = 8
GRACE_NS: Final = 10_000_000_000
"""A request that is older than its `recvWindow` (5 s) is not accepted any more."""


def as_one(order: Order, report: Report, asked_ns: int = 0) -> Report:
    """What a report about one of an order's lives says of the whole; the order moves on to a new life.

    Of orders in instruments whose modifications replace them (`Instrument.replaces`).

    Args:
        order: The order.
        report: As the exchange has it.
        asked_ns: When it was asked for, if it is an answer; 0 otherwise.
    """
    number = report.exch_order_id
    if not number:
        return report
    if number != order.exch_order_id and order.exch_order_id:
        former = _former(order, number)
        if former is not None:
            _grow(order, former, report.cum_lots - former.cum_lots)
        if former is not None or _is_old(order, number):
            # What it was, and that it has ended, is over; what it executed is not.
            return msgspec.structs.replace(report, status=NONE, qty_lots=0, cum_lots=order.cum_lots)
        _move(order, number, report.client_id)
        if order.finished_ns and order.sure == SURE and report.status in (NEW, PARTIALLY_FILLED):
            # It was taken to have ended with the one before.
            order.sure = BY_ABSENCE
    past = sum(one.cum_lots for one in order.former)
    status = NONE if _is_held(order, report, asked_ns) else report.status
    total = report.qty_lots + past if report.qty_lots else 0
    return msgspec.structs.replace(report, status=status, qty_lots=total, cum_lots=report.cum_lots + past)


def _is_held(order: Order, report: Report, asked_ns: int) -> bool:
    """Whether a cancellation may be the first half of a replacement that is under way."""
    modify = order.modify
    if report.status != CANCELED or modify is None or not modify.replaces:
        return False
    if report.source == BY_QUERY:
        if modify.client_id:
            # The other one is asked for by its own client id.
            return True
        return asked_ns - modify.sent_ns < GRACE_NS
    return report.source == BY_STREAM


def count_execution(order: Order, execution: Execution) -> None:
    """An execution of the order, one that was not counted before: of which of its lives it is."""
    number = execution.exch_order_id
    if not number or number == order.exch_order_id:
        return
    former = _former(order, number)
    if former is not None:
        former.executed_lots += execution.qty_lots
        _grow(order, former, former.executed_lots - former.cum_lots)
    elif order.exch_order_id and not _is_old(order, number):
        _move(order, number, execution.client_id)


def _former(order: Order, number: str) -> Former | None:
    found = next((one for one in order.former if one.exch_order_id == number), None)
    if found is None and _is_old(order, number) and len(order.former) < FORMER_MAX:
        # Of before this connector knew the order.
        order.former.append(found := Former(number, 0, 0))
    return found


def _is_old(order: Order, number: str) -> bool:
    """Whether it is of before those that are remembered."""
    now = order.exch_order_id
    return number.isdigit() and now.isdigit() and int(number) < int(now)


def _grow(order: Order, former: Former, lots: int) -> None:
    """One that was replaced had executed more than was known: that is no part of what there is now."""
    if lots > 0:
        former.cum_lots += lots
        order.cum_lots += lots
        order.qty_lots += lots
        if order.modify is not None:
            order.modify.qty_lots += lots
            order.modify.base_lots += lots


def _move(order: Order, number: str, client_id: str) -> None:
    """There is another one in its place."""
    if client_id in order.other_ids:
        order.live_id = client_id
    former = order.former
    former.append(
        Former(
            order.exch_order_id,
            order.cum_lots - sum(one.cum_lots for one in former),
            order.done_lots - sum(one.executed_lots for one in former),
        )
    )
    if len(former) > FORMER_MAX:
        oldest = former.pop(0)
        former[0].cum_lots += oldest.cum_lots
        former[0].executed_lots += oldest.executed_lots
    order.exch_order_id = number
    if (modify := order.modify) is not None and modify.replaces:
        wanted = modify.qty_lots - modify.base_lots
        modify.base_lots = order.cum_lots
        modify.qty_lots = order.cum_lots + wanted
