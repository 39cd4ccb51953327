"""What the queue strategy knows of its places, and what it makes of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.level3_making import flow_of
from strategies.queue_making import front_after, probability

quantities = st.floats(0.0, 1e6)


def test_trades_move_an_order_forward_and_cancels_do_by_their_share():
    # 100 stand there, 60 of them in front. 20 were traded, and taken out of the front before.
    assert front_after.py_func(40.0, 100.0, 80.0, 20.0) == 40.0
    # Another 40 of the 80 that are left were canceled: half of those in front as well.
    assert front_after.py_func(40.0, 100.0, 40.0, 20.0) == pytest.approx(20.0)
    # Who joins is behind.
    assert front_after.py_func(40.0, 100.0, 300.0, 20.0) == 40.0


@given(quantities, quantities, quantities, quantities)
def test_the_front_is_never_more_than_the_level_nor_than_before(front, before, now, traded):
    after = front_after.py_func(front, before, now, traded)
    assert 0.0 <= after <= min(front, now) + 1e-9 * front


@given(quantities, quantities)
def test_one_of_the_two_queues_is_used_up_first(own, other):
    assert probability.py_func(own, other) + probability.py_func(other, own) == pytest.approx(1.0)
    assert probability.py_func(own, own) == 0.5
    if own < other:
        assert probability.py_func(own, other) <= 0.5


@pytest.mark.parametrize(
    ("after", "flow"),
    [
        ((100, 7.0, 101, 4.0), 2.0),  # two joined the bid
        ((100, 5.0, 101, 1.0), 3.0),  # three left the ask
        ((99, 8.0, 101, 4.0), -5.0),  # the best bid is gone
        ((100, 5.0, 102, 9.0), 4.0),  # the best ask is gone
        ((101, 2.0, 102, 9.0), 6.0),  # the ask is gone, and a bid stands in its place
        ((100, 5.0, 101, 4.0), 0.0),  # something further away
    ],
)
def test_the_flow_of_an_event_is_what_it_brought_to_the_best_prices(after, flow):
    assert flow_of.py_func(np.array([100.0, 5.0, 101.0, 4.0]), *after) == flow
