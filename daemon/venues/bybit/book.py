"""How the exchange's books follow each other; pure: numbers in, what to do out.

1. The first message of a depth stream is a snapshot, and any later one takes the place of the whole book. 2. A delta's
`u` is that of the message before plus one. The exchange promises this for its full book only, and does it for all (no
hole in 90,000 recorded ones), so that a hole, a step back or a `u` that comes once more is a gap here. 3. `u` = 1 is a
service that began anew: it comes with a snapshot; a delta that says so is a gap, too.
"""

from daemon.session.facts import APPLY, GAP, HOLD


class BookSync:
    """Where a book stands in the exchange's sequence.

    Attributes:
        last_id: The update as of which the book is; -1 without one.
        is_joined: Whether there is a book.
        first_held_pu: Nothing is kept.
    """

    __slots__ = ("first_held_pu", "is_joined", "last_id")

    def __init__(self) -> None:
        self.last_id = -1
        self.is_joined = False
        self.first_held_pu = -1

    def lose(self) -> None:
        """The connection broke, or a gap was found: a snapshot is needed."""
        self.last_id = -1
        self.is_joined = False

    def diff(self, last_id: int, previous_id: int) -> int:
        """What to do with a delta: APPLY, GAP, or HOLD while there is no book."""
        if not self.is_joined:
            return HOLD
        if previous_id == self.last_id and last_id != 1:
            self.last_id = last_id
            return APPLY
        self.lose()
        return GAP

    def snapshot(self, last_update_id: int) -> bool:
        """Take a snapshot; whatever was before does not count any more."""
        self.last_id = last_update_id
        self.is_joined = True
        return True
