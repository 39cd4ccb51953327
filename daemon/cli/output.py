"""How a bot's result leaves a command."""

from pathlib import Path

import click

from hftd.bot.result import BotResult, save_latencies, save_records, to_json


def put_out(result: BotResult, *, as_json: bool, record: Path | None, latency: Path | None = None) -> None:
    """Write the records that were asked for, then the result to stdout as JSON or as a table."""
    if record is not None:
        save_records(record, result)
    latencies = save_latencies(latency, result) if latency is not None else []
    if as_json:
        click.echo(to_json(result))
        return
    from daemon.cli.results import show_bot

    show_bot(result)
    if record is not None:
        click.echo(f"{len(result.records):,} records and {len(result.fills):,} fills: {record}", err=True)
    if latency is not None:
        written = ", ".join(map(str, latencies)) or "no request was answered, so there is no file"
        click.echo(f"{len(result.order_latency):,} order latencies: {written}", err=True)
