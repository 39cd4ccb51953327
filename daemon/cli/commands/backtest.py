"""`hftd backtest`."""

from contextlib import nullcontext
from functools import partial
from pathlib import Path

import click

from daemon.cli.importing import importing
from daemon.cli.options import (
    FILE,
    config_option,
    date_option,
    find_config,
    json_option,
    latency_option,
    life_rows_option,
    progress_option,
    record_option,
)
from daemon.cli.show.output import check_outputs

_EPILOG = """\b
Examples:
  hftd backtest --bot configs/bot.toml --date 20220831
  hftd backtest --bot configs/grid.toml --date 20220831 --record grid.npz
  hftd backtest --bot configs/grid.toml --date 20220831 \\
    --record grid.npz --explain
  hftd backtest --bot configs/bot.toml --date 20220831 --bounds

\b
The result is that of `hftd replay` and `hftd bot` on the same
configurations, bit for bit.
"""


@click.command("backtest", epilog=_EPILOG)
@config_option("replay.toml")
@click.option("--bot", "bot", type=FILE, required=True, metavar="bot.toml", help="The bot's configuration.")
@date_option
@json_option
@record_option
@click.option(
    "--explain",
    is_flag=True,
    help="Put the life of each order into OUT.npz: why it filled, as `hftd explain OUT.npz` tells.",
)
@life_rows_option
@click.option(
    "--changes",
    type=FILE,
    metavar="RUN.npz",
    help="Set parameters when they were set in that run of a bot (`hftd set`); the bot needs `allow_set`.",
)
@click.option(
    "--bounds",
    is_flag=True,
    help="Also run it under the bounds and other models of queue and latency: how much of the result is the models'.",
)
@latency_option
@progress_option
def command(
    config: Path | None,
    bot: Path,
    date: str,
    as_json: bool,
    record: Path | None,
    explain: bool,
    life_rows: int,
    changes: Path | None,
    bounds: bool,
    latency: Path | None,
    progress_mode: str,
) -> None:
    """Run a replay and a bot in one process, for research and sweeps."""
    # Nothing is imported here that the strategy does not need: a backtest is to start fast.
    with importing():
        from daemon.cli.compiling import watching
        from daemon.cli.run.noting import noting_of
        from daemon.connector.secrets import forget_environment
        from hftd.bot.config import BotConfig
        from hftd.config import load
        from hftd.errors import UsageError
        from hftd.runfile import changes_of
        from sim.config import ReplayConfig
        from sim.run import backtest

    if explain and record is None:
        raise UsageError(
            "--explain has no file to write into", hint="add --record RUN.npz, then `hftd explain RUN.npz`"
        )
    # Whatever runs in here, a strategy or a model, has no business with the keys of an account.
    forget_environment()
    path = find_config(config, "replay.toml")
    replay_config = load(path, ReplayConfig)
    bot_config = load(bot, BotConfig)
    check_outputs(record, latency)
    from sim.archive import parse_dates

    dates = parse_dates(date)
    noting = noting_of(bot_config, bot.parent, life_rows if explain else 0) if record is not None else None
    run = (replay_config, path.parent, bot_config, bot.parent, dates)
    given = changes_of(changes) if changes is not None else ()
    strategy = None
    looking = nullcontext()
    if bounds:
        from hftd.bot.strategy import load_strategy
        from sim.feed.known import looking_once

        strategy = load_strategy(
            bot_config.bot.strategy, bot_config.parameters, bot.parent, allow_set=bot_config.bot.allow_set
        )
        # The variants' archives are those of the run: what is looked at once need not be hashed ten times.
        looking = looking_once()
    with watching(progress_mode), looking:
        result = backtest(*run, life_rows if explain else 0, given, noting, strategy=strategy)
        if strategy is not None and result.ended != "stopped":
            from msgspec.structs import replace

            from sim.results.bounds import run_bounds

            result = replace(result, bounds=run_bounds(*run, result, strategy, given))
    from daemon.cli.run.recording import backtest_meta, put_out

    meta = partial(backtest_meta, replay_config, path.parent, bot_config, dates, result, noting)
    put_out(result, as_json=as_json, record=record, latency=latency, meta=meta)
