"""`hftd sweep`."""

from pathlib import Path

import click

from daemon.cli.importing import importing
from daemon.cli.options import FILE, config_option, find_config, json_option, progress_option
from daemon.cli.show.output import put

_EPILOG = """\b
Examples:
  hftd sweep --bot configs/bot.toml --dates 20240801..20240807 \\
    --set half_spread_ticks=2:20:2 --set order_qty=0.01,0.02 --out sweep/
  hftd sweep --bot configs/bot.toml --dates 20240801 \\
    --set half_spread_ticks=2:40 --random 200 --seed 7 --out chance/

\b
What each point comes to is that of `hftd backtest`, bit for bit. The same
command goes on where it was stopped, however that was.
"""


@click.command("sweep", epilog=_EPILOG)
@config_option("replay.toml")
@click.option("--bot", "bot", type=FILE, required=True, metavar="bot.toml", help="The bot's configuration.")
@click.option(
    "--dates",
    required=True,
    metavar="DATES",
    help="The days, each played from a flat start: 20240801, 20240801,20240802 or 20240801..20240807.",
)
@click.option(
    "--set",
    "values",
    multiple=True,
    metavar="NAME=VALUES",
    help="What a parameter takes: values separated by commas, or first:last:step; first:last with --random.",
)
@click.option("--out", type=FILE, required=True, metavar="FOLDER", help="The folder of the sweep.")
@click.option(
    "--random",
    type=click.IntRange(1),
    metavar="N",
    help="So many points by chance, instead of all combinations.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of that chance.")
@click.option(
    "--workers", type=click.IntRange(1, 1024), metavar="N", help="Processes. Default: as many as processors."
)
@click.option(
    "--best", type=click.IntRange(0), default=10, show_default=True, help="So many points are shown."
)
@json_option
@progress_option
def command(
    config: Path | None,
    bot: Path,
    dates: str,
    values: tuple[str, ...],
    out: Path,
    random: int | None,
    seed: int,
    workers: int | None,
    best: int,
    as_json: bool,
    progress_mode: str,
) -> None:
    """Play many points of a strategy's parameters over many days."""
    with importing():
        from daemon.cli.show.progress import Share
        from daemon.cli.show.sweep import shown
        from daemon.connector.secrets import forget_environment
        from sim.sweeps.sweep import sweep

    # Whatever runs in here, a strategy or a model, has no business with the keys of an account.
    forget_environment()
    path = find_config(config, "replay.toml")
    with Share("points of all days", mode=progress_mode, tells_left=True) as share:
        found = sweep(
            path, bot, dates, values, out, random=random, seed=seed, workers=workers, progress=share
        )
    put(
        {"folder": found.folder, "days": found.days, "points": found.points},
        shown(found, best),
        as_json=as_json,
    )
