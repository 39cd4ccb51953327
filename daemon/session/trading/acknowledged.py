"""Commands whose answer is a receipt: their outcome is what the user data stream tells, or a question.

::

    sent ──> received (the answer) ──> told by the stream        CONFIRMED, or REFUSED where the order ended at once
      │            └── nothing is told within a while ──────────> UNKNOWN: order management asks
      ├── told by the stream before the answer, or without one ─> CONFIRMED; the answer changes nothing any more
      └── refused, or no answer ────────────────────────────────> REFUSED or UNKNOWN, as the answer says

What tells that a command was done: of a new order anything about it; of a change its price and quantity, or, once the
change has been received, the order's end; of a cancel the order's end.

Limits: `WAITING_MAX` commands; with more the oldest are UNKNOWN.
"""

from collections.abc import Callable
from typing import Final

from daemon.messages import CONFIRMED, REFUSED, UNKNOWN, Command, Modify, Outcome, Query, Report, Submit
from daemon.session.manners import RECEIVED
from hftd.constants import (
    CANCELED,
    EXPIRED,
    FILLED,
    REASON_EXCHANGE,
    REASON_FOK,
    REASON_POST_ONLY,
    REJECTED,
)

WAITING_MAX: Final = 4096
FORGET_S: Final = 60.0
"""A command that has had no answer for so long has none: whoever sends has given it up long before."""
_ENDS: Final = frozenset((FILLED, CANCELED, EXPIRED, REJECTED))
_AT_ONCE: Final = frozenset((REASON_POST_ONLY, REASON_FOK))
"""An order that ends for one of these has not been in the book: elsewhere it is refused."""


class _Waiting:
    __slots__ = ("command", "end", "is_received", "since_ns")

    def __init__(self, command: Command, now_ns: int) -> None:
        self.command = command
        self.since_ns = now_ns
        self.is_received = False
        self.end: Report | None = None


class Acknowledged:
    """See the module. Times are monotonic.

    Args:
        on_outcome: Given each outcome that is settled here, once a command.
        wait_s: How long the stream may take after the answer.

    Attributes:
        told_first: Commands that the stream told before their answer.
        untold: Commands that were received, and nothing told what became of them.
    """

    def __init__(self, on_outcome: Callable[[Outcome], None], wait_s: float) -> None:
        self._on_outcome = on_outcome
        self._wait_ns = int(wait_s * 1e9)
        self._waiting: dict[int, _Waiting] = {}
        self._by_order: dict[str, list[_Waiting]] = {}
        self._settled: dict[int, None] = {}  # the latest WAITING_MAX: their answers come late
        self.told_first = 0
        self.untold = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def sent(self, command: Command, now_ns: int) -> None:
        """A command is about to go out."""
        if type(command) is Query:
            return
        while len(self._waiting) >= WAITING_MAX:
            oldest = next(iter(self._waiting.values()))
            self._settle(oldest, Outcome(oldest.command.request, UNKNOWN, 0, "too many wait"))
        waiting = _Waiting(command, now_ns)
        self._waiting[command.request] = waiting
        self._by_order.setdefault(_name(command), []).append(waiting)

    def answered(self, outcome: Outcome, now_ns: int) -> Outcome | None:
        """An answer, or the lack of one. Returns the command's outcome; None for a receipt, and for what comes late."""
        waiting = self._waiting.get(outcome.request)
        if outcome.kind != RECEIVED:
            if waiting is not None:
                self._forget(waiting)
            return None if outcome.request in self._settled else outcome
        if waiting is not None:
            waiting.is_received = True
            waiting.since_ns = now_ns
            if waiting.end is not None:
                self._settle(waiting, _outcome(waiting.command, waiting.end))
        return None

    def heard(self, report: Report) -> None:
        """The stream, or a question, tells of an order: before order management hears of it."""
        if not self._waiting:
            return
        names = (report.client_id, report.exch_order_id)
        for waiting in [one for name in names if name for one in self._by_order.get(name, ())]:
            if waiting.command.symbol != report.symbol or waiting.command.request not in self._waiting:
                continue
            if self._tells(waiting, report):
                self.told_first += not waiting.is_received
                self._settle(waiting, _outcome(waiting.command, report))

    @staticmethod
    def _tells(waiting: _Waiting, report: Report) -> bool:
        command = waiting.command
        if isinstance(command, Submit):
            return True
        is_end = report.status in _ENDS
        if not isinstance(command, Modify):
            return is_end
        if is_end:
            waiting.end = report
            return waiting.is_received
        return report.price_tick == command.price_tick and report.qty_lots == command.qty_lots

    def sweep(self, now_ns: int) -> None:
        """Give up on what is not told; called several times a second."""
        for waiting in list(self._waiting.values()):
            waited_ns = now_ns - waiting.since_ns
            if waiting.is_received and waited_ns >= self._wait_ns:
                self.untold += 1
                why = "the exchange has received it, and does not tell what became of it"
                self._settle(waiting, Outcome(waiting.command.request, UNKNOWN, 0, why))
            elif waited_ns >= FORGET_S * 1e9:
                why = "it was never answered"
                self._settle(waiting, Outcome(waiting.command.request, UNKNOWN, 0, why))

    # ---- what waits

    def _settle(self, waiting: _Waiting, outcome: Outcome) -> None:
        self._forget(waiting)
        self._settled[outcome.request] = None
        if len(self._settled) > WAITING_MAX:
            del self._settled[next(iter(self._settled))]
        self._on_outcome(outcome)

    def _forget(self, waiting: _Waiting) -> None:
        self._waiting.pop(waiting.command.request, None)
        name = _name(waiting.command)
        same = self._by_order.get(name, [])
        if waiting in same:
            same.remove(waiting)
        if not same:
            self._by_order.pop(name, None)


def _name(command: Command) -> str:
    """What the stream names an order by: our id if there is one."""
    return command.client_id or getattr(command, "exch_order_id", "")


def _outcome(command: Command, report: Report) -> Outcome:
    """What a report makes of a command."""
    if isinstance(command, Submit) and report.cum_lots == 0 and report.execution is None:
        if report.reason in _AT_ONCE and report.status in _ENDS:
            return Outcome(command.request, REFUSED, report.reason, "", report, report.exch_ns)
        if report.status == REJECTED:
            reason = report.reason or REASON_EXCHANGE
            return Outcome(
                command.request, REFUSED, reason, "the exchange rejected it", report, report.exch_ns
            )
    return Outcome(command.request, CONFIRMED, 0, "", report, report.exch_ns)
