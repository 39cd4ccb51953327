"""`hftd replay`."""

from pathlib import Path

import click

from daemon.cli.importing import importing
from daemon.cli.options import (
    FILE,
    SPEED,
    config_option,
    date_option,
    find_config,
    json_option,
    life_rows_option,
    progress_option,
)
from daemon.cli.show.output import check_outputs, put

_EPILOG = """\b
Examples:
  hftd replay --date 20220831
  hftd replay --date 20220831..20220902 --config configs/replay.toml
  hftd replay --date 20220831 --speed 10      ten times as fast as it was

The daemon waits for its bots (`hftd bot`), plays the days as fast as they
can take them, every run the same, and ends with the data.
"""


@click.command("replay", epilog=_EPILOG)
@date_option
@config_option("replay.toml")
@click.option(
    "--speed",
    type=SPEED,
    metavar="X",
    help="Follow the wall clock, X times as fast as it was. Default: in lockstep with the bots.",
)
@click.option(
    "--life",
    type=FILE,
    metavar="OUT.npz",
    help="Write the life of each order of the bots: why it filled, as `hftd explain OUT.npz` tells.",
)
@life_rows_option
@json_option
@progress_option
def command(
    date: str,
    config: Path | None,
    speed: float | None,
    life: Path | None,
    life_rows: int,
    as_json: bool,
    progress_mode: str,
) -> None:
    """Play recorded days into shared-memory channels, through latency, queue and fee models."""
    with importing():
        from daemon.cli.compiling import watching
        from daemon.cli.logs import log_to, take_stderr
        from daemon.cli.show.progress import replay_progress
        from daemon.connector.secrets import forget_environment
        from hftd.config import load
        from sim.config import ReplayConfig
        from sim.replay.daemon import run

    # Whatever runs in here, a strategy or a model, has no business with the keys of an account.
    forget_environment()
    path = find_config(config, "replay.toml")
    replay_config = load(path, ReplayConfig)
    check_outputs(life)
    from sim.archive import parse_dates

    dates = parse_dates(date)
    take_stderr()
    # The bar owns the terminal's line: what is compiled is said above it.
    compiling_mode = "plain" if progress_mode == "auto" else progress_mode
    with watching(compiling_mode), replay_progress(progress_mode) as progress:
        log_to(progress.say)
        summary = run(replay_config, path.parent, dates, speed, progress, life, life_rows)
    from daemon.cli.show import runs

    put(summary, runs.replay(summary), as_json=as_json)
