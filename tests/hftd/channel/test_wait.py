"""Bells and doorbells wake who waits, and no ring is slept through."""

import fcntl
import os
import select
import threading

import pytest

from hftd.channel.endpoint import Doorbells, ring_bell, ring_doorbell
from hftd.channel.layout import BOT_ASLEEP, BOT_WAIT_FLAGS, BOT_WAIT_ORDER_ID, BOT_WAIT_UNTIL_NS, BOT_WAKE
from hftd.channel.memory import BotPage, Link
from tests.hftd.channel.programs import doorbell, wait_bell, wait_words

ARM, RING, WAIT = range(3)
LONG_NS = 10_000_000_000


def seen(page: BotPage) -> int:
    return wait_bell(page.address, -1, 0, 0)


def test_a_ring_before_the_wait_is_not_slept_through():
    with BotPage.make() as page:
        before = seen(page)
        ring_bell(page.address)
        assert wait_bell(page.address, before, 0, LONG_NS) == before + 1


@pytest.mark.parametrize("spin_ns", [0, 1_000_000])
def test_a_wait_without_a_ring_ends_with_its_time_and_says_so(spin_ns: int):
    with BotPage.make() as page:
        assert wait_bell(page.address, seen(page), spin_ns, 2_000_000) == seen(page)
        assert wait_bell(page.address, seen(page), spin_ns, 0) == seen(page)
        assert wait_bell(page.address, seen(page), spin_ns, -1) == seen(page)
        assert page.word(BOT_ASLEEP) == 0


def test_the_wake_word_may_pass_its_greatest_value():
    with BotPage.make() as page:
        page.set_word(BOT_WAKE, 2**32 - 1)
        assert seen(page) == 2**32 - 1
        ring_bell(page.address)
        assert wait_bell(page.address, 2**32 - 1, 0, LONG_NS) == 0


@pytest.mark.parametrize("spin_ns", [0, 5_000])
def test_two_threads_that_wake_each_other_never_miss_a_ring(spin_ns: int):
    rounds = 3000
    with BotPage.make() as one, BotPage.make() as two:
        missed: list[int] = []

        def answer() -> None:
            for turn in range(rounds):
                if wait_bell(one.address, turn, spin_ns, LONG_NS) != turn + 1:
                    missed.append(turn)
                    return
                ring_bell(two.address)

        wait_bell.compiled()
        thread = threading.Thread(target=answer)
        thread.start()
        for turn in range(rounds):
            ring_bell(one.address)
            if wait_bell(two.address, turn, spin_ns, LONG_NS) != turn + 1:
                missed.append(turn)
                break
        thread.join()
        assert missed == []


def test_a_doorbell_is_rung_only_for_a_daemon_that_asked():
    bells = Doorbells()
    fd = bells.make()
    with Link.make(4096, 4096) as link:
        ring_doorbell(fd, link.daemon_asleep_address)
        assert not bells.clear()
        bells.arm(link)
        ring_doorbell(fd, link.daemon_asleep_address)
        ring_doorbell(fd, link.daemon_asleep_address)
        assert select.select([bells.fd], [], [], 0)[0] == [bells.fd]
        assert bells.clear()
        assert not bells.clear()
        assert os.eventfd_read(fd) == 1, "once asked, once rung"
    bells.free(fd)
    bells.free(fd)
    bells.close()


def test_the_compiled_daemon_sleeps_until_a_doorbell_rings_or_its_time_is_over():
    bells = Doorbells()
    fds = [bells.make() for _ in range(3)]
    with Link.make(4096, 4096) as link:
        asleep = link.daemon_asleep_address
        for fd in fds:
            doorbell(ARM, 0, asleep, 0)
            assert doorbell(WAIT, bells.fd, asleep, 1_000_000) == 0
            doorbell(ARM, 0, asleep, 0)
            ringer = threading.Thread(target=doorbell, args=(RING, fd, asleep, 0))
            ringer.start()
            assert doorbell(WAIT, bells.fd, asleep, LONG_NS) == 1
            ringer.join()
            assert doorbell(WAIT, bells.fd, asleep, 0) == 0, "a ring is taken once"
    bells.close()


def test_what_one_bot_does_with_its_doorbell_neither_blocks_the_daemon_nor_takes_anothers_rings():
    bells = Doorbells()
    evil, good = bells.make(), bells.make()
    # The open file is shared, and so are its flags and its counter.
    fcntl.fcntl(evil, fcntl.F_SETFL, fcntl.fcntl(evil, fcntl.F_GETFL) & ~os.O_NONBLOCK)
    with Link.make(4096, 4096) as link:
        for has_compiled in (False, True):
            os.eventfd_write(evil, 1)
            os.eventfd_write(good, 1)
            while select.select([evil], [], [], 0)[0]:
                os.eventfd_read(evil)
            took = (
                doorbell(WAIT, bells.fd, link.daemon_asleep_address, LONG_NS) == 1
                if has_compiled
                else bells.clear()
            )
            assert took
            os.eventfd_write(evil, 1)
            os.eventfd_read(evil)
            assert not bells.clear(), "a ring that its bot took back does not count"
    bells.close()


def test_a_bot_says_what_it_waits_for_and_learns_when_it_is_granted():
    ask, asked, grant, granted = range(4)
    with BotPage.make() as page:
        seq = wait_words(ask, page.address, 123)
        assert wait_words(asked, page.address, 0) == seq == 1
        words = [page.word(at) for at in (BOT_WAIT_UNTIL_NS, BOT_WAIT_FLAGS, BOT_WAIT_ORDER_ID)]
        assert words == [123, 5, -1]
        assert wait_words(granted, page.address, 0) == 0
        wait_words(grant, page.address, seq)
        assert wait_words(granted, page.address, 0) == seq
        assert wait_words(ask, page.address, 124) == 2
