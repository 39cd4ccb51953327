"""The figures of a report: how they are called, shown and explained, and the table of them."""

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

Unit = Literal["money", "ratio", "percent", "count", "qty", "bps", "times"]


class Label(NamedTuple):
    """A figure.

    Attributes:
        key: Its name, that of the reference where it has it.
        text: What it is called on the page.
        unit: How it is shown. "ratio" figures that a book size divides are shown as percent then.
        explanation: One or two sentences.
        group: Under which heading it stands.
        by_capital: How it is shown if a book size divides it; empty if none does.
        beside: What stands beside its name: "sampled" where another figure of the page, of all rows, looks like it;
            "annual" where a short run says little.
    """

    key: str
    text: str
    unit: Unit
    explanation: str
    group: str
    by_capital: Literal["", "percent", "times"] = ""
    beside: Literal["", "sampled", "annual"] = ""


_SAMPLED = (
    "From the first to the last sample, so what happened before the end of the first sample isn't in it."
)

LABELS: Final = (
    Label("NetPnl", "Net P&L", "money", "Change of equity after fees over the whole run.", "Profit and loss"),
    Label(
        "SpreadCaptured", "Spread captured", "money",
        "How much better than the mid price of their moment the executions were: quantity times the distance.",
        "Profit and loss",
    ),
    Label(
        "Inventory", "Inventory", "money",
        "What holding the position came to: position times each move of the mid price. Spread captured + inventory "
        "- fees = net P&L.",
        "Profit and loss",
    ),
    Label("Fees", "Fees", "money", "Paid for executions; below 0, rebates were more.", "Profit and loss"),
    Label("Return", "Return", "money", f"Equity after fees at the end less that at the start. {_SAMPLED}",
          "Profit and loss", by_capital="percent", beside="sampled"),
    Label("AnnualReturn", "Return a year", "money", "Return by the days of the run times the trading days of a year.",
          "Profit and loss", by_capital="percent", beside="annual"),
    Label(
        "SR", "Sharpe ratio", "ratio",
        "Mean change of equity from sample to sample by its standard deviation, times the root of the samples a year.",
        "Risk", beside="annual"),
    Label("Sortino", "Sortino ratio", "ratio",
          "As the Sharpe ratio, but by the root mean square of the losses only.", "Risk", beside="annual"),
    Label("MaxDrawdown", "Maximum drawdown", "money",
          "The deepest fall of equity after fees below its highest value before, of the samples.", "Risk",
          by_capital="percent", beside="sampled"),
    Label("ReturnOverMDD", "Return over drawdown", "ratio", "Return by the maximum drawdown.", "Risk"),
    Label("MaxPosition", "Largest position", "qty",
          "The largest recorded position, long or short, in the instrument's units.", "Risk"),
    Label("MaxPositionValue", "Largest position value", "money",
          "The largest value of the position, long or short, of the samples.", "Risk", beside="sampled"),
    Label("MeanPositionValue", "Mean position value", "money", "The mean of the samples, long or short.", "Risk"),
    Label("MedianPositionValue", "Median position value", "money", "The median of the samples, long or short.", "Risk"),
    Label("MaxLeverage", "Largest leverage", "times",
          "The largest recorded value of the position by the book size.", "Risk"),
    Label("NumberOfTrades", "Trades", "count", "Executions.", "Trading"),
    Label("DailyNumberOfTrades", "Trades a day", "count", "Executions by the days of the run.", "Trading"),
    Label("TradingVolume", "Volume", "qty", "Quantities of all executions, in the instrument's units.", "Trading"),
    Label("DailyTradingVolume", "Volume a day", "qty", "Volume by the days of the run.", "Trading"),
    Label("TradingValue", "Turnover", "money", "The value of all executions.", "Trading", by_capital="times"),
    Label("DailyTradingValue", "Turnover a day", "money", "Turnover by the days of the run.", "Trading",
          by_capital="times"),
    Label("ReturnOverTrade", "Return over turnover", "bps",
          "What a unit of turnover earned: return by the value of all executions, in basis points.", "Trading"),
    Label("OrderFillRatio", "Orders filled", "percent",
          "The part of the new orders that had at least one execution. An id that was used again is another order.",
          "Execution"),
    Label("QtyFillRatio", "Quantity filled", "percent",
          "Executed quantity by the quantity of the new orders.", "Execution"),
    Label("MakerShare", "Maker share", "percent", "The part of the executed quantity that made liquidity.",
          "Execution"),
    Label("Markout at the fill", "Edge at the fill", "bps",
          "How much better than the mid price the executions were, averaged by quantity.", "Execution"),
    *(
        Label(f"Markout {name}", f"Markout {name}", "bps",
              f"Where the mid price stood {name} after an execution, against its price and from its side. Below 0, "
              "the market moved against it.", "Execution")
        for name in ("100 ms", "1 s", "10 s", "1 min")
    ),
)  # fmt: skip

