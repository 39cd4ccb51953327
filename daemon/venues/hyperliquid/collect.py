"""Hyperliquid as a collector records it: books, trades and best prices."""

from typing import Final

from daemon.collector.source import Collectable, Source
from daemon.venues.hyperliquid.config import HyperliquidConfig
from daemon.venues.hyperliquid.facts import MarketFacts, heartbeat


def source(config: HyperliquidConfig) -> Source:
    """Its streams."""
    return Source(
        url=config.stream_url,
        facts=MarketFacts(config.fast),
        rest=None,
        life_s=config.connection_life_s,
        heartbeat=heartbeat(config.ping_s),
        is_streamed=True,
        stale_after_s=config.stale_after_s,
        first_message_s=config.first_message_s,
    )


COLLECT: Final = Collectable(HyperliquidConfig, source, str)
