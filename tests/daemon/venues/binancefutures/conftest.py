from decimal import Decimal

import pytest

from daemon.messages import Instrument
from daemon.session.catalog import steps_of

BTC = Instrument(number=0, symbol="BTCUSDT", tick_size=Decimal("0.10"), lot_size=Decimal("0.001"))
ETH = Instrument(number=1, symbol="ETHUSDT", tick_size=Decimal("0.01"), lot_size=Decimal("0.001"))

API_KEY = "k" * 64
SECRET = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"


@pytest.fixture
def steps():
    return steps_of([BTC, ETH])
