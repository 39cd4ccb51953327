"""Results of made-up runs, from a seed."""

import numpy as np

from hftd.bot.result import AssetResult, BotResult
from hftd.types import fill_dtype, record_dtype

START_NS = 1_661_904_000_000_000_000


def make_result(
    *,
    seed: int = 1,
    symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT"),
    num_records: int = 600,
    num_fills: int = 200,
    price: float = 20_000.0,
    **changes: object,
) -> BotResult:
    """A result with a wandering price and random fills."""
    random = np.random.default_rng(seed)
    count = len(symbols)
    records = np.zeros((num_records, count), record_dtype)
    records["timestamp"] = (START_NS + np.arange(num_records) * 1_000_000_000)[:, None]
    records["price"] = price + random.normal(size=(num_records, count)).cumsum(axis=0)
    records["position"] = random.integers(-5, 6, (num_records, count)) * 0.01
    records["balance"] = -records["position"] * price + random.normal(size=(num_records, count)).cumsum(
        axis=0
    )
    records["fee"] = random.random((num_records, count)).cumsum(axis=0) * 0.01
    fills = np.zeros(num_fills, fill_dtype)
    fills["timestamp"] = (
        START_NS + np.sort(random.integers(0, max(num_records, 1), num_fills)) * 1_000_000_000
    )
    fills["asset_no"] = random.integers(0, count, num_fills)
    fills["side"] = random.choice([-1, 1], num_fills)
    fills["price"] = price + random.normal(size=num_fills)
    fills["qty"] = 0.01
    fills["maker"] = random.random(num_fills) < 0.8
    assets = [
        AssetResult(
            symbol=symbol,
            channel="demofutures",
            position=-0.02,
            balance=412.3456789,
            fee=1.25,
            num_trades=num_fills // count,
            trading_volume=1.23,
            trading_value=24_600.5,
            equity=412.3456789 - 0.02 * price - 1.25,
            price=price,
        )
        for symbol in symbols
    ]
    values = {
        "name": "mm",
        "strategy": "strategies.market_making:market_making",
        "assets": assets,
        "events": 1_234_567,
        "seconds": 0.25,
        "sim_seconds": 600.0,
        "ended": "end of data",
        "records": records,
        "fills": fills,
    }
    return BotResult(**(values | changes))
