"""What a user may rely on: whatever is killed, torn, lost, late or said twice, in the end all books are the same."""

import pytest
import structlog

from tests.soak import sabotage
from tests.soak.fast import run_seed

QUICK = range(1, 5)
BLOCKS = 25
BLOCK = 10
"""Seeds in a slow test; together 250."""


@pytest.fixture(autouse=True)
def is_quiet():
    """A connector that dies a dozen times has much to warn of."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.reset_defaults()


def check(result) -> None:
    again = f"python -m tests.soak --level fast --from {result.seed} --seeds 1"
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
@pytest.mark.timeout(900)
@pytest.mark.parametrize("block", range(BLOCKS))
def test_they_agree_for_hundreds_of_seeds(block):
    for seed in range(1000 + BLOCK * block, 1000 + BLOCK * (block + 1)):
        check(run_seed(seed))


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
