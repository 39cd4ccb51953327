"""The market of a scenario: a book that stands still, 50 lots each 10 ticks, and what is said to happen in it."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from hftd.constants import BUY_EVENT, DEPTH_EVENT, EXCH_EVENT, LOCAL_EVENT, SELL_EVENT, TRADE_EVENT
from hftd.types import event_dtype

MID = 600_000
TICK = Decimal("0.1")
LEVELS, LEVEL_TICKS, LEVEL_LOTS = 5, 10, 50
START_NS = 1_723_075_200_000_000_000
APART_NS = 3_600_000_000_000
"""Between what happens in the market, by its own time; the scenario says when the next one comes."""
PULSE_NS = 1_000_000_000
"""So often something changes far from the middle."""
BETWEEN = 30
"""For so many seconds, before the next thing happens."""
SIDES = {1: "BUY", -1: "SELL"}


class Row:
    """What happens in the market at once: rows of one time."""

    def __init__(self, *rows: tuple[int, int, int]) -> None:
        self.rows = rows


def sold(lots: int, ticks: int = -5) -> Row:
    """Somebody sells at a price between the best ones, or beyond."""
    return Row((TRADE_EVENT | SELL_EVENT, ticks, lots))


def bought(lots: int, ticks: int = 5) -> Row:
    """Somebody buys."""
    return Row((TRADE_EVENT | BUY_EVENT, ticks, lots))


def level(ticks: int, lots: int) -> Row:
    """A level becomes that large; below the middle it is a bid."""
    return Row((DEPTH_EVENT | (BUY_EVENT if ticks < 0 else SELL_EVENT), ticks, lots))


def tape(happens: Sequence[Row], lot: float, seconds: int, between: int = BETWEEN) -> np.ndarray[Any, Any]:
    """The market's rows: the book, and each time that something happens, a while in which little does.

    Args:
        happens: What, one after the other.
        lot: The quantity's step.
        seconds: How long the last of these whiles is.
        between: How long the others are, but for the first.
    """
    book = [
        (kind, sign * LEVEL_TICKS * k, LEVEL_LOTS)
        for k in range(1, LEVELS + 1)
        for kind, sign in ((DEPTH_EVENT | BUY_EVENT, -1), (DEPTH_EVENT | SELL_EVENT, 1))
    ]
    parts = []
    for k, now in enumerate((book, *(one.rows for one in happens))):
        pulses = seconds if k == len(happens) else between if k else BETWEEN
        made = np.zeros(len(now) + pulses, event_dtype)
        kind, ticks, lots = (list(one) for one in zip(*now, strict=True))
        number = np.arange(1, pulses + 1)
        made["ev"] = [*kind, *[DEPTH_EVENT | BUY_EVENT] * pulses]
        made["ev"] |= EXCH_EVENT | LOCAL_EVENT
        made["exch_ts"] = START_NS + k * APART_NS
        made["exch_ts"][len(now) :] += number * PULSE_NS
        made["local_ts"] = made["exch_ts"]
        made["px"] = np.array([*ticks, *[-200] * pulses]) * float(TICK) + float(MID * TICK)
        made["qty"] = np.array([*lots, *(100 + number % 2)]) * lot
        parts.append(made)
    return np.concatenate(parts)
