"""A picture of a bot's run: equity, position, and the mid price with the fills, for each asset."""

from pathlib import Path
from typing import Any

import numpy as np

from hftd.bot.result import AssetResult, BotResult
from hftd.errors import UsageError
from hftd.hbt.local import Contract
from hftd.types import BUY

DPI = 100
WIDTH_PX = 1200
HEIGHT_PX = 900
ASSET_WIDTH_PX_MIN = 500
POINTS_MAX = 4000
"""More points than pixels show nothing more; longer records are thinned to every n-th."""
FILLS_MAX = 5000
"""Of more fills, every n-th is drawn, and the legend says so."""

_BUY_COLOR = "#1a7f4b"
_SELL_COLOR = "#c0362c"
_EQUITY = ("balance", "position", "fee", "price")
_LINE_COLOR = "#27496d"


def draw(path: Path, result: BotResult) -> None:
    """Write the picture as PNG, 1200 x 900 pixels, wider for more than two assets.

    Raises:
        UsageError: The file can't be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    count = max(len(result.assets), 1)
    width_px = max(WIDTH_PX, count * ASSET_WIDTH_PX_MIN)
    figure = Figure(figsize=(width_px / DPI, HEIGHT_PX / DPI), dpi=DPI, layout="constrained")
    panels = figure.subplots(3, count, sharex=True, squeeze=False, height_ratios=[1, 1, 1.6])
    figure.suptitle(f"{result.name}: {result.strategy}", fontsize=14)
    for number, asset in enumerate(result.assets):
        _draw_asset(panels[:, number], asset, result, number)
    for panel in panels[-1]:
        panel.set_xlabel("time (UTC)")
    try:
        figure.savefig(path, dpi=DPI)
    except OSError as error:
        raise UsageError(f"the picture can't be written: {error.strerror}", where=str(path)) from None


def _draw_asset(panels: Any, asset: AssetResult, result: BotResult, number: int) -> None:
    equity, position, price = panels
    equity.set_title(f"{asset.symbol} ({asset.channel})", fontsize=12)
    equity.set_ylabel(f"equity ({'base' if asset.inverse else 'quote'} currency)")
    position.set_ylabel("position")
    price.set_ylabel("mid price and fills")
    for panel in panels:
        panel.grid(alpha=0.25)
        panel.margins(x=0.02)
        panel.ticklabel_format(axis="y", useOffset=False, style="plain")
    records = thin(result.records[:, number], POINTS_MAX)
    if len(records):
        at = times(records["timestamp"])
        contract = Contract(asset.contract_size, asset.inverse)
        curve = [contract.equity(*(float(row[name]) for name in _EQUITY)) for row in records]
        equity.plot(at, curve, color=_LINE_COLOR, linewidth=1.2)
        equity.axhline(0, color="black", linewidth=0.6, alpha=0.5)
        position.step(at, records["position"], where="post", color=_LINE_COLOR, linewidth=1)
        position.axhline(0, color="black", linewidth=0.6, alpha=0.5)
        price.plot(at, records["price"], color="#7a8797", linewidth=0.9, label="mid", zorder=1)
        date_axis(price)
        if len(records) == 1:
            # One moment has no extent that an axis could be divided by.
            price.set_xlim(at[0] - np.timedelta64(1, "s"), at[0] + np.timedelta64(1, "s"))
    else:
        for panel in (equity, position):
            _note(panel, "no records")
    _draw_fills(
        price,
        result.fills[result.fills["asset_no"] == number],
        size=26 if len(result.fills) < 500 else 12,
        has_records=len(records) > 0,
    )


def _draw_fills(panel: Any, fills: np.ndarray, *, size: int, has_records: bool) -> None:
    if not len(fills):
        _note(panel, "no fills" if has_records else "no records and no fills")
    shown = thin(fills, FILLS_MAX)
    for side, name, marker, color in ((True, "buy", "^", _BUY_COLOR), (False, "sell", "v", _SELL_COLOR)):
        for maker, kind in ((True, "maker"), (False, "taker")):
            count = int((((fills["side"] == BUY) == side) & ((fills["maker"] != 0) == maker)).sum())
            chosen = shown[((shown["side"] == BUY) == side) & ((shown["maker"] != 0) == maker)]
            if not len(chosen):
                continue
            panel.scatter(
                times(chosen["timestamp"]),
                chosen["price"],
                s=size,
                marker=marker,
                facecolors=color if maker else "none",
                edgecolors=color,
                linewidths=0.9,
                label=f"{name}, {kind}: {count:,}",
                zorder=3,
            )
    if len(fills):
        title = f"every {-(-len(fills) // FILLS_MAX)}th fill is drawn" if len(shown) < len(fills) else None
        panel.legend(loc="best", fontsize=8, title=title, title_fontsize=8, framealpha=0.85)


def thin(rows: np.ndarray, limit: int) -> np.ndarray:
    """Every n-th row, with the last one, so that about `limit` remain."""
    if len(rows) <= limit:
        return rows
    chosen = np.arange(0, len(rows), -(-len(rows) // limit))
    return rows[np.union1d(chosen, [len(rows) - 1])]


def times(timestamps_ns: np.ndarray) -> np.ndarray:
    """Nanoseconds as the axis takes them."""
    return timestamps_ns.astype("datetime64[ns]")


def date_axis(panel: Any) -> None:
    """Let the panel's axis show times."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(maxticks=8)
    panel.xaxis.set_major_locator(locator)
    panel.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def _note(panel: Any, text: str) -> None:
    if not panel.has_data():
        # The scale of an empty panel means nothing.
        panel.set_xticks([])
        panel.set_yticks([])
    panel.text(
        0.5, 0.5, text, transform=panel.transAxes, ha="center", va="center", color="#666666", fontsize=13
    )
