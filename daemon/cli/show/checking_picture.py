"""A picture of an archive over time: latency, spread, crossed and silent stretches, rows a second."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from daemon.cli.show.picture import DPI, HEIGHT_PX, WIDTH_PX, date_axis, times
from hftd.errors import UsageError

if TYPE_CHECKING:
    from sim.checks import Series, Validation

_LINE, _BAND, _BAD, _WARN = "#27496d", "#9fb3c8", "#c0362c", "#e08a1e"
_MS = 1e6


def draw(path: Path, report: "Validation", series: "Series") -> None:
    """Write the picture as PNG.

    Raises:
        UsageError: The file can't be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_PX / DPI, HEIGHT_PX / DPI), dpi=DPI, layout="constrained")
    panels = figure.subplots(4, 1, sharex=True, height_ratios=[1.5, 1, 0.6, 1])
    name = Path(report.files[0].file).name
    more = f" and {len(report.files) - 1} more" if len(report.files) > 1 else ""
    figure.suptitle(f"{name}{more}: {report.rows:,} rows", fontsize=14)
    at = times(series.start_ts)
    _latency(panels[0], at, report, series)
    _spread(panels[1], at, series)
    _problems(panels[2], at, report, series)
    _rates(panels[3], at, series)
    for panel in panels:
        panel.grid(alpha=0.25)
        panel.margins(x=0.01)
    date_axis(panels[-1])
    panels[-1].set_xlabel("local time (UTC)")
    try:
        figure.savefig(path, dpi=DPI)
    except OSError as error:
        raise UsageError(f"the picture can't be written: {error.strerror}", where=str(path)) from None


def _latency(panel: Any, at: np.ndarray, report: "Validation", series: "Series") -> None:
    panel.set_ylabel("feed latency, ms")
    known = series.buckets["latencies"] > 0
    if not known.any():
        panel.text(
            0.5, 0.5, "no latencies", transform=panel.transAxes, ha="center", va="center", color="#666666"
        )
        return
    found = series.buckets[known]
    low, high = found["latency_min"] / _MS, found["latency_max"] / _MS
    mean = found["latency_sum"] / found["latencies"] / _MS
    panel.fill_between(at[known], low, high, color=_BAND, alpha=0.5, linewidth=0, label="least to greatest")
    panel.plot(at[known], mean, color=_LINE, linewidth=1, label="mean")
    if report.drift is not None:
        first = int(np.argmax(known))
        seconds = (series.start_ts[known] - series.start_ts[first]) / 1e9
        slope = report.drift.ns_per_s / _MS
        offset = float(np.median(low - slope * seconds))
        label = f"least, drift {report.drift.ns_per_s / 1e3:+.2f} µs/s"
        panel.plot(at[known], offset + slope * seconds, color=_BAD, linewidth=1, linestyle="--", label=label)
    if (low > 0).all() and high.max() > 50 * max(np.median(mean), 1e-6):
        panel.set_yscale("log")
    elif (low < 0).any():
        panel.axhline(0, color="black", linewidth=0.6)
    panel.legend(loc="best", fontsize=8)


def _spread(panel: Any, at: np.ndarray, series: "Series") -> None:
    panel.set_ylabel("spread, ticks")
    known = series.buckets["spreads"] > 0
    if not known.any():
        panel.text(0.5, 0.5, "no book", transform=panel.transAxes, ha="center", va="center", color="#666666")
        return
    found = series.buckets[known]
    mean = found["spread_sum"] / found["spreads"]
    panel.plot(at[known], found["spread_max"], color=_BAND, linewidth=0.8, label="widest")
    panel.plot(at[known], mean, color=_LINE, linewidth=1, label="mean")
    if found["spread_max"].max() > 50 * max(float(np.median(mean)), 1.0):
        panel.set_yscale("log")
    panel.legend(loc="best", fontsize=8)


def _problems(panel: Any, at: np.ndarray, report: "Validation", series: "Series") -> None:
    """A line for each kind: where the first of its rows are; crossed and locked stretches in full."""
    if not len(at):
        # Rows of the exchange's side alone have no place on the local clock.
        panel.set_yticks([])
        panel.text(
            0.5, 0.5, "no local times", transform=panel.transAxes, ha="center", va="center", color="#666666"
        )
        return
    shown = [problem for problem in report.problems if problem.first and problem.severity != "note"]
    names = [problem.name for problem in shown]
    for number, problem in enumerate(shown):
        color = _BAD if problem.severity == "error" else _WARN
        moments = np.array([place.local_ts for place in problem.first], np.int64)
        inside = moments[(moments >= series.start_ts[0]) & (moments <= series.start_ts[-1] + series.width_ns)]
        if problem.name in ("gap", "depth_gap"):
            lengths = {place.local_ts: place.amount or 0 for place in problem.first}
            for moment in inside.tolist():
                begin, end = times(np.array([moment - lengths[moment], moment]))
                panel.plot([begin, end], [number, number], color=color, linewidth=6, solid_capstyle="butt")
        panel.scatter(
            times(inside), np.full(len(inside), number), color=color, s=18, marker="|", linewidths=2
        )
    stretches = (("crossed", "crossed_ns", _BAD), ("locked", "locked_ns", _WARN))
    for name, field, color in stretches:
        chosen = series.buckets[field] > 0
        if chosen.any():
            if name not in names:
                names.append(name)
            level = names.index(name)
            panel.scatter(at[chosen], np.full(int(chosen.sum()), level), color=color, s=14, marker="s")
    panel.set_yticks(range(len(names)), names, fontsize=8)
    panel.set_ylim(len(names) - 0.4, -0.6)
    if not names:
        panel.set_yticks([])
        panel.text(
            0.5,
            0.5,
            "no problems",
            transform=panel.transAxes,
            ha="center",
            va="center",
            color="#1a7f4b",
            fontsize=12,
        )
    else:
        panel.set_title("the first places of each problem", fontsize=9, loc="left")


def _rates(panel: Any, at: np.ndarray, series: "Series") -> None:
    seconds = series.width_ns / 1e9
    panel.set_ylabel("a second")
    panel.step(at, series.buckets["rows"] / seconds, where="post", color=_LINE, linewidth=0.9, label="rows")
    panel.step(
        at, series.buckets["trades"] / seconds, where="post", color=_WARN, linewidth=0.9, label="trades"
    )
    panel.set_yscale("symlog", linthresh=1)
    panel.legend(loc="best", fontsize=8)
