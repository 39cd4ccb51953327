"""Memory for compiled code: reserved, zero, at a fixed address, touched only where it is used."""

import itertools
import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Reserve addresses without counting on memory: most of what is reserved is never touched.
_MAP_NORESERVE = 0x4000
_PAGE_BYTES = 4096
_LINE_BYTES = 64
_PIECES = itertools.count()


class Arena:
    """Owns pieces of memory whose addresses compiled code holds; they live as long as the arena.

    Huge pages are refused for most: they are touched thinly, and a huge page for each touch costs memory and time.

    Pieces begin at different places of a page. Of many that are used in turns mostly the beginnings are: were these all
    at the same place, the nearest caches would have room for a few of them.
    """

    def __init__(self) -> None:
        self._pieces: list[mmap.mmap | NDArray[Any]] = []

    def reserve(self, size: int, *, in_order: bool = False) -> int:
        """The address of `size` zero bytes that take no memory until they are touched.

        Args:
            size: How many.
            in_order: They will be touched from the first to the last, so huge pages save time.
        """
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
        skipped = (
            0
            if in_order
            else _LINE_BYTES * ((next(_PIECES) * 2_654_435_761 >> 16) % (_PAGE_BYTES // _LINE_BYTES))
        )
        piece = mmap.mmap(-1, max(size, 1) + skipped, flags=flags)
        advice = "MADV_HUGEPAGE" if in_order else "MADV_NOHUGEPAGE"
        if hasattr(mmap, advice):
            piece.madvise(getattr(mmap, advice))
        self._pieces.append(piece)
        return int(np.frombuffer(piece, np.uint8).ctypes.data) + skipped

    def records(self, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
        """A zeroed array of records; its address is `.ctypes.data`."""
        rows = np.zeros(count, dtype)
        self._pieces.append(rows)
        return rows

    def keep(self, rows: NDArray[Any]) -> int:
        """Keep an array alive; returns its address."""
        self._pieces.append(rows)
        return int(rows.ctypes.data)
