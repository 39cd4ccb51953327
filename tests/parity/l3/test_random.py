"""Random markets of single orders and random requests, on the reference's engine and on ours.

Two of the reference's rules are wrong (docs/differences-l3.md). Where they do not matter, all that can be seen must be
equal; where they do, the reference must do what its own rules say, and ours what ours say.
"""

import os

import numpy as np
import pytest

import sim
from tests.sim.l3 import runs
from tests.sim.l3.model import Model, Theirs

pytestmark = pytest.mark.parity

SEEDS = 80
SLOW_SEEDS = int(os.environ.get("HFTD_PARITY_SEEDS", "3000"))


def on_theirs(reference, case):
    return runs.on_engine(
        reference.HashMapMarketDepthBacktest([runs.describe(reference.BacktestAsset(), case)]), case
    )


def on_ours(case):
    return runs.on_engine(sim.HashMapMarketDepthBacktest([runs.describe(sim.BacktestAsset(), case)]), case)


def random_cases(seeds, **kinds):
    return ((f"seed {seed}", runs.make(seed, **kinds)) for seed in seeds)


def compare(reference, cases):
    """Returns (what differs though it should not, cases without a difference, cases with one, fills).

    Args:
        cases: (name, case).
    """
    wrong, equal, different, fills = [], 0, 0, 0
    for name, case in cases:
        theirs, their_account = on_theirs(reference, case)
        ours, our_account = on_ours(case)
        fills += int(ours["num_trades"][-1])
        model, their_model = runs.on_model(Model(), case), runs.on_model(Theirs(), case)
        found = [
            f"theirs {runs.first_difference(theirs, their_model)}" * bool((theirs != their_model).any()),
            f"ours {runs.first_difference(ours, model)}" * bool((ours != model).any()),
        ]
        if (model == their_model).all():
            equal += 1
            found.append(runs.first_difference(ours, theirs))
            # The reference sums the fills of one moment in the order of their hashes.
            for field in our_account.dtype.names:
                if not np.allclose(our_account[field], their_account[field], rtol=1e-12, atol=1e-9):
                    found.append(f"{field} differs")
        else:
            different += 1
        wrong += [f"{name}: {what}" for what in found if what]
    return wrong, equal, different, fills


@pytest.mark.thorough
def test_what_a_bot_sees_is_equal_where_the_reference_is_right(reference):
    wrong, equal, different, fills = compare(reference, random_cases(range(SEEDS), clears=0.01))
    assert wrong == []
    assert equal > SEEDS // 10
    assert different > 0
    assert fills > 5 * SEEDS


@pytest.mark.thorough
def test_the_same_with_orders_that_cross_the_market(reference):
    wrong, _equal, different, fills = compare(reference, random_cases(range(SEEDS), crossing=0.05))
    assert wrong == []
    assert different > 0
    assert fills > 5 * SEEDS


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_many_seeds(reference):
    first = 10_000
    for kinds in ({}, {"clears": 0.02}, {"crossing": 0.05, "clears": 0.01}):
        wrong, *_ = compare(reference, random_cases(range(first, first + SLOW_SEEDS // 3), **kinds))
        assert wrong == []
        first += SLOW_SEEDS
