"""Commands to the venue: numbered, in flight, timed out, repeated; and cancels of open orders that are nobody's.

Each command has one outcome. One whose outcome does not come within `OUTCOME_NS` counts as unknown. What is unknown is
asked for, first at once and then after `BACKOFF_NS`, twice as long each time up to `BACKOFF_MAX_NS`; so is a cancel
repeated until the order is known to be finished. Both go on as long as the order is not: there are no more of them than
orders, at that pace.

Strays are open orders at the exchange that are nobody's any more, and are somebody's duty. Two kinds: orders of this
connector that can't be taken over as they are (off the lot, in an instrument that is set aside), and those of another
connector of ours on the same account that no longer runs. The exchange's dead-man switch is one for account and symbol:
a connector that lives and refreshes it keeps the dead one's orders alive. So the living one does what the switch would
have done: it cancels them when the other has been gone for as long (`guard_ns`). It never touches orders of a connector
that runs, or of which it can't know that.

Limits of strays: `STRAYS_MAX` at a time; of more, the rest come up with the next list of open orders. Each cancel is
repeated, after `STRAY_BACKOFF_NS` and twice as long each time up to `STRAY_BACKOFF_MAX_NS`, until the exchange does not
list the order any more.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

import msgspec
import structlog

from daemon.messages import CONFIRMED, REFUSED, Cancel, Modify, Outcome, Query, Report, Submit
from daemon.orders.ids.client_ids import read_any
from daemon.orders.order import DONE, NEVER, SENT, UNSURE, Modification, Order
from daemon.orders.state import Store
from daemon.orders.updates import Sent
from daemon.warnings import Warn
from hftd.constants import REASON_UNKNOWN_ORDER

OUTCOME_NS: Final = 10_000_000_000
BACKOFF_NS: Final = 250_000_000
BACKOFF_MAX_NS: Final = 5_000_000_000
GRACE_NS: Final = 10_000_000_000
"""How long an order that the exchange does not find may still be on its way. A request that is older than its
`recvWindow` (5 s) is not accepted any more."""

# The kinds of commands in flight.
SUBMIT: Final = 1
MODIFY: Final = 2
CANCEL: Final = 3
QUERY: Final = 4

# Of strays.
STRAYS_MAX: Final = 500
BURST: Final = 20
"""Cancels in one go: the limits of requests are shared with orders that are somebody's."""
STRAY_BACKOFF_NS: Final = 500_000_000
STRAY_BACKOFF_MAX_NS: Final = 30_000_000_000
HEARD_MAX: Final = 256
"""Connectors elsewhere of which it is remembered when they were heard of."""

_log = structlog.get_logger("hftd.orders")


def backoff_ns(tries: int) -> int:
    """The pause before the next try."""
    return min(BACKOFF_NS << min(tries, 10), BACKOFF_MAX_NS)


