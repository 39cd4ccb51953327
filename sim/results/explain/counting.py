"""A run's fills by cause, and its orders by how they ended."""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from hftd.constants import reason_name
from hftd.hbt.life import CAUSE_TAKEN, LIFE_ACCEPTED, LIFE_FILL, cause_name
from sim.results.explain import words
from sim.results.explain.orders import FILLED, ON_ITS_WAY, Orders, deciding, ending_at


class FillsByCause(msgspec.Struct, frozen=True, kw_only=True):
    """The fills of one asset that had one cause.

    Attributes:
        asset: The asset's number.
        cause: In words: "traded through", "reached", "crossed" or "taken".
        count: Executions.
        qty: Their quantities added up.
        fee: What they cost; negative if rebates were more.
        front_qty: What was ahead when the order came to its place, on average; None for those that took.
        seconds_mean: From then to the fill, on the exchange's clock; None for those that took.
        seconds_median: The median of that time.
        edge: How much better than the mid price, on average by quantity: positive where it was bought below it or sold
            above. The mid is that of the exchange's book with the event that filled. None if a side was empty.
    """

    asset: int
    cause: str
    count: int
    qty: float
    fee: float
    front_qty: float | None
    seconds_mean: float | None
    seconds_median: float | None
    edge: float | None

    def cells(self, nothing: str) -> list[str]:
        """Count, quantity, queue ahead, wait, edge and fee as they stand in a table; `nothing` for None."""
        seconds = self.seconds_median
        return [
            f"{self.count:,}",
            words.qty(self.qty),
            nothing if self.front_qty is None else words.qty(self.front_qty),
            nothing if seconds is None else words.span(round(seconds * 1e9)),
            nothing if self.edge is None else f"{self.edge:+,.5g}",
            words.qty(self.fee),
        ]


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """The orders of one asset that ended in one way.

    Attributes:
        asset: The asset's number.
        ending: "filled", "canceled", "expired", "rejected", "open" or "on its way" at the end of the run.
        reason: Why, as `REASON_POST_ONLY`; empty if there is none.
        count: Orders.
        part_filled: How many of them were filled in part before.
        filled_qty: What was filled of them.
    """

    asset: int
    ending: str
    reason: str
    count: int
    part_filled: int
    filled_qty: float


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """A run's life, counted.

    Attributes:
        orders: Orders; an id that is used again is another one.
        rows: Rows of their lives.
        dropped: Rows that had no room when they were recorded: what is told then is not all.
        fills: By asset and cause.
        endings: By asset and ending.
    """

    orders: int
    rows: int
    dropped: int
    fills: list[FillsByCause]
    endings: list[Ending]


def explain(orders: Orders, dropped: int = 0) -> Explained:
    """Count what happened.

    Args:
        orders: What `group` gave.
        dropped: Rows that are known to be missing.
    """
    return Explained(
        orders=len(orders),
        rows=len(orders.rows),
        dropped=dropped,
        fills=_fills(orders),
        endings=_endings(orders),
    )


def _fills(orders: Orders) -> list[FillsByCause]:
    rows = orders.rows
    at = np.flatnonzero(rows["kind"] == LIFE_FILL)
    fills = rows[at]
    accepted = orders.last_of_kind(LIFE_ACCEPTED)[at]
    found: list[FillsByCause] = []
    for asset in np.unique(fills["asset"]):
        for cause in np.unique(fills["cause"][fills["asset"] == asset]):
            chosen = (fills["asset"] == asset) & (fills["cause"] == cause)
            some = fills[chosen]
            # One that took was not in its place before, whatever it was before a modification.
            places = accepted[chosen] if cause != CAUSE_TAKEN else np.zeros(0, np.int64)
            placed = places >= 0
            seconds = (some["ts"][placed] - rows["ts"][places[placed]]) / 1e9 if len(places) else places
            found.append(
                FillsByCause(
                    asset=int(asset),
                    cause=cause_name(int(cause)),
                    count=len(some),
                    qty=float(some["qty"].sum()),
                    fee=float(some["fee"].sum()),
                    front_qty=float(rows["front_qty"][places[placed]].mean()) if placed.any() else None,
                    seconds_mean=float(seconds.mean()) if len(seconds) else None,
                    seconds_median=float(np.median(seconds)) if len(seconds) else None,
                    edge=_edge(some),
                )
            )
    return found


def _edge(fills: NDArray[Any]) -> float | None:
    known = fills[(fills["best_bid"] != 0.0) & (fills["best_ask"] != 0.0)]
    if not len(known):
        return None
    mid = (known["best_bid"] + known["best_ask"]) / 2.0
    return float(np.average((mid - known["exec_px"]) * known["side"], weights=known["qty"]))


def _endings(orders: Orders) -> list[Ending]:
    rows = orders.rows
    says = deciding(rows)
    # Of each order the last row that says how it stands.
    last = np.full(len(orders), -1)
    last[orders.number[says]] = np.flatnonzero(says)
    filled_qty = np.zeros(len(orders))
    is_fill = rows["kind"] == LIFE_FILL
    np.add.at(filled_qty, orders.number[is_fill], rows["qty"][is_fill])
    assets = rows["asset"][orders.first[:-1]]
    counted: dict[tuple[int, str, int], list[float]] = {}
    for number, at in enumerate(last):
        ending, reason = ending_at(rows[at]) if at >= 0 else (ON_ITS_WAY, 0)
        sums = counted.setdefault((int(assets[number]), ending, reason), [0, 0, 0.0])
        sums[0] += 1
        sums[1] += filled_qty[number] > 0.0 and ending != FILLED
        sums[2] += filled_qty[number]
    return [
        Ending(
            asset=asset,
            ending=ending,
            reason=reason_name(reason) if reason else "",
            count=int(count),
            part_filled=int(part_filled),
            filled_qty=float(qty),
        )
        for (asset, ending, reason), (count, part_filled, qty) in sorted(counted.items())
    ]
