"""`hftd snapshot`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from daemon.cli.options import FILE, json_option, progress_option
from daemon.cli.steps import lot_option, tick_option

if TYPE_CHECKING:
    from sim.tools import Snapshot

_EPILOG = """\b
Examples:
  hftd snapshot btcusdt_20240808.npz btcusdt_20240808_eod.npz
  hftd snapshot day1.npz day2.npz eod.npz --initial before.npz
  hftd snapshot day.npz noon.npz --at 12:00

The snapshot is what `initial_snapshot` takes for the next day: of levels, the
rows of HftBacktest's create_last_snapshot; of single orders, rows that add
each order in the order of the queues.

Exit codes: 0 good, 2 an archive can't be read or played, or an option is wrong.
"""


@click.command("snapshot", epilog=_EPILOG)
@click.argument("files", type=FILE, nargs=-1, required=True, metavar="FILE...")
@click.argument("output", type=FILE, metavar="OUT.npz")
@tick_option
@lot_option
@click.option("--initial", type=FILE, metavar="FILE", help="The snapshot with which the first day begins.")
@click.option("--at", metavar="TIME", help="Not the end, but this time: ns, ISO 8601, or HH:MM:SS (UTC).")
@click.option(
    "--clock",
    type=click.Choice(["local", "exch"]),
    default="local",
    show_default=True,
    help="The book as it was received, or the exchange's own.",
)
@json_option
@progress_option
def command(
    files: tuple[Path, ...],
    output: Path,
    tick_size: float | None,
    lot_size: float | None,
    initial: Path | None,
    at: str | None,
    clock: str,
    as_json: bool,
    progress_mode: str,
) -> int:
    """Make the book with which archives of one instrument end, for the start of the next day."""
    from daemon.cli.compiling import watching
    from daemon.cli.importing import importing
    from daemon.cli.progress import Share

    with importing():
        from sim.tools import snapshot
        from sim.tools.book import END
        from sim.tools.times import first_time, last_time, parse_time

    until_ts = END
    if at is not None:
        until_ts = parse_time(at, first_time(files[0], clock), lambda: last_time(files[-1], clock))
    with (
        watching("none" if progress_mode == "none" else "plain"),
        Share("reading", mode=progress_mode) as progress,
    ):
        _, report = snapshot(
            files,
            output,
            tick_size=tick_size,
            lot_size=lot_size,
            initial=initial,
            until_ts=until_ts,
            clock=clock,
            progress=progress,
        )
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(report), indent=2))
    else:
        _show(report)
    return 0


def _show(report: "Snapshot") -> None:
    from rich.text import Text

    from daemon.cli.show import text
    from daemon.cli.show.checking import console_of, facts_table

    def price(value: float | None) -> str:
        return text.NOTHING if value is None else f"{value:.12g}"

    def step(size: float, is_guessed: bool) -> str:
        return f"{size:.12g}{' (guessed)' if is_guessed else ''}"

    console = console_of()
    console.print(Text(f"{report.output}: {report.bids + report.asks:,} rows of {report.kind}", style="bold"))
    console.print(
        facts_table(
            [
                ("bids", f"{report.bids:,}, best {price(report.best_bid)}"),
                ("asks", f"{report.asks:,}, best {price(report.best_ask)}"),
                ("last row", text.moment(report.last_ts or 0)),
                (
                    "tick, lot",
                    f"{step(report.tick_size, report.tick_guessed)}, {step(report.lot_size, report.lot_guessed)}",
                ),
            ]
        )
    )
    for sentence in report.notes:
        console.print(Text.assemble(("note: ", "cyan"), sentence))