class Commands:
    """Sends commands, and knows what is due.

    Args:
        store: What is known.
        out: Where commands go.
    """

    def __init__(self, store: Store, out: deque[Sent]) -> None:
        self._store = store
        self._out = out
        self._requests = 0
        self._timers: list[tuple[int, str]] = []
        self.in_flight: dict[int, tuple[int, Order, int]] = {}
        self.is_up = False
        self.queries = 0
        self.timeouts = 0
        self.on_unknown: Callable[[str, int], None] = lambda _bot, _now_ns: None
        """Told of the bot of each new order and change of which it is not known what became of it."""

    def _number(self, kind: int, order: Order, now_ns: int) -> int:
        self._requests += 1
        self.in_flight[self._requests] = kind, order, now_ns
        return self._requests

    def next_request(self) -> int:
        """The number of a command that is about none of the store's orders."""
        self._requests += 1
        return self._requests

    def submit(self, order: Order) -> None:
        """Send a new order."""
        order.submit_request = self._number(SUBMIT, order, order.submitted_ns)
        self._out.append(
            Submit(
                request=order.submit_request,
                client_id=order.client_id,
                symbol=order.symbol,
                side=order.side,
                order_type=order.order_type,
                time_in_force=order.time_in_force,
                price_tick=order.price_tick,
                qty_lots=order.qty_lots,
                reduce_only=order.reduce_only,
            )
        )

    def modify(self, order: Order, price_tick: int, qty_lots: int, local_ts: int, now_ns: int) -> None:
        """Send a modification; none is under way at the order."""
        assert order.modify is None
        request = self._number(MODIFY, order, now_ns)
        is_reduction = price_tick == order.price_tick and qty_lots < order.qty_lots
        instrument = self._store.ledgers[order.symbol].instrument
        replaces = instrument.replaces and not is_reduction
        new_client_id = self._store.make_id(order) if replaces and instrument.renames else ""
        order.modify = Modification(
            price_tick=price_tick,
            qty_lots=qty_lots,
            base_lots=order.done_lots,
            local_ts=local_ts,
            sent_ns=now_ns,
            request=request,
            replaces=replaces,
            client_id=new_client_id,
        )
        # What orders executed that this one replaced is no part of the exchange's order.
        past = sum(one.cum_lots for one in order.former)
        self._out.append(
            Modify(
                request=request,
                client_id=order.name,
                exch_order_id=order.exch_order_id,
                symbol=order.symbol,
                side=order.side,
                price_tick=price_tick,
                qty_lots=qty_lots - past,
                time_in_force=order.time_in_force,
                done_lots=order.done_lots - past,
                is_reduction=is_reduction,
                new_client_id=new_client_id,
            )
        )

    @staticmethod
    def names(order: Order, tries: int) -> tuple[str, str]:
        """Client id and exchange id by which a command is to find an order.

        While another one with a client id of its own may be taking its place, that one and the old one are tried in
        turn.
        """
        modify = order.modify
        if modify is not None and modify.client_id and not tries & 1:
            return modify.client_id, ""
        return order.name, order.exch_order_id

    def want_cancel(self, order: Order, now_ns: int) -> None:
        """See to it that an order ends; sent at once, and again until it has."""
        if order.finished_ns:
            return
        if not order.cancel_wanted:
            order.cancel_wanted = True
            order.cancel_tries = 0
        if order.cancel_request == 0:
            order.cancel_due_ns = now_ns
            self.work(order, now_ns)

    def ask(self, order: Order, due_ns: int) -> None:
        """Ask what became of an order, then or earlier."""
        if order.query_request == 0 and due_ns < order.query_due_ns:
            order.query_due_ns = due_ns
            self.arm(order)

    def work(self, order: Order, now_ns: int) -> None:
        """Send what is due about an order.

        A cancel is tried even while the fates of requests are not heard (`is_up`): there may be a way for it, and
        if there is none, it is refused at once and comes again.
        """
        if not order.finished_ns:
            if order.cancel_due_ns <= now_ns and order.cancel_request == 0:
                order.cancel_due_ns = NEVER
                order.cancel_sent_ns = now_ns
                order.cancel_request = self._number(CANCEL, order, now_ns)
                self._out.append(
                    Cancel(order.cancel_request, *self.names(order, order.cancel_tries), order.symbol)
                )
            if self.is_up and order.query_due_ns <= now_ns and order.query_request == 0:
                order.query_due_ns = NEVER
                order.query_sent_ns = now_ns
                order.query_request = self._number(QUERY, order, now_ns)
                self.queries += 1
                self._out.append(
                    Query(order.query_request, *self.names(order, order.query_tries), order.symbol)
                )
        self.arm(order)

    def expire(self, now_ns: int) -> list[Order]:
        """Requests without an outcome for too long, whose outcome is unknown from now on: their orders."""
        orders: list[Order] = []
        while self.in_flight:
            request = next(iter(self.in_flight))
            kind, order, sent_ns = self.in_flight[request]
            if sent_ns + OUTCOME_NS > now_ns:
                break
            del self.in_flight[request]
            self.timeouts += 1
            orders.append(order)
            modify = order.modify
            if kind in (SUBMIT, MODIFY):
                self.on_unknown(order.bot, now_ns)
            if kind == SUBMIT and order.submit_phase == SENT:
                order.submit_phase = UNSURE
                order.query_due_ns = min(order.query_due_ns, now_ns)
                self._store.touch(order)
            elif kind == MODIFY and modify is not None and modify.request == request:
                modify.phase = UNSURE
                order.query_due_ns = min(order.query_due_ns, now_ns)
                self._store.touch(order)
            elif kind == CANCEL and order.cancel_request == request:
                order.cancel_request = 0
                order.cancel_due_ns = now_ns
            elif kind == QUERY and order.query_request == request:
                order.query_request = 0
                order.query_due_ns = now_ns
        return orders

    def take(self, request: int) -> tuple[int, Order, int] | None:
        """What a command was, once: its kind, its order, and when it was sent."""
        return self.in_flight.pop(request, None)

    def retry_cancel(self, order: Order, now_ns: int) -> None:
        """A cancel came to nothing: again, later."""
        order.cancel_due_ns = now_ns + backoff_ns(order.cancel_tries)
        order.cancel_tries += 1
        self.arm(order)

    def retry_query(self, order: Order, now_ns: int) -> None:
        """A query came to nothing: again, later."""
        delay_ns = backoff_ns(order.query_tries)
        order.query_tries += 1
        self.ask(order, now_ns + delay_ns)

    # --- Timers -------------------------------------------------------------------------------------------------

    def _due_ns(self, order: Order) -> int:
        due_ns = order.hold_until_ns
        if not order.finished_ns:
            if order.cancel_request == 0:
                due_ns = min(due_ns, order.cancel_due_ns)
            if self.is_up and order.query_request == 0:
                due_ns = min(due_ns, order.query_due_ns)
        return due_ns

    def arm(self, order: Order) -> None:
        """Note when there is something to do about an order."""
        due_ns = self._due_ns(order)
        if due_ns < order.timer_ns:
            order.timer_ns = due_ns
            heapq.heappush(self._timers, (due_ns, order.client_id))

    def next_due_ns(self) -> int:
        """When `due` has something, at the earliest."""
        due_ns = self._timers[0][0] if self._timers else NEVER
        if self.in_flight:
            due_ns = min(due_ns, self.in_flight[next(iter(self.in_flight))][2] + OUTCOME_NS)
        return due_ns

    def due(self, now_ns: int) -> list[Order]:
        """The orders whose time has come; each is to be worked on, which sets its next one."""
        orders = self.expire(now_ns)
        timers = self._timers
        while timers and timers[0][0] <= now_ns:
            due_ns, client_id = heapq.heappop(timers)
            order = self._store.orders.get(client_id)
            # A later entry than the one that is set was overtaken by it.
            if order is not None and order.timer_ns == due_ns:
                order.timer_ns = NEVER
                orders.append(order)
        return orders

    def went_up(self, now_ns: int) -> None:
        """Commands can be sent again: what waited for it is due."""
        self.is_up = True
        for order in list(self._store.alive.values()):
            self.work_off(order, now_ns)

    def work_off(self, order: Order, now_ns: int) -> None:
        """Send what waited about an order until something could be sent."""
        if order.cancel_wanted and order.cancel_request == 0:
            order.cancel_due_ns = min(order.cancel_due_ns, now_ns)
        if order.is_unsure:
            self.ask(order, now_ns)
        self.work(order, now_ns)

    def confirm_submit(self, order: Order, now_ns: int) -> None:
        """The order is at the exchange: a cancel that it did not find is sent again."""
        order.submit_phase = DONE
        if order.cancel_wanted and order.cancel_request == 0 and not order.finished_ns:
            order.cancel_due_ns = now_ns
            self.work(order, now_ns)


