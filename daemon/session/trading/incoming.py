"""What comes in from the exchange, on its way to order management: replies and user events."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec
import structlog

from daemon.connector.limiter import Limiter
from daemon.connector.watch.offset import ClockOffset
from daemon.connector.watch.unreadable import Lines
from daemon.messages import (
    BY_REPLY,
    CONFIRMED,
    UNKNOWN,
    Command,
    Funding,
    Funds,
    Holding,
    Outcome,
    Report,
    Transfer,
)
from daemon.redaction import redact
from daemon.session.catalog import SetAside, Steps
from daemon.session.errors import Odd, OddItemError, WireError
from daemon.session.facts import AccessExpired, Balance, Error, Handlers, Leaving, OrderFacts, Other, Reply
from daemon.session.manners import RECEIVED, Manners
from daemon.session.rest import Rest
from daemon.session.trading.acknowledged import Acknowledged
from daemon.session.trading.questions import OrderNames
from daemon.warnings import Warn
from hftd.clock import monotonic_ns, running_ns

LOGGED_BYTES_MAX: Final = 2000
FIRST_EVENT_S: Final = 10.0
"""An order that is confirmed shows on the user data stream within this, or the stream is taken for dead."""
_NOTHING: Final[Mapping[str, int]] = {}
_RECENT_NS: Final = 1_000_000_000
USED_UP_NS: Final = 60_000_000_000
"""Limits on orders of longer intervals are not taken for used up where the exchange says that there are too many."""
MARGIN_CALL: Final = "MARGIN_CALL"
MARGIN_SHOWN_NS: Final = 900_000_000_000
"""A margin call is a warning for so long: that it is over is not told."""

_log = structlog.get_logger("hftd.connector")


class Incoming:
    """Reads what comes in and tells the handlers. What can't be read is counted and logged, and nothing else stops.

    Args:
        facts: How the exchange speaks of orders.
        handlers: Whom to tell.
        limiter: Told what the exchange counted.
        offset: Of its clock.
        rest: Told of bans.
        steps: The symbols that are known.
        names: Told which order has which ids.
        secrets: What must not be in the log.
        on_clock_error: The exchange did not like a request's time.
        on_key_expired: The user data stream has to be opened anew.
        on_leaving: The exchange is about to end its connection.
        set_aside: Takes what can't be taken over; None: it is unreadable like other nonsense.
        manners: How the exchange behaves.
    """

    def __init__(
        self,
        facts: OrderFacts,
        handlers: Handlers,
        limiter: Limiter,
        offset: ClockOffset,
        rest: Rest,
        steps: Mapping[str, Steps],
        names: OrderNames,
        *,
        secrets: Callable[[], tuple[str, ...]],
        on_clock_error: Callable[[], None],
        on_key_expired: Callable[[], None],
        on_leaving: Callable[[], None] = lambda: None,
        set_aside: SetAside | None = None,
        manners: Manners = Manners(),  # noqa: B008 - frozen
    ) -> None:
        self._facts = facts
        self._handlers = handlers
        self._limiter = limiter
        self._offset = offset
        self._rest = rest
        self._steps = steps
        self._names = names
        self._secrets = secrets
        self._on_clock_error = on_clock_error
        self._on_key_expired = on_key_expired
        self._on_leaving = on_leaving
        self._set_aside = set_aside
        self._event_ns = 0  # when the last user event came (monotonic)
        self._unheard_ns = 0  # since when an event is waited for; 0 for not
        self._lines = Lines(_log)
        self.order_limits: dict[str, int] = {}
        """The exchange's limits on orders, by the limiter's names."""
        self.counts: Counter[str] = Counter()
        self.acknowledged = (
            Acknowledged(self._settled, manners.state_wait_s) if manners.is_ack_receipt else None
        )
        self.margin_call_ns = 0
        """When the exchange last warned of a liquidation (running time); 0 for never."""

    # ---- replies

    def on_reply(self, command: Command, reply: Reply) -> None:
        """A command's answer on the socket for orders."""
        self._take_counts(reply)
        if (error := reply.failure()) is not None:
            self._on_error(reply.status, error)
        try:
            self.on_outcome(outcome_of_reply(self._facts, command, reply, self._steps))
        except Exception:
            # A fault of ours about one order must not end the socket for all others.
            self.counts["failed_events"] += 1
            _log.exception("outcome_crashed", request=command.request)

    def _take_counts(self, reply: Reply) -> None:
        allowed: Mapping[str, int] = getattr(reply, "allowed", _NOTHING)
        for name, limit in allowed.items():
            self._limiter.allow(name, limit)
        self._limiter.seen(reply.counts(), running_ns())

    def on_outcome(self, outcome: Outcome) -> None:
        """A command's end, from wherever; or that it has arrived, where that is all that an answer says."""
        if self.acknowledged is None:
            self._settled(outcome)
            return
        now_ns = monotonic_ns()
        if outcome.kind == RECEIVED:
            self.counts[RECEIVED] += 1
            if not self._unheard_ns and now_ns - self._event_ns > _RECENT_NS:
                self._unheard_ns = now_ns
        settled = self.acknowledged.answered(outcome, now_ns)
        if settled is not None:
            self._settled(settled)

    def _settled(self, outcome: Outcome) -> None:
        report = outcome.report
        if report is not None and outcome.kind == CONFIRMED:
            self._names.learn(report.symbol, report.exch_order_id, report.client_id)
            if report.source == BY_REPLY and not self._unheard_ns:
                now_ns = monotonic_ns()
                # Its event may have come before it.
                if now_ns - self._event_ns > _RECENT_NS:
                    self._unheard_ns = now_ns
        if outcome.message:
            # It is shown and logged: whatever stands between us and the exchange may have put the request into it.
            outcome = msgspec.structs.replace(outcome, message=self.redacted(outcome.message))
        self.counts[outcome.kind] += 1
        if outcome.code in self._facts.instrument_codes:
            self._handlers.on_instruments_wanted()
        elif report is not None and report.is_off_grid:
            self._off_grid()
        self._handlers.on_outcome(outcome)

    def _off_grid(self) -> None:
        """A price on no tick: an order of before a change of it, or the first that is heard of one."""
        self.counts["off_grid_prices"] += 1
        self._handlers.on_instruments_wanted()

    def on_late(self, reply: Reply) -> None:
        """An answer to what is not waited for: an order in it is a fact all the same."""
        self.counts["late_replies"] += 1
        self._take_counts(reply)
        error = reply.failure()
        if reply.status != 200 or error is not None:
            error = error or Error(0)
            self._on_error(reply.status, error)
            if self._lines.may_log():
                _log.warning(
                    "error_without_request",
                    status=reply.status,
                    code=error.code,
                    words=self.redacted(error.msg),
                )
            return
        if self.acknowledged is not None:
            # A receipt says nothing of an order.
            return
        try:
            self._handlers.on_report(self._facts.read_order(reply.result, self._steps, BY_REPLY))
        except WireError as error:
            self._unreadable("a late reply", bytes(reply.result), error)

    def on_unreadable(self, command: Command | None, data: bytes, error: WireError) -> None:
        """A message on the socket for orders that can't be read."""
        self._unreadable("an answer", data, error)
        if command is not None:
            self.on_outcome(Outcome(command.request, UNKNOWN, 0, "its answer can't be read"))

    def _on_error(self, status: int, error: Error) -> None:
        now_ns, rest_facts = running_ns(), self._rest.facts
        if error.code in rest_facts.clock_codes:
            self._on_clock_error()
        if error.code and error.code == self._facts.too_many_orders_code:
            # The count was off: take it that the limits are used up. Not that of a day, which each answer counts: which
            # of them it was is not said, and one refusal must not end trading until tomorrow.
            self._limiter.seen({k: v for k, v in self.order_limits.items() if self._is_short(k)}, now_ns)
        elif quiet_s := rest_facts.quiet_s(status, error, {}, self._offset.corrected_ms(now_ns)):
            self._rest.quiet(quiet_s, now_ns)

    def _is_short(self, name: str) -> bool:
        rate = self._limiter.limit_of(name)
        return rate is not None and rate.interval_ns <= USED_UP_NS

    # ---- user events

    def on_user_message(self, data: bytes) -> None:
        """A message of the user data stream."""
        self._event_ns, self._unheard_ns = monotonic_ns(), 0
        odd: list[Odd] | None = None if self._set_aside is None else []
        try:
            events = self._facts.read_event(data, self._steps, odd)
        except WireError as error:
            if self._set_aside is not None and isinstance(error, OddItemError):
                self.counts["unreadable"] += 1
                odd, ended = self._facts.odd_of_event(data, str(error))
                self._set_aside.note(*odd)
                self._set_aside.ended("open order", error.symbol, ended)
            else:
                self._unreadable("a user event", data, error)
            return
        if odd and self._set_aside is not None:
            self._set_aside.note(*odd)
        handlers = self._handlers
        for event in events:
            try:
                if isinstance(event, Report):
                    self._names.learn(event.symbol, event.exch_order_id, event.client_id)
                    if event.is_off_grid:
                        self._off_grid()
                    if self.acknowledged is not None:
                        self.acknowledged.heard(event)
                    handlers.on_report(event)
                elif isinstance(event, Holding):
                    handlers.on_holding(event)
                elif isinstance(event, Funds | Transfer | Funding):
                    handlers.on_funds(event)
                elif isinstance(event, Balance):
                    handlers.on_balance(event)
                elif isinstance(event, AccessExpired):
                    self.counts["listen_key_expired"] += 1
                    self._on_key_expired()
                elif isinstance(event, Leaving):
                    self.counts["planned_ends"] += 1
                    self._on_leaving()
                elif isinstance(event, Other):
                    self.counts["other_events"] += 1
                    if event.name == MARGIN_CALL:
                        self.margin_call_ns = running_ns()
                        _log.error("margin_call")
            except Exception:
                # A fault of ours in one event must not end the stream for all others.
                self.counts["failed_events"] += 1
                _log.exception("account_event_crashed", what=self.redacted(repr(event))[:LOGGED_BYTES_MAX])

    def warnings(self, now_ns: int) -> Iterator[Warn]:
        """What the exchange told that needs a person."""
        if self.margin_call_ns and now_ns - self.margin_call_ns < MARGIN_SHOWN_NS:
            yield Warn(
                "margin_call",
                "the exchange warns that the account's margin is nearly used up, and may close its positions: move "
                "money to the futures wallet, or reduce them",
            )

    def is_user_stream_silent(self, now_ns: int) -> bool:
        """Whether an order was confirmed long ago (monotonic time) and the stream has said nothing since."""
        if not self._unheard_ns or now_ns - self._unheard_ns <= FIRST_EVENT_S * 1e9:
            return False
        self._unheard_ns = 0
        self.counts["user_stream_silent"] += 1
        return True

    # ---- the log

    def _unreadable(self, what: str, data: bytes, error: WireError) -> None:
        self.counts["unreadable"] += 1
        if not self._lines.may_log():
            return
        # Redacted before it is cut: half a secret is one too.
        text = self.redacted(data.decode("utf-8", "backslashreplace"))[:LOGGED_BYTES_MAX]
        _log.error(
            "message_unreadable", what=what, why=self.redacted(str(error)), bytes=text, length=len(data)
        )

    def redacted(self, text: str) -> str:
        """A text without the account's secrets."""
        return redact(text, self._secrets())


def outcome_of_reply(
    facts: OrderFacts, command: Command, reply: Reply, steps: Mapping[str, Steps]
) -> Outcome:
    """The outcome of a command from its answer on the socket."""
    error = reply.failure()
    if error is None and reply.status == 200:
        return facts.outcome_of_order(command, reply.result, steps)
    return facts.outcome_of_error(command, reply.status, error)
