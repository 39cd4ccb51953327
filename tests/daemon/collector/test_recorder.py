"""One symbol's recorder, without sockets and files."""

from typing import Any

import numpy as np
import pytest

from daemon.collector.recorder import HOLD_NS, Recorder
from daemon.collector.streamed import StreamedRecorder
from daemon.collector.writer import Key
from hftd.recording import DAY_NS, Broken, End, Gap, Missing, Note, Whole, gaps_of
from hftd.types import event_dtype
from hftd.venues.reader import BEST, BOOK, DEPTH, TRADES, Message

NS = 20_000 * DAY_NS
A, B = object(), object()


class Pages:
    """In the writer's place."""

    def __init__(self) -> None:
        self.text: dict[int, list[bytes]] = {}
        self.notes: dict[int, list[Note]] = {}
        self.closed: list[int] = []

    def lines(self, key: Key, lines: bytes) -> None:
        assert key.day not in self.closed
        self.text.setdefault(key.day, []).extend(lines.splitlines())

    def note(self, key: Key, note: Note) -> None:
        assert key.day not in self.closed
        self.notes.setdefault(key.day, []).append(note)

    def close(self, key: Key) -> None:
        self.closed.append(key.day)


class Facts:
    def streams(self, symbol: str) -> tuple[str, ...]:
        return (symbol,)


