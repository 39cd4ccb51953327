"""What the converters of this package share: paths as strings, an output that may be left out, rows as the result."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftd.errors import UsageError
from sim.archive import read_events
from sim.convert import VENUES, Options
from sim.convert import convert as convert_files

Name = str | Path


def npz_path(name: Name) -> Path:
    """An output's path, as `numpy.savez_compressed` takes a name: with the suffix if it has none."""
    path = Path(name)
    return path if path.suffix == ".npz" else path.with_name(f"{path.name}.npz")


def whole_ns(latency: float, what: str) -> int:
    """A latency in nanoseconds.

    Raises:
        UsageError: It is not a number, or is below zero.
    """
    if not isinstance(latency, int | float | np.number) or not 0 <= latency < 1 << 62:
        raise UsageError(f"{what} is {latency!r}", hint="it is a number of nanoseconds")
    return int(latency)


def converted(
    venue: str, inputs: Sequence[Name], output_filename: Name | None, base_latency: float = 0, **options: Any
) -> NDArray[Any]:
    """Convert files, and read the archive that came of them.

    The rows are those that HftBacktest's converter makes, where there is a choice.

    Args:
        venue: A name in `sim.convert.VENUES`.
        inputs: Files.
        output_filename: The archive to keep; None: none.
        base_latency: As `Options.base_latency_ns`.
        options: Further fields of `sim.convert.Options`.

    Returns:
        Rows of `event_dtype`.

    Raises:
        UsageError: An argument is wrong.
        DataError: A file can't be read or converted.
    """
    if isinstance(inputs, (str, Path)):
        raise UsageError(f"the inputs are {inputs!r}, but must be a list of files")
    if "hftbacktest_rows" in VENUES[venue].takes:
        options["hftbacktest_rows"] = True
    asked = Options(base_latency_ns=whole_ns(base_latency, "base_latency"), **options)
    paths = [Path(name) for name in inputs]
    if output_filename is not None:
        output = npz_path(output_filename)
        convert_files(paths, output, venue=venue, options=asked)
        return read_events(output)
    with tempfile.TemporaryDirectory(prefix="hftd-convert-") as folder:
        output = Path(folder) / "rows.npz"
        convert_files(paths, output, venue=venue, options=asked)
        return read_events(output)


def day_converter(venue: str) -> Callable[..., NDArray[Any]]:
    """The `convert` of a venue whose days are one file of depth and one of trades."""

    def convert(
        depth_filename: Name,
        trades_filename: Name,
        output_filename: Name | None = None,
        buffer_size: int = 100_000_000,  # noqa: ARG001 - not needed
        feed_latency: float = 0,
        base_latency: float = 0,
        depth_has_header: bool | None = None,  # noqa: ARG001 - seen from the file
        trades_has_header: bool | None = None,  # noqa: ARG001 - seen from the file
    ) -> NDArray[Any]:
        """Convert a day of depth and of trades; rows arrive `feed_latency` ns after they were sent."""
        latency_ns = whole_ns(feed_latency, "feed_latency")
        inputs = [depth_filename, trades_filename]
        return converted(venue, inputs, output_filename, base_latency, latency_ns=latency_ns)

    return convert
