"""The kinds of problems by name: how bad they are, and what to do about them."""

from typing import Final, NamedTuple

from sim.checks import layout
from sim.checks.report import ERROR, NOTE, WARNING


class Kind(NamedTuple):
    """One kind of problem; `what` is said of it, with the unit of its amounts if it has any."""

    name: str
    severity: str
    what: str
    hint: str = ""
    unit: str = ""


_SORT: Final = "`--fix` puts the rows in the order of both clocks"
_CONVERT: Final = "convert the capture again; `--fix` drops such rows"
_TICK: Final = "is the size right? `--tick-size` gives the exchange's"
_LOT: Final = "is the size right? `--lot-size` gives the exchange's"

KINDS: Final = {
    layout.EXCH_ORDER: Kind("exch_order", ERROR, "exch_ts is earlier than in a row before", _SORT, "ns"),
    layout.LOCAL_ORDER: Kind("local_order", ERROR, "local_ts is earlier than in a row before", _SORT, "ns"),
    layout.NO_FLAG: Kind(
        "no_flag", ERROR, "neither the exchange nor the local side sees the row", "`--fix` drops such rows"
    ),
    layout.NO_TIME: Kind("no_time", ERROR, "a time is beyond what a time can be", _CONVERT),
    layout.PRICE: Kind("price", ERROR, "the price is not finite, or beyond what has ticks", _CONVERT),
    layout.QTY: Kind("qty", ERROR, "the quantity is not finite", _CONVERT),
    layout.NEGATIVE_QTY: Kind("negative_qty", ERROR, "the quantity is negative", _CONVERT),
    layout.OFF_TICK: Kind("off_tick", WARNING, "the price is no multiple of the tick size", _TICK),
    layout.OFF_LOT: Kind("off_lot", WARNING, "the quantity is no multiple of the lot size", _LOT),
    layout.KIND: Kind(
        "unknown_kind", WARNING, "there is no such kind of row; it is passed over in a run", "", ""
    ),
    layout.FLAGS: Kind("unknown_flags", WARNING, "ev has bits that mean nothing"),
    layout.NO_SIDE: Kind(
        "no_side", WARNING, "the row names no side, or both, and its kind has one: a run passes it over"
    ),
    layout.TIME_UNIT: Kind(
        "time_unit", WARNING, "a time lies outside the years 1973 to 2103", "times are nanoseconds since 1970"
    ),
    layout.JUMP: Kind(
        "jump",
        WARNING,
        "the two clocks are apart as in no row before",
        "one of the row's times is wrong, or a clock was set",
        "ns",
    ),
    layout.NEGATIVE_LATENCY: Kind(
        "negative_latency",
        WARNING,
        "the row arrives before it was sent",
        "`--fix` moves the local clock",
        "ns",
    ),
    layout.GAP: Kind(
        "gap", WARNING, "nothing came for a long time before the row", "--gap sets how long that is", "ns"
    ),
    layout.DEPTH_GAP: Kind(
        "depth_gap", WARNING, "the book stood still before the row, while other rows came", "", "ns"
    ),
    layout.SEQUENCE: Kind(
        "sequence_gap", WARNING, "messages of the book are missing before the row", "", "messages"
    ),
    layout.SEQUENCE_BACK: Kind(
        "sequence_back", WARNING, "a message of the book comes again, or late", "", "messages"
    ),
    layout.CROSSED: Kind(
        "crossed",
        WARNING,
        "the row leaves a bid above an ask",
        "messages are missing, doubled or mixed",
        "ns",
    ),
    layout.LOCKED: Kind("locked", NOTE, "the row leaves the best bid at the best ask", "", "ns"),
    layout.TRADE_AGAIN: Kind(
        "trade_again",
        WARNING,
        "the trade came before; the amount is by how much earlier",
        "`--fix` drops it",
        "ns",
    ),
    layout.TRADE_DOUBLED: Kind(
        "trade_doubled", WARNING, "the trade equals one before it in all fields", "`--fix` drops it"
    ),
    layout.TRADE_FAR: Kind("trade_far", WARNING, "the trade is far away from the book"),
    layout.TRADE_BEHIND: Kind(
        "trade_behind",
        NOTE,
        "the trade is at the best price of its own side, or behind it",
        "the book is late",
    ),
    layout.UNKNOWN_ORDER: Kind(
        "unknown_order",
        WARNING,
        "the row is about an order that is not there",
        "a feed that starts in mid-day?",
    ),
    layout.DUPLICATE_ORDER: Kind("duplicate_order", WARNING, "the row adds an order that is there"),
    layout.LONE_HALF: Kind(
        "lone_half",
        WARNING,
        "the row is of one clock, and there is no equal row of the other",
        "only one side of a run sees it, so the two books differ: convert the capture again",
    ),
    layout.NOT_POSITIVE: Kind("not_positive", NOTE, "the price is 0 or below"),
    layout.ZERO_TRADE: Kind("zero_trade", NOTE, "a trade of nothing"),
    layout.SPAN_DOUBLED: Kind(
        "span_doubled",
        WARNING,
        "from here on each trade is there an even number of times: a file or a capture is in the archive twice",
        "convert the inputs again, each once; `--fix` drops every second one of the trades",
    ),
}
assert len(KINDS) == layout.PROBLEMS

SEVERITIES: Final = (ERROR, WARNING, NOTE)
DOUBLED_SHARE: Final = 0.01
"""Where more trades than that equal the one before, the venue packs several in a message, and they are no doubles."""
DOUBLED_MIN: Final = 10
