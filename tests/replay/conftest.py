"""A generated market for the runs of this folder, and a bench for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sim.generate import DEMO, write_day

pytest.register_assert_rewrite("tests.replay.harness")

from tests.replay.harness import Bench  # noqa: E402

DAYS = ("20220831", "20220901", "20220902")
DURATION_S = 12.0


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days of twelve seconds of two instruments, with their order latencies."""
    folder = tmp_path_factory.mktemp("market")
    for number, day in enumerate(DAYS):
        write_day(
            folder,
            DEMO,
            seed=7 + number,
            date=day,
            duration_s=DURATION_S,
            pattern="{symbol}_{date}.npz",
            latency_pattern="latency_{channel}_{date}.npz",
        )
    return folder


@pytest.fixture
def bench(tmp_path: Path, market: Path) -> Iterator[Bench]:
    """A folder, a runtime directory, and processes that are gone after the test."""
    made = Bench(tmp_path, market)
    yield made
    made.close()
