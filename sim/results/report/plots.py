"""The plots of a report, as what the page's script draws: curves and marks over time, and bars over names.

Colours are names of the page's style, so that a plot follows the theme.
"""

# pyright: basic

import base64
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sim.results.report.missing import Missing
from sim.results.report.shapes import AssetReport, Portfolio, RunReport
from sim.stats.executions import Executions, Latencies
from sim.stats.sampling import NS_PER_SECOND

Plot = dict[str, Any]

_NS_PER_MS: Final = 1_000_000
_BINS: Final = 40
RUN_COLORS: Final = 8
"""The page's style has so many; runs beyond share them."""
BUCKETS: Final = 900
"""About the pixels of a plot's width on a desktop."""
MARKERS_MAX: Final = 3000
"""Of more executions, every n-th is drawn, and the plot says so."""
SHADES_MAX: Final = 300
"""Of more windows in which something is missing, the longest are drawn."""


def chosen(
    times: NDArray[np.int64], columns: Sequence[NDArray[Any]], buckets: int = BUCKETS
) -> NDArray[np.int64]:
    """The indices of the rows to draw.

    Args:
        times: Sorted.
        columns: The curves that share the times; in each bucket of time the lowest and the highest row of each of
            them are kept, the first row and the last one of all.
        buckets: How many of equal length the span is divided in.

    Returns:
        Sorted indices; all of them where there are few.
    """
    count = len(times)
    if count <= buckets * 2:
        return np.arange(count)
    span = int(times[-1] - times[0])
    if span <= 0:
        return np.unique(np.linspace(0, count - 1, buckets).astype(np.int64))
    # Python's integers: a span of years in ns times the number of buckets does not fit.
    width = max(1, -(-(span + 1) // buckets))
    bucket = (times - times[0]) // width
    first = np.flatnonzero(np.concatenate(([True], bucket[1:] != bucket[:-1])))
    kept = [np.array([0, count - 1])]
    for column in columns:
        values = np.asarray(column, np.float64)
        low, high = np.where(np.isnan(values), np.inf, values), np.where(np.isnan(values), -np.inf, values)
        for extreme, filled in ((np.minimum, low), (np.maximum, high)):
            best = np.repeat(extreme.reduceat(filled, first), np.diff([*first, count]))
            hits = np.flatnonzero(filled == best)
            # One of each bucket is enough.
            of = bucket[hits]
            kept.append(hits[np.concatenate(([True], of[1:] != of[:-1]))] if len(hits) else hits)
    return np.unique(np.concatenate(kept))


def thinned(count: int, most: int = MARKERS_MAX) -> NDArray[np.int64]:
    """Every n-th index and the last one, so that no more than about `most` remain."""
    if count <= most:
        return np.arange(count)
    step = -(-count // most)
    return np.union1d(np.arange(0, count, step), [count - 1])


def _rounded(values: NDArray[Any]) -> list[float | None]:
    """Enough digits for a screen; nothing where there is no number."""
    return [None if value != value else float(f"{value:.8g}") for value in np.asarray(values, float).tolist()]


def _ms(ns: NDArray[np.int64]) -> dict[str, str]:
    """Milliseconds in the form that Plotly reads: a fifth to a third shorter than their digits."""
    ms = np.round(ns / _NS_PER_MS, 3).astype("<f8")
    return {"dtype": "f8", "bdata": base64.b64encode(ms.tobytes()).decode()}


def _times(frame: Any) -> NDArray[np.int64]:
    return frame["timestamp"].astype("datetime64[ns]").astype(np.int64)


def _over_time(
    key: str,
    title: str,
    unit: str,
    times: NDArray[np.int64],
    curves: Sequence[tuple[str, str, NDArray[Any]]],
    **more: Any,
) -> Plot:
    """Curves (name, colour, values) over the same times."""
    rows = chosen(times, [values for _, _, values in curves])
    plot: Plot = {"id": key, "kind": "time", "title": title, "unit": unit, "x": _ms(times[rows])}
    plot["series"] = [
        {"label": name, "color": color, "y": _rounded(values[rows])} for name, color, values in curves
    ]
    if len(rows) < len(times):
        plot["note"] = f"{len(rows):,} of {len(times):,} rows: the lowest and the highest of each pixel."
    if not len(times):
        plot["empty"] = "The record has no rows."
    elif all(np.isnan(np.asarray(values, float)).all() for _, _, values in curves):
        plot["empty"] = "No row has a price."
    return plot | more


def shaded(plot: Plot, missing: Sequence[Missing]) -> None:
    """Shade the windows in which something is missing of the data, and say so under a plot over time."""
    if plot["kind"] != "time" or not missing or "empty" in plot:
        return
    longest = sorted(missing, key=lambda one: one.from_ns - one.until_ns)[:SHADES_MAX]
    plot["shades"] = [[one.from_ns / _NS_PER_MS, one.until_ns / _NS_PER_MS] for one in longest]
    of = f" (the longest {len(longest)} of {len(missing):,} windows)" if len(longest) < len(missing) else ""
    plot["note"] = f"{plot.get('note', '')} Shaded: something is missing of the data{of}.".strip()


def equity(one: AssetReport, key: str) -> list[Plot]:
    """Equity after and before fees, and its drawdown."""
    if not len(one.frame):
        return [
            {"id": f"{key}-equity", "kind": "time", "title": "Equity", "empty": "The record has no rows."}
        ]
    times, gross = _times(one.frame), one.frame["equity_wo_fee"]
    net = gross - one.frame["fee"]
    lowest = np.where(np.isnan(net), -np.inf, net)
    below = np.minimum(net - np.maximum.accumulate(lowest), 0.0)
    return [
        _over_time(
            f"{key}-equity", "Equity", "money", times,
            [("after fees", "--c-net", net), ("before fees", "--c-gross", gross)],
        ),
        _over_time(
            f"{key}-drawdown", "Drawdown", "money", times, [("below the highest equity", "--c-down", below)], fill=True
        ),
    ]  # fmt: skip


def position(one: AssetReport, key: str) -> Plot:
    """The position over time."""
    if not len(one.frame):
        return {
            "id": f"{key}-position",
            "kind": "time",
            "title": "Position",
            "empty": "The record has no rows.",
        }
    return _over_time(
        f"{key}-position", "Position", "qty", _times(one.frame),
        [("position", "--c-position", one.frame["position"])], step=True,
    )  # fmt: skip


def exposure(found: Portfolio, whole: AssetReport, key: str) -> Plot:
    """What each asset's position is worth over time, and all of them net."""
    curves = [
        (name, f"--r{number % RUN_COLORS}", values)
        for number, (name, values) in enumerate(zip(found.names, found.exposures, strict=True))
    ]
    curves.append(("net", "--c-net", np.sum(found.exposures, axis=0)))
    return _over_time(f"{key}-exposure", "Exposure by asset", "money", _times(whole.frame), curves, step=True)


def price(one: AssetReport, key: str) -> Plot:
    """The mid price with the executions."""
    if not len(one.frame):
        return {
            "id": f"{key}-price",
            "kind": "time",
            "title": "Price and fills",
            "empty": "The record has no rows.",
        }
    plot = _over_time(
        f"{key}-price",
        "Price and fills",
        "price",
        _times(one.frame),
        [("mid price", "--c-price", one.frame["price"])],
    )
    done: Executions = one.done
    marks: list[Plot] = []
    shown = thinned(len(done))
    for side, name, color in ((1, "buy", "--c-buy"), (-1, "sell", "--c-sell")):
        for maker, kind in ((True, "maker"), (False, "taker")):
            of = (done.side == side) & (done.is_maker == maker)
            if of.any():
                rows = shown[of[shown]]
                marks.append(
                    {
                        "label": f"{name}, {kind}: {int(of.sum()):,}",
                        "color": color,
                        "up": side > 0,
                        "hollow": not maker,
                        "x": _ms(done.exch_ts[rows]),
                        "y": _rounded(done.price[rows]),
                    }
                )
    plot["marks"] = marks
    notes = [plot["note"]] if "note" in plot else []
    if len(shown) < len(done):
        notes.append(f"Every {-(-len(done) // len(shown))}th of {len(done):,} fills is drawn.")
    if not len(done):
        notes.append("Nothing was filled." if done.source else "The file has no fills.")
    if notes:
        plot["note"] = " ".join(notes)
    return plot


def pnl_split(one: AssetReport, key: str) -> Plot:
    """Spread captured, inventory, fees and their sum."""
    plot: Plot = {"id": f"{key}-split", "kind": "bars", "title": "Where the P&L came from", "unit": "money"}
    if one.split is None:
        return plot | {"empty": "It can't be split: see the notes."}
    earned = one.split.fees < 0
    parts = (
        ("spread captured", "--c-spread", one.split.spread),
        ("inventory", "--c-inventory", one.split.inventory),
        ("rebates" if earned else "fees", "--c-fees", -one.split.fees),
        ("net P&L", "--c-net", one.split.total),
    )
    plot["labels"] = [name for name, _, _ in parts]
    plot["series"] = [
        {
            "label": name,
            "color": color,
            "y": _rounded(np.array([value if i == j else np.nan for j in range(4)])),
        }
        for i, (name, color, value) in enumerate(parts)
    ]
    if not any(value for _, _, value in parts):
        plot["empty"] = "Nothing was earned, held or paid."
    plot["note"] = f"Mid prices: {one.split.source}." if one.split.source else ""
    return plot


def markout(one: AssetReport, key: str) -> Plot:
    """The markouts at each horizon, of makers and takers."""
    plot: Plot = {"id": f"{key}-markouts", "kind": "points", "title": "Markouts after fills", "unit": "bp"}
    known = [out for out in one.markouts if out.bps is not None]
    if not known:
        why = one.markouts[0].why if one.markouts else "there are no executions"
        return plot | {"empty": f"There are none: {why}."}
    plot["labels"] = [out.name for out in one.markouts]
    plot["series"] = []
    kinds = [("maker", "--c-buy", "maker_bps"), ("taker", "--c-sell", "taker_bps")]
    for name, color, field in kinds:
        values = np.array([getattr(out, field) for out in one.markouts], float)
        if not np.isnan(values).all():
            plot["series"].append({"label": name, "color": color, "y": _rounded(values)})
    counts = ", ".join(f"{out.name} {out.count:,}" for out in one.markouts if out.bps is not None)
    left_out = sorted({f"{out.name}: {out.why}" for out in one.markouts if out.bps is None})
    plot["note"] = ". ".join([f"Prices: {one.markouts_from}", f"Fills: {counts}", *left_out]) + "."
    return plot


def latency(one: AssetReport, key: str) -> Plot:
    """Histograms of the latencies of orders, over bins of equal ratio."""
    plot: Plot = {"id": f"{key}-latency", "kind": "bars", "title": "Order latency", "unit": "count"}
    ways: Latencies = one.latencies
    named = [("request", "--c-request", ways.entry), ("response", "--c-response", ways.response)]
    named = [(name, color, ns[ns > 0]) for name, color, ns in named]
    named = [entry for entry in named if len(entry[2])]
    if not named:
        return plot | {"empty": "No latencies were recorded."}
    low = min(float(ns.min()) for _, _, ns in named)
    # A few late ones would press all others into a corner.
    high = max(float(np.percentile(ns, 99.9)) for _, _, ns in named)
    if high / low < 1.05:
        # One latency for all: a bar with room at its sides.
        low, high = low / 1.5, high * 1.5
    edges = np.geomspace(low, high * (1 + 1e-9), _BINS + 1)
    plot["labels"] = [_duration(float(np.sqrt(a * b))) for a, b in pairwise(edges)]
    plot["series"] = []
    notes: list[str] = []
    for name, color, ns in named:
        counts = np.histogram(ns, edges)[0].astype(float)
        plot["series"].append(
            {"label": name, "color": color, "y": _rounded(np.where(counts > 0, counts, np.nan))}
        )
        half, late = np.percentile(ns, [50, 99])
        text = f"{name}: median {_duration(half)}, 99 % below {_duration(late)}, longest {_duration(float(ns.max()))}"
        beyond = int((ns > edges[-1]).sum())
        notes.append(f"{text} ({len(ns):,}{f', {beyond:,} of them beyond the plot' if beyond else ''})")
    if ways.refused:
        notes.append(f"{ways.refused:,} refused on the way")
    plot["note"] = "; ".join(notes) + "."
    return plot


def _duration(ns: float) -> str:
    for limit, unit, scale in ((1e3, "ns", 1.0), (1e6, "\u00b5s", 1e3), (1e9, "ms", 1e6)):
        if ns < limit:
            return f"{ns / scale:.3g} {unit}"
    return f"{ns / NS_PER_SECOND:.3g} s"


def side_by_side(runs: Sequence[RunReport]) -> Plot:
    """The equity of several runs; over the time since each one's start if they are of different times."""
    drawn = [(n, run) for n, run in enumerate(runs) if run.whole is not None and len(run.whole.frame)]
    plot: Plot = {
        "id": "runs-equity",
        "kind": "time",
        "title": "Equity after fees",
        "unit": "money",
        "series": [],
    }
    if not drawn:
        return plot | {"empty": "No run has rows."}
    spans = [_times(run.whole.frame)[[0, -1]] for _, run in drawn if run.whole is not None]
    together = max(span[0] for span in spans) <= min(span[1] for span in spans)
    for number, run in drawn:
        assert run.whole is not None
        times = _times(run.whole.frame)
        net = run.whole.frame["equity_wo_fee"] - run.whole.frame["fee"]
        rows = chosen(times, [net])
        start = 0 if together else int(times[0])
        plot["series"].append(
            {
                "label": run.name,
                "color": f"--r{number % RUN_COLORS}",
                "x": _ms(times[rows] - start),
                "y": _rounded(net[rows]),
            }
        )
    if not together:
        plot["note"] = "The runs are of different times: each is drawn from its own start."
        plot["since"] = True
    return plot
