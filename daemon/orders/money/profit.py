"""What a bot earns in an instrument, by day: realised, unrealised, fees and funding, each by itself.

All amounts are in the asset in which the instrument settles: the quote currency, of inverse contracts the coin. Amounts
of two assets are never added. A day is one of UTC, by the exchange's clock.

    total = realised + unrealised - fee + funding

- *Realised* is what closing a position brought, against its average price.
- *Unrealised* is what the position is worth at the mark above what it cost. The mark is the middle between the best
  prices of a valid book.
- *Fees* are what was paid for executions, below 0 a rebate; *funding* is what was received for holding, below 0 paid.

A day's part of each is what it has changed by since the day began: its `Start`. An execution or a payment that is heard
of later than on its day, since the connector did not run or was not told, counts on its own day: start and closed day
are both corrected. Where no book was valid at midnight the position is valued at the first one after it, and until then
counts as if its value had not changed.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

DAY_NS: Final = 86_400_000_000_000
DAYS_MAX: Final = 20_000
"""Closed days of bots that are kept, one for each day, bot and asset; the oldest days are forgotten first."""


class Profit(msgspec.Struct):
    """What was earned, in one asset.

    Attributes:
        fee: Paid; below 0: received.
        funding: Received; below 0: paid.
    """

    realised: float = 0.0
    unrealised: float = 0.0
    fee: float = 0.0
    funding: float = 0.0

    @property
    def total(self) -> float:
        """All of it together."""
        return self.realised + self.unrealised - self.fee + self.funding

    def add(self, other: "Profit | Day") -> None:
        """Take another one in."""
        self.realised += other.realised
        self.unrealised += other.unrealised
        self.fee += other.fee
        self.funding += other.funding


class Start(msgspec.Struct, array_like=True):
    """How a bot's book stood when the day began; a part of its row in the journal.

    Attributes:
        day: Days since the epoch; 0: it is not known which day it was.
        lots: The position; in parts of a lot where those are held (spot).
        cost: What it had cost, None where that is not known yet.
        mark: What it was valued at; 0 while that is still to come.
        prior: What was unrealised when the day before that was closed last, `prior_day`, began.
    """

    day: int = 0
    realised: float = 0.0
    fee: float = 0.0
    funding: float = 0.0
    lots: float = 0.0
    cost: float | None = None
    mark: float = 0.0
    prior: float = 0.0
    prior_day: int = 0


class Day(msgspec.Struct, array_like=True, tag="day"):
    """What a bot earned on a day that is over, in one asset; of a day that is not: what no book has any more.

    The bot's name is empty for funding of which it is not known for what it is, and "-" for that of what is no bot's.
    """

    day: int
    bot: str
    asset: str
    realised: float = 0.0
    unrealised: float = 0.0
    fee: float = 0.0
    funding: float = 0.0


class Funded(msgspec.Struct, array_like=True, tag="funded"):
    """A payment for holding a position was counted, once by its id.

    Attributes:
        told_by: As `Funding.told_by`.
        same_as: The id of the one that was counted, and that this one tells again in another way.
    """

    symbol: str
    asset: str
    amount: float
    exch_ns: int
    payment_id: str
    told_by: str = ""
    same_as: str = ""


class Paid(msgspec.Struct, array_like=True, tag="paid"):
    """Payments count from `begin_ns` on, and all until `known_ns` have been asked for; by the exchange's clock."""

    begin_ns: int
    known_ns: int


class Watch(msgspec.Struct, array_like=True, tag="watch"):
    """From where losses count. The owner is a bot, or the account if it is empty.

    Attributes:
        peak: The highest that its profit has been, in steps of a thousandth of the limit; None: not known.
        day: On which `base` holds.
        base: What the day had come to when a person lifted a halt: losses count from there. None: what it comes to when
            it is judged next.
    """

    owner: str
    asset: str
    peak: float | None = None
    day: int = 0
    base: float | None = 0.0


class Days:
    """The days that are closed, by day, bot and asset."""

    def __init__(self) -> None:
        self._days: dict[int, dict[tuple[str, str], Day]] = {}
        self._count = 0
        self._changed: dict[tuple[int, str, str], Day] = {}

    def add(
        self,
        day: int,
        bot: str,
        asset: str,
        *,
        realised: float = 0.0,
        unrealised: float = 0.0,
        fee: float = 0.0,
        funding: float = 0.0,
    ) -> None:
        """Something more belongs to a day."""
        row = self._days.get(day, {}).get((bot, asset))
        if row is None:
            row = Day(day, bot, asset)
            self.restore(row)
        row.realised += realised
        row.unrealised += unrealised
        row.fee += fee
        row.funding += funding
        self._changed[day, bot, asset] = row

    def restore(self, row: Day) -> None:
        """A day as the journal has it: the last row of each counts."""
        rows = self._days.setdefault(row.day, {})
        self._count += (row.bot, row.asset) not in rows
        rows[row.bot, row.asset] = row
        while self._count > DAYS_MAX and len(self._days) > 1:
            self._count -= len(self._days.pop(min(self._days)))

    def rename(self, old: str, new: str) -> None:
        """A bot has another name."""
        for day, rows in self._days.items():
            for bot, asset in [key for key in rows if key[0] == old]:
                row = rows.pop((bot, asset))
                self._count -= 1
                self._changed.pop((day, bot, asset), None)
                # What it had is 0 from now on: the last row of each counts.
                self._changed[day, old, asset] = Day(day, old, asset)
                self.add(
                    day,
                    new,
                    asset,
                    realised=row.realised,
                    unrealised=row.unrealised,
                    fee=row.fee,
                    funding=row.funding,
                )

    def of(self, day: int) -> Iterator[Day]:
        """What is known of a day."""
        return iter(self._days.get(day, {}).values())

    def last(self, count: int) -> list[int]:
        """The last days of which something is known, the newest first."""
        return sorted(self._days, reverse=True)[:count]

    def rows(self) -> Iterator[Day]:
        """All, for the journal; what changes meanwhile may be in it or not."""
        for rows in list(self._days.values()):
            yield from list(rows.values())

    def take_changed(self) -> list[Day]:
        """Those that changed since the last time."""
        changed = list(self._changed.values())
        self._changed.clear()
        return changed

    @property
    def has_changed(self) -> bool:
        """Whether there are such."""
        return bool(self._changed)


def closed_part(cost: float, held: float, change: float, amount: float, sign: int) -> tuple[float, float]:
    """What an execution makes of a position's cost, and what it realises, by average prices.

    Args:
        cost: What the position cost; below 0 if it is short.
        held: The position, in lots.
        change: By how much it changes.
        amount: What the execution is worth, above 0.
        sign: 1; of an inverse contract -1, since its value falls as the price rises.

    Returns:
        The new cost, and what was realised.
    """
    amount = amount if change > 0 else -amount
    if change == 0 or held == 0 or (held > 0) == (change > 0):
        return cost + amount, 0.0
    closing = min(abs(change), abs(held))
    gone = cost * (closing / abs(held))
    paid = amount * (closing / abs(change))
    return (cost - gone) + (amount - paid), -sign * (gone + paid)
