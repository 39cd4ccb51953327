"""`hftd prepare`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from daemon.cli.importing import importing
from daemon.cli.options import FILE, Names, config_option, find_config, json_option, progress_option
from daemon.cli.show.output import put

if TYPE_CHECKING:
    from sim.feed.preparing import Preparation

_EPILOG = """\b
Examples:
  hftd prepare --config configs/replay.toml --date 20220831..20220902
  hftd prepare btcusdt_20240808.npz --tick-size 0.1 --lot-size 0.001
  hftd prepare day.npz --tick-size 0.1 --lot-size 0.001 --for backtest,replay

A run prepares what it finds unprepared, while it reads it. This makes it
ahead, so that the first run is as fast as the second. `hftd cache` shows what
there is.
"""


@click.command("prepare", epilog=_EPILOG)
@click.argument("files", type=FILE, nargs=-1, metavar="[FILE...]")
@config_option("replay.toml")
@click.option(
    "--date", metavar="DATE", help="The days of the configuration: 20220831, or 20220831..20220902."
)
@click.option("--tick-size", type=float, metavar="PRICE", help="With files: that of the asset.")
@click.option("--lot-size", type=float, metavar="QTY", help="With files: that of the asset.")
@click.option("--by-order", is_flag=True, help="With files: a market of single orders (l3_fifo).")
@click.option(
    "--for",
    "uses",
    type=Names("uses", ("backtest", "replay")),
    default=("backtest",),
    metavar="USES",
    help="What will read it: backtest, replay or both, separated by commas. A replay over channels needs all rows.",
)
@json_option
@progress_option
def command(
    files: tuple[Path, ...],
    config: Path | None,
    date: str | None,
    tick_size: float | None,
    lot_size: float | None,
    by_order: bool,
    uses: tuple[str, ...],
    as_json: bool,
    progress_mode: str,
) -> None:
    """Prepare archives ahead of the runs that read them."""
    with importing():
        from daemon.cli.show.progress import working
        from hftd.errors import UsageError
        from sim.feed.preparing import prepare_file

    notes: list[str] = []
    if files and (config is not None or date is not None):
        raise UsageError("files were given, and a configuration too", hint="give one of them")
    if files:
        if tick_size is None or lot_size is None:
            raise UsageError(
                "the tick size or the lot size is missing", hint="give --tick-size and --lot-size"
            )
        jobs = [(path, tick_size, lot_size, by_order) for path in files]
    else:
        jobs = _of_config(config, date, notes)
    done: list[Preparation] = []
    for path, tick, lot, is_by_order in jobs:
        with working(f"preparing {path.name}", progress_mode) as share:
            done.append(
                prepare_file(
                    path, tick, lot, by_order=is_by_order, for_replay="replay" in uses, progress=share
                )
            )
    from daemon.cli.show.cache import prepared

    put({"prepared": done, "notes": notes}, prepared(done, notes), as_json=as_json)


def _of_config(config: Path | None, date: str | None, notes: list[str]) -> list[Any]:
    """The files of a configuration's instruments on the days."""
    from hftd.config import load
    from hftd.errors import UsageError
    from sim.archive import parse_dates
    from sim.config import ReplayConfig
    from sim.run import assets_of

    if date is None:
        raise UsageError(
            "neither files nor days were given",
            hint="give files with --tick-size and --lot-size, or --date (and --config)",
        )
    path = find_config(config, "replay.toml")
    jobs: list[Any] = []
    for asset in assets_of(load(path, ReplayConfig), path.parent, parse_dates(date)):
        model = asset.model
        if model.fuse_bbo:
            notes.append(
                f"{asset.channel}:{asset.symbol} is fused (fuse_bbo): each run unpacks and fuses it anew"
            )
            continue
        jobs += [(Path(str(one)), model.tick_size, model.lot_size, model.by_order) for one in model.data]
    return jobs
