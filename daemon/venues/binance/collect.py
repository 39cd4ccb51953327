"""The family's public streams as a collector records them: depth, trades and best prices."""

from collections.abc import Callable, Sequence

from daemon.collector.source import Asked, Source
from daemon.connector.limiter import RateLimit
from daemon.session import facts
from daemon.venues.binance.config import BinanceConfig, FamilyConfig
from daemon.venues.binance.facts import MarketFacts, RestFacts
from daemon.venues.binance.product import Product


def source_of(
    config: FamilyConfig,
    url: str,
    market: facts.MarketFacts,
    rest: facts.RestFacts,
    limits: Sequence[RateLimit],
) -> Source:
    """A member's streams, as its connector's configuration wants them."""
    return Source(
        url=url,
        facts=market,
        rest=Asked(config.rest_url(), rest, limits),
        life_s=config.connection_life_s,
        trades="counted",
        stale_after_s=config.stale_after_s,
        first_message_s=config.first_message_s,
    )


def futures_source(product: Product) -> Callable[[BinanceConfig], Source]:
    """What makes the streams of a futures market."""

    def source(config: BinanceConfig) -> Source:
        market = MarketFacts(product, config.depth, config.best_prices)
        return source_of(config, config.market_url(), market, RestFacts(product), product.limits)

    return source
