"""Charts as PNG pictures. Nothing else of the command line knows matplotlib."""

from pathlib import Path
from typing import Any, Final

import numpy as np

from hftd.errors import UsageError
from sim.results.parts import Band, Bars, Chart, Curve, Marks, Panel, Rule

_DPI: Final = 100
_WIDTH_PX: Final = 1200
_HEIGHT_PX: Final = 900
_COLUMN_WIDTH_PX_MIN: Final = 500
_NOTE: Final = {"ha": "center", "va": "center"}


def draw(path: Path, chart: Chart) -> None:
    """Write a chart as PNG, 1200 x 900 pixels, wider for more than two columns.

    Raises:
        UsageError: The file can't be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    width_px = max(_WIDTH_PX, len(chart.columns) * _COLUMN_WIDTH_PX_MIN)
    figure = Figure(figsize=(width_px / _DPI, _HEIGHT_PX / _DPI), dpi=_DPI, layout="constrained")
    grid = {"sharex": chart.shares_x, "squeeze": False, "height_ratios": chart.heights}
    panels = figure.subplots(len(chart.heights), max(len(chart.columns), 1), **grid)
    figure.suptitle(chart.title, fontsize=14)
    for number, column in enumerate(chart.columns):
        for axes, panel in zip(panels[:, number], column, strict=True):
            has_times = panel.over_time and (not chart.shares_x or panel is column[-1])
            _panel(axes, panel, chart, has_times)
    try:
        figure.savefig(path, dpi=_DPI)
    except OSError as error:
        raise UsageError(f"the picture can't be written: {error.strerror}", where=str(path)) from None


def _panel(axes: Any, panel: Panel, chart: Chart, has_times: bool) -> None:
    axes.grid(alpha=0.25)
    if chart.margin is not None:
        axes.margins(x=chart.margin)
    if chart.plain:
        axes.ticklabel_format(axis="y", useOffset=False, style="plain")
    axes.set_ylabel(panel.label)
    axes.set_xlabel(panel.x_label)
    if panel.title:
        axes.set_title(
            panel.title, fontsize=panel.title_size, loc="center" if panel.title_size >= 12 else "left"
        )
    for part in panel.parts:
        _DRAWN[type(part)](axes, part, panel)
    if panel.names is not None:
        axes.set_yticks(range(len(panel.names)), panel.names, fontsize=8)
        axes.set_ylim(len(panel.names) - 0.4, -0.6)
    if panel.scale == "symlog":
        axes.set_yscale("symlog", linthresh=1)
    elif panel.scale != "linear":
        axes.set_yscale(panel.scale)
    if has_times and panel.parts:
        _time_axis(axes)
    if panel.y_range is not None:
        axes.set_ylim(*panel.y_range)
    if panel.x_range is not None:
        axes.set_xlim(*(_x(np.array(panel.x_range), panel)))
    if panel.note:
        if not axes.has_data():
            # The scale of an empty panel means nothing.
            axes.set_yticks([])
            if not chart.shares_x or len(chart.heights) == 3:
                axes.set_xticks([])
        place = {"transform": axes.transAxes, "color": panel.note_color, "fontsize": panel.note_size}
        axes.text(0.5, 0.5, panel.note, **_NOTE, **place)
    if axes.get_legend_handles_labels()[0]:
        title = {"title": panel.legend_title, "title_fontsize": 8, "framealpha": panel.legend_alpha}
        axes.legend(loc="best", fontsize=8, **title)


def _x(values: Any, panel: Panel) -> Any:
    return values.astype("datetime64[ns]") if panel.over_time else values


def _time_axis(axes: Any) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def _curve(axes: Any, curve: Curve, panel: Panel) -> None:
    how: dict[str, Any] = {"color": curve.color, "linewidth": curve.width, "linestyle": curve.dash}
    how |= {"label": curve.label or None, "alpha": curve.alpha}
    if curve.behind:
        how["zorder"] = 1
    if curve.cap:
        how["solid_capstyle"] = curve.cap
    if curve.dots:
        how |= {"marker": ".", "markersize": 3}
    if curve.step:
        axes.step(_x(curve.x, panel), curve.y, where="post", **how)
    else:
        axes.plot(_x(curve.x, panel), curve.y, **how)


def _band(axes: Any, band: Band, panel: Panel) -> None:
    how = {"color": band.color, "alpha": 0.5, "linewidth": 0, "label": band.label}
    axes.fill_between(_x(band.x, panel), band.low, band.high, **how)


def _marks(axes: Any, marks: Marks, panel: Panel) -> None:
    how: dict[str, Any] = {"s": marks.size, "marker": marks.marker, "label": marks.label or None}
    if marks.edge is None:
        how |= {"color": marks.color, "linewidths": marks.bold}
    else:
        face = "none" if marks.hollow else marks.color
        how |= {"facecolors": face, "edgecolors": marks.color, "linewidths": marks.edge}
    if marks.front is not None:
        how["zorder"] = marks.front
    axes.scatter(_x(marks.x, panel), marks.y, clip_on=marks.clips, **how)


def _rule(axes: Any, rule: Rule, panel: Panel) -> None:  # noqa: ARG001 - as the others
    how = {"color": rule.color, "linewidth": rule.width, "alpha": rule.alpha, "linestyle": rule.dash}
    (axes.axvline if rule.upright else axes.axhline)(rule.at, label=rule.label or None, **how)


def _bars(axes: Any, bars: Bars, panel: Panel) -> None:  # noqa: ARG001 - as the others
    axes.hist(bars.values, bins=bars.edges, color=bars.color, alpha=0.55, label=bars.label)


_DRAWN: Final = {Curve: _curve, Band: _band, Marks: _marks, Rule: _rule, Bars: _bars}
