"""The life of orders: what happened to each of them, when, and why, as rows.

A run records them if it is asked to (`hftd backtest --explain`, `hbt.record_life()`), and `hftd explain` tells them in
words. An order's rows, in the order of their `seq`, lead from the request to the last answer::

    REQUEST_NEW ─ ARRIVAL ─┬─ ACCEPTED ─ QUEUE* ─ FILL* ─┬─ (filled whole: the last FILL says so)
                           │                             ├─ CANCELED
                           │                             ├─ REPLACED, and ACCEPTED again if it lost its place
                           │                             └─ EXPIRED
                           ├─ FILL* (TAKEN)
                           ├─ EXPIRED
                           └─ REJECTED
    ANSWER*: when the bot learned of it

The bot's clock is that of requests and answers, the exchange's that of all others.
"""

from typing import Final

import numpy as np

__all__ = [
    "CAUSE_BOOK",
    "CAUSE_CAP",
    "CAUSE_CROSSED",
    "CAUSE_DEPTH",
    "CAUSE_FILL",
    "CAUSE_NEW_PLACE",
    "CAUSE_NONE",
    "CAUSE_REACHED",
    "CAUSE_REQUEST_CANCEL",
    "CAUSE_REQUEST_MODIFY",
    "CAUSE_REQUEST_NEW",
    "CAUSE_TAKEN",
    "CAUSE_TRADE",
    "CAUSE_TRADED_THROUGH",
    "LIFE_ACCEPTED",
    "LIFE_ANSWER",
    "LIFE_ARRIVAL",
    "LIFE_CANCELED",
    "LIFE_EXPIRED",
    "LIFE_FILL",
    "LIFE_QUEUE",
    "LIFE_REJECTED",
    "LIFE_REPLACED",
    "LIFE_REQUEST_CANCEL",
    "LIFE_REQUEST_MODIFY",
    "LIFE_REQUEST_NEW",
    "cause_name",
    "kind_name",
    "life_dtype",
]

life_dtype = np.dtype(
    [
        ("ts", "i8"),
        ("seq", "i8"),
        ("order_id", "u8"),
        ("ref_ts", "i8"),
        ("px", "f8"),
        ("qty", "f8"),
        ("leaves_qty", "f8"),
        ("front_qty", "f8"),
        ("exec_px", "f8"),
        ("fee", "f8"),
        ("event_px", "f8"),
        ("event_qty", "f8"),
        ("level_qty", "f8"),
        ("best_bid", "f8"),
        ("best_ask", "f8"),
        ("asset", "i4"),
        ("bot", "i4"),
        ("kind", "u1"),
        ("cause", "u1"),
        ("side", "i1"),
        ("maker", "u1"),
        ("status", "u1"),
        ("reason", "u1"),
        ("order_type", "u1"),
        ("time_in_force", "u1"),
    ],
    align=True,
)
"""One thing that happened to an order: 136 bytes.

- `ts`: when, in ns: on the bot's clock for REQUEST_* and ANSWER, else on the exchange's.
- `seq`: the row's number in the life of the whole run.
- `ref_ts`: of an ARRIVAL, when it was requested; of an ANSWER, when the exchange sent it (0: it never got there); of
  all others 0.
- `px`: the order's limit price. `side`, `order_type`, `time_in_force`: the order's, as in `hftd.types`; 0 where a
  request to modify or cancel does not say.
- `qty`: of a FILL, how much was filled; of QUEUE, by how much the quantity ahead changed, negative where it fell; of
  an ANSWER, how much it says was filled, 0 if it tells of no execution; of all others the quantity that is asked for
  or that the order has.
- `leaves_qty`: what is left of the order after it; 0 for requests and arrivals.
- `front_qty`: the quantity ahead of a resting order after it, as the queue model has it. Below zero a trade went so far
  beyond the queue. -1 where it has no meaning: on all rows but those of an order that rests, or rested until then.
- `exec_px`, `fee`: of a FILL, its price and what it cost (negative: a rebate); `exec_px` of an ANSWER that tells of one
  too; else 0.
- `event_px`, `event_qty`: the market's event behind the row, of QUEUE, FILL and the like: price and quantity of the
  trade, or of the level (its new quantity), or of the order that left; 0 where there is none.
- `level_qty`: what the exchange's book held at the order's price, on its side, just before; 0 if nothing.
- `best_bid`, `best_ask`: the exchange's best prices at that moment, 0 where a side is empty. The market's event of a
  FILL is in them, that of QUEUE is not yet. On the rows of the bot's clock they are 0.
- `asset`: the asset's number; `bot`: the bot's, in the order in which they came (0 in a backtest).
- `kind`: LIFE_*; `cause`: CAUSE_*; `maker`: whether a FILL was that of a resting order.
- `status`: the order's status after it, as in `hftd.types`; `reason`: REASON_*, why it was refused or expired.
"""

