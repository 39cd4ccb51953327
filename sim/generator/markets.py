"""The markets that `hftd generate` makes, by name. docs/generated-market.md tells what is in each."""

from typing import Any, Final

from sim.generator.market import Dislocations, Market, MarketInstrument, Spread, Walk

_BP = 1e-4
_DEMO_TICK = 0.1 / 20_250.0
"""The demo's tick as a fraction of its price, for which the defaults of an instrument are made."""
_TOUCH_VALUE = 30_000.0
_TRADE_VALUE = 250.0

DEMO: Final = (
    MarketInstrument("demofutures", "BTCUSDT", 0.1, 0.001, 20_250.0),
    MarketInstrument(
        "demospot",
        "BTCBUSD",
        0.1,
        0.0001,
        20_257.0,
        trades_per_s=4.0,
        updates_per_s=500.0,
        touch_qty=0.6,
        trade_qty=0.006,
        impact_ticks=1.0,
        lag_ms=12,
        latency_ns=3_500_000,
    ),
)
"""The market of the demo: a future, and a spot pair that follows it."""


def _coin(
    channel: str,
    symbol: str,
    tick_size: float,
    lot_size: float,
    start_price: float,
    *follows: tuple[str, float],
    quote: float = 1.0,
    **others: Any,
) -> MarketInstrument:
    """An instrument of the demo's liquidity: what is in ticks there is as much of the price here.

    `quote` is what a unit of the quote currency is worth, in dollars.
    """
    ticks = _DEMO_TICK * start_price / tick_size
    own: dict[str, Any] = {
        "touch_qty": _TOUCH_VALUE / (start_price * quote),
        "trade_qty": _TRADE_VALUE / (start_price * quote),
        "impact_ticks": 1.2 * ticks,
        "noise_ticks": 0.02 * ticks,
        "patience_ticks": max(2.0 * ticks, 0.3),
        "slack_ticks": max(1.2 * ticks, 0.3),
        "maker_fee": 0.0,
        "taker_fee": 1.0 * _BP,
    }
    return MarketInstrument(
        channel, symbol, tick_size, lot_size, start_price, follows=follows, **(own | others)
    )


_FAIR = ("fair", 1.0)

