"""The broadcast ring, against a plain model of it."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.channel.layout import (
    BROKEN,
    LAPPED,
    MARKET_RECORDS,
    MARKET_TAIL,
    MAX_MESSAGE_BYTES,
    MESSAGE,
    NOTHING,
)
from hftd.channel.memory import MarketRing
from tests.hftd.channel.programs import corrupt, ring_consume, ring_publish, ring_room

SCRATCH = np.zeros(MAX_MESSAGE_BYTES // 8 + 1, np.int64)
OUT = np.zeros(8, np.int64)


@dataclass
class Model:
    """What a ring must do: frames with their positions, the tail, the intent."""

    capacity: int
    tail: int = 0
    intent: int = 0
    frames: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    """Where a consumer stands (before a filler, if there is one) to length, stamp, position after."""

    def end(self, length: int) -> int:
        size = 16 + -(-length // 8) * 8
        to_end = self.capacity - self.tail % self.capacity
        return self.tail + size + (to_end if size > to_end else 0)

    def publish(self, length: int, stamp: int, commit: bool) -> bool:
        if length > self.capacity // 2 - 16:
            return False
        end = self.end(length)
        self.intent = max(self.intent, end)
        if commit:
            self.frames[self.tail] = (length, stamp, end)
            self.tail = end
        return True

    def expect(self, cursor: int, lossy: bool) -> int:
        if cursor == self.tail:
            return NOTHING
        seen = self.intent if lossy else self.tail
        return LAPPED if seen - cursor > self.capacity else MESSAGE


steps = st.lists(
    st.tuples(
        st.sampled_from(["publish"] * 4 + ["abandon", "read 0", "read 1", "read 2"]), st.integers(0, 140)
    ),
    max_size=60,
)


def consume(ring: MarketRing, cursor: int, in_place: bool = False) -> int:
    return ring_consume(ring.address, cursor, SCRATCH.ctypes.data, in_place, OUT.ctypes.data)


@settings(max_examples=150)
@given(st.sampled_from([64, 128, 256, 1024]), st.booleans(), steps)
def test_consumers_read_every_record_whole_and_in_order_or_know_that_they_were_lapped(
    capacity: int, in_place: bool, todo: list[tuple[str, int]]
):
    with MarketRing.make(capacity, lossless=False) as ring:
        model = Model(capacity)
        cursors = [0, 0, 0]
        stamp = 0
        for action, length in todo:
            if action in ("publish", "abandon"):
                stamp += 1
                commit = action == "publish"
                took = ring_publish(ring.address, length, stamp, commit) != 0
                assert took == model.publish(length, stamp, commit)
            else:
                who = int(action[-1])
                status = consume(ring, cursors[who], in_place)
                assert status == model.expect(cursors[who], lossy=True)
                if status == MESSAGE:
                    expected_length, expected_stamp, after = model.frames[cursors[who]]
                    assert OUT[:3].tolist() == [after, expected_length, expected_stamp]
                    assert OUT[3] == 1, "the bytes are the published ones"
                    assert OUT[4] == 0, "the message ends on an 8-byte boundary"
                cursors[who] = int(OUT[0])
                assert ring_room(ring.address, 1, length) == model.end(length) - model.tail
            assert ring.word(MARKET_TAIL) == model.tail == ring_room(ring.address, 2, 0)
        assert ring.word(MARKET_RECORDS) == len(model.frames)


@given(st.lists(st.integers(0, 100), max_size=100))
def test_a_lossless_producer_that_asks_for_room_never_passes_its_slowest_consumer(lengths: list[int]):
    with MarketRing.make(256, lossless=True) as ring:
        slow = fast = 0
        taken = 0
        for published, length in enumerate(lengths, 1):
            while ring_room(ring.address, 0, slow) < ring_room(ring.address, 1, length):
                assert consume(ring, slow, True) == MESSAGE
                slow = int(OUT[0])
                taken += 1
                assert OUT[2] == taken
                assert OUT[3] == 1
            assert ring_publish(ring.address, length, published, True)
            assert consume(ring, fast, True) == MESSAGE
            fast = int(OUT[0])
            assert OUT[2] == published
        assert fast == ring_room(ring.address, 2, 0)


def test_a_consumers_cursor_that_can_not_be_is_told_from_a_full_ring():
    with MarketRing.make(256, lossless=True) as ring:
        for number in range(40):
            ring_publish(ring.address, 40, number, True)
        tail = ring_room(ring.address, 2, 0)
        assert ring_room(ring.address, 0, tail) == 256
        assert ring_room(ring.address, 0, tail - 256) == 0
        assert ring_room(ring.address, 0, tail + 8) == -1
        assert ring_room(ring.address, 0, tail - 264) == -1


def test_a_message_that_is_too_long_is_refused_and_changes_nothing():
    with MarketRing.make(256, lossless=False) as ring:
        assert ring_publish(ring.address, 113, 1, True) == 0
        assert ring_publish(ring.address, -1, 1, True) == 0
        assert ring.word(MARKET_TAIL) == 0
        assert ring_publish(ring.address, 112, 1, True) != 0
    with MarketRing.make(1 << 20, lossless=False) as ring:
        assert ring_publish(ring.address, MAX_MESSAGE_BYTES + 1, 1, True) == 0
        assert ring_publish(ring.address, MAX_MESSAGE_BYTES, 1, True) != 0


@pytest.mark.parametrize("word", [0x1_0000_0000_0000, 0x0000_0001_0000_0000, 0x7FFF_FFFF, 0x2_0000_0010])
def test_frames_that_no_producer_writes_are_broken_and_not_followed(word: int):
    with MarketRing.make(256, lossless=False) as ring:
        ring_publish(ring.address, 16, 1, True)
        corrupt(ring.address, 0, word)
        assert consume(ring, 0) == BROKEN
        assert consume(ring, 4) == BROKEN
        assert consume(ring, 4096) == BROKEN
