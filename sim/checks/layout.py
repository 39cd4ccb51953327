"""The memory of the checks: what the compiled passes carry from block to block.

Each pass has a record of its own. All of them write what they find into one table of problems: for each kind of
problem how often it came, what it amounts to in all and at most (nanoseconds mostly), and the first rows.
"""

from typing import Any, Final

import numpy as np

from hftd.types import event_dtype

FIRST_MAX: Final = 16
"""Rows that are kept for each problem."""

(
    EXCH_ORDER,
    LOCAL_ORDER,
    NO_FLAG,
    NO_TIME,
    PRICE,
    QTY,
    NEGATIVE_QTY,
    OFF_TICK,
    OFF_LOT,
    KIND,
    FLAGS,
    NO_SIDE,
    TIME_UNIT,
    JUMP,
    NEGATIVE_LATENCY,
    GAP,
    DEPTH_GAP,
    SEQUENCE,
    SEQUENCE_BACK,
    CROSSED,
    LOCKED,
    TRADE_AGAIN,
    TRADE_DOUBLED,
    TRADE_FAR,
    TRADE_BEHIND,
    UNKNOWN_ORDER,
    DUPLICATE_ORDER,
    LONE_HALF,
    NOT_POSITIVE,
    ZERO_TRADE,
    SPAN_DOUBLED,
) = range(31)
PROBLEMS: Final = 31

place_dtype = np.dtype(
    [("file", "i8"), ("row", "i8"), ("extra", "i8"), ("event", event_dtype)],
    align=True,
)
"""Where something was found: the file's number, the row in it counted from 0, by how much, and the row itself."""

problem_dtype = np.dtype(
    [("count", "i8"), ("total", "i8"), ("most", "i8"), ("places", place_dtype, (FIRST_MAX,))],
    align=True,
)

BUCKETS: Final = 1024
"""Stretches of time that the series has at most; they double in length when there is no room."""

bucket_dtype = np.dtype(
    [
        ("rows", "i8"),
        ("trades", "i8"),
        ("latencies", "i8"),
        ("latency_min", "i8"),
        ("latency_max", "i8"),
        ("latency_sum", "f8"),
        ("spreads", "i8"),
        ("spread_max", "i8"),  # ticks
        ("spread_sum", "f8"),
        ("crossed_ns", "i8"),
        ("locked_ns", "i8"),
        ("mid", "f8"),  # the last one; 0 if there is none
    ],
    align=True,
)

series_dtype = np.dtype(
    [("origin_ts", "i8"), ("bits", "i8"), ("used", "i8"), ("buckets", "i8")],
    align=True,
)
"""Buckets of 2^bits nanoseconds of the local clock, from `origin_ts` on; `used` is 0 before the first row."""

# Latencies fall into bins like those of a floating point number: 128 for each power of two, so a bin is 0.8% wide.
BIN_BITS: Final = 7
BINS: Final = 64 << BIN_BITS

rows_dtype = np.dtype(
    [
        ("problems", "i8"),
        ("series", "i8"),
        ("kinds", "i8"),  # 256 counts
        ("bins", "i8"),  # for book and trades: BINS counts of latencies, then BINS of negative ones
        ("file", "i8"),
        ("row", "i8"),  # the number of the block's first row in its file
        ("tick_size", "f8"),
        ("lot_size", "f8"),
        ("gap_ns", "i8"),
        ("jump_ns", "i8"),
        ("sequence_at", "i8"),  # where in a row the sequence stands; 0 if nowhere
        ("exch_last", "i8"),
        ("local_last", "i8"),
        ("exch_first", "i8"),
        ("local_first", "i8"),
        ("exch_rows", "i8"),
        ("local_rows", "i8"),
        ("latency_base", "i8"),
        ("jumped", "i8"),  # rows in a row that were away from the base
        ("feed_last", "i8"),  # the local time of the last row that was believed; 0 before
        ("depth_last", "i8"),
        ("sequence_last", "i8"),
        ("book_min", "i8"),  # latencies
        ("book_max", "i8"),
        ("trade_min", "i8"),
        ("trade_max", "i8"),
        ("px_min", "f8"),
        ("px_max", "f8"),
        ("trade_qty", "f8"),
        ("snapshots", "i8"),
    ],
    align=True,
)
"""The pass over single rows."""

