"""What runs came to: a bot's result, a replay's summary, two runs side by side, a report's figures, a live demo."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from daemon.cli.show import text
from hftd.bot.result import AssetResult, BotResult
from sim.results.parts import Cell, Part, Rows, Table, line, notes, warnings

if TYPE_CHECKING:
    from daemon.cli.run.live_check import Row
    from hftd.runs.bounds import Bounds
    from sim.replay.summary import ReplaySummary
    from sim.results.compare import Comparison
    from sim.results.report import Report
    from sim.results.report.shapes import Portfolio

_HEADINGS = ("position", "price", "balance", "fee", "equity", "trades", "volume", "value")
_REASONS_MAX = 40
_COLUMNS_MAX = 8
"""More have no place on a terminal; the page has them."""


def bot(result: BotResult, left: Sequence[str] = ()) -> Iterator[Part]:
    """A bot's result: a table of its assets, what a live one has left behind, then how the run went."""
    yield line(f"{result.name}: {result.strategy}", style="bold")
    assets = result.assets
    columns = [
        text.exact([asset.position for asset in assets]),
        text.exact([asset.price for asset in assets]),
        text.money([asset.balance for asset in assets]),
        text.money([asset.fee for asset in assets]),
        list(map(_equity, assets, text.money([asset.equity for asset in assets]))),
        [f"{asset.num_trades:,}" for asset in assets],
        text.exact([asset.trading_volume for asset in assets]),
        text.money([asset.trading_value for asset in assets]),
    ]
    rows: Rows = [
        [asset.symbol, (asset.channel, "dim"), *cells] for asset, *cells in zip(assets, *columns, strict=True)
    ]
    yield Table(("symbol", "channel", *(f"={name}" for name in _HEADINGS)), rows, keys=2)
    for words in left:
        yield line(words, style="green" if words.endswith("is flat") else "yellow bold")
    yield line(
        f"{_money(result)}\n"
        f"{text.count(result.events, 'row')} in {text.duration(result.seconds)}, "
        f"{text.rate(result.events, result.seconds)}; "
        f"{text.duration(result.sim_seconds)} of market; {result.ended}",
        style="dim",
    )
    yield from warnings(result.warnings)
    if result.bounds is not None:
        yield from bounds(result.bounds)


def bounds(found: "Bounds") -> Iterator[Part]:
    """What a run comes to under other models: a table, one sentence, what must be known."""
    # A bot on channels shows its result without the simulator.
    from sim.results.report.bounding import bounds_table

    table = bounds_table(found)
    rows: Rows = []
    kind = "own"
    for number, cells in enumerate(table.rows):
        if table.kinds[number] != kind:
            rows.append([])
            kind = table.kinds[number]
        rows.append([*cells])
    yield Table(table.columns, rows, keys=1, title=table.title)
    yield line(found.sentence, style="bold")
    yield from notes(found.notes)


def _equity(asset: AssetResult, shown: str) -> Cell:
    return (shown, "green" if asset.equity >= 0 else "red") if math.isfinite(asset.equity) else shown


def _money(result: BotResult) -> str:
    """In which currency the amounts are, and what equity is, of the kinds of contracts that are shown."""
    inverse = [asset.symbol for asset in result.assets if asset.inverse]
    sizes = {asset.inverse: " * contract size" for asset in result.assets if asset.contract_size != 1.0}
    linear_is = f"equity = balance + position{sizes.get(False, '')} * price - fee"
    inverse_is = f"equity = -balance - position{sizes.get(True, '')} / price - fee"
    base = "balance, fee, equity and value in the base currency"
    if inverse and len(inverse) == len(result.assets):
        return f"position and volume in contracts, {base};\n{inverse_is}"
    linear = f"position and volume in the instrument's units, the rest in its quote currency;\n{linear_is}"
    if not inverse:
        return linear
    return f"{linear}\nof {', '.join(inverse)} (inverse): position and volume in contracts, {base};\n{inverse_is}"


def replay(summary: "ReplaySummary") -> Iterator[Part]:
    """A replay's summary: a line for the run and one for each bot."""
    yield line(
        f"played {', '.join(summary.dates)} into {', '.join(summary.channels)}: {text.count(summary.rows, 'row')}, "
        f"{text.duration(summary.sim_seconds)} of market in {text.duration(summary.seconds)} "
        f"({text.rate(summary.rows, summary.seconds)}); {summary.ended}"
    )
    for one in summary.bots:
        yield line(
            f"  {one.name}: {text.count(one.orders, 'request')}, {text.count(one.fills, 'fill')}; {one.left}"
        )
    yield from warnings(summary.warnings)


