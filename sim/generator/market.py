"""What a generated market consists of: instruments, the prices that they follow, and the effect that it is made for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from hftd.errors import OrderError, UsageError
from sim.generator.layout import LAG_MS_MAX

_START_TICKS_MIN = 5_000
_START_TICKS_MAX = 1 << 40
FAIR: Final = "fair"


@dataclass(frozen=True)
class Walk:
    """A fair price: it moves by news, jumps and noise, and by the trades of the instruments whose first it is.

    Attributes:
        name: What instruments call it.
        scale: Of its own moves; 1 is the demo's: 0.5 basis points per root second, more in wild times.
    """

    name: str = FAIR
    scale: float = 1.0


@dataclass(frozen=True)
class Spread:
    """An Ornstein-Uhlenbeck process: dx = -k (x - mean) dt + sd sqrt(2 k) dW with k = ln 2 / half-life.

    Without its effect, x takes the same steps and nothing draws it back: dx = sd sqrt(2 k) dW.

    Attributes:
        name: What instruments call it.
        sd: Its standard deviation in the long run, a fraction of the price.
        half_life_s: After how long half of a distance to the mean is left, in seconds.
        mean: What it is drawn to.
        start: What it is twenty seconds before the market opens.
        effect: The share of the reversion that is there.
    """

    name: str
    sd: float
    half_life_s: float
    mean: float = 0.0
    start: float = 0.0
    effect: float = 1.0


@dataclass(frozen=True)
class Dislocations:
    """Shocks of either sign that come at once, by a Poisson process, and decay exponentially.

    Attributes:
        name: What instruments call it.
        every_s: The mean time between two shocks, in seconds.
        size: The smallest shock, a fraction of the price; sizes have a Pareto tail with the exponent 4/3.
        size_max: The largest.
        half_life_s: After how long half of one is left, in seconds.
        effect: The share of their size that is there.
    """

    name: str
    every_s: float
    size: float
    size_max: float
    half_life_s: float
    effect: float = 1.0


Price = Walk | Spread | Dislocations


@dataclass(frozen=True)
class MarketInstrument:
    """One instrument of a generated market.

    Attributes:
        channel: The channel that publishes it.
        symbol: Its name; no two instruments of a channel have the same.
        tick_size: Price step, in quote currency.
        lot_size: Quantity step, in base currency.
        start_price: Price at the start; at least 5,000 ticks.
        trades_per_s: Market orders a second in normal times, without those that others or stale quotes
            set off: about twice as many again, and far more in bursts.
        updates_per_s: Limit orders and cancels a second.
        touch_qty: What the best level holds on average, in base currency.
        trade_qty: The scale of market orders, in base currency; their mean is about four times that.
        impact_ticks: By how much a market order of usual size moves the fair price.
        lag_ms: By how much it follows its prices, 0 to 1023.
        latency_ns: What the feed needs at least.
        follows: The prices that it follows by name, each with a loading: its own price is the start times the product
            of 1 + loading * price; one with a negative loading divides instead. The first is a `Walk` with a loading
            above zero: the instrument's trades move it.
        patience_ticks: How far off makers leave their quotes at least; three times that on average.
        slack_ticks: By how much the fair price may pass a quote before its maker sees it as stale.
        half_spread_ticks: Half of the spread that makers want at least.
        burst_ticks: By how much bursts of trades widen either half at most.
        depth_share: What the level behind the touch holds, as a share of the touch.
        pulls_per_s: Cancels a second at a touch that is stale.
        noise_ticks: By how much it goes its own way each millisecond; that decays within seconds.
        order_share: What an order that joins has of what its level holds on average.
        vanish_share: The share of the cancels at the touch that take all of it away.
        queue_lean: How much the sizes near the touch tell of where the fair price will take the quotes: 0 nothing,
            1: the bids hold up to nine times what the asks do.
        maker_fee: What makers pay, a fraction of the value; for configurations.
        taker_fee: What takers pay.
        funding_s: The time between two payments of funding, in seconds; 0 for none. What it follows besides `Walk`s
            is its premium over the index.
        funding_effect: The share of the funding rate that is there.
        by_order: Whether its rows are single orders (level 3) instead of levels.
    """

    channel: str
    symbol: str
    tick_size: float
    lot_size: float
    start_price: float
    trades_per_s: float = 6.0
    updates_per_s: float = 700.0
    touch_qty: float = 1.5
    trade_qty: float = 0.012
    impact_ticks: float = 1.2
    lag_ms: int = 0
    latency_ns: int = 2_000_000
    follows: tuple[tuple[str, float], ...] = ((FAIR, 1.0),)
    patience_ticks: float = 2.0
    slack_ticks: float = 1.2
    half_spread_ticks: float = 0.1
    burst_ticks: float = 2.5
    depth_share: float = 0.05
    pulls_per_s: float = 120.0
    noise_ticks: float = 0.02
    order_share: float = 0.15
    vanish_share: float = 0.03
    queue_lean: float = 0.0
    maker_fee: float = -0.00005
    taker_fee: float = 0.0007
    funding_s: int = 0
    funding_effect: float = 1.0
    by_order: bool = False

    @property
    def name(self) -> str:
        """Channel and symbol, as messages have them."""
        return f"{self.channel}:{self.symbol}"


@dataclass(frozen=True)
class Market:
    """Instruments that belong together.

    Attributes:
        name: What `hftd generate` calls it.
        about: What it is, a sentence.
        effect: What strategies live on in it, and what its strength scales, a sentence.
        instruments: At least one.
        prices: What they follow.
    """

    name: str
    about: str
    effect: str
    instruments: tuple[MarketInstrument, ...]
    prices: tuple[Price, ...] = (Walk(),)

    def with_effect(self, strength: float) -> "Market":
        """The same market with more or less of its effect: lags, reversions, dislocations, leaning queues, funding.

        Args:
            strength: 0 for none of it, up to 1 for all of it.

        Raises:
            UsageError: Another number.
        """
        if not 0.0 <= strength <= 1.0:
            raise UsageError(f"an effect of {strength:g} can't be generated", hint="Take 0 to 1.")
        return replace(
            self,
            instruments=tuple(
                replace(
                    item,
                    lag_ms=round(item.lag_ms * strength),
                    queue_lean=item.queue_lean * strength,
                    funding_effect=item.funding_effect * strength,
                )
                for item in self.instruments
            ),
            prices=tuple(
                price if isinstance(price, Walk) else replace(price, effect=price.effect * strength)
                for price in self.prices
            ),
        )


def market_of(instruments: Sequence[MarketInstrument]) -> Market:
    """A market of instruments that all follow one fair price."""
    return Market("", "", "", tuple(instruments))


def check_market(market: Market) -> None:
    """Refuse what can't be generated.

    Raises:
        UsageError: Something of it.
    """
    if not market.instruments:
        raise UsageError("a market needs at least one instrument")
    names = [item.name for item in market.instruments]
    if len(set(names)) < len(names):
        raise UsageError("two instruments of a channel have the same symbol", where=", ".join(names))
    prices = {price.name: price for price in market.prices}
    if len(prices) < len(market.prices):
        raise UsageError(
            "two prices have the same name", where=", ".join(price.name for price in market.prices)
        )
    for price in market.prices:
        _check_price(price)
    for item in market.instruments:
        _check_instrument(item, prices)


def _check_price(price: Price) -> None:
    if isinstance(price, Walk):
        if not 0.0 <= price.scale <= 100.0:
            raise UsageError(f"scale is {price.scale}, it must be 0 to 100", where=price.name)
        return
    sizes = (price.sd, price.mean, price.start) if isinstance(price, Spread) else (price.size, price.size_max)
    if not all(-0.1 < size < 0.1 for size in sizes) or sizes[0] < 0.0:
        raise UsageError("sizes of a price must be fractions below 0.1", where=price.name)
    times = (price.half_life_s,) if isinstance(price, Spread) else (price.half_life_s, price.every_s)
    if not all(0.01 <= time <= 86_400.0 for time in times):
        raise UsageError("times of a price must be 0.01 to 86,400 s", where=price.name)
    if not 0.0 <= price.effect <= 1.0:
        raise UsageError(f"effect is {price.effect}, it must be 0 to 1", where=price.name)


def _check_instrument(item: MarketInstrument, prices: dict[str, Price]) -> None:
    where = item.name
    for name in ("tick_size", "lot_size", "trades_per_s", "updates_per_s", "touch_qty", "trade_qty"):
        value = getattr(item, name)
        if not 0.0 < value < 1e9:
            raise OrderError(f"{name} is {value}, it must be positive", where=where)
    if not _START_TICKS_MIN <= item.start_price / item.tick_size <= _START_TICKS_MAX:
        raise OrderError(
            f"start_price {item.start_price} is not {_START_TICKS_MIN:,} ticks of {item.tick_size} or more",
            where=where,
            hint="Take a finer tick or a higher price.",
        )
    if not 0 <= item.lag_ms <= LAG_MS_MAX:
        raise OrderError(f"lag_ms is {item.lag_ms}", where=where, hint=f"Take 0 to {LAG_MS_MAX}.")
    if not 0 <= item.latency_ns <= 100_000_000 or not 0.0 <= item.impact_ticks <= 100.0:
        raise OrderError("latency_ns must be 0 to 100 ms and impact_ticks 0 to 100", where=where)
    for name in (
        "patience_ticks",
        "slack_ticks",
        "half_spread_ticks",
        "burst_ticks",
        "noise_ticks",
        "pulls_per_s",
    ):
        if not 0.0 <= getattr(item, name) <= 1000.0:
            raise OrderError(f"{name} is {getattr(item, name)}, it must be 0 to 1000", where=where)
    for name in ("depth_share", "order_share", "vanish_share", "queue_lean", "funding_effect"):
        if not 0.0 <= getattr(item, name) <= 1.0:
            raise OrderError(f"{name} is {getattr(item, name)}, it must be 0 to 1", where=where)
    if item.by_order and item.funding_s:
        raise OrderError("an instrument by order has no funding", where=where)
    if not 0 <= item.funding_s <= 86_400:
        raise OrderError(f"funding_s is {item.funding_s}, it must be 0 to 86,400", where=where)
    followed = [name for name, _ in item.follows]
    if len(set(followed)) < len(followed) or not set(followed) <= prices.keys():
        raise OrderError(
            f"follows {', '.join(followed)}, which are not different prices of the market",
            where=where,
            hint=f"Take from {', '.join(prices)}.",
        )
    if not followed or not isinstance(prices[followed[0]], Walk) or not item.follows[0][1] > 0.0:
        raise OrderError(
            "the first price that it follows must be a Walk with a loading above zero", where=where
        )
    if not all(abs(loading) <= 10.0 for _, loading in item.follows):
        raise OrderError("loadings must be -10 to 10", where=where)
