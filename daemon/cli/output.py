"""How a bot's result leaves a command."""

from pathlib import Path

import click

from hftd.bot.result import BotResult, save_records, to_json


def put_out(result: BotResult, *, as_json: bool, record: Path | None) -> None:
    """Write the records that were asked for, then the result to stdout as JSON or as a table."""
    if record is not None:
        save_records(record, result)
    if as_json:
        click.echo(to_json(result))
        return
    from daemon.cli.results import show_bot

    show_bot(result)
    if record is not None:
        click.echo(f"{len(result.records):,} records and {len(result.fills):,} fills: {record}", err=True)
