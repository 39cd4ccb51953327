"""`hftd convert`."""

from pathlib import Path

import click

from daemon.cli.options import FILE, json_option, progress_option

_USER_EVENTS = ("mark_price", "book_ticker")
_EPILOG = """\b
Examples:
  hftd convert binancefutures btcusdt.gz btcusdt_20240808.npz
  hftd convert binancefutures a.gz b.gz day.npz --user-events mark_price
  hftd convert binancefutures --help

The report says what the capture is like: gaps, crossed books, clock
correction, lines that could not be read. Exit code 1: a part of the input
is lost, the rest was converted (--strict refuses instead).
"""


class _UserEvents(click.ParamType):
    """Names, separated by commas."""

    name = "names"

    def convert(
        self, value: str | tuple[str, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Check them."""
        names = tuple(filter(None, value.split(","))) if isinstance(value, str) else value
        for name in names:
            if name not in _USER_EVENTS:
                self.fail(f"'{name}' is none of {', '.join(_USER_EVENTS)}.", param, ctx)
        return names


@click.group("convert", epilog=_EPILOG)
def command() -> None:
    """Make an archive from an exchange's raw capture, with a report on the capture."""


@command.command("binancefutures")
@click.argument("inputs", type=FILE, nargs=-1, required=True, metavar="INPUT...")
@click.argument("output", type=FILE, metavar="OUTPUT.npz")
@click.option(
    "--user-events",
    type=_UserEvents(),
    default=(),
    metavar="NAMES",
    help=f"Take these as user events (100 and up): {', '.join(_USER_EVENTS)}, separated by commas.",
)
@click.option(
    "--base-latency-ns",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="The least latency that is believed: the local clock is corrected to it if it is behind.",
)
@click.option("--symbol", help="The symbol to take, if the capture has several.")
@click.option("--strict", is_flag=True, help="Refuse a damaged capture instead of converting what is left.")
@json_option
@progress_option
def binancefutures(
    inputs: tuple[Path, ...],
    output: Path,
    user_events: tuple[str, ...],
    base_latency_ns: int,
    symbol: str | None,
    strict: bool,
    as_json: bool,
    progress_mode: str,
) -> int:
    """Convert captures of Binance USD-M futures: lines of `<local ns> <json>`, gzip or plain.

    Several inputs are taken as one capture, in the order given.
    """
    from daemon.cli.compiling import watching
    from daemon.cli.progress import Share
    from sim.convert import Options, convert

    options = Options(
        mark_price="mark_price" in user_events,
        book_ticker="book_ticker" in user_events,
        base_latency_ns=base_latency_ns,
        symbol=symbol,
        strict=strict,
    )
    with (
        watching("none" if progress_mode == "none" else "plain"),
        Share("converting", mode=progress_mode, in_bytes=True) as progress,
    ):
        report = convert(list(inputs), output, venue="binancefutures", options=options, progress=progress)
    if as_json:
        click.echo(report.to_json())
    else:
        from daemon.cli.conversion import show_conversion

        show_conversion(report)
    return report.exit_code
