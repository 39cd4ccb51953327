"""The memory of a pass: many runs of one strategy over one market.

::

    pass ── the market: one engine, one local side ── wakes: when each lane looks next
         └─ lanes ── lane 0 ── its stack, its session (clock, orders, account), its lane at each exchange
                  └─ lane 1 ...

The market goes by once. What a lane has of it is a copy of each book's record, whose quantities are the market's, and
of the trades since it looked last.
"""

import numpy as np

pass_dtype = np.dtype(
    [
        ("stack", "i8"),  # the loop's own, while a lane runs
        ("fn_switch", "i8"),
        ("engine", "i8"),
        ("market", "i8"),  # the session whose local side the market goes by
        ("begun", "i8"),  # what beginning gave: 0, 1 where there is no data, or an error
        ("start_ns", "i8"),
        ("now_ns", "i8"),
        ("num_lanes", "i8"),
        ("lanes", "i8"),
        ("wakes", "i8"),  # by lane
        ("ready", "i8"),  # addresses of the lanes that look now
        ("num_ready", "i8"),
        ("next_ready", "i8"),
        ("playing", "i8"),  # lanes whose strategies have not returned
        ("waiting", "i8"),  # lanes that wait for answers
        ("over", "i8"),  # there is no more data
        ("feeds", "i8"),  # by asset: how many segments the local side has seen
        ("error", "i8"),
    ],
    align=True,
)

lane_dtype = np.dtype(
    [
        ("stack", "i8"),  # where it goes on, while it waits
        ("owner", "i8"),  # the pass
        ("number", "i8"),
        ("session", "i8"),
        ("seen", "i8"),  # by asset, a record of `seen_dtype`
        ("wait", "i8"),  # WAIT_*
        ("asset_no", "i8"),
        ("order_id", "i8"),
        ("fn_strategy", "i8"),
        ("arguments", "i8"),  # words, see `sim.sweeps.entry`
        ("done", "i8"),  # the strategy has returned
        ("failed", "i8"),  # it has raised
        ("told", "i8"),  # it was told of an error
    ],
    align=True,
)

seen_dtype = np.dtype([("feeds", "i8"), ("trades", "i8"), ("user_events", "i8")], align=True)
"""How far a lane has followed an asset: segments, and rows among those that the market's local side keeps."""

LOG_ROWS = 1 << 16
"""Trades that the market keeps for lanes that have not looked; then they are handed to all."""
