"""What the journal keeps of profits: closed days, from where losses count, and payments that were counted."""

from collections.abc import Iterator
from typing import Final

from daemon.orders.money.profit import Day, Days, Funded, Watch

FUNDED_MAX: Final = 1000
"""Payments that are known by their ids; those of before the last one forgotten are taken for counted."""

Row = Day | Watch | Funded


class Kept:
    """All of it.

    Attributes:
        days: The days that are closed.
        watches: By owner and asset.
        forgotten_ns: Payments of up to then are known no more, by the exchange's clock.
    """

    def __init__(self) -> None:
        self.days = Days()
        self.watches: dict[tuple[str, str], Watch] = {}
        self._funded: dict[str, Funded] = {}
        self.forgotten_ns = 0
        self._changed: list[Row] = []

    # --- Payments -------------------------------------------------------------------------------------------------

    def is_counted(self, row: Funded) -> bool:
        """Whether a payment was counted, or may have been."""
        return row.payment_id in self._funded or row.exch_ns <= self.forgotten_ns

    def count(self, row: Funded) -> None:
        """A payment is counted."""
        self._remember(row)
        self._changed.append(row)

    def funded(self) -> list[Funded]:
        """The payments that are remembered, as they were counted."""
        return list(self._funded.values())

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
        yield from self.funded()
