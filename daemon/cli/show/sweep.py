"""What a sweep came to, as tables."""

from collections.abc import Iterator
from typing import Any

from daemon.cli.show import text
from sim.results.parts import Part, Rows, Table, line, notes, warnings
from sim.results.sweeps.judge import Judgement
from sim.results.sweeps.page import ranked, said
from sim.sweeps.sweep import Sweep

_FIGURES = ("equity", "sharpe", "max_drawdown", "fills", "traded_value", "return_by_value")


def shown(sweep: Sweep, count: int) -> Iterator[Part]:
    """The best points by their Sharpe ratios, and what failed."""
    failed = [one for one in sweep.points if one.failed]
    yield line(
        f"{_count(len(sweep.points), 'point')} over {_count(len(sweep.days), 'day')} in {sweep.folder}"
        + (f"; {len(failed):,} failed" if failed else "")
    )
    names = list(sweep.points[0].parameters) if sweep.points else []
    rows: Rows = [
        [
            str(one.point),
            *(_told(one.parameters[name]) for name in names),
            *(_told(getattr(one, name)) for name in _FIGURES),
        ]
        for one in ranked(sweep.points, count)
    ]
    yield Table(["point", *names, *(name.replace("_", " ") for name in _FIGURES)], rows)
    yield from warnings([f"point {one.point}: {one.reason}" for one in failed[:5]])


def judged(found: Judgement) -> Iterator[Part]:
    """How much of a sweep's best point is chance."""
    yield Table(["figure", "value", "what it is"], [[name, value, what] for name, value, what in said(found)])
    yield from notes(found.notes)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number != 1 else ''}"


def _told(value: Any) -> str:
    if value is None:
        return text.NOTHING
    return f"{value:,.6g}" if isinstance(value, float) else str(value)
