"""Two runs of one strategy side by side: which orders and fills are the same."""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from hftd.errors import DataError
from hftd.types import CANCELED, NEW, REPLACED

_KINDS = {NEW: "new", REPLACED: "modify", CANCELED: "cancel"}
_STATE = ("position", "balance", "fee", "num_trades", "trading_volume", "trading_value")


class Alone(msgspec.Struct, frozen=True, kw_only=True):
    """A row that one of the runs has only.

    Attributes:
        run: "live" or "backtest".
        what: "new", "modify", "cancel" or "fill".
    """

    run: str
    what: str
    timestamp: int
    asset_no: int
    order_id: int
    side: str
    price: float
    qty: float


class Matched(msgspec.Struct, frozen=True, kw_only=True):
    """How the rows of one kind fit.

    Attributes:
        what: "new", "modify", "cancel" or "fill".
        both: Rows that both runs have.
        live_only: Rows of the live run alone.
        backtest_only: Rows of the backtest alone.
        difference_ns: Live time less the backtest's, of the rows of both: median, and the 99th percentile of its size;
            None without rows.
    """

    what: str
    both: int
    live_only: int
    backtest_only: int
    difference_p50_ns: float | None
    difference_p99_ns: float | None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where the accounts stand at the end, in one value of one asset."""

    asset_no: int
    value: str
    live: float
    backtest: float


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two runs side by side.

    Attributes:
        tolerance_ns: How far the times of one row may be apart.
        matched: By kind of row.
        standings: Of each asset and value.
        alone: The first rows that one run has only, in time order.
        apart: The part of all rows that one run has only.
    """

    tolerance_ns: int
    matched: list[Matched]
    standings: list[Standing]
    alone: list[Alone]
    apart: float


def pair_up(live: NDArray[Any], backtest: NDArray[Any], tolerance_ns: int) -> tuple[Any, Any]:
    """Which rows are the same.

    Rows of one asset, side, price and quantity are paired in time order, each with the earliest that is left within
    the tolerance; no other way pairs more of them.

    Args:
        live: Rows with timestamp, asset_no, side, price, qty.
        backtest: Rows with the same fields.
        tolerance_ns: How far times may be apart.

    Returns:
        The indices of the pairs in either, in the live run's order: shapes (n,).
    """
    groups: dict[tuple[Any, ...], tuple[list[int], list[int]]] = {}
    for number, rows in enumerate((live, backtest)):
        for index in np.argsort(rows["timestamp"], kind="stable"):
            row = rows[index]
            # Prices are products of ticks; what differs in the last bits is one price.
            key = int(row["asset_no"]), int(row["side"]), _digits(row["price"]), _digits(row["qty"])
            groups.setdefault(key, ([], []))[number].append(int(index))
    pairs: list[tuple[int, int]] = []
    for ours, theirs in groups.values():
        i = j = 0
        while i < len(ours) and j < len(theirs):
            apart = int(live[ours[i]]["timestamp"]) - int(backtest[theirs[j]]["timestamp"])
            if abs(apart) <= tolerance_ns:
                pairs.append((ours[i], theirs[j]))
                i, j = i + 1, j + 1
            elif apart < 0:
                i += 1
            else:
                j += 1
    pairs.sort()
    found = np.array(pairs, np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _digits(value: Any) -> float:
    return float(f"{float(value):.12g}")


def compare(
    live: Mapping[str, NDArray[Any]],
    backtest: Mapping[str, NDArray[Any]],
    *,
    tolerance_ns: int,
    rows: int = 10,
) -> Comparison:
    """Compare the records of two runs, as `hftd.bot.result.load_records` reads them.

    Raises:
        DataError: They are of bots with different numbers of assets.
    """
    assets = live["records"].shape[1], backtest["records"].shape[1]
    if assets[0] != assets[1]:
        raise DataError(
            f"the live run has {assets[0]} assets, the backtest {assets[1]}",
            hint="compare two runs of one bot's configuration",
        )
    matched: list[Matched] = []
    alone: list[Alone] = []
    for what, ours, theirs in _tables(live, backtest):
        i, j = pair_up(ours, theirs, tolerance_ns)
        matched.append(_matched(what, ours, theirs, i, j))
        alone += _alone("live", what, ours, i) + _alone("backtest", what, theirs, j)
    alone.sort(key=lambda one: one.timestamp)
    both = sum(2 * one.both for one in matched)
    return Comparison(
        tolerance_ns=tolerance_ns,
        matched=matched,
        standings=_standings(live["records"], backtest["records"]),
        alone=alone[:rows],
        apart=len(alone) / (both + len(alone)) if alone else 0.0,
    )


def _tables(
    live: Mapping[str, NDArray[Any]], backtest: Mapping[str, NDArray[Any]]
) -> list[tuple[str, NDArray[Any], NDArray[Any]]]:
    found: list[tuple[str, NDArray[Any], NDArray[Any]]] = []
    if len(live["orders"]) and len(backtest["orders"]):
        for kind, name in _KINDS.items():
            ours, theirs = (run["orders"][run["orders"]["kind"] == kind] for run in (live, backtest))
            found.append((name, ours, theirs))
    found.append(("fill", live["fills"], backtest["fills"]))
    return found


def _matched(what: str, ours: NDArray[Any], theirs: NDArray[Any], i: Any, j: Any) -> Matched:
    apart = (ours["timestamp"][i] - theirs["timestamp"][j]).astype(float)
    return Matched(
        what=what,
        both=len(i),
        live_only=len(ours) - len(i),
        backtest_only=len(theirs) - len(j),
        difference_p50_ns=float(np.median(apart)) if len(apart) else None,
        difference_p99_ns=float(np.percentile(np.abs(apart), 99)) if len(apart) else None,
    )


def _alone(run: str, what: str, table: NDArray[Any], paired: Any) -> list[Alone]:
    left = np.setdiff1d(np.arange(len(table)), paired)
    return [
        Alone(
            run=run,
            what=what,
            timestamp=int(row["timestamp"]),
            asset_no=int(row["asset_no"]),
            order_id=int(row["order_id"]),
            side="buy" if row["side"] > 0 else "sell",
            price=float(row["price"]),
            qty=float(row["qty"]),
        )
        for row in table[left]
    ]


def _standings(live: NDArray[Any], backtest: NDArray[Any]) -> list[Standing]:
    if not (len(live) and len(backtest)):
        return []
    return [
        Standing(
            asset_no=asset_no,
            value=name,
            live=float(live[-1, asset_no][name]),
            backtest=float(backtest[-1, asset_no][name]),
        )
        for asset_no in range(live.shape[1])
        for name in _STATE
    ]
