"""`hftd bot`."""

from functools import partial
from pathlib import Path

import click

from daemon.cli.importing import importing
from daemon.cli.options import (
    config_option,
    find_config,
    json_option,
    latency_option,
    progress_option,
    record_option,
)
from daemon.cli.show.output import check_outputs

_EPILOG = """\b
Examples:
  hftd bot
  hftd bot --config configs/grid.toml --record grid.npz
  hftd bot --json | jq '.assets[].equity'

The channels must be there: start `hftd replay --date 20220831` first. Ctrl-C
tells the strategy that it is over; its open orders end as [bot] end says.
"""


def _log_to_stderr() -> None:
    """Once there is something to say: stdout is for results."""
    from daemon.cli.logs import log_to

    log_to(partial(click.echo, err=True))


@click.command("bot", epilog=_EPILOG)
@config_option("bot.toml")
@json_option
@record_option
@latency_option
@progress_option
def command(
    config: Path | None, as_json: bool, record: Path | None, latency: Path | None, progress_mode: str
) -> None:
    """Run a compiled strategy on channels and show what it came to."""
    # Nothing is imported here that the strategy does not need: a bot is to start fast.
    with importing():
        from daemon.cli.compiling import watching
        from daemon.cli.logs import take_stderr
        from daemon.cli.run.noting import noting_of
        from daemon.connector.secrets import forget_environment
        from hftd.bot.config import BotConfig
        from hftd.bot.runner import run
        from hftd.config import load
        from hftd.log import set_up_with

    # Whatever runs in here, a strategy or a model, has no business with the keys of an account.
    forget_environment()
    path = find_config(config, "bot.toml")
    bot_config = load(path, BotConfig)
    check_outputs(record, latency)
    take_stderr()
    set_up_with(_log_to_stderr)
    from daemon.cli.run.reporting import Reporter

    with watching(progress_mode), Reporter(progress_mode, bot_config.bot.report_every_s) as reporter:
        # Latencies alone are the run's blocks too, until they are written by themselves.
        growing = record or (latency.with_suffix(f".run{latency.suffix}") if latency else None)
        noting = noting_of(bot_config, path.parent) if record is not None else None
        result = run(bot_config, path.parent, record=growing, companion=reporter, noting=noting)
    from daemon.cli.run.left import left_behind
    from daemon.cli.run.recording import bot_meta, put_out

    put_out(
        result,
        as_json=as_json,
        record=record,
        latency=latency,
        meta=lambda: bot_meta(bot_config, result, noting),
        left=left_behind(result, bot_config.bot.end),
    )
    if growing is not None and growing != record:
        growing.unlink(missing_ok=True)
    if result.lost:
        from hftd.errors import LeaseLostError

        raise LeaseLostError(
            f"the bot lost its {result.lost}",
            where=f"bot {result.name}",
            hint="the result is that of the run up to then; see what the daemon says",
        )
