"""The limits of many assets together: whatever is asked for and whatever fills, they hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.portfolio_making import exposure, has_room

ASSETS = 3
PRICES = np.array([1.0, 20.0, 300.0])
GROSS, NET, OWN = LIMITS = np.array([1_000.0, 400.0, 600.0])
steps = st.lists(
    st.tuples(
        st.sampled_from(["order", "fill", "cancel"]),
        st.integers(0, ASSETS - 1),
        st.sampled_from([1, -1]),
        st.floats(0.0, 1.0),
    ),
    max_size=60,
)


@given(steps)
def test_no_order_of_fills_and_cancels_breaks_a_limit(steps):
    positions, buys, sells = np.zeros(ASSETS), np.zeros(ASSETS), np.zeros(ASSETS)
    for what, asset, side, share in steps:
        held = buys if side == 1 else sells
        if what == "order":
            qty = share * 500.0 / PRICES[asset]
            before = held.copy()
            if _has_room(positions, buys, sells, asset, side, qty):
                held[asset] = before[asset] + qty
        elif what == "fill":
            positions[asset] += side * share * held[asset]
            held[asset] *= 1.0 - share
        else:
            held[asset] *= 1.0 - share
        values = PRICES * positions
        assert np.abs(values).sum() <= GROSS + 1e-6
        assert abs(values.sum()) <= NET + 1e-6
        assert np.abs(values).max() <= OWN + 1e-6


def _has_room(positions, buys, sells, asset, side, qty):
    kept = buys.copy(), sells.copy()
    found = has_room.py_func(PRICES, positions, buys, sells, LIMITS, asset, side, qty)
    assert buys == pytest.approx(kept[0]) and sells == pytest.approx(kept[1]), "it only looks"
    return found


def test_what_takes_a_position_back_has_room_where_the_sum_is_full():
    positions, none = np.array([0.0, 25.0, -500.0 / 300.0]), np.zeros(ASSETS)
    assert exposure.py_func(PRICES, positions, none, none) == pytest.approx((1_000.0, 0.0, 0.0))
    assert not _has_room(positions, none, none, 0, 1, 1.0)
    assert _has_room(positions, none, none, 1, -1, 5.0)
    assert _has_room(positions, none, none, 2, 1, 1.0)


def test_assets_that_offset_each_other_are_limited_by_their_sum_of_values_not_by_their_difference():
    positions, none = np.array([500.0, -25.0, 0.0]), np.zeros(ASSETS)
    gross, net_long, net_short = exposure.py_func(PRICES, positions, none, none)
    assert (gross, net_long, net_short) == (1_000.0, 0.0, 0.0)
