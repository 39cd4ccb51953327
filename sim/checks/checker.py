"""The passes of a check, wired: memory for each, blocks through all of them, and the report at the end."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hftd.compiled.arena import Arena
from hftd.compiled.layout import book_dtype, index_dtype
from hftd.compiled.order_index import FIRST_INDEX_BITS, INDEX_BYTES
from hftd.errors import UsageError
from hftd.hbt.local import AssetSpec, fill_book, fill_market_orders
from hftd.types import INVALID_MAX, INVALID_MIN
from sim.checks import layout
from sim.checks.books import end_books, follow_books
from sim.checks.guess import Guess
from sim.checks.pairs import end_doubles, find_doubles, pair_halves
from sim.checks.rows import check_rows

JUMP_NS: Final = 10_000_000_000
FAR_SHARE: Final = 0.05


@dataclass(frozen=True)
class Limits:
    """By what archives are judged.

    Attributes:
        tick_size: The step of prices; None: it is guessed from the first rows.
        lot_size: The step of quantities; None: it is guessed from the first rows.
        gap_ns: A longer pause of the feed is a gap; None: by the pauses of the first rows, 5 s at least.
        jump_ns: A row whose latency is away by more than that from the row before has a wrong time.
        far_share: A trade that is further away from the middle of the book is far, as a share of the price.
    """

    tick_size: float | None = None
    lot_size: float | None = None
    gap_ns: int | None = None
    jump_ns: int = JUMP_NS
    far_share: float = FAR_SHARE

    def __post_init__(self) -> None:
        for name in ("tick_size", "lot_size", "gap_ns", "jump_ns", "far_share"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and np.isfinite(value)):
                raise UsageError(f"{name} is {value!r}, but must be a positive number")


class Checker:
    """Looks at blocks of rows; what it found is in its records.

    Args:
        first: The first block of the first archive, from which is guessed what `limits` does not give.
        limits: By what they are judged.
    """

    def __init__(self, first: NDArray[np.void], limits: Limits) -> None:
        self.guess = Guess(first)
        self.limits = limits
        self.tick_size = limits.tick_size or self.guess.tick_size or 1e-8
        self.lot_size = limits.lot_size or self.guess.lot_size or 1e-8
        self.gap_ns = limits.gap_ns or self.guess.gap_ns
        self.by_order = self.guess.by_order
        self.unpaired_files: list[int] = []
        self.lone_halves = np.empty(0, layout.place_dtype)
        self._arena = Arena()
        self.problems = np.zeros(layout.PROBLEMS, layout.problem_dtype)
        self.buckets = np.zeros(layout.BUCKETS, layout.bucket_dtype)
        self.series = layout.record(layout.series_dtype)
        self.series["buckets"] = self.buckets.ctypes.data
        self.kinds = np.zeros(256, np.int64)
        self.bins = np.zeros((2, 2, layout.BINS), np.int64)
        self.spreads = np.zeros(layout.SPREADS, np.int64)
        self.rows = self._rows()
        self.books = self._books()
        self.trades = self._trades()
        self.halves, self._pool = self._halves()
        self.count = 0
        self.span_trades = 0

    def _common(self, dtype: "np.dtype[Any]") -> Any:
        record = layout.record(dtype)
        record["problems"] = self.problems.ctypes.data
        if "series" in (dtype.names or ()):
            record["series"] = self.series.ctypes.data
        return record

    def _rows(self) -> Any:
        record = self._common(layout.rows_dtype)
        record["kinds"] = self.kinds.ctypes.data
        record["bins"] = self.bins.ctypes.data
        record["tick_size"], record["lot_size"] = self.tick_size, self.lot_size
        record["gap_ns"], record["jump_ns"] = self.gap_ns, self.limits.jump_ns
        record["sequence_at"] = 0 if self.by_order else self.guess.sequence_at
        record["latency_base"] = self.guess.latency_ns
        record["exch_last"] = record["local_last"] = INVALID_MIN
        for name in ("exch_first", "local_first", "book_min", "trade_min"):
            record[name] = INVALID_MAX
        record["book_max"] = record["trade_max"] = INVALID_MIN
        record["px_min"], record["px_max"] = np.inf, -np.inf
        return record

    def _books(self) -> Any:
        record = self._common(layout.books_dtype)
        pair = self._arena.records(book_dtype, 2)
        for book in pair:
            fill_book(book, AssetSpec(self.tick_size, self.lot_size), self._arena)
            if self.by_order:
                fill_market_orders(book, self._arena)
        record["bids"] = pair.ctypes.data
        record["asks"] = pair.ctypes.data + book_dtype.itemsize
        record["spreads"] = self.spreads.ctypes.data
        record["by_order"] = int(self.by_order)
        record["far_share"] = self.limits.far_share
        return record

    def _trades(self) -> Any:
        record = self._common(layout.trades_dtype)
        record["table"] = self._arena.reserve(layout.trade_dtype.itemsize << layout.TRADES_BITS)
        self.again = np.zeros(layout.DOUBLES_MAX, np.int64)
        self.doubled = np.zeros(layout.DOUBLES_MAX, np.int64)
        self.same = np.zeros(layout.DOUBLES_MAX, np.int64)
        record["again"], record["doubled"] = self.again.ctypes.data, self.doubled.ctypes.data
        record["same"] = self.same.ctypes.data
        record["exch_max"] = record["local_max"] = INVALID_MIN
        return record

    def _halves(self) -> tuple[Any, NDArray[np.void]]:
        record = self._common(layout.halves_dtype)
        index = self._arena.records(index_dtype, 1)
        index["entries"] = self._arena.reserve(INDEX_BYTES)
        index["spare"] = self._arena.reserve(INDEX_BYTES)
        index["bits"] = FIRST_INDEX_BITS
        self._index = index
        pool = self._arena.records(layout.place_dtype, layout.HALVES_MAX)
        record["index"] = index.ctypes.data
        record["pool"] = pool.ctypes.data
        self.pair_kinds = np.zeros(256, np.int64)
        record["kinds"] = self.pair_kinds.ctypes.data
        record["free"] = self._arena.reserve(8 * layout.HALVES_MAX)
        return record, pool

    def begin_file(self, number: int) -> None:
        """The blocks that follow are of that file."""
        for record in (self.rows, self.books, self.trades, self.halves):
            record["file"], record["row"] = number, 0

    def feed(self, block: NDArray[np.void]) -> None:
        """Look at the next rows, shape (n,), contiguous."""
        at, count = block.ctypes.data, len(block)
        for kernel, record in (
            (check_rows, self.rows),
            (follow_books, self.books),
            (find_doubles, self.trades),
            (pair_halves, self.halves),
        ):
            kernel.call(record.ctypes.data, at, count)
        self.count += count

    def end_file(self) -> None:
        """The file is over: rows that are still without their other half stay so."""
        halves = self.halves[0]
        if halves["is_full"]:
            self.unpaired_files.append(int(halves["file"]))
        elif halves["waiting"]:
            waiting = self._pool[: int(halves["used"])]
            waiting = np.sort(waiting[waiting["extra"] > 0], order="row")
            self.lone_halves = waiting.copy()
            found = self.problems[layout.LONE_HALF]
            kept = int(min(found["count"], layout.FIRST_MAX))
            more = waiting[: layout.FIRST_MAX - kept]
            found["places"][kept : kept + len(more)] = more
            found["places"]["extra"] = 0
            found["count"] += int(halves["waiting"])
        self._forget_halves()

    def _forget_halves(self) -> None:
        halves, index = self.halves[0], self._index[0]
        if halves["used"]:
            from hftd.hbt.views import view

            view(int(index["entries"]), np.dtype(np.int64), 2 << int(index["bits"]))[:] = 0
            index["count"] = 0
        for name in ("frees", "used", "waiting", "is_full"):
            halves[name] = 0

    def finish(self) -> None:
        """All files are over."""
        local_last = int(self.rows["local_last"][0])
        end_books.call(self.books.ctypes.data, local_last)
        self.span_trades = end_doubles.call(self.trades.ctypes.data)
        if self.span_trades and not self.problems["count"][layout.SPAN_DOUBLED]:
            # Too short to have been noted on the way.
            self.problems["count"][layout.SPAN_DOUBLED] = 1

    @property
    def start_ts(self) -> NDArray[np.int64]:
        """When each stretch of the series begins, shape (n,)."""
        series = self.series[0]
        return int(series["origin_ts"]) + (np.arange(int(series["used"])) << int(series["bits"]))
