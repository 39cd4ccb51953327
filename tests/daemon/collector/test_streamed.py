"""A stream whose numbers begin anew, on connections that come, lag and go: nothing is missing that is not said."""

import random
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.collector.recorder import HOLD_NS
from daemon.collector.streamed import BEHIND_NS
from hftd.recording import gaps_of
from hftd.venues.reader import BOOK, DEPTH, Message
from tests.daemon.collector.test_recorder import NS, Told
from tests.daemon.collector.test_recorder import A as FIRST

MS = 1_000_000
A, B = "A", "B"


class Exchange:
    """Says changes and, now and then, begins anew; its connections bring all from where they begin, in order, late."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.told = Told(is_streamed=True, counted=False)
        self.number, self.count, self.ms, self.begun_ms = 1000, 0, 0, -1
        self.ways: dict[str, list[tuple[int, int, int, str]]] = {}

    def say(self, kind: int) -> None:
        self.number = 1 if kind == BOOK else self.number + 1
        self.count += 1
        text = f"{self.count}:{kind}:{self.number}"
        for way in self.ways.values():
            way.append((kind, self.number, self.ms, text))

    def connect(self, name: str) -> None:
        self.ways[name] = [(BOOK, self.number, self.ms, f"{self.count}:first:{self.number}:{name}")]

    def bring(self, name: str) -> None:
        if way := self.ways.get(name):
            kind, last, ms, text = way.pop(0)
            self.hear(name, kind, last, ms, text)

    def hear(self, name: str, kind: int, last: int, ms: int, text: str) -> None:
        read = Message("S", kind, None, NS + ms * MS, last, last - 1)
        self.told.recorder.on_message(name, read, text.encode(), self.told.now_ns)

    def tear(self, name: str) -> None:
        if self.ways.pop(name, None) is not None:
            self.told.recorder.drop(name, "torn", self.told.now_ns)

    def step(self, chance: float) -> None:
        """Something happens."""
        draw = self.chance.random
        self.told.now_ns += self.chance.randrange(1, 20) * MS
        if draw() < 0.7:
            self.ms = (self.told.now_ns - NS) // MS
        if draw() < 0.9:
            self.say(DEPTH)
        if draw() < chance and self.ms != self.begun_ms:
            self.begun_ms = self.ms
            self.say(BOOK)
        for name in (A, B):
            if name not in self.ways:
                if draw() < 0.3:
                    self.connect(name)
            elif draw() < chance:
                self.tear(name)
            else:
                for _ in range(self.chance.choice((0, 0, 1, 1, 2, 9))):
                    self.bring(name)
        recorder = self.told.recorder
        recorder.look(self.told.now_ns)
        if recorder.wants_book and (name := recorder.to_subscribe()) and draw() < 0.3:
            # What was on its way still comes; then it begins with a book.
            self.ways[str(name)].append(
                (BOOK, self.number, self.ms, f"{self.count}:first:{self.number}:{name}")
            )


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1 << 30), st.sampled_from((0.0, 0.01)))
def test_whatever_connections_do_a_change_is_written_in_order_or_a_window_has_it(seed: int, chance: float):
    exchange = Exchange(seed)
    for _ in range(300):
        exchange.step(chance)
    told = exchange.told
    told.recorder.end(told.now_ns, "over")
    lines = [line.decode() for day in told.pages.text.values() for line in day]
    written = [
        (int(ns), int(text.partition(":")[0])) for ns, _, text in (line.partition(" ") for line in lines)
    ]
    windows = [(gap.from_ns, gap.until_ns) for gap in told.gaps]
    # What is written within a span that is whole follows what was before.
    for (known_ns, before), (ns, behind) in pairwise(written):
        if behind not in (before, before + 1):
            assert any(start <= ns and known_ns <= end for start, end in windows), (before, behind)
    # Not all of it is in windows.
    assert len(set(written)) > exchange.count // 4


def test_a_connection_that_is_ahead_waits_for_those_that_were_there_before():
    told = Told(is_streamed=True, counted=False)
    told.say(BOOK, 10)
    told.now_ns = NS + 1000
    told.say(BOOK, 13, source=B, text="ahead")
    told.say(DEPTH, 14, source=B)
    for number in (11, 12, 13):
        told.now_ns = NS + (number - 12) * 1000
        told.change(number)
    assert told.written[-4:] == [b"1:%d:()" % number for number in (11, 12, 13, 14)]
    assert told.recorder.is_joined_by(B)
    assert told.recorder.is_whole


def test_a_connection_that_is_ahead_of_one_that_breaks_leaves_a_window():
    told = Told(is_streamed=True, counted=False)
    told.say(BOOK, 10)
    torn_ns = told.now_ns
    told.say(BOOK, 13, source=B, text="ahead")
    told.say(DEPTH, 14, source=B)
    told.recorder.drop(FIRST, "torn", told.now_ns)
    assert told.recorder.is_whole
    assert told.written[-2:] == [b"ahead", b"1:14:()"]
    told.recorder.end(told.now_ns, "over")
    assert [gap.from_ns for gap in told.gaps][1:] == [torn_ns]


def test_a_count_that_began_anew_unseen_is_followed_when_the_one_that_lags_breaks():
    told = Told(is_streamed=True, counted=False)
    told.say(BOOK, 100)
    told.say(BOOK, 3, source=B, text="anew")
    told.say(DEPTH, 4, source=B)
    assert b"anew" not in told.written
    told.recorder.drop(FIRST, "torn", told.now_ns)
    assert told.written[-2:] == [b"anew", b"1:4:()"]
    assert told.recorder.gaps == 0
    assert len(told.gaps) >= 1


def test_a_connection_that_never_joins_is_subscribed_anew_and_one_that_waits_too_long_goes_ahead():
    told = Told(is_streamed=True, counted=False)
    told.say(BOOK, 10)
    told.say(BOOK, 13, source=B, text="ahead")
    told.recorder.look(told.now_ns + HOLD_NS + 1)
    assert told.written[-1] == b"ahead"
    told.now_ns += 2 * HOLD_NS
    told.say(BOOK, 1, text="anew")
    told.say(DEPTH, 14, source=B)
    told.recorder.look(told.now_ns + BEHIND_NS)
    assert told.recorder.wants_book
    assert told.recorder.to_subscribe() == B
    assert told.recorder.is_whole


def test_books_that_stand_alone_come_once_from_whichever_connection_is_first():
    told = Told(is_streamed=True, counted=False)
    whole: Any = {"previous": -1}
    told.say(BOOK, 10, text="a", **whole)
    told.say(BOOK, 10, source=B, text="a", **whole)
    told.say(BOOK, 12, source=B, text="b", **whole)
    told.say(BOOK, 12, text="b", **whole)
    assert told.written == [b"a", b"b"]
    told.recorder.drop(FIRST, "torn", told.now_ns)
    assert told.recorder.is_whole


def test_a_connection_that_breaks_before_another_one_has_overlapped_with_it_leaves_a_window():
    told = Told(is_streamed=True, counted=False)
    whole: Any = {"previous": -1}
    told.say(BOOK, 10, text="a", **whole)
    told.say(BOOK, 12, source=B, text="b", **whole)
    told.recorder.drop(FIRST, "torn", told.now_ns)
    assert not told.recorder.is_whole
    told.say(BOOK, 14, source=B, text="c", **whole)
    assert told.recorder.is_whole
    told.recorder.end(told.now_ns, "over")
    assert len(gaps_of(list(told.pages.notes.values()))) == 2
