"""The picture of a record: equity and position over time, with the price."""

# pyright: basic

from typing import Any

import numpy as np

from hftd.errors import UsageError
from sim.stats.frame import Frame

_PRICE: dict[str, Any] = {"color": "black", "alpha": 0.2}


def draw(df: Frame, book_size: float | None, price_as_ret: bool) -> Any:
    """A matplotlib figure of two panels.

    Raises:
        UsageError: Cumulative returns are asked for, and there is no `book_size`.
    """
    from matplotlib.figure import Figure

    if price_as_ret and book_size is None:
        raise UsageError("the price as a return needs a book_size", hint="stats(book_size=...)")
    figure = Figure(figsize=(10, 6))
    above, below = figure.subplots(2, 1, sharex=True)
    figure.subplots_adjust(hspace=0)
    times, price = df["timestamp"], df["price"]
    scale = 1.0 if book_size is None else 100.0 / book_size
    gross = df["equity_wo_fee"]
    above.plot(times, (gross - df["fee"]) * scale, label="Equity")
    above.plot(times, gross * scale, label="Equity w/o fee")
    above.set_ylabel("Equity" if book_size is None else "Cumulative Returns (%)")
    if price_as_ret:
        known = price[~np.isnan(price)]
        first = known[0] if len(known) else np.nan
        above.plot(times, (price / first - 1.0) * 100.0, label="Price", **_PRICE)
        above.legend()
    else:
        _with_price(above, times, price)
    below.plot(times, df["position"], label="Position")
    below.set_ylabel("Position (Qty)")
    _with_price(below, times, price)
    for panel in (above, below):
        panel.grid()
    return figure


def _with_price(panel: Any, times: Any, price: Any) -> None:
    beside = panel.twinx()
    beside.plot(times, price, label="Price", **_PRICE)
    beside.set_ylabel("Price")
    handles, labels = panel.get_legend_handles_labels()
    more_handles, more_labels = beside.get_legend_handles_labels()
    panel.legend(handles + more_handles, labels + more_labels, loc="best")
