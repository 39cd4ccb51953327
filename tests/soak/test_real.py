"""What a user may rely on: kill -9 of connector and bots, at any moment, loses no order, no fill and no position."""

import os
import tempfile
from pathlib import Path

import pytest

from tests.soak.processes import Forks
from tests.soak.real import RealSoak, run_real
from tests.soak.venues import PRODUCTS

MANY = int(os.environ.get("HFTD_SOAK_REAL_SEEDS", "6"))
"""Seeds, of all exchanges."""


async def check(seeds: range, venue: str) -> None:
    faults = []
    async for result in run_real(seeds, keep=Path(tempfile.gettempdir()), venue=venue):
        faults += [f"seed {result.seed}: {one}" for one in result.faults]
        assert result.events["orders"] > 20
    assert not faults, (
        f"python -m tests.soak --level real --venue {venue} --from SEED --seeds 1 runs one again:\n"
        + "\n".join(faults)
    )


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_connector_that_counts_a_fill_twice_is_found_out(tmp_path_factory):
    forks = Forks()
    try:
        soak = RealSoak(1, tmp_path_factory.mktemp("x"), forks, mishaps=3, is_wrong=True, settle_s=10.0)
        result = await soak.run()
    finally:
        forks.close()
    for said in ("status: bot", "trades", "journal: executions", "restored"):
        assert any(said in fault for fault in result.faults), result.faults


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("number", "venue"), list(enumerate(PRODUCTS)), ids=list(PRODUCTS))
async def test_processes_that_are_killed_again_and_again_leave_books_that_agree(number, venue):
    share = -(-(MANY - number) // len(PRODUCTS))
    await check(range(100 + 4 * number, 100 + 4 * number + share), venue)
