"""Funding of perpetual futures: what a position pays and is paid at the times of a table.

The engine has no funding: its account is what trades and fees make of it. The table of a generated market
(:mod:`sim.generate`), or of an exchange's history, and the record of a run tell what funding would have come to it.
"""

import numpy as np
from numpy.typing import NDArray

funding_dtype = np.dtype([("timestamp", "i8"), ("rate", "f8"), ("mark_price", "f8")], align=True)
"""One payment: its time, the rate as a fraction of the position's value (longs pay if it is above zero), and the mark
price that the value is taken at."""


def funding_paid(
    record: NDArray[np.void], table: NDArray[np.void], contract_size: float = 1.0
) -> NDArray[np.float64]:
    """What funding has come to up to each row of a record: above zero was received, below zero was paid.

    Of each payment: -rate * position * mark price * contract size (linear contracts), with the position of the last row
    at or before its time.

    Args:
        record: One asset's rows with `timestamp` and `position`, by rising time, such as `record_dtype`.
        table: Rows of `funding_dtype`, by rising time.
        contract_size: Units of the underlying in one contract.

    Returns:
        f8, as long as the record, in the quote currency.
    """
    times = table["timestamp"]
    at = np.searchsorted(record["timestamp"], times, side="right") - 1
    held = (
        np.where(at >= 0, record["position"][np.maximum(at, 0)], 0.0) if len(record) else np.zeros(len(table))
    )
    payments = -table["rate"] * held * table["mark_price"] * contract_size
    total = np.concatenate(([0.0], np.cumsum(payments)))
    return total[np.searchsorted(times, record["timestamp"], side="right")]
