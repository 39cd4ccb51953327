"""Columns of equal length under names: what metrics compute on."""

# pyright: basic

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftd.errors import DataError, UsageError
from sim.stats.tables import EXTRA, Tabular

Column = NDArray[Any]


class Frame(Tabular):
    """Columns of equal length, in order.

    Args:
        columns: One-dimensional arrays by name.
    """

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self._columns = dict(columns)

    @classmethod
    def of(cls, data: Any) -> "Frame":
        """Columns from what people have them in.

        Args:
            data: A structured array, a mapping of arrays, or a DataFrame of polars or pandas.

        Raises:
            DataError: It is something else.
        """
        if isinstance(data, Frame):
            return cls(data._columns)
        if isinstance(data, np.ndarray):
            if data.dtype.names is None or data.ndim != 1:
                raise DataError(
                    "a record is a one-dimensional structured array",
                    hint="take one asset's rows: `recorder.get(0)`, or np.load(file)['0']",
                )
            return cls({name: np.ascontiguousarray(data[name]) for name in data.dtype.names})
        names = list(data) if isinstance(data, Mapping) else getattr(data, "columns", None)
        if names is None:
            raise DataError(f"{type(data).__name__} is not a record: give an array, a mapping or a DataFrame")
        frame = cls({str(name): np.asarray(data[name]) for name in names})
        if len({len(column) for column in frame._columns.values()}) > 1:
            raise DataError("the columns are of different lengths")
        return frame

    def __getitem__(self, name: str) -> Column:
        try:
            return self._columns[name]
        except KeyError:
            raise DataError(
                f"the record has no column {name!r}", hint=f"it has {', '.join(self._columns)}"
            ) from None

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __len__(self) -> int:
        return len(next(iter(self._columns.values()))) if self._columns else 0

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    @property
    def columns(self) -> list[str]:
        """The names."""
        return list(self._columns)

    def get(self, name: str, default: Any = None) -> Any:
        """A column, or the default where there is none."""
        return self._columns.get(name, default)

    def select(self, *names: str | list[str]) -> "Frame":
        """Some of the columns, in that order."""
        chosen = [one for name in names for one in ([name] if isinstance(name, str) else name)]
        return Frame({name: self[name] for name in chosen})

    def _rows_of_cells(self) -> Iterator[tuple[Any, ...]]:
        return zip(*(column.tolist() for column in self._columns.values()), strict=True)

    def with_columns(self, *expressions: Any, **columns: Column) -> "Frame":
        """A copy with these columns added or replaced.

        Raises:
            UsageError: Expressions are given, which are a matter of polars.
        """
        if expressions:
            raise UsageError("expressions need polars", hint=f"{EXTRA}, or give arrays by name")
        return Frame({**self._columns, **columns})

    def take(self, rows: Any) -> "Frame":
        """The rows of a slice, a mask or indices."""
        return Frame({name: column[rows] for name, column in self._columns.items()})

    def to_dict(self) -> dict[str, Column]:
        """The arrays by name."""
        return dict(self._columns)

    def to_polars(self) -> Any:
        """A polars DataFrame; polars must be installed."""
        import polars  # pyright: ignore[reportMissingImports]

        return polars.DataFrame(self._columns)

    def to_pandas(self) -> Any:
        """A pandas DataFrame; pandas must be installed."""
        import pandas  # pyright: ignore[reportMissingImports]

        return pandas.DataFrame(self._columns)
