"""What the quantity of a modification means: that of the whole order, or what is left of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.errors import OrderError
from hftd.types import CANCELED, FILLED, GTX, LIMIT, NEW, PARTIALLY_FILLED
from sim import BacktestAsset, HashMapMarketDepthBacktest
from tests.sim.engine.market import asset, levels, rows

END = ("mark price", 10_000, 0.0, 0.0)


def begin(*events, quantity=None, entry_ns=20):
    """An order of 10 at 98, behind ten others; then what happens."""
    made = asset(rows(*levels(), *events, END), entry_ns=entry_ns, response_ns=20).partial_fill_exchange()
    if quantity is not None:
        made.modify_model(quantity)
    hbt = HashMapMarketDepthBacktest([made])
    hbt.elapse(0)
    hbt.submit_buy_order(0, 1, 98.0, 10.0, GTX, LIMIT, False)
    hbt.elapse(45)
    return hbt


def seen(hbt):
    order = hbt.orders(0).get(1)
    return order.status, order.qty, order.leaves_qty, hbt.position(0)


# Four of the ten are executed at 50, while a modification is on its way that is sent at 45.
PART = ("sell", 50, 98.0, 14.0)


@pytest.mark.parametrize(
    ("quantity", "price", "qty", "found", "bought"),
    [
        (None, 97.0, 10.0, (PARTIALLY_FILLED, 10.0, 6.0, 4.0), 10.0),
        ("total", 98.0, 10.0, (PARTIALLY_FILLED, 10.0, 6.0, 4.0), 10.0),
        ("total", 98.0, 7.0, (PARTIALLY_FILLED, 7.0, 3.0, 4.0), 7.0),
        ("total", 97.0, 12.0, (PARTIALLY_FILLED, 12.0, 8.0, 4.0), 12.0),
        ("total", 97.0, 4.0, (CANCELED, 10.0, 6.0, 4.0), 4.0),
        ("total", 98.0, 3.0, (CANCELED, 10.0, 6.0, 4.0), 4.0),
        ("remainder", 97.0, 10.0, (NEW, 10.0, 10.0, 4.0), 14.0),
        ("remainder", 98.0, 6.0, (PARTIALLY_FILLED, 6.0, 6.0, 4.0), 10.0),
        ("remainder", 97.0, 3.0, (NEW, 3.0, 3.0, 4.0), 7.0),
    ],
)
def test_what_is_executed_while_a_modification_is_on_its_way(quantity, price, qty, found, bought):
    hbt = begin(PART, ("ask", 500, 90.0, 99.0), quantity=quantity)
    assert hbt.modify(0, 1, price, qty, False) == 0
    hbt.elapse(100)
    assert seen(hbt) == found
    hbt.elapse(1_000)
    assert hbt.position(0) == bought
    assert hbt.orders(0).get(1).status == (CANCELED if found[0] == CANCELED else FILLED)


def test_a_post_only_order_that_is_moved_to_take_ends_with_what_it_has():
    hbt = begin(PART)
    hbt.modify(0, 1, 101.0, 10.0, False)
    hbt.elapse(100)
    assert hbt.position(0) == 4.0
    assert hbt.orders(0).get(1).status not in (NEW, PARTIALLY_FILLED)


@settings(max_examples=40, deadline=None)
@given(
    trades=st.lists(st.tuples(st.integers(1, 4_000), st.integers(1, 30)), max_size=6),
    asks=st.lists(
        st.tuples(st.integers(0, 4_000), st.sampled_from([96.0, 97.0, 98.0]), st.integers(1, 25)), max_size=6
    ),
)
def test_no_more_is_bought_than_the_last_total_or_what_was_bought_before(trades, asks):
    events = sorted(("sell", ts, 97.0, float(qty)) for ts, qty in trades)
    hbt = begin(*sorted(events, key=lambda event: event[1]))
    bound = 10.0
    for at, price, qty in sorted(asks):
        hbt.elapse(max(0, 1_700_000_000_000_000_000 + at - hbt.current_timestamp))
        order = hbt.orders(0).get(1)
        if order.cancellable and hbt.modify(0, 1, price, float(qty), False) == 0:
            bound = max(bound, float(qty))
    hbt.elapse(9_000)
    assert hbt.position(0) <= bound
    order = hbt.orders(0).get(1)
    if order.status == FILLED:
        assert hbt.position(0) == order.qty


def test_a_model_of_modifications_that_is_none_is_refused():
    for wrong in ("all", None, 1):
        with pytest.raises(OrderError, match="total or remainder"):
            BacktestAsset().modify_model(wrong)
