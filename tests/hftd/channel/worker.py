"""What the tests run in processes of their own: `python -m tests.hftd.channel.worker ROLE ARGUMENTS...`.

Each says "ready" when it is compiled and mapped, and at its end prints its results as JSON.
"""

import json
import sys

import numpy as np

from hftd.channel.layout import LINK_DATA, MAX_MESSAGE_BYTES
from hftd.channel.memory import BotPage, Link, MarketRing
from tests.hftd.channel.programs import CURSORS, consume, put_records, take_records


def ready() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


def consumer(ring_fd: int, page_fd: int, cursors_fd: int, index: int, last: int, slow: int) -> None:
    """Read a ring until record `last`: losslessly if there are cursors (an fd above 0)."""
    ring, page = MarketRing.open(ring_fd), BotPage.open(page_fd)
    scratch, out = np.zeros(MAX_MESSAGE_BYTES // 8 + 1, np.int64), np.zeros(4, np.int64)
    cursors = Link.open(cursors_fd) if cursors_fd else None
    cursor_address = cursors.address + LINK_DATA + CURSORS * index if cursors else 0
    consume.compiled()
    ready()
    status = consume(
        ring.address, page.address, cursor_address, scratch.ctypes.data, last, slow, out.ctypes.data
    )
    print(
        json.dumps(dict(zip(("records", "laps", "torn", "gaps"), out.tolist(), strict=True), status=status))
    )


def queue_end(link_fd: int, records: int) -> None:
    """The bot's end of a link: takes all responses, then answers with as many requests."""
    link = Link.open(link_fd)
    put_records.compiled()
    take_records.compiled()
    ready()
    taken = take_records(link.responses.ctypes.data, records)
    full = put_records(link.requests.ctypes.data, records)
    print(json.dumps({"taken": taken, "full": full}))


if __name__ == "__main__":
    roles = {"consumer": consumer, "queue_end": queue_end}
    roles[sys.argv[1]](*map(int, sys.argv[2:]))
