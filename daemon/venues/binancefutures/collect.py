"""Binance USD-M Futures as a collector records it."""

from typing import Final

from daemon.collector.source import Collectable
from daemon.venues.binance.facts import futures_source
from daemon.venues.binancefutures.config import BinanceFuturesConfig
from daemon.venues.binancefutures.facts import USDM

COLLECT: Final = Collectable(BinanceFuturesConfig, futures_source(USDM))
