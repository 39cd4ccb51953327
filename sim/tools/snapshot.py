"""The book at the end of archives, to begin the next day with."""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from hftd.errors import DataError, UsageError
from hftd.types import BUY_EVENT, SELL_EVENT, event_dtype
from sim.archive import read_events
from sim.archive.stream import EventReader
from sim.archive.write import ArchiveWriter
from sim.checks.guess import Guess
from sim.tools.book import END, ArchiveBook
from sim.tools.times import how_long

Progress = Callable[[float, float], None]
"""Called with what is done, and the total."""


class Snapshot(msgspec.Struct, kw_only=True):
    """What a snapshot holds.

    Attributes:
        files: The archives that made the book.
        output: The snapshot; empty if none was written.
        kind: `levels` or `orders`.
        bids: Rows of bids.
        asks: Rows of asks.
        best_bid: The highest bid; None if there is none.
        best_ask: The lowest ask; None if there is none.
        last_ts: The local time of the last row that was applied; None if there was none.
        tick_size: By which prices became ticks.
        tick_guessed: Whether it was guessed from the first rows.
        lot_size: By which a level counts.
        lot_guessed: Whether it was guessed from the first rows.
        notes: What else the user should know.
    """

    files: list[str]
    output: str
    kind: str
    bids: int
    asks: int
    best_bid: float | None
    best_ask: float | None
    last_ts: int | None
    tick_size: float
    tick_guessed: bool
    lot_size: float
    lot_guessed: bool
    notes: list[str]


def steps_of(
    guess: Guess, tick_size: float | None, lot_size: float | None, where: str
) -> tuple[float, float]:
    """Tick and lot size as given, else as guessed.

    Raises:
        DataError: One was not given and can't be guessed.
    """
    for name, given, guessed in (
        ("tick", tick_size, guess.tick_size),
        ("lot", lot_size, guess.lot_size),
    ):
        if given is None and not guessed:
            raise DataError(
                f"the {name} size can't be guessed from the first rows",
                where=where,
                hint=f"give it by --{name}-size, or as {name}_size",
            )
    return tick_size or guess.tick_size, lot_size or guess.lot_size


def snapshot(
    files: Sequence[Path | str],
    output: Path | str | None = None,
    *,
    tick_size: float | None = None,
    lot_size: float | None = None,
    initial: Path | str | None = None,
    until_ts: int = END,
    clock: str = "local",
    progress: Progress | None = None,
) -> tuple[NDArray[np.void], Snapshot]:
    """Make the book that archives end with, as rows for `initial_snapshot`.

    Of archives of levels these are the rows of HftBacktest's `create_last_snapshot`; of archives of single orders, rows
    that add each order, in the order of the queues.

    Args:
        files: Archives of consecutive days.
        output: An npz file to write; None: none.
        tick_size: None: guessed from the first rows.
        lot_size: None: guessed from the first rows.
        initial: The snapshot with which the first day begins.
        until_ts: Stop after the rows of that time of the clock, ns.
        clock: `local`: the book as it was received; `exch`: the exchange's own.
        progress: Told of each block.

    Returns:
        Rows of `event_dtype`, and what they are.

    Raises:
        UsageError: There is no file.
        DataError: An archive can't be read or played, or a step can't be guessed.
    """
    if not files:
        raise UsageError("there is no archive to make a snapshot of")
    if output is not None and Path(output).suffix != ".npz":
        raise UsageError(f"the output {Path(output).name!r} must end in .npz")
    start = None if initial is None else read_events(initial)
    book: ArchiveBook | None = None
    steps = (0.0, 0.0)
    is_there = until_ts == END
    for number, file in enumerate(files):
        with EventReader(file) as reader:
            row = 0
            for block in reader.blocks():
                if book is None:
                    guess = Guess(block)
                    steps = steps_of(guess, tick_size, lot_size, str(file))
                    book = ArchiveBook(*steps, by_order=guess.by_order, clock=clock)
                    if start is not None:
                        book.load(start, str(initial))
                if not book.apply(block, until_ts=until_ts, where=str(file), first_row=row):
                    is_there = True
                    break
                row += len(block)
                if progress is not None:
                    progress(number + row / reader.count, len(files))
            else:
                continue
            break
    assert book is not None, "a reader gives at least one row"
    rows, notes = book.rows(), book.left_out()
    if not is_there and book.last_ts is not None and book.last_ts < until_ts:
        notes.append(
            f"the data ends {how_long(until_ts - book.last_ts)} before that time: the book is that of its end"
        )
    if output is not None:
        with ArchiveWriter(output, event_dtype) as writer:
            if not len(rows):
                raise DataError(
                    "the book is empty, and an archive of no rows can't be read",
                    where=", ".join(map(str, files)),
                    hint="are there rows of the book with the local side's flag?",
                )
            writer.write(rows)
    is_bid = (rows["ev"] & np.uint64(BUY_EVENT)) != 0
    is_ask = (rows["ev"] & np.uint64(SELL_EVENT)) != 0
    return rows, Snapshot(
        files=[str(file) for file in files],
        output="" if output is None else str(output),
        kind="orders" if book.by_order else "levels",
        bids=int(is_bid.sum()),
        asks=int(is_ask.sum()),
        best_bid=float(rows["px"][is_bid].max()) if is_bid.any() else None,
        best_ask=float(rows["px"][is_ask].min()) if is_ask.any() else None,
        last_ts=book.last_ts,
        tick_size=steps[0],
        tick_guessed=tick_size is None,
        lot_size=steps[1],
        lot_guessed=lot_size is None,
        notes=notes,
    )
