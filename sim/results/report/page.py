"""The page: one file of HTML with everything in it, that asks no network for anything."""

# pyright: basic

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

import jinja2
import msgspec

from hftd.version import __version__
from sim.results.report import plots
from sim.results.report.bounding import bounds_table
from sim.results.report.figures import LABELS, NOTHING, SHORT_DAYS, TILES, figures, named, shown
from sim.results.report.shapes import AssetReport, Options, Portfolio, RunReport

_SIGNED: Final = ("NetPnl", "SR", "Markout 1 s")
_BY_KEY: Final = {label.key: label for label in LABELS}
_EMPTY: Final = AssetReport(
    name="all together", meta=None, figures={}, why={}, periods=[], split=None, markouts=[], markouts_from="",
    frame=(), done=None, latencies=None, orders=None,
)  # fmt: skip
_ENDING: Final = re.compile("<(?=/script|!--)", re.IGNORECASE)
_NO_SUM: Final = "the assets can't be added up"


def page(runs: Sequence[RunReport], options: Options, title: str | None = None) -> str:
    """The page of one run, or of several side by side."""
    drawn: dict[str, plots.Plot] = {}
    is_short = any(run.days < SHORT_DAYS for run in runs)
    shown_runs = [_run(run, f"run{number}", options, drawn, is_short) for number, run in enumerate(runs)]
    comparison: plots.Plot = {}
    if len(runs) > 1:
        comparison = plots.side_by_side(runs)
        drawn[comparison["id"]] = comparison
    only = runs[0]
    return _template().render(
        title=title or (only.name if len(runs) == 1 else ", ".join(run.name for run in runs)),
        subtitle=_subtitle(only) if len(runs) == 1 else f"{len(runs)} runs side by side",
        runs=shown_runs,
        side_by_side=figures(
            [(run.name, run.whole or _without_sum()) for run in runs], options, is_short=is_short
        ),
        comparison=comparison,
        money=_money,
        version=__version__,
        resample=options.resample,
        year=f"{options.trading_days_per_year:g}",
        book_size=f"{options.book_size:,.10g}" if options.book_size else "",
        plots=embedded(drawn),
        css=page_text("page.css"),
        js=page_text("page.js"),
        plotly=plotly_script(),
    )


def _run(
    run: RunReport, key: str, options: Options, drawn: dict[str, plots.Plot], is_short: bool
) -> dict[str, Any]:
    whole = run.whole
    several = len(run.assets) > 1
    main: list[plots.Plot] = []
    if whole is not None:
        main += plots.equity(whole, key)
        if several:
            main[0]["wide"] = True
            main.append(plots.pnl_split(whole, key))
            if run.portfolio is not None:
                main.append(plots.exposure(run.portfolio, whole, key) | {"wide": True})
    parts: list[dict[str, Any]] = []
    for number, asset in enumerate(run.assets):
        at = f"{key}-asset{number}"
        made = [plots.price(asset, at), plots.position(asset, at)]
        made += [plots.pnl_split(asset, at), plots.markout(asset, at), plots.latency(asset, at)]
        made[0]["wide"] = True
        if several and len(asset.frame):
            made[1:1] = plots.equity(asset, at)[:1]
            made[-1]["wide"] = True
        for plot in made if several else [*main, *made]:
            plots.shaded(plot, asset.missing)
        parts.append({"heading": asset.name if several else "", "plots": made})
    for plot in [*main, *(plot for part in parts for plot in part["plots"])]:
        drawn[plot["id"]] = plot
    columns = [(asset.name, asset) for asset in run.assets]
    if several:
        columns.append(("all together", whole or _without_sum()))
    return {
        "key": key,
        "name": run.name,
        "subtitle": _subtitle(run),
        "tiles": _tiles(whole, options, is_short=run.days < SHORT_DAYS) if whole is not None else [],
        "plots": main,
        "assets": parts,
        "figures": figures(columns, options, is_short=is_short),
        "tables": _tables(run, options),
        "portfolio": _portfolio(run.portfolio) if run.portfolio is not None else None,
        "fills": [[run.assets[one.asset].name, one.cause, *one.cells(NOTHING)] for one in run.fills],
        "bounds": _bounds(run),
        "missing": run.missing(),
        "notes": [*dict.fromkeys(run.notes), f"File: {run.path}"],
        "settings": _settings(run),
    }


