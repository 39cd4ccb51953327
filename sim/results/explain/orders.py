"""The rows of a run's life, taken apart by order."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftd.errors import DataError, UsageError
from hftd.hbt.life import (
    CAUSE_REQUEST_NEW,
    LIFE_ACCEPTED,
    LIFE_CANCELED,
    LIFE_EXPIRED,
    LIFE_FILL,
    LIFE_REJECTED,
    LIFE_REPLACED,
    LIFE_REQUEST_NEW,
    life_dtype,
)
from hftd.runfile import RunFile
from hftd.types import FILLED as STATUS_FILLED

_NEAR = 6
"""Order ids that are named where one is unknown."""
OPEN, ON_ITS_WAY, FILLED = "open", "on its way", "filled"
CANCELED, EXPIRED, REJECTED = "canceled", "expired", "rejected"
_ENDINGS = {LIFE_CANCELED: CANCELED, LIFE_EXPIRED: EXPIRED, LIFE_REJECTED: REJECTED}


@dataclass(frozen=True)
class Orders:
    """Rows of a life, order by order. An id that was used again is another order: a request for it begins one.

    Attributes:
        rows: Shape (n,), `life_dtype`: each order's rows together, in the order of `seq`.
        first: The index of each order's first row, and n at the end: shape (orders + 1,).
        number: Of each row, which order it is of: shape (n,).
    """

    rows: NDArray[Any]
    first: NDArray[np.int64]
    number: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.first) - 1

    def of(self, number: int) -> NDArray[Any]:
        """The rows of one order; a view."""
        return self.rows[self.first[number] : self.first[number + 1]]

    def last_of_kind(self, kind: int) -> NDArray[np.int64]:
        """Of each row, the index of the last row of a kind of the same order up to it; -1 if there is none."""
        at = np.where(self.rows["kind"] == kind, np.arange(len(self.rows)), -1)
        last = np.maximum.accumulate(at) if len(at) else at
        return np.where(last >= self.first[:-1][self.number], last, -1) if len(at) else at


def life_of(run: RunFile) -> NDArray[Any]:
    """The life of a run's orders.

    Raises:
        DataError: It was not recorded, or is of another version.
    """
    if run.life is None:
        raise DataError(
            "the run has no life of its orders",
            where=str(run.path),
            hint="record it: `hftd backtest --explain --record RUN.npz`, or `hftd replay --life RUN.npz`",
        )
    if run.life.dtype != life_dtype:
        raise DataError(
            "the life of the orders has other columns than this hftd's",
            where=str(run.path),
            hint="read it with the hftd that wrote it, or record the run again",
        )
    return run.life


def group(life: NDArray[Any]) -> Orders:
    """Take the rows of a life apart by bot, asset, order id and use of the id.

    Args:
        life: Shape (n,), `life_dtype`.
    """
    rows = life[np.lexsort((life["seq"], life["order_id"], life["asset"], life["bot"]))]
    begins = rows["kind"] == LIFE_REQUEST_NEW
    if len(rows):
        begins[0] = True
        for name in ("order_id", "asset", "bot"):
            begins[1:] |= rows[name][1:] != rows[name][:-1]
    first = np.flatnonzero(begins)
    return Orders(rows, np.append(first, len(rows)), np.cumsum(begins) - 1)


def find(orders: Orders, order_id: int, *, asset: int | None = None, bot: int | None = None) -> list[int]:
    """The numbers of the orders of an id, the first one that used it first.

    Raises:
        UsageError: No order has it, or the id is used at several assets or by several bots and it is not said which.
    """
    heads = orders.rows[orders.first[:-1]]
    is_id = heads["order_id"] == np.uint64(order_id)
    chosen = is_id.copy()
    if asset is not None:
        chosen &= heads["asset"] == asset
    if bot is not None:
        chosen &= heads["bot"] == bot
    if not chosen.any():
        raise _unknown(heads, order_id, is_id)
    for name, option, given in (("asset", "--asset", asset), ("bot", "--bot", bot)):
        numbers = np.unique(heads[name][chosen])
        if given is None and len(numbers) > 1:
            places = ", ".join(map(str, numbers))
            raise UsageError(f"order {order_id} is one of several {name}s: {places}", hint=f"add {option} N")
    found = np.flatnonzero(chosen)
    return [int(number) for number in found[np.argsort(heads["seq"][found], kind="stable")]]


def uses(orders: Orders) -> NDArray[np.int64]:
    """Of each order, which one of its id it is: 1 for the first. Shape (orders,)."""
    heads = orders.rows[orders.first[:-1]]
    if not len(heads):
        return np.zeros(0, np.int64)
    other = np.ones(len(heads), bool)
    other[1:] = False
    for name in ("order_id", "asset", "bot"):
        other[1:] |= heads[name][1:] != heads[name][:-1]
    numbers = np.arange(len(heads))
    return numbers - np.maximum.accumulate(np.where(other, numbers, 0)) + 1


def _unknown(heads: NDArray[Any], order_id: int, is_id: NDArray[np.bool_]) -> UsageError:
    if is_id.any():
        places = sorted({(int(row["asset"]), int(row["bot"])) for row in heads[is_id]})
        at = "; ".join(f"asset {asset}, bot {bot}" for asset, bot in places[:_NEAR])
        return UsageError(f"there is no order {order_id} there", hint=f"it is one of {at}")
    ids = np.unique(heads["order_id"])
    if not len(ids):
        return UsageError(f"there is no order {order_id}: no order was sent in this run")
    # Ids are as large as a u64: their distance is taken among Python's integers.
    at = int(np.searchsorted(ids, np.uint64(order_id)))
    around = [int(one) for one in ids[max(at - _NEAR, 0) : at + _NEAR]]
    near = sorted(sorted(around, key=lambda one: abs(one - order_id))[:_NEAR])
    return UsageError(
        f"there is no order {order_id} in this run", hint=f"near it: {', '.join(map(str, near))}"
    )


def gone(changes: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How much of what was ahead each change took, and how far it went beyond that.

    Args:
        changes: Rows of the kind QUEUE. A trade may be larger than what was ahead: `front_qty` is below zero then.

    Returns:
        Both of shape (n,). The first is negative where more came to be ahead; what the order itself got of a trade
        (CAUSE_FILL) was never ahead of it.
    """
    after = changes["front_qty"]
    before = after - changes["qty"]
    of_ahead = np.maximum(before, 0.0) - np.maximum(after, 0.0)
    return of_ahead, np.maximum(-changes["qty"] - np.maximum(of_ahead, 0.0), 0.0)


def deciding(rows: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows say how an order stands after them."""
    says = np.isin(rows["kind"], (LIFE_FILL, LIFE_CANCELED, LIFE_EXPIRED, LIFE_ACCEPTED, LIFE_REPLACED))
    return says | ((rows["kind"] == LIFE_REJECTED) & (rows["cause"] == CAUSE_REQUEST_NEW))


def ending_at(row: Any) -> tuple[str, int]:
    """How an order whose last deciding row this is ended, and why (REASON_*)."""
    if row["kind"] == LIFE_FILL:
        return (FILLED if row["status"] == STATUS_FILLED else OPEN), 0
    name = _ENDINGS.get(int(row["kind"]), OPEN)
    return name, int(row["reason"]) if name != OPEN else 0
