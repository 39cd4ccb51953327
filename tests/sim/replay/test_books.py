"""The book for bots that come later is the sum of all rows that were published, however they are held."""

import numpy as np
import pytest

from sim.archive import write_events
from sim.engine.build import Engine
from sim.feed import layout
from sim.feed.asset import AssetModel
from sim.replay.books import FollowedBook
from tests.sim.market import LOT_SIZE, TICK_SIZE, random_market


class Play:
    """A replay's local side without its rings: rows are published by saying so."""

    def __init__(self, data, **more):
        self.model = AssetModel(data=list(data), tick_size=TICK_SIZE, lot_size=LOT_SIZE, **more)
        self.engine = Engine([self.model], 1, publishes_rows=True)
        self.feed = self.engine.feeds[0]
        self.book = FollowedBook(self.engine, 0, self.model)
        self.feed.on_block_over = self.book.finish_block
        self.feed.on_file_over = self.book.finish_file
        self.stream = self.engine.locals[0]
        self.left = 0

    def publish(self, rows):
        """Go on by so many rows; at the end by those that are left."""
        while rows > 0:
            if not self.left:
                if not self.feed.next(1):
                    return
                self.left = (int(self.stream["rows_end"]) - int(self.stream["row"])) // 64
            step = min(rows, self.left)
            self.stream["row"] += 64 * step
            self.left -= step
            rows -= step


@pytest.fixture
def parts():
    rows = random_market(5, 3000)
    return [rows[:1100].copy(), rows[1100:2000].copy(), rows[2000:].copy()]


@pytest.fixture(params=["cached", "unpacked"])
def files(request, parts, tmp_path, monkeypatch):
    root = tmp_path / "prepared"
    if request.param == "unpacked":
        # Where the cache can't be written, rows that are over are gone.
        root.write_text("")
    monkeypatch.setenv("HFTD_PREPARED_DIR", str(root))
    monkeypatch.setattr(layout, "BLOCK_ROWS", 128)
    paths = [tmp_path / f"{number}.npz" for number in range(3)]
    for path, rows in zip(paths, parts, strict=True):
        write_events(path, rows)
    return paths


@pytest.mark.parametrize("is_fused", [False, True])
@pytest.mark.parametrize("asked", [[3000], [1, 127, 1, 500], [1099, 1, 1, 899, 1, 999], [4000], [700] * 5])
def test_the_book_is_that_of_the_rows_in_memory(parts, files, asked, is_fused):
    from_memory, from_files = Play(parts, fuse_bbo=is_fused), Play(files, fuse_bbo=is_fused)
    for rows in asked:
        books = []
        for play in (from_memory, from_files):
            play.publish(rows)
            books.append(play.book.rows(1))
        assert books[0].tobytes() == books[1].tobytes()
        assert len(books[0]) > 1
    from_files.engine.stop()


def test_a_book_that_is_asked_for_after_the_end_is_the_last_one(parts, files):
    expected = Play([np.concatenate(parts)])
    expected.publish(3000)
    play = Play(files)
    play.publish(4000)
    assert play.stream["file_no"] == len(files)
    assert play.book.rows(1).tobytes() == expected.book.rows(1).tobytes()
