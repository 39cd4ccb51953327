"""What a file is: an archive of events, order latencies, or a run."""

import zipfile
from pathlib import Path
from typing import Final

from hftd.errors import DataError
from hftd.runs.blocks import MAGIC
from hftd.types import latency_dtype
from sim.archive.stream import EventReader

EVENTS: Final = "events"
LATENCIES: Final = "latencies"
RUN: Final = "run"
_RUN_KEYS: Final = frozenset({"records", "0", "fills", "meta"})


def kind_of(path: Path | str) -> str:
    """Tell by its keys and row types what a file is; what is nothing of ours counts as `events`, whose reader says why.

    Raises:
        DataError: There is no such file, or it can't be opened.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a path or its text
            if file.read(len(MAGIC)) == MAGIC:
                return RUN
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
    except FileNotFoundError:
        raise DataError("there is no such file", where=str(path)) from None
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError):
        names = {"data"}
    if "data" not in names and names & _RUN_KEYS:
        return RUN
    try:
        with EventReader(path, dtype=latency_dtype):
            return LATENCIES
    except DataError:
        return EVENTS
