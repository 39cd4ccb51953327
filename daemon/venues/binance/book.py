"""How diffs and snapshots of Binance's futures make one book; pure: numbers in, what to do out.

The exchange's rules, numbered as it numbers them:

1. Connect, subscribe, keep the diffs. 2. Get a snapshot; it is the book as of update L. 3. Drop diffs with u < L.
4. The first one to apply has U <= L <= u. 5. From then on each `pu` is the `u` of the one before; else begin at 2.

Two things differ from what one might read there. Update ids are global and not of a symbol, so there are holes between
`pu` and `U`: L may lie in one, and then no diff has U <= L <= u. The first diff that fits is therefore the one with
pu <= L <= u. And a diff with u = L brings nothing that the snapshot does not have, so it is dropped too.
"""

from daemon.session.facts import APPLY, DROP, GAP, HOLD


class BookSync:
    """Where a book stands in the exchange's sequence.

    Attributes:
        last_id: The update as of which the book is; -1 without one.
        is_joined: Whether a diff has followed the snapshot: only then is it known that the two belong together.
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
        self.first_held_pu = -1

    def diff(self, last_id: int, previous_id: int) -> int:
        """What to do with a diff that has these `u` and `pu`: APPLY, HOLD, DROP or GAP."""
        known = self.last_id
        if self.is_joined:
            if previous_id == known:
                self.last_id = last_id
                return APPLY
            # What was there before, or comes late, changes nothing; what is missing does.
            if last_id <= known:
                return DROP
        elif known < 0:
            if self.first_held_pu < 0:
                self.first_held_pu = previous_id
            return HOLD
        elif last_id <= known:
            return DROP
        elif previous_id <= known:
            self.last_id = last_id
            self.is_joined = True
            return APPLY
        self.lose()
        self.first_held_pu = previous_id
        return GAP

    def snapshot(self, last_update_id: int) -> bool:
        """Take a snapshot of that L. False if it is older than the first diff that was kept: get another one."""
        if self.first_held_pu >= 0 and last_update_id < self.first_held_pu:
            return False
        self.last_id = last_update_id
        self.is_joined = False
        return True
