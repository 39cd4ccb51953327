"""Tables of results, on stdout."""

import math
import sys
from typing import TextIO

from rich.table import Table
from rich.text import Text

from daemon.cli.show import text
from daemon.cli.show.console import Console
from hftd.bot.result import BotResult
from sim.replay.summary import ReplaySummary

_HEADINGS = ("position", "price", "balance", "fee", "equity", "trades", "volume", "value")
_PIPE_WIDTH = 400


def show_bot(result: BotResult, *, stream: TextIO | None = None) -> None:
    """A bot's result: a table of its assets, then how the run went."""
    console = _console(stream)
    console.print(Text(f"{result.name}: {result.strategy}", style="bold"))
    console.print(_fitting(result, console))
    console.print(_caption(result), style="dim")
    for warning in result.warnings:
        console.print(Text.assemble(("warning: ", "yellow bold"), warning))


def show_replay(summary: ReplaySummary, *, stream: TextIO | None = None) -> None:
    """A replay's summary: a line for the run and one for each bot."""
    console = _console(stream)
    days = ", ".join(summary.dates)
    console.print(
        f"played {days} into {', '.join(summary.channels)}: {summary.rows:,} rows, "
        f"{text.duration(summary.sim_seconds)} of market in {text.duration(summary.seconds)} "
        f"({text.rate(summary.rows, summary.seconds)}); {summary.ended}",
        markup=False,
    )
    for bot in summary.bots:
        console.print(
            f"  {bot.name}: {text.count(bot.orders, 'request')}, {text.count(bot.fills, 'fill')}; {bot.left}",
            markup=False,
        )
    for warning in summary.warnings:
        console.print(Text.assemble(("warning: ", "yellow bold"), warning))


def _console(stream: TextIO | None) -> Console:
    file = sys.stdout if stream is None else stream
    # A file or a pipe has no width: nothing is wrapped or cut there.
    return Console(file=file, width=None if file.isatty() else _PIPE_WIDTH)


def _columns(result: BotResult) -> dict[str, list[str]]:
    assets = result.assets
    return {
        "position": text.exact([asset.position for asset in assets]),
        "price": text.exact([asset.price for asset in assets]),
        "balance": text.money([asset.balance for asset in assets]),
        "fee": text.money([asset.fee for asset in assets]),
        "equity": text.money([asset.equity for asset in assets]),
        "trades": [f"{asset.num_trades:,}" for asset in assets],
        "volume": text.exact([asset.trading_volume for asset in assets]),
        "value": text.money([asset.trading_value for asset in assets]),
    }


def _fitting(result: BotResult, console: Console) -> Table:
    """One row an asset where the terminal is wide enough, else one column an asset."""
    wide = _wide(result)
    unbounded = console.options.update(width=_PIPE_WIDTH)
    return wide if console.measure(wide, options=unbounded).maximum <= console.width else _tall(result)


def _wide(result: BotResult) -> Table:
    table = Table()
    table.add_column("symbol", no_wrap=True)
    table.add_column("channel", no_wrap=True, style="dim")
    columns = _columns(result)
    for heading in _HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    for number, asset in enumerate(result.assets):
        cells = [_cell(h, columns[h][number], getattr(asset, h, 0.0)) for h in _HEADINGS]
        table.add_row(Text(asset.symbol), Text(asset.channel), *cells)
    return table


def _tall(result: BotResult) -> Table:
    table = Table()
    table.add_column("")
    for asset in result.assets:
        table.add_column(Text(f"{asset.symbol}\n{asset.channel}"), justify="right", no_wrap=True)
    columns = _columns(result)
    for heading in _HEADINGS:
        values = [getattr(asset, heading, 0.0) for asset in result.assets]
        table.add_row(
            heading, *(_cell(heading, *pair) for pair in zip(columns[heading], values, strict=True))
        )
    return table


def _cell(heading: str, shown: str, value: float) -> Text:
    if heading == "equity" and math.isfinite(value):
        return Text(shown, style="green" if value >= 0 else "red")
    return Text(shown)


def _caption(result: BotResult) -> Text:
    return Text(
        f"{_money(result)}\n"
        f"{result.events:,} rows in {text.duration(result.seconds)}, "
        f"{text.rate(result.events, result.seconds)}; "
        f"{text.duration(result.sim_seconds)} of market; {result.ended}"
    )


def _money(result: BotResult) -> str:
    """In which currency the amounts are, and what equity is, of the kinds of contracts that are shown."""
    inverse = [asset.symbol for asset in result.assets if asset.inverse]
    sizes = {asset.inverse: " * contract size" for asset in result.assets if asset.contract_size != 1.0}
    linear_is = f"equity = balance + position{sizes.get(False, '')} * price - fee"
    inverse_is = f"equity = -balance - position{sizes.get(True, '')} / price - fee"
    if not inverse:
        return f"position and volume in the instrument's units, the rest in its quote currency;\n{linear_is}"
    base = "balance, fee, equity and value in the base currency"
    if len(inverse) == len(result.assets):
        return f"position and volume in contracts, {base};\n{inverse_is}"
    names = ", ".join(inverse)
    return (
        f"position and volume in the instrument's units, the rest in its quote currency;\n{linear_is}\n"
        f"of {names} (inverse): position and volume in contracts, {base};\n{inverse_is}"
    )
