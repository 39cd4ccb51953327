"""What the journal keeps of profits: closed days, from where losses count, and payments that were counted."""

from collections.abc import Iterator
from typing import Final

from daemon.orders.money.profit import Day, Days, Funded, Paid, Watch

FUNDED_MAX: Final = 2000
"""Payments that are known by their ids; those of before the last one forgotten are taken for counted."""
APART_NS: Final = 600_000_000_000
"""So far apart are the times that two ways tell of one payment at most; between two payments of one are hours."""
ROUNDED: Final = 0.5e-8
"""Amounts are told to eight digits: by less two that are one may differ."""

Row = Day | Watch | Funded | Paid


class Kept:
    """All of it.

    Attributes:
        days: The days that are closed.
        watches: By owner and asset.
        paid: Up to when payments are known; None in a journal of before they were asked for.
        forgotten_ns: Payments of up to then are known no more, by the exchange's clock.
    """

    def __init__(self) -> None:
        self.days = Days()
        self.watches: dict[tuple[str, str], Watch] = {}
        self._funded: dict[str, Funded] = {}
        self.paid: Paid | None = None
        self.forgotten_ns = 0
        self._changed: list[Row] = []

    # --- Payments -------------------------------------------------------------------------------------------------

    def is_counted(self, row: Funded) -> bool:
        """Whether a payment was counted, or may have been."""
        return row.payment_id in self._funded or row.exch_ns <= self.forgotten_ns

    def count(self, row: Funded) -> bool:
        """Remember a payment. False: it is one that was told in another way, and counted then."""
        row.same_as = self._twin(row)
        self._remember(row)
        self._changed.append(row)
        return not row.same_as

    def _twin(self, row: Funded) -> str:
        """The id of the same payment as it was told in another way, the nearest in time; empty if it was not."""
        if not row.told_by:
            return ""
        taken = {one.same_as for one in self._funded.values()}
        near = [
            (abs(one.exch_ns - row.exch_ns), one.payment_id)
            for one in self._funded.values()
            if one.told_by not in ("", row.told_by)
            and one.asset == row.asset
            and (one.symbol == row.symbol or not one.symbol or not row.symbol)
            and abs(one.amount - row.amount) <= ROUNDED
            and abs(one.exch_ns - row.exch_ns) <= APART_NS
            and not one.same_as
            and one.payment_id not in taken
        ]
        return min(near)[1] if near else ""

    def know_paid(self, begin_ns: int, known_ns: int) -> Paid:
        """All payments until then are known; `begin_ns` holds in a journal that has no beginning yet."""
        self.paid = paid = Paid(self.paid.begin_ns if self.paid else begin_ns, known_ns)
        self._changed.append(paid)
        return paid

    def funded(self) -> list[Funded]:
        """The payments that are remembered, each once, as they were counted."""
        return [one for one in self._funded.values() if not one.same_as]

    def _remember(self, row: Funded) -> None:
        self._funded[row.payment_id] = row
        if len(self._funded) > FUNDED_MAX:
            oldest = self._funded.pop(next(iter(self._funded)))
            self.forgotten_ns = max(self.forgotten_ns, oldest.exch_ns)

    # --- Watches --------------------------------------------------------------------------------------------------

    def watch(self, owner: str, asset: str) -> Watch:
        """From where an owner's losses count."""
        return self.watches.get((owner, asset)) or Watch(owner, asset)

    def watch_changed(self, watch: Watch) -> None:
        """It is another one from now on."""
        self.watches[watch.owner, watch.asset] = watch
        self._changed.append(watch)

    def forget(self, owner: str) -> None:
        """A bot is forgotten; its days stay."""
        for key in [key for key in self.watches if key[0] == owner]:
            del self.watches[key]

    def moved(self, asset: str, amount: float) -> None:
        """The account's profit, of which so much is in no bot's book any more, or never was."""
        watch = self.watches.get(("", asset))
        if watch is not None and watch.peak is not None and amount:
            watch.peak -= amount
            self.watch_changed(watch)

    # --- The journal ----------------------------------------------------------------------------------------------

    def restore(self, row: Row) -> None:
        """A row of the journal."""
        if isinstance(row, Day):
            self.days.restore(row)
        elif isinstance(row, Watch):
            self.watches[row.owner, row.asset] = row
        elif isinstance(row, Paid):
            self.paid = row
        else:
            self._remember(row)

    @property
    def has_changed(self) -> bool:
        """Whether something is to be written."""
        return bool(self._changed) or self.days.has_changed

    def take_changed(self) -> list[Row]:
        """What is to be written, once."""
        changed: list[Row] = [*self._changed, *self.days.take_changed()]
        self._changed.clear()
        return changed

    def rows(self) -> Iterator[Row]:
        """All but the days, for a new journal."""
        yield from self.watches.values()
        if self.paid is not None:
            yield self.paid
        yield from self._funded.values()
