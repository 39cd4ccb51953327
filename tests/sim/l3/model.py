"""The rules of a market of single orders and of own orders in its queues, written as plainly as can be.

Each queue is a list, in which own orders stand among the market's. `Model` has the rules of this project, `Theirs`
those of the reference where it differs.
"""

from dataclasses import dataclass

from hftd.types import (
    ADD_ORDER_EVENT,
    BUY_EVENT,
    CANCEL_ORDER_EVENT,
    CANCELED,
    DEPTH_CLEAR_EVENT,
    EXPIRED,
    FILL_EVENT,
    FILLED,
    GTX,
    INVALID_MAX,
    INVALID_MIN,
    KIND_MASK,
    MODIFY_ORDER_EVENT,
    NEW,
    PARTIALLY_FILLED,
    SELL_EVENT,
)
from tests.sim.l3.market import TICK_SIZE


@dataclass
class Order:
    order_id: int
    side: int
    tick: int
    qty: float
    is_own: bool = False
    status: int = NEW
    exec_tick: int = 0
    exec_qty: float = 0.0
    executed: float = 0.0
    filled: float = 0.0  # of the market's, since its quantity was told


class Model:
    """Args:
    whole: Whether own orders fill whole.
    """

    def __init__(self, whole=True):
        self.whole = whole
        self.queues = {}
        self.market = {}
        self.own = {}
        self.best = {1: INVALID_MIN, -1: INVALID_MAX}
        self.position = 0.0
        self.trades = 0
        self.left_out = 0

    # The book.

    def queue(self, side, tick):
        return self.queues.setdefault((side, tick), [])

    def qty(self, side, tick):
        return sum(order.qty for order in self.queue(side, tick) if not order.is_own)

    def ticks(self, side):
        return [tick for one, tick in self.queues if one == side and self.qty(side, tick) > 0]

    def behind(self, side, tick):
        """The best level of a side that is worse than a tick."""
        if side > 0:
            return max((t for t in self.ticks(1) if t < tick), default=INVALID_MIN)
        return min((t for t in self.ticks(-1) if t > tick), default=INVALID_MAX)

    def _joined(self, side, tick):
        if (tick - self.best[side]) * side > 0:
            self.best[side] = tick
            if (tick - self.best[-side]) * side >= 0:
                self.best[-side] = self.behind(-side, tick)

    def _left(self, side, tick):
        if tick == self.best[side] and self.qty(side, tick) <= 0:
            self.best[side] = self.behind(side, tick)
            self._shown_again(side)

    def _shown_again(self, side):
        """The best of a side went back: what it had crossed shows again."""
        self.best[-side] = self.behind(-side, self.best[side])

    # Own orders.

    def live_own(self, side):
        """Own orders of a side, the best price first, and at one price the first in the queue."""
        ticks = sorted({order.tick for order in self.own.values() if order.side == side}, reverse=side > 0)
        return [order for tick in ticks for order in self.queue(side, tick) if order.is_own]

    def _execute(self, order, tick, qty):
        order.exec_tick, order.exec_qty = tick, qty
        order.qty -= qty
        order.executed += qty
        order.status = FILLED if order.qty <= 0 else PARTIALLY_FILLED
        self.position += order.side * qty
        self.trades += 1

    def _fill(self, orders, qty):
        for order in orders:
            take = order.qty if self.whole else min(order.qty, qty)
            if take > 0:
                self._execute(order, order.tick, take)
                qty -= take
                if order.status == FILLED:
                    self.queue(order.side, order.tick).remove(order)

    def _reached(self, side, tick):
        """Own orders of a side at a tick or better."""
        return [order for order in self.live_own(side) if (order.tick - tick) * side >= 0]

    def _better(self, side, tick):
        """Own orders that a taker who got a fill at a tick would have met first, because of their price."""
        return self._reached(side, tick + side)

    # Rows.

    def row(self, row):
        kind, order_id = int(row["ev"]) & KIND_MASK, int(row["order_id"])
        side = 1 if int(row["ev"]) & BUY_EVENT else -1 if int(row["ev"]) & SELL_EVENT else 0
        tick, qty = round(float(row["px"]) / TICK_SIZE), float(row["qty"])
        before, self.joined = dict(self.best), 0
        if kind == ADD_ORDER_EVENT:
            if side == 0 or order_id in self.market:
                self.left_out += 1
                return
            order = self.market[order_id] = Order(order_id, side, tick, qty)
            self._join(order)
        elif kind in (CANCEL_ORDER_EVENT, MODIFY_ORDER_EVENT, FILL_EVENT):
            if order_id not in self.market:
                self.left_out += 1
                return
            order = self.market[order_id]
            if kind == CANCEL_ORDER_EVENT:
                del self.market[order_id]
                self._leave(order)
            elif kind == MODIFY_ORDER_EVENT:
                self._modify(order, tick, qty)
            else:
                self._on_fill(order, tick, qty)
        elif kind == DEPTH_CLEAR_EVENT:
            self._clear(side)
        for one in (1, -1):
            if (self.best[one] - before[one]) * one > 0 and self.joined != one:
                self._fill(self._reached(-one, self.best[one]), self.qty(one, self.best[one]))

    def _join(self, order):
        self.queue(order.side, order.tick).append(order)
        self.joined = order.side
        self._joined(order.side, order.tick)
        self._fill(self._reached(-order.side, order.tick), order.qty)

    def _leave(self, order):
        self.queue(order.side, order.tick).remove(order)
        self._left(order.side, order.tick)

    def _modify(self, order, tick, qty):
        left, order.filled = order.qty - order.filled, 0.0
        if tick != order.tick:
            self._leave(order)
            order.tick, order.qty = tick, qty
            self._join(order)
        elif qty > order.qty or self._is_refill(qty, left):
            queue = self.queue(order.side, tick)
            queue.remove(order)
            queue.append(order)
            order.qty = qty
        else:
            order.qty = qty

    def _is_refill(self, qty, left):
        """More than the fills left: an iceberg that shows its next part goes to the end."""
        return qty > left

    def _is_takers(self, order, tick):
        """Nobody makes beyond its own price: that order was moved to take."""
        return (tick - order.tick) * order.side > 0

    def _on_fill(self, order, tick, qty):
        if self._is_takers(order, tick):
            return
        order.filled += qty
        beyond = order.filled - order.qty
        if self._is_refill(beyond, 0):
            self.queue(order.side, order.tick).remove(order)
            self.queue(order.side, order.tick).append(order)
            qty = min(qty, beyond)
        queue = self.queue(order.side, order.tick)
        ahead = [one for one in queue[: queue.index(order)] if one.is_own]
        better = self._better(order.side, tick)
        self._fill(better + [one for one in ahead if one not in better], qty)

    def _clear(self, side):
        for one in (1, -1):
            if side in (0, one):
                for order in self.live_own(one):
                    order.status, order.qty, order.exec_qty = EXPIRED, 0.0, 0.0
                self.queues = {key: queue for key, queue in self.queues.items() if key[0] != one}
                self.market = {i: order for i, order in self.market.items() if order.side != one}
                self.best[one] = INVALID_MIN if one > 0 else INVALID_MAX
        if side != 0:
            self._shown_again(side)

    # Requests.

    def submit(self, order_id, side, tick, qty, time_in_force):
        order = self.own[order_id] = Order(order_id, side, tick, qty, is_own=True)
        self._enter(order, time_in_force)

    def _enter(self, order, time_in_force):
        opposite = self.best[-order.side]
        if abs(opposite) < INVALID_MAX and (order.tick - opposite) * order.side >= 0:
            if time_in_force == GTX:
                order.status = EXPIRED
            else:
                self._take(order)
        else:
            order.status = PARTIALLY_FILLED if order.executed > 0 else NEW
            self.queue(order.side, order.tick).append(order)

    def _take(self, order):
        tick = self.best[-order.side]
        if self.whole:
            self._execute(order, tick, order.qty)
            return
        # The levels before its limit; what remains is filled at the limit.
        while abs(tick) < INVALID_MAX and (order.tick - tick) * order.side > 0 and order.qty > 0:
            self._execute(order, tick, min(order.qty, self.qty(-order.side, tick)))
            tick = self.behind(-order.side, tick)
        if order.qty > 0:
            self._execute(order, order.tick, order.qty)

    def cancel(self, order_id):
        order = self.own[order_id]
        self.queue(order.side, order.tick).remove(order)
        order.status = CANCELED

    def modify(self, order_id, tick, qty, time_in_force):
        order = self.own[order_id]
        left = qty - order.executed
        if left <= 0:
            self.cancel(order_id)
            return
        if tick == order.tick and left <= order.qty:
            order.qty = left
            return
        self.queue(order.side, order.tick).remove(order)
        order.tick, order.qty = tick, left
        self._enter(order, time_in_force)


class Theirs(Model):
    """The reference: it fills whole orders only, and four of its rules differ."""

    def _is_refill(self, qty, left):
        """It keeps its place."""
        return False

    def _is_takers(self, order, tick):
        """It is taken for a fill where the order stood."""
        return False

    def _shown_again(self, side):
        """What was crossed stays hidden until something is added there."""

    def _better(self, side, tick):
        """Own orders that are better than the market's best may be passed over."""
        best = self.best[side]
        if (best - tick) * side <= 0:
            return []
        better = self._reached(side, tick + side)
        own = len(self.live_own(1)) + len(self.live_own(-1))
        if own < abs(best - tick) - 1:
            return better
        return [order for order in better if (best - order.tick) * side >= 0]