def comparison(found: "Comparison") -> Iterator[Part]:
    """What fits, where the accounts stand, and the first rows that do not fit."""

    def ms(value_ns: float | None) -> str:
        return text.NOTHING if value_ns is None else f"{value_ns / 1e6:.3f} ms"

    rows: Rows = []
    for one in found.matched:
        apart: list[Cell] = [(f"{n:,}", "red" if n else "") for n in (one.live_only, one.backtest_only)]
        times = ms(one.difference_p50_ns), ms(one.difference_p99_ns)
        rows.append([one.what, f"{one.both:,}", *apart, *times])
    yield Table(("~", "=both", "=live only", "=backtest only", "=live later by, p50", "=apart, p99"), rows)
    if found.standings:
        rows = []
        for one in found.standings:
            apart_by = one.live - one.backtest
            *values, difference = text.exact([one.live, one.backtest, apart_by])
            same = abs(apart_by) <= 1e-9 * max(1.0, abs(one.live))
            rows.append([f"{one.asset_no} {one.value}", *values, (difference, "" if same else "yellow")])
        yield Table(("~asset, value", "=live", "=backtest", "=difference"), rows)
    if found.alone:
        yield line("the first rows of one run only:")
        rows = []
        for one in found.alone:
            at = f"{text.moment(one.timestamp).rpartition('.')[0]}.{one.timestamp % 1_000_000_000:09d}"
            numbers = text.exact([one.price])[0], text.exact([one.qty])[0]
            rows.append([one.run, one.what, at, str(one.asset_no), str(one.order_id), one.side, *numbers])
        yield Table(("~run", "=what", "=time", "=asset", "=order", "=side", "=price", "=qty"), rows)
    share = f"{100 * (1 - found.apart):.4g}% of the rows are in both runs"
    yield line(f"{share}, times within {found.tolerance_ns / 1e6:g} ms")


def report(made: "Report") -> Iterator[Part]:
    """A row for each figure, a column for each asset, or for each run of several; then what must be known."""
    found = made.figures()
    rows: Rows = [["Money is in the", *found.currencies[:_COLUMNS_MAX]]]
    for group in found.groups.values():
        rows += [[], *([row.name, *(cell for cell, _ in row.cells[:_COLUMNS_MAX])] for row in group)]
    yield Table(("~", *(f"={name}" for name in found.names[:_COLUMNS_MAX])), rows)
    for run in made.runs:
        if run.portfolio is not None:
            yield from _portfolio(run.portfolio, run.name if len(made.runs) > 1 else "")
        if run.meta is not None and run.meta.bounds is not None:
            yield from bounds(run.meta.bounds)
        missing = run.missing()
        if missing is not None:
            title = missing.title if len(made.runs) == 1 else f"{run.name}: {missing.title}"
            yield Table(missing.columns, missing.rows, keys=3, title=title)
    for reason in found.reasons[:_REASONS_MAX]:
        yield line(f"\u2013 {reason}", style="dim")
    for run in made.runs:
        for note in dict.fromkeys(run.notes):
            yield line(f"{run.name}: {note}" if len(made.runs) > 1 else note, style="dim")


def _portfolio(found: "Portfolio", name: str) -> Iterator[Part]:
    """How much all positions are worth, and how the assets go together."""
    of = f" of {name}" if name else ""
    yield line(
        f"exposure{of}: gross {found.gross_max:,.6g} at most, {found.gross_mean:,.6g} on average; net "
        f"{found.net_max:,.6g} at most, {found.net_mean:,.6g} on average"
    )
    for what, matrix in (("returns of prices", found.prices), ("changes of equity", found.pnl)):
        rows: Rows = [
            [asset, *(text.NOTHING if value is None else f"{value:.2f}" for value in row[:_COLUMNS_MAX])]
            for asset, row in zip(found.names, matrix, strict=True)
        ]
        columns = (f"correlation of {what}{of}", *(f"={asset}" for asset in found.names[:_COLUMNS_MAX]))
        yield Table(columns, rows, is_boxed=False, keys=1)


def accounts(
    title: str, result: BotResult, tables: list[tuple[str, list["Row"]]], orders: int
) -> Iterator[Part]:
    """A bot's result, what bot, connector and exchange say of each account, and how many orders there were.

    Args:
        title: What was played.
        result: The bot's.
        tables: By exchange, which has no name if there is one alone.
        orders: How many.
    """
    yield line()
    yield from bot(result)
    verdicts = {True: ("agree", "green"), False: ("DIFFER", "red bold")}
    for name, rows in tables:
        cells: Rows = [[row.what, row.bot, row.connector, row.exchange, verdicts[row.agrees]] for row in rows]
        whose = f"the account on {name}" if name else "one account"
        yield Table(("", "=bot", "=connector", "=exchange", ""), cells, title=f"{whose}, {title}")
    yield line(f"{text.count(orders, 'order')} reached the exchange", style="dim")
