"""The row of market data: 64 bytes, of which archives, rings and the engine consist.

     0  ev        u8   flags: 31 the exchange sees it, 30 the bot sees it, 29 buy, 28 sell; the low byte is the kind
     8  exch_ts   i8   when it happened, in nanoseconds since the Unix epoch
    16  local_ts  i8   when the bot receives it, in the same unit
    24  px        f8   a price
    32  qty       f8   a quantity
    40  order_id  u8   of rows of single orders
    48  ival      i8   the kind's own
    56  fval      f8   the kind's own; converters keep the bits of a trade's id in it

This module has values only and imports neither numpy nor numba: the command line starts without them. What reads and
writes rows in compiled code is :mod:`hftd.compiled.row_access`; `event_dtype` of :mod:`hftd.types` is made of
`FIELDS`.
"""

from typing import Final, TypeAlias

# What an integer of compiled code means. Numba ignores annotations; readers and type checkers do not.
Address: TypeAlias = int
"""Where something stands in memory."""
Tick: TypeAlias = int
"""A price as a number of ticks."""
Lots: TypeAlias = int
"""A quantity as a number of lots."""
Ns: TypeAlias = int
"""A time since the Unix epoch, or a duration, in nanoseconds."""

FIELDS: Final = (
    ("ev", "u8"),
    ("exch_ts", "i8"),
    ("local_ts", "i8"),
    ("px", "f8"),
    ("qty", "f8"),
    ("order_id", "u8"),
    ("ival", "i8"),
    ("fval", "f8"),
)
"""The fields in their order: name and numpy's type."""

EV: Final = 0
EXCH_TS: Final = 8
LOCAL_TS: Final = 16
PX: Final = 24
QTY: Final = 32
ORDER_ID: Final = 40
IVAL: Final = 48
FVAL: Final = 56
ROW_BYTES: Final = 64

EXACT_MAX: Final = 1 << 53
"""The integers up to this are exact as floats; of those beyond, neighbours can't be told apart."""
TICK_MAX: Final = EXACT_MAX
"""Prices in ticks lie between this and its negative, exclusively."""
LOTS_MAX: Final = EXACT_MAX
"""Quantities in lots lie below."""
QTY_MAX: Final = 1e300
"""Quantities lie below; what is larger is garbage, and sums of it would become infinite."""
TS_MAX: Final = (1 << 62) - 1
"""Times lie between this and its negative, inclusively, so that the sum of two does not overflow."""

# Kinds of user events that converters and connectors write; users may choose any from `USER_DEFINED_EVENT` on.
INDEX_PRICE: Final = 100
MARK_PRICE: Final = 101
"""At MEXC the fair price."""
FUNDING_RATE: Final = 102
BEST_BID: Final = 103
BEST_ASK: Final = 104
BOOK_LOST: Final = 254
"""From here on the book is not valid: something of it is missing. No user event, and it changes no level."""
BOOK_BACK: Final = 255
"""It is valid again."""
