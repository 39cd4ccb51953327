"""Real captures; tests that need one are skipped where it is not."""

import os
import zipfile
from pathlib import Path

import pytest

OTHERS = (
    "binancecoinm",
    "binancehistory",
    "binancespot",
    "bybit",
    "databento",
    "hyperliquid",
    "mexc",
    "tardis",
)
"""Converters that `make test` leaves to the thorough tests: each takes long to compile."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        place = item.nodeid.partition("tests/sim/convert/")[2].replace("_", "")
        if any(other in place for other in OTHERS):
            item.add_marker(pytest.mark.thorough)


def recorded(name: str) -> Path:
    root = Path(__file__).resolve().parents[3]
    path = Path(os.environ.get("HFTD_TEST_DATA", root / "../shared/data")) / name
    if not path.is_file():
        pytest.skip(f"there is no capture {path}: set HFTD_TEST_DATA")
    return path


@pytest.fixture(scope="session")
def bybit_archive() -> Path:
    """The first five seconds of one of Bybit's order book archives."""
    return recorded("bybit_xrpusdt_orderbook500_20241201.zip")


@pytest.fixture(scope="session")
def bybit_books(bybit_archive: Path) -> list[bytes]:
    """Its lines."""
    with zipfile.ZipFile(bybit_archive) as archive:
        return archive.read(archive.namelist()[0]).splitlines()


@pytest.fixture(scope="session")
def hyperliquid_capture() -> Path:
    """Half a minute of Hyperliquid's stream."""
    return recorded("hyperliquid_btc_20250126.gz")
