"""How instruments go together: tables and a chart."""

from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np

from daemon.cli.show import text
from sim.results.parts import Chart, Curve, Facts, Panel, Part, Rule, Table

if TYPE_CHECKING:
    from sim.results.correlate import Correlations

_COLORS: Final = ("#27496d", "#e08a1e", "#1a7f4b", "#c0362c", "#7a5195", "#7a8797")
_DRAWN_MAX: Final = 30
"""More curves can't be told apart."""


def _time(ns: int) -> str:
    return f"{ns / 1e6:g} ms" if abs(ns) < 1_000_000_000 else f"{ns / 1e9:g} s"


def _number(value: float | None) -> str:
    return text.NOTHING if value is None else f"{value:.3f}"


def tables(found: "Correlations") -> Iterator[Part]:
    """Correlations of each two, by horizon; and who leads."""
    span = f"{text.moment(found.start_ns)} to {text.moment(found.end_ns)}"
    counts = ", ".join(f"{name} {count:,}" for name, count in zip(found.names, found.changes, strict=True))
    yield Facts([("common time", span), ("changes of the mid", counts)])
    pairs = list(combinations(range(len(found.names)), 2))
    yield Table(
        ("correlation of returns", *(f"={_time(ns)}" for ns in found.horizons_ns)),
        [
            [f"{found.names[i]}, {found.names[j]}", *(_number(matrix[i][j]) for matrix in found.matrices)]
            for i, j in pairs
        ],
        is_boxed=False,
        keys=1,
    )
    horizon = (
        "from change to change" if found.lag_horizon_ns is None else f"over {_time(found.lag_horizon_ns)}"
    )
    yield Table(
        ("first, second", "=first leads by", "=correlation there", "=at once", "=lead-lag ratio"),
        [
            [
                f"{one.first}, {one.second}",
                text.NOTHING if one.best_lag_ns is None else _time(one.best_lag_ns),
                _number(one.best),
                _number(one.correlations[len(one.correlations) // 2]),
                _number(one.ratio),
            ]
            for one in found.lead_lag
        ],
        is_boxed=False,
        keys=1,
        title=f"Lead and lag of returns {horizon}",
    )


def chart(found: "Correlations") -> Chart:
    """Correlations by horizon above, by lag below; of many pairs the first ones."""
    pairs = list(combinations(range(len(found.names)), 2))[:_DRAWN_MAX]
    by_horizon = Panel(label="correlation", x_label="horizon, s (log10)", over_time=False, title="by horizon")
    at = np.log10(np.array(found.horizons_ns) / 1e9)
    by_lag = Panel(
        label="correlation", x_label="the second comes later by, ms", over_time=False, title="by lag"
    )
    for number, (i, j) in enumerate(pairs):
        color = _COLORS[number % len(_COLORS)]
        values = [np.nan if matrix[i][j] is None else matrix[i][j] for matrix in found.matrices]
        by_horizon.parts.append(
            Curve(at, values, color, f"{found.names[i]}, {found.names[j]}", width=1.2, dots=True)
        )
    for number, one in enumerate(found.lead_lag[:_DRAWN_MAX]):
        lags = np.array(one.lags_ns) / 1e6
        values = [np.nan if value is None else value for value in one.correlations]
        by_lag.parts.append(Curve(lags, values, _COLORS[number % len(_COLORS)], width=1.2))
    by_lag.parts.append(Rule(0, alpha=0.5, upright=True))
    return Chart(
        title="correlation of mid-price returns",
        columns=[[by_horizon, by_lag]],
        heights=[1, 1],
        shares_x=False,
    )