_ALL = (
    Market(
        "demo",
        "A future, and a spot pair that follows it.",
        "Effect: the lag, 12 ms.",
        DEMO,
    ),
    Market(
        "cross",
        "One coin on three exchanges with steps, fees and latencies of their own.",
        "Effect: lags of 60 and 150 ms behind the first, and dislocations of 8 to 40 basis points of the others.",
        (
            _coin("binancefutures", "BTCUSDT", 0.5, 0.001, 20_250.0, _FAIR),
            _coin(
                "bybit",
                "BTCUSDT",
                0.2,
                0.001,
                20_250.0,
                _FAIR,
                ("bybit", 1.0),
                lag_ms=60,
                latency_ns=5_000_000,
                trades_per_s=4.0,
                updates_per_s=500.0,
                maker_fee=-0.25 * _BP,
            ),
            _coin(
                "binancespot",
                "BTCUSDT",
                1.0,
                0.0001,
                20_250.0,
                _FAIR,
                ("spot", 1.0),
                lag_ms=150,
                latency_ns=3_500_000,
                trades_per_s=3.0,
                updates_per_s=400.0,
                taker_fee=1.5 * _BP,
            ),
        ),
        (
            Walk("fair", 2.0),
            Dislocations("bybit", every_s=20.0, size=8.0 * _BP, size_max=40.0 * _BP, half_life_s=2.0),
            Dislocations("spot", every_s=20.0, size=8.0 * _BP, size_max=40.0 * _BP, half_life_s=2.0),
        ),
    ),
    Market(
        "basis",
        "Spot and a perpetual future whose basis comes and goes, with funding each 300 s.",
        "Effect: how fast the basis reverts (half-life 60 s, sd 8 basis points, mean 2), and the funding rate.",
        (
            _coin("binancespot", "BTCUSDT", 0.5, 0.0001, 20_250.0, _FAIR, latency_ns=3_500_000),
            _coin(
                "binancefutures",
                "BTCUSDT",
                0.5,
                0.001,
                20_250.0,
                _FAIR,
                ("basis", 1.0),
                funding_s=300,
            ),
        ),
        (
            Walk(),
            Spread("basis", sd=8.0 * _BP, half_life_s=60.0, mean=2.0 * _BP, start=20.0 * _BP),
        ),
    ),
    Market(
        "triangle",
        "BTC and ETH in dollars, and ETH in BTC.",
        "Effect: dislocations of ETHBTC, 6 to 30 basis points off the other two, half of one gone after 1 s.",
        (
            _coin("binancespot", "BTCUSDT", 1.0, 0.0001, 32_000.0, ("btc", 1.0), ("market", 1.0)),
            _coin("binancespot", "ETHUSDT", 0.1, 0.001, 2_000.0, ("eth", 1.0), ("market", 1.0)),
            _coin(
                "binancespot",
                "ETHBTC",
                0.000_002,
                0.001,
                0.0625,
                ("eth", 1.0),
                ("btc", -1.0),
                ("gap", 1.0),
                quote=32_000.0,
            ),
        ),
        (
            Walk("btc"),
            Walk("eth"),
            Walk("market", 1.5),
            Dislocations("gap", every_s=10.0, size=6.0 * _BP, size_max=30.0 * _BP, half_life_s=1.0),
        ),
    ),
    Market(
        "pair",
        "Two coins whose ratio reverts to its mean.",
        "Effect: how fast the ratio reverts (half-life 30 s, sd 12 basis points); without it: no cointegration.",
        (
            _coin("binancefutures", "ETHUSDT", 0.1, 0.001, 2_000.0, ("eth", 1.0)),
            _coin("binancefutures", "SOLUSDT", 0.005, 0.01, 100.0, ("eth", 1.0), ("spread", 1.0)),
        ),
        (Walk("eth", 2.0), Spread("spread", sd=12.0 * _BP, half_life_s=30.0)),
    ),
    Market(
        "factor",
        "Six coins driven by two common factors and by noise of their own.",
        "Effect: the lags of 100 to 800 ms by which all but the first follow.",
        (
            _coin("binancefutures", "BTCUSDT", 1.0, 0.001, 20_000.0, ("btc", 1.0), ("market", 1.0)),
            _coin(
                "binancefutures",
                "ETHUSDT",
                0.05,
                0.001,
                1_500.0,
                ("eth", 1.0),
                ("market", 1.1),
                ("alt", 0.3),
                lag_ms=100,
            ),
            _coin(
                "binancefutures",
                "BNBUSDT",
                0.01,
                0.01,
                300.0,
                ("bnb", 1.0),
                ("market", 0.8),
                ("alt", 0.4),
                lag_ms=200,
            ),
            _coin(
                "binancefutures",
                "SOLUSDT",
                0.005,
                0.01,
                100.0,
                ("sol", 1.0),
                ("market", 1.3),
                ("alt", 0.8),
                lag_ms=300,
            ),
            _coin(
                "binancefutures",
                "ADAUSDT",
                0.000_02,
                1.0,
                0.5,
                ("ada", 1.0),
                ("market", 1.2),
                ("alt", 1.0),
                lag_ms=500,
            ),
            _coin(
                "binancefutures",
                "AVAXUSDT",
                0.001,
                0.1,
                20.0,
                ("avax", 1.0),
                ("market", 1.4),
                ("alt", 1.1),
                lag_ms=800,
            ),
        ),
        (
            Walk("market", 3.0),
            Walk("alt", 1.5),
            *(Walk(name, 0.7) for name in ("btc", "eth", "bnb", "sol", "ada", "avax")),
        ),
    ),
    Market(
        "largetick",
        "A coin with a tick of two basis points: a spread of one tick and long queues.",
        "Effect: the queues at the touch tell where the fair price is within the tick.",
        (
            _coin(
                "binancefutures",
                "XRPUSDT",
                0.0001,
                1.0,
                0.5,
                _FAIR,
                half_spread_ticks=0.0,
                burst_ticks=0.0,
                slack_ticks=0.1,
                depth_share=0.6,
                pulls_per_s=10.0,
                updates_per_s=1_400.0,
                order_share=0.05,
                vanish_share=0.0,
                queue_lean=1.0,
                maker_fee=-0.25 * _BP,
            ),
        ),
        (Walk("fair", 3.0),),
    ),
    Market(
        "imbalance",
        "The demo's future, with sizes that know more than prices.",
        "Effect: the sizes near the touch lean to where the fair price will take the quotes.",
        (
            _coin(
                "binancefutures",
                "BTCUSDT",
                0.1,
                0.001,
                20_250.0,
                _FAIR,
                patience_ticks=3.0,
                queue_lean=1.0,
                maker_fee=-0.25 * _BP,
            ),
        ),
    ),
    Market(
        "level3",
        "A future order by order, with a tick of one basis point.",
        "Effect: the sizes near the touch lean to where the fair price will take the quotes.",
        (
            _coin(
                "demofutures",
                "BTCUSDT",
                2.0,
                0.001,
                20_250.0,
                _FAIR,
                half_spread_ticks=0.0,
                burst_ticks=0.5,
                slack_ticks=0.2,
                depth_share=0.4,
                pulls_per_s=20.0,
                order_share=0.05,
                vanish_share=0.0,
                queue_lean=1.0,
                maker_fee=-0.25 * _BP,
                by_order=True,
            ),
        ),
        (Walk("fair", 2.0),),
    ),
)

MARKETS: Final = {market.name: market for market in _ALL}
"""All of them by name."""
