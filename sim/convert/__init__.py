"""Converters: captures of exchanges' streams to archives of `event_dtype` rows.

Each venue is one file that turns messages into rows; what they share is in :mod:`sim.convert.base`.
"""

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Final

from hftd.errors import UsageError
from sim.convert import venues
from sim.convert.base import Options, convert_with
from sim.convert.reader.venue import Venue
from sim.convert.reading import Progress
from sim.convert.report import Report

__all__ = ["VENUES", "Options", "Progress", "Report", "Venue", "convert"]


def _found() -> Iterator[Venue]:
    for module in sorted(module.name for module in iter_modules(venues.__path__)):
        venue = getattr(import_module(f"{venues.__name__}.{module}"), "VENUE", None)
        if isinstance(venue, Venue):
            yield venue


VENUES: Final = {venue.name: venue for venue in _found()}
"""The converters by name."""


def convert(
    inputs: Sequence[Path],
    output: Path,
    *,
    venue: str = "binancefutures",
    options: Options | None = None,
    progress: Progress | None = None,
    on_write: Progress | None = None,
) -> Report:
    """Convert captures into one archive.

    What is broken or not understood in a capture is left out, counted and reported; with `strict` it is
    refused.

    Args:
        inputs: Captures as the venue's converter takes them, plain or packed with gzip, zip or zstd; several are
            read in the order of their times, however they are called, and all their rows are put in the order of
            both clocks.
        output: The npz archive; replaced as a whole, and untouched on an error.
        venue: A name in `VENUES`.
        options: How to convert.
        progress: Called with the bytes read and the bytes of all inputs, at most ten times a second and at
            the end.
        on_write: Called with the rows put in order and all rows, after each block of 32,768; at the end with the
            archive's rows, which are more if some were split.

    Returns:
        The report; its `exit_code` is 1 if a part of the inputs was lost.

    Raises:
        UsageError: An argument is wrong.
        DataError: An input can't be read or gives no row, has several symbols of which none was chosen, is
            damaged under `strict`, or the archive can't be written.
    """
    if venue not in VENUES:
        raise UsageError(f"there is no converter {venue!r}", hint=f"there is {', '.join(VENUES)}")
    return convert_with(
        VENUES[venue],
        inputs,
        output,
        options=options or Options(),
        progress=progress,
        on_write=on_write,
    )
