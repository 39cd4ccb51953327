"""The page of a sweep: one file of HTML with everything in it, that asks no network for anything."""

import contextlib
import os
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import jinja2
import msgspec

from hftd.errors import UsageError
from hftd.version import __version__
from sim.results.report.page import embedded, page_text, plotly_script
from sim.results.sweeps import plots
from sim.results.sweeps.forward import Trial
from sim.results.sweeps.judge import SAMPLES_ROOT, Judgement
from sim.sweeps.summary import PointSummary
from sim.sweeps.sweep import Sweep

NOTHING: Final = "\u2013"
_ROWS_MAX: Final = 50
_FIGURES: Final = (
    "sharpe",
    "equity",
    "max_drawdown",
    "fills",
    "traded_value",
    "return_by_value",
    "sharpe_daily",
)


def told(value: Any) -> str:
    """A figure in few digits."""
    if value is None:
        return NOTHING
    return f"{value:,.6g}" if isinstance(value, float) else str(value)


def said(found: Judgement) -> list[tuple[str, str, str]]:
    """What is said of the best point: names, values and what they mean."""
    made = [
        ("best point", str(found.best), f"of {found.points:,}, by its Sharpe ratio over the whole time"),
        ("Sharpe ratio", told(found.sharpe), "annualised, of samples of 10 s"),
        (
            "expected of chance",
            told(found.expected_sharpe),
            "the best of so many worthless points would have it",
        ),
        (
            "deflated Sharpe ratio",
            told(found.deflated_sharpe),
            "the probability that the true ratio is above 0, given how many points were tried",
        ),
    ]
    fit, around, trials = found.overfitting, found.neighbours, found.walk_forward
    made.append(
        (
            "probability of overfitting",
            told(fit.probability if fit else None),
            f"the best of half of the days is below the median on the other half ({fit.halves:,} ways of halving)"
            if fit
            else "",
        )
    )
    if around:
        share = told(around.median * SAMPLES_ROOT / found.sharpe if found.sharpe else None)
        what = f"the median of {len(around.points)} has {share} of the best's ratio"
        made.append(("neighbours", "a plateau" if around.is_plateau else "a spike", what))
    if trials:
        made.append(
            (
                "walk-forward",
                told(sum(one.profit for one in trials)),
                f"profit of {len(trials):,} days, each of the best point of the days before it",
            )
        )
    if found.folds:
        made.append(
            (
                "folds",
                told(sum(one.profit for one in found.folds)),
                f"profit of {len(found.folds):,} folds, each of the best point of the others",
            )
        )
    return made


def ranked(points: Sequence[PointSummary], count: int) -> list[PointSummary]:
    """The best points, by their Sharpe ratios; those with failed days last."""
    lowest = float("-inf")
    return sorted(
        points,
        key=lambda one: (bool(one.failed), -(one.sharpe if one.sharpe is not None else lowest), one.point),
    )[:count]


def page(sweep: Sweep, found: Judgement, title: str | None = None) -> str:
    """The page of a sweep."""
    good = [one for one in sweep.points if not one.failed]
    drawn = [
        one
        for one in (
            *plots.maps(good),
            plots.parallel(good),
            plots.pareto(good),
            plots.forward(sweep, found.walk_forward, found.best),
        )
        if one is not None
    ]
    names = list(sweep.points[0].parameters)
    best = ranked(sweep.points, _ROWS_MAX)
    tables = [
        {
            "heading": f"The best {len(best):,} of {len(sweep.points):,} points",
            "columns": ["point", *names, *(name.replace("_", " ") for name in _FIGURES)],
            "rows": [
                [one.point, *(one.parameters[name] for name in names)]
                + [told(getattr(one, name)) for name in _FIGURES]
                for one in best
            ],
        }
    ]
    for heading, trials in (("Walk-forward", found.walk_forward), ("Folds", found.folds)):
        if trials:
            tables.append({"heading": heading, "columns": _TRIAL, "rows": [_trial(one) for one in trials]})
    failed = [one for one in sweep.points if one.failed]
    reasons = [f"point {one.point}: {one.reason}" for one in failed[:20]]
    return _template().render(
        title=title or sweep.folder.resolve().name,
        subtitle=f"{len(sweep.points):,} points, {sweep.days[0]} to {sweep.days[-1]}",
        said=said(found),
        tables=tables,
        notes=[*found.notes, *reasons],
        plots=drawn,
        embedded=embedded(drawn),
        plotly=plotly_script(),
        css=page_text("page.css"),
        version=__version__,
    )


_TRIAL: Final = ["days", "point", "ratio where chosen", "ratio where tried", "profit"]


def _trial(one: Trial) -> list[str]:
    days = one.days[0] if len(one.days) == 1 else f"{one.days[0]} to {one.days[-1]}"
    return [days, str(one.point), told(one.chosen_sharpe), told(one.sharpe), told(one.profit)]


def save(text: str, path: Path) -> None:
    """Write a page; it appears whole or not at all.

    Raises:
        UsageError: It can't be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise UsageError(f"the page can't be written: {error.strerror or error}", where=str(path)) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def write_parquet(sweep: Sweep, path: Path) -> None:
    """Write a row for each point and day: its parameters and figures as columns.

    Raises:
        UsageError: polars is not installed, or the file can't be written.
    """
    try:
        import polars
    except ImportError:
        raise UsageError("--parquet needs polars", hint="pip install 'hftd[polars]'") from None
    rows = [
        {"point": row.point, "date": row.date, **row.parameters}
        | {
            name: value
            for name, value in msgspec.to_builtins(row).items()
            if name not in ("point", "date", "parameters", "moments", "assets", "warnings")
        }
        for row in sweep.rows
    ]
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        polars.DataFrame(rows, infer_schema_length=None).write_parquet(part)
        part.replace(path)
    except OSError as error:
        raise UsageError(f"the table can't be written: {error.strerror or error}", where=str(path)) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(
        files("sim.results.sweeps").joinpath("page.html").read_text(encoding="utf-8")
    )
