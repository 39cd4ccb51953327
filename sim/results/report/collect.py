"""From a run's file to the figures and curves of its report."""

# pyright: basic

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hftd.errors import DataError, HftdError
from hftd.hbt.local import Contract
from hftd.runfile import AssetMeta, RunFile
from sim.results.explain import explain, group, life_of
from sim.results.report.figures import SHORT_DAYS
from sim.results.report.inputs import Data, given_for
from sim.results.report.mids import (
    Progress,
    find_data,
    has_best_prices,
    mids_from_archives,
    mids_from_rows,
    part_of,
)
from sim.results.report.missing import missing_of
from sim.results.report.portfolio import named_apart, portfolio, valued
from sim.results.report.shapes import AssetReport, Options, RunReport, periods
from sim.results.report.values import (
    check_life,
    check_values,
    of_orders,
    of_positions,
    of_split,
    ratios,
    together,
)
from sim.stats import pnl
from sim.stats.executions import Executions, executions, latencies, orders
from sim.stats.frame import Frame
from sim.stats.markouts import markouts, query_times
from sim.stats.record import InverseAssetRecord, LinearAssetRecord
from sim.stats.sampling import NS_PER_SECOND, to_ns

_ARCHIVES: Final = "the exchange's book, rebuilt from the archives"
_LIFE: Final = "the exchange's book at each execution (the life of the orders)"
_RECORDED: Final = "the recorder's prices"
_CHANGES_TOLD: Final = 20


def collect(
    run: RunFile,
    options: Options,
    *,
    data: Data | None = None,
    progress: Progress | None = None,
) -> RunReport:
    """Everything that a report says of a run.

    Args:
        run: The run.
        options: How to compute.
        data: Archives to take mid prices from in place of those that the run names.
        progress: Called while archives are read, with how much of the work is done and how much there is.

    Raises:
        DataError: The records are not sorted by time or hold values that can't be, or an archive is broken.
        UsageError: An option can't be understood.
    """
    check_life(run)
    notes: list[str] = []
    if run.meta is not None and run.meta.life_dropped:
        notes.append(
            f"{run.meta.life_dropped:,} rows of the orders' life did not fit, so it is not used for figures."
        )
    assets: list[AssetReport] = []
    for number in range(len(run.records)):
        part = None if progress is None else part_of(progress, number, len(run.records))
        assets.append(_asset(run, number, options, data, notes, part))
    assets = valued(named_apart(assets), options, str(run.path))
    whole = assets[0] if len(assets) == 1 else together(assets, options, notes)
    is_told = run.life is not None and not (run.meta is not None and run.meta.life_dropped)
    made = RunReport(
        name=run.name,
        path=str(run.path),
        meta=run.meta,
        assets=assets,
        whole=whole,
        notes=notes,
        fills=explain(group(life_of(run))).fills if is_told else [],
        portfolio=portfolio(assets, options.resample),
    )
    if 0.0 < made.days < SHORT_DAYS:
        notes.insert(
            0,
            f"* Of {_span(made.days)}, made a year's: figures of a run shorter than {SHORT_DAYS} days say little of a "
            "year.",
        )
    if run.meta is not None and run.meta.kind == "bot" and run.life is None and data is None:
        notes.append(
            "A bot's file has neither archives nor the life of its orders. Of a bot on a replay, `--life LIFE.npz` "
            "(`hftd replay --life LIFE.npz` writes it) gives both; `--data FILE,...` gives archives, for the split and "
            "the markouts."
        )
    if run.meta is not None:
        notes += [f"The run warned: {warning}" for warning in run.meta.warnings]
        changes = run.meta.changes
        notes += [f"Parameters were set while it ran: {one.told()}" for one in changes[:_CHANGES_TOLD]]
        if len(changes) > _CHANGES_TOLD:
            notes.append(
                f"Parameters were set {len(changes):,} times in all; `hftd inspect --json` shows each."
            )
    return made


def _span(days: float) -> str:
    if days >= 1:
        return f"{days:.3g} days"
    for size, unit in ((24, "hours"), (1_440, "minutes")):
        if days * size >= 1:
            return f"{days * size:.3g} {unit}"
    return f"{days * 86_400:.3g} s"


