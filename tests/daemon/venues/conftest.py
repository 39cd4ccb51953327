import os
from pathlib import Path

import pytest


def data(name: str) -> Path:
    """A file of recorded data; tests that need it are skipped where it is not."""
    root = Path(__file__).resolve().parents[3]
    folder = Path(os.environ.get("HFTD_TEST_DATA", root / "../shared/data"))
    path = folder / name
    if not path.is_file():
        pytest.skip(f"there is no file {path}: set HFTD_TEST_DATA")
    return path
