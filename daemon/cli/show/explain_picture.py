"""A picture of one order's life: the queue ahead of it, and the book around its price."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.cli.show.picture import DPI, HEIGHT_PX, POINTS_MAX, WIDTH_PX, thin
from hftd.errors import UsageError
from hftd.hbt.life import (
    CAUSE_BOOK,
    CAUSE_CAP,
    CAUSE_DEPTH,
    CAUSE_TRADE,
    LIFE_ACCEPTED,
    LIFE_CANCELED,
    LIFE_EXPIRED,
    LIFE_FILL,
    LIFE_QUEUE,
    LIFE_REPLACED,
)
from hftd.types import BUY, PARTIALLY_FILLED
from sim.results.explain import Story
from sim.results.explain.orders import gone

_AHEAD = "#27496d"
_BID, _ASK, _LIMIT = "#1a7f4b", "#c0362c", "#27496d"
_CAUSES = (
    ((CAUSE_TRADE,), "trade", "o", "#e08a1e"),
    ((CAUSE_DEPTH, CAUSE_CAP), "level shrank", "s", "#7a8797"),
    ((CAUSE_BOOK,), "order left", "s", "#7a8797"),
)
_UNITS = ((60_000_000_000, 1e9, "s"), (60_000_000, 1e6, "ms"), (0, 1e3, "us"))


def draw_order(path: Path, rows: NDArray[Any], life: NDArray[Any], story: Story, symbol: str) -> None:
    """Write the picture as PNG, 1200 x 900 pixels.

    Args:
        path: The file.
        rows: The order's rows.
        life: Those of the whole run: other orders' tell where the book stood meanwhile.
        story: What is told of the order.
        symbol: What to call the asset.

    Raises:
        UsageError: The file can't be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_PX / DPI, HEIGHT_PX / DPI), dpi=DPI, layout="constrained")
    queue, book = figure.subplots(2, 1, sharex=True, height_ratios=[1.2, 1])
    start_ns, end_ns = int(rows["ts"][0]), int(rows["ts"][-1])
    size, unit = next((size, unit) for over, size, unit in _UNITS if end_ns - start_ns >= over)
    clock = _Clock(start_ns, size)
    figure.suptitle(f"order {story.order_id}: {story.title}", fontsize=14)
    queue.set_title(_wrapped(story.why), fontsize=10, loc="left")
    _draw_queue(queue, rows, clock)
    _draw_book(book, rows, life, clock)
    queue.set_ylabel("quantity ahead")
    book.set_ylabel(f"price {symbol}".rstrip())
    book.set_xlabel(f"{unit} after it was requested")
    for panel in (queue, book):
        panel.grid(alpha=0.25)
        panel.margins(x=0.02)
        panel.ticklabel_format(axis="y", useOffset=False, style="plain")
        if panel.get_legend_handles_labels()[0]:
            panel.legend(loc="best", fontsize=8, framealpha=0.85)
    if start_ns == end_ns:
        # One moment has no extent.
        book.set_xlim(-1.0, 1.0)
    try:
        figure.savefig(path, dpi=DPI)
    except OSError as error:
        raise UsageError(f"the picture can't be written: {error.strerror}", where=str(path)) from None


class _Clock:
    """Times as the axis has them."""

    def __init__(self, start_ns: int, size: float) -> None:
        self.start_ns, self.size = start_ns, size

    def __call__(self, ts: NDArray[np.int64]) -> NDArray[np.float64]:
        return (ts - self.start_ns) / self.size


def _wrapped(sentence: str) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(sentence, 130))


def _until(rows: NDArray[Any], placed: NDArray[Any]) -> int:
    """How long an order stood: to its end, or to what is known last of one that is open."""
    ended = rows[np.isin(rows["kind"], (LIFE_FILL, LIFE_CANCELED, LIFE_EXPIRED))]
    if len(ended) and ended["status"][-1] != PARTIALLY_FILLED:
        return int(ended["ts"][-1])
    return max(int(rows["ts"][-1]), int(placed["ts"][-1]))


