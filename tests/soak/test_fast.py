"""What a user may rely on: whatever is killed, torn, lost, late or said twice, in the end all books are the same."""

import itertools
import os

import pytest
import structlog

from tests.soak import sabotage
from tests.soak.fast import run_seed
from tests.soak.many import run_seeds
from tests.soak.venues import BYBIT, COINM, PRODUCTS, SPOT, USDM
from tests.soak.venues.product import SoakProduct
from tests.soak.weather import ALWAYS, SOME

QUICK = [(USDM, 1), (USDM, 2), (COINM, 1), (BYBIT, 1), (SPOT, 1), (SPOT, 4)]
ONLY = {
    sabotage.WritesInNewSteps: ("steps",),
    sabotage.CountsSelfTradesOnce: ("self-trades", "by hand"),
}
"""What a sabotage needs to show."""
SEEDS = {
    (sabotage.LeavesAnOrder, USDM.name): 10,
    (sabotage.LeavesAnOrder, BYBIT.name): 41,
    (sabotage.SkipsRecords, BYBIT.name): 1,
}
"""In which it does."""
MANY = int(os.environ.get("HFTD_SOAK_SEEDS", "120"))
"""Seeds in the slow test, of all exchanges."""
SHARES = [(USDM, MANY - 3 * (MANY // 5)), (COINM, MANY // 5), (BYBIT, MANY // 5), (SPOT, MANY // 5)]


@pytest.fixture(autouse=True)
def is_quiet():
    """A connector that dies a dozen times has much to warn of."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))


def check(result, venue: SoakProduct = USDM) -> None:
    again = f"python -m tests.soak --venue {venue.name} --from {result.seed} --seeds 1"
    assert result.is_good, f"seed {result.seed} ({again}):\n" + "\n".join(result.faults)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("venue", "seed"), QUICK, ids=[f"{one.name}-{seed}" for one, seed in QUICK])
def test_connector_bots_journal_and_exchange_agree_after_everything_went_wrong(venue, seed):
    result = run_seed(seed, venue=venue.name)
    check(result, venue)
    assert result.chaos["connector killed"] > 0
    assert result.chaos["bot killed"] > 0
    assert result.messages > 3_000
    assert result.events["fills"] > 10
    assert result.events["requests checked"] > 30


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("venue", "seeds"), SHARES, ids=[one.name for one, _ in SHARES])
def test_they_agree_for_hundreds_of_seeds(venue, seeds):
    faults = []
    for result in run_seeds(range(1000, 1000 + seeds), os.cpu_count() or 1, venue=venue.name):
        faults += [f"seed {result.seed}: {one}" for one in result.faults]
    again = f"python -m tests.soak --venue {venue.name} --from SEED --seeds 1"
    assert not faults, f"{again} repeats one:\n" + "\n".join(faults)


@pytest.mark.timeout(300)
def test_a_seed_repeats_to_the_last_byte():
    first, second = run_seed(7), run_seed(7)
    assert first.digest == second.digest
    assert (first.events, first.chaos) == (second.events, second.chaos)
    assert run_seed(8).digest != first.digest


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("mishap", "venue"),
    list(zip(SOME, itertools.cycle(PRODUCTS), strict=False)),
    ids=lambda one: one,
)
@pytest.mark.thorough
def test_each_mishap_happens_and_can_be_tried_alone(mishap, venue):
    # Some need somebody who trades by hand, or a bot that holds something.
    result = run_seed(3, only=(mishap,), venue=venue)
    check(result, PRODUCTS[venue])
    assert result.events["orders"] > 20
    if mishap != "clock":
        assert sum(result.chaos.values()) > 0


def said_of(wrong, venue) -> list[str]:
    part = "journal_type" if issubclass(wrong, sabotage.DyingJournal) else "trader_type"
    kinds = {part: sabotage.fresh(wrong)}
    return run_seed(
        SEEDS.get((wrong, venue.name), 6), only=ONLY.get(wrong, ALWAYS), venue=venue.name, **kinds
    ).faults


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("wrong", "said", "venue"),
    [
        (sabotage.SendsOtherPrices, "sent otherwise than asked", BYBIT),
        (sabotage.WritesInNewSteps, "sent otherwise than asked", USDM),
        (sabotage.CountsSelfTradesOnce, "position", USDM),
        (sabotage.LosesAFill, "executed, by its fills", BYBIT),
        (sabotage.CountsTwice, "position", USDM),
        (sabotage.ForgetsAnOrder, "is forgotten", BYBIT),
        (sabotage.LeavesAnOrder, "state", USDM),
        (sabotage.TellsNoBot, "bot", BYBIT),
        (sabotage.SkipsRecords, "journal: executions", USDM),
    ],
    ids=lambda one: getattr(one, "__name__", getattr(one, "name", "")),
)
def test_a_connector_that_does_one_thing_wrong_is_found_out(wrong, said, venue):
    faults = said_of(wrong, venue)
    assert any(said in fault for fault in faults), faults


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (sabotage.WritesInNewSteps, "sent otherwise than asked"),
        (sabotage.CountsTwice, "position"),
        (sabotage.LeavesAnOrder, "state"),
        (sabotage.SkipsRecords, "journal: executions"),
    ],
)
@pytest.mark.thorough
def test_it_is_found_out_on_bybit_as_well(wrong, said):
    faults = said_of(wrong, BYBIT)
    assert any(said in fault for fault in faults), faults


@pytest.mark.timeout(300)
def test_a_coin_s_last_digit_is_missed():
    result = run_seed(6, only=ALWAYS, venue=COINM.name, trader_type=sabotage.fresh(sabotage.PaysAUnitMore))
    assert any("fee" in fault for fault in result.faults), result.faults
