"""Histograms that compiled code counts into hold what NumPy finds in the durations themselves."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from daemon.histogram import Histogram
from hftd.compiled.histogram import BOUNDS_NS
from hftd.control import status

ANY = st.integers(-(1 << 62), 1 << 62) | st.sampled_from([*BOUNDS_NS, *(bound + 1 for bound in BOUNDS_NS)])
USUAL = st.integers(1001, 63_000_000_000)


def of(durations):
    kept = Histogram()
    for duration_ns in durations:
        kept.add(duration_ns)
    return kept.told("feed")


@given(st.lists(ANY, max_size=50))
def test_a_histogram_counts_what_numpy_counts_and_no_duration_is_too_odd(durations):
    told = of(durations)
    values = np.array(durations, np.int64)
    wanted = np.bincount(np.searchsorted(BOUNDS_NS, values), minlength=len(BOUNDS_NS) + 1)
    cumulated = np.cumsum(wanted)
    for bound_ns, count in zip(BOUNDS_NS, cumulated, strict=False):
        assert told.count_up_to(bound_ns) == count
    assert told.count == sum(told.counts) == len(durations)
    assert not durations or len(told.counts) == len(told.bounds_ns) + 1
    assert told.max_ns == max([0, *durations])
    assert math.isclose(told.sum_ns, sum(max(0, one) for one in durations), rel_tol=1e-12)


@given(st.lists(USUAL, min_size=1, max_size=50), st.floats(0.01, 1.0))
def test_a_quantile_is_off_by_less_than_a_bucket(durations, share):
    told = of(durations)
    exact = np.quantile(durations, share, method="inverted_cdf")
    assert exact / 1.28 <= told.quantile_ns(share) <= min(exact * 1.28, max(durations))


def test_the_bounds_go_up_and_those_of_one_two_and_five_are_among_them():
    assert list(BOUNDS_NS) == sorted(set(BOUNDS_NS))
    decades = {step * 10**power for power in range(3, 10) for step in (1, 2, 5)}
    assert decades <= set(BOUNDS_NS)
    assert (BOUNDS_NS[0], BOUNDS_NS[-1]) == (1000, 63_000_000_000)


def test_an_empty_histogram_has_no_quantile_and_an_odd_one_of_another_version_breaks_nothing():
    assert of([]).quantile_ns(0.5) == -1
    odd = status.Latency(name="feed", count=9, counts=[3], bounds_ns=[], max_ns=7)
    assert odd.quantile_ns(0.99) == 7
    assert odd.count_up_to(1000) == 0
