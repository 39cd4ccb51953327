"""Row types that archives, channels, strategies and the engine share, and the constants that stand in them.

Names, values and layouts are those of HftBacktest 2.4.4, so that its archives and strategies carry over.
All times are nanoseconds since the Unix epoch.
"""

import numpy as np

from hftd import constants
from hftd.constants import *  # noqa: F403 (its `__all__`)
from hftd.rows import FIELDS, ROW_BYTES

__all__ = [
    "event_dtype",
    "fill_dtype",
    "latency_dtype",
    "record_dtype",
    "state_values_dtype",
]
__all__ += constants.__all__

event_dtype = np.dtype(list(FIELDS), align=True)
"""One row of an archive or of a channel's market data: 64 bytes; :mod:`hftd.rows` draws it."""
assert event_dtype.itemsize == ROW_BYTES

latency_dtype = np.dtype(
    [("req_ts", "i8"), ("exch_ts", "i8"), ("resp_ts", "i8"), ("_padding", "i8")], align=True
)
"""One row of recorded order latencies: request, exchange and response time; exch_ts <= 0 is a refusal."""

state_values_dtype = np.dtype(
    [
        ("position", "f8"),
        ("balance", "f8"),
        ("fee", "f8"),
        ("num_trades", "i8"),
        ("trading_volume", "f8"),
        ("trading_value", "f8"),
    ],
    align=True,
)

record_dtype = np.dtype(
    [
        ("timestamp", "i8"),
        ("price", "f8"),
        ("position", "f8"),
        ("balance", "f8"),
        ("fee", "f8"),
        ("num_trades", "i8"),
        ("trading_volume", "f8"),
        ("trading_value", "f8"),
    ],
    align=True,
)
"""One row of a `Recorder`: the state of an asset at a time; price is the mid price."""

fill_dtype = np.dtype(
    [
        ("timestamp", "i8"),
        ("exch_ts", "i8"),
        ("asset_no", "i8"),
        ("order_id", "u8"),
        ("side", "i8"),
        ("price", "f8"),
        ("qty", "f8"),
        ("maker", "i8"),
    ],
    align=True,
)
"""One execution of a bot's order: `timestamp` is when the bot learned of it, `exch_ts` when it happened."""

request_row_dtype = np.dtype(
    [
        ("timestamp", "i8"),
        ("asset_no", "i8"),
        ("order_id", "u8"),
        ("kind", "i8"),
        ("side", "i8"),
        ("price", "f8"),
        ("qty", "f8"),
    ],
    align=True,
)
"""One request that a bot sent: a new order (kind NEW), its modification (REPLACED) or its cancellation (CANCELED)."""
