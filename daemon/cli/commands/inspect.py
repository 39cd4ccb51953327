"""`hftd inspect`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from daemon.cli.options import (
    FILE,
    clock_option,
    json_option,
    lot_option,
    picture_option,
    progress_option,
    tick_option,
)
from daemon.cli.show.output import check_outputs, put

if TYPE_CHECKING:
    from sim.checks.report import Series
    from sim.tools import Contents

_EPILOG = """\b
Examples:
  hftd inspect btcusdt_20240808.npz
  hftd inspect day.npz --at 12:00:00.5 --depth 5
  hftd inspect day.npz --at 2024-08-08T23:55:00Z --clock exch --json
  hftd inspect latency.npz
  hftd inspect run.npz

FILE is an archive of events, a file of order latencies, or what a run
recorded. A time of day (UTC) is the first one that the archive reaches, and
that of its first day if it reaches none.
What is wrong with an archive is counted here, and `hftd validate` shows it.

Exit codes: 0 good, 2 the file can't be read or an option is wrong.
"""


@click.command("inspect", epilog=_EPILOG)
@click.argument("file", type=FILE, metavar="FILE")
@click.option(
    "--at", metavar="TIME", help="The book at this time: ns, ISO 8601, or HH:MM:SS. Default: the end."
)
@click.option(
    "--depth", type=click.IntRange(0, 10_000), default=5, show_default=True, help="Levels of each side."
)
@click.option(
    "--rows",
    type=click.IntRange(0, 10_000),
    default=3,
    show_default=True,
    help="First and last rows to show.",
)
@clock_option
@tick_option
@lot_option
@picture_option("the archive over time, or the latencies")
@json_option
@progress_option
def command(
    file: Path,
    at: str | None,
    depth: int,
    rows: int,
    clock: str,
    tick_size: float | None,
    lot_size: float | None,
    picture: Path | None,
    as_json: bool,
    progress_mode: str,
) -> None:
    """Show what is in an archive: span, kinds, prices, rates, latencies, the book at a time."""
    from daemon.cli.importing import importing
    from daemon.cli.show.progress import working

    with importing():
        from sim.checks import Limits
        from sim.tools import inspect

    check_outputs(picture)
    with working("reading", progress_mode) as progress:
        contents, series = inspect(
            file,
            at=at,
            depth=depth,
            rows=rows,
            clock=clock,
            limits=Limits(tick_size=tick_size, lot_size=lot_size),
            progress=progress,
        )
    from daemon.cli.show import archives

    if picture is not None:
        _draw(picture, file, contents, series)
    put(contents, archives.contents(contents), as_json=as_json)


def _draw(picture: Path, file: Path, contents: "Contents", series: "Series | None") -> None:
    from daemon.cli.show import charts
    from daemon.cli.show.picture import draw
    from hftd.errors import UsageError
    from sim.archive import read_latencies

    if series is not None and contents.check is not None:
        draw(picture, charts.archive(contents.check, series))
    elif contents.latencies is not None:
        draw(picture, charts.latencies(read_latencies(file), contents.latencies))
    else:
        raise UsageError("there is no picture of a run here", where=str(file), hint="`hftd report` draws it")
