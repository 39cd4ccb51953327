"""What a connector may rely on: whatever is lost on the way, a book that counts as valid is the exchange's."""

from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.venues.binance.book import APPLY, DROP, GAP, HOLD, BookSync


class Exchange:
    """A book whose updates have global ids with holes, sent as diffs."""

    def __init__(self) -> None:
        self.book: dict[int, int] = {}
        self.id = 1000
        self.sent_id = 1000

    def diff(
        self, levels: list[tuple[int, int]], hole: int, length: int
    ) -> tuple[int, int, list[tuple[int, int]]]:
        previous = self.sent_id
        self.id += hole + length
        self.sent_id = self.id
        for price, qty in levels:
            self.book[price] = qty
            if not qty:
                del self.book[price]
        return self.sent_id, previous, levels

    def snapshot(self, ahead: int) -> tuple[int, dict[int, int]]:
        """The book now; its id may be that of the last diff, or lie in the hole behind it."""
        return self.id + ahead, dict(self.book)


def levels():
    return st.lists(st.tuples(st.integers(1, 6), st.integers(0, 3)), max_size=4)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("diff"), levels(), st.integers(0, 3), st.integers(1, 4)),
        st.tuples(st.just("lost"), levels(), st.integers(0, 3), st.integers(1, 4)),
        st.tuples(st.just("double"), levels(), st.integers(0, 3), st.integers(1, 4)),
        st.tuples(st.just("take snapshot"), st.integers(0, 3)),
        st.tuples(st.just("give snapshot")),
        st.tuples(st.just("reconnect")),
    ),
    max_size=60,
)


@settings(max_examples=600, deadline=None)
@given(steps)
def test_a_joined_book_is_the_exchanges_book_after_each_diff(script):
    exchange, sync = Exchange(), BookSync()
    ours: dict[int, int] = {}
    held: list[tuple[int, int, list[tuple[int, int]]]] = []
    waiting: list[tuple[int, dict[int, int]]] = []

    def apply(changes):
        for price, qty in changes:
            ours[price] = qty
            if not qty:
                del ours[price]

    def on_diff(u, pu, changes):
        action = sync.diff(u, pu)
        if action == APPLY:
            apply(changes)
        elif action == HOLD:
            held.append((u, pu, changes))
        elif action == GAP:
            held[:] = [(u, pu, changes)]
        else:
            assert action == DROP

    for name, *values in script:
        if name in ("diff", "lost", "double"):
            # An update of the hole is one of another symbol.
            made = exchange.diff(*values)
            for _ in range({"diff": 1, "lost": 0, "double": 2}[name]):
                on_diff(*made)
            if name != "lost" and sync.is_joined:
                assert ours == exchange.book
        elif name == "take snapshot":
            waiting.append(exchange.snapshot(0))
        elif name == "give snapshot" and waiting and not sync.is_joined:
            last_id, book = waiting.pop(0)
            kept, held[:] = list(held), []
            if sync.snapshot(last_id):
                ours.clear()
                ours.update(book)
                for one in kept:
                    on_diff(*one)
            else:
                held[:] = kept
        elif name == "reconnect":
            sync.lose()
            held.clear()


def test_a_snapshot_between_two_diffs_is_joined_by_the_one_behind_it():
    sync = BookSync()
    assert sync.diff(110, 100) == HOLD
    assert sync.snapshot(112)  # in the hole: the next diff begins at 120
    assert sync.diff(110, 100) == DROP
    assert sync.diff(125, 110) == APPLY
    assert sync.diff(130, 125) == APPLY


def test_a_snapshot_at_a_diffs_own_id_is_joined_by_the_next_one():
    sync = BookSync()
    assert sync.snapshot(110)
    assert sync.diff(110, 100) == DROP
    assert sync.diff(120, 110) == APPLY


def test_a_snapshot_older_than_what_was_kept_is_not_taken():
    sync = BookSync()
    assert sync.diff(110, 100) == HOLD
    assert not sync.snapshot(99)
    assert sync.snapshot(100)
    assert sync.diff(110, 100) == APPLY


def test_a_missing_diff_is_a_gap_and_a_repeated_one_is_not():
    sync = BookSync()
    sync.snapshot(100)
    assert sync.diff(110, 100) == APPLY
    assert sync.diff(110, 100) == DROP
    assert sync.diff(105, 95) == DROP
    assert sync.diff(130, 120) == GAP
    assert not sync.is_joined
    assert sync.diff(140, 130) == HOLD
