"""A generated market for the runs of this folder, and a bench for each test."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sim.generate import DEMO, write_day

pytest.register_assert_rewrite("tests.sim.replay.harness")

from tests.sim.replay.harness import Bench  # noqa: E402

DAYS = ("20220831", "20220901", "20220902")
DURATION_S = 12.0
_DAY_NS = 86_400_000_000_000
_STEP_NS = 13_000_000_000
_TIMES = ("exch_ts", "local_ts", "req_ts", "resp_ts")


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days of twelve seconds of two instruments, with their order latencies.

    Each "day" begins thirteen seconds after the one before, so that nobody has to wait through a night.
    """
    folder = tmp_path_factory.mktemp("market")
    for number, day in enumerate(DAYS):
        written = write_day(
            folder / "made",
            DEMO,
            seed=7 + number,
            date=day,
            duration_s=DURATION_S,
            latency_pattern="{channel}/latency_{channel}_{date}.npz",
        )
        symbols = {one.channel: one.symbol for one in DEMO}
        for path in written:
            rows = np.load(path)["data"]
            for name in _TIMES:
                if name in rows.dtype.names:
                    rows[name] -= np.where(rows[name] > 0, number * (_DAY_NS - _STEP_NS), 0)
            np.savez(folder / path.name.replace(path.parent.name, symbols[path.parent.name]), data=rows)
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first run may compile all of the engine."""
    for item in items:
        if Path(__file__).parent in item.path.parents and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture
def bench(tmp_path: Path, market: Path) -> Iterator[Bench]:
    """A folder, a runtime directory, and processes that are gone after the test."""
    made = Bench(tmp_path, market)
    yield made
    made.close()
