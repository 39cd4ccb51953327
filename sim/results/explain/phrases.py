"""What happened to an order, row by row, in words."""

from collections.abc import Callable
from typing import Any, Final

from numpy.typing import NDArray

from hftd.hbt.life import (
    CAUSE_BOOK,
    CAUSE_CAP,
    CAUSE_CROSSED,
    CAUSE_DEPTH,
    CAUSE_FILL,
    CAUSE_NEW_PLACE,
    CAUSE_REACHED,
    CAUSE_REQUEST_CANCEL,
    CAUSE_REQUEST_MODIFY,
    CAUSE_TAKEN,
    CAUSE_TRADE,
    CAUSE_TRADED_THROUGH,
    LIFE_ACCEPTED,
    LIFE_ANSWER,
    LIFE_ARRIVAL,
    LIFE_CANCELED,
    LIFE_EXPIRED,
    LIFE_FILL,
    LIFE_REJECTED,
    LIFE_REPLACED,
    LIFE_REQUEST_CANCEL,
    LIFE_REQUEST_MODIFY,
    LIFE_REQUEST_NEW,
    kind_name,
)
from hftd.types import BUY, MARKET
from hftd.types import REJECTED as STATUS_REJECTED
from sim.results.explain import words
from sim.results.explain.orders import gone
from sim.results.explain.words import count, price, qty, span

QUEUE: Final = {
    CAUSE_TRADE: ("traded", "trade"),
    CAUSE_DEPTH: ("cancelled, as the model splits it", "level change"),
    CAUSE_CAP: ("gone, since the level held less", "level change"),
    CAUSE_BOOK: ("cancelled or moved away", "order"),
    CAUSE_FILL: ("went to the order itself", "trade"),
}
"""Of each cause of a change of the queue: what became of what was ahead, and by what kind of event."""


def ahead(row: Any) -> str:
    """What is ahead of an order."""
    return f"{qty(row['front_qty'])} ahead of it" if row["front_qty"] > 0.0 else "nothing ahead of it"


def title(row: Any, symbol: str) -> str:
    """What was asked for."""
    if row["kind"] != LIFE_REQUEST_NEW:
        return f"an order in {symbol or 'asset ' + str(row['asset'])} whose beginning was not recorded"
    side = "buy" if row["side"] == BUY else "sell"
    what = " ".join(filter(None, (side, qty(row["qty"]), symbol)))
    if row["order_type"] == MARKET:
        return f"{what} at the market"
    return f"{what} at {price(row['px'])}, {words.TIME_IN_FORCE.get(int(row['time_in_force']), '')}"


def _book(row: Any) -> str:
    """Where the exchange's book stood."""
    sides = [
        f"{name} {price(row[field])}" if row[field] != 0.0 else f"no {name}"
        for name, field in (("bid", "best_bid"), ("ask", "best_ask"))
    ]
    return ", ".join(sides)


def _range(part: NDArray[Any]) -> str:
    """Where the book stood meanwhile."""
    sides: list[str] = []
    for name, field in (("bid", "best_bid"), ("ask", "best_ask")):
        known = part[field][part[field] != 0.0]
        if not len(known):
            sides.append(f"no {name}")
            continue
        low, high = price(known.min()), price(known.max())
        sides.append(f"{name} {low}" if low == high else f"{name} {low} to {high}")
    return ", ".join(sides)


def _arrival(row: Any) -> str:
    names = {CAUSE_REQUEST_MODIFY: "the modification", CAUSE_REQUEST_CANCEL: "the cancel"}
    name = names.get(int(row["cause"]))
    way = span(int(row["ts"]) - int(row["ref_ts"]))
    if name is not None:
        return f"{name} reaches the exchange after {way}; {_book(row)}"
    level = (
        f"{qty(row['level_qty'])} stand at its price" if row["level_qty"] > 0.0 else "nobody is at its price"
    )
    return f"it reaches the exchange after {way}: {level}; {_book(row)}"


def _answer(row: Any) -> str:
    way = f", {span(int(row['ts']) - int(row['ref_ts']))} later" if row["ref_ts"] > 0 else ""
    if row["qty"] > 0.0:
        what = f"{qty(row['qty'])} were filled at {price(row['exec_px'])}"
    elif row["status"] == STATUS_REJECTED:
        what = f"the request was refused: {words.reason(int(row['reason']))}"
    else:
        what = f"it {words.STATUS.get(int(row['status']), 'changed')}"
    return f"the bot learns that {what}{way}"


