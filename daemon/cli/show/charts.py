"""The charts of runs, orders, archives and latencies."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from hftd.bot.result import AssetResult, BotResult
from hftd.hbt import life as kinds
from hftd.hbt.local import Contract
from hftd.types import BUY, PARTIALLY_FILLED
from sim.results.parts import Band, Bars, Chart, Curve, Marks, Panel, Rule, thin

if TYPE_CHECKING:
    from sim.checks import Series, Validation
    from sim.results.compare import Comparison
    from sim.results.explain import Story
    from sim.tools import LatencyReport

Rows = NDArray[Any]
_POINTS_MAX: Final = 4000
"""More points than pixels show nothing more; longer records are thinned to every n-th."""
_FILLS_MAX: Final = 5000
"""Of more fills, every n-th is drawn, and the legend says so."""
_WINDOWS_MAX: Final = 300
"""Of more windows in which something is missing, the longest are drawn."""
_BINS: Final = 80
_MS: Final = 1e6
_BLUE, _ORANGE, _RED, _GREEN = "#27496d", "#e08a1e", "#c0362c", "#1a7f4b"
_GREY, _PALE = "#7a8797", "#9fb3c8"
_EQUITY: Final = ("balance", "position", "fee", "price")
_UNITS: Final = ((60_000_000_000, 1e9, "s"), (60_000_000, 1e6, "ms"), (0, 1e3, "us"))
_ENDS: Final = (kinds.LIFE_FILL, kinds.LIFE_CANCELED, kinds.LIFE_EXPIRED)
_PRICED: Final = (kinds.LIFE_ACCEPTED, kinds.LIFE_REPLACED, kinds.LIFE_QUEUE, kinds.LIFE_FILL)


def bot(result: BotResult) -> Chart:
    """Equity, position, and the mid price with the fills, for each asset."""
    columns = [_asset(asset, result, number) for number, asset in enumerate(result.assets)]
    return Chart(title=f"{result.name}: {result.strategy}", columns=columns, heights=[1, 1, 1.6])


def _asset(asset: AssetResult, result: BotResult, number: int) -> list[Panel]:
    currency = "base" if asset.inverse else "quote"
    equity = Panel(
        label=f"equity ({currency} currency)", title=f"{asset.symbol} ({asset.channel})", note_size=13
    )
    position = Panel(label="position", note_size=13)
    price = Panel(label="mid price and fills", x_label="time (UTC)", note_size=13, legend_alpha=0.85)
    records = thin(result.records[:, number], _POINTS_MAX)
    fills = result.fills[result.fills["asset_no"] == number]
    zero = Rule(0, alpha=0.5)
    if len(records):
        at = records["timestamp"]
        contract = Contract(asset.contract_size, asset.inverse)
        worth = [contract.equity(*(float(row[name]) for name in _EQUITY)) for row in records]
        equity.parts = [Curve(at, worth, _BLUE, width=1.2), zero]
        position.parts = [Curve(at, records["position"], _BLUE, step=True, width=1), zero]
        price.parts = [
            Curve(at, records["price"], _GREY, "mid" if len(fills) else "", width=0.9, behind=True)
        ]
        if len(records) == 1:
            # One moment has no extent that an axis could be divided by.
            price.x_range = at[0] - 1_000_000_000, at[0] + 1_000_000_000
    else:
        equity.note = position.note = "no records"
    shown = thin(fills, _FILLS_MAX)
    if not len(fills):
        price.note = "no fills" if len(records) else "no records and no fills"
    elif len(shown) < len(fills):
        price.legend_title = f"every {-(-len(fills) // _FILLS_MAX)}th fill is drawn"
    size = 26 if len(result.fills) < 500 else 12
    for side, name, marker, color in ((True, "buy", "^", _GREEN), (False, "sell", "v", _RED)):
        for maker, kind in ((True, "maker"), (False, "taker")):
            count = int((((fills["side"] == BUY) == side) & ((fills["maker"] != 0) == maker)).sum())
            some = shown[((shown["side"] == BUY) == side) & ((shown["maker"] != 0) == maker)]
            if len(some):
                look = {"size": size, "edge": 0.9, "hollow": not maker, "front": 3}
                label = f"{name}, {kind}: {count:,}"
                price.parts.append(Marks(some["timestamp"], some["price"], color, label, marker, **look))
    return [equity, position, price]


def pair(live: Mapping[str, Rows], backtest: Mapping[str, Rows], found: "Comparison") -> Chart:
    """Two runs, one over the other: position, account, and fills, for each asset."""
    share = f"{100 * (1 - found.apart):.4g}% of the rows in both"
    columns: list[list[Panel]] = []
    for number in range(live["records"].shape[1]):
        position = Panel(label="position", title=f"asset {number}")
        equity = Panel(label="balance + position at mid - fee")
        fills = Panel(label="mid price and fills", x_label="time (UTC)", legend_alpha=0.85)
        for name, run, color, dash in (("live", live, _BLUE, "-"), ("backtest", backtest, _ORANGE, "--")):
            records = thin(run["records"][:, number], _POINTS_MAX)
            if not len(records):
                continue
            at, held = records["timestamp"], records["position"]
            worth = records["balance"] + np.where(held != 0, held * records["price"], 0.0) - records["fee"]
            position.parts.append(Curve(at, held, color, name, step=True, dash=dash))
            equity.parts.append(Curve(at, worth, color, dash=dash))
            if name == "live":
                fills.parts.append(Curve(at, records["price"], _GREY, width=0.9, behind=True))
        fills.parts += _fills(number, live["fills"], backtest["fills"], found.tolerance_ns)
        columns.append([position, equity, fills])
    title = f"live and backtest: {share}, within {found.tolerance_ns / _MS:g} ms"
    return Chart(title=title, columns=columns, heights=[1, 1, 1.6])


def _fills(number: int, live: Rows, backtest: Rows, tolerance_ns: int) -> list[Marks]:
    from sim.results.compare import pair_up

    ours, theirs = (rows[rows["asset_no"] == number] for rows in (live, backtest))
    i, j = pair_up(ours, theirs, tolerance_ns)
    only = np.setdiff1d(np.arange(len(ours)), i), np.setdiff1d(np.arange(len(theirs)), j)
    made: list[Marks] = []
    for rows, marker, color, label in (
        (ours[i], "o", _BLUE, "both"),
        (ours[only[0]], "^", _RED, "live only"),
        (theirs[only[1]], "v", _RED, "backtest only"),
    ):
        shown = thin(rows, _FILLS_MAX)
        if len(shown):
            look = {"size": 18, "edge": 0.9, "hollow": marker == "o", "front": 3}
            label = f"{label}: {len(rows):,}"
            made.append(Marks(shown["timestamp"], shown["price"], color, label, marker, **look))
    return made


def archive(report: "Validation", series: "Series") -> Chart:
    """An archive over time: latency, spread, crossed and silent stretches, rows a second."""
    more = f" and {len(report.files) - 1} more" if len(report.files) > 1 else ""
    seconds, at = series.width_ns / 1e9, series.start_ts
    rates = Panel(label="a second", x_label="local time (UTC)", scale="symlog")
    rates.parts = [
        Curve(at, series.buckets[name] / seconds, color, name, step=True, width=0.9)
        for name, color in (("rows", _BLUE), ("trades", _ORANGE))
    ]
    return Chart(
        title=f"{Path(report.files[0].file).name}{more}: {report.rows:,} rows",
        columns=[[_latency(report, series), _spread(series), _problems(report, series), rates]],
        heights=[1.5, 1, 0.6, 1],
        margin=0.01,
        plain=False,
    )


def _latency(report: "Validation", series: "Series") -> Panel:
    panel = Panel(label="feed latency, ms")
    known = series.buckets["latencies"] > 0
    if not known.any():
        panel.note = "no latencies"
        return panel
    at, found = series.start_ts[known], series.buckets[known]
    low, high = found["latency_min"] / _MS, found["latency_max"] / _MS
    mean = found["latency_sum"] / found["latencies"] / _MS
    panel.parts = [Band(at, low, high, _PALE, "least to greatest"), Curve(at, mean, _BLUE, "mean", width=1)]
    if report.drift is not None:
        rise = (at - at[0]) / 1e9 * report.drift.ns_per_s / _MS
        label = f"least, drift {report.drift.ns_per_s / 1e3:+.2f} µs/s"
        panel.parts.append(Curve(at, float(np.median(low - rise)) + rise, _RED, label, width=1, dash="--"))
    if (low > 0).all() and high.max() > 50 * max(np.median(mean), 1e-6):
        panel.scale = "log"
    elif (low < 0).any():
        panel.parts.append(Rule(0))
    return panel


def _spread(series: "Series") -> Panel:
    panel = Panel(label="spread, ticks")
    known = series.buckets["spreads"] > 0
    if not known.any():
        panel.note = "no book"
        return panel
    at, found = series.start_ts[known], series.buckets[known]
    widest, mean = found["spread_max"], found["spread_sum"] / found["spreads"]
    panel.parts = [Curve(at, widest, _PALE, "widest", width=0.8), Curve(at, mean, _BLUE, "mean", width=1)]
    if widest.max() > 50 * max(float(np.median(mean)), 1.0):
        panel.scale = "log"
    return panel


def _problems(report: "Validation", series: "Series") -> Panel:
    """A line for each kind: where the first of its rows are; what is crossed, locked or missing in full."""
    at = series.start_ts
    if not len(at):
        # Rows of the exchange's side alone have no place on the local clock.
        return Panel(note="no local times")
    shown = [problem for problem in report.problems if problem.first and problem.severity != "note"]
    names = [problem.name for problem in shown]
    panel = Panel(title="the first places of each problem", title_size=9, names=names)
    for number, problem in enumerate(shown):
        color = _RED if problem.severity == "error" else _ORANGE
        moments = np.array([place.local_ts for place in problem.first], np.int64)
        inside = moments[(moments >= at[0]) & (moments <= at[-1] + series.width_ns)]
        if problem.name in ("gap", "depth_gap"):
            lengths = {place.local_ts: place.amount or 0 for place in problem.first}
            for end in inside.tolist():
                stretch = np.array([end - lengths[end], end])
                panel.parts.append(Curve(stretch, [number, number], color, width=6, cap="butt"))
        heights = np.full(len(inside), number)
        panel.parts.append(Marks(inside, heights, color, marker="|", size=18, bold=2))
    for name, field, color in (("crossed", "crossed_ns", _RED), ("locked", "locked_ns", _ORANGE)):
        chosen = series.buckets[field] > 0
        if chosen.any():
            if name not in names:
                names.append(name)
            heights = np.full(int(chosen.sum()), names.index(name))
            panel.parts.append(Marks(at[chosen], heights, color, marker="s", size=14))
    if report.missing:
        names.append("missing")
    longest = sorted(report.missing, key=lambda gap: gap.from_ns - gap.until_ns)[:_WINDOWS_MAX]
    for gap in longest:
        stretch = np.clip([gap.from_ns, gap.until_ns], at[0], at[-1] + series.width_ns)
        panel.parts.append(Curve(stretch, [len(names) - 1] * 2, _GREY, width=6, cap="butt"))
    return panel if names else Panel(note="no problems", note_color=_GREEN, note_size=12)


def latencies(rows: Rows, report: "LatencyReport") -> Chart:
    """Order latencies over time, and how they are spread."""
    arrived = rows[rows["exch_ts"] > 0]
    over_time = Panel(label="latency, ms", over_time=len(rows) > 0)
    spread = Panel(label="orders", x_label="latency, ms", over_time=False)
    for name, start, end, color in (
        ("entry", "req_ts", "exch_ts", _BLUE),
        ("response", "exch_ts", "resp_ts", _ORANGE),
    ):
        shown = thin(arrived, _POINTS_MAX)
        took = (shown[end] - shown[start]) / _MS
        over_time.parts.append(Curve(shown["req_ts"], took, color, name, width=0.6, dots=True))
        if len(arrived):
            values = (arrived[end] - arrived[start]) / _MS
            # The last percent would press all others together; it is in the table.
            low, upto = float(values.min()), float(np.percentile(arrived[end] - arrived[start], 99)) / _MS
            edges = np.linspace(low, max(upto, low + 1e-6), _BINS + 1)
            spread.parts.append(Bars(values, edges, color, f"{name}, up to 99%"))
    refused = rows[rows["exch_ts"] <= 0]
    if len(refused):
        at = thin(refused, _POINTS_MAX)["req_ts"]
        label = f"refused: {len(refused):,}"
        over_time.parts.append(Marks(at, np.zeros(len(at)), _RED, label, marker="x"))
    return Chart(
        title=f"{Path(report.output or report.files[0]).name}: {report.rows:,} order latencies",
        columns=[[over_time, spread]],
        heights=[1.4, 1],
        margin=None,
        plain=False,
        shares_x=False,
    )


def order(rows: Rows, life: Rows, story: "Story", symbol: str) -> Chart:
    """One order's life: the queue ahead of it, and the book around its price.

    Args:
        rows: The order's rows.
        life: Those of the whole run: other orders' tell where the book stood meanwhile.
        story: What is told of the order.
        symbol: What to call the asset.
    """
    start_ns, end_ns = int(rows["ts"][0]), int(rows["ts"][-1])
    size, unit = next((size, unit) for over, size, unit in _UNITS if end_ns - start_ns >= over)

    def clock(ts: Rows) -> Rows:
        return (ts - start_ns) / size

    queue, book = _queue(rows, clock), _book(rows, life, clock)
    queue.title, queue.title_size = "\n".join(textwrap.wrap(story.why, 130)), 10
    book.label, book.x_label = f"price {symbol}".rstrip(), f"{unit} after it was requested"
    if start_ns == end_ns:
        # One moment has no extent.
        book.x_range = -1.0, 1.0
    return Chart(title=f"order {story.order_id}: {story.title}", columns=[[queue, book]], heights=[1.2, 1])


def _until(rows: Rows, placed: Rows) -> int:
    """How long an order stood: to its end, or to what is known last of one that is open."""
    ended = rows[np.isin(rows["kind"], _ENDS)]
    if len(ended) and ended["status"][-1] != PARTIALLY_FILLED:
        return int(ended["ts"][-1])
    return max(int(rows["ts"][-1]), int(placed["ts"][-1]))


def _queue(rows: Rows, clock: Any) -> Panel:
    """The quantity ahead, place by place, and what changed it."""
    from sim.results.explain.orders import gone

    panel = Panel(label="quantity ahead", over_time=False, legend_alpha=0.85)
    placed = rows[np.isin(rows["kind"], (kinds.LIFE_ACCEPTED, kinds.LIFE_QUEUE, *_ENDS))]
    begins = np.flatnonzero(placed["kind"] == kinds.LIFE_ACCEPTED)
    if not len(begins):
        panel.note = "it never rested"
        return panel
    for number, (begin, end) in enumerate(zip(begins, [*begins[1:], len(placed)], strict=True)):
        part = thin(placed[begin:end], _POINTS_MAX)
        until = placed["ts"][end] if end < len(placed) else _until(rows, placed)
        # Below zero a trade went beyond the queue: nothing is ahead then.
        ahead = np.maximum(np.append(part["front_qty"], part["front_qty"][-1]), 0.0)
        label = "" if number else "ahead of it"
        panel.parts.append(
            Curve(clock(np.append(part["ts"], until)), ahead, _BLUE, label, step=True, width=1.3)
        )
    panel.parts.append(Rule(0, alpha=0.5))
    for causes, name, marker, color in (
        ((kinds.CAUSE_TRADE,), "trade", "o", _ORANGE),
        ((kinds.CAUSE_DEPTH, kinds.CAUSE_CAP), "level shrank", "s", _GREY),
        ((kinds.CAUSE_BOOK,), "order left", "s", _GREY),
    ):
        some = rows[(rows["kind"] == kinds.LIFE_QUEUE) & np.isin(rows["cause"], causes)]
        if len(some):
            shown = thin(some, _POINTS_MAX)
            of_ahead, beyond = (float(each.sum()) for each in gone(some))
            label = f"{name}: {len(some):,}, {abs(of_ahead):.4g} of what was ahead"
            label += f", {beyond:.4g} beyond it" if beyond > 0.0 else ""
            at, heights = clock(shown["ts"]), np.maximum(shown["front_qty"], 0.0)
            panel.parts.append(Marks(at, heights, color, label, marker, size=18, front=3, clips=False))
    top = float(placed["front_qty"].max())
    panel.y_range = 0.0, top * 1.05 if top > 0.0 else 1.0
    looks = ("filled", _GREEN, "-"), ("canceled", _RED, "--"), ("expired", _RED, ":")
    for kind, (name, color, dash) in zip(_ENDS, looks, strict=True):
        for number, at in enumerate(clock(rows["ts"][rows["kind"] == kind])):
            label = "" if number else name
            panel.parts.append(Rule(at, color, label, width=1.2, alpha=0.8, dash=dash, upright=True))
    return panel


def _book(rows: Rows, life: Rows, clock: Any) -> Panel:
    """Best prices as far as rows of the asset's orders tell them, the limit, trades and fills."""
    panel = Panel(over_time=False, legend_alpha=0.85)
    near = life[
        (life["asset"] == rows["asset"][0]) & (life["ts"] >= rows["ts"][0]) & (life["ts"] <= rows["ts"][-1])
    ]
    for name, field, color in (("best bid", "best_bid", _GREEN), ("best ask", "best_ask", _RED)):
        known = thin(near[near[field] != 0.0], _POINTS_MAX)
        if len(known):
            panel.parts.append(
                Curve(clock(known["ts"]), known[field], color, name, step=True, width=1, alpha=0.8)
            )
    limits = rows[np.isin(rows["kind"], _PRICED)]
    if len(limits):
        at, px = np.append(limits["ts"], _until(rows, limits)), np.append(limits["px"], limits["px"][-1])
        panel.parts.append(Curve(clock(at), px, _BLUE, "its price", step=True, width=1.2, dash="--"))
    fills = rows[rows["kind"] == kinds.LIFE_FILL]
    if len(fills):
        at, marker = clock(fills["ts"]), "^" if fills["side"][0] == BUY else "v"
        panel.parts.append(Marks(at, fills["exec_px"], _BLUE, "filled", marker, size=70, front=4))
    return panel
