"""The peer of the live benchmark: `cryptofeed` on the local sockets (dependency group `peers`).

`python -m benchmarks.live_peer PORT OUT.npz`: it says "ready", reads a line FIRST LAST EVERY, and stamps each message
when its callback is called. It speaks only to the exchange's own hosts, so its addresses are replaced here.
"""

# pyright: basic, reportMissingImports=false

import asyncio
import os
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import uvloop
from cryptofeed import FeedHandler, connection
from cryptofeed.defines import L2_BOOK, TICKER, TRADES
from cryptofeed.exchanges import BinanceFutures

from benchmarks.live_bare import cpu_s
from benchmarks.live_exchange import FIRST_MS
from hftd.clock import wall_ns


class Watch:
    """Stamps messages by their number."""

    def __init__(self, out: str) -> None:
        self._out = out
        self._seen: Any = None
        self._start_s = 0.0
        self._range = SimpleNamespace(first=0, last=0)

    async def on_any(self, what: Any, _received: float) -> None:
        """A book, a best price or a trade."""
        now_ns = wall_ns()
        if self._seen is None:
            print("ready", flush=True)
            first, last, _ = map(int, sys.stdin.readline().split())
            self._range = SimpleNamespace(first=first, last=last)
            self._seen = np.zeros(last - first + 1, np.int64)
            return
        number = round(what.timestamp * 1000.0) - FIRST_MS
        if number > self._range.last:
            used_s = cpu_s() - self._start_s
            np.savez(
                self._out, seen=self._seen, local=self._seen, cpu_s=used_s, submits=np.zeros((0, 2), np.int64)
            )
            os._exit(0)
        if number >= self._range.first:
            self._start_s = self._start_s or cpu_s()
            self._seen[number - self._range.first] = now_ns


def main() -> None:
    """Watch, and keep what was seen."""
    port, out = int(sys.argv[1]), sys.argv[2]
    BinanceFutures.websocket_endpoints[0].address = f"wss://127.0.0.1:{port}"
    # It takes encrypted addresses only; here nobody else's does either.
    plain = connection.connect
    connection.connect = lambda url, **more: plain(url.replace("wss://", "ws://"), **more)
    BinanceFutures.rest_endpoints[0].address = f"http://127.0.0.1:{port}"
    asyncio.set_event_loop(uvloop.new_event_loop())
    handler = FeedHandler(config={"log": {"disabled": True}, "uvloop": False})
    watch = Watch(out).on_any
    handler.add_feed(
        BinanceFutures(
            symbols=["BTC-USDT-PERP"],
            channels=[L2_BOOK, TICKER, TRADES],
            callbacks=dict.fromkeys((L2_BOOK, TICKER, TRADES), watch),
        )
    )
    handler.run()


if __name__ == "__main__":
    main()
