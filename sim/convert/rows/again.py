"""Trades that are there twice, told by their ids: in two files, from two connections, or sent again.

A reader gives the row of a trade its id (`set_trade_id`). Here the id is put aside, and the row gets its number
instead; when all rows were read, ids that are there more than once say which rows do not count. Of equal ones the
first that was read counts: captures are read in the order of their local times, so it is the first that arrived.

Ids that only grow, as most do, are all different. Others are sorted, some millions at a time: memory does not grow
with the number of trades but for one bit of each, and the disk needs 8 bytes a trade.
"""

# pyright: basic

import os
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from hftd.compiled.jit import kernel
from hftd.compiled.native import load_i64, store_i64
from hftd.compiled.row_access import ev_of
from hftd.errors import DataError
from hftd.rows import FVAL, ROW_BYTES, Address
from hftd.types import KIND_MASK, TRADE_EVENT
from sim.archive.temps import open_spool

SORTED_MAX: Final = 1 << 22
"""About so many ids are sorted at once."""
_HELD_MAX: Final = 1 << 21
"""More ids than that go to the file."""


@kernel("int64(int64, int64, int64, int64)")
def _take_ids(rows: Address, count: int, first, target: Address) -> int:
    """Move the ids of trades to `target`, and give the rows numbers from `first` on; returns how many there were."""
    taken = 0
    for row in range(rows, rows + count * ROW_BYTES, ROW_BYTES):
        if ev_of(row) & KIND_MASK != TRADE_EVENT:
            continue
        trade_id = load_i64(row + FVAL)
        if trade_id == 0:
            continue
        store_i64(target + taken * 8, trade_id)
        store_i64(row + FVAL, first + taken)
        taken += 1
    return taken


class TradeIds:
    """The ids of trades, in the order in which they are read.

    Args:
        output: What must wait on the disk waits beside this file.

    Attributes:
        count: How many there were.
    """

    def __init__(self, output: Path) -> None:
        self.count = 0
        self._output = output
        self._grows = True
        self._last = np.iinfo(np.int64).min
        self._held: list[NDArray[np.int64]] = []
        self._file: BinaryIO | None = None

    def take(self, rows: np.ndarray) -> None:
        """Take the ids of rows of `event_dtype`; the rows get numbers from 1 on instead."""
        if not len(rows):
            return
        ids = np.empty(len(rows), np.int64)
        taken = _take_ids.call(rows.ctypes.data, len(rows), self.count + 1, ids.ctypes.data)
        if not taken:
            return
        ids = ids[:taken].copy()
        if self._grows:
            self._grows = bool(ids[0] > self._last and (ids[1:] > ids[:-1]).all())
            self._last = ids[-1]
        self.count += taken
        self._held.append(ids)
        if self._file is not None or self.count > _HELD_MAX:
            self._write()

    def _write(self) -> None:
        try:
            if self._file is None:
                self._file = open_spool(self._output)
            for ids in self._held:
                data = ids.view(np.uint8).data
                while data:
                    data = data[os.write(self._file.fileno(), data) :]
        except OSError as error:
            raise DataError(
                f"the ids of trades can't be kept on the disk meanwhile: {error.strerror or error}",
                where=str(self._output.parent),
            ) from None
        self._held.clear()

    def _chunks(self) -> "list[NDArray[np.int64]] | np.memmap":
        if self._file is None:
            return self._held
        whole = np.memmap(self._file, np.int64, "r", shape=(self.count,))
        return [whole[at : at + _HELD_MAX] for at in range(0, self.count, _HELD_MAX)]

    def again(self) -> tuple[NDArray[np.uint8] | None, int]:
        """Which of the numbers do not count, as bits from the lowest on, and how many; None if all do."""
        if self._grows or not self.count:
            return None, 0
        bits: NDArray[np.uint8] | None = None
        dropped = 0
        shares = (self.count - 1) // SORTED_MAX + 1
        for share in range(shares):
            numbers, ids = self._share(share, shares)
            in_order = np.sort(ids)
            if not (in_order[1:] == in_order[:-1]).any():
                continue
            # Stable: of equal ids the first one that was read comes first.
            order = np.argsort(ids, kind="stable")
            ids = ids[order]
            again = numbers[order[1:][ids[1:] == ids[:-1]]]
            if bits is None:
                bits = np.zeros((self.count + 8) // 8, np.uint8)
            np.bitwise_or.at(bits, again >> 3, (1 << (again & 7)).astype(np.uint8))
            dropped += len(again)
        return bits, dropped

    def _share(self, share: int, shares: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """One share of the ids, and their numbers from 1 on."""
        numbers, found = [], []
        first = 1
        for ids in self._chunks():
            if shares == 1:
                numbers.append(np.arange(first, first + len(ids)))
                found.append(np.asarray(ids))
            else:
                mixed = (ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)
                places = np.flatnonzero(mixed % np.uint64(shares) == share)
                numbers.append(places + first)
                found.append(ids[places])
            first += len(ids)
        return np.concatenate(numbers), np.concatenate(found)

    def close(self) -> None:
        """Give the file back."""
        if self._file is not None:
            self._file.close()
