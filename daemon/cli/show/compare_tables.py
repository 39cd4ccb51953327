"""A comparison of two runs for people."""

import sys
from typing import TextIO

from rich.table import Table
from rich.text import Text

from daemon.cli.show import text
from daemon.cli.show.console import Console
from sim.results.compare import Alone, Comparison

_PIPE_WIDTH = 400


def show_comparison(comparison: Comparison, *, stream: TextIO | None = None) -> None:
    """What fits, where the accounts stand, and the first rows that do not fit."""
    file = sys.stdout if stream is None else stream
    console = Console(file=file, width=None if file.isatty() else _PIPE_WIDTH)
    table = _table("", "both", "live only", "backtest only", "live later by, p50", "apart, p99")
    for one in comparison.matched:
        alone = [
            Text(f"{count:,}", style="red" if count else "") for count in (one.live_only, one.backtest_only)
        ]
        table.add_row(
            one.what, f"{one.both:,}", *alone, _ms(one.difference_p50_ns), _ms(one.difference_p99_ns)
        )
    console.print(table)
    if comparison.standings:
        table = _table("asset, value", "live", "backtest", "difference")
        for one in comparison.standings:
            apart = one.live - one.backtest
            values = text.exact([one.live, one.backtest, apart])
            same = abs(apart) <= 1e-9 * max(1.0, abs(one.live))
            table.add_row(
                f"{one.asset_no} {one.value}", *values[:2], Text(values[2], style="" if same else "yellow")
            )
        console.print(table)
    if comparison.alone:
        console.print("the first rows of one run only:")
        console.print(_alone(comparison.alone))
    console.print(
        f"{100 * (1 - comparison.apart):.4g}% of the rows are in both runs, times within "
        f"{comparison.tolerance_ns / 1e6:g} ms",
        markup=False,
    )


def _ms(value_ns: float | None) -> str:
    return text.NOTHING if value_ns is None else f"{value_ns / 1e6:.3f} ms"


def _table(first: str, *others: str) -> Table:
    table = Table()
    table.add_column(first)
    for other in others:
        table.add_column(other, justify="right", no_wrap=True)
    return table


def _alone(rows: list[Alone]) -> Table:
    table = _table("run", "what", "time", "asset", "order", "side", "price", "qty")
    for row in rows:
        at = f"{text.moment(row.timestamp).rpartition('.')[0]}.{row.timestamp % 1_000_000_000:09d}"
        table.add_row(
            row.run,
            row.what,
            at,
            str(row.asset_no),
            str(row.order_id),
            row.side,
            text.exact([row.price])[0],
            text.exact([row.qty])[0],
        )
    return table
