"""Orders that bots recorded, from one file or many, made fit for a backtest's `intp_order_latency`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hftd.errors import DataError, UsageError
from hftd.rows import TS_MAX
from hftd.runfile import read_run
from hftd.types import latency_dtype
from sim.archive import read_latencies
from sim.tools.kinds import RUN, kind_of
from sim.tools.latencies import LatencyReport, check_output, describe, write_latencies

_LONG_NS: Final = 60_000_000_000
_FEW: Final = 0.1


def recorded_latencies(
    files: Sequence[Path | str], output: Path | str | None = None, *, asset_no: int | None = None
) -> tuple[NDArray[np.void], LatencyReport]:
    """Put recorded order latencies together.

    Rows are sorted by request, and those that are there twice are dropped. An exchange whose clock counts milliseconds
    may seem to have had an order before it was sent, or to have answered before it had it: such times are raised to
    what is possible, and exchange times never go back, since a backtest searches them.

    Args:
        files: What `hftd bot --latency` and `--record` write, in any order.
        output: An npz file to write; None: none.
        asset_no: Which asset's, of a run's file with several; None: the only one that has any.

    Returns:
        Rows of `latency_dtype`, and what they are like.

    Raises:
        UsageError: There is no file.
        DataError: One can't be read, has no order latencies, or none of the rows can be used.
    """
    if not files:
        raise UsageError("there is no file of recorded orders")
    check_output(output)
    rows = np.concatenate([_read(file, asset_no) for file in files])
    rows["_padding"] = 0
    read = len(rows)
    rows, changed = _put_right(rows)
    if not (rows["exch_ts"] > 0).any():
        raise DataError(
            f"none of {read:,} recorded orders reached the exchange: there is no latency to tell",
            where=", ".join(map(str, files)),
        )
    report = describe(rows, files, output, read)
    report.changed = {what: count for what, count in changed.items() if count}
    report.notes = _notes(report, rows)
    if output is not None:
        write_latencies(output, rows)
    return rows, report


def _read(file: Path | str, asset_no: int | None) -> NDArray[np.void]:
    return _of_run(file, asset_no) if kind_of(file) == RUN else read_latencies(file)


def _of_run(file: Path | str, asset_no: int | None) -> NDArray[np.void]:
    rows = read_run(file).tables.get("order_latency")
    if rows is None or not len(rows):
        raise DataError(
            "the run has no order latencies", where=str(file), hint="`hftd bot --latency` records them"
        )
    assets = np.unique(rows["_padding"]).tolist()
    if asset_no is None and len(assets) > 1:
        raise DataError(
            f"the run has order latencies of the assets {', '.join(map(str, assets))}",
            where=str(file),
            hint="choose one by --asset, or as asset_no",
        )
    chosen = rows if asset_no is None else rows[rows["_padding"] == asset_no]
    if not len(chosen):
        raise DataError(
            f"the run has no order latencies of asset {asset_no}",
            where=str(file),
            hint=f"it has those of {', '.join(map(str, assets))}",
        )
    return chosen.copy()


def _put_right(rows: NDArray[np.void]) -> tuple[NDArray[np.void], dict[str, int]]:
    changed: dict[str, int] = {}
    names = ("req_ts", "exch_ts", "resp_ts")
    possible = np.logical_and.reduce([np.abs(rows[name].astype(np.float64)) < TS_MAX for name in names])
    possible &= (rows["req_ts"] > 0) & (rows["resp_ts"] >= rows["req_ts"])
    changed["dropped: an answer before its request, or an impossible time"] = int((~possible).sum())
    rows = np.unique(rows[possible])
    changed["dropped: the same row again"] = int(possible.sum()) - len(rows)
    rows = rows[np.argsort(rows["req_ts"], kind="stable")]
    arrived = rows["exch_ts"] > 0
    req_ts, exch_ts = rows["req_ts"][arrived], rows["exch_ts"][arrived]
    early = exch_ts < req_ts
    changed["raised: at the exchange before it was sent"] = int(early.sum())
    exch_ts = np.maximum(exch_ts, req_ts)
    in_order = np.maximum.accumulate(exch_ts) if len(exch_ts) else exch_ts
    changed["raised: at the exchange before an earlier request"] = int((in_order > exch_ts).sum())
    resp_ts = rows["resp_ts"][arrived]
    changed["raised: answered before it was at the exchange"] = int((resp_ts < in_order).sum())
    rows["exch_ts"][arrived] = in_order
    rows["resp_ts"][arrived] = np.maximum(resp_ts, in_order)
    assert rows.dtype == latency_dtype
    return rows, changed


def _notes(report: LatencyReport, rows: NDArray[np.void]) -> list[str]:
    notes: list[str] = []
    raised = sum(count for what, count in report.changed.items() if what.startswith("raised"))
    if raised > _FEW * len(rows):
        notes.append(
            f"{raised:,} times were raised: the clocks are apart, or the exchange counts milliseconds; how the round "
            "trip divides into entry and response is not known well"
        )
    long = int((rows["resp_ts"] - rows["req_ts"] > _LONG_NS).sum())
    if long:
        notes.append(f"{long:,} orders took more than a minute")
    pauses = np.diff(rows["req_ts"])
    if len(pauses) and pauses.max() > 3_600_000_000_000:
        notes.append(
            f"there is no order for {pauses.max() / 3.6e12:,.1f} h: a backtest interpolates across such a pause"
        )
    return notes