def fill_cause(row: Any) -> str:
    """Why an order was filled."""
    event = f"a trade of {qty(row['event_qty'])} at {price(row['event_px'])}"
    there = f"{price(row['event_px'])} ({qty(row['event_qty'])} there)"
    opposite = "ask" if row["side"] == BUY else "bid"
    told = {
        CAUSE_TRADED_THROUGH: f"{event} went through its price, with {ahead(row)}",
        CAUSE_REACHED: f"{event} went beyond what was ahead of it",
        CAUSE_CROSSED: f"the best {opposite} came to {there}, with {ahead(row)}",
        CAUSE_TAKEN: f"it took from the {opposite}s when it came, at {there}",
    }
    return told.get(int(row["cause"]), "for a reason that was not recorded")


def _fill(row: Any) -> str:
    role = "maker" if row["maker"] else "taker"
    left = f", {qty(row['leaves_qty'])} left" if row["leaves_qty"] > 0.0 else ""
    filled = f"filled {qty(row['qty'])} at {price(row['exec_px'])} as the {role}{left}"
    return f"{filled}: {fill_cause(row)}; {_book(row)}; fee {qty(row['fee'])}"


def _rejected(row: Any) -> str:
    what = {CAUSE_REQUEST_MODIFY: "the modification", CAUSE_REQUEST_CANCEL: "the cancel"}
    return f"{what.get(int(row['cause']), 'the order')} is refused: {words.reason(int(row['reason']))}"


def _replaced(row: Any) -> str:
    place = "it loses its place" if row["cause"] == CAUSE_NEW_PLACE else f"it keeps its place, {ahead(row)}"
    return f"modified to {qty(row['qty'])} at {price(row['px'])}: {place}"


_HAPPENED: Final[dict[int, Callable[[Any], str]]] = {
    LIFE_REQUEST_NEW: lambda _: "requested",
    LIFE_REQUEST_MODIFY: lambda row: f"the bot asks for {qty(row['qty'])} at {price(row['px'])}",
    LIFE_REQUEST_CANCEL: lambda _: "the bot asks to cancel it",
    LIFE_ARRIVAL: _arrival,
    LIFE_ACCEPTED: lambda row: f"accepted: it rests at {price(row['px'])}, {ahead(row)}; {_book(row)}",
    LIFE_FILL: _fill,
    LIFE_REPLACED: _replaced,
    LIFE_CANCELED: lambda row: (
        f"cancelled, {qty(row['leaves_qty'])} of it unfilled, {ahead(row)}; {_book(row)}"
    ),
    LIFE_EXPIRED: lambda row: f"expired: {words.reason(int(row['reason']))}; {_book(row)}",
    LIFE_REJECTED: _rejected,
    LIFE_ANSWER: _answer,
}


def happened(row: Any) -> str:
    """What a row tells; for changes of the queue there is `queue_changed`."""
    teller = _HAPPENED.get(int(row["kind"]))
    return teller(row) if teller is not None else kind_name(int(row["kind"]))


def queue_changed(part: NDArray[Any]) -> str:
    """What rows of the kind QUEUE tell, one or several in a row."""
    said = [
        _changed(cause, part[part["cause"] == cause]) for cause in QUEUE if (part["cause"] == cause).any()
    ]
    left = float(part["front_qty"][-1])
    after = f"{qty(left)} left" if left > 0.0 else "nothing left"
    if left < 0.0:
        after = f"the last went {qty(-left)} beyond"
    took = f" in {span(int(part['ts'][-1]) - int(part['ts'][0]))}" if len(part) > 1 else ""
    return f"of what was ahead of it{took}: {', '.join(said)}; {after}; {_range(part)}"


def _changed(cause: int, part: NDArray[Any]) -> str:
    """What one cause did to the queue."""
    how, what = QUEUE[cause]
    of_ahead, beyond = (float(each.sum()) for each in gone(part))
    change = abs(float(part["qty"].sum())) if cause == CAUSE_FILL else of_ahead
    sizes = part["event_qty"]
    event = count(len(part), what)
    if cause in (CAUSE_TRADE, CAUSE_BOOK, CAUSE_FILL):
        low, high = qty(sizes.min()), qty(sizes.max())
        event += f" of {low}" if low == high else f" of {low} to {high}"
    elif len(part) == 1:
        event += f" from {qty(part['level_qty'][0])} to {qty(sizes[0])}"
    if change < 0.0:
        how = "more"
    if change == 0.0 and beyond > 0.0:
        change, how = beyond, f"{how}, all of it beyond"
    return f"{qty(abs(change))} {how} ({event})"
