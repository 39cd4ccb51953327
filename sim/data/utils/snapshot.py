"""The book that data ends with, by HftBacktest's name and arguments; `hftd snapshot` is the command."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftd.types import event_dtype
from sim.archive import write_events
from sim.checks.guess import Guess
from sim.data.utils.converting import Name, npz_path
from sim.feed.asset import as_rows
from sim.tools.book import ArchiveBook
from sim.tools.snapshot import snapshot

Source = Name | NDArray[Any]


def create_last_snapshot(
    data: Source | Sequence[Source],
    tick_size: float,
    lot_size: float,
    initial_snapshot: Source | None = None,
    output_snapshot_filename: Name | None = None,
) -> NDArray[Any]:
    """The book at the end of the data, as rows for `BacktestAsset.initial_snapshot`.

    Args:
        data: Archives or arrays of consecutive days.
        tick_size: The step of prices.
        lot_size: The step of quantities.
        initial_snapshot: The snapshot with which the first day begins.
        output_snapshot_filename: Where to keep the rows; None: nowhere.

    Raises:
        UsageError: There is no data.
        DataError: It can't be read or played.
    """
    sources = list(data) if isinstance(data, (list, tuple)) else [data]
    output = None if output_snapshot_filename is None else npz_path(output_snapshot_filename)
    if all(isinstance(one, (str, Path)) for one in [*sources, initial_snapshot or ""]):
        files: Any = sources
        rows, _ = snapshot(files, output, tick_size=tick_size, lot_size=lot_size, initial=initial_snapshot)  # pyright: ignore[reportArgumentType]
        return rows
    from sim.feed.feeding import load_rows

    arrays = [load_rows(one) for one in sources]
    by_order = Guess(arrays[0]).by_order if len(arrays[0]) else False
    book = ArchiveBook(tick_size, lot_size, by_order=by_order)
    if initial_snapshot is not None:
        book.load(load_rows(initial_snapshot), "the initial snapshot")
    for number, rows in enumerate(arrays):
        book.apply(as_rows(rows, event_dtype, "the data"), where=f"array {number}")
    made = book.rows()
    if output is not None:
        write_events(output, np.ascontiguousarray(made))
    return made
