"""Converters: captures of exchanges' streams to archives of `event_dtype` rows.

Each venue is one file that turns messages into rows; what they share is in :mod:`sim.convert.base`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hftd.errors import UsageError
from sim.convert import (
    binancebook,
    binancecoinm,
    binancefutures,
    binancehistory,
    binancespot,
    bybit,
    bybithistory,
    databento,
    hyperliquid,
    mexc,
    tardis,
)
from sim.convert.base import Options, convert_with
from sim.convert.reading import Progress, Venue
from sim.convert.report import Report
from sim.convert.state import CLOCK_JUMP_NS

__all__ = ["VENUES", "Options", "Progress", "Report", "Venue", "convert"]

VENUES: Final = {
    "binancecoinm": Venue(
        "binancecoinm",
        binancecoinm.read_lines,
        binancecoinm.KINDS,
        set_up=binancebook.set_up,
        check=binancebook.check_of(binancebook.COINM),
        back_ns=CLOCK_JUMP_NS,
        takes=("hftbacktest_rows",),
    ),
    "binancefutures": Venue(
        "binancefutures",
        binancefutures.read_lines,
        binancefutures.KINDS,
        set_up=binancebook.set_up,
        check=binancebook.check_of(binancebook.USDM),
        back_ns=CLOCK_JUMP_NS,
        takes=("hftbacktest_rows",),
    ),
    "binancehistory": Venue(
        "binancehistory",
        binancehistory.read_lines,
        binancehistory.KINDS,
        open_input=binancehistory.open_input,
        look=binancehistory.look,
        set_up=binancehistory.set_up,
        check=binancehistory.check,
        takes=("latency_ns",),
    ),
    "binancespot": Venue(
        "binancespot",
        binancespot.read_lines,
        binancespot.KINDS,
        set_up=binancebook.set_up,
        check=binancebook.check_of(binancebook.SPOT),
        back_ns=CLOCK_JUMP_NS,
        takes=("hftbacktest_rows",),
    ),
    "bybit": Venue(
        "bybit",
        bybit.read_lines,
        bybit.KINDS,
        set_up=bybit.set_up,
        check=bybit.check,
        takes=("depth", "hftbacktest_rows"),
    ),
    "bybithistory": Venue(
        "bybithistory",
        bybithistory.read_lines,
        bybithistory.KINDS,
        open_input=bybithistory.open_input,
        look=bybithistory.look,
        set_up=bybithistory.set_up,
        check=bybithistory.check,
        takes=("depth", "latency_ns", "hftbacktest_rows"),
    ),
    "databento": databento.VENUE,
    "hyperliquid": Venue(
        "hyperliquid",
        hyperliquid.read_lines,
        hyperliquid.KINDS,
        set_up=hyperliquid.set_up,
        keeps_case=True,
        takes=("keep_far_levels", "hftbacktest_rows"),
    ),
    "mexc": Venue(
        "mexc",
        mexc.read_lines,
        mexc.KINDS,
        set_up=mexc.set_up,
        check=mexc.check,
        takes=("keep_far_levels", "hftbacktest_rows"),
    ),
    "tardis": tardis.VENUE,
}
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
