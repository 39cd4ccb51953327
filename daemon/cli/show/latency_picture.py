"""A picture of order latencies: over time, and how they are spread."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from daemon.cli.show.picture import DPI, HEIGHT_PX, POINTS_MAX, WIDTH_PX, date_axis, thin, times
from hftd.errors import UsageError

if TYPE_CHECKING:
    from sim.tools import LatencyReport

_ENTRY, _RESPONSE, _REFUSED = "#27496d", "#e08a1e", "#c0362c"
_MS = 1e6
_BINS = 80


def draw(path: Path, rows: NDArray[np.void], report: "LatencyReport") -> None:
    """Write the picture as PNG.

    Raises:
        UsageError: The file can't be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_PX / DPI, HEIGHT_PX / DPI), dpi=DPI, layout="constrained")
    over_time, spread = figure.subplots(2, 1, height_ratios=[1.4, 1])
    name = Path(report.output or report.files[0]).name
    figure.suptitle(f"{name}: {report.rows:,} order latencies", fontsize=14)
    arrived = rows[rows["exch_ts"] > 0]
    ways = (
        ("entry", arrived["exch_ts"] - arrived["req_ts"], _ENTRY),
        ("response", arrived["resp_ts"] - arrived["exch_ts"], _RESPONSE),
    )
    _over_time(over_time, rows, arrived)
    for name, latency_ns, color in ways:
        _spread(spread, name, latency_ns, color)
    spread.set_xlabel("latency, ms")
    spread.set_ylabel("orders")
    for panel in (over_time, spread):
        panel.grid(alpha=0.25)
        panel.legend(loc="best", fontsize=8)
    try:
        figure.savefig(path, dpi=DPI)
    except OSError as error:
        raise UsageError(f"the picture can't be written: {error.strerror}", where=str(path)) from None


def _over_time(panel: Any, rows: NDArray[np.void], arrived: NDArray[np.void]) -> None:
    shown = thin(arrived, POINTS_MAX)
    at = times(shown["req_ts"])
    panel.plot(
        at,
        (shown["exch_ts"] - shown["req_ts"]) / _MS,
        ".-",
        color=_ENTRY,
        markersize=3,
        linewidth=0.6,
        label="entry",
    )
    panel.plot(
        at,
        (shown["resp_ts"] - shown["exch_ts"]) / _MS,
        ".-",
        color=_RESPONSE,
        markersize=3,
        linewidth=0.6,
        label="response",
    )
    refused = rows[rows["exch_ts"] <= 0]
    if len(refused):
        marks = thin(refused, POINTS_MAX)
        panel.scatter(
            times(marks["req_ts"]),
            np.zeros(len(marks)),
            color=_REFUSED,
            marker="x",
            label=f"refused: {len(refused):,}",
        )
    panel.set_ylabel("latency, ms")
    if len(rows):
        date_axis(panel)


def _spread(panel: Any, name: str, latency_ns: NDArray[np.int64], color: str) -> None:
    if not len(latency_ns):
        return
    # The last percent would press all others together; it is in the table.
    upto = float(np.percentile(latency_ns, 99)) / _MS
    values = latency_ns / _MS
    low = float(values.min())
    edges = np.linspace(low, max(upto, low + 1e-6), _BINS + 1)
    panel.hist(values, bins=edges, color=color, alpha=0.55, label=f"{name}, up to 99%")
