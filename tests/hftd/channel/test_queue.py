"""The queues of a link, against a plain model, and against a hostile other side."""

from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd import wire
from hftd.channel.endpoint import QueueReader, QueueWriter
from hftd.channel.layout import BROKEN, LINK_DATA, LINK_REQUEST_HEAD, LINK_REQUEST_TAIL, MESSAGE, NOTHING
from hftd.channel.memory import Link
from hftd.errors import ProtocolError
from tests.hftd.channel.programs import queue_put, queue_take

OUT = np.zeros(4, np.int64)


def pair(request_bytes: int) -> tuple[Link, Link]:
    """The daemon's and the bot's view of one link."""
    import os

    daemon = Link.make(request_bytes, 64)
    return daemon, Link.open(os.dup(daemon.fd))


def put(link: Link, length: int, stamp: int) -> int:
    return queue_put(link.requests.ctypes.data, length, stamp)


def take(link: Link, release: bool = True) -> int:
    return queue_take(link.requests.ctypes.data, release, OUT.ctypes.data)


@settings(max_examples=150)
@given(st.sampled_from([64, 256, 1024]), st.lists(st.none() | st.integers(0, 140), max_size=80))
def test_a_queue_keeps_all_that_it_took_in_order_and_refuses_only_what_has_no_room(
    capacity: int, todo: list[int | None]
):
    daemon, bot = pair(capacity)
    with daemon, bot:
        waiting: deque[tuple[int, int, int]] = deque()
        head = tail = 0
        for stamp, length in enumerate(todo):
            if length is None:
                status = take(daemon, release=stamp % 3 != 0)
                assert status == (MESSAGE if waiting else NOTHING)
                if waiting:
                    assert OUT[:3].tolist() == [*waiting[0][:2], 1]
                    if stamp % 3:
                        head = waiting.popleft()[2]
                continue
            size = 16 + -(-length // 8) * 8
            to_end = capacity - tail % capacity
            end = tail + size + (to_end if size > to_end else 0)
            fits = end - head <= capacity and length <= capacity // 2 - 16
            assert (put(bot, length, stamp) > 0) == fits
            if fits:
                tail = end
                waiting.append((length, stamp, end))


def test_an_empty_queue_takes_the_longest_message_wherever_it_stands():
    for lead in range(1, 12):
        daemon, bot = pair(256)
        with daemon, bot:
            for stamp in range(lead):
                assert put(bot, 8 * stamp % 40, stamp) > 0
                assert take(daemon) == MESSAGE
            assert put(bot, 112, 99) > 0
            assert take(daemon) == MESSAGE
            assert OUT[:3].tolist() == [112, 99, 1]


@settings(max_examples=150)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=6), st.data())
def test_a_reader_survives_whatever_the_other_side_writes_into_the_queue(
    lengths: list[int], data: st.DataObject
):
    daemon, bot = pair(256)
    with daemon, bot:
        for stamp, length in enumerate(lengths):
            put(bot, length, stamp)
        for _ in range(data.draw(st.integers(1, 4))):
            place = data.draw(st.sampled_from([LINK_REQUEST_TAIL, *range(LINK_DATA, LINK_DATA + 256, 8)]))
            value = data.draw(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 400))
            bot.set_word(place, value)
        for _ in range(20):
            status = take(daemon)
            assert status in (NOTHING, MESSAGE, BROKEN)
            if status == MESSAGE:
                assert 0 <= OUT[0] <= 112
            else:
                break


@pytest.mark.parametrize("head", [-8, 72, 1 << 40, 4])
def test_a_writer_does_not_believe_a_reader_that_says_it_is_where_it_can_not_be(head: int):
    daemon, bot = pair(64)
    with daemon, bot:
        assert put(bot, 16, 1) > 0
        assert put(bot, 16, 2) > 0
        assert put(bot, 16, 3) == 0
        daemon.set_word(LINK_REQUEST_HEAD, head)
        assert put(bot, 16, 3) == BROKEN
        with pytest.raises(ProtocolError, match="nonsense"):
            QueueWriter(bot.requests).send(wire.Cancel(1, 2, 3), 1)


def test_python_writes_and_reads_messages_with_their_stamps():
    daemon, bot = pair(1024)
    with daemon, bot:
        writer = QueueWriter(bot.requests)
        reader = QueueReader(daemon.requests, wire.request_decoder)
        sent = [
            wire.Submit(
                instrument=0,
                order_id=2**64 - 1,
                side=1,
                order_type=0,
                time_in_force=1,
                price_tick=100,
                qty=0.5,
                local_ts=7,
            ),
            wire.Cancel(0, 3, 8),
            wire.Resync(),
        ]
        assert all(writer.send(message, stamp) for stamp, message in enumerate(sent))
        assert [reader.receive() for _ in sent] == list(enumerate(sent))
        assert reader.receive() is None
        count = 0
        while writer.send(sent[0], 0):
            count += 1
        assert count == (1024 // 48)
        assert writer.statistics() == {"records": 3 + count, "bytes": writer.statistics()["bytes"]}
        assert reader.statistics()["records"] == 3


def test_a_message_of_the_other_direction_is_an_error_that_says_so():
    daemon, bot = pair(1024)
    with daemon, bot:
        QueueWriter(bot.requests).send(wire.Splice(1), 1)
        with pytest.raises(ProtocolError, match="no message"):
            QueueReader(daemon.requests, wire.request_decoder).receive()
