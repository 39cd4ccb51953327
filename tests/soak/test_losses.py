"""What a user with a limit on losses may rely on: once it is reached no new order leaves, whatever happens."""

import os

import pytest

from tests.soak.fast import run_seed
from tests.soak.losses import ForgetsItsHalt, HaltsTooLate, LossSoak
from tests.soak.many import run_seeds
from tests.soak.test_fast import check, is_quiet
from tests.soak.venues import BYBIT, COINM, PRODUCTS, USDM

__all__ = ["is_quiet"]

MANY = int(os.environ.get("HFTD_SOAK_LOSS_SEEDS", "24"))
"""Seeds in the slow test, of all exchanges."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "venue", [USDM, *(pytest.param(one, marks=pytest.mark.thorough) for one in (COINM, BYBIT))]
)
def test_after_a_limit_is_reached_no_new_order_leaves_over_kills_and_restarts(venue):
    result = run_seed(3, kind=LossSoak, venue=venue.name)
    check(result, venue)
    assert result.chaos["limits reached"] > 0
    assert result.chaos["refused after it"] > 20
    assert result.chaos["connector killed"] > 0


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_so_it_is_for_many_seeds():
    faults, reached = [], 0
    for venue in PRODUCTS:
        for result in run_seeds(
            range(2000, 2000 + MANY // 3), os.cpu_count() or 1, venue=venue, has_losses=True
        ):
            faults += [f"{venue}, seed {result.seed}: {one}" for one in result.faults]
            reached += result.chaos["limits reached"] > 0
    assert not faults, (
        "python -m tests.soak --losses --venue VENUE --from SEED --seeds 1 repeats one:\n" + "\n".join(faults)
    )
    assert reached > MANY // 4


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        pytest.param(ForgetsItsHalt, "did not last", marks=pytest.mark.thorough),
        pytest.param(HaltsTooLate, "beyond its limit and not halted", marks=pytest.mark.thorough),
    ],
)
def test_a_connector_that_goes_on_is_found_out(wrong, said):
    faults = [one for seed in (3, 7, 10) for one in run_seed(seed, kind=LossSoak, trader_type=wrong).faults]
    assert any(said in one for one in faults), faults
