"""What is in a file, for people."""

from typing import TYPE_CHECKING, TextIO

from rich.table import Table
from rich.text import Text

from daemon.cli.show import text
from daemon.cli.show.checking import console_of, counts, facts_table, latency_table, span
from daemon.cli.show.console import Console
from daemon.cli.show.latency_tables import show_latencies

if TYPE_CHECKING:
    from sim.checks import Validation
    from sim.tools import Contents
    from sim.tools.contents import Book, Row, RunContents


def show_contents(contents: "Contents", *, stream: TextIO | None = None) -> None:
    """All of it, by what kind of file it is."""
    console = console_of(stream)
    if contents.latencies is not None:
        show_latencies(contents.latencies, stream=stream)
    elif contents.run is not None:
        _show_run(console, contents, contents.run)
    elif contents.check is not None:
        _show_events(console, contents, contents.check)
    for sentence in contents.notes:
        console.print(Text.assemble(("note: ", "cyan"), sentence))


def _show_events(console: Console, contents: "Contents", check: "Validation") -> None:
    console.print(Text(f"{contents.file}: {contents.rows:,} rows, {text.size(contents.bytes)}", style="bold"))
    console.print(facts_table(_facts(contents, check)))
    if check.latency:
        console.print(latency_table(check.latency, console))
    for sentence in check.notes:
        console.print(Text.assemble(("note: ", "cyan"), sentence))
    book = contents.book
    if book is not None and (book.bids or book.asks or book.at_ts is not None):
        console.print(_book_title(book), style="dim")
        if book.bids or book.asks:
            console.print(_book_table(book))
    if contents.first:
        console.print(_rows_table(contents.first, contents.last))


def _facts(contents: "Contents", check: "Validation") -> list[tuple[str, str]]:
    file = check.files[0]
    facts = [
        ("rows", f"{counts(check.rows_by_kind)}; split by clock {check.split_rows:,}"),
        ("exchange time", span(file.exch_first_ts, file.exch_last_ts)),
        ("local time", span(file.local_first_ts, file.local_last_ts)),
        (
            "tick, lot",
            (
                f"{check.tick_size:.12g}{' (guessed)' if check.tick_guessed else ''}, "
                f"{check.lot_size:.12g}{' (guessed)' if check.lot_guessed else ''}"
            ),
        ),
    ]
    if check.px_min is not None and check.px_max is not None:
        facts.append(("prices", " to ".join(text.exact([check.px_min, check.px_max]))))
    if contents.rows_per_s is not None and contents.trades_per_s is not None:
        facts.append(("rates", f"{contents.rows_per_s:,.1f} rows/s, {contents.trades_per_s:,.2f} trades/s"))
    if any(burst.rows for burst in contents.bursts):
        facts.append(
            (
                "busiest",
                ", ".join(f"{burst.rows:,} rows in {burst.width_ns / 1e6:g} ms" for burst in contents.bursts),
            )
        )
    if check.spread is not None:
        facts.append(
            ("spread", f"median {check.spread.p50_ticks:,} ticks, widest {check.spread.max_ticks:,}")
        )
    gap = check.problem("gap")
    limit = text.duration(check.gap_ns / 1e9)
    longest = f"{gap.count:,}, the longest {text.duration(gap.most / 1e9)}" if gap else "none"
    facts.append(("gaps", f"{longest} (longer than {limit})"))
    found = ", ".join(f"{problem.name} {problem.count:,}" for problem in check.problems)
    facts.append(("validate", f"{'sound' if check.is_sound else 'not sound'}{f': {found}' if found else ''}"))
    return facts


def _book_title(book: "Book") -> str:
    when = "at the end" if book.at_ts is None else f"at {text.moment(book.at_ts)}"
    of = "" if book.clock == "local" else ", the exchange's"
    return f"book {when}{of}: {book.levels[0]:,} bids, {book.levels[1]:,} asks"


def _book_table(book: "Book") -> Table:
    table = Table(header_style="dim", box=None, pad_edge=False)
    by_order = any(level.orders is not None for level in (*book.bids, *book.asks))
    names = ["bid qty", "bid", "ask", "ask qty"]
    if by_order:
        names = ["orders", *names, "orders"]
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    px = text.exact([level.px for level in (*book.bids, *book.asks)])
    qty = text.exact([level.qty for level in (*book.bids, *book.asks)])
    count = len(book.bids)
    for number in range(max(len(book.bids), len(book.asks))):
        bid = [qty[number], px[number]] if number < count else ["", ""]
        ask = [px[count + number], qty[count + number]] if number < len(book.asks) else ["", ""]
        if by_order:
            bid = [str(book.bids[number].orders) if number < count else "", *bid]
            ask = [*ask, str(book.asks[number].orders) if number < len(book.asks) else ""]
        table.add_row(*bid, *ask)
    return table


def _rows_table(first: list["Row"], last: list["Row"]) -> Table:
    """Without the columns of which all rows have nothing."""
    seen = {row.row for row in first}
    rows = [*first, *(row for row in last if row.row not in seen)]
    more = [name for name in ("order_id", "ival", "fval") if any(getattr(row, name) != 0 for row in rows)]
    table = Table(header_style="dim", box=None, pad_edge=False)
    for name in ("row", "ev", "exch_ts", "local_ts", "px", "qty", *more):
        table.add_column(name, justify="right", no_wrap=True)
    for number, row in enumerate(rows):
        if number and row.row != rows[number - 1].row + 1:
            table.add_row("...")
        further = {"order_id": str(row.order_id), "ival": str(row.ival), "fval": _number(row.fval)}
        table.add_row(
            f"{row.row:,}",
            f"{row.ev:#x}",
            str(row.exch_ts),
            str(row.local_ts),
            _number(row.px),
            _number(row.qty),
            *(further[name] for name in more),
        )
    return table


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.12g}"


def _show_run(console: Console, contents: "Contents", run: "RunContents") -> None:
    console.print(
        Text(
            f"{contents.file}: run {run.name}, {contents.rows:,} records, {text.size(contents.bytes)}",
            style="bold",
        )
    )
    facts = [
        ("strategy", run.strategy or "not known"),
        ("kind", run.run_kind or "not known"),
        ("days", ", ".join(run.dates) or "not known"),
        ("tables", counts(run.tables)),
        ("life of orders", "not recorded" if run.life is None else f"{run.life:,} rows"),
    ]
    console.print(facts_table(facts))
    table = Table(header_style="dim", box=None, pad_edge=False)
    for name in ("asset", "records", "fills", "from", "to", "position", "balance", "fee", "trades"):
        table.add_column(name, justify="left" if name == "asset" else "right", no_wrap=True)
    for asset in run.assets:
        table.add_row(
            asset.symbol,
            f"{asset.records:,}",
            f"{asset.fills:,}",
            text.moment(asset.first_ts or 0),
            text.moment(asset.last_ts or 0),
            *(
                _number(value) if value is not None else text.NOTHING
                for value in (asset.position, asset.balance)
            ),
            _number(asset.fee) if asset.fee is not None else text.NOTHING,
            text.NOTHING if asset.num_trades is None else f"{asset.num_trades:,}",
        )
    console.print(table)
    for sentence in run.warnings:
        console.print(Text.assemble(("warning: ", "yellow"), sentence))
