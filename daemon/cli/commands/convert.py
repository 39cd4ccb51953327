"""`hftd convert`."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from daemon.cli.options import FILE, Names, json_option, progress_option
from daemon.cli.show.output import put

_USER_EVENTS = ("mark_price", "book_ticker")
_EPILOG = """\b
Examples:
  hftd convert binancefutures btcusdt.gz btcusdt_20240808.npz
  hftd convert binancefutures a.gz b.gz day.npz --user-events mark_price
  hftd convert binancehistory BTCUSDT-trades-2025-01-01.zip trades.npz
  hftd convert tardis trades.csv.gz book.csv.gz day.npz
  hftd convert bybit --help

The report says what the input is like: gaps, crossed books, clock
correction, lines that could not be read. Exit code 1: a part of the input
is lost, the rest was converted (--strict refuses instead).
"""


_OPTIONS: Final[dict[str, Any]] = {
    "user_events": click.option(
        "--user-events",
        type=Names("names", _USER_EVENTS),
        default=(),
        metavar="NAMES",
        help=f"Take these as user events (100 and up): {', '.join(_USER_EVENTS)}, separated by commas.",
    ),
    "latency_ns": click.option(
        "--latency-ns",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="How long after the exchange sent it a row arrives, as the files have no local times.",
    ),
    "base_latency_ns": click.option(
        "--base-latency-ns",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="The least latency that is believed: the local clock is corrected to it if it is behind.",
    ),
    "depth": click.option(
        "--depth",
        type=click.IntRange(min=1),
        metavar="LEVELS",
        help="The book to take, if the capture has books of several depths.",
    ),
    "keep_far_levels": click.option(
        "--keep-far-levels/--drop-far-levels",
        default=None,
        help="Keep a level that falls behind the last one of a book's first levels as it was, or delete it. "
        "Default: of Databento's MBP kept, of others deleted.",
    ),
    "hftbacktest_rows": click.option(
        "--hftbacktest-rows",
        is_flag=True,
        help="Make the rows that HftBacktest's converter makes, where there is a choice.",
    ),
    "tick_size": click.option(
        "--tick-size",
        type=click.FloatRange(min=0, min_open=True),
        help="With --lot-size: fuse best bids and offers with the depth, on prices of this step.",
    ),
    "lot_size": click.option(
        "--lot-size",
        type=click.FloatRange(min=0, min_open=True),
        help="With --tick-size: the step of quantities.",
    ),
    "snapshots": click.option(
        "--snapshots",
        type=click.Choice(["process", "ignore_sod", "ignore"]),
        default="process",
        show_default=True,
        help="Take all snapshots of the book, all but those with which a day's file begins, or none.",
    ),
}
"""Options that some of the converters have, by the fields of `sim.convert.Options`."""


class _Venue(NamedTuple):
    """A converter: what it takes, and which options it has."""

    help: str
    options: tuple[str, ...] = ()


_SEVERAL = "Several inputs are merged by their local times, in any order; what is there twice counts once."
_LINES = "lines of `<local ns> <json>`, plain or packed with gzip, zip or zstd."
_ANY_ORDER = "Several inputs are put together by their times, in whatever order they are given."

_VENUES: Final = {
    "binancefutures": _Venue(
        f"Convert captures of Binance USD-M futures: {_LINES}\n\n{_SEVERAL}",
        ("user_events", "base_latency_ns", "hftbacktest_rows"),
    ),
    "binancespot": _Venue(
        f"Convert captures of Binance spot: {_LINES}\n\n{_SEVERAL}",
        ("user_events", "base_latency_ns", "hftbacktest_rows"),
    ),
    "binancecoinm": _Venue(
        f"Convert captures of Binance COIN-M futures: {_LINES}\n\n{_SEVERAL}",
        ("user_events", "base_latency_ns", "hftbacktest_rows"),
    ),
    "binancehistory": _Venue(
        "Convert Binance's public history: CSV files of trades, aggTrades, bookTicker, and of the historical order "
        f"book, plain or packed with zip, gzip or zstd.\n\n{_ANY_ORDER}",
        ("latency_ns",),
    ),
    "bybit": _Venue(
        f"Convert captures of Bybit's v5 streams: {_LINES}\n\n{_SEVERAL}",
        ("user_events", "base_latency_ns", "depth", "hftbacktest_rows"),
    ),
    "bybithistory": _Venue(
        f"Convert Bybit's own history: archives of order books, and CSV files of trades.\n\n{_ANY_ORDER}",
        ("latency_ns", "depth", "hftbacktest_rows"),
    ),
    "hyperliquid": _Venue(
        f"Convert captures of Hyperliquid: {_LINES}\n\n{_SEVERAL}",
        ("user_events", "base_latency_ns", "keep_far_levels", "hftbacktest_rows"),
    ),
    "mexc": _Venue(
        f"Convert captures of MEXC's contracts, and of spot's JSON streams: {_LINES}\n\n{_SEVERAL}",
        ("user_events", "base_latency_ns", "keep_far_levels", "hftbacktest_rows"),
    ),
    "tardis": _Venue(
        "Convert Tardis's CSV files: incremental_book_L2, trades, book_ticker, plain or packed with gzip, zip or "
        f"zstd.\n\n{_ANY_ORDER}",
        ("base_latency_ns", "snapshots", "tick_size", "lot_size", "hftbacktest_rows"),
    ),
    "databento": _Venue(
        "Convert Databento's DBN files: market by order, market by price, trades, plain or packed with zstd. A symbol "
        f"may be an instrument id too.\n\n{_ANY_ORDER}",
        ("base_latency_ns", "keep_far_levels"),
    ),
}


@click.group("convert", epilog=_EPILOG)
def command() -> None:
    """Make an archive from an exchange's raw capture or a vendor's files, with a report on them."""


def _convert(
    name: str,
    inputs: tuple[Path, ...],
    output: Path,
    as_json: bool,
    progress_mode: str,
    user_events: tuple[str, ...] | None = None,
    **given: Any,
) -> int:
    """Convert, show the report, and return the exit code."""
    from daemon.cli.compiling import watching
    from daemon.cli.show.progress import Share
    from sim.convert import Options, convert

    if user_events is not None:
        given |= {"mark_price": "mark_price" in user_events, "book_ticker": "book_ticker" in user_events}
    with watching("none" if progress_mode == "none" else "plain"), ExitStack() as stages:
        shown = {"converting": stages.enter_context(Share("converting", mode=progress_mode, in_bytes=True))}

        def on_write(done: int, total: int) -> None:
            if "writing" not in shown:
                # A terminal has one bar at a time.
                stages.close()
                shown["writing"] = stages.enter_context(Share("writing", mode=progress_mode))
            shown["writing"](done, total)

        report = convert(
            list(inputs),
            output,
            venue=name,
            options=Options(**given),
            progress=shown["converting"],
            on_write=on_write,
        )
    from daemon.cli.show import archives

    put(report, archives.conversion(report), as_json=as_json)
    return report.exit_code


def _add(name: str, venue: _Venue) -> None:
    def run(**given: Any) -> int:
        return _convert(name, **given)

    decorators = [
        click.argument("inputs", type=FILE, nargs=-1, required=True, metavar="INPUT..."),
        click.argument("output", type=FILE, metavar="OUTPUT.npz"),
        *(_OPTIONS[option] for option in venue.options),
        click.option("--symbol", help="The symbol to take, if the input has several."),
        click.option(
            "--strict", is_flag=True, help="Refuse a damaged input instead of converting what is left."
        ),
        json_option,
        progress_option,
    ]
    for decorator in reversed(decorators):
        run = decorator(run)
    # In the list of converters: what it takes, in one line of 80 columns.
    what = venue.help.partition(":")[0].removeprefix("Convert ")
    command.command(name, help=venue.help, short_help=f"{what[0].upper()}{what[1:]}.")(run)


for _name, _venue in _VENUES.items():
    _add(_name, _venue)