def _bounds(run: RunReport) -> dict[str, Any] | None:
    found = run.meta.bounds if run.meta is not None else None
    if found is None:
        return None
    table = bounds_table(found)
    return {
        "title": table.title,
        "columns": table.columns,
        "rows": table.rows,
        "sentence": found.sentence,
        "notes": found.notes,
    }


def _portfolio(found: Portfolio) -> dict[str, Any]:
    def cells(matrix: list[list[float | None]]) -> list[list[str]]:
        return [[NOTHING if value is None else f"{value:.2f}" for value in row] for row in matrix]

    return {
        "names": found.names,
        "samples": f"{found.samples:,}",
        "exposure": [
            ("gross", _money(found.gross_max), _money(found.gross_mean)),
            ("net, as a size", _money(found.net_max), _money(found.net_mean)),
        ],
        "matrices": [("returns of prices", cells(found.prices)), ("changes of equity", cells(found.pnl))],
    }


def _without_sum() -> AssetReport:
    keys = [label.key for label in LABELS]
    return msgspec.structs.replace(_EMPTY, figures=dict.fromkeys(keys), why=dict.fromkeys(keys, _NO_SUM))


def _tiles(whole: AssetReport, options: Options, *, is_short: bool) -> list[dict[str, str]]:
    made: list[dict[str, str]] = []
    for key in TILES:
        label, value = _BY_KEY[key], whole.figures.get(key)
        if value is None:
            continue
        tone = ("good" if value > 0 else "bad" if value < 0 else "") if key in _SIGNED else ""
        made.append(
            {
                "name": named(label, options.resample, is_short=is_short),
                "value": shown(label, value, options.book_size),
                "tone": tone,
                "tip": label.explanation,
            }
        )
    return made


def _tables(run: RunReport, options: Options) -> list[dict[str, Any]]:
    whole = run.whole
    sections = [whole] if whole is not None else run.assets
    made: list[dict[str, Any]] = []
    for section in sections:
        rows = section.periods
        if not rows:
            continue
        known = [row.pnl for row in rows if row.pnl is not None]
        unit = options.split
        of = f" of {section.name}" if len(sections) > 1 else ""
        made.append(
            {
                "heading": f"By {unit}{of}, of all rows",
                "currency": section.currency,
                "unit": unit,
                "rows": rows,
                "pnl": sum(known) if known else None,
                "fees": sum(row.fees for row in rows),
                "trades": sum(row.trades for row in rows),
                "value": sum(row.value for row in rows),
            }
        )
    return made


def _subtitle(run: RunReport) -> str:
    parts: list[str] = []
    if run.meta is not None:
        parts += [part for part in (run.meta.strategy, run.meta.kind) if part]
    spans = [asset.frame["timestamp"][[0, -1]] for asset in run.assets if len(asset.frame)]
    if spans:
        first, last = min(span[0] for span in spans), max(span[1] for span in spans)
        parts.append(f"{str(first)[:19].replace('T', ' ')} to {str(last)[:19].replace('T', ' ')} UTC")
    if run.meta is not None and run.meta.ended:
        parts.append(run.meta.ended)
    return " \u00b7 ".join(parts)


def _settings(run: RunReport) -> str:
    if run.meta is None:
        return ""
    told: dict[str, Any] = {"parameters": run.meta.parameters, "models": run.meta.settings}
    told["assets"] = [msgspec.to_builtins(asset) for asset in run.meta.assets]
    return msgspec.json.format(msgspec.json.encode(told), indent=2).decode()


def _money(value: float | None) -> str:
    return shown(_BY_KEY["NetPnl"], value, None)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def embedded(value: Any) -> str:
    """JSON that can stand in a script element: nothing in it ends the element."""
    return msgspec.json.encode(value).decode().replace("<", "\\u003c")


@cache
def page_text(name: str) -> str:
    """A file of the page."""
    return files("sim.results.report").joinpath("page", name).read_text(encoding="utf-8")


@cache
def plotly_script() -> str:
    """The script of the plots, as its package has it; nothing in it ends the element it stands in."""
    # Here, not above: its import would be the start of every command's.
    from plotly.offline import get_plotlyjs

    return _ENDING.sub(r"\\x3c", get_plotlyjs())


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["sentence"] = _sentence
    return environment.from_string(page_text("page.html"))