def _asset(
    run: RunFile,
    number: int,
    options: Options,
    data: Data | None,
    notes: list[str],
    progress: Progress | None,
) -> AssetReport:
    meta, rows = run.asset(number), run.records[number]
    contract = Contract(meta.contract_size, meta.is_inverse)
    done, sent, ways = executions(run, number), None, latencies(run, number)
    check_values(run, number, done)
    sent = orders(run, number, done)
    kind = InverseAssetRecord if meta.is_inverse else LinearAssetRecord
    try:
        to_ns(np.ascontiguousarray(rows["timestamp"]), "ns")
    except DataError as error:
        raise DataError(error.what, where=f"{run.path}, {meta.symbol}", hint=error.hint) from None
    frame = kind(rows).contract_size(meta.contract_size).resample(None)
    columns = frame.stats([]).columns if len(rows) else Frame({})
    problem = _problem(rows)
    if problem:
        notes.append(f"{meta.symbol}: {problem}.")
    figures, why = ratios(columns, options, notes, meta.symbol, problem)
    archives = given_for(data, meta)
    mids, source, coarse_ns = _mids(meta, rows, done, archives, notes, progress)
    at_fills = _LIFE if len(done) and not np.isnan(done.mid).any() else source
    parts = pnl.split(rows, done, mids[0], contract, at_fills)
    outs = markouts(done, mids, coarse_ns)
    of_positions(columns, figures, why, options, problem)
    of_orders(done, sent, figures, why)
    of_split(parts, outs, figures, why)
    if not parts.is_exact:
        notes.append(
            f"{meta.symbol}: the recorded executions do not explain {parts.unexplained:.6g} of the change of equity."
        )
    if parts.why and parts.spread is not None:
        notes.append(f"{meta.symbol}: {parts.why}.")
    return AssetReport(
        name=meta.symbol,
        meta=meta,
        figures=figures,
        why=why,
        periods=periods(columns, options.split),
        split=parts if parts.spread is not None else None,
        markouts=outs,
        markouts_from=source,
        frame=columns,
        done=done,
        latencies=ways,
        orders=sent,
        missing=missing_of(meta, columns["timestamp"], done, archives, notes) if len(columns) else [],
    )


def _problem(rows: NDArray[Any]) -> str:
    if not len(rows):
        return "the record has no rows"
    if len(rows) == 1:
        return "the record has one row, so nothing can be said of how things went"
    if np.isnan(rows["price"]).all():
        return "no row has a price: one side of the book was empty all the time"
    return ""


def _mids(
    meta: AssetMeta,
    rows: NDArray[Any],
    done: Executions,
    data: Sequence[Path] | None,
    notes: list[str],
    progress: Progress | None,
) -> tuple[NDArray[np.float64], str, int]:
    """Mid prices at the horizons after each execution, where they are from, and how coarse they are (0: not)."""
    times = query_times(done)
    if not len(done):
        return np.full(times.shape, np.nan), "", 0
    files, why = (list(data), "") if data else find_data(meta.data, meta.initial_snapshot)
    if files and not meta.tick_size > 0:
        files, why = [], "the run's file does not say the tick size"
    snapshot = meta.initial_snapshot or None
    if files and snapshot is not None and not Path(snapshot).is_file():
        notes.append(
            f"{meta.symbol}: the run's initial snapshot {snapshot} is not there any more: the book begins empty. "
            "It may be given as the first of the archives."
        )
        snapshot = None
    if files:
        try:
            mids = mids_from_archives(
                files,
                meta.tick_size,
                meta.lot_size or meta.tick_size,
                times,
                initial_snapshot=snapshot,
                fuse_bbo=meta.fuse_bbo,
                roi=meta.roi,
                progress=progress,
            )
            unused = not meta.fuse_bbo and has_best_prices(files[0])
        except HftdError as error:
            if data:
                raise
            files, why = [], str(error.what)
        else:
            if np.isnan(mids).all():
                first, last = (str(done.exch_ts[at].astype("datetime64[ns]"))[:19] for at in (0, -1))
                span = f"{first.replace('T', ' ')} to {last.replace('T', ' ')}"
                files, why = (
                    [],
                    f"the archives know no price from {span}: they are of another time than the run",
                )
        if files:
            # Where the exchange's rows say it themselves, theirs is the book.
            mids[0] = np.where(np.isnan(done.mid), mids[0], done.mid)
            notes.append(f"{meta.symbol}: mid prices after executions are those of {_ARCHIVES}.")
            if unused:
                notes.append(
                    f"{meta.symbol}: the archives' best bids and offers (kind 5) are left out: the run's file does "
                    "not say that they were fused with the depth."
                )
            return mids, _ARCHIVES, 0
    mids = mids_from_rows(rows, times)
    known = ~np.isnan(done.mid)
    mids[0] = np.where(known, done.mid, mids[0])
    intervals = np.diff(rows["timestamp"])
    coarse_ns = int(np.median(intervals)) if len(intervals) else 1 << 62
    notes.append(
        f"{meta.symbol}: mid prices after executions are {_RECORDED}, {coarse_ns / NS_PER_SECOND:g} s apart: {why}."
    )
    return mids, f"{_LIFE}; after it {_RECORDED}" if known.any() else _RECORDED, coarse_ns
