"""A book's best levels as a stream says them that begins with a snapshot: whole once, then what changes.

A level that leaves the window is said with quantity 0, one that comes in with what it has: whoever applies all of it
has exactly the window.
"""

from sim.exchange.playback.tape import Level


class Window:
    """The best levels of a book, as they were said last.

    Args:
        depth: How many of a side.
        number: Of what was said last.
    """

    def __init__(self, depth: int, number: int) -> None:
        self.depth = depth
        self.number = number
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.interval = 0
        """In which one it was looked at last, where it is said at intervals."""
        self.said_ms = 0
        self.is_stale = True
        """Whether the book has changed since."""
        self.is_live = False
        """Whether all that changes is said; else it is renewed before somebody hears it."""

    def renew(self, bids: list[Level], asks: list[Level]) -> tuple[list[Level], list[Level]]:
        """It holds other levels, under the next number. Returns what changed, each side from the best outwards."""
        now = dict(bids), dict(asks)
        changed = _changes(self.bids, now[0], -1), _changes(self.asks, now[1], 1)
        self.bids, self.asks = now
        self.is_stale, self.is_live = False, True
        self.number += 1
        return changed

    def sides(self) -> tuple[list[Level], list[Level]]:
        """All of it."""
        return list(self.bids.items()), list(self.asks.items())


def _changes(was: dict[int, int], now: dict[int, int], order: int) -> list[Level]:
    found = [(tick, lots) for tick, lots in now.items() if was.get(tick) != lots]
    found += [(tick, 0) for tick in was if tick not in now]
    return sorted(found, key=lambda one: order * one[0])