books_dtype = np.dtype(
    [
        ("problems", "i8"),
        ("series", "i8"),
        (
            "bids",
            "i8",
        ),  # two books, since in one of both sides a bid would push the asks away that it crosses
        ("asks", "i8"),
        ("spreads", "i8"),  # SPREADS counts, by ticks; the last is of all wider ones
        ("by_order", "i8"),
        ("file", "i8"),
        ("row", "i8"),
        ("exch_ts", "i8"),  # of the message that is being read
        ("local_ts", "i8"),
        ("is_changed", "i8"),
        ("last_file", "i8"),  # the last row of the message that changed the book
        ("last_row", "i8"),
        ("last_event", event_dtype),
        ("state", "i8"),  # 0, LOCKED or CROSSED
        ("since_ts", "i8"),
        ("until_ts", "i8"),  # up to where the series has its share
        ("far_share", "f8"),
        ("spread_count", "i8"),
        ("spread_max", "i8"),
        ("trades_at", "i8"),
        ("trades_inside", "i8"),
        ("trades_through", "i8"),
        ("trades_behind", "i8"),
        ("trades_unknown", "i8"),
    ],
    align=True,
)
"""The pass that follows the book, as it was received."""

SPREADS: Final = 4096

TRADES_BITS: Final = 20
DOUBLES_MAX: Final = 1 << 20
"""Trades to be dropped that are remembered; of more, the rest stays in the file, and `fix` says so."""

trade_dtype = np.dtype([("print", "i8"), ("local_ts", "i8"), ("file_row", "i8")], align=True)

trades_dtype = np.dtype(
    [
        ("problems", "i8"),
        ("table", "i8"),  # 2^TRADES_BITS of trade_dtype
        ("again", "i8"),  # prints with the local time of trades that came again
        ("agains", "i8"),
        ("doubled", "i8"),
        ("doubles", "i8"),
        ("same", "i8"),  # prints of those of `doubled` that have an id: doubles, however many there are
        ("sames", "i8"),
        ("file", "i8"),
        ("row", "i8"),
        ("exch_max", "i8"),
        ("local_max", "i8"),
        ("trades", "i8"),
        (
            "group_ts",
            "i8",
        ),  # the trades of one exchange time: their prints, each with the other, and how many
        ("group_print", "i8"),
        ("group_trades", "i8"),
        (
            "even_groups",
            "i8",
        ),  # groups one after the other in which each trade is there an even number of times
        ("even_trades", "i8"),
        ("odd_groups", "i8"),  # all other groups
        ("span_trades", "i8"),  # trades of spans of such groups, the present one's apart
    ],
    align=True,
)
"""The pass that looks for trades that are there twice."""

SPAN_GROUPS: Final = 32
"""So many groups in a row in which each trade is there an even number of times are no chance, but a doubled span."""

HALVES_MAX: Final = 1 << 16
"""Half rows that wait for their other half; with more, the search ends, and the report says so."""

halves_dtype = np.dtype(
    [
        ("problems", "i8"),
        ("index", "i8"),  # an `hftd.compiled.layout.index_dtype`
        ("pool", "i8"),  # HALVES_MAX of place_dtype
        ("free", "i8"),  # places in the pool that are free again: their numbers
        ("frees", "i8"),
        ("used", "i8"),
        ("waiting", "i8"),
        ("is_full", "i8"),
        ("file", "i8"),
        ("row", "i8"),
        ("pairs", "i8"),
        ("kinds", "i8"),  # 256 counts: the pairs by kind
    ],
    align=True,
)
"""The pass that pairs the rows of one clock with those of the other."""


def record(dtype: "np.dtype[Any]") -> Any:
    """One zeroed record, as an array of shape (1,)."""
    return np.zeros(1, dtype)
