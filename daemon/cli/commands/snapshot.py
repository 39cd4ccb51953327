"""`hftd snapshot`."""

from pathlib import Path

import click

from daemon.cli.options import FILE, clock_option, json_option, lot_option, progress_option, tick_option
from daemon.cli.show.output import put

_EPILOG = """\b
Examples:
  hftd snapshot btcusdt_20240808.npz btcusdt_20240808_eod.npz
  hftd snapshot day1.npz day2.npz eod.npz --initial before.npz
  hftd snapshot day.npz noon.npz --at 12:00

The snapshot is what `initial_snapshot` takes for the next day: of levels, the
rows of HftBacktest's create_last_snapshot; of single orders, rows that add
each order in the order of the queues.

Exit codes: 0 good, 2 an archive can't be read or played, or an option is wrong.
"""


@click.command("snapshot", epilog=_EPILOG)
@click.argument("files", type=FILE, nargs=-1, required=True, metavar="FILE...")
@click.argument("output", type=FILE, metavar="OUT.npz")
@tick_option
@lot_option
@click.option("--initial", type=FILE, metavar="FILE", help="The snapshot with which the first day begins.")
@click.option("--at", metavar="TIME", help="Not the end, but this time: ns, ISO 8601, or HH:MM:SS (UTC).")
@clock_option
@json_option
@progress_option
def command(
    files: tuple[Path, ...],
    output: Path,
    tick_size: float | None,
    lot_size: float | None,
    initial: Path | None,
    at: str | None,
    clock: str,
    as_json: bool,
    progress_mode: str,
) -> None:
    """Make the book with which archives of one instrument end, for the start of the next day."""
    from daemon.cli.importing import importing
    from daemon.cli.show.progress import working

    with importing():
        from sim.tools import snapshot
        from sim.tools.book import END
        from sim.tools.times import first_time, last_time, parse_time

    until_ts = END
    if at is not None:
        until_ts = parse_time(at, first_time(files[0], clock), lambda: last_time(files[-1], clock))
    with working("reading", progress_mode) as progress:
        _, report = snapshot(
            files,
            output,
            tick_size=tick_size,
            lot_size=lot_size,
            initial=initial,
            until_ts=until_ts,
            clock=clock,
            progress=progress,
        )
    from daemon.cli.show import archives

    put(report, archives.snapshot(report), as_json=as_json, indent=2)
