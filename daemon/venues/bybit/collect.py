"""Bybit's linear contracts as a collector records them: books and trades."""

from typing import Final

from daemon.collector.source import Asked, Collectable, Source
from daemon.venues.bybit.config import BybitConfig
from daemon.venues.bybit.facts import HEARTBEAT, LIMITS, REST, MarketFacts


def source(config: BybitConfig) -> Source:
    """Its streams."""
    return Source(
        url=config.market_url(),
        facts=MarketFacts(config.depth),
        rest=Asked(config.rest_url(), REST, LIMITS),
        life_s=config.connection_life_s,
        heartbeat=HEARTBEAT,
        is_streamed=True,
        stale_after_s=config.stale_after_s,
        first_message_s=config.first_message_s,
    )


COLLECT: Final = Collectable(BybitConfig, source)
