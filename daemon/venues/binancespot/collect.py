"""Binance Spot as a collector records it."""

from typing import Final

from daemon.collector.source import Collectable, Source
from daemon.venues.binance.facts import source_of
from daemon.venues.binancespot.config import BinanceSpotConfig
from daemon.venues.binancespot.facts import REST, SPOT, MarketFacts


def source(config: BinanceSpotConfig) -> Source:
    """Its streams."""
    market = MarketFacts(config.depth, config.best_prices)
    return source_of(config, config.market_url(), market, REST, SPOT.limits)


COLLECT: Final = Collectable(BinanceSpotConfig, source)
