"""One order's life in words."""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from hftd.hbt.life import (
    CAUSE_BOOK,
    CAUSE_CAP,
    CAUSE_DEPTH,
    CAUSE_FILL,
    CAUSE_TRADE,
    LIFE_ACCEPTED,
    LIFE_CANCELED,
    LIFE_FILL,
    LIFE_QUEUE,
)
from sim.results.explain import words
from sim.results.explain.orders import (
    CANCELED,
    EXPIRED,
    FILLED,
    ON_ITS_WAY,
    REJECTED,
    deciding,
    ending_at,
    gone,
)
from sim.results.explain.phrases import QUEUE, ahead, fill_cause, happened, queue_changed, title
from sim.results.explain.words import qty, span


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened.

    Attributes:
        ns: When, from the order's first row on; of several rows in one, of the first.
        text: What, in words.
        rows: The numbers (`seq`) of the first and the last of its rows.
    """

    ns: int
    text: str
    rows: tuple[int, int]


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """An order's life.

    Attributes:
        order_id: Its id.
        asset: The asset's number.
        bot: The bot's.
        start_ns: When it was requested.
        title: What was asked for.
        ending: "filled", "canceled", "expired", "rejected", "open" or "on its way".
        lines: What happened, in order.
        why: Why it ended as it did.
        queue: By how much each cause changed the quantity ahead in its last place: negative where it fell. A trade that
            went beyond the queue counts whole, so that what is ahead at last may be below zero.
        front_qty: What was ahead when it came to that place; None if it never rested.
        front_last_qty: What was ahead at last; None if it never rested.
    """

    order_id: int
    asset: int
    bot: int
    start_ns: int
    title: str
    ending: str
    lines: list[Line]
    why: str
    queue: dict[str, float]
    front_qty: float | None
    front_last_qty: float | None


_CAUSE_KEYS = {
    CAUSE_TRADE: "trade",
    CAUSE_DEPTH: "depth",
    CAUSE_CAP: "cap",
    CAUSE_BOOK: "book",
    CAUSE_FILL: "fill",
}


def tell(rows: NDArray[Any], symbol: str = "", *, each: bool = False) -> Story:
    """Tell an order's life.

    Args:
        rows: The order's rows, `life_dtype`, in order.
        symbol: What to call the asset.
        each: Give each change of the queue its own line.
    """
    start_ns = int(rows["ts"][0])
    lines: list[Line] = []
    at = 0
    while at < len(rows):
        end = at + 1
        if rows["kind"][at] == LIFE_QUEUE and not each:
            while end < len(rows) and rows["kind"][end] == LIFE_QUEUE:
                end += 1
        part = rows[at:end]
        text = queue_changed(part) if rows["kind"][at] == LIFE_QUEUE else happened(rows[at])
        seqs = (int(part["seq"][0]), int(part["seq"][-1]))
        lines.append(Line(ns=int(part["ts"][0]) - start_ns, text=text, rows=seqs))
        at = end
    decided = rows[deciding(rows)]
    ending, reason = ending_at(decided[-1]) if len(decided) else (ON_ITS_WAY, 0)
    place, front_qty, last_qty = _last_place(rows)
    return Story(
        order_id=int(rows["order_id"][0]),
        asset=int(rows["asset"][0]),
        bot=int(rows["bot"][0]),
        start_ns=start_ns,
        title=title(rows[0], symbol),
        ending=ending,
        lines=lines,
        why=_why(rows, place, ending, reason),
        queue={key: float(place["qty"][place["cause"] == cause].sum()) for cause, key in _CAUSE_KEYS.items()},
        front_qty=front_qty,
        front_last_qty=last_qty,
    )


def _last_place(rows: NDArray[Any]) -> tuple[NDArray[Any], float | None, float | None]:
    """The changes of the queue in the order's last place, and what was ahead there at first and at last."""
    accepted = np.flatnonzero(rows["kind"] == LIFE_ACCEPTED)
    if not len(accepted):
        return rows[:0], None, None
    since = rows[accepted[-1] :]
    place = since[since["kind"] == LIFE_QUEUE]
    first = float(since["front_qty"][0])
    return place, first, float(place["front_qty"][-1]) if len(place) else first


def _moved(place: NDArray[Any]) -> str:
    """What became of that which was ahead at first in its last place: parts that add up to it."""
    parts: list[str] = []
    of_ahead, beyond = gone(place)
    for cause, (how, _) in QUEUE.items():
        change = float(of_ahead[place["cause"] == cause].sum())
        if cause == CAUSE_FILL or change == 0.0:
            continue
        parts.append(f"{qty(change)} {how}" if change > 0.0 else f"{qty(-change)} more came before it")
    left = float(place["front_qty"][-1]) if len(place) else 0.0
    if parts and left > 0.0:
        parts.append(f"{qty(left)} still there")
    text = "of that: " + ", ".join(parts) if parts else "of which none went before"
    over = float(beyond.sum())
    return f"{text}; {qty(over)} traded beyond it" if over > 0.0 else text


def _why(rows: NDArray[Any], place: NDArray[Any], ending: str, reason: int) -> str:
    fills = rows[rows["kind"] == LIFE_FILL]
    accepted = rows[rows["kind"] == LIFE_ACCEPTED]
    if ending == FILLED:
        text = f"It was filled because {fill_cause(fills[-1])}."
        if len(fills) > 1:
            text = f"It was filled in {len(fills)} parts; the last because {fill_cause(fills[-1])}."
        if len(accepted) and fills[-1]["maker"]:
            waited = span(int(fills[-1]["ts"]) - int(accepted[-1]["ts"]))
            first = float(accepted[-1]["front_qty"])
            text += f" It had waited {waited}, with {qty(first)} ahead of it at first"
            text += f"; {_moved(place)}." if first > 0.0 or len(place) else "."
        return text
    done = f" after {qty(fills['qty'].sum())} of it were filled" if len(fills) else ""
    if ending == CANCELED:
        row = rows[rows["kind"] == LIFE_CANCELED][-1]
        return f"The bot cancelled it{done}: {ahead(row)} then."
    if ending == EXPIRED:
        return f"It expired{done}: {words.reason(reason)}."
    if ending == REJECTED:
        return f"It was refused: {words.reason(reason)}."
    if ending == ON_ITS_WAY:
        return "It had not reached the exchange when the run ended."
    last = rows[(rows["kind"] == LIFE_ACCEPTED) | (rows["kind"] == LIFE_QUEUE) | (rows["kind"] == LIFE_FILL)]
    return f"It was still open at the end{done}: {ahead(last[-1]) if len(last) else 'its place is unknown'}."
