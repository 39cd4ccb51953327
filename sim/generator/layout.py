"""The state of a simulated market: one row an instrument, one row a price that instruments follow, and the clock.

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
LAG_MS_MAX = 1023
"""The most milliseconds that an instrument may follow a price by; a power of two less 1."""
STEP_ROWS_MAX = 3 * CHANGED_MAX
"""Rows that one millisecond makes at most: one depth message and the trades."""
EVENTS_MAX = 256
"""Order book events of one instrument in one millisecond; the rest of the millisecond is dropped."""
SWEEP_MAX = 30
"""Levels that one market order eats; what is left of it is cancelled."""

STEP_LOG_MAX = EVENTS_MAX * (2 * SWEEP_MAX + 1)
"""Entries of an instrument's log that one millisecond makes at most."""
LOG_MAX = 1 << 15
"""Entries that a log holds; it is read when another millisecond might not fit."""
LEANING_LEVELS = 5
"""Levels of a side whose sizes lean to where the fair price will take the quotes."""

WALK = 0
"""A fair price: it goes where it wants."""
SPREAD = 1
"""What is drawn back to its mean."""
DISLOCATIONS = 2
"""What is zero but for shocks that decay."""

market_dtype = np.dtype(
    [
        # The instrument.
        ("base_tick", "i8"),  # the tick of window index 0
        ("start_tick", "i8"),
        ("tick_size", "f8"),
        ("lot_size", "f8"),
        ("lag_ms", "i8"),  # by how much it follows its prices
        ("home", "i8"),  # the number of the fair price that its trades move, and whose regime it is in
        ("trades_per_ms", "f8"),  # market orders in a normal regime, bursts not counted
        ("updates_per_ms", "f8"),
        ("touch_lots", "f8"),  # what the touch holds in a normal regime
        ("trade_lots", "f8"),  # the smallest of the arbitrary trade sizes; the mean is four times that
        ("impact", "f8"),  # ticks that a market order of usual size moves the fair price by
        ("latency_ns", "f8"),  # of the feed, at least
        ("depth_share", "f8"),  # what the level behind the touch holds, as a share of the touch
        ("half_ticks", "f8"),  # half of the spread that makers want at least
        ("burst_ticks", "f8"),  # by how much bursts of trades widen either half at most
        ("slack_ticks", "f8"),  # ticks that the anchor may pass a quote by before its makers see it as stale
        ("pulls_per_ms", "f8"),  # cancels at a stale touch
        ("patience_ticks", "f8"),  # the least of `patience`; its mean is three times that
        ("noise_ticks", "f8"),  # of `basis`, each millisecond
        ("order_share", "f8"),  # of a level, that an order near the touch has
        ("vanish_share", "f8"),  # of the cancels at the touch that take all of it
        ("queue_lean", "f8"),  # how much of the fair price the sizes near the touch tell, 0 to 1
        # The book.
        ("best_bid", "i8"),
        ("best_ask", "i8"),
        ("anchor", "f8"),  # the price that the makers quote around
        ("patience", "f8"),  # ticks that the anchor may be off before the makers move it
        ("transient", "f8"),  # the part of past impact that decays
        ("basis", "f8"),  # ticks that this instrument trades off the prices that it follows
        ("liquidity", "f8"),  # 1 in a normal regime, lower in bursts
        ("lean", "f8"),  # of the sizes near the touch: above 0 to the bids
        ("event_ns", "i8"),  # when the event happens that is under way
        ("is_logged", "i8"),
        ("log_count", "i8"),
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

clock_dtype = np.dtype([("now_ns", "i8"), ("step", "i8")], align=True)

price_dtype = np.dtype(
    [
        ("kind", "i8"),  # WALK, SPREAD or DISLOCATIONS
        ("value", "f8"),  # as a fraction of the starting price, less 1
        ("bound", "f8"),  # |value| stays below
        # A fair price.
        ("scale", "f8"),  # of its moves; 1 is the demo's
        ("volatility", "f8"),  # 1 in a normal regime
        ("regime", "i8"),  # 0 calm, 1 normal, 2 wild
        ("news_ms", "i8"),  # milliseconds of news that are left
        ("news_drift", "f8"),  # per millisecond
        # A spread or dislocations.
        ("mean", "f8"),
        ("pull_per_ms", "f8"),  # the share of the distance to the mean that it loses
        ("step_sd", "f8"),  # of a spread's noise, each millisecond
        ("shocks_per_ms", "f8"),
        ("shock", "f8"),  # the smallest
        ("shock_max", "f8"),
    ],
    align=True,
)

log_dtype = np.dtype(
    [("exch_ns", "i8"), ("index", "i8"), ("lots", "i8"), ("is_bid", "i4"), ("is_trade", "i4")], align=True
)
"""Lots that joined a level (above zero) or left it (below)."""
