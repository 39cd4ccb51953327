"""Archives and order latencies: what is in them, what is wrong with them, and what was made of them."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from daemon.cli.show import text
from sim.results.parts import Facts, Part, Rows, Table, line, notes

if TYPE_CHECKING:
    from hftd.recording import Gap
    from sim.checks import Fixed, Problem, Validation
    from sim.convert.report import Report
    from sim.convert.rows.crossed import Crossed
    from sim.tools import Contents, LatencyReport, Snapshot
    from sim.tools.contents import Book, Row, RunContents

_COLORS = {"error": "red bold", "warning": "yellow", "note": "cyan"}
_MS = 1e6
_LINES_SHOWN = 5
_CHANGES_SHOWN = 20
_SHARES = ("rows", "min", "1%", "10%", "50%", "90%", "99%", "99.9%", "max")
_WAYS = (("entry", "entry"), ("response", "response"), ("round trip", "round_trip"))


def _counts(by_name: dict[str, int]) -> str:
    """As in "depth 12, trade 3"."""
    return ", ".join(f"{name} {count:,}" for name, count in by_name.items()) or "none"


def _span(first_ns: int | None, last_ns: int | None) -> str:
    """From when to when, and how long that is."""
    if first_ns is None or last_ns is None:
        return "none"
    return f"{text.moment(first_ns)} to {text.moment(last_ns)}, {text.duration((last_ns - first_ns) / 1e9)}"


def _amount(value: int, unit: str) -> str:
    """Nanoseconds as a duration, other amounts with their unit."""
    if unit != "ns":
        return f"{value:,} {unit}".rstrip()
    if abs(value) < 1_000_000:
        return f"{value:,} ns"
    return text.duration(value / 1e9) if value >= 10**10 else f"{value / _MS:,.3f} ms"


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.12g}"


def _maybe(value: float | None) -> str:
    return text.NOTHING if value is None else f"{value:.12g}"


def _steps(of: Any) -> tuple[str, str]:
    """Tick and lot size, and whether they were guessed."""
    sizes = (of.tick_size, of.tick_guessed), (of.lot_size, of.lot_guessed)
    return "tick, lot", ", ".join(f"{size:.12g}{' (guessed)' if guessed else ''}" for size, guessed in sizes)


def _percentiles(found: dict[str, Any]) -> Table:
    """Latencies in milliseconds: a line for each kind, or a column each where the terminal is narrow."""
    rows: Rows = []
    for name, one in found.items():
        low = one.min_ns, one.p1_ns, one.p10_ns, one.p50_ns
        values = *low, one.p90_ns, one.p99_ns, one.p999_ns, one.max_ns
        rows.append([name, f"{one.rows:,}", *(f"{value / _MS:,.3f}" for value in values)])
    return Table(("latency, ms", *(f"={name}" for name in _SHARES)), rows, is_boxed=False, keys=1)


def validation(report: "Validation", rows: int = 3) -> Iterator[Part]:
    """What is in the archives, and what is wrong with them; so many rows of each problem."""
    files = report.files
    name = files[0].file if len(files) == 1 else f"{len(files)} archives, {files[0].file} to {files[-1].file}"
    yield line(f"{name}: {text.count(report.rows, 'row')}", style="bold")
    yield Facts(_checked(report))
    if report.latency:
        yield _percentiles(report.latency)
    yield from notes(report.notes)
    for problem in report.problems:
        yield from _problem(problem, rows, several=len(files) > 1)
    kinds = {kind: sum(problem.severity == kind for problem in report.problems) for kind in _COLORS}
    if report.is_sound:
        verdict = f"sound, with {text.count(kinds['note'], 'note')}" if kinds["note"] else "sound"
    else:
        errors, odd = text.count(kinds["error"], "kind"), text.count(kinds["warning"], "kind")
        verdict = f"not sound: {errors} of errors, {odd} of warnings"
    yield line(verdict, style="green bold" if report.is_sound else "red bold")


def _rows_of(report: "Validation") -> list[tuple[str, str]]:
    """How many rows of what, from when to when, and their steps."""
    first, last = report.files[0], report.files[-1]
    return [
        ("rows", f"{_counts(report.rows_by_kind)}; split by clock {report.split_rows:,}"),
        ("exchange time", _span(first.exch_first_ts, last.exch_last_ts)),
        ("local time", _span(first.local_first_ts, last.local_last_ts)),
        *_missing(report.missing),
        _steps(report),
    ]


def _missing(gaps: Sequence["Gap"]) -> list[tuple[str, str]]:
    """Windows in which something is missing, as far as a recorder said so."""
    if not gaps:
        return []
    lengths = [(gap.until_ns - gap.from_ns) / 1e9 for gap in gaps]
    longest = gaps[lengths.index(max(lengths))]
    said = f"the longest {text.duration(max(lengths))} from {text.moment(longest.from_ns)}: {longest.why}"
    return [("missing", f"{text.count(len(gaps), 'window')}, {text.duration(sum(lengths))} in all, {said}")]


def _prices(report: "Validation") -> list[tuple[str, str]]:
    if report.px_min is None or report.px_max is None:
        return []
    return [("prices", " to ".join(text.exact([report.px_min, report.px_max])))]


def _checked(report: "Validation") -> list[tuple[str, str]]:
    guessed = " (by the first rows)" if report.gap_guessed else ""
    gap, jump = text.duration(report.gap_ns / 1e9), text.duration(report.jump_ns / 1e9)
    facts = [*_rows_of(report), ("limits", f"gap {gap}{guessed}, jump {jump}"), *_prices(report)]
    if report.spread is not None:
        found = report.spread
        widest = f"99% {found.p99_ticks:,}, widest {found.max_ticks:,}"
        facts.append(("spread", f"median {found.p50_ticks:,} ticks, {widest}"))
    if report.trades.count:
        trades = report.trades
        inside = f"at the best price {trades.at_best:,}, inside the spread {trades.inside:,}"
        outside = f"beyond the best {trades.through:,}, behind the book {trades.behind:,}"
        facts.append(("trades", f"{trades.count:,}: {inside}, {outside}, unknown {trades.unknown:,}"))
    if report.drift is not None:
        drift = report.drift
        total, scatter = (
            f"{drift.total_ns / _MS:+,.3f} ms in all",
            f"scatter {drift.scatter_ns / _MS:,.3f} ms",
        )
        facts.append(("clock drift", f"{drift.ns_per_s / 1e3:+,.2f} µs/s, {total}, {scatter}"))
    return [*facts, ("took", f"{text.duration(report.seconds)}, {text.rate(report.rows, report.seconds)}")]


def _problem(problem: "Problem", rows: int, *, several: bool) -> Iterator[Part]:
    """A line with how often and how much, what it is, the first rows, and what to do; each indented under the line."""
    amounts = ""
    if problem.unit:
        most, total = _amount(problem.most, problem.unit), _amount(problem.total, problem.unit)
        amounts = f", most {most}, total {total}"
    severity = (f"{problem.severity:<8}", _COLORS[problem.severity])
    yield line(severity, (problem.name, "bold"), f" {problem.count:,}{amounts}")
    yield line(problem.what, indent=2)
    if rows and problem.first:
        places: list[tuple[str, str]] = []
        for place in problem.first[:rows]:
            by = f", {_amount(place.amount, problem.unit)}" if place.amount is not None else ""
            values = f"ev {place.ev:#x}, px {_number(place.px)}, qty {_number(place.qty)}"
            times = f"exch_ts {place.exch_ts}, local_ts {place.local_ts}{by}"
            where = f"{place.file}: " if several else ""
            places.append((f"    row {place.row:,}:", f"{where}{values}, {times}"))
        yield Facts(places, style="")
        if problem.count > rows:
            yield line(f"and {problem.count - len(places):,} more", indent=4)
    if problem.hint:
        yield line((problem.hint, "dim"), indent=2)


def fixed(done: list["Fixed"], after: "Validation") -> Iterator[Part]:
    """What was changed, and what the copies are like."""
    for one in done:
        yield line()
        yield line(f"{one.output}: {text.count(one.rows_written, 'row')}", style="bold")
        moved = {name.removesuffix("_order"): count for name, count in one.rows_out_of_order.items() if count}
        clock = f"moved by {one.clock_correction_ns:,} ns" if one.clock_correction_ns else "not moved"
        yield Facts(
            [
                ("dropped", _counts(one.dropped)),
                ("out of order", _counts(moved)),
                ("split by clock", f"{one.rows_split:,}"),
                ("clock", clock),
                ("size", text.size(one.bytes_written)),
            ]
        )
        yield from notes(one.not_fixed, "not changed", "yellow")
    left = [f"{one.name} ({one.count:,})" for one in after.problems if one.severity != "note"]
    verdict = f"the copy still has {', '.join(left)}" if left else "the copy is sound"
    yield line(verdict, style="red bold" if left else "green bold")


def contents(found: "Contents") -> Iterator[Part]:
    """What is in a file, by what kind of file it is."""
    if found.latencies is not None:
        yield from latencies(found.latencies)
    elif found.run is not None:
        yield from _run(found, found.run)
    elif found.check is not None:
        yield from _events(found, found.check)
    yield from notes(found.notes)


def _events(found: "Contents", check: "Validation") -> Iterator[Part]:
    yield line(f"{found.file}: {text.count(found.rows, 'row')}, {text.size(found.bytes)}", style="bold")
    yield Facts(_about(found, check))
    if check.latency:
        yield _percentiles(check.latency)
    yield from notes(check.notes)
    book = found.book
    if book is not None and (book.bids or book.asks or book.at_ts is not None):
        when = "at the end" if book.at_ts is None else f"at {text.moment(book.at_ts)}"
        whose = "" if book.clock == "local" else ", the exchange's"
        yield line(f"book {when}{whose}: {book.levels[0]:,} bids, {book.levels[1]:,} asks", style="dim")
        if book.bids or book.asks:
            yield _book(book)
    if found.first:
        yield _rows(found.first, found.last)


def _about(found: "Contents", check: "Validation") -> list[tuple[str, str]]:
    facts = [*_rows_of(check), *_prices(check)]
    if found.rows_per_s is not None and found.trades_per_s is not None:
        facts.append(("rates", f"{found.rows_per_s:,.1f} rows/s, {found.trades_per_s:,.2f} trades/s"))
    if any(burst.rows for burst in found.bursts):
        busiest = [
            f"{text.count(burst.rows, 'row')} in {burst.width_ns / 1e6:g} ms" for burst in found.bursts
        ]
        facts.append(("busiest", ", ".join(busiest)))
    if check.spread is not None:
        median, widest = check.spread.p50_ticks, check.spread.max_ticks
        facts.append(("spread", f"median {median:,} ticks, widest {widest:,}"))
    gap = check.problem("gap")
    longest = f"{gap.count:,}, the longest {text.duration(gap.most / 1e9)}" if gap else "none"
    facts.append(("gaps", f"{longest} (longer than {text.duration(check.gap_ns / 1e9)})"))
    problems = ", ".join(f"{problem.name} {problem.count:,}" for problem in check.problems)
    verdict = "sound" if check.is_sound else "not sound"
    return [*facts, ("validate", f"{verdict}: {problems}" if problems else verdict)]


def _book(book: "Book") -> Table:
    """Levels side by side; of a book of single orders also how many orders each has."""
    levels = [*book.bids, *book.asks]
    px, qty = text.exact([level.px for level in levels]), text.exact([level.qty for level in levels])
    by_order = any(level.orders is not None for level in levels)
    cells = [
        [*([str(level.orders)] if by_order else []), q, p]
        for level, q, p in zip(levels, qty, px, strict=True)
    ]
    bids, asks = cells[: len(book.bids)], [cell[::-1] for cell in cells[len(book.bids) :]]
    width, height = 3 if by_order else 2, max(len(bids), len(asks))
    sides = [[*side, *[[""] * width] * (height - len(side))] for side in (bids, asks)]
    names = ["bid qty", "bid", "ask", "ask qty"]
    columns = [f"={name}" for name in (["orders", *names, "orders"] if by_order else names)]
    return Table(columns, [[*bid, *ask] for bid, ask in zip(*sides, strict=True)], is_boxed=False, keys=0)


def _rows(first: list["Row"], last: list["Row"]) -> Table:
    """Without the columns of which all rows have nothing."""
    seen = {row.row for row in first}
    shown = [*first, *(row for row in last if row.row not in seen)]
    more = [name for name in ("order_id", "ival", "fval") if any(getattr(row, name) != 0 for row in shown)]
    columns = ("row", "ev", "exch_ts", "local_ts", "px", "qty", *more)
    cells: Rows = []
    for number, row in enumerate(shown):
        if number and row.row != shown[number - 1].row + 1:
            cells.append(["...", *[""] * (len(columns) - 1)])
        further = {"order_id": str(row.order_id), "ival": str(row.ival), "fval": _number(row.fval)}
        values = f"{row.row:,}", f"{row.ev:#x}", str(row.exch_ts), str(row.local_ts)
        cells.append([*values, _number(row.px), _number(row.qty), *(further[name] for name in more)])
    return Table([f"={name}" for name in columns], cells, is_boxed=False, keys=1)


def _run(found: "Contents", run: "RunContents") -> Iterator[Part]:
    yield line(
        f"{found.file}: run {run.name}, {found.rows:,} records, {text.size(found.bytes)}", style="bold"
    )
    yield Facts(
        [
            ("strategy", run.strategy or "not known"),
            ("kind", run.run_kind or "not known"),
            ("days", ", ".join(run.dates) or "not known"),
            ("tables", _counts(run.tables)),
            ("life of orders", "not recorded" if run.life is None else text.count(run.life, "row")),
        ]
    )
    rows: Rows = []
    for asset in run.assets:
        times = text.moment(asset.first_ts or 0), text.moment(asset.last_ts or 0)
        money = map(_maybe, (asset.position, asset.balance, asset.fee))
        trades = text.NOTHING if asset.num_trades is None else f"{asset.num_trades:,}"
        rows.append([asset.symbol, f"{asset.records:,}", f"{asset.fills:,}", *times, *money, trades])
    numbers = "=records", "=fills", "=from", "=to", "=position", "=balance", "=fee", "=trades"
    yield Table(("asset", *numbers), rows, is_boxed=False, keys=1)
    yield from notes([change.told() for change in run.changes[:_CHANGES_SHOWN]], "set")
    if len(run.changes) > _CHANGES_SHOWN:
        yield line(f"and {len(run.changes) - _CHANGES_SHOWN:,} more; --json shows them", style="dim")
    yield from notes(run.warnings, "warning", "yellow")


def snapshot(report: "Snapshot") -> Iterator[Part]:
    """The book that was written."""
    yield line(
        f"{report.output}: {text.count(report.bids + report.asks, 'row')} of {report.kind}", style="bold"
    )
    yield Facts(
        [
            ("bids", f"{report.bids:,}, best {_maybe(report.best_bid)}"),
            ("asks", f"{report.asks:,}, best {_maybe(report.best_ask)}"),
            ("last row", text.moment(report.last_ts or 0)),
            _steps(report),
        ]
    )
    yield from notes(report.notes)


def latencies(report: "LatencyReport") -> Iterator[Part]:
    """Percentiles of both ways of orders, and what was corrected."""
    name = report.output or ", ".join(report.files)
    yield line(f"{name}: {text.count(report.rows, 'row')} of order latencies", style="bold")
    facts = [("requests", _span(report.first_ts, report.last_ts))]
    if report.output:
        facts.append(
            ("read", f"{text.count(report.rows_read, 'row')} of {text.count(len(report.files), 'file')}")
        )
    facts.append(("refused", f"{report.refused:,}"))
    if report.changed:
        facts.append(("put right", _counts(report.changed)))
    yield Facts(facts)
    ways = {name: getattr(report, field) for name, field in _WAYS}
    yield _percentiles({name: found for name, found in ways.items() if found is not None})
    yield from notes(report.notes)


def conversion(report: "Report") -> Iterator[Part]:
    """What was converted, what the capture is like, and what is wrong with it."""
    yield line(
        f"{report.output}: {text.count(report.rows, 'row')} of {report.symbol or report.venue}", style="bold"
    )
    least = f"{report.latency_min_ns / 1e6:,.3f} ms; corrected by {report.clock_correction_ns:,} ns"
    sequence = report.sequence
    gaps = f"{sequence.gaps:,} with updates missing, {sequence.repeats:,} repeated or late"
    facts = [
        ("rows", _counts(report.rows_by_kind)),
        ("split by clock", f"{report.rows_split:,}"),
        ("exchange time", _span(report.exch.first_ts, report.exch.last_ts)),
        ("local time", _span(report.local.first_ts, report.local.last_ts)),
        ("least latency", least),
        ("gaps", gaps if sequence.gaps or sequence.repeats else "none"),
        *_missing(report.gaps),
        ("crossed book", _crossed(report.crossed)),
        ("lines", f"{report.lines:,}: {_counts(report.lines_by_kind)}"),
    ]
    counted = (
        ("lines without rows", report.ignored),
        ("not converted", report.not_converted),
        ("exchange's errors", report.exchange_errors),
    )
    facts += [(label, _counts(counts)) for label, counts in counted if counts]
    mb_s = report.megabytes_per_second
    speed = f"{mb_s * 1e3:,.1f} kB/s" if mb_s < 1 else f"{mb_s:,.0f} MB/s"
    read = f"{text.size(report.bytes_text)} of text in {text.duration(report.seconds)}"
    yield Facts([*facts, ("took", f"{read}, {speed}")])
    yield from notes(report.notes)
    places = [f"{place.file}:{place.line}: {place.what}" for place in report.unreadable[:_LINES_SHOWN]]
    yield from notes(places, "line", "yellow")
    yield from notes(report.damage, "damage", "red bold")


def _crossed(crossed: "Crossed") -> str:
    if not crossed.checked:
        return "not checked: the prices are too far apart"
    if not crossed.times:
        return "never"
    total_ms, longest_ms = crossed.total_ns / 1e6, crossed.longest_ns / 1e6
    return f"{text.count(crossed.times, 'time')}, {total_ms:,.1f} ms in all, the longest {longest_ms:,.1f} ms"