NOTHING: Final = "\u2013"
"""Stands where there is no value."""
TILES: Final = (
    "NetPnl",
    "SR",
    "MaxDrawdown",
    "NumberOfTrades",
    "Fees",
    "OrderFillRatio",
    "Markout 1 s",
    "MaxLeverage",
)
"""What is shown large at the top."""


SHORT_DAYS: Final = 7
"""Annualised figures of shorter runs have a star and a note."""


def named(label: Label, resample: str, *, is_short: bool) -> str:
    """A figure's name as it stands in a table.

    Args:
        label: The figure.
        resample: The distance of the samples.
        is_short: Whether a run shorter than `SHORT_DAYS` is shown.
    """
    if label.beside == "sampled":
        return f"{label.text} (sampled every {resample})"
    return f"{label.text} *" if label.beside == "annual" and is_short else label.text


def currency(is_inverse: bool) -> str:
    """What the money of a contract is counted in."""
    return "base currency" if is_inverse else "quote currency"


def shown(label: Label, value: float | None, book_size: float | None) -> str:
    """A value as the page shows it; a dash where there is none."""
    if value is None:
        return NOTHING
    unit = label.by_capital if label.by_capital and book_size is not None else label.unit
    if unit == "percent":
        return f"{_number(value * 100)} %"
    if unit == "bps":
        scaled = value * 1e4 if label.key == "ReturnOverTrade" else value
        return f"{_number(scaled)} bp"
    if unit == "count":
        return f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:,.2f}"
    if unit == "times":
        return f"{_number(value)}\u00d7"
    return _number(value)


def _number(value: float) -> str:
    """Four digits or more, without an exponent where that can be read."""
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 1e15 or size < 1e-9:
        return f"{value:.3e}"
    if size >= 1000:
        return f"{value:,.0f}" if size >= 1e5 else f"{value:,.2f}"
    if size >= 1:
        return f"{value:,.3f}".rstrip("0").rstrip(".")
    digits = 3
    while size * 10 ** (digits - 3) < 1:
        digits += 1
    return f"{value:.{digits}f}".rstrip("0").rstrip(".")


class Row(NamedTuple):
    """A figure of several assets or runs.

    Attributes:
        name: What it is called.
        tip: What it is.
        cells: Its value for each of them, and why there is none, empty where there is one.
    """

    name: str
    tip: str
    cells: list[tuple[str, str]]


class Figures(NamedTuple):
    """The table of figures: on a terminal and on the page.

    Attributes:
        names: Of the columns.
        currencies: What the money of each column is counted in.
        groups: The rows below each heading.
        reasons: Why figures have no value, in one list.
    """

    names: list[str]
    currencies: list[str]
    groups: dict[str, list[Row]]
    reasons: list[str]


def figures(columns: Sequence[tuple[str, Any]], options: Any, *, is_short: bool) -> Figures:
    """The table of figures.

    Args:
        columns: Names, and an `AssetReport` each.
        options: How they were computed.
        is_short: Whether a run shorter than `SHORT_DAYS` is shown.
    """
    groups: dict[str, list[Row]] = {}
    reasons: set[str] = set()
    for label in LABELS:
        cells: list[tuple[str, str]] = []
        for _, section in columns:
            value, why = section.figures.get(label.key), section.why.get(label.key, "")
            cells.append(
                (shown(label, value, options.book_size), (why or "there is none") if value is None else "")
            )
            if label.key in section.why:
                reasons.add(f"{label.text}: {why}")
        row = Row(named(label, options.resample, is_short=is_short), label.explanation, cells)
        groups.setdefault(label.group, []).append(row)
    names, currencies = [name for name, _ in columns], [section.currency for _, section in columns]
    return Figures(names, currencies, groups, sorted(reasons))
