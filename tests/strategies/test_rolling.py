"""Windows and regressions, beside NumPy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.factor_making import count_sample
from strategies.rolling import is_full, mean_and_deviation, push, root_mean_square, solve, windows_of

numbers = st.floats(-1e6, 1e6) | st.sampled_from([float("nan"), float("inf")])


@given(st.integers(2, 9), st.lists(numbers, max_size=60))
def test_a_window_knows_the_last_numbers_and_nothing_else(capacity, values):
    (window,) = windows_of.py_func(1, capacity)
    for value in values:
        push.py_func(window, value)
    kept = [value for value in values if np.isfinite(value)][-capacity:]
    assert is_full.py_func(window) == (len(kept) == capacity)
    mean, deviation = mean_and_deviation.py_func(window)
    if len(kept) < 2:
        assert np.isnan(mean) and np.isnan(deviation) and np.isnan(root_mean_square.py_func(window))
        return
    scale = max(np.abs([value for value in values if np.isfinite(value)]).max(), 1.0)
    assert mean == pytest.approx(np.mean(kept), abs=1e-9 * scale)
    # Of a difference of squares half of the digits are left.
    assert deviation == pytest.approx(np.std(kept), abs=1e-5 * scale)
    assert root_mean_square.py_func(window) == pytest.approx(
        np.sqrt(np.mean(np.square(kept))), abs=1e-5 * scale
    )


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_regression_finds_the_loadings_that_made_the_returns(count):
    random = np.random.default_rng(count)
    loadings = random.normal(size=count)
    gram, right = np.zeros((count, count)), np.zeros(count)
    rows = []
    for _ in range(400):
        factors = random.normal(size=count)
        rows.append(np.append(factors, factors @ loadings + 0.01 * random.normal()))
        count_sample.py_func(gram, right, rows[-1], 1.0)
    assert solve.py_func(gram, right, 0.0) == pytest.approx(loadings, abs=0.01)
    for row in rows[:-50]:
        count_sample.py_func(gram, right, row, -1.0)
    late = np.array(rows[-50:])
    best = np.linalg.lstsq(late[:, :-1], late[:, -1], rcond=None)[0]
    assert solve.py_func(gram, right, 0.0) == pytest.approx(best, abs=1e-6)


def test_factors_that_move_alike_share_their_weight_or_there_is_no_solution():
    gram, right = np.ones((2, 2)), np.ones(2)
    assert np.isnan(solve.py_func(gram, right, 0.0)).all()
    assert solve.py_func(gram, right, 0.01) == pytest.approx([0.5, 0.5], abs=0.01)
    assert np.isnan(solve.py_func(np.zeros((2, 2)), np.zeros(2), 0.01)).all()
