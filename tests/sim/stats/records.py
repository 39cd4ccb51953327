"""Made-up records, from a seed: a wandering price, random trades at it, as a recorder would have them."""

import numpy as np

from hftd.types import record_dtype

START_NS = 1_661_904_000_000_000_000
"""31 August 2022, 00:00 UTC: a month ends with that day."""


def random_record(
    seed: int,
    count: int = 2_000,
    *,
    inverse: bool = False,
    contract_size: float = 1.0,
    interval_ns: int = 1_000_000_000,
    trade_chance: float = 0.2,
    gap_chance: float = 0.0,
    jitter_ns: int = 0,
    unpriced: int = 0,
) -> np.ndarray:
    """Rows of `record_dtype` whose balance, fee and counts fit the trades that made them."""
    random = np.random.default_rng(seed)
    rows = np.zeros(count, record_dtype)
    steps = interval_ns * (1 + 20 * (random.random(count) < gap_chance))
    rows["timestamp"] = START_NS + np.cumsum(steps) - steps[:1].sum()
    if jitter_ns:
        rows["timestamp"] += random.integers(0, jitter_ns, count)
    price = 20_000.0 + np.cumsum(random.normal(size=count)) * 2.0
    qty = np.where(random.random(count) < trade_chance, random.integers(-5, 6, count), 0) * 1.0
    value = contract_size * np.abs(qty) / price if inverse else contract_size * np.abs(qty) * price
    paid = np.cumsum(np.sign(qty) * value)
    rows["price"] = price
    rows["position"] = np.cumsum(qty)
    rows["balance"] = -paid
    rows["fee"] = np.cumsum(value * 0.0001)
    rows["num_trades"] = np.cumsum(qty != 0)
    rows["trading_volume"] = np.cumsum(np.abs(qty))
    rows["trading_value"] = np.cumsum(value)
    rows["price"][:unpriced] = np.nan
    return rows
