import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from hftd.types import event_dtype
from sim.backtest import HashMapMarketDepthBacktest, ROIVectorMarketDepthBacktest
from sim.feed.asset import BacktestAsset
from tests.sim.engine.market import asset

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="session")
def reference() -> ModuleType:
    """The reference engine."""
    return pytest.importorskip("hftbacktest", reason="the reference engine is not installed (group `parity`)")


@pytest.fixture
def pair(reference: ModuleType) -> Iterator[Any]:
    """Both engines on the same rows: pair(rows, change) gives (theirs, ours)."""
    opened = []

    def make(data, change=lambda made: made, *, roi=None, **latency):
        def described(made, rows_):
            made = change(asset(rows_, made=made, **latency))
            return made if roi is None else made.roi_lb(roi[0]).roi_ub(roi[1])

        copy = data.copy()
        build = reference.HashMapMarketDepthBacktest, HashMapMarketDepthBacktest
        if roi is not None:
            build = reference.ROIVectorMarketDepthBacktest, ROIVectorMarketDepthBacktest
        theirs = build[0]([described(reference.BacktestAsset(), copy)])
        opened.append((theirs, copy))
        return theirs, build[1]([described(BacktestAsset(), data)])

    yield make
    for theirs, _ in opened:
        theirs.close()


@pytest.fixture(scope="session")
def capture(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray[Any, Any]:
    """Six minutes of a real market, as rows."""
    path = (
        Path(os.environ.get("HFTD_TEST_DATA", ROOT / "../shared/data")) / "binancefutures_btcusdt_20240808.gz"
    )
    if not path.exists():
        pytest.skip(f"there is no capture {path}: set HFTD_TEST_DATA")
    from sim.archive import read_events
    from sim.convert import convert

    target = tmp_path_factory.mktemp("capture") / "btcusdt.npz"
    convert([path], target)
    rows = read_events(target)
    assert rows.dtype == event_dtype
    return rows
