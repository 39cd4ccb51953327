"""What is in a file: an archive of events, order latencies, or a run."""

from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from hftd.errors import DataError
from hftd.parameters.declared import ParameterChange
from hftd.runfile import read_run
from hftd.types import EXCH_EVENT, LOCAL_EVENT
from sim.archive import read_latencies
from sim.checks.checker import Limits
from sim.checks.guess import Guess
from sim.checks.report import Series, Validation
from sim.checks.validate import Progress, run
from sim.tools.book import ArchiveBook
from sim.tools.bursts import Burst, Bursts
from sim.tools.kinds import EVENTS, LATENCIES, kind_of
from sim.tools.latencies import LatencyReport, describe
from sim.tools.times import how_long, last_time, parse_time

_NO_END: Final = (1 << 63) - 1


class Level(msgspec.Struct, kw_only=True):
    """A level of a book: price, quantity, and of a book of single orders how many there are."""

    px: float
    qty: float
    orders: int | None = None


class Book(msgspec.Struct, kw_only=True):
    """The book at a moment.

    Attributes:
        at_ts: The moment that was asked for, ns; None: the end.
        last_ts: The time of the last row before it; None if there is none.
        clock: `local` or `exch`.
        levels: How many levels there are, bids and asks.
        bids: The best ones, the best first.
        asks: The best ones, the best first.
    """

    at_ts: int | None
    last_ts: int | None
    clock: str
    levels: tuple[int, int]
    bids: list[Level]
    asks: list[Level]


class Row(msgspec.Struct, kw_only=True):
    """A row as it stands in the file; None for what is not finite."""

    row: int
    ev: int
    exch_ts: int
    local_ts: int
    px: float | None
    qty: float | None
    order_id: int
    ival: int
    fval: float | None


class RunAsset(msgspec.Struct, kw_only=True):
    """One asset of a run: what was recorded of it, and where it stood at the end."""

    symbol: str
    records: int
    first_ts: int | None
    last_ts: int | None
    position: float | None
    balance: float | None
    fee: float | None
    num_trades: int | None
    fills: int


class RunContents(msgspec.Struct, kw_only=True):
    """What a run's file holds.

    Attributes:
        name: The run.
        strategy: Where its strategy came from; empty if not known.
        run_kind: `backtest` or `bot`; empty if not known.
        dates: The days that were played.
        assets: One entry an asset.
        tables: Rows of each further table.
        life: Rows of the life of its orders; None if it was not recorded.
        warnings: What was odd.
        changes: What was set of its parameters while it ran.
    """

    name: str
    strategy: str
    run_kind: str
    dates: list[str]
    assets: list[RunAsset]
    tables: dict[str, int]
    life: int | None
    warnings: list[str]
    changes: list[ParameterChange]


