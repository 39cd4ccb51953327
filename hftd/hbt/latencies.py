"""Recorded order latencies, made fit for a backtest.

A bot records a row for each request that was answered: when it was sent, when the exchange had it, when the answer was
there. A backtest interpolates between such rows (`intp_order_latency`), and takes a row without an exchange time for
a request that never arrived: it refuses the requests beside it. So what the exchange refused without saying when, and
what was refused before it was sent, tells nothing and is left out.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftd.constants import REASON_NEVER_SENT, REASON_RATE_LIMIT
from hftd.types import latency_dtype

_LOST = (REASON_NEVER_SENT, REASON_RATE_LIMIT)
"""Refused on their way: what a backtest refuses too."""


def clean_latencies(recorded: NDArray[Any], asset_no: int) -> NDArray[Any]:
    """The rows of one asset in the form that a backtest reads.

    Args:
        recorded: Rows of `latency_dtype` as they came, with the REASON_* of a refusal as padding.
        asset_no: Becomes the padding.

    Returns:
        Sorted by request; no answer before its execution and no execution before its request, which an exchange's
        clock in whole milliseconds would have; exchange times do not go back, since they are searched.
    """
    rows = recorded[(recorded["exch_ts"] > 0) | np.isin(recorded["_padding"], _LOST)]
    rows = rows[np.argsort(rows["req_ts"], kind="stable")]
    rows["_padding"] = asset_no
    arrived = rows["exch_ts"] > 0
    exch_ts = np.maximum.accumulate(np.maximum(rows["exch_ts"][arrived], rows["req_ts"][arrived]))
    rows["exch_ts"][arrived] = exch_ts
    rows["resp_ts"][arrived] = np.maximum(rows["resp_ts"][arrived], exch_ts)
    assert rows.dtype == latency_dtype
    return rows
