"""Numbers as people read them."""

import math

_NS = 1_000_000_000
NOTHING = "-"


def rate(count: float, seconds: float) -> str:
    """Rows over time: "4.94 M rows/s"; a dash if no time has passed."""
    if seconds <= 0 or not math.isfinite(seconds):
        return f"{NOTHING} rows/s"
    value = count / seconds
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit} rows/s"
    return f"{value:.3g} rows/s"


def duration(seconds: float) -> str:
    """As in "0.50 µs", "1.20 ms", "0.25 s", "12 s", "10 min 5 s", "2 h 3 min", "3 d 4 h"."""
    if not math.isfinite(seconds) or seconds < 0:
        return NOTHING
    if seconds < 10:
        if seconds >= 0.01 or seconds == 0:
            return f"{seconds:.2f} s"
        return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-5 else f"{seconds * 1e6:.2f} µs"
    whole = round(seconds)
    for big, small, size, inner in (("d", "h", 86_400, 3_600), ("h", "min", 3_600, 60), ("min", "s", 60, 1)):
        if whole >= size:
            return f"{whole // size} {big} {whole % size // inner} {small}"
    return f"{whole} s"


def moment(now_ns: int) -> str:
    """A time of day of market data: "2022-08-31 12:03:04.5", UTC; a dash before it is known."""
    if now_ns <= 0:
        return NOTHING
    import datetime

    at = datetime.datetime.fromtimestamp(now_ns // _NS, datetime.UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}.{now_ns % _NS // 100_000_000}"


def size(count: float) -> str:
    """Bytes: "3.6 MB"."""
    for unit, unit_size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= unit_size:
            return f"{count / unit_size:.1f} {unit}"
    return f"{count:.0f} B"


def count(number: int, word: str) -> str:
    """As in "1 file", "2,000 files", "3 boxes"."""
    plural = f"{word}es" if word.endswith(("x", "s", "ch")) else f"{word}s"
    return f"{number:,} {word if number == 1 else plural}"


def money(values: list[float]) -> list[str]:
    """Amounts that stand side by side: all with the decimals that the largest asks for."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    decimals = 2 if largest >= 100 or largest == 0 else 4 if largest >= 1 else 6
    return [f"{value:,.{decimals}f}" if math.isfinite(value) else NOTHING for value in values]


def exact(values: list[float]) -> list[str]:
    """Quantities and prices that are multiples of a step: with the decimals of the finest, up to 8."""
    finite = [value for value in values if math.isfinite(value)]
    decimals = next((count for count in range(8) if all(_is_whole(value, count) for value in finite)), 8)
    # Adding 0.0 turns a rounded -0.0 into 0.0.
    return [
        f"{round(value, decimals) + 0.0:,.{decimals}f}" if math.isfinite(value) else NOTHING
        for value in values
    ]


def _is_whole(value: float, decimals: int) -> bool:
    return abs(round(value, decimals) - value) < 1e-9 * max(1, abs(value))