class Kin(msgspec.Struct, frozen=True):
    """Another connector of ours that trades the account on this machine, or did.

    Attributes:
        identity: Its number in its orders' ids.
        name: Its channel.
        dead_since_ns: Since when it is known not to run; 0 while it does.
    """

    identity: int
    name: str
    prefix: str
    dead_since_ns: int = 0


class _Stray(msgspec.Struct):
    symbol: str
    client_id: str
    exch_order_id: str
    why: str
    due_ns: int
    identity: int = 0  # of the connector that is gone; 0 for our own
    seen_ns: int = 0  # when the exchange last listed it as one that can't be taken over
    tries: int = 0
    request: int = 0


class Strays:
    """Cancels open orders that are nobody's; see the module.

    Args:
        store: What is known.
        commands: Numbers commands.
        out: Where they go.
    """

    def __init__(self, store: Store, commands: Commands, out: deque[Sent]) -> None:
        self._store = store
        self._commands = commands
        self._out = out
        self._strays: dict[str, _Stray] = {}
        self.requests: dict[int, _Stray] = {}
        self.kin: dict[int, Kin] = {}
        self.look: Callable[[int], dict[int, Kin]] = lambda _now_ns: self.kin
        """Finds out who else trades the account on this machine, or did; given the time."""
        self.guard_ns = 0
        """How long another connector must be gone before its orders are cancelled; 0: they never are."""
        self.others: dict[int, int] = {}
        """Open orders of connectors of ours that are not this one, by their number (0: of the old form)."""
        self._heard_ns: dict[int, int] = {}
        self.cancelled = 0

    def __len__(self) -> int:
        return len(self._strays)

    def look_around(self, now_ns: int) -> None:
        """Find out who else is there: the orders of one that is back are its own affair."""
        kin = self.kin = self.look(now_ns)
        prefix = self._store.ids.prefix
        self._store.adopts_old = not any(
            one.prefix == prefix and not one.dead_since_ns for one in kin.values()
        )
        for stray in list(self._strays.values()):
            if stray.identity and (stray.identity not in kin or not kin[stray.identity].dead_since_ns):
                self._drop(stray)

    def add(
        self, symbol: str, client_id: str, exch_order_id: str, why: str, now_ns: int, identity: int = 0
    ) -> None:
        """See to it that an open order ends."""
        if (known := self._strays.get(client_id)) is not None:
            known.seen_ns = now_ns
        if known is not None or len(self._strays) >= STRAYS_MAX:
            return
        self._strays[client_id] = _Stray(
            symbol, client_id, exch_order_id, why, now_ns, identity, seen_ns=now_ns
        )
        _log.warning("stray_order_cancelled", symbol=symbol, client_id=client_id, why=why)

    # --- The list of open orders --------------------------------------------------------------------------------

    def listed(self, foreign: list[Report], now_ns: int) -> None:
        """The open orders that are not this connector's, of a list that is complete."""
        self.others = {}
        for report in foreign:
            found = read_any(report.client_id)
            if found is None:
                continue
            prefix, ours = found
            if ours.identity == 0 and prefix != self._store.ids.prefix:
                # Of the old form, and of another prefix: whose it is can't be told.
                continue
            self.others[ours.identity] = self.others.get(ours.identity, 0) + 1
            kin = self.kin.get(ours.identity)
            if self.guard_ns and kin and kin.dead_since_ns and now_ns - kin.dead_since_ns >= self.guard_ns:
                why = f"the connector {kin.name!r} does not run any more"
                self.add(report.symbol, report.client_id, report.exch_order_id, why, now_ns, ours.identity)

    def forget_unlisted(self, there: set[str], asked_ns: int) -> None:
        """Strays that the exchange lists no more have ended.

        Those that can't be read are not in the list `there`: they were heard of since it was asked for (`add`).
        """
        for client_id, stray in list(self._strays.items()):
            if client_id not in there and stray.seen_ns < asked_ns:
                self._end(stray)

    def heard(self, report: Report, now_ns: int) -> None:
        """The exchange told of an order that is not this connector's: whose it is, runs or has run just now."""
        found = read_any(report.client_id)
        if found is not None and (len(self._heard_ns) < HEARD_MAX or found[1].identity in self._heard_ns):
            self._heard_ns[found[1].identity] = now_ns

    # --- Cancels ------------------------------------------------------------------------------------------------

    def tick(self, now_ns: int) -> None:
        """Send what is due."""
        if any(stray.identity and stray.due_ns <= now_ns for stray in self._strays.values()):
            # Never those of one that has come back this very moment.
            self.look_around(now_ns)
        sent = 0
        for stray in self._strays.values():
            if stray.due_ns > now_ns:
                continue
            if sent == BURST:
                break
            sent += 1
            self.requests.pop(stray.request, None)
            stray.request = self._commands.next_request()
            self.requests[stray.request] = stray
            stray.due_ns = now_ns + OUTCOME_NS
            self._out.append(Cancel(stray.request, stray.client_id, stray.exch_order_id, stray.symbol))

    def take(self, outcome: Outcome, now_ns: int) -> None:
        """How one of `requests` ended."""
        stray = self.requests.pop(outcome.request)
        if outcome.kind == CONFIRMED or (outcome.kind == REFUSED and outcome.reason == REASON_UNKNOWN_ORDER):
            self._end(stray)
            return
        stray.request = 0
        stray.due_ns = now_ns + min(STRAY_BACKOFF_NS << min(stray.tries, 10), STRAY_BACKOFF_MAX_NS)
        stray.tries += 1

    def _end(self, stray: _Stray) -> None:
        self.cancelled += 1
        self._drop(stray)

    def _drop(self, stray: _Stray) -> None:
        self.requests.pop(stray.request, None)
        self._strays.pop(stray.client_id, None)

    # --- For people ---------------------------------------------------------------------------------------------

    def warnings(self) -> Iterator[Warn]:
        """Orders of other connectors of ours, and connectors that should not be two."""
        for identity, count in self.others.items():
            said = f"{count} open orders are of another connector of ours"
            kin = self.kin.get(identity)
            if kin is None:
                yield Warn(
                    "orders_of_other_connector",
                    f"{said} ({_named(identity)}), which does not run on this machine"
                    + (", and was heard of lately" if identity in self._heard_ns else "")
                    + ". They are left alone. If it runs nowhere, cancel them at the exchange: while this connector "
                    "refreshes the exchange's dead-man switch in their symbols, the switch does not cancel them",
                    _named(identity),
                )
            elif kin.dead_since_ns:
                yield Warn(
                    "orders_of_other_connector",
                    f"{said}, {kin.name!r}, which does not run any more: "
                    + (
                        f"they are cancelled when it has been gone for {self.guard_ns / 1e9:g} s; start it again to "
                        "keep them"
                        if self.guard_ns
                        else "start it again, or cancel them at the exchange"
                    ),
                    kin.name,
                )
        for kin in self.kin.values():
            if not kin.dead_since_ns and kin.prefix == self._store.ids.prefix:
                yield Warn(
                    "other_connector",
                    f"the connector {kin.name!r} trades this account with the same order_prefix {kin.prefix!r}: their "
                    "orders are told apart all the same; give one of them another order_prefix",
                    kin.name,
                )
        for stray in self._strays.values():
            yield Warn(
                "stray_order",
                f"{stray.symbol}: the order {stray.client_id} is being cancelled: {stray.why}",
                stray.client_id,
            )


def _named(identity: int) -> str:
    return f"number {identity:06x}" if identity else "before they had numbers"
