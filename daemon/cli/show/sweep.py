"""What a sweep came to, as tables."""

from collections.abc import Iterator
from typing import Any

from daemon.cli.show import text
from sim.results.parts import Part, Rows, Table, line, warnings
from sim.sweeps.sweep import Sweep

_FIGURES = ("equity", "sharpe", "max_drawdown", "fills", "traded_value", "return_by_value")


def shown(sweep: Sweep, count: int) -> Iterator[Part]:
    """The best points by their Sharpe ratios, and what failed."""
    failed = [one for one in sweep.points if one.failed]
    yield line(
        f"{_count(len(sweep.points), 'point')} over {_count(len(sweep.days), 'day')} in {sweep.folder}"
        + (f"; {len(failed):,} failed" if failed else "")
    )
    lowest = float("-inf")
    ranked = sorted(
        sweep.points,
        key=lambda one: (bool(one.failed), -(one.sharpe if one.sharpe is not None else lowest), one.point),
    )[:count]
    names = list(sweep.points[0].parameters) if sweep.points else []
    rows: Rows = [
        [
            str(one.point),
            *(_told(one.parameters[name]) for name in names),
            *(_told(getattr(one, name)) for name in _FIGURES),
        ]
        for one in ranked
    ]
    yield Table(["point", *names, *(name.replace("_", " ") for name in _FIGURES)], rows)
    yield from warnings([f"point {one.point}: {one.reason}" for one in failed[:5]])


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number != 1 else ''}"


def _told(value: Any) -> str:
    if value is None:
        return text.NOTHING
    return f"{value:,.6g}" if isinstance(value, float) else str(value)
