"""How many rows come at once: the busiest stretches of an archive."""

# pyright: basic

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from hftd.compiled.jit import kernel
from hftd.compiled.native import load_i64, store_i64
from hftd.compiled.row_access import ev_of, local_ts_of
from hftd.rows import ROW_BYTES, Address, Ns
from hftd.types import KIND_MASK, LOCAL_EVENT, TRADE_EVENT

WIDTHS_NS: Final = (1_000_000, 10_000_000, 100_000_000, 1_000_000_000)
_STATE: Final = 8


class Burst(msgspec.Struct, kw_only=True):
    """The stretch of a length (counted from whole multiples of it) in which most rows arrived.

    Attributes:
        width_ns: How long it is.
        rows: Rows that arrived in it.
        trades: Trades in the stretch with most trades, which may be another one.
        start_ts: When the busiest began.
    """

    width_ns: int
    rows: int
    trades: int
    start_ts: int


@kernel("int64(int64, int64, int64, int64)")
def _count(state: Address, width_ns: Ns, rows: Address, count: int) -> int:
    """`state`: stretch, rows and trades in it, and the most rows, trades and the stretch of the former."""
    stretch, found, trades = load_i64(state), load_i64(state + 8), load_i64(state + 16)
    most, most_trades, at = load_i64(state + 24), load_i64(state + 32), load_i64(state + 40)
    for row in range(rows, rows + count * ROW_BYTES, ROW_BYTES):
        ev = ev_of(row)
        if ev & LOCAL_EVENT == 0:
            continue
        now = local_ts_of(row) // width_ns
        if now != stretch:
            stretch, found, trades = now, 0, 0
        found += 1
        if found > most:
            most, at = found, now
        if ev & KIND_MASK == TRADE_EVENT:
            trades += 1
            most_trades = max(most_trades, trades)
    store_i64(state, stretch)
    store_i64(state + 8, found)
    store_i64(state + 16, trades)
    store_i64(state + 24, most)
    store_i64(state + 32, most_trades)
    store_i64(state + 40, at)
    return count


class Bursts:
    """Counts blocks of rows in stretches of several lengths."""

    def __init__(self) -> None:
        self._states = np.zeros((len(WIDTHS_NS), _STATE), np.int64)

    def push(self, block: NDArray[np.void]) -> None:
        """Count the next rows."""
        for number, width_ns in enumerate(WIDTHS_NS):
            _count.call(self._states[number].ctypes.data, width_ns, block.ctypes.data, len(block))

    def found(self) -> list[Burst]:
        """The busiest stretch of each length."""
        return [
            Burst(
                width_ns=width_ns,
                rows=int(state[3]),
                trades=int(state[4]),
                start_ts=int(state[5]) * width_ns,
            )
            for width_ns, state in zip(WIDTHS_NS, self._states, strict=True)
        ]
