import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from hftd.types import event_dtype

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="session")
def reference() -> ModuleType:
    """The reference engine."""
    return pytest.importorskip("hftbacktest", reason="the reference engine is not installed (group `parity`)")


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