class Told:
    """A recorder, and what it wrote."""

    def __init__(self, *, is_streamed: bool = False, counted: bool = True) -> None:
        self.pages = Pages()
        facts: Any = Facts()
        writer: Any = self.pages
        kind = StreamedRecorder if is_streamed else Recorder
        self.recorder = kind("x", "S", facts, has_counted_trades=counted, writer=writer, now_ns=NS)
        self.now_ns = NS

    def say(
        self,
        kind: int,
        last: int,
        previous: int | None = None,
        source: Any = A,
        text: str = "",
        ids: Any = (),
    ) -> None:
        self.now_ns += 1000
        rows = np.zeros(len(ids), event_dtype)
        rows["fval"] = np.array(ids, np.int64).view(np.float64)
        message = Message("S", kind, rows, self.now_ns, last, last - 1 if previous is None else previous)
        self.recorder.on_message(source, message, (text or f"{kind}:{last}:{ids}").encode(), self.now_ns)

    def change(self, last: int, source: Any = A) -> None:
        self.say(DEPTH, last, last - 1, source)

    def trade(self, *ids: int, source: Any = A) -> None:
        self.say(TRADES, 0, 0, source, ids=[one + 1 for one in ids])

    def snapshot(self, last: int) -> bool:
        self.now_ns += 1000
        read = Message("", BOOK, None, 0, last, -1)
        return self.recorder.on_snapshot(b"book:%d" % last, read, "asked", self.now_ns)

    @property
    def written(self) -> list[bytes]:
        self.recorder.flush()
        return [line.partition(b" ")[2] for lines in self.pages.text.values() for line in lines]

    @property
    def gaps(self) -> list[Gap]:
        return gaps_of(list(self.pages.notes.values()))

    def kinds(self, day: int = NS // DAY_NS) -> list[type]:
        wanted = (Whole, Broken, Missing, End)
        return [type(note) for note in self.pages.notes[day] if isinstance(note, wanted)]


def test_a_book_is_whole_once_a_snapshot_has_what_the_changes_go_on_from():
    told = Told()
    told.change(10)
    assert told.recorder.wants_book
    assert not told.snapshot(8)
    assert not told.recorder.is_whole
    assert told.snapshot(9)
    assert told.recorder.is_whole
    assert told.recorder.wants_book == ""
    told.change(11)
    assert told.written == [b"1:10:()", b"book:9", b"1:11:()"]


def test_a_snapshot_that_is_ahead_has_to_be_reached_by_the_changes():
    told = Told()
    told.change(10)
    told.snapshot(20)
    for one in range(11, 22):
        told.change(one)
    assert told.recorder.is_whole
    assert len(told.written) == 13


def test_a_hole_is_a_window_from_the_last_change_to_the_snapshot_behind_it():
    told = Told()
    told.change(10)
    told.snapshot(10)
    told.change(11)
    last_ns = told.now_ns
    told.say(BEST, 7)
    told.change(14)
    noticed_ns = told.now_ns
    assert not told.snapshot(12)
    assert told.snapshot(13)
    told.recorder.end(told.now_ns, "over")
    gap = told.gaps[-1]
    assert (gap.from_ns, gap.noticed_ns, gap.until_ns) == (last_ns, noticed_ns, told.now_ns)
    assert told.kinds() == [Whole, Broken, Whole, End]


def test_what_one_connection_misses_the_other_brings_within_the_second():
    told = Told()
    told.change(10)
    told.change(10, B)
    told.snapshot(10)
    told.change(12)
    told.recorder.look(told.now_ns + HOLD_NS // 2)
    told.change(11, B)
    told.change(12, B)
    assert told.recorder.is_whole
    assert told.written[-2:] == [b"1:11:()", b"1:12:()"]
    told.change(14)
    told.recorder.look(told.now_ns + HOLD_NS + 1)
    assert not told.recorder.is_whole
    assert told.written[-1] == b"1:14:()"
    assert not told.snapshot(12)
    assert told.snapshot(13)


def test_trades_that_are_missing_are_said_and_leave_the_book_alone():
    told = Told()
    told.change(10)
    told.snapshot(10)
    told.trade(5)
    told.trade(6)
    told.trade(9)
    assert told.recorder.is_whole
    assert told.recorder.missed_trades == 2
    (missing,) = [note for note in told.pages.notes[NS // DAY_NS] if isinstance(note, Missing)]
    assert missing.why == "trades 7 to 8"
    assert missing.ns < missing.until_ns == told.now_ns


def whole_on_both(*, counted: bool = True) -> Told:
    """A alone brings trades as well."""
    told = Told(is_streamed=not counted, counted=counted)
    if not counted:
        told.say(BOOK, 10)
        told.say(BOOK, 10, source=B)
    told.trade(5)
    told.change(11)
    told.change(11, B)
    told.snapshot(11)
    assert told.recorder.is_whole
    return told


def trade_windows(told: Told) -> list[tuple[int, int]]:
    return [(gap.from_ns, gap.until_ns) for gap in told.gaps if gap.kind == "trades"]


@pytest.mark.parametrize("counted", [True, False])
def test_trades_may_be_missing_where_the_connection_that_is_left_has_brought_none(counted: bool):
    told = whole_on_both(counted=counted)
    told.trade(6)
    last_ns = told.now_ns
    told.change(12)
    told.change(12, B)
    told.recorder.drop(A, "torn", told.now_ns)
    told.change(13, B)
    assert told.recorder.is_whole
    told.recorder.end(told.now_ns, "over")
    assert trade_windows(told)[-1] == (last_ns, told.now_ns)


def test_no_trade_is_missing_where_the_next_connection_goes_on_from_the_last_one():
    told = whole_on_both()
    told.recorder.drop(A, "torn", told.now_ns)
    told.change(12, B)
    told.trade(6, source=B)
    told.change(13, B)
    told.recorder.end(told.now_ns, "over")
    assert trade_windows(told) == []


def test_trades_without_order_may_be_missing_until_the_next_connection_brings_one():
    told = whole_on_both(counted=False)
    told.trade(6)
    last_ns = told.now_ns
    told.recorder.drop(A, "torn", told.now_ns)
    told.trade(7, source=B)
    heard_ns = told.now_ns
    told.change(12, B)
    told.recorder.end(told.now_ns, "over")
    assert trade_windows(told)[-1] == (last_ns, heard_ns)


def test_trades_may_be_missing_from_when_the_book_is_whole_to_the_first_one():
    told = Told()
    told.change(10)
    told.snapshot(10)
    whole_ns = told.now_ns
    told.change(11)
    told.trade(5)
    heard_ns = told.now_ns
    told.change(12)
    told.recorder.end(told.now_ns, "over")
    assert trade_windows(told) == [(whole_ns, heard_ns)]


@pytest.mark.parametrize("how", ["end", "drop", "midnight"])
def test_what_is_waited_for_at_an_end_is_missing(how: str):
    told = whole_on_both()
    told.trade(6, source=B)
    whole_ns, trade_ns = told.now_ns - 1000, told.now_ns
    told.trade(9)
    told.change(14)
    assert b"4:0:[10]" not in told.written
    if how == "midnight":
        told.recorder.turn_day(NS + DAY_NS)
        book, trades = told.gaps[-2:]
        assert (book.kind, trades.kind) == ("book", "trades")
        assert trades.until_ns == NS + DAY_NS - 1
        assert b"4:0:[10]" not in told.written
        return
    if how == "drop":
        told.recorder.drop(A, "torn", told.now_ns)
        told.recorder.drop(B, "torn", told.now_ns)
    told.recorder.end(told.now_ns, "over")
    assert told.written[-2:] == [b"1:14:()", b"4:0:[10]"]
    assert trade_windows(told) == [(trade_ns, told.now_ns)]
    (book,) = [gap for gap in told.gaps[1:] if gap.kind == "book"]
    assert (book.from_ns, book.until_ns) == (whole_ns, told.now_ns)


def test_trades_with_ids_without_order_come_once():
    told = Told(is_streamed=True, counted=False)
    told.say(BOOK, 1)
    told.trade(55, 7)
    told.trade(55, 7, source=B)
    told.trade(7, 8)
    assert len(told.written) == 3
    assert told.recorder.again == 1


def test_the_book_that_another_connection_begins_with_is_left_out_and_one_behind_a_gap_is_not():
    told = Told(is_streamed=True, counted=False)
    told.say(BOOK, 10)
    told.change(11)
    told.say(BOOK, 10, source=B, text="again")
    told.change(12)
    assert told.recorder.is_whole
    assert b"again" not in told.written
    told.recorder.drop(B, "torn", told.now_ns)
    told.change(14)
    assert not told.recorder.is_whole
    assert told.recorder.wants_book
    told.say(BOOK, 14, text="anew")
    assert told.recorder.is_whole
    assert told.recorder.wants_book == ""
    assert told.written[-1] == b"anew"


def test_an_exchange_that_begins_anew_in_the_millisecond_of_its_last_change_is_recorded_on():
    told = Told(is_streamed=True, counted=False)
    told.say(BOOK, 10)
    told.change(11)
    told.now_ns -= 1000
    told.say(BOOK, 1, text="anew")
    told.change(2)
    told.now_ns -= 2000
    told.say(BOOK, 1, source=B, text="anew")
    assert told.written[-2:] == [b"anew", f"{DEPTH}:2:()".encode()]
    assert told.recorder.is_whole


def test_a_change_from_before_the_book_that_another_connection_brings_late_takes_nobody_s_place():
    told = Told(is_streamed=True, counted=False)
    told.say(BOOK, 10)
    told.change(11)
    told.say(BOOK, 1, text="anew")
    told.now_ns -= 2000
    told.say(DEPTH, 3, 2, B, "late")
    told.now_ns += 1000
    told.change(2)
    told.say(DEPTH, 3, 2, text="third")
    assert told.written[-3:] == [b"anew", f"{DEPTH}:2:()".encode(), b"third"]


def test_without_any_connection_nothing_is_whole_until_a_book_comes():
    told = Told()
    told.change(10)
    told.change(10, B)
    told.snapshot(10)
    told.recorder.drop(A, "torn", told.now_ns)
    assert told.recorder.is_whole
    told.recorder.drop(B, "torn", told.now_ns)
    assert not told.recorder.is_whole
    told.change(30)
    told.snapshot(29)
    assert told.recorder.is_whole


def test_a_new_day_has_a_file_of_its_own_that_begins_with_a_book():
    told = Told()
    told.change(10)
    told.snapshot(10)
    day = NS // DAY_NS
    told.recorder.turn_day(NS + DAY_NS)
    assert told.pages.closed == [day]
    assert told.kinds() == [Whole, End]
    assert told.recorder.wants_book == "the day begins"
    told.now_ns = NS + DAY_NS
    told.change(11)
    assert told.snapshot(11)
    told.recorder.end(told.now_ns, "over")
    assert [line.partition(b" ")[2] for line in told.pages.text[day + 1]] == [b"1:11:()", b"book:11"]
    # Both days together miss no more than the second one alone.
    assert [(gap.from_ns - NS - DAY_NS) // 1000 for gap in told.gaps[1:] if gap.kind == "book"] == [-1]
    assert [gap.kind for gap in gaps_of([told.pages.notes[day + 1]])] == ["book"]


def test_what_can_t_be_written_is_missing_and_nothing_is_written_meanwhile():
    told = Told()
    told.change(10)
    told.snapshot(10)
    told.recorder.pause("the disk is full", told.now_ns)
    count = len(told.written)
    told.change(11)
    told.snapshot(11)
    assert not told.recorder.is_whole
    assert len(told.written) == count
    told.recorder.resume()
    told.change(12)
    told.snapshot(12)
    assert told.recorder.is_whole
    assert told.kinds() == [Whole, Broken, Whole]


@pytest.mark.parametrize("text", ["a\nb", "a"])
def test_a_message_is_one_line(text: str):
    told = Told()
    told.say(BEST, 1, text=text)
    assert len(told.written) == 1


def test_times_of_lines_never_go_back():
    told = Told()
    told.change(10)
    told.now_ns -= 500_000
    told.change(11)
    told.recorder.flush()
    times = [int(line.split()[0]) for line in told.pages.text[NS // DAY_NS]]
    assert times == sorted(times)
