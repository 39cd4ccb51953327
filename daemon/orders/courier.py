"""Commands to the venue: numbered, in flight, timed out, repeated.

Each command has one outcome. One whose outcome does not come within `OUTCOME_NS` counts as unknown. What is unknown is
asked for, first at once and then after `BACKOFF_NS`, twice as long each time up to `BACKOFF_MAX_NS`; so is a withdrawal
repeated until the order is known to be finished. Both go on as long as the order is not: there are no more of them than
orders, at that pace.
"""

import heapq
from collections import deque
from typing import Final

from daemon.orders.machine import DONE, NEVER, SENT, UNSURE, Amendment, Order
from daemon.orders.messages import Cancel, Modify, Query, Submit
from daemon.orders.store import Store
from daemon.orders.telling import Sent

OUTCOME_NS: Final = 10_000_000_000
BACKOFF_NS: Final = 250_000_000
BACKOFF_MAX_NS: Final = 5_000_000_000
GRACE_NS: Final = 10_000_000_000
"""How long an order that the exchange does not find may still be on its way. A request that is older than its
`recvWindow` (5 s) is not accepted any more."""

PLACE: Final = 1
AMEND: Final = 2
WITHDRAW: Final = 3
QUERY: Final = 4


def backoff_ns(tries: int) -> int:
    """The pause before the next try."""
    return min(BACKOFF_NS << min(tries, 10), BACKOFF_MAX_NS)


class Courier:
    """Sends commands, and knows what is due.

    Args:
        store: What is known.
        out: Where commands go.
    """

    def __init__(self, store: Store, out: "deque[Sent]") -> None:
        self._store = store
        self._out = out
        self._requests = 0
        self._timers: list[tuple[int, str]] = []
        self.in_flight: dict[int, tuple[int, Order, int]] = {}
        self.is_up = False
        self.queries = 0
        self.timeouts = 0

    def _number(self, kind: int, order: Order, now_ns: int) -> int:
        self._requests += 1
        self.in_flight[self._requests] = kind, order, now_ns
        return self._requests

    def next_request(self) -> int:
        """The number of a command that is about none of the store's orders."""
        self._requests += 1
        return self._requests

    def place(self, order: Order) -> None:
        """Send a new order."""
        order.place_request = self._number(PLACE, order, order.placed_ns)
        self._out.append(
            Submit(
                order.place_request,
                order.client_id,
                order.symbol,
                order.side,
                order.order_type,
                order.time_in_force,
                order.price_tick,
                order.qty_lots,
                order.reduce_only,
            )
        )

    def amend(self, order: Order, price_tick: int, qty_lots: int, local_ts: int, now_ns: int) -> None:
        """Send a modification; none is under way at the order."""
        assert order.amend is None
        request = self._number(AMEND, order, now_ns)
        is_reduction = price_tick == order.price_tick and qty_lots < order.qty_lots
        replaces = self._store.ledgers[order.symbol].instrument.replaces and not is_reduction
        order.amend = Amendment(
            price_tick, qty_lots, order.done_lots, local_ts, now_ns, request, replaces=replaces
        )
        self._out.append(
            Modify(
                request,
                order.client_id,
                order.exch_order_id,
                order.symbol,
                order.side,
                price_tick,
                qty_lots,
                order.time_in_force,
                order.done_lots,
                is_reduction,
            )
        )

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

        A withdrawal is tried even while the fates of requests are not heard (`is_up`): there may be a way for it, and
        if there is none, it is refused at once and comes again.
        """
        if not order.finished_ns:
            if order.cancel_due_ns <= now_ns and order.cancel_request == 0:
                order.cancel_due_ns = NEVER
                order.cancel_sent_ns = now_ns
                order.cancel_request = self._number(WITHDRAW, order, now_ns)
                self._out.append(
                    Cancel(order.cancel_request, order.client_id, order.exch_order_id, order.symbol)
                )
            if self.is_up and order.query_due_ns <= now_ns and order.query_request == 0:
                order.query_due_ns = NEVER
                order.query_sent_ns = now_ns
                order.query_request = self._number(QUERY, order, now_ns)
                self.queries += 1
                self._out.append(
                    Query(order.query_request, order.client_id, order.exch_order_id, order.symbol)
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
            amend = order.amend
            if kind == PLACE and order.place == SENT:
                order.place = UNSURE
                order.query_due_ns = min(order.query_due_ns, now_ns)
                self._store.touch(order)
            elif kind == AMEND and amend is not None and amend.request == request:
                amend.phase = UNSURE
                order.query_due_ns = min(order.query_due_ns, now_ns)
                self._store.touch(order)
            elif kind == WITHDRAW and order.cancel_request == request:
                order.cancel_request = 0
                order.cancel_due_ns = now_ns
            elif kind == QUERY and order.query_request == request:
                order.query_request = 0
                order.query_due_ns = now_ns
        return orders

    def take(self, request: int) -> tuple[int, Order] | None:
        """What a command was, once: its kind and its order."""
        found = self.in_flight.pop(request, None)
        return None if found is None else found[:2]

    def retry_cancel(self, order: Order, now_ns: int) -> None:
        """A withdrawal came to nothing: again, later."""
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

    def confirm_place(self, order: Order, now_ns: int) -> None:
        """The order is at the exchange: a withdrawal that it did not find is sent again."""
        order.place = DONE
        if order.cancel_wanted and order.cancel_request == 0 and not order.finished_ns:
            order.cancel_due_ns = now_ns
            self.work(order, now_ns)
