"""What one of several connections brings, and another has brought already: pure, numbers in, what to write out.

Changes of a book, and trades that are counted, form a chain: each says which one was before it. A message that another
connection has brought is left out. One that is too early waits for those before it as long as another connection may
bring them; then what waits is written all the same, and there is a gap.
"""

from bisect import insort
from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple

HELD_MAX: Final = 4096
"""Messages of a chain that wait; with more nobody is waited for."""
NAMES_MAX: Final = 16_384
"""So many ids of trades are remembered where they have no order."""


class Link(NamedTuple):
    """A message in its chain: it follows `previous`, and `last` follows it."""

    previous: int
    last: int
    message: bytes


class Chain:
    """See the module.

    Attributes:
        last: The id of what was written last; -1 before the first.
        again: Messages that were left out.
        held_ns: Since when something waits; 0 if nothing does.
    """

    def __init__(self) -> None:
        self.last = -1
        self.again = 0
        self.held_ns = 0
        self._held: list[Link] = []

    @property
    def awaited(self) -> int:
        """The id before the first message that waits: what is missing ends with it; -1 if nothing waits."""
        return self._held[0].previous if self._held else -1

    def offer(self, link: Link, now_ns: int, may_wait: bool) -> tuple[list[bytes], int]:
        """Take a message.

        Args:
            link: It.
            now_ns: The time.
            may_wait: Whether another connection may bring what is missing before it.

        Returns:
            The messages to write, in order, and the last id of what is missing before them; -1: nothing is.
        """
        known = self.last
        if known >= 0:
            if link.last <= known:
                self.again += 1
                return [], -1
            if link.previous > known:
                insort(self._held, link)
                if may_wait and len(self._held) < HELD_MAX:
                    self.held_ns = self.held_ns or now_ns
                    return [], -1
                awaited = self.awaited
                return self.give_up(), awaited
        self.last = link.last
        return ([link.message, *self._following()] if self._held else [link.message]), -1

    def _following(self) -> list[bytes]:
        found: list[bytes] = []
        while self._held and self._held[0].previous <= self.last:
            link = self._held.pop(0)
            if link.last > self.last:
                self.last = link.last
                found.append(link.message)
            else:
                self.again += 1
        if not self._held:
            self.held_ns = 0
        return found

    def give_up(self) -> list[bytes]:
        """Nobody brings what is missing: all that waits, in order."""
        found: list[bytes] = []
        while self._held:
            # What stands first now is behind the gap.
            self.last = max(self.last, self._held[0].previous)
            found += self._following()
        return found

    def restart(self, last: int) -> list[bytes]:
        """The ids go on from here: a whole book, or (-1) whatever comes next. Returns what is written before."""
        found = self.give_up()
        self.last = last
        return found


class Names:
    """Ids without an order: those that came last are remembered."""

    def __init__(self) -> None:
        self.again = 0
        self._order: deque[int] = deque()
        self._known: set[int] = set()

    def has_new(self, ids: Iterable[int]) -> bool:
        """Remember the ids of a message; whether one of them is new."""
        known, order = self._known, self._order
        is_new = False
        for one in ids:
            if one not in known:
                is_new = True
                known.add(one)
                order.append(one)
                if len(order) > NAMES_MAX:
                    known.discard(order.popleft())
        self.again += not is_new
        return is_new
