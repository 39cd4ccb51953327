"""Cells of `daemon.ops.web.tables` as text for a terminal; none of it is read as markup."""

import datetime
from collections.abc import Callable, Sequence
from typing import Any, Final

from rich.text import Text

from daemon.cli.show import text
from daemon.ops.web.tables import GONE, Column

TONES: Final = {"good": "green", "warn": "yellow", "bad": "bold red", "dim": "dim"}
RIGHT: Final = frozenset(
    {"count", "figure", "amount", "money", "points", "amounts", "earned", "ns", "since", "share", "used"}
)
"""Kinds that stand at the right of their column."""
WIDTH_MAX: Final = 60
"""So many characters a cell has."""


def cell(column: Column, value: Any, now_ms: int, rank: int) -> Text:
    """One cell.

    Args:
        column: Its column.
        value: What the table has.
        now_ms: The look's moment, which ages are told from.
        rank: Of its row.
    """
    if value is None:
        said, style = text.NOTHING, "dim"
    elif column.kind == "since":
        said, style = text.duration(max(0, now_ms - value) / 1e3), ""
    else:
        said, style = _KINDS[column.kind](value)
    if len(said) > WIDTH_MAX and column.kind != "words":
        said = f"{said[: WIDTH_MAX - 3]}..."
    return Text(
        said, style="dim" if rank == GONE else style, justify="right" if column.kind in RIGHT else "left"
    )


def money(value: float) -> str:
    """An amount of money."""
    return text.money([value])[0]


def _tone(value: float) -> str:
    return TONES["good"] if value > 0 else TONES["bad"] if value < 0 else ""


def _amounts(pairs: Sequence[Sequence[Any]]) -> str:
    shown = [f"{text.NOTHING if value is None else money(value)} {asset}" for value, asset in pairs]
    return ", ".join(shown) or text.NOTHING


def _earned(pairs: Sequence[Sequence[Any]]) -> tuple[str, str]:
    return _amounts(pairs), _tone(min((value for value, _ in pairs if value is not None), default=0.0))


def _time(us: int) -> str:
    try:
        return f"{datetime.datetime.fromtimestamp(us / 1e6, datetime.UTC):%H:%M:%S}.{us // 1000 % 1000:03d}"
    except (ValueError, OverflowError, OSError):
        return "?"


def _used(share: float) -> tuple[str, str]:
    return f"{100 * share:.0f} %", TONES["bad"] if share >= 0.9 else TONES["warn"] if share >= 0.7 else ""


def _markouts(pairs: Sequence[Sequence[Any]]) -> str:
    known = [(ns, points) for ns, points in pairs if points is not None]
    return "  ".join(f"{text.duration(ns / 1e9)} {points:+.2f}" for ns, points in known) or text.NOTHING


_KINDS: Final[dict[str, Callable[[Any], tuple[str, str]]]] = {
    "text": lambda value: (value, ""),
    "words": lambda value: (value, ""),
    "cut": lambda value: (value, ""),
    "at": lambda value: (value, ""),
    "name": lambda value: (value, "bold"),
    "state": lambda value: (value[0], TONES.get(value[1], "")),
    "side": lambda value: (value, TONES["good" if value == "buy" else "bad"]),
    "count": lambda value: (f"{value:,}", ""),
    "figure": lambda value: (text.exact([value])[0], ""),
    "amount": lambda value: (f"{value:,.0f}" if value == int(value) else money(value), ""),
    "money": lambda value: (money(value), _tone(value)),
    "points": lambda value: (f"{value:,.2f}", _tone(value)),
    "amounts": lambda value: (_amounts(value), ""),
    "earned": _earned,
    "ns": lambda value: (text.duration(value / 1e9), ""),
    "share": lambda value: (f"{100 * value:.1f} %", ""),
    "used": _used,
    "time": lambda value: (_time(value), "dim"),
    "markouts": lambda value: (_markouts(value), ""),
}
