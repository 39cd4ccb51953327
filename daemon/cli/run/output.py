"""How a bot's result leaves a command."""

from collections.abc import Callable
from pathlib import Path

import click

from hftd.bot.result import BotResult, save_latencies, save_records, to_json
from hftd.runfile import RunMeta


def put_out(
    result: BotResult,
    *,
    as_json: bool,
    record: Path | None,
    latency: Path | None = None,
    meta: Callable[[], RunMeta] | None = None,
) -> None:
    """Write the records that were asked for, then the result to stdout as JSON or as a table.

    Args:
        result: What the run came to.
        as_json: Rather than as a table.
        record: Where the run's file goes.
        latency: Where the order latencies go.
        meta: Tells what the run's file says of the run; called only if there is one.
    """
    if record is not None:
        save_records(record, result, meta=meta() if meta is not None else None)
    latencies = save_latencies(latency, result) if latency is not None else []
    if as_json:
        click.echo(to_json(result))
        return
    from daemon.cli.show.results import show_bot

    show_bot(result)
    if record is not None:
        click.echo(f"{len(result.records):,} records and {len(result.fills):,} fills: {record}", err=True)
    if latency is not None:
        written = ", ".join(map(str, latencies)) or "no request was answered, so there is no file"
        click.echo(f"{len(result.order_latency):,} order latencies: {written}", err=True)
