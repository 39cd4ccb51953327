"""Making prepared archives ahead of the runs that read them."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from hftd.clock import monotonic_ns
from hftd.errors import DataError, UsageError
from sim import given
from sim.feed import cache
from sim.feed.columns import wrong_row
from sim.feed.known import look_at
from sim.feed.layout import KEEP_ALL, KEEP_SOME
from sim.feed.make import Wanted
from sim.feed.source import Source


class Preparation(msgspec.Struct, frozen=True, kw_only=True):
    """What came of preparing a file.

    Attributes:
        source: The file.
        rows: How many it has.
        tick_size: For which tick size.
        lot_size: For which lot size.
        use: For what: "backtest", or "backtest, replay".
        made: Whether it was made now; else it was there.
        seconds: How long that took.
        size_bytes: What it takes on the disk.
    """

    source: str
    rows: int
    tick_size: float
    lot_size: float
    use: str
    made: bool
    seconds: float
    size_bytes: int


def prepare_file(
    path: Path | str,
    tick_size: float,
    lot_size: float,
    *,
    by_order: bool = False,
    for_replay: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Preparation:
    """Prepare an archive, so that the first run over it is as fast as the second.

    Args:
        path: An npz or npy file.
        tick_size: Of the asset that it will be the data of.
        lot_size: Of the asset that it will be the data of.
        by_order: Whether it is a market of single orders, for `l3_fifo`.
        for_replay: Whether `hftd replay` is to read it too, which needs all rows: more room.
        progress: Called with the rows done and their number.

    Raises:
        DataError: The file is broken, a row of it is wrong, or the cache can't be written.
        OrderError: A size is not a positive number.
        UsageError: `$HFTD_PREPARED_MAX_GB` is not a number.
    """
    cache.asked_bytes()
    path = Path(path)
    start_ns = monotonic_ns()
    keep = KEEP_ALL if for_replay or by_order else KEEP_SOME
    sizes = given.positive(tick_size, "tick_size"), given.positive(lot_size, "lot_size")
    wanted = Wanted(*sizes, by_order, keep)
    source = Source(path, wanted, _refuse)
    try:
        was_there = source.table is not None
        if not was_there:
            _make(source, progress)
        root = cache.folder()
        entry = cache.find(root, look_at(root, path), wanted)
    finally:
        source.stop()
    if entry is None:
        raise DataError(
            "the file was changed, or the cache's files were removed, while it was prepared",
            where=str(path),
            hint="prepare it again",
        )
    found = next(one for one in cache.entries() if one.path == entry)
    return Preparation(
        source=str(path),
        rows=found.rows,
        tick_size=found.tick_size,
        lot_size=found.lot_size,
        use=found.use,
        made=not was_there,
        seconds=(monotonic_ns() - start_ns) / 1e9,
        size_bytes=found.size_bytes,
    )


def _make(source: Source, progress: Callable[[int, int], None] | None) -> None:
    number = 0
    while (block := source.take(number, 0)) is not None:
        for side, clock in zip(block.record["sides"], ("exch_ts", "local_ts"), strict=True):
            if side["error"]:
                row, last_ts = int(side["error_row"]), int(side["error_last_ts"])
                raise wrong_row(
                    int(side["error"]), row, side["error_event"], clock, last_ts, str(source.path)
                )
        if progress is not None:
            progress(int(block.record["first_row"] + block.record["rows"]), source.count)
        number += 1
    source.make_ready()


def _refuse(text: str) -> None:
    raise DataError(text, hint="see `hftd cache`, and $HFTD_PREPARED_DIR for another place")


def parse_size(text: str) -> int:
    """Bytes from `20GB`, `500 MB`, `1.5TB` or a plain number.

    Raises:
        UsageError: It is not a size.
    """
    units = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
    number = text.strip().upper().rstrip("BKMGT ")
    unit = text.strip().upper()[len(number) :].strip()
    try:
        size = float(number) * units[unit]
        if 0 <= size < 1 << 62:
            return int(size)
    except (ValueError, KeyError):
        pass
    raise UsageError(f"{text!r} is not a size", hint="a size is such as 20GB or 500MB")
