"""Tardis's books against one in plain Python: snapshots that follow each other, reconnects, whole books only."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hftd.errors import DataError
from hftd.types import KIND_MASK
from sim.archive import read_events
from sim.convert import Options, convert

from .books import followed
from .tardis_files import BOOK, START_US, TRADES, table

NAME = "okex,FOO-USDT"


def line(time_us, is_snapshot, side, tick, lots):
    stamp = f"{START_US + time_us},{START_US + time_us + 700}"
    return f"{NAME},{stamp},{str(is_snapshot).lower()},{side},{tick / 100:.2f},{lots / 1000:.3f}"


def converted(tmp_path, *paths, **options):
    report = convert(list(paths), tmp_path / "out.npz", venue="tardis", options=Options(**options))
    return report, read_events(tmp_path / "out.npz")


class Feed:
    """Messages of a book, and the book that Tardis says there is after each of them, by its local time."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.time_us = 0
        self.book = {"bid": {}, "ask": {}}
        self.lines = []
        self.expected = []

    def _levels(self, count):
        mid = 20_000 + self.random.randint(-40, 40)
        bids = self.random.sample(range(mid - 60, mid), count)
        asks = self.random.sample(range(mid + 1, mid + 61), count)
        lots = self.random.randint
        return {"bid": {k: lots(1, 9) for k in bids}, "ask": {k: lots(1, 9) for k in asks}}

    def _end(self):
        local_ns = (START_US + self.time_us + 700) * 1000
        self.expected.append((local_ns, dict(self.book["bid"]), dict(self.book["ask"])))
        self.time_us += self.random.randint(1, 400)

    def snapshot(self):
        self.book = self._levels(self.random.randint(1, 12))
        # Now and then a side is empty, and the levels come in any order.
        if self.random.random() < 0.1:
            self.book[self.random.choice(("bid", "ask"))] = {}
        lines = [
            line(self.time_us, True, side, tick, lots)
            for side, levels in self.book.items()
            for tick, lots in levels.items()
        ]
        self.random.shuffle(lines)
        self.lines += lines
        self._end()

    def update(self):
        for _ in range(self.random.randint(1, 5)):
            side = self.random.choice(("bid", "ask"))
            tick = (
                20_000 + self.random.randint(-90, 0) if side == "bid" else 20_000 + self.random.randint(1, 90)
            )
            lots = self.random.choice((0, 1, 5))
            self.lines.append(line(self.time_us, False, side, tick, lots))
            self.book[side][tick] = lots
            if not lots:
                del self.book[side][tick]
        self._end()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 1 << 32), st.lists(st.sampled_from("su"), max_size=40), st.integers(0, 5))
def test_the_book_is_that_of_the_last_snapshot_and_the_updates_behind_it(tmp_path, seed, kinds, before):
    feed = Feed(seed)
    for _ in range(before):
        feed.update()
    feed.expected.clear()
    feed.snapshot()
    for kind in kinds:
        feed.snapshot() if kind == "s" else feed.update()
    _, rows = converted(tmp_path, table(tmp_path / "book.csv", BOOK, feed.lines))
    found = {local_ns: (bids, asks) for local_ns, bids, asks in followed(rows)}
    last = None
    for local_ns, bids, asks in feed.expected:
        # A message that changes nothing has no row.
        last = found.get(local_ns, last)
        assert last == (bids, asks)
    assert min(found) == feed.expected[0][0]


def test_whole_books_only_become_differences_and_never_end(tmp_path):
    lines = [
        line(step * 100, True, side, 20_000 + step + sign * k, 1 + k)
        for step in range(400)
        for side, sign in (("bid", -1), ("ask", 1))
        for k in range(1, 6)
    ]
    report, rows = converted(tmp_path, table(tmp_path / "book.csv", BOOK, lines))
    assert report.rows_by_kind["depth clear"] == 1
    assert report.rows_by_kind["depth snapshot"] == 10
    assert report.crossed.times == 0
    *_, (_, bids, asks) = followed(rows)
    assert bids == {20_399 - k: 1 + k for k in range(1, 6)}
    assert asks == {20_399 + k: 1 + k for k in range(1, 6)}


def test_the_snapshot_that_begins_a_file_is_one_of_many_where_there_are_only_snapshots(tmp_path):
    lines = [line(step, True, side, 20_000 + step, 1) for step in range(3) for side in ("bid",)]
    report, rows = converted(tmp_path, table(tmp_path / "book.csv", BOOK, lines), snapshots="ignore_sod")
    assert report.ignored == {"a level of a snapshot that was not asked for": 1}
    assert (rows["ev"] & KIND_MASK).tolist() == [3, 4, 1, 1]


def test_updates_before_the_first_snapshot_are_no_rows_but_those_of_a_file_without_any_are(tmp_path):
    updates = [line(k, False, "bid", 20_000 - k, 1) for k in range(3)]
    snapshot = [line(9, True, "bid", 19_000, 1), line(9, True, "ask", 19_001, 1)]
    report, rows = converted(tmp_path, table(tmp_path / "a.csv", BOOK, updates + snapshot))
    assert report.ignored == {"an update before the file's first snapshot": 3}
    assert rows["px"].tolist() == [0.0, 190.0, 190.01]
    report, rows = converted(tmp_path, table(tmp_path / "b.csv", BOOK, updates))
    assert len(rows) == 3
    assert any("there is no snapshot" in note for note in report.notes)


def test_hftbacktests_rows_leave_what_a_snapshot_does_not_reach(tmp_path):
    lines = [line(0, True, "bid", 100, 1), line(5, True, "bid", 110, 1), line(9, False, "bid", 120, 1)]
    _, rows = converted(tmp_path, table(tmp_path / "book.csv", BOOK, lines), hftbacktest_rows=True)
    assert (rows["ev"] & KIND_MASK).tolist() == [3, 4, 4, 1]


def test_two_files_of_a_book_that_overlap_are_refused(tmp_path):
    first = [line(k, True, "bid", 100, 1 + k) for k in range(0, 50, 10)]
    second = [line(k, True, "bid", 100, 1 + k) for k in range(30, 90, 10)]
    paths = [table(tmp_path / f"{n}.csv", BOOK, lines) for n, lines in enumerate((first, second))]
    for given_paths in (paths, paths[::-1]):
        with pytest.raises(DataError, match="begins before the end of another one with the same book"):
            converted(tmp_path, *given_paths)


def test_liquidations_are_among_the_trades(tmp_path):
    trades = [f"{NAME},{START_US + k},{START_US + k + 9},{k + 1},buy,10,1" for k in range(4)]
    paths = [
        table(tmp_path / "okex_trades.csv", TRADES, trades),
        table(tmp_path / "x_liquidations.csv", TRADES, trades[1:2]),
    ]
    report, rows = converted(tmp_path, *paths)
    assert len(rows) == 4
    assert any("1 liquidations were left out" in note for note in report.notes)
