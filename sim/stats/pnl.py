"""Where the money came from: profit and loss split into spread captured, inventory and fees.

Let v(p) be the value of one unit at price p (contract size times p; of an inverse asset, minus contract size by p),
q the signed quantity of an execution at price p while the mid price was m, and Q the position. Then

- spread captured = sum of q (v(m) - v(p)): how much better than the mid price the executions were;
- inventory = sum of Q (v(m') - v(m)) between one mid price and the next: what holding the position came to;
- fees = what was paid for the executions.

Spread captured + inventory - fees is the change of equity, whichever mid prices are taken: each of them is added in
one of the sums and taken off in the other. Only the split depends on them.
"""

# pyright: basic

import math
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from hftd.hbt.local import Contract
from sim.stats.executions import Executions

TOLERANCE: Final = 1e-9
"""Part of the traded value and of the largest equity: what rounding may come to."""


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """Profit and loss, split.

    Attributes:
        spread: Spread captured; None if it can't be told.
        inventory: What holding the position came to; None if it can't be told.
        fees: Paid.
        total: The change of equity after fees: spread + inventory - fees.
        source: Where the mid prices of the executions are from, in words; empty if nothing is split.
        why: Why it is not split, or what must be known when one reads it; empty if there is nothing to say.
        unexplained: Total less the three parts: rounding, or money that the recorded executions do not explain.
        is_exact: Whether that is within rounding.
    """

    spread: float | None
    inventory: float | None
    fees: float
    total: float
    source: str = ""
    why: str = ""
    unexplained: float = 0.0
    is_exact: bool = True


def values(contract: Contract, price: NDArray[np.float64]) -> NDArray[np.float64]:
    """The value of one unit, up to a constant."""
    with np.errstate(divide="ignore"):
        return -contract.size / price if contract.inverse else contract.size * price


def balance(contract: Contract, column: NDArray[np.float64]) -> NDArray[np.float64]:
    """Money from trades: of an inverse asset the recorder counts what was paid."""
    return -column if contract.inverse else column


def split(
    rows: NDArray[np.void],
    done: Executions,
    mids: NDArray[np.float64],
    contract: Contract,
    source: str,
) -> Split:
    """Split the profit and loss of an asset, from before its first execution to the last recorded row.

    Args:
        rows: The record, `record_dtype`; those without a price are passed over.
        done: The executions.
        mids: The mid price at each of them; NaN where it is not known: the one before it then counts, and before the
            first one its own price.
        contract: What a unit is worth.
        source: Where `mids` is from.
    """
    priced = rows[~np.isnan(rows["price"])]
    if not len(priced):
        return Split(spread=None, inventory=None, fees=0.0, total=0.0, why="no recorded row has a price")
    last = priced[-1]
    if not done.source:
        return split_by_rows(priced, contract)
    inside = done.known_at(last)
    done, mids = done.take(inside), mids[inside]
    end = float(values(contract, np.array([last["price"]]))[0])
    cash_end, held_end = float(balance(contract, last["balance"])), float(last["position"])
    paid = done.signed_qty * values(contract, done.price)
    scale = max(math.fsum(np.abs(paid)), abs(cash_end), abs(held_end * end), 1e-300)
    qty_scale = max(math.fsum(done.qty), abs(held_end), 1e-300)
    from_nothing = (
        abs(math.fsum(done.signed_qty) - held_end) <= TOLERANCE * qty_scale
        and abs(cash_end + math.fsum(paid)) <= TOLERANCE * scale
    )
    cash, held, fees_before, start, why = 0.0, 0.0, 0.0, math.nan, ""
    if not from_nothing:
        first = priced[0]
        cash, held = float(balance(contract, first["balance"])), float(first["position"])
        fees_before = float(first["fee"])
        start = float(values(contract, np.array([first["price"]]))[0])
        later = ~done.known_at(first)
        done, mids = done.take(later), mids[later]
        why = "the account was not empty at the start: counted from the first recorded row"
    at_price = values(contract, done.price)
    at_mid = values(contract, _carried(mids, done.price))
    if from_nothing:
        start = float(at_mid[0]) if len(at_mid) else end
    spread = math.fsum(done.signed_qty * (at_mid - at_price))
    # The position before the first execution, after it, after the second ...; the mid price goes from each to the next.
    path = held + np.concatenate(([0.0], np.cumsum(done.signed_qty)))
    inventory = math.fsum(path * np.diff(np.concatenate(([start], at_mid, [end]))))
    fees = float(last["fee"]) - fees_before
    total = math.fsum((cash_end, held_end * end, -cash, -held * start, -fees))
    unexplained = math.fsum((total, fees, -spread, -inventory))
    return Split(
        spread=spread,
        inventory=inventory,
        fees=fees,
        total=total,
        source=source,
        why=why,
        unexplained=unexplained,
        is_exact=abs(unexplained) <= TOLERANCE * scale,
    )


def split_by_rows(priced: NDArray[np.void], contract: Contract) -> Split:
    """Split by the recorded states alone: trades are measured against the mid price at the end of their interval."""
    unit = values(contract, priced["price"])
    cash = balance(contract, priced["balance"])
    position, first, last = priced["position"], priced[0], priced[-1]
    # Before the first row the account was empty, or what it held is not known: its first row is the start.
    spread = math.fsum(np.diff(cash) + np.diff(position) * unit[1:])
    inventory = math.fsum(position[:-1] * np.diff(unit))
    fees = float(last["fee"] - first["fee"])
    total = math.fsum((cash[-1], position[-1] * unit[-1], -cash[0], -position[0] * unit[0], -fees))
    unexplained = math.fsum((total, fees, -spread, -inventory))
    scale = float(np.abs(cash).max() + np.abs(position * unit).max()) + 1e-300
    return Split(
        spread=spread,
        inventory=inventory,
        fees=fees,
        total=total,
        source="the recorded price at the end of each interval",
        why="the file has no executions: trades are measured against the price at the end of their interval",
        unexplained=unexplained,
        is_exact=abs(unexplained) <= TOLERANCE * scale,
    )


def _carried(mids: NDArray[np.float64], instead: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each NaN replaced by the value before it; those before the first value by `instead`."""
    known = ~np.isnan(mids)
    before = np.maximum.accumulate(np.where(known, np.arange(len(mids)), -1))
    return np.where(before >= 0, mids[before], instead)
