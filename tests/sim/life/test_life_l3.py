"""The life of orders in markets of single orders, beside a model whose queues are lists."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.hbt import life
from hftd.types import BUY, FILL_EVENT, KIND_MASK, NEW, PARTIALLY_FILLED
from sim import BacktestAsset, HashMapMarketDepthBacktest
from tests.sim.l3 import runs
from tests.sim.l3.market import TICK_SIZE
from tests.sim.l3.model import Model
from tests.sim.life import checks

pytestmark = pytest.mark.timeout(600)
"""The first test compiles what notes the lives."""

KINDS = (life.LIFE_ACCEPTED, life.LIFE_QUEUE, life.LIFE_FILL)


class Telling(Model):
    """The model, which also tells what its queues have ahead of own orders, and why they are filled."""

    def __init__(self, whole=True):
        super().__init__(whole)
        self.told = []
        self.fronts = {}
        self.filled_id = self.filled = self.row_id = None
        self.took = False
        self.event = (0, 0.0)

    def tell(self, order, kind, cause, qty, event=(0, 0.0)):
        front = -1.0 if self.took else self.fronts.get(id(order), -1.0)
        self.told.append((order.order_id, kind, cause, front, qty, order.qty, event[0] * TICK_SIZE, event[1]))

    def ahead(self, order):
        queue = self.queue(order.side, order.tick)
        return sum(one.qty for one in queue[: queue.index(order)] if not one.is_own)

    def look(self):
        """Tell whose queue has changed."""
        for order in self.live_own(1) + self.live_own(-1):
            if order.status in (NEW, PARTIALLY_FILLED) and id(order) in self.fronts:
                change = self.ahead(order) - self.fronts[id(order)]
                if change != 0:
                    cause = life.CAUSE_TRADE if self.filled else life.CAUSE_BOOK
                    self.fronts[id(order)] += change
                    self.tell(order, life.LIFE_QUEUE, cause, change, (order.tick, -change))

    def row(self, row):
        self.row_id, is_fill = int(row["order_id"]), int(row["ev"]) & KIND_MASK == FILL_EVENT
        self.fill_tick = None
        if not (self.live_own(1) or self.live_own(-1)):
            # Nobody looks at the fills then.
            self.filled_id = None
        elif is_fill:
            self.filled_id = self.row_id
        self.filled = not is_fill and self.filled_id == self.row_id
        if self.filled:
            self.filled_id = None
        self.join_tick = None
        super().row(row)
        self.look()

    def _join(self, order):
        self.join_tick = order.tick
        super()._join(order)

    def _on_fill(self, order, tick, qty):
        self.fill_tick = tick
        super()._on_fill(order, tick, qty)

    def _fill(self, orders, qty):
        self.look()
        self.offered = qty
        super()._fill(orders, qty)

    def _execute(self, order, tick, qty):
        super()._execute(order, tick, qty)
        if self.took:
            left = self.qty(-order.side, tick)
            self.tell(order, life.LIFE_FILL, life.CAUSE_TAKEN, qty, (tick, left))
            return
        cause, at = life.CAUSE_CROSSED, self.best[-order.side]
        if self.fill_tick is not None:
            is_better = (order.tick - self.fill_tick) * order.side > 0
            cause = life.CAUSE_TRADED_THROUGH if is_better else life.CAUSE_REACHED
            at = self.fill_tick
        elif self.joined == -order.side and self.join_tick is not None:
            at = self.join_tick
        self.tell(order, life.LIFE_FILL, cause, qty, (at, self.offered))

    def _take(self, order):
        self.took = True
        super()._take(order)
        self.took = False

    def _enter(self, order, time_in_force):
        super()._enter(order, time_in_force)
        # An order that is moved after a part of it was executed is accepted anew, with the quantity of the whole.
        if order.status in (NEW, PARTIALLY_FILLED) and order in self.queue(order.side, order.tick):
            self.fronts[id(order)] = self.ahead(order)
            self.tell(order, life.LIFE_ACCEPTED, life.CAUSE_NONE, order.executed + order.qty)


def on_engine(case, whole, *, recorded=True):
    hbt = HashMapMarketDepthBacktest([runs.describe(BacktestAsset(), case, whole=whole)])
    if recorded:
        hbt.record_life()
    return runs.on_engine(hbt, case), hbt


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 30), st.booleans(), st.sampled_from([0.0, 0.05]), st.sampled_from([0.0, 0.02]))
@pytest.mark.thorough
def test_a_life_among_single_orders_tells_exact_places_and_why_it_filled(seed, whole, crossing, clears):
    case = runs.make(seed, crossing=crossing, clears=clears, bad=0.02)
    (seen, account), hbt = on_engine(copy.deepcopy(case), whole)
    plain, _ = on_engine(copy.deepcopy(case), whole, recorded=False)
    assert (seen.tobytes(), account.tobytes()) == tuple(part.tobytes() for part in plain)
    rows = hbt.life()
    checks.is_well_formed(rows)
    checks.queues_add_up(rows)
    assert (np.diff(rows["ts"]) >= 0).all()
    checks.account_is_that_of_the_fills(
        rows, 0, hbt.engine.lanes[0][0]["state"], lambda price, qty: 50.0 * price * qty
    )
    model = Telling(whole)
    runs.on_model(model, case)
    rows = rows[np.isin(rows["kind"], KINDS)]
    names = ("order_id", "kind", "cause", "front_qty", "qty", "leaves_qty", "event_px", "event_qty")
    got = [tuple(row[name].item() for name in names) for row in rows]
    # A row changes the queues of one side at one price; who is told first among several fills is told elsewhere.
    assert got == model.told[: len(got)]
    assert len(model.told) - len(got) < 20
    assert (rows["side"][rows["side"] != BUY] == -BUY).all()
