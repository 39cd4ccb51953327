"""Archives of HftBacktest 1 to rows, by HftBacktest's name and arguments."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftd.errors import DataError
from hftd.types import BUY_EVENT, EXCH_EVENT, LOCAL_EVENT, SELL_EVENT, event_dtype
from sim.archive import write_events
from sim.data.utils.converting import Name, npz_path

_COLUMNS = 6


def convert(input_file: Name, output_filename: Name | None = None, ts_mul: float = 1000) -> NDArray[Any]:
    """Convert an archive of HftBacktest 1: a matrix of event, two times, side, price and quantity.

    Args:
        input_file: The npz archive.
        output_filename: Where to keep the rows; None: nowhere.
        ts_mul: By how much times are multiplied: there they are microseconds, here nanoseconds.

    Raises:
        DataError: It can't be read, or is something else.
    """
    where = str(input_file)
    try:
        with np.load(input_file, allow_pickle=False) as archive:
            matrix = archive["data"]
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"the archive can't be read: {error}", where=where) from None
    if matrix.ndim != 2 or matrix.shape[1] < _COLUMNS or matrix.dtype.kind not in "fi":
        raise DataError(
            f"it holds {matrix.dtype} of shape {matrix.shape}, no archive of HftBacktest 1", where=where
        )
    kind, exch_ts, local_ts, side, px, qty = matrix.T[:_COLUMNS]
    rows = np.zeros(len(matrix), event_dtype)
    flags = np.where(side == 1, BUY_EVENT, np.where(side == -1, SELL_EVENT, 0))
    # A time of -1 says that this side does not see the row.
    flags |= np.where(exch_ts > 0, EXCH_EVENT, 0) | np.where(local_ts > 0, LOCAL_EVENT, 0)
    rows["ev"] = kind.astype(np.int64) | flags
    rows["exch_ts"], rows["local_ts"] = (
        np.rint(times * ts_mul).astype(np.int64) for times in (exch_ts, local_ts)
    )
    rows["px"], rows["qty"] = px, qty
    if output_filename is not None:
        write_events(npz_path(output_filename), rows)
    return rows
