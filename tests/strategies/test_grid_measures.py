"""What the grid measures of a market, and what it makes of it."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.types import BUY_EVENT, SELL_EVENT, TRADE_EVENT, event_dtype
from strategies.grid_trading import coefficients, deepest_take, fit_intensity, root_mean_square


def _rows(*trades):
    rows = np.zeros(len(trades), event_dtype)
    for row, (side, price) in zip(rows, trades, strict=True):
        row["ev"] = TRADE_EVENT | side
        row["px"] = price
    return rows


def test_the_deepest_take_counts_buyers_above_and_sellers_below_the_mid():
    rows = _rows((BUY_EVENT, 100.5), (SELL_EVENT, 99.2), (BUY_EVENT, 90.0), (SELL_EVENT, 110.0))
    assert deepest_take(rows, 1000.0, 0.1) == pytest.approx(8.0)


def test_without_trades_or_without_a_mid_there_is_no_deepest_take():
    assert math.isnan(deepest_take(_rows(), 1000.0, 0.1))
    assert math.isnan(deepest_take(_rows((BUY_EVENT, 100.5)), np.nan, 0.1))
    assert math.isnan(deepest_take(_rows((BUY_EVENT, np.nan)), 1000.0, 0.1))


@pytest.mark.parametrize(("a", "k"), [(2.0, 0.1), (8.0, 0.5), (1.0, 0.03)])
def test_the_fit_finds_the_intensity_that_made_the_takes(a, k):
    random = np.random.default_rng(1)
    seconds = 20_000.0
    count = random.poisson(a * seconds)
    found_a, found_k = fit_intensity(random.exponential(1.0 / k, count), seconds)
    assert found_k == pytest.approx(k, rel=0.25)
    assert found_a == pytest.approx(a, rel=0.6)


@pytest.mark.parametrize("depths", [[], [np.nan] * 9, [1.0, 2.0], [5.0] * 2 + [np.nan], [0.2] * 50])
def test_too_little_to_fit_gives_nan_and_no_error(depths):
    a, k = fit_intensity(np.array(depths, float), 10.0)
    assert math.isnan(a) and math.isnan(k)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=50), st.floats(-1.0, 1e6))
def test_any_takes_give_a_falling_intensity_or_nan(depths, seconds):
    a, k = fit_intensity(np.array(depths, float), seconds)
    assert (math.isnan(a) and math.isnan(k)) or (a > 0.0 and k > 0.0)


def test_the_root_mean_square_leaves_out_what_is_not_a_number():
    assert root_mean_square(np.array([3.0, np.nan, -4.0, np.inf])) == pytest.approx(math.sqrt(12.5))
    assert math.isnan(root_mean_square(np.array([np.nan, 1.0])))


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 10.0), st.floats(1e-6, 1.0))
@settings(deadline=None)  # the first one compiles
def test_the_coefficients_are_those_of_the_paper(a, k, gamma):
    c1, c2 = coefficients(a, k, gamma)
    assert c1 == pytest.approx(math.log(1.0 + gamma / k) / gamma, rel=1e-6)
    exponent = (1.0 + k / gamma) * math.log1p(gamma / k)
    assert c2 == pytest.approx(math.sqrt(gamma / (2.0 * a * k) * math.exp(exponent)), rel=1e-6)


def test_a_maker_who_does_not_mind_risk_does_not_lean():
    assert coefficients(1.0, 0.5, 0.0) == (2.0, 0.0)
    assert coefficients(1.0, 0.5, 1e-12) == (2.0, 0.0)


@pytest.mark.parametrize(("a", "k"), [(0.0, 1.0), (1.0, 0.0), (np.nan, 1.0), (1.0, np.nan), (-1.0, 1.0)])
def test_no_intensity_gives_no_quotes(a, k):
    assert all(math.isnan(value) for value in coefficients(a, k, 0.01))
