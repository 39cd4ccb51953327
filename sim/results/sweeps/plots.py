"""The plots of a sweep's page, as descriptions for Plotly."""

import itertools
import math
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from sim.results.sweeps.forward import Trial
from sim.sweeps.summary import PointSummary
from sim.sweeps.sweep import Sweep

_MAPS_MAX: Final = 6
_LINES_MAX: Final = 200
_DOTS_MAX: Final = 5000
_COLOURS: Final = "Viridis"


class Plot(msgspec.Struct, frozen=True, kw_only=True):
    """One plot.

    Attributes:
        id: Of its element.
        title: Above it.
        note: Below it.
        data: Plotly's traces.
        layout: Plotly's layout, without colours.
    """

    id: str
    title: str
    note: str = ""
    data: list[dict[str, Any]]
    layout: dict[str, Any]


def _axes(points: Sequence[PointSummary]) -> dict[str, list[Any]]:
    """The parameters that take more than one value, and what they take."""
    names = list(points[0].parameters)
    found = {
        name: sorted({one.parameters[name] for one in points}, key=lambda v: (str(type(v)), v))
        for name in names
    }
    return {name: values for name, values in found.items() if len(values) > 1}


def _axis(title: str, values: Sequence[Any] = ()) -> dict[str, Any]:
    is_named = any(isinstance(value, bool | str) for value in values)
    return {"title": {"text": title}} | ({"type": "category"} if is_named else {})


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def maps(points: Sequence[PointSummary]) -> list[Plot]:
    """The mean Sharpe ratio by each parameter, or by each two of them."""
    axes = _axes(points)
    known = [one for one in points if one.sharpe is not None]
    if not known:
        return []
    if len(axes) == 1:
        ((name, values),) = axes.items()
        data = {
            "type": "scatter",
            "mode": "lines+markers",
            "x": values,
            "y": [
                _mean(
                    [one.sharpe for one in known if one.parameters[name] == value and one.sharpe is not None]
                )
                for value in values
            ],
        }
        layout = {"xaxis": _axis(name, values), "yaxis": _axis("Sharpe ratio")}
        return [Plot(id="map0", title=f"Sharpe ratio by {name}", data=[data], layout=layout)]
    made: list[Plot] = []
    for number, (first, second) in enumerate(itertools.islice(itertools.combinations(axes, 2), _MAPS_MAX)):
        layout = {"xaxis": _axis(first, axes[first]), "yaxis": _axis(second, axes[second])}
        by_cell: dict[tuple[Any, Any], list[float]] = {}
        for one in known:
            if one.sharpe is not None:
                cell = one.parameters[first], one.parameters[second]
                by_cell.setdefault(cell, []).append(one.sharpe)
        if len(axes[first]) * len(axes[second]) > 4 * len(points):
            # By chance: hardly two points have a value in common.
            shown = known[:_DOTS_MAX]
            data: dict[str, Any] = {
                "type": "scatter",
                "mode": "markers",
                "x": [one.parameters[first] for one in shown],
                "y": [one.parameters[second] for one in shown],
                "text": [f"point {one.point}: {one.sharpe:.4g}" for one in shown],
                "marker": {
                    "color": [one.sharpe for one in shown],
                    "colorscale": _COLOURS,
                    "showscale": True,
                },
            }
        else:
            data = {
                "type": "heatmap",
                "x": axes[first],
                "y": axes[second],
                "z": [[_mean(by_cell.get((x, y), [])) for x in axes[first]] for y in axes[second]],
                "colorscale": _COLOURS,
            }
        note = "Each cell is the mean over the other parameters." if len(axes) > 2 else ""
        made.append(
            Plot(
                id=f"map{number}",
                title=f"Sharpe ratio by {first} and {second}",
                note=note,
                data=[data],
                layout=layout,
            )
        )
    return made


