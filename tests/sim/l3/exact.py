"""An exchange with exact queues, which tells what happens as CME does: the oracle of places and fills of own orders.

Shadow orders stand in its queues without a quantity of their own. A shadow is reached when somebody trades who would
have met it first: with an order behind it at its price, or at a worse price.
"""

import numpy as np

from hftd.types import (
    ADD_ORDER_EVENT,
    BUY_EVENT,
    CANCEL_ORDER_EVENT,
    FILL_EVENT,
    MODIFY_ORDER_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    event_dtype,
)
from tests.sim.l3.market import BOTH, FEED_LATENCY_NS, START_TICK, STEP_NS, TICK_SIZE

ADD, CANCEL, MODIFY, TRADE, FILL = (
    ADD_ORDER_EVENT,
    CANCEL_ORDER_EVENT,
    MODIFY_ORDER_EVENT,
    TRADE_EVENT,
    FILL_EVENT,
)


class Order:
    def __init__(self, order_id, side, tick, qty, hidden=0, is_shadow=False):
        self.order_id, self.side, self.tick, self.qty = order_id, side, tick, qty
        self.shown, self.hidden, self.is_shadow = qty, hidden, is_shadow
        self.reached = None


class ExactExchange:
    """Args:
    seed: Of what happens.
    orders: Orders that stand at the beginning: (id, side, tick, quantity).
    """

    def __init__(self, seed, orders=()):
        self.rng = np.random.default_rng(seed)
        self.step = 1
        self.made = []
        self.queues = {}
        self.bests = {1: START_TICK - 2, -1: START_TICK + 2}
        if orders:
            self.bests = {
                side: (max if side > 0 else min)(tick for _, one, tick, _ in orders if one == side)
                for side in (1, -1)
            }
        self.shadows = []
        self.next_id = 10**15
        for order_id, side, tick, qty in orders:
            self.tell(ADD, side, order_id, tick, qty)
            self._rest(Order(order_id, side, tick, qty))

    def tell(self, kind, side, order_id, tick, qty):
        ts = self.step * STEP_NS
        flag = BUY_EVENT if side > 0 else SELL_EVENT
        row = (BOTH | flag | kind, ts, ts + FEED_LATENCY_NS, tick * TICK_SIZE, float(qty), order_id, 0, 0.0)
        self.made.append(row)

    def rows(self):
        return np.array(self.made, event_dtype)

    def best(self, side):
        """The best tick at which somebody stands; the last one there was, where nobody is left within reach."""
        tick = self.bests[side]
        for _ in range(100):
            if any(order.qty for order in self.queues.get((side, tick), ())):
                self.bests[side] = tick
                return tick
            tick -= side
        return self.bests[side]

    def near(self):
        """The orders around the market."""
        ticks = [(side, self.best(side) - side * away) for side in (1, -1) for away in range(6)]
        return [order for key in ticks for order in self.queues.get(key, ()) if order.qty]

    # Shadows.

    def place_shadow(self, order_id, side, tick):
        self.shadows.append(Order(order_id, side, tick, 0, is_shadow=True))
        self.queues.setdefault((side, tick), []).append(self.shadows[-1])

    def _reach(self, side, bound, maker=None):
        """Shadows better than a tick, and those before a maker at its own."""
        for shadow in [one for one in self.shadows if one.reached is None and one.side == side]:
            better = (shadow.tick - bound) * side > 0
            queue = self.queues[side, shadow.tick]
            ahead = (
                maker is not None and shadow.tick == maker.tick and queue.index(shadow) < queue.index(maker)
            )
            if better or ahead:
                shadow.reached = self.step
                queue.remove(shadow)

    # The market.

    def _rest(self, order):
        self._reach(-order.side, order.tick + order.side)
        self.queues.setdefault((order.side, order.tick), []).append(order)
        if (order.tick - self.bests[order.side]) * order.side > 0:
            self.bests[order.side] = order.tick

    def _leave(self, order):
        self.queues[order.side, order.tick].remove(order)

    def _to_end(self, order):
        queue = self.queues[order.side, order.tick]
        queue.remove(order)
        queue.append(order)

    def _take(self, side, qty, limit, taker_id, is_told):
        """Trade with the other side up to a limit. Returns what is left."""
        while qty:
            tick = self.best(-side)
            queue = [o for o in self.queues.get((-side, tick), ()) if o.qty]
            if not queue or (tick - limit) * side > 0:
                break
            traded, filled, after = 0, [], {}
            while qty and queue:
                maker = queue.pop(0)
                some = min(qty, maker.qty)
                self._reach(-side, tick, maker)
                maker.qty -= some
                qty, traded = qty - some, traded + some
                filled.append((maker, some))
                if maker.qty == 0 and maker.hidden:
                    maker.qty = min(maker.shown, maker.hidden)
                    maker.hidden -= maker.qty
                    self._to_end(maker)
                    after[maker] = MODIFY, maker.qty
                    queue.append(maker)
                elif maker.qty == 0:
                    after[maker] = CANCEL, some
                    self._leave(maker)
                else:
                    after[maker] = MODIFY, maker.qty
            self.tell(TRADE, side, taker_id, tick, traded)
            if is_told:
                # The taker stands in the book: it is filled as well, at a price that is not its own.
                self.tell(FILL, side, taker_id, tick, traded)
            for maker, some in filled:
                self.tell(FILL, maker.side, maker.order_id, tick, some)
            for maker, (kind, left) in after.items():
                self.tell(kind, maker.side, maker.order_id, maker.tick, left)
        return qty

    def passive_tick(self, side, away):
        """So many ticks behind the best, and never across the market."""
        tick, other = self.best(side) - side * away, self.best(-side) - side
        return min(tick, other) if side > 0 else max(tick, other)

    def _passive_tick(self, side):
        return self.passive_tick(side, int(self.rng.integers(0, 4)))

    def happen(self):
        """Something happens at the next step."""
        self.step += 1
        what = self.rng.random()
        near = self.near()
        side = 1 if self.rng.random() < 0.5 else -1
        if what < 0.45 or len(near) < 8:
            if self.best(-1) - self.best(1) > 1 and self.rng.random() < 0.3:
                tick = self.best(side) + side
            else:
                tick = self._passive_tick(side)
            self.next_id += 1
            hidden = int(self.rng.integers(1, 30)) if self.rng.random() < 0.15 else 0
            order = Order(self.next_id, side, tick, int(self.rng.integers(1, 9)), hidden)
            self.tell(ADD, side, order.order_id, tick, order.qty)
            self._rest(order)
        elif what < 0.6:
            order = near[int(self.rng.integers(len(near)))]
            self.tell(CANCEL, order.side, order.order_id, order.tick, order.qty)
            self._leave(order)
        elif what < 0.7:
            self._change(near[int(self.rng.integers(len(near)))])
        elif what < 0.9:
            best = self.best(-side)
            self._take(side, int(self.rng.integers(1, 15)), best + side, 7, is_told=False)
        else:
            self._move_to_take(near[int(self.rng.integers(len(near)))])

    def _change(self, order):
        qty = int(self.rng.integers(1, 9))
        tick = order.tick if self.rng.random() < 0.5 else self._passive_tick(order.side)
        if tick == order.tick:
            if qty > order.qty:
                self._to_end(order)
            order.qty = qty
            self.tell(MODIFY, order.side, order.order_id, tick, qty)
        else:
            self._leave(order)
            order.tick, order.qty = tick, qty
            self.tell(MODIFY, order.side, order.order_id, tick, qty)
            self._rest(order)

    def _move_to_take(self, order):
        """There is no word of the move: trades and fills come first, then what became of the order."""
        limit, old = self.best(-order.side), order.tick
        self._leave(order)
        left = self._take(order.side, order.qty, limit, order.order_id, is_told=True)
        if left:
            order.tick, order.qty = limit, left
            self.tell(MODIFY, order.side, order.order_id, limit, left)
            self._rest(order)
        else:
            self.tell(CANCEL, order.side, order.order_id, old, order.qty)
