"""Random markets of single orders, as rows; a seed gives the same one again."""

import numpy as np

from hftd.types import (
    ADD_ORDER_EVENT,
    BUY_EVENT,
    CANCEL_ORDER_EVENT,
    DEPTH_CLEAR_EVENT,
    EXCH_EVENT,
    FILL_EVENT,
    LOCAL_EVENT,
    MODIFY_ORDER_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    event_dtype,
)

TICK_SIZE = 0.25
LOT_SIZE = 1.0
STEP_NS = 1000
FEED_LATENCY_NS = 10
BOTH = EXCH_EVENT | LOCAL_EVENT
START_TICK = 1000


class Market:
    """Makes rows as an exchange would send them.

    Args:
        seed: Of its chance.
        crossing: How often an order that crosses the market is added, and left to stand now and then.
        bad: How often a row makes no sense.
        clears: How often a side, or both, are cleared.
        orders: Orders that stand at the beginning: (id, side, tick, quantity).
    """

    def __init__(self, seed, *, crossing=0.0, bad=0.0, clears=0.0, orders=(), start_ns=STEP_NS):
        self.rng = np.random.default_rng(seed)
        self.crossing, self.bad, self.clears = crossing, bad, clears
        self.now_ns = start_ns
        self.made = []
        self.live = {order_id: [side, tick, qty] for order_id, side, tick, qty in orders}
        # Ids of all sizes, so the first and the last of a u64 among them.
        self.next_ids = [0, 2**64 - 1, 2**63, *(int(x) for x in self.rng.integers(1, 2**62, 100_000))]

    def row(self, kind, side, order_id=0, tick=0, qty=0.0):
        flag = {1: BUY_EVENT, -1: SELL_EVENT, 0: 0}[side]
        local_ts = self.now_ns + FEED_LATENCY_NS
        self.made.append(
            (BOTH | flag | kind, self.now_ns, local_ts, tick * TICK_SIZE, float(qty), order_id, 0, 0.0)
        )

    def best(self, side):
        ticks = [tick for one, tick, _qty in self.live.values() if one == side]
        if not ticks:
            return START_TICK - side
        return max(ticks) if side > 0 else min(ticks)

    def add(self, side, tick, qty):
        order_id = self.next_ids.pop(0)
        self.live[order_id] = [side, tick, qty]
        self.row(ADD_ORDER_EVENT, side, order_id, tick, qty)
        return order_id

    def cancel(self, order_id):
        side, tick, qty = self.live.pop(order_id)
        self.row(CANCEL_ORDER_EVENT, side, order_id, tick, qty)

    def modify(self, order_id, tick, qty):
        order = self.live[order_id]
        order[1:] = [tick, qty]
        self.row(MODIFY_ORDER_EVENT, order[0], order_id, tick, qty)

    def fill(self, order_id, qty):
        """Fill a part of an order, or all of it; the feed says afterwards what is left."""
        side, tick, before = self.live[order_id]
        self.row(TRADE_EVENT, -side, 0, tick, qty)
        self.row(FILL_EVENT, side, order_id, tick, qty)
        if qty >= before:
            self.cancel(order_id)
        else:
            self.modify(order_id, tick, before - qty)

    def pick(self):
        return list(self.live)[int(self.rng.integers(len(self.live)))]

    def take(self, side):
        """A taker against a side: its best level, the oldest order first."""
        best = self.best(side)
        left = int(self.rng.integers(1, 9))
        for order_id in [i for i, (one, tick, _) in self.live.items() if one == side and tick == best]:
            qty = min(left, self.live[order_id][2])
            self.fill(order_id, qty)
            left -= qty
            if left <= 0:
                return

    def cross(self, side):
        """An order beyond the opposite best; mostly the feed then says what it filled."""
        tick = self.best(-side) + side * int(self.rng.integers(0, 3))
        crossed = [i for i, (one, at, _) in self.live.items() if one == -side and (tick - at) * side >= 0]
        mine = self.add(side, tick, int(self.rng.integers(1, 9)))
        if self.rng.random() < 0.6:
            for order_id in crossed:
                self.fill(order_id, self.live[order_id][2])
            if self.rng.random() < 0.5:
                self.cancel(mine)

    def mistake(self):
        chance = int(self.rng.integers(4))
        if chance == 0:
            self.row(ADD_ORDER_EVENT, 1, self.pick(), START_TICK, 3)
        elif chance == 1:
            self.row(ADD_ORDER_EVENT, 0, 12345, START_TICK, 3)
        else:
            kinds = (CANCEL_ORDER_EVENT, MODIFY_ORDER_EVENT, FILL_EVENT)
            self.row(kinds[int(self.rng.integers(3))], 1, 6789, START_TICK, 3)

    def move(self):
        """What happens next."""
        rng = self.rng
        chance = rng.random()
        side = 1 if rng.random() < 0.5 else -1
        if len(self.live) < 12 or chance < 0.35:
            # Within the spread at best, so nothing crosses.
            away = int(rng.integers(0, 6))
            tick = self.best(-side) - side * (1 + away)
            self.add(side, tick, int(rng.integers(1, 9)))
        elif chance < 0.35 + self.crossing:
            self.cross(side)
        elif chance < 0.35 + self.crossing + self.clears:
            gone = int(rng.integers(-1, 2))
            self.row(DEPTH_CLEAR_EVENT, gone)
            self.live = {i: order for i, order in self.live.items() if gone not in (0, order[0])}
        elif rng.random() < self.bad:
            self.mistake()
        elif chance < 0.55:
            self.cancel(self.pick())
        elif chance < 0.8:
            order_id = self.pick()
            one, tick, qty = self.live[order_id]
            new_qty = max(1, qty + int(rng.integers(-3, 4)))
            new_tick = tick
            if rng.random() < 0.4:
                new_tick = self.best(-one) - one * (1 + int(rng.integers(0, 6)))
            self.modify(order_id, new_tick, new_qty)
        elif chance < 0.95:
            self.take(side)
        else:
            # Far from the market, as in an auction.
            order_id = self.pick()
            self.fill(order_id, int(rng.integers(1, self.live[order_id][2] + 1)))

    def rows(self, moves):
        """So many moves, some of them at the same time."""
        for _ in range(moves):
            self.move()
            if self.rng.random() < 0.7:
                self.now_ns += STEP_NS
        return np.array(self.made, event_dtype)
