"""The state of a simulated market: one row an instrument, and one row that all instruments share.

Prices inside are ticks counted from the low end of a window of `WINDOW` ticks around the starting price;
quantities are lots. A level above zero is a bid, below zero an ask.
"""

import numpy as np

WINDOW = 1 << 17
"""Ticks that a book spans; the fair price is kept off its ends."""
DEPTH = 1000
"""Levels of each side in the first snapshot, and how far from the touch orders are placed."""
CHANGED_MAX = 1 << 14
"""Levels that may change between two depth messages. The message goes out early from half of it on, which
leaves room for all that one millisecond can change (`EVENTS_MAX` times `SWEEP_MAX` levels and a little)."""
LAG_MS_MAX = 127
"""The most milliseconds that an instrument may follow the shared fair price by."""
STEP_ROWS_MAX = 3 * CHANGED_MAX
"""Rows that one millisecond makes at most: one depth message and the trades."""
EVENTS_MAX = 256
"""Order book events of one instrument in one millisecond; the rest of the millisecond is dropped."""
SWEEP_MAX = 30
"""Levels that one market order eats; what is left of it is cancelled."""

market_dtype = np.dtype(
    [
        # The instrument.
        ("base_tick", "i8"),  # the tick of window index 0
        ("start_tick", "i8"),
        ("tick_size", "f8"),
        ("lot_size", "f8"),
        ("lag_ms", "i8"),  # by how much it follows the shared fair price
        ("trades_per_ms", "f8"),  # market orders in a normal regime, bursts not counted
        ("updates_per_ms", "f8"),
        ("touch_lots", "f8"),  # what the touch holds in a normal regime
        ("trade_lots", "f8"),  # the smallest of the arbitrary trade sizes; the mean is four times that
        ("impact", "f8"),  # ticks that a market order of usual size moves the fair price by
        ("latency_ns", "f8"),  # of the feed, at least
        # The book.
        ("best_bid", "i8"),
        ("best_ask", "i8"),
        ("anchor", "f8"),  # the price that the makers quote around
        ("patience", "f8"),  # ticks that the anchor may be off before the makers move it
        ("transient", "f8"),  # the part of past impact that decays
        ("basis", "f8"),  # ticks that this instrument trades off the shared fair price
        ("liquidity", "f8"),  # 1 in a normal regime, lower in bursts
        # Self-excitation: extra market orders per millisecond.
        ("buy_fast", "f8"),
        ("buy_slow", "f8"),
        ("sell_fast", "f8"),
        ("sell_slow", "f8"),
        # Memory of the order flow: three signs that flip every second, ten seconds, minute on average.
        ("lean_short", "f8"),
        ("lean_middle", "f8"),
        ("lean_long", "f8"),
        # The feed.
        ("next_depth_ns", "i8"),
        ("changed_count", "i8"),
        ("line_free_ns", "i8"),
        ("local_ns", "i8"),
        ("congestion_ns", "f8"),
        ("row_count", "i8"),
    ],
    align=True,
)

shared_dtype = np.dtype(
    [
        ("now_ns", "i8"),
        ("step", "i8"),
        ("fair", "f8"),  # the shared fair price as a fraction of the starting price, less 1
        ("bound", "f8"),  # |fair| stays below
        ("volatility", "f8"),  # 1 in a normal regime
        ("regime", "i8"),  # 0 calm, 1 normal, 2 wild
        ("news_ms", "i8"),  # milliseconds of news that are left
        ("news_drift", "f8"),  # of the fair price, per millisecond
    ],
    align=True,
)