def _draw_queue(panel: Any, rows: NDArray[Any], clock: _Clock) -> None:
    """The quantity ahead, place by place, and what changed it."""
    placed = rows[np.isin(rows["kind"], (LIFE_ACCEPTED, LIFE_QUEUE, LIFE_FILL, LIFE_CANCELED, LIFE_EXPIRED))]
    begins = np.flatnonzero(placed["kind"] == LIFE_ACCEPTED)
    if not len(begins):
        panel.set_yticks([])
        panel.text(
            0.5, 0.5, "it never rested", transform=panel.transAxes, ha="center", va="center", color="#666666"
        )
        return
    ends = np.append(begins[1:], len(placed))
    for number, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        part = thin(placed[begin:end], POINTS_MAX)
        until = placed["ts"][end] if end < len(placed) else _until(rows, placed)
        at = clock(np.append(part["ts"], until))
        # Below zero a trade went beyond the queue: nothing is ahead then.
        ahead = np.maximum(np.append(part["front_qty"], part["front_qty"][-1]), 0.0)
        panel.step(
            at, ahead, where="post", color=_AHEAD, linewidth=1.3, label="" if number else "ahead of it"
        )
    panel.axhline(0, color="black", linewidth=0.6, alpha=0.5)
    for causes, name, marker, color in _CAUSES:
        some = rows[(rows["kind"] == LIFE_QUEUE) & np.isin(rows["cause"], causes)]
        if len(some):
            shown = thin(some, POINTS_MAX)
            of_ahead, beyond = (float(each.sum()) for each in gone(some))
            label = f"{name}: {len(some):,}, {abs(of_ahead):.4g} of what was ahead"
            label += f", {beyond:.4g} beyond it" if beyond > 0.0 else ""
            panel.scatter(
                clock(shown["ts"]),
                np.maximum(shown["front_qty"], 0.0),
                s=18,
                marker=marker,
                color=color,
                label=label,
                zorder=3,
                clip_on=False,
            )
    top = float(placed["front_qty"].max())
    panel.set_ylim(0.0, top * 1.05 if top > 0.0 else 1.0)
    for kind, name, style in (
        (LIFE_FILL, "filled", {"color": _BID, "linestyle": "-"}),
        (LIFE_CANCELED, "canceled", {"color": _ASK, "linestyle": "--"}),
        (LIFE_EXPIRED, "expired", {"color": _ASK, "linestyle": ":"}),
    ):
        for number, at in enumerate(clock(rows["ts"][rows["kind"] == kind])):
            panel.axvline(at, linewidth=1.2, alpha=0.8, label="" if number else name, **style)


def _draw_book(panel: Any, rows: NDArray[Any], life: NDArray[Any], clock: _Clock) -> None:
    """Best prices as far as rows of the asset's orders tell them, the limit, trades and fills."""
    is_near = (
        (life["asset"] == rows["asset"][0]) & (life["ts"] >= rows["ts"][0]) & (life["ts"] <= rows["ts"][-1])
    )
    near = life[is_near]
    for name, field, color in (("best bid", "best_bid", _BID), ("best ask", "best_ask", _ASK)):
        known = thin(near[near[field] != 0.0], POINTS_MAX)
        if len(known):
            panel.step(
                clock(known["ts"]),
                known[field],
                where="post",
                color=color,
                linewidth=1,
                alpha=0.8,
                label=name,
            )
    limits = rows[np.isin(rows["kind"], (LIFE_ACCEPTED, LIFE_REPLACED, LIFE_QUEUE, LIFE_FILL))]
    if len(limits):
        panel.step(
            clock(np.append(limits["ts"], _until(rows, limits))),
            np.append(limits["px"], limits["px"][-1]),
            where="post", color=_LIMIT, linewidth=1.2, linestyle="--", label="its price",
        )  # fmt: skip
    fills = rows[rows["kind"] == LIFE_FILL]
    if len(fills):
        marker = "^" if fills["side"][0] == BUY else "v"
        panel.scatter(
            clock(fills["ts"]), fills["exec_px"], s=70, marker=marker, color=_LIMIT, label="filled", zorder=4
        )
