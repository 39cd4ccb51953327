"""Rows that wait for the second pass of a conversion: in memory as far as they are few, else in a file.

The file stands beside the output and has no name, so it is gone whatever ends the process.
"""

import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

import numpy as np

from hftd.errors import DataError
from hftd.rows import ROW_BYTES
from hftd.types import event_dtype
from sim.archive.temps import open_spool

MEMORY_MAX: Final = 64 << 20
"""More rows than fit these bytes go to the file."""


class Spool:
    """Rows that are appended, and read again from any place.

    Args:
        output: The file is made beside this one.

    Attributes:
        count: Rows in it.
    """

    def __init__(self, output: Path) -> None:
        self.count = 0
        self._output = output
        self._held: list[tuple[int, np.ndarray]] = []
        self._file: BinaryIO | None = None
        self._closing = ExitStack()

    @property
    def is_in_file(self) -> bool:
        """Whether the rows were too many for the memory."""
        return self._file is not None

    def append(self, rows: np.ndarray, *, keeps: bool = False) -> int:
        """Add rows; returns the place of the first.

        Args:
            rows: Contiguous rows of `event_dtype`.
            keeps: They may be kept as they are, without a copy.

        Raises:
            DataError: The disk is full, or the folder can't be written.
        """
        place = self.count
        self.count += len(rows)
        if self._file is None and self.count * ROW_BYTES <= MEMORY_MAX:
            self._held.append((place, rows if keeps else rows.copy()))
            return place
        try:
            if self._file is None:
                self._file = self._closing.enter_context(open_spool(self._output))
                for _, held in self._held:
                    self._write(held)
                self._held.clear()
            self._write(rows)
        except OSError as error:
            raise self._failed(error) from None
        return place

    def _write(self, rows: np.ndarray) -> None:
        assert self._file is not None
        data = rows.view(np.uint8).data.cast("B") if len(rows) else memoryview(b"")
        while data:
            data = data[os.write(self._file.fileno(), data) :]

    def read(self, place: int, count: int, buffer: Any) -> np.ndarray:
        """At most `count` rows from a place on: in the buffer, or where they are held.

        Args:
            place: The first row.
            count: How many, at least one; they must be of one `append`, and less may be given.
            buffer: Bytes for so many rows.
        """
        if self._file is None:
            first, rows = next((first, rows) for first, rows in reversed(self._held) if first <= place)
            return rows[place - first : place - first + count]
        view = memoryview(buffer).cast("B")[: count * ROW_BYTES]
        at = 0
        try:
            while at < len(view):
                size = os.preadv(self._file.fileno(), [view[at:]], place * ROW_BYTES + at)
                assert size, "the file is ours alone: it holds what was put there"
                at += size
        except OSError as error:
            raise self._failed(error) from None
        return np.frombuffer(view, event_dtype)

    def _failed(self, error: OSError) -> DataError:
        return DataError(
            f"the rows can't be kept on the disk meanwhile: {error.strerror or error}",
            where=str(self._output.parent),
            hint="nothing was left behind; a conversion needs room for up to 128 bytes a row beside its output",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._held.clear()
        self._closing.close()
