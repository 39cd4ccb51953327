"""Mid prices at given times: from the archives that a run was played from, or from what its recorder wrote."""

# pyright: basic

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hftd.book.book import book_at
from hftd.compiled.arena import Arena
from hftd.compiled.jit import kernel
from hftd.compiled.layout import book_dtype
from hftd.compiled.native import load_f64, load_i64, store_f64, store_i64
from hftd.compiled.row_access import ev_of, exch_ts_of
from hftd.errors import DataError
from hftd.hbt.feed import apply_book_row, load_book
from hftd.hbt.local import AssetSpec, fill_book, fill_market_orders
from hftd.rows import ROW_BYTES
from hftd.types import (
    ADD_ORDER_EVENT,
    CANCEL_ORDER_EVENT,
    DEPTH_BBO_EVENT,
    EXCH_EVENT,
    INVALID_MAX,
    INVALID_MIN,
    KIND_MASK,
    MODIFY_ORDER_EVENT,
)
from sim.archive import find_no_level, read_events
from sim.archive.stream import EventReader
from sim.fuse import ArchiveFuser

Progress = Callable[[float, float], None]
"""Called with how much is done and how much there is."""

_ORDER_KINDS: Final = (ADD_ORDER_EVENT, CANCEL_ORDER_EVENT, MODIFY_ORDER_EVENT)


@kernel("int64(int64, int64, int64, int64, int64, int64, int64)")
def follow_mids(book, rows, row_count, times, time_count, done, mids):
    """Apply the exchange's rows to a book, and write its mid price as of each time (sorted) that they pass.

    A time's mid price is that after all rows up to it, those of that very nanosecond included; NaN where a side is
    empty.

    Args:
        book: Address of the book.
        rows: Address of rows of `event_dtype`.
        row_count: How many.
        times: Address of the times, int64.
        time_count: How many.
        done: How many of them have been passed already.
        mids: Address of their mid prices, float64.

    Returns:
        How many times have been passed.
    """
    b = book_at(book)
    row = rows
    for _ in range(row_count):
        if (ev_of(row) & EXCH_EVENT) != 0:
            now_ns = exch_ts_of(row)
            while done < time_count and load_i64(times + 8 * done) < now_ns:
                mid = np.nan
                if b.best_bid_tick != INVALID_MIN and b.best_ask_tick != INVALID_MAX:
                    mid = (float(b.best_bid_tick) + float(b.best_ask_tick)) * 0.5 * b.tick_size
                store_f64(mids + 8 * done, mid)
                done += 1
            if done == time_count:
                return done
            apply_book_row(book, row)
        row += ROW_BYTES
    return done


@kernel("int64(int64, int64, int64, int64, int64, int64, int64)")
def note_mids(book, rows, row_count, resolution_ns, state, times, mids):
    """Apply the exchange's rows to a book, and write down each mid price that differs from the one before.

    Args:
        book: Address of the book.
        rows: Address of rows of `event_dtype`.
        row_count: How many.
        resolution_ns: Of the times: what changes back within a stretch of that length is not seen.
        state: Address of the end of the stretch (int64), and of the mid price that was written last (float64).
        times: Address of as many int64 as there are rows: each the end of a stretch.
        mids: Address of as many float64: the mid prices from then on, NaN where a side is empty.

    Returns:
        How many were written.
    """
    b = book_at(book)
    row = rows
    written = 0
    for _ in range(row_count):
        if (ev_of(row) & EXCH_EVENT) != 0:
            now_ns = exch_ts_of(row)
            end_ns = load_i64(state)
            if now_ns >= end_ns:
                mid = np.nan
                if b.best_bid_tick != INVALID_MIN and b.best_ask_tick != INVALID_MAX:
                    mid = (float(b.best_bid_tick) + float(b.best_ask_tick)) * 0.5 * b.tick_size
                last = load_f64(state + 8)
                if mid != last and not (np.isnan(mid) and np.isnan(last)):
                    store_i64(times + 8 * written, end_ns)
                    store_f64(mids + 8 * written, mid)
                    store_f64(state + 8, mid)
                    written += 1
                store_i64(state, now_ns - now_ns % resolution_ns + resolution_ns)
            apply_book_row(book, row)
        row += ROW_BYTES
    return written