def parallel(points: Sequence[PointSummary]) -> Plot | None:
    """A line for each point through its parameters and its Sharpe ratio, of 200 from the best to the worst."""
    axes = _axes(points)
    ranked = sorted(
        (one for one in points if one.sharpe is not None), key=lambda one: (one.sharpe or 0.0, one.point)
    )
    if len(axes) < 2 or len(ranked) < 2:
        return None
    if len(ranked) > _LINES_MAX:
        ranked = [ranked[round(k * (len(ranked) - 1) / (_LINES_MAX - 1))] for k in range(_LINES_MAX)]
    ratios = [one.sharpe or 0.0 for one in ranked]
    span = (ratios[-1] - ratios[0]) or 1.0
    data: list[dict[str, Any]] = []
    for one, ratio in zip(ranked, ratios, strict=True):
        share = (ratio - ratios[0]) / span
        places = [_place(values, one.parameters[name]) for name, values in axes.items()]
        told = [f"{name} = {one.parameters[name]}" for name in axes]
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": [*axes, "Sharpe ratio"],
                "y": [*places, share],
                "text": [f"point {one.point}: {text}" for text in [*told, f"Sharpe ratio {ratio:.4g}"]],
                "hoverinfo": "text",
                "line": {"color": _colour(share), "width": 1},
                "opacity": 0.6,
            }
        )
    layout = {"yaxis": {"title": {"text": "from lowest to highest"}}, "showlegend": False}
    note = f"{len(ranked):,} points from the worst (blue) to the best (yellow)."
    return Plot(id="parallel", title="Parameters and Sharpe ratio", note=note, data=data, layout=layout)


def _place(values: Sequence[Any], value: Any) -> float:
    """Where a value is between the lowest and the highest: words by their order."""
    if any(isinstance(one, bool | str) for one in values):
        return values.index(value) / (len(values) - 1)
    return (value - values[0]) / (values[-1] - values[0])


def _colour(share: float) -> str:
    """Between blue and yellow."""
    low, high = (68, 58, 131), (230, 190, 30)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(low, high, strict=True))


def front_of(points: Sequence[PointSummary]) -> list[PointSummary]:
    """The points that no other one beats in both profit and drawdown, by drawdown."""
    found: list[PointSummary] = []
    highest = -math.inf
    known = [one for one in points if one.equity is not None and one.max_drawdown is not None]
    for one in sorted(known, key=lambda one: (one.max_drawdown or 0.0, -(one.equity or 0.0), one.point)):
        if one.equity is not None and one.equity > highest:
            highest = one.equity
            found.append(one)
    return found


def pareto(points: Sequence[PointSummary]) -> Plot | None:
    """Profit against drawdown, and the points that none beats in both."""
    known = [one for one in points if one.equity is not None and one.max_drawdown is not None]
    if len(known) < 2:
        return None
    front = front_of(known)

    def trace(shown: Sequence[PointSummary], name: str, mode: str) -> dict[str, Any]:
        return {
            "type": "scatter",
            "mode": mode,
            "name": name,
            "x": [one.max_drawdown for one in shown],
            "y": [one.equity for one in shown],
            "text": [
                f"point {one.point}: "
                + ", ".join(f"{name} = {value}" for name, value in one.parameters.items())
                for one in shown
            ],
        }

    layout = {"xaxis": _axis("largest drawdown"), "yaxis": _axis("profit")}
    note = f"{_DOTS_MAX:,} of {len(known):,} points are drawn." if len(known) > _DOTS_MAX else ""
    data = [
        trace(known[:: math.ceil(len(known) / _DOTS_MAX)], "points", "markers"),
        trace(front, "Pareto front", "lines+markers"),
    ]
    return Plot(id="pareto", title="Profit and drawdown", note=note, data=data, layout=layout)


def forward(sweep: Sweep, trials: Sequence[Trial], best: int) -> Plot | None:
    """The profits of the walk-forward, added up day by day, beside the best point in hindsight and the mean of all."""
    if not trials:
        return None
    days = [trial.days[0] for trial in trials]
    first = len(sweep.days) - len(days)
    good = [one for one in sweep.points if not one.failed]
    (chosen,) = [one for one in good if one.point == best]

    def trace(name: str, profits: Sequence[float]) -> dict[str, Any]:
        y = [math.fsum(profits[: k + 1]) for k in range(len(profits))]
        return {
            "type": "scatter",
            "mode": "lines+markers",
            "name": name,
            "x": [f"{day[:4]}-{day[4:6]}-{day[6:]}" for day in days],
            "y": y,
        }

    means = [
        math.fsum(one.profits[day] or 0.0 for one in good) / len(good)
        for day in range(first, len(sweep.days))
    ]
    data = [
        trace("walk-forward", [trial.profit for trial in trials]),
        trace(f"point {best}, best in hindsight", [profit or 0.0 for profit in chosen.profits[first:]]),
        trace("mean of all points", means),
    ]
    layout = {"xaxis": {"type": "category"}, "yaxis": _axis("profit")}
    return Plot(id="forward", title="Walk-forward", data=data, layout=layout)
