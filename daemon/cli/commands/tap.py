"""`hftd tap`."""

from pathlib import Path

import click

from daemon.cli.options import FILE, Names
from daemon.cli.show.output import check_outputs

_KINDS = ("depth", "trade", "clear", "snapshot", "bbo", "order", "user", "status")
_EPILOG = """\b
Examples:
  hftd tap bf
  hftd tap bf --symbol BTCUSDT --kind trade --count 100
  hftd tap bf --kind depth,trade --json | jq -c .
  hftd tap bf --symbol BTCUSDT --save btcusdt.npz        until Ctrl-C

A tap reads the market ring that the bots read; nobody waits for it, so a slow
one may miss messages: it says how often, and ends with exit code 1. Orders go
through rings of each bot's own, and are seen by `hftd status`.
"""


@click.command("tap", epilog=_EPILOG)
@click.argument("name")
@click.option("--symbol", "symbols", multiple=True, help="Only this instrument; may be given again.")
@click.option(
    "--kind", "kinds", type=Names("kinds", _KINDS), default="", help=f"Only these: {', '.join(_KINDS)}."
)
@click.option("--count", type=click.IntRange(min=1), help="End after so many rows; otherwise with Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document a row, each on a line.")
@click.option(
    "--save",
    type=FILE,
    metavar="OUT.npz",
    help="Write the rows of one instrument as an archive that `hftd replay` takes, instead of showing them.",
)
def command(
    name: str,
    symbols: tuple[str, ...],
    kinds: tuple[str, ...],
    count: int | None,
    as_json: bool,
    save: Path | None,
) -> int:
    """Show a channel's market data as it passes, or save it as an archive."""
    from daemon.cli.run.tapping import Choice, Saver, Shower, tap
    from daemon.cli.show import text

    check_outputs(save)
    choice = Choice(symbols, frozenset(kinds), count)
    with Saver(save) if save is not None else Shower(as_json) as out:
        end = tap(name, choice, out)
    what = text.count(end.rows, "row") + (f" in {save}" if save is not None else "")
    click.echo(f"{what}; {end.why}", err=True)
    if end.lapped:
        click.echo(f"the market went by unseen {text.count(end.lapped, 'time')}: rows are missing", err=True)
    return 1 if end.lapped else 0
