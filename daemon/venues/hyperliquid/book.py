"""How the exchange's books follow each other: each message is a whole one, so that nothing can be missing between two.

One that is older than the one before comes from a connection that is behind.
"""

from daemon.session.facts import APPLY


class WholeBooks:
    """See the module; `last_id` is the time of the last one in milliseconds.

    Attributes:
        last_id: -1 without one.
        is_joined: Whether there is one.
        first_held_pu: Nothing is kept.
    """

    __slots__ = ("first_held_pu", "is_joined", "last_id")

    def __init__(self) -> None:
        self.lose()

    def lose(self) -> None:
        """The connection broke."""
        self.last_id = self.first_held_pu = -1
        self.is_joined = False

    def diff(self, last_id: int, previous_id: int) -> int:
        """There are no changes."""
        del last_id, previous_id
        return APPLY

    def snapshot(self, last_update_id: int) -> bool:
        """Take a book."""
        self.last_id = last_update_id
        self.is_joined = True
        return True