def changes_of_mid(
    files: Sequence[Path | str],
    tick_size: float,
    lot_size: float,
    *,
    resolution_ns: int,
    limit: int,
    progress: Progress | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The exchange's mid price whenever it changed, from archives read block by block.

    Args:
        files: Archives, in order.
        tick_size: Of their prices.
        lot_size: Of their quantities.
        resolution_ns: Of the times: a mid price is that at the end of a stretch of that length.
        limit: Of the changes.
        progress: As for `mids_from_archives`.

    Returns:
        Times on the exchange's clock, rising, and the mid prices from each of them on; NaN where the book has an empty
        side. The last one is when the data end.

    Raises:
        DataError: A file is missing or broken, or there are more changes than `limit`.
    """
    arena = Arena()
    book = arena.records(book_dtype, 1)
    fill_book(book[0], AssetSpec(tick_size, lot_size), arena)
    state = np.zeros(1, [("end_ns", "i8"), ("mid", "f8")])
    state["mid"] = np.nan
    kept: Any = None
    found: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
    count, last_ns = 0, 0
    for rows, done in _blocks(files, None):
        if not found and _by_order(rows):
            kept = fill_market_orders(book[0], arena)
        times, mids = np.empty(len(rows), np.int64), np.empty(len(rows))
        written = note_mids.call(
            book.ctypes.data, rows.ctypes.data, len(rows), resolution_ns, state.ctypes.data, times.ctypes.data,
            mids.ctypes.data,
        )  # fmt: skip
        found.append((times[:written].copy(), mids[:written].copy()))
        last_ns = max(last_ns, int(state["end_ns"][0]))
        count += written
        if count > limit:
            raise DataError(
                f"the mid price changes more than {limit:,} times",
                where=", ".join(map(str, files)),
                hint="take a coarser --resolution, or fewer days",
            )
        if progress is not None:
            progress(done, len(files))
    del kept
    times = np.concatenate([one for one, _ in found]) if found else np.empty(0, np.int64)
    mids = np.concatenate([one for _, one in found]) if found else np.empty(0)
    if len(times) and last_ns > times[-1]:
        times, mids = np.append(times, last_ns), np.append(mids, mids[-1])
    return times, mids


def mids_from_archives(
    files: Sequence[Path | str],
    tick_size: float,
    lot_size: float,
    times: NDArray[np.int64],
    *,
    initial_snapshot: Path | str | None = None,
    fuse_bbo: bool = False,
    roi: tuple[float, float] | None = None,
    progress: Progress | None = None,
) -> NDArray[np.float64]:
    """The exchange's mid price at each time, from archives read block by block.

    The book is made as the engine makes the exchange's. Reading ends when the last time is passed.

    Args:
        files: Archives, in order.
        tick_size: Of their prices.
        lot_size: Of their quantities.
        times: On the exchange's clock, ns; any shape, in any order.
        initial_snapshot: A file with the book before the first row.
        fuse_bbo: Whether best bids and offers (kind 5) are fused with the depth; else they change no book.
        roi: The range of interest, in prices: levels outside of it are left out.
        progress: Called after each block with the files read, parts of one included, and how many there are.

    Returns:
        Of the shape of `times`; NaN where the book had an empty side, and after the last row.

    Raises:
        DataError: A file is missing or broken, or has a row that can't be fused.
    """
    order = np.argsort(times, axis=None, kind="stable")
    wanted = np.ascontiguousarray(times.reshape(-1)[order])
    found = np.full(len(wanted), np.nan)
    if len(wanted):
        snapshot = None if initial_snapshot is None else _snapshot(initial_snapshot, tick_size)
        fuser = ArchiveFuser(tick_size, lot_size, snapshot) if fuse_bbo else None
        arena = Arena()
        book = arena.records(book_dtype, 1)
        fill_book(book[0], AssetSpec(tick_size, lot_size, roi=roi), arena)
        kept: Any = None
        passed, begun = 0, False
        for rows, done in _blocks(files, fuser):
            if not begun:
                begun = True
                if _by_order(rows) or (snapshot is not None and _by_order(snapshot)):
                    kept = fill_market_orders(book[0], arena)
                if snapshot is not None:
                    load_book.call(book.ctypes.data, snapshot.ctypes.data, len(snapshot))
            passed = follow_mids.call(
                book.ctypes.data, rows.ctypes.data, len(rows), wanted.ctypes.data, len(wanted), passed,
                found.ctypes.data,
            )  # fmt: skip
            if passed == len(wanted):
                break
            if progress is not None:
                progress(done, len(files))
        if progress is not None:
            progress(len(files), len(files))
        del kept
    out = np.empty(len(wanted))
    out[order] = found
    return out.reshape(times.shape)


def _blocks(files: Sequence[Path | str], fuser: ArchiveFuser | None) -> Iterator[tuple[NDArray[Any], float]]:
    """The rows of archives, fused if need be, and how many files were read up to there, parts of one included."""
    for number, file in enumerate(files):
        with EventReader(file) as reader:
            read = 0
            for block in reader.blocks():
                try:
                    rows = block if fuser is None else fuser.fuse(block, read)
                except DataError as error:
                    raise DataError(error.what, where=str(file), hint=error.hint) from None
                read += len(block)
                yield rows, number + read / max(reader.count, read)


def _snapshot(file: Path | str, tick_size: float) -> NDArray[Any]:
    rows = read_events(Path(file))
    wrong = find_no_level(rows, tick_size)
    if wrong is not None:
        raise DataError(
            f"row {wrong} of the initial snapshot has a price or quantity that can't be", where=str(file)
        )
    return rows


def has_best_prices(file: Path | str) -> bool:
    """Whether an archive has best bids and offers (kind 5); its first block is looked at.

    Raises:
        DataError: It is missing or broken.
    """
    with EventReader(file) as reader:
        for block in reader.blocks():
            return bool(((block["ev"] & KIND_MASK) == DEPTH_BBO_EVENT).any())
    return False


def part_of(progress: Progress, number: int, count: int) -> Progress:
    """Tells of one of `count` equal parts of the work; `progress` is told of the whole."""

    def tell(done: float, total: float) -> None:
        progress(number + done / total, count)

    return tell


def _by_order(block: NDArray[Any]) -> bool:
    return bool(np.isin(block["ev"] & KIND_MASK, _ORDER_KINDS).any())


def mids_from_rows(rows: NDArray[Any], times: NDArray[np.int64]) -> NDArray[np.float64]:
    """The recorded price at each time: that of the last row up to it.

    Args:
        rows: A record, sorted by time.
        times: ns; any shape.

    Returns:
        Of the shape of `times`; NaN before the first row and after the last one.
    """
    priced = rows[~np.isnan(rows["price"])]
    if not len(priced):
        return np.full(times.shape, np.nan)
    stamps = np.ascontiguousarray(priced["timestamp"])
    at = np.searchsorted(stamps, times, side="right") - 1
    found = priced["price"][np.maximum(at, 0)].copy()
    found[(at < 0) | (times > stamps[-1])] = np.nan
    return found


def find_data(files: Sequence[str], initial_snapshot: str = "") -> tuple[list[Path], str]:
    """The archives of a run that are there, or why they can't be used."""
    if not files:
        return [], "the run's file names no archives"
    missing = [file for file in files if not Path(file).is_file()]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        return [], f"{missing[0]}{more} is not there any more"
    if initial_snapshot and not Path(initial_snapshot).is_file():
        return [], f"the initial snapshot {initial_snapshot} is not there any more"
    return [Path(file) for file in files], ""
