import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def futures_capture() -> Path:
    """The real capture; tests that need it are skipped where it is not."""
    root = Path(__file__).resolve().parents[2]
    folder = Path(os.environ.get("HFTD_TEST_DATA", root / "../shared/data"))
    path = folder / "binancefutures_btcusdt_20240808.gz"
    if not path.is_file():
        pytest.skip(f"there is no capture {path}: set HFTD_TEST_DATA")
    return path
