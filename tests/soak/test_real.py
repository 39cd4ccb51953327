"""What a user may rely on: kill -9 of connector and bots, at any moment, loses no order, no fill and no position."""

import os
import tempfile
from pathlib import Path

import pytest

from tests.soak.real import Forks, RealSoak, run_real

MANY = int(os.environ.get("HFTD_SOAK_REAL_SEEDS", "6"))


async def check(seeds: range) -> None:
    faults = []
    async for result in run_real(seeds, keep=Path(tempfile.gettempdir())):
        faults += [f"seed {result.seed}: {one}" for one in result.faults]
        assert result.events["orders"] > 20
    assert not faults, (
        "python -m tests.soak --level real --from SEED --seeds 1 runs one again:\n" + "\n".join(faults)
    )


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


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_processes_that_are_killed_again_and_again_leave_books_that_agree():
    await check(range(100, 100 + MANY))
