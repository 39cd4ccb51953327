"""Order latencies for backtests: made from a feed's latencies, or from orders that were recorded live."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from hftd.errors import DataError, UsageError
from hftd.types import EXCH_EVENT, INVALID_MIN, LOCAL_EVENT, latency_dtype
from sim.archive.stream import EventReader
from sim.archive.write import ArchiveWriter

Progress = Callable[[float, float], None]
"""Called with what is done, and the total."""

RESAMPLING_NS: Final = 1_000_000_000
_SHARES: Final = (1, 10, 50, 90, 99, 99.9)
_MAX_NS: Final = float(1 << 62)
_BOTH: Final = np.uint64(EXCH_EVENT | LOCAL_EVENT)


class Percentiles(msgspec.Struct, kw_only=True):
    """One way of an order, in nanoseconds."""

    rows: int
    min_ns: int
    p1_ns: int
    p10_ns: int
    p50_ns: int
    p90_ns: int
    p99_ns: int
    p999_ns: int
    max_ns: int


class LatencyReport(msgspec.Struct, kw_only=True):
    """What order latencies are like.

    Attributes:
        files: Where they come from.
        output: Where they went; empty if nowhere.
        rows_read: Rows of the feed, or recorded orders.
        rows: Rows of latencies.
        refused: Rows whose request never arrived (`exch_ts` of 0 or less).
        first_ts: The first request, ns; None without rows.
        last_ts: The last request, ns; None without rows.
        entry: From the request to the exchange.
        response: From the exchange to the answer.
        round_trip: From the request to the answer.
        changed: What was put right, by what it is.
        notes: What else the user should know.
    """

    files: list[str]
    output: str
    rows_read: int
    rows: int
    refused: int
    first_ts: int | None
    last_ts: int | None
    entry: Percentiles | None
    response: Percentiles | None
    round_trip: Percentiles | None
    changed: dict[str, int] = {}
    notes: list[str] = []


def percentiles(values_ns: NDArray[np.int64]) -> Percentiles | None:
    """Exact percentiles (the nearest ranks); None without values."""
    if not len(values_ns):
        return None
    p1, p10, p50, p90, p99, p999 = np.percentile(values_ns, _SHARES, method="nearest").tolist()
    return Percentiles(
        rows=len(values_ns),
        min_ns=int(values_ns.min()),
        p1_ns=int(p1),
        p10_ns=int(p10),
        p50_ns=int(p50),
        p90_ns=int(p90),
        p99_ns=int(p99),
        p999_ns=int(p999),
        max_ns=int(values_ns.max()),
    )


def describe(
    rows: NDArray[np.void], files: Sequence[Path | str], output: Path | str | None, rows_read: int
) -> LatencyReport:
    """What rows of `latency_dtype` are like."""
    arrived = rows[rows["exch_ts"] > 0]
    return LatencyReport(
        files=[str(file) for file in files],
        output="" if output is None else str(output),
        rows_read=rows_read,
        rows=len(rows),
        refused=len(rows) - len(arrived),
        first_ts=int(rows["req_ts"][0]) if len(rows) else None,
        last_ts=int(rows["req_ts"][-1]) if len(rows) else None,
        entry=percentiles(arrived["exch_ts"] - arrived["req_ts"]),
        response=percentiles(arrived["resp_ts"] - arrived["exch_ts"]),
        round_trip=percentiles(arrived["resp_ts"] - arrived["req_ts"]),
    )


def write_latencies(output: Path | str, rows: NDArray[np.void]) -> None:
    """Write rows as an archive for `intp_order_latency`.

    Raises:
        DataError: It can't be written.
    """
    with ArchiveWriter(output, latency_dtype) as writer:
        writer.write(rows)


def check_output(output: Path | str | None) -> None:
    """Refuse other names than those of npz files, before the work begins."""
    if output is not None and Path(output).suffix != ".npz":
        raise UsageError(f"the output {Path(output).name!r} must end in .npz")


class _Sampler:
    """The last row with both flags of each stretch of the local clock."""

    def __init__(self, every_ns: int, where: str) -> None:
        self._every_ns = every_ns
        self.where = where
        self._last_ts = INVALID_MIN
        self._waiting: NDArray[np.int64] | None = None
        self.samples: list[NDArray[np.int64]] = []

    def push(self, block: NDArray[np.void], first_row: int) -> None:
        numbers = np.flatnonzero((block["ev"] & _BOTH) == _BOTH)
        if not len(numbers):
            return
        local_ts, exch_ts = block["local_ts"][numbers], block["exch_ts"][numbers]
        before = np.concatenate(([self._last_ts], local_ts[:-1]))
        wrong = np.flatnonzero(local_ts < before)
        if len(wrong):
            row = first_row + int(numbers[wrong[0]])
            raise DataError(
                f"row {row:,}: local_ts is earlier than in a row before",
                where=self.where,
                hint="`hftd validate --fix` writes a copy in the order of both clocks",
            )
        self._last_ts = int(local_ts[-1])
        pairs = np.stack((exch_ts, local_ts), axis=1)
        if self._waiting is not None:
            pairs = np.concatenate((self._waiting, pairs))
        window = pairs[:, 1] // self._every_ns
        is_last = np.flatnonzero(window[1:] != window[:-1])
        self.samples.append(pairs[is_last])
        self._waiting = pairs[-1:].copy()

    def finish(self) -> NDArray[np.int64]:
        parts = self.samples + ([self._waiting] if self._waiting is not None else [])
        return np.concatenate(parts) if parts else np.empty((0, 2), np.int64)


def _scaled(latency_ns: NDArray[np.int64], factor: float, offset: float) -> NDArray[np.int64]:
    """`factor * latency + offset` in whole nanoseconds; in whole numbers where both are whole, so nothing is lost."""
    if float(factor).is_integer() and float(offset).is_integer():
        return latency_ns * int(factor) + int(offset)
    return np.rint(latency_ns * factor + offset).astype(np.int64)


def feed_latencies(
    files: Sequence[Path | str],
    output: Path | str | None = None,
    *,
    mul_entry: float = 1,
    offset_entry: float = 0,
    mul_resp: float = 1,
    offset_resp: float = 0,
    resampling_ns: int = RESAMPLING_NS,
    progress: Progress | None = None,
) -> tuple[NDArray[np.void], LatencyReport]:
    """Order latencies from a feed's: where the feed is slow, orders are believed to be slow, too.

    Of each stretch of the local clock the last row with both flags counts. Entry latency is `mul_entry * latency +
    offset_entry`, response latency `mul_resp * latency + offset_resp`: the rule and the parameters of HftBacktest's
    `generate_order_latency`. With whole multipliers and offsets the rows are the same; with others the times there are
    rounded to 256 ns, since they pass through a floating point number, and here to the nanosecond.

    Args:
        files: Archives of consecutive days.
        output: An npz file to write; None: none.
        mul_entry: See above.
        offset_entry: In nanoseconds.
        mul_resp: See above.
        offset_resp: In nanoseconds.
        resampling_ns: How long a stretch is.
        progress: Told of each block.

    Returns:
        Rows of `latency_dtype`, and what they are like.

    Raises:
        UsageError: A parameter is not a number.
        DataError: An archive can't be read, is out of order, or has no row with both flags.
    """
    check_output(output)
    for name, value in (
        ("mul_entry", mul_entry),
        ("offset_entry", offset_entry),
        ("mul_resp", mul_resp),
        ("offset_resp", offset_resp),
    ):
        if not abs(value) < _MAX_NS:
            raise UsageError(f"{name} is {value!r}, but must be a number")
    if resampling_ns < 1:
        raise UsageError(f"resampling_ns is {resampling_ns}, but must be 1 or more")
    if not files:
        raise UsageError("there is no archive")
    sampler = _Sampler(resampling_ns, "")
    rows_read = 0
    for number, file in enumerate(files):
        sampler.where = str(file)
        with EventReader(file) as reader:
            row = 0
            for block in reader.blocks():
                sampler.push(block, row)
                row += len(block)
                if progress is not None:
                    progress(number + row / reader.count, len(files))
            rows_read += row
    pairs = sampler.finish()
    if not len(pairs):
        raise DataError("no row has the flags of both clocks", where=", ".join(map(str, files)))
    latency_ns = pairs[:, 1] - pairs[:, 0]
    rows = np.zeros(len(pairs), latency_dtype)
    rows["req_ts"] = pairs[:, 1]
    rows["exch_ts"] = rows["req_ts"] + _scaled(latency_ns, mul_entry, offset_entry)
    rows["resp_ts"] = rows["exch_ts"] + _scaled(latency_ns, mul_resp, offset_resp)
    report = describe(rows, files, output, rows_read)
    early = int((rows["exch_ts"] < rows["req_ts"]).sum()) + int((rows["resp_ts"] < rows["exch_ts"]).sum())
    if early:
        report.notes.append(
            f"{early:,} latencies are negative: the feed's are, or an offset is; a backtest takes them for refusals"
        )
    back = int((np.diff(rows["exch_ts"]) < 0).sum())
    if back:
        report.notes.append(f"{back:,} exchange times go back, as a slow row is followed by a fast one")
    if output is not None:
        write_latencies(output, rows)
    return rows, report
