"""What bounds the engine: a bare loop over columns that were prepared before, without orders.

The loop keeps two books, as the engine does: one at the exchange's time and one at the local time, in steps
of equal length. It knows neither orders nor queues, neither trades nor crossed books.
"""

# pyright: basic

import numpy as np

from benchmarks.market import Market
from benchmarks.sides import OURS, open_side
from hftd.clock import monotonic_ns
from hftd.compiled.jit import entry, inline
from hftd.compiled.native import copy_bytes, load_f64, load_i64, store_f64, store_i64
from hftd.types import INVALID_MAX
from sim.engine.run import STREAM, refill
from sim.feed.prepare import stream_at
from sim.model.layout import SEG_ASKS, SEG_BIDS, segment_dtype

_SEGMENT = segment_dtype.itemsize
_TS = 0
_FIRST_KIND = 8


@entry("int64(int64, int64, int64, int64, int64)")
def collect(engine, stream, segments, ticks, qtys):
    """Prepare a whole stream, and keep it if `segments` is not 0. Returns the segments, or -1 on an error."""
    s = stream_at(stream)
    count = 0
    rows = 0
    while True:
        if refill(engine, 0, stream) != 0:
            return -1
        if s.next_ts == INVALID_MAX:
            return count
        chunk = (s.segments_end - s.buffer_segments) // _SEGMENT
        chunk_rows = load_i64(s.segments_end + _FIRST_KIND) >> 4
        if segments != 0:
            for k in range(chunk):
                source = s.buffer_segments + k * _SEGMENT
                target = segments + (count + k) * _SEGMENT
                copy_bytes(target, source, _SEGMENT)
                store_i64(target + _FIRST_KIND, load_i64(source + _FIRST_KIND) + 16 * rows)
            copy_bytes(ticks + 8 * rows, s.ticks, 8 * chunk_rows)
            copy_bytes(qtys + 8 * rows, s.qtys, 8 * chunk_rows)
            # One more tells where the last one's rows end.
            store_i64(segments + (count + chunk) * _SEGMENT + _FIRST_KIND, 16 * (rows + chunk_rows))
        count += chunk
        rows += chunk_rows
        s.next_ts = INVALID_MAX


@inline
def _bids(book, best, at, end, ticks, qtys):
    for k in range(at, end):
        tick = load_i64(ticks + 8 * k)
        qty = load_f64(qtys + 8 * k)
        store_f64(book + 8 * tick, qty)
        if qty > 0.0:
            best = max(best, tick)
        elif tick == best:
            while best > 0 and load_f64(book + 8 * best) == 0.0:
                best -= 1
    return best


@inline
def _asks(book, best, at, end, ticks, qtys, window):
    for k in range(at, end):
        tick = load_i64(ticks + 8 * k)
        qty = load_f64(qtys + 8 * k)
        store_f64(book + 8 * tick, qty)
        if qty > 0.0:
            best = min(best, tick)
        elif tick == best:
            while best < window and load_f64(book + 8 * best) == 0.0:
                best += 1
    return best


@inline
def _side(segment, end, until_ns, ticks, qtys, bids, asks, best_bid, best_ask, window):
    """Apply one side's segments until then."""
    while segment < end and load_i64(segment + _TS) <= until_ns:
        first_kind = load_i64(segment + _FIRST_KIND)
        at = first_kind >> 4
        rows_end = load_i64(segment + _SEGMENT + _FIRST_KIND) >> 4
        kind = first_kind & 15
        if kind == SEG_BIDS:
            best_bid = _bids(bids, best_bid, at, rows_end, ticks, qtys)
        elif kind == SEG_ASKS:
            best_ask = _asks(asks, best_ask, at, rows_end, ticks, qtys, window)
        segment += _SEGMENT
    return segment, best_bid, best_ask


@entry("int64(int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64, int64)")
def bare_loop(starts, ends, ticks, qtys, books, window, step_ns):
    """Both sides of the market, step by step. Returns the steps."""
    exch, local = starts[0], starts[1]
    exch_bid = local_bid = 0
    exch_ask = local_ask = window
    now_ns = min(load_i64(exch), load_i64(local))
    steps = 0
    while exch < ends[0] or local < ends[1]:
        now_ns += step_ns
        exch, exch_bid, exch_ask = _side(
            exch, ends[0], now_ns, ticks[0], qtys[0], books[0], books[1], exch_bid, exch_ask, window
        )
        local, local_bid, local_ask = _side(
            local, ends[1], now_ns, ticks[1], qtys[1], books[2], books[3], local_bid, local_ask, window
        )
        steps += 1
    return steps + (local_bid > local_ask)


class Columns:
    """Both sides of a market, prepared as a whole."""

    def __init__(self, market: Market, step_ns: int) -> None:
        self._step_ns = step_ns
        count = len(market.rows)
        self._segments = [np.empty(2 * count + 1, segment_dtype) for _ in range(2)]
        self._ticks = [np.empty(count, np.int64) for _ in range(2)]
        self._qtys = [np.empty(count, np.float64) for _ in range(2)]
        self._counts = [0, 0]
        # The first time touches the memory.
        self._prepare(market, keep=True)
        start_ns = monotonic_ns()
        self._prepare(market, keep=False)
        self.prepare_s = (monotonic_ns() - start_ns) / 1e9
        self._base = min(int(ticks[:n].min()) for ticks, n in zip(self._ticks, self._rows(), strict=True))
        for ticks, n in zip(self._ticks, self._rows(), strict=True):
            # Rows that are no depth and no trade have a tick of 0, and are not looked at.
            ticks[:n] -= self._base
        self._window = max(int(t[:n].max()) for t, n in zip(self._ticks, self._rows(), strict=True)) + 1
        self._books = [np.zeros(self._window + 1) for _ in range(4)]

    def _rows(self) -> list[int]:
        return [
            int(segments[count]["first_kind"]) >> 4
            for segments, count in zip(self._segments, self._counts, strict=True)
        ]

    def _prepare(self, market: Market, *, keep: bool) -> None:
        hbt = open_side(OURS, market)
        engine = hbt.engine.address
        streams = [int(hbt.engine.exchanges.ctypes.data) + STREAM, int(hbt.engine.locals.ctypes.data)]
        for side, stream in enumerate(streams):
            memory = (self._segments[side], self._ticks[side], self._qtys[side])
            addresses = [part.ctypes.data if keep else 0 for part in memory]
            found = collect(engine, stream, *addresses)
            hbt.check()
            if keep:
                self._counts[side] = found

    def run(self) -> float:
        """Seconds of one run of the bare loop."""
        for book in self._books:
            book[:] = 0.0
        starts = np.array([segments.ctypes.data for segments in self._segments])
        ends = starts + np.array(self._counts) * _SEGMENT
        arguments = (
            starts,
            ends,
            np.array([part.ctypes.data for part in self._ticks]),
            np.array([part.ctypes.data for part in self._qtys]),
            np.array([book.ctypes.data for book in self._books]),
            self._window,
            self._step_ns,
        )
        bare_loop.compiled()
        start_ns = monotonic_ns()
        bare_loop(*arguments)
        return (monotonic_ns() - start_ns) / 1e9
