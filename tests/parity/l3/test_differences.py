"""Where the reference is wrong on markets of single orders: what it does, and what is done here."""

import pytest

import sim
from hftd.types import (
    ADD_ORDER_EVENT,
    CANCEL_ORDER_EVENT,
    EXPIRED,
    FILL_EVENT,
    FILLED,
    GTC,
    GTX,
    MODIFY_ORDER_EVENT,
    NEW,
)
from tests.sim.l3.market import TICK_SIZE
from tests.sim.l3.story import buy, describe, rows, sell, upto

pytestmark = pytest.mark.parity

BOOK = ((1, ADD_ORDER_EVENT, 1, 1, 100, 5), (1, ADD_ORDER_EVENT, -1, 2, 102, 5))


class Both:
    """The same market on the reference's engine and on ours."""

    def __init__(self, reference, data, roi=None):
        # The reference reads it there as long as it runs, and writes into it.
        self._kept = data.copy()
        made = [describe(reference.BacktestAsset(), self._kept), describe(sim.BacktestAsset(), data)]
        if roi is not None:
            for asset in made:
                asset.roi_lb(roi[0] * TICK_SIZE).roi_ub(roi[1] * TICK_SIZE)
        name = "HashMapMarketDepthBacktest" if roi is None else "ROIVectorMarketDepthBacktest"
        self.theirs = getattr(reference, name)([made[0]])
        self.ours = getattr(sim, name)([made[1]])

    def __iter__(self):
        return iter((self.theirs, self.ours))

    def upto(self, step):
        for hbt in self:
            upto(hbt, step)

    def __call__(self, ask):
        """What each of them answers."""
        return tuple(ask(hbt) for hbt in self)

    def status(self, order_id=1):
        return self(lambda hbt: int(hbt.orders(0).get(order_id).status))

    def best(self):
        return self(lambda hbt: (int(hbt.depth(0).best_bid_tick), int(hbt.depth(0).best_ask_tick)))


def test_an_own_bid_above_the_best_is_passed_over_by_a_taker_at_the_best(reference):
    both = Both(reference, rows(*BOOK, (3, FILL_EVENT, 1, 1, 100, 5)))
    both.upto(1)
    both(lambda hbt: buy(hbt, 1, 101, 4))
    both.upto(3)
    assert both.status() == (NEW, FILLED)


def test_whether_it_is_passed_over_depends_on_how_many_own_orders_there_are(reference):
    # The taker reaches 90; the best bid of the market is at 93.
    told = ((1, ADD_ORDER_EVENT, 1, 3, 93, 5), (1, ADD_ORDER_EVENT, 1, 4, 90, 5))
    end = ((3, CANCEL_ORDER_EVENT, 1, 1, 100, 5), (5, FILL_EVENT, 1, 4, 90, 5))
    for others in (0, 3):
        both = Both(reference, rows(*BOOK, *told, *end))
        both.upto(1)
        for order_id in range(2, 2 + others):
            both(lambda hbt, order_id=order_id: buy(hbt, order_id, 50, 1))
        both(lambda hbt: buy(hbt, 1, 99, 4))
        both.upto(5)
        assert both.status() == (NEW if others else FILLED, FILLED)


def test_asks_that_were_crossed_stay_hidden_after_the_bid_is_gone(reference):
    told = ((2, ADD_ORDER_EVENT, 1, 3, 103, 1), (4, CANCEL_ORDER_EVENT, 1, 3, 103, 1))
    both = Both(reference, rows(*BOOK, (1, ADD_ORDER_EVENT, -1, 4, 106, 5), *told))
    both.upto(2)
    assert both.best() == ((103, 106), (103, 106))
    both.upto(4)
    assert both.best() == ((100, 106), (100, 102))


def test_an_own_order_that_is_moved_across_the_market_rests_there(reference):
    for time_in_force, state in ((GTC, FILLED), (GTX, EXPIRED)):
        both = Both(reference, rows(*BOOK))
        both.upto(1)
        both(lambda hbt, time_in_force=time_in_force: buy(hbt, 1, 99, 4, time_in_force))
        both.upto(2)
        both(lambda hbt: hbt.modify(0, 1, 102 * TICK_SIZE, 4.0, False))
        both.upto(5)
        assert both.status() == (NEW, state)


