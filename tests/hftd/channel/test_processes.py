"""Rings and queues between processes: wraps, laps, tearing, a reader that is stopped, one that is killed."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hftd.channel.layout import LAPPED, LINK_DATA, MARKET_RECORDS, MESSAGE, MODE_SIMULATED
from hftd.channel.memory import BotPage, ClockPage, Link, MarketRing
from tests.forks import Forked
from tests.hftd.channel.programs import CURSORS, produce, put_records, take_records

ROOT = Path(__file__).parents[3]


class Worker:
    """A process that runs a role of `tests.hftd.channel.worker`."""

    def __init__(self, role: str, *arguments: int, fds: list[int]) -> None:
        command = ["tests.hftd.channel.worker", role, *map(str, arguments)]
        self.process = Forked(
            command, cwd=ROOT, pass_fds=fds, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def wait_ready(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def send_signal(self, number: int) -> None:
        """Send a signal, and for SIGSTOP wait until it is in effect."""
        self.process.send_signal(number)
        if number == signal.SIGSTOP:
            os.waitpid(self.process.pid, os.WUNTRACED)

    def result(self) -> dict[str, int]:
        output, _ = self.process.communicate(timeout=60)
        return json.loads(output)


class Market:
    """A ring, its clock, and consumers in other processes; this process produces."""

    def __init__(self, capacity: int, lossless: bool) -> None:
        self.stack = ExitStack()
        self.ring = self.stack.enter_context(MarketRing.make(capacity, lossless=lossless))
        self.clock = self.stack.enter_context(ClockPage.make(1, MODE_SIMULATED))
        self.cursors = self.stack.enter_context(Link.make(4096, 4096)) if lossless else None
        self.pages: list[BotPage] = []
        self.workers: list[Worker] = []

    def consumer(self, last: int, slow: int = 0) -> Worker:
        page = self.stack.enter_context(BotPage.make())
        self.pages.append(page)
        fds = [self.ring.fd, page.fd]
        cursors_fd = 0
        if self.cursors:
            cursors_fd = self.cursors.fd
            fds.append(cursors_fd)
        worker = Worker("consumer", self.ring.fd, page.fd, cursors_fd, len(self.workers), last, slow, fds=fds)
        self.workers.append(worker)
        return worker

    def start(self) -> None:
        for worker in self.workers:
            worker.wait_ready()
        for worker in self.workers:
            worker.go()

    def produce(self, records: int) -> int:
        """Publish and wake; the number of times that it waited for a consumer."""
        pages = np.array([page.address for page in self.pages], np.int64)
        cursors = self.cursors.address + LINK_DATA if self.cursors else 0
        assert len(pages) * CURSORS <= 4096
        return produce(self.ring.address, self.clock.address, records, pages.ctypes.data, len(pages), cursors)


@pytest.fixture
def markets() -> Iterator[Any]:
    made: list[Market] = []

    def make(capacity: int, lossless: bool) -> Market:
        made.append(Market(capacity, lossless))
        return made[-1]

    yield make
    for market in made:
        for worker in market.workers:
            worker.process.kill()
            worker.process.communicate()
        market.stack.close()


def whole(records: int) -> dict[str, int]:
    return {"records": records, "laps": 0, "torn": 0, "gaps": 0, "status": MESSAGE}


@pytest.mark.thorough
def test_three_consumers_of_a_lossless_ring_read_a_million_records_whole_and_in_order(markets: Any):
    market = markets(1 << 20, lossless=True)
    records = 1_000_000
    workers = [market.consumer(records) for _ in range(3)]
    market.start()
    assert market.produce(records) >= 0
    assert [worker.result() for worker in workers] == [whole(records)] * 3


@pytest.mark.thorough
def test_a_consumer_that_is_stopped_holds_a_lossless_producer_up_and_loses_nothing(markets: Any):
    market = markets(1 << 20, lossless=True)
    records = 300_000
    stopped, other = market.consumer(records), market.consumer(records)
    market.start()
    assert market.produce(100) >= 0
    stopped.send_signal(signal.SIGSTOP)
    go_on = threading.Timer(0.3, stopped.send_signal, [signal.SIGCONT])
    go_on.start()
    assert market.produce(records - 100) > 0, "it waited"
    go_on.join()
    assert [stopped.result(), other.result()] == [whole(records)] * 2


def test_consumers_of_a_lossy_ring_that_are_lapped_know_it_and_never_see_a_torn_record(markets: Any):
    market = markets(1 << 16, lossless=False)
    records = 2_000_000
    slow, fast = market.consumer(records, slow=300), market.consumer(records)
    market.start()
    assert market.produce(records) == 0
    for worker in (slow, fast):
        result = worker.result()
        assert result["torn"] == result["gaps"] == 0
        assert result["status"] in (MESSAGE, LAPPED)
        assert 0 < result["records"] <= records
    assert market.ring.word(MARKET_RECORDS) == records


def test_a_consumer_that_is_stopped_for_a_lap_notices_and_goes_on_with_what_is_new(markets: Any):
    market = markets(1 << 16, lossless=False)
    records = 20_000
    stopped = market.consumer(records)
    market.start()
    stopped.send_signal(signal.SIGSTOP)
    market.produce(10_000)
    stopped.send_signal(signal.SIGCONT)
    market.produce(10_000)
    result = stopped.result()
    assert result["laps"] >= 1
    assert result["torn"] == result["gaps"] == 0


def test_a_consumer_that_is_killed_disturbs_neither_the_producer_nor_the_others(markets: Any):
    market = markets(1 << 22, lossless=False)
    killed, other = market.consumer(30_000), market.consumer(30_000)
    market.start()
    market.produce(5000)
    killed.process.kill()
    killed.process.wait()
    market.produce(25_000)
    assert other.result() == whole(30_000)


@pytest.mark.thorough
def test_a_link_carries_a_million_records_each_way_through_a_queue_that_gets_full():
    records = 1_000_000
    with Link.make(1 << 14, 1 << 16) as link:
        worker = Worker("queue_end", link.fd, records, fds=[link.fd])
        try:
            worker.wait_ready()
            worker.go()
            full = put_records(link.responses.ctypes.data, records)
            assert full >= 0
            assert take_records(link.requests.ctypes.data, records) == records
            result = worker.result()
        finally:
            worker.process.kill()
            worker.process.wait()
    assert result["taken"] == records
    assert result["full"] + full > 0
