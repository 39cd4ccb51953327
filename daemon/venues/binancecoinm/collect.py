"""Binance COIN-M Futures as a collector records it."""

from typing import Final

from daemon.collector.source import Collectable
from daemon.venues.binance.facts import futures_source
from daemon.venues.binancecoinm.config import BinanceCoinMConfig
from daemon.venues.binancecoinm.facts import COINM

COLLECT: Final = Collectable(BinanceCoinMConfig, futures_source(COINM))