class Contents(msgspec.Struct, kw_only=True):
    """What is in a file.

    Attributes:
        file: The file.
        kind: `events`, `latencies` or `run`.
        bytes: Its size.
        rows: Rows of events or latencies; of a run, rows that were recorded.
        seconds: How long the archive is, by the local clock (the exchange's if no row has the local one).
        rows_per_s: Rows over that time, a split one once.
        trades_per_s: Trades over that time.
        check: What `hftd validate` finds; of archives of events.
        bursts: The busiest stretches.
        book: The book at the moment asked for.
        first: The first rows.
        last: The last rows.
        latencies: Of order latencies.
        run: Of a run.
        notes: What else the user should know.
    """

    file: str
    kind: str
    bytes: int
    rows: int
    seconds: float | None = None
    rows_per_s: float | None = None
    trades_per_s: float | None = None
    check: Validation | None = None
    bursts: list[Burst] = []
    book: Book | None = None
    first: list[Row] = []
    last: list[Row] = []
    latencies: LatencyReport | None = None
    run: RunContents | None = None
    notes: list[str] = []

    def to_dict(self) -> dict[str, Any]:
        """As plain dicts, lists, numbers and strings."""
        return msgspec.to_builtins(self)

    def to_json(self) -> str:
        """As JSON, indented."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode()


def inspect(
    file: Path | str,
    *,
    at: str | None = None,
    depth: int = 10,
    rows: int = 3,
    clock: str = "local",
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> tuple[Contents, Series | None]:
    """Look what is in a file.

    Args:
        file: An archive of events or of order latencies, or a run's file.
        at: The book at that time, see `sim.tools.times.parse_time`; None: at the end.
        depth: Levels of each side.
        rows: First and last rows.
        clock: By which `at` is meant: `local`, or `exch` for the exchange's own book.
        limits: Tick and lot size, if they are not to be guessed.
        progress: Told of each block.

    Returns:
        What is in it, and an archive of events over time, for a picture.

    Raises:
        UsageError: `at` is not a time.
        DataError: The file can't be read.
    """
    kind = kind_of(file)
    if kind == EVENTS:
        return _inspect_events(file, at, depth, rows, clock, limits or Limits(), progress)
    size = Path(file).stat().st_size
    if kind == LATENCIES:
        found = read_latencies(file)
        contents = Contents(
            file=str(file),
            kind=kind,
            bytes=size,
            rows=len(found),
            latencies=describe(found, [file], None, len(found)),
        )
        if (np.diff(found["req_ts"]) < 0).any():
            contents.notes = [
                "the rows are not in the order of their requests: `hftd latency orders` sorts them"
            ]
        return contents, None
    return _inspect_run(file, size), None


class _Look:
    """Takes from the blocks of an archive what a check does not."""

    def __init__(self, at: str | None, depth: int, rows: int, clock: str, limits: Limits, where: str) -> None:
        self.at, self.depth, self.rows, self.clock, self.limits, self.where = (
            at,
            depth,
            rows,
            clock,
            limits,
            where,
        )
        self.at_ts = _NO_END
        self.bursts = Bursts()
        self.notes: list[str] = []
        self.first: list[Row] = []
        self.last = np.empty(0, np.void)
        self.last_row = 0
        self._book: ArchiveBook | None = None
        self._is_there = False

    def push(self, block: NDArray[np.void], row: int) -> None:
        if self._book is None:
            self._book = self._begin(block)
        if len(self.first) < self.rows:
            self.first += rows_of(block[: self.rows - len(self.first)], row)
        if self.rows:
            # Rows of the block before count where this one has too few.
            parts = (
                [self.last, block[-self.rows :]] if row and len(block) < self.rows else [block[-self.rows :]]
            )
            self.last = np.concatenate(parts)[-self.rows :]
        self.last_row = row + len(block)
        self.bursts.push(block)
        if not self._is_there:
            try:
                self._is_there = not self._book.apply(
                    block, until_ts=self.at_ts, where=self.where, first_row=row
                )
            except DataError as error:
                self.notes.append(f"the book is that before {error.what}")
                self._is_there = True

    def _begin(self, block: NDArray[np.void]) -> ArchiveBook:
        guess = Guess(block)
        if self.at is not None:
            flag, name = (LOCAL_EVENT, "local_ts") if self.clock == "local" else (EXCH_EVENT, "exch_ts")
            of_clock = (block["ev"] & np.uint64(flag)) != 0
            times = block[name][of_clock] if of_clock.any() else block[name]
            begin_ts = int(times[0])
            is_known = bool(of_clock.any())
            last_ts = (lambda: last_time(self.where, self.clock)) if is_known else None
            self.at_ts = parse_time(self.at, begin_ts, last_ts)
            if self.at_ts < begin_ts:
                self.notes.append(
                    f"the data begins {how_long(begin_ts - self.at_ts)} after that time: the book is empty then"
                )
        tick_size = self.limits.tick_size or guess.tick_size or 1e-8
        lot_size = self.limits.lot_size or guess.lot_size or 1e-8
        return ArchiveBook(tick_size, lot_size, by_order=guess.by_order, clock=self.clock)

    def book(self) -> Book:
        assert self._book is not None
        last_ts = self._book.last_ts
        if self.at is not None and not self._is_there and last_ts is not None and last_ts < self.at_ts:
            self.notes.append(
                f"the data ends {how_long(self.at_ts - last_ts)} before that time: the book is that of its end"
            )
        levels = self._book.levels()
        is_bid = (levels["ev"] >> np.uint64(29)) & np.uint64(1) != 0
        bids, asks = levels[is_bid], levels[~is_bid]
        counts: dict[tuple[bool, float], int] = {}
        if self._book.by_order:
            orders = self._book.orders()
            for row in orders:
                key = bool(int(row["ev"]) >> 29 & 1), float(row["px"])
                counts[key] = counts.get(key, 0) + 1
        by_order = self._book.by_order

        def shown(side: NDArray[np.void], is_bids: bool) -> list[Level]:
            return [
                Level(
                    px=float(row["px"]),
                    qty=float(row["qty"]),
                    orders=counts.get((is_bids, float(row["px"])), 0) if by_order else None,
                )
                for row in side[: self.depth]
            ]

        return Book(
            at_ts=None if self.at is None else self.at_ts,
            last_ts=self._book.last_ts,
            clock=self.clock,
            levels=(len(bids), len(asks)),
            bids=shown(bids, True),
            asks=shown(asks, False),
        )


def rows_of(block: NDArray[np.void], first_row: int) -> list[Row]:
    """Rows as they are shown."""

    def finite(value: float) -> float | None:
        return float(value) if np.isfinite(value) else None

    return [
        Row(
            row=first_row + number,
            ev=int(row["ev"]),
            exch_ts=int(row["exch_ts"]),
            local_ts=int(row["local_ts"]),
            px=finite(row["px"]),
            qty=finite(row["qty"]),
            order_id=int(row["order_id"]),
            ival=int(row["ival"]),
            fval=finite(row["fval"]),
        )
        for number, row in enumerate(block)
    ]


def _inspect_events(
    file: Path | str,
    at: str | None,
    depth: int,
    rows: int,
    clock: str,
    limits: Limits,
    progress: Progress | None,
) -> tuple[Contents, Series]:
    look = _Look(at, depth, rows, clock, limits, str(file))
    report, checker = run([file], limits, progress, also=look.push)
    span = report.files[0]
    first, last = span.local_first_ts, span.local_last_ts
    if first is None or last is None:
        first, last = span.exch_first_ts, span.exch_last_ts
    seconds = (last - first) / 1e9 if first is not None and last is not None else 0.0
    book = look.book()
    if _is_snapshot(report):
        look.notes.insert(0, "this is a snapshot: a book for `initial_snapshot`, without what came after")
    return Contents(
        file=str(file),
        kind=EVENTS,
        bytes=Path(file).stat().st_size,
        rows=report.rows,
        seconds=seconds,
        rows_per_s=(report.rows - report.split_rows) / seconds if seconds > 0 else None,
        trades_per_s=report.trades.count / seconds if seconds > 0 else None,
        check=report,
        bursts=look.bursts.found(),
        book=book,
        first=look.first,
        last=rows_of(look.last, look.last_row - len(look.last)) if rows else [],
        notes=look.notes,
    ), Series(
        start_ts=checker.start_ts,
        width_ns=1 << int(checker.series["bits"][0]),
        buckets=checker.buckets[: int(checker.series["used"][0])],
        tick_size=checker.tick_size,
    )


def _is_snapshot(report: Validation) -> bool:
    """Whether there are levels of a snapshot and nothing else, or single orders without times."""
    kinds, span = set(report.rows_by_kind), report.files[0]
    if kinds <= {"depth snapshot", "depth clear"}:
        return True
    times = (span.exch_first_ts, span.exch_last_ts, span.local_first_ts, span.local_last_ts)
    return kinds == {"add order"} and all(ts in (0, None) for ts in times)


def _inspect_run(file: Path | str, size: int) -> Contents:
    found = read_run(file)
    meta = found.meta
    fills = found.tables.get("fills")
    assets: list[RunAsset] = []
    for number, records in enumerate(found.records):
        end = records[-1] if len(records) else None
        assets.append(
            RunAsset(
                symbol=found.asset(number).symbol,
                records=len(records),
                first_ts=int(records["timestamp"][0]) if len(records) else None,
                last_ts=None if end is None else int(end["timestamp"]),
                position=None if end is None else float(end["position"]),
                balance=None if end is None else float(end["balance"]),
                fee=None if end is None else float(end["fee"]),
                num_trades=None if end is None else int(end["num_trades"]),
                fills=0 if fills is None else int((fills["asset_no"] == number).sum()),
            )
        )
    return Contents(
        file=str(file),
        kind="run",
        bytes=size,
        rows=sum(asset.records for asset in assets),
        run=RunContents(
            name=found.name,
            strategy=meta.strategy if meta else "",
            run_kind=meta.kind if meta else "",
            dates=meta.dates if meta else [],
            assets=assets,
            tables={name: len(table) for name, table in found.tables.items()},
            life=None if found.life is None else len(found.life),
            warnings=meta.warnings if meta else [],
            changes=meta.changes if meta else [],
        ),
    )
