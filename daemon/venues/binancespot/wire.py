"""Market data of Binance Spot: what has no rows, and how diffs and snapshots make one book.

What has rows is read by :mod:`hftd.venues.binance.market`. Changes of the book have no time of the matching engine, but
of when they were sent; best prices and snapshots have none, and carry the latest time of the messages before. Times are
in the unit that was asked for, milliseconds or microseconds, which their digits tell. The end of a connection is
announced by ``{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}``.
"""

from typing import Final

from daemon.session.facts import APPLY, ControlReply, Leaving, UnknownEvent
from daemon.venues.binance import wire
from daemon.venues.binance.book import BookSync

SHUTDOWN: Final = "serverShutdown"


def read_other(message: bytes) -> ControlReply | UnknownEvent | Leaving:
    """Read a message of a combined stream that has no rows.

    Raises:
        WireError: It can't be read, or is an event that should have rows.
    """
    other = wire.read_other(message)
    return Leaving() if isinstance(other, UnknownEvent) and other.name == SHUTDOWN else other


class SpotSync(BookSync):
    """The same rules as those of futures with U - 1 in the place of `pu`, but for one.

    Update ids are a symbol's, so `U` is always one more than the `u` before. A diff that begins in what is there
    already and ends behind it is applied all the same, since its quantities are absolute.
    """

    __slots__ = ()

    def diff(self, last_id: int, previous_id: int) -> int:
        """What to do with a diff of these `u` and U - 1."""
        if self.is_joined and previous_id < self.last_id < last_id:
            self.last_id = last_id
            return APPLY
        return super().diff(last_id, previous_id)