@pytest.mark.parametrize("kind", [ADD_ORDER_EVENT, CANCEL_ORDER_EVENT])
def test_a_row_that_makes_no_sense_ends_the_run_with_a_code(reference, kind):
    # An id that is there is added; one that is not is cancelled.
    order_id = 1 if kind == ADD_ORDER_EVENT else 9
    both = Both(reference, rows(*BOOK, (3, kind, 1, order_id, 100, 5), (6, ADD_ORDER_EVENT, 1, 7, 101, 1)))
    both.upto(1)
    assert both(lambda hbt: hbt.elapse(3000))[0] not in (0, 1)
    upto(both.ours, 8)
    assert int(both.ours.depth(0).best_bid_tick) == 101
    assert len(both.ours.warnings()) == 1


def test_a_fill_without_a_side_is_ignored(reference):
    told = ((3, ADD_ORDER_EVENT, 1, 3, 100, 5), (5, FILL_EVENT, 0, 3, 100, 5))
    both = Both(reference, rows(*BOOK, *told))
    both.upto(1)
    both(lambda hbt: buy(hbt, 1, 100, 4))
    both.upto(5)
    assert both.status() == (NEW, FILLED)


def test_an_order_of_no_quantity_makes_a_best_price(reference):
    both = Both(reference, rows(*BOOK, (3, ADD_ORDER_EVENT, 1, 3, 101, 0)))
    both.upto(1)
    both(lambda hbt: sell(hbt, 1, 101, 4))
    both.upto(3)
    assert both.best() == ((101, 102), (100, 102))
    assert both.status() == (FILLED, NEW)


def test_an_order_outside_the_range_of_interest_makes_a_best_price(reference):
    both = Both(reference, rows(*BOOK, (3, ADD_ORDER_EVENT, 1, 3, 101, 1)), roi=(50, 100))
    both.upto(3)
    assert [bid for bid, _ask in both.best()] == [101, 100]


def test_partial_fills_are_refused(reference):
    asset = describe(reference.BacktestAsset(), rows(*BOOK), whole=False)
    with pytest.raises(ValueError, match="unsupported"):
        reference.HashMapMarketDepthBacktest([asset])
    both = rows(*BOOK, (3, ADD_ORDER_EVENT, 1, 3, 100, 9), (5, FILL_EVENT, 1, 3, 100, 1))
    hbt = sim.HashMapMarketDepthBacktest([describe(sim.BacktestAsset(), both, whole=False)])
    upto(hbt, 1)
    buy(hbt, 1, 100, 4)
    upto(hbt, 5)
    assert hbt.position(0) == 1


def test_the_fill_of_an_order_that_was_moved_to_take_fills_own_orders_at_its_old_price(reference):
    took = (
        (5, FILL_EVENT, 1, 3, 102, 5),
        (5, FILL_EVENT, -1, 2, 102, 5),
        (5, CANCEL_ORDER_EVENT, 1, 3, 100, 5),
    )
    both = Both(reference, rows(*BOOK, (3, ADD_ORDER_EVENT, 1, 3, 100, 5), *took))
    both.upto(1)
    both(lambda hbt: buy(hbt, 1, 100, 4))
    both.upto(6)
    assert both.status() == (FILLED, NEW)


def test_a_refilled_iceberg_keeps_its_place(reference):
    told = (
        (3, FILL_EVENT, 1, 1, 100, 5),
        (4, MODIFY_ORDER_EVENT, 1, 1, 100, 5),
        (6, FILL_EVENT, 1, 1, 100, 5),
    )
    both = Both(reference, rows(*BOOK, *told))
    both.upto(1)
    both(lambda hbt: buy(hbt, 1, 100, 4))
    both.upto(7)
    assert both.status() == (NEW, FILLED)
