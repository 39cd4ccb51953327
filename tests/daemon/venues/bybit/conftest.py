import os
from decimal import Decimal
from pathlib import Path

import pytest

from daemon.messages import Instrument
from daemon.session.catalog import steps_of

BTC = Instrument(number=0, symbol="BTCUSDT", tick_size=Decimal("0.10"), lot_size=Decimal("0.001"))
ETH = Instrument(number=1, symbol="ETHUSDT", tick_size=Decimal("0.01"), lot_size=Decimal("0.01"))
XRP = Instrument(number=0, symbol="XRPUSDT", tick_size=Decimal("0.0001"), lot_size=Decimal("1"))


@pytest.fixture
def steps():
    return steps_of([BTC, ETH])


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of recorded bytes; tests that need it are skipped where it is not."""
    root = Path(__file__).resolve().parents[4]
    folder = Path(os.environ.get("HFTD_TEST_DATA", root / "../shared/data"))
    if not folder.is_dir():
        pytest.skip(f"there is no folder {folder}: set HFTD_TEST_DATA")
    return folder
