"""Random strategies on random markets: the reference and ours show them the same."""

import os

import pytest

from tests.parity import random_runs

pytestmark = pytest.mark.parity

FEW_SEEDS = 60
SEEDS = 200
SLOW_SEEDS = int(os.environ.get("HFTD_PARITY_SEEDS", "3000"))
"""How many seeds the slow test takes; each failure names its seed."""


def failures(reference, seeds, **kinds):
    found = []
    unclamped = 0
    for seed in seeds:
        made = random_runs.case(seed, **kinds)
        told = random_runs.differences(made, *random_runs.both(reference, made))
        if told and kinds.get("partial"):
            # A trade fills a lot more or less where the reference's front is a little below zero.
            made = random_runs.unclamped(made)
            told = random_runs.differences(made, *random_runs.both(reference, made))
            unclamped += not told
        found += told
        if len(found) > 20:
            break
    assert unclamped <= 1 + len(seeds) // 500
    return "\n".join(found)


def test_random_strategies_see_the_same_on_both_engines(reference):
    assert failures(reference, range(FEW_SEEDS)) == ""


@pytest.mark.thorough
def test_random_strategies_see_the_same_in_a_range_of_interest(reference):
    assert failures(reference, range(1_000_000, 1_000_000 + SEEDS // 3), roi=True) == ""


@pytest.mark.thorough
def test_random_strategies_see_the_same_with_partial_fills(reference):
    assert failures(reference, range(3_000_000, 3_000_000 + SEEDS), partial=True) == ""
    roi = range(4_000_000, 4_000_000 + SEEDS // 3)
    assert failures(reference, roi, partial=True, roi=True) == ""


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_many_random_strategies_see_the_same_on_both_engines(reference):
    assert failures(reference, range(FEW_SEEDS, FEW_SEEDS + SLOW_SEEDS)) == ""
    assert failures(reference, range(2_000_000, 2_000_000 + SLOW_SEEDS // 3), roi=True) == ""
