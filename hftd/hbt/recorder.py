"""Time series of an account, kept while a strategy runs."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftd import failures
from hftd.compiled.arena import Arena
from hftd.compiled.layout import recorder_dtype
from hftd.errors import DataError, OrderError
from hftd.hbt import arguments, session
from hftd.hbt.types import recorder_type
from hftd.hbt.typing import python_class
from hftd.hbt.views import view
from hftd.types import record_dtype

MAX_ROWS = 1 << 36
"""More have no place among a process's addresses."""


@python_class(recorder_type)
class RecorderMemory:
    """The rows that a recorder fills in compiled code.

    Args:
        num_assets: Columns.
        record_size: How many rows it may hold; more are counted, not kept.
    """

    def __init__(self, num_assets: int, record_size: int) -> None:
        self._arena = Arena()
        self.num_assets = num_assets
        row = self._arena.records(recorder_dtype, 1)
        self._row = row[0]
        row["records"] = self._arena.reserve(record_dtype.itemsize * num_assets * record_size)
        row["num_assets"] = num_assets
        row["cap"] = record_size
        row["fn_record"] = session.record.address
        self.address = int(row.ctypes.data)

    def rows(self) -> NDArray[Any]:
        """What was recorded, shape (n, num_assets), `record_dtype`."""
        return self.growing().copy()

    def growing(self) -> NDArray[Any]:
        """The same where it stands, while more may be recorded behind it."""
        count = int(self._row["len"])
        if count == 0:
            return np.empty((0, self.num_assets), record_dtype)
        return view(int(self._row["records"]), record_dtype, count * self.num_assets).reshape(count, -1)

    def record(self, hbt: Any) -> None:
        """Add a row for each asset of a bot or backtest.

        Raises:
            OrderError: It is something else.
        """
        if not isinstance(getattr(hbt, "address", None), int):
            raise OrderError(f"{type(hbt).__name__} is not a backtest or bot that can be recorded")
        session.record.call(self.address, hbt.address)

    def check(self) -> None:
        """Raise an error if what was recorded is a part of a run that failed, and nobody has looked at its error.

        Raises:
            DataError: It is so.
        """
        # A run that failed before its first record is unknown here.
        if failures.is_unseen(int(self._row["run"])) or (not self._row["run"] and failures.any_unseen()):
            raise DataError(
                "the run that was recorded stopped with an error before its data was over",
                hint="the error was written to stderr; ask for it (hbt.error, hbt.check() or hbt.close()) to read "
                "the records of a run in part",
            )

    @property
    def records(self) -> NDArray[Any]:
        """As `rows`, by the name that HftBacktest's has."""
        return self.rows()

    @property
    def i(self) -> int:
        """How many rows each asset has."""
        return int(self._row["len"])

    @property
    def dropped(self) -> int:
        """Rows that did not fit."""
        return int(self._row["dropped"])


class Recorder:
    """Records the state of all assets when a strategy says so: `recorder.recorder.record(hbt)`.

    Args:
        num_assets: Number of assets.
        record_size: The most rows it may hold; further ones are counted in `recorder.dropped`, not kept.

    Raises:
        OrderError: There is no asset, no row, or more than there can be room for.
    """

    def __init__(self, num_assets: int, record_size: int) -> None:
        num_assets = arguments.whole(num_assets, "the number of assets")
        record_size = arguments.whole(record_size, "the recorder's size")
        if num_assets < 1 or not 1 <= record_size * num_assets <= MAX_ROWS:
            raise OrderError(
                f"a recorder of {record_size} rows for {num_assets} assets can't be made",
                hint=f"both are at least 1, and together they are {MAX_ROWS:,} rows at most",
            )
        self._memory = RecorderMemory(num_assets, record_size)

    @property
    def recorder(self) -> RecorderMemory:
        """What a strategy is given, compiled or not."""
        return self._memory

    def get(self, asset_no: int) -> NDArray[Any]:
        """The rows of an asset, shape (n,), `record_dtype`.

        Raises:
            DataError: The run stopped with an error at which nobody has looked.
        """
        self._memory.check()
        return self._memory.rows()[:, asset_no]

    def to_npz(self, file: str | Path) -> None:
        """Save the rows, one array for each asset under its number as the key; raises as `get` does."""
        self._memory.check()
        rows = self._memory.rows()
        np.savez_compressed(file, **{str(asset_no): rows[:, asset_no] for asset_no in range(rows.shape[1])})  # pyright: ignore[reportArgumentType]
