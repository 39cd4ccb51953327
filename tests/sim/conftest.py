import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_capture() -> Callable[[str], Path]:
    """Gives a real capture by its name; tests that need one are skipped where it is not."""

    def find(name: str) -> Path:
        root = Path(__file__).resolve().parents[2]
        path = Path(os.environ.get("HFTD_TEST_DATA", root / "../shared/data")) / name
        if not path.is_file():
            pytest.skip(f"there is no capture {path}: set HFTD_TEST_DATA")
        return path

    return find


@pytest.fixture(scope="session")
def futures_capture(real_capture) -> Path:
    """The real capture of a USD-M future."""
    return real_capture("binancefutures_btcusdt_20240808.gz")


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A folder on a disk of 4 MiB; only root can make one, and tests that need it are skipped otherwise."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("a small disk can only be mounted by root")
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"a small disk can't be mounted here: {made.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
