"""Memory for compiled code: reserved, zero, at a fixed address, touched only where it is used."""

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Reserve addresses without counting on memory: most of what is reserved is never touched.
_MAP_NORESERVE = 0x4000


class Arena:
    """Owns pieces of memory whose addresses compiled code holds; they live as long as the arena.

    Huge pages are refused for most: they are touched thinly, and a huge page for each touch costs memory and time.
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
        piece = mmap.mmap(-1, max(size, 1), flags=flags)
        advice = "MADV_HUGEPAGE" if in_order else "MADV_NOHUGEPAGE"
        if hasattr(mmap, advice):
            piece.madvise(getattr(mmap, advice))
        self._pieces.append(piece)
        return int(np.frombuffer(piece, np.uint8).ctypes.data)

    def records(self, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
        """A zeroed array of records; its address is `.ctypes.data`."""
        rows = np.zeros(count, dtype)
        self._pieces.append(rows)
        return rows

    def keep(self, rows: NDArray[Any]) -> int:
        """Keep an array alive; returns its address."""
        self._pieces.append(rows)
        return int(rows.ctypes.data)
