"""`hftd latency`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from daemon.cli.options import DURATION, FILE, json_option, picture_option, progress_option
from daemon.cli.show.output import check_outputs, put, put_picture

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sim.tools import LatencyReport

_EPILOG = """\b
Examples:
  hftd latency feed btcusdt_20240808.npz latency_20240808.npz
  hftd latency feed day.npz latency.npz --mul-entry 4 --mul-resp 3
  hftd latency orders live1.npz live2.npz latency.npz --picture latency.png

What comes out is what a backtest's `interpolated` order latency reads
(`intp_order_latency`).
"""
_FEED_EPILOG = """\b
Examples:
  hftd latency feed day.npz latency.npz
  hftd latency feed day1.npz day2.npz latency.npz \\
    --mul-entry 4 --offset-entry 1000000

Of each second of the local clock the last row with both flags counts:
entry = mul-entry * latency + offset-entry, and the response with mul-resp and offset-resp.
"""
_ORDERS_EPILOG = """\b
Examples:
  hftd latency orders latency.npz merged.npz
  hftd latency orders monday.npz tuesday.npz run.npz merged.npz --asset 0

RECORDED is what `hftd bot --latency` or `--record` wrote.
"""

_picture_option = picture_option("the latencies")


@click.group("latency", epilog=_EPILOG)
def command() -> None:
    """Make order latencies for backtests: from a feed's latencies, or from orders recorded live."""


@command.command("feed", epilog=_FEED_EPILOG)
@click.argument("files", type=FILE, nargs=-1, required=True, metavar="FILE...")
@click.argument("output", type=FILE, metavar="OUT.npz")
@click.option(
    "--mul-entry", type=float, default=1.0, show_default=True, help="Entry latency in feed latencies."
)
@click.option("--offset-entry", type=float, default=0.0, show_default=True, metavar="NS", help="Added to it.")
@click.option(
    "--mul-resp", type=float, default=1.0, show_default=True, help="Response latency in feed latencies."
)
@click.option("--offset-resp", type=float, default=0.0, show_default=True, metavar="NS", help="Added to it.")
@click.option(
    "--resampling",
    "resampling_ns",
    type=DURATION,
    default="1s",
    show_default=True,
    metavar="TIME",
    help="One row for each such stretch, as 100ms, 1s or in ns.",
)
@_picture_option
@json_option
@progress_option
def feed(
    files: tuple[Path, ...],
    output: Path,
    mul_entry: float,
    offset_entry: float,
    mul_resp: float,
    offset_resp: float,
    resampling_ns: int,
    picture: Path | None,
    as_json: bool,
    progress_mode: str,
) -> None:
    """Make order latencies from the feed latencies of archives."""
    from daemon.cli.show.progress import working
    from sim.tools import feed_latencies

    check_outputs(picture)
    with working("reading", progress_mode) as progress:
        rows, report = feed_latencies(
            files,
            output,
            mul_entry=mul_entry,
            offset_entry=offset_entry,
            mul_resp=mul_resp,
            offset_resp=offset_resp,
            resampling_ns=resampling_ns,
            progress=progress,
        )
    _put(rows, report, picture, as_json)


@command.command("orders", epilog=_ORDERS_EPILOG, short_help="Put the latencies of recorded orders together.")
@click.argument("files", type=FILE, nargs=-1, required=True, metavar="RECORDED...")
@click.argument("output", type=FILE, metavar="OUT.npz")
@click.option(
    "--asset",
    "asset_no",
    type=click.IntRange(min=0),
    help="Which asset's, of a run with several. Default: the only one.",
)
@_picture_option
@json_option
def orders(
    files: tuple[Path, ...], output: Path, asset_no: int | None, picture: Path | None, as_json: bool
) -> None:
    """Put the latencies of recorded orders together: sorted, checked, summarised."""
    from sim.tools import recorded_latencies

    check_outputs(picture)
    rows, report = recorded_latencies(files, output, asset_no=asset_no)
    _put(rows, report, picture, as_json)


def _put(rows: "NDArray[np.void]", report: "LatencyReport", picture: Path | None, as_json: bool) -> None:
    from daemon.cli.show import archives, charts

    if picture is not None:
        put_picture(picture, charts.latencies(rows, report))
    put(report, archives.latencies(report), as_json=as_json, indent=2)
