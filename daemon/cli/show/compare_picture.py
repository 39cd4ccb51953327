"""A picture of two runs, one over the other: position, account, and fills, for each asset."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.cli.show.picture import (
    ASSET_WIDTH_PX_MIN,
    DPI,
    FILLS_MAX,
    HEIGHT_PX,
    POINTS_MAX,
    WIDTH_PX,
    date_axis,
    thin,
    times,
)
from hftd.errors import UsageError
from sim.results.compare import Comparison, pair_up

_LIVE, _BACKTEST, _ALONE = "#27496d", "#e08a1e", "#c0362c"


def draw_pair(
    path: Path,
    live: Mapping[str, NDArray[Any]],
    backtest: Mapping[str, NDArray[Any]],
    comparison: Comparison,
) -> None:
    """Write the picture as PNG.

    Raises:
        UsageError: The file can't be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    count = max(live["records"].shape[1], 1)
    width_px = max(WIDTH_PX, count * ASSET_WIDTH_PX_MIN)
    figure = Figure(figsize=(width_px / DPI, HEIGHT_PX / DPI), dpi=DPI, layout="constrained")
    panels = figure.subplots(3, count, sharex=True, squeeze=False, height_ratios=[1, 1, 1.6])
    figure.suptitle(
        f"live and backtest: {100 * (1 - comparison.apart):.4g}% of the rows in both, "
        f"within {comparison.tolerance_ns / 1e6:g} ms",
        fontsize=14,
    )
    for number in range(live["records"].shape[1]):
        _draw_asset(panels[:, number], number, live, backtest, comparison.tolerance_ns)
    for panel in panels[-1]:
        panel.set_xlabel("time (UTC)")
    try:
        figure.savefig(path, dpi=DPI)
    except OSError as error:
        raise UsageError(f"the picture can't be written: {error.strerror}", where=str(path)) from None


def _draw_asset(
    panels: Any,
    number: int,
    live: Mapping[str, NDArray[Any]],
    backtest: Mapping[str, NDArray[Any]],
    tolerance_ns: int,
) -> None:
    position, equity, fills = panels
    position.set_title(f"asset {number}", fontsize=12)
    position.set_ylabel("position")
    equity.set_ylabel("balance + position at mid - fee")
    fills.set_ylabel("mid price and fills")
    for panel in panels:
        panel.grid(alpha=0.25)
        panel.margins(x=0.02)
        panel.ticklabel_format(axis="y", useOffset=False, style="plain")
    for name, run, color, style in (("live", live, _LIVE, "-"), ("backtest", backtest, _BACKTEST, "--")):
        records = thin(run["records"][:, number], POINTS_MAX)
        if not len(records):
            continue
        at = times(records["timestamp"])
        worth = np.where(records["position"] != 0, records["position"] * records["price"], 0.0)
        position.step(at, records["position"], where="post", color=color, linestyle=style, label=name)
        equity.plot(at, records["balance"] + worth - records["fee"], color=color, linestyle=style)
        if name == "live":
            fills.plot(at, records["price"], color="#7a8797", linewidth=0.9, zorder=1)
    position.legend(loc="best", fontsize=8)
    _draw_fills(fills, number, live["fills"], backtest["fills"], tolerance_ns)
    date_axis(fills)


def _draw_fills(
    panel: Any, number: int, live: NDArray[Any], backtest: NDArray[Any], tolerance_ns: int
) -> None:
    ours, theirs = (rows[rows["asset_no"] == number] for rows in (live, backtest))
    i, j = pair_up(ours, theirs, tolerance_ns)
    only = np.setdiff1d(np.arange(len(ours)), i), np.setdiff1d(np.arange(len(theirs)), j)
    for rows, marker, color, label in (
        (ours[i], "o", _LIVE, "both"),
        (ours[only[0]], "^", _ALONE, "live only"),
        (theirs[only[1]], "v", _ALONE, "backtest only"),
    ):
        shown = thin(rows, FILLS_MAX)
        if len(shown):
            panel.scatter(
                times(shown["timestamp"]),
                shown["price"],
                s=18,
                marker=marker,
                facecolors="none" if marker == "o" else color,
                edgecolors=color,
                linewidths=0.9,
                label=f"{label}: {len(rows):,}",
                zorder=3,
            )
    if len(ours) or len(theirs):
        panel.legend(loc="best", fontsize=8, framealpha=0.85)
