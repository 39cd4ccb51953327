"""`hftd compare`."""

from pathlib import Path

import click

from daemon.cli.options import FILE, json_option, picture_option
from daemon.cli.show.output import check_outputs, put

_EPILOG = """\b
Examples:
  hftd bot --record live.npz --latency latency.npz       the live run
  hftd backtest --bot bot.toml --date 20240808 --record backtest.npz
  hftd compare live.npz backtest.npz --picture both.png

Requests are compared if both runs recorded them ([record] orders = true).
Two rows are one if they have the same asset, side, price and quantity, and
their times differ by the tolerance at most. Exit code 1: more rows than
--allow are only in one of the runs.
"""


@click.command("compare", epilog=_EPILOG)
@click.argument("live", type=FILE, metavar="LIVE.npz")
@click.argument("backtest", type=FILE, metavar="BACKTEST.npz")
@click.option(
    "--tolerance-ms",
    type=click.FloatRange(min=0),
    default=5.0,
    show_default=True,
    help="How far the times of one order or fill may be apart.",
)
@click.option(
    "--allow",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="The part of rows that may be in one of the runs only.",
)
@picture_option("both runs, one over the other")
@click.option(
    "--rows", type=click.IntRange(min=0), default=10, show_default=True, help="Differences to show."
)
@json_option
def command(
    live: Path,
    backtest: Path,
    tolerance_ms: float,
    allow: float,
    picture: Path | None,
    rows: int,
    as_json: bool,
) -> int:
    """Show a live run and its backtest side by side: requests, fills, and where the account stands."""
    from daemon.cli.show import charts, runs
    from daemon.cli.show import picture as pictures
    from hftd.bot.result import load_records
    from hftd.runfile import read_run
    from sim.results.compare import compare

    check_outputs(picture)
    pair = load_records(live), load_records(backtest)
    comparison = compare(*pair, tolerance_ns=round(tolerance_ms * 1e6), rows=rows)
    if picture is not None:
        pictures.draw(picture, charts.pair(*pair, comparison))
    for file in (live, backtest):
        if meta := read_run(file).meta:
            for change in meta.changes:
                click.echo(f"parameters were set in {file}: {change.told()}", err=True)
    put(comparison, runs.comparison(comparison), as_json=as_json)
    return 0 if comparison.apart <= allow else 1
