"""What a user may rely on: whatever is killed, torn, lost, late or said twice, in the end all books are the same."""

import os

import pytest
import structlog

from tests.soak import sabotage
from tests.soak.fast import run_seed
from tests.soak.many import run_seeds

QUICK = range(1, 5)
MANY = int(os.environ.get("HFTD_SOAK_SEEDS", "200"))
"""Seeds in the slow test."""


@pytest.fixture(autouse=True)
def is_quiet():
    """A connector that dies a dozen times has much to warn of."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.reset_defaults()


def check(result) -> None:
    again = f"python -m tests.soak --from {result.seed} --seeds 1"
    assert result.is_good, f"seed {result.seed} ({again}):\n" + "\n".join(result.faults)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", QUICK)
def test_connector_bots_journal_and_exchange_agree_after_everything_went_wrong(seed):
    result = run_seed(seed)
    check(result)
    assert result.chaos["connector killed"] > 2
    assert result.chaos["bot killed"] > 2
    assert result.messages > 10_000
    assert result.events["fills"] > 50


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_they_agree_for_hundreds_of_seeds():
    faults = []
    for result in run_seeds(range(1000, 1000 + MANY), os.cpu_count() or 1):
        faults += [f"seed {result.seed}: {one}" for one in result.faults]
    assert not faults, "python -m tests.soak --from SEED --seeds 1 repeats one:\n" + "\n".join(faults)


@pytest.mark.timeout(300)
def test_a_seed_repeats_to_the_last_byte():
    first, second = run_seed(7, active_s=10), run_seed(7, active_s=10)
    assert first.digest == second.digest
    assert (first.events, first.chaos) == (second.events, second.chaos)
    assert run_seed(8, active_s=10).digest != first.digest


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (sabotage.LosesAFill, "executed, by its fills"),
        (sabotage.CountsTwice, "position"),
        (sabotage.ForgetsAnOrder, "is forgotten"),
        (sabotage.LeavesAnOrder, "state"),
        (sabotage.TellsNoBot, "bot"),
        (sabotage.SkipsRecords, "journal: executions"),
    ],
)
def test_a_connector_that_does_one_thing_wrong_is_found_out(wrong, said):
    part = "journal_type" if issubclass(wrong, sabotage.DyingJournal) else "trader_type"
    result = run_seed(6, active_s=15, **{part: sabotage.fresh(wrong)})
    assert any(said in fault for fault in result.faults), result.faults