# Kinds.
LIFE_REQUEST_NEW: Final = 1
"""The bot asked for an order."""
LIFE_REQUEST_MODIFY: Final = 2
LIFE_REQUEST_CANCEL: Final = 3
LIFE_ARRIVAL: Final = 4
"""A request reached the exchange."""
LIFE_ACCEPTED: Final = 5
"""The order rests, with `front_qty` ahead of it; after REPLACED, in a new place."""
LIFE_QUEUE: Final = 6
"""The quantity ahead of it changed."""
LIFE_FILL: Final = 7
LIFE_REPLACED: Final = 8
"""It was modified. With the same price and no larger quantity it keeps its place; else it is matched anew."""
LIFE_CANCELED: Final = 9
LIFE_EXPIRED: Final = 10
"""It ended by a rule, `reason` says which: post-only that would take, the rest of an immediate-or-cancel order ..."""
LIFE_REJECTED: Final = 11
"""A request was refused, on its way (REASON_NEVER_SENT) or by the exchange; an order that was there stays as it is."""
LIFE_ANSWER: Final = 12
"""The bot got an answer."""

# Causes of a change of the queue.
CAUSE_NONE: Final = 0
CAUSE_TRADE: Final = 1
"""A trade at the order's price; of single orders, an order ahead left after it was filled."""
CAUSE_DEPTH: Final = 2
"""The level shrank by more than trades explain: the model says how much of it was ahead."""
CAUSE_CAP: Final = 3
"""The level holds less than was thought to be ahead."""
CAUSE_BOOK: Final = 4
"""Of single orders: one ahead was cancelled, made smaller or moved away."""
CAUSE_FILL: Final = 5
"""A trade had gone beyond the queue, and the order got that: nothing is ahead of it."""

# Causes of a fill.
CAUSE_TRADED_THROUGH: Final = 16
"""A trade went through its price."""
CAUSE_REACHED: Final = 17
"""A trade at its price went beyond what was ahead of it."""
CAUSE_CROSSED: Final = 18
"""The opposite side of the book came to its price."""
CAUSE_TAKEN: Final = 19
"""It took from the opposite side when it came."""

# Of an ARRIVAL and of REJECTED: which request it was.
CAUSE_REQUEST_NEW: Final = 32
CAUSE_REQUEST_MODIFY: Final = 33
CAUSE_REQUEST_CANCEL: Final = 34

# Of REPLACED.
CAUSE_NEW_PLACE: Final = 48
"""It lost its place and was matched anew, as another price or a larger quantity has it."""

_KINDS: Final = {
    value: name.removeprefix("LIFE_").lower().replace("_", " ")
    for name, value in list(globals().items())
    if name.startswith("LIFE_")
}
_CAUSES: Final = {
    value: name.removeprefix("CAUSE_").lower().replace("_", " ")
    for name, value in list(globals().items())
    if name.startswith("CAUSE_")
}


def kind_name(kind: int) -> str:
    """A kind in words: "request new" for LIFE_REQUEST_NEW."""
    return _KINDS.get(kind, f"kind {kind}")


def cause_name(cause: int) -> str:
    """A cause in words: "traded through" for CAUSE_TRADED_THROUGH; "none" if there is none."""
    return _CAUSES.get(cause, f"cause {cause}")
