"""Hyperliquid's public streams, said by a small server in the documented format: no local exchange speaks it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aiohttp import WSMsgType, web

from daemon.collector.venue import VenueRecorder
from tests.daemon.collector.harness import Bench
from tests.sim.convert.hyperliquidmarket import HyperliquidMarket

COIN = "PURR/USDC"


class Server:
    """Greets with a line that is no JSON, answers pings, begins each book with what it is, says each message to all.

    Attributes:
        heard: What was asked of it.
    """

    def __init__(self) -> None:
        self.core = SimpleNamespace(streams=self)
        self.market = HyperliquidMarket(7, COIN)
        self.heard: list[dict[str, Any]] = []
        self.lines: dict[web.WebSocketResponse, tuple[set[str], asyncio.Queue[str]]] = {}
        self.is_open = True
        self.stream_url = self.rest_url = ""

    def publish(self, name: str, payload: bytes) -> None:
        """To all who listen."""
        for names, queue in self.lines.values():
            if name in names:
                queue.put_nowait(payload.decode())

    def say(self, message: dict[str, Any]) -> None:
        """A message of the market."""
        self.core.streams.publish(f"{message['channel']}:{COIN}", json.dumps(message).encode())

    async def trade(self) -> None:
        """The market goes on."""
        while True:
            self.say(self.market.next_message())
            self.say(self.market.bbo())
            await asyncio.sleep(0.01)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """A connection."""
        if not self.is_open:
            raise web.HTTPServiceUnavailable
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        names: set[str] = set()
        queue: asyncio.Queue[str] = asyncio.Queue()
        self.lines[socket] = names, queue
        queue.put_nowait("Websocket connection established.")
        writing = asyncio.create_task(self._write(socket, queue))
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    break
                asked = json.loads(message.data)
                self.heard.append(asked)
                self._answer(asked, names, queue)
        finally:
            writing.cancel()
            self.lines.pop(socket, None)
        return socket

    def _answer(self, asked: dict[str, Any], names: set[str], queue: "asyncio.Queue[str]") -> None:
        if asked["method"] == "ping":
            queue.put_nowait('{"channel":"pong"}')
            return
        what = asked["subscription"]
        name = f"{what['type']}:{what['coin']}"
        if asked["method"] == "unsubscribe":
            names.discard(name)
            return
        queue.put_nowait(json.dumps({"channel": "subscriptionResponse", "data": asked}))
        names.add(name)
        if what["type"] == "l2Book":
            queue.put_nowait(json.dumps(self.market.l2_book()))

    async def _write(self, socket: web.WebSocketResponse, queue: "asyncio.Queue[str]") -> None:
        while True:
            await socket.send_str(await queue.get())

    def tear(self) -> None:
        """Break the oldest connection."""
        socket = next(iter(self.lines))
        self.lines.pop(socket)
        transport = socket._req.transport if socket._req is not None else None
        assert transport is not None
        transport.abort()


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[Server, Bench]]:
    """A server whose market trades, and a bench for collectors."""
    server = Server()
    app = web.Application()
    app.router.add_get("/ws", server.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.stream_url = f"ws://127.0.0.1:{runner.addresses[0][1]}/ws"
    exchange: Any = server
    bench = Bench(folder, "hyperliquid", exchange)
    trading = asyncio.create_task(server.trade())
    try:
        yield server, bench
    finally:
        trading.cancel()
        for collector, task in bench.collectors:
            collector.stop()
            await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), 30.0)
        await runner.cleanup()


def only(bench: Bench) -> VenueRecorder:
    """The exchange of the only collector."""
    return bench.collectors[0][0].venues[0]


async def test_hyperliquid_is_recorded_each_message_once_whichever_connection_breaks(tmp_path: Path):
    async with running(tmp_path) as (server, bench):
        collector = await bench.start(venue={"symbols": [COIN], "fast": True, "ping_s": 0.2})
        await bench.until_whole(collector)
        await bench.until(lambda: len(server.lines) == 2)
        recorder = only(bench).recorders[0]
        await bench.until(lambda: len(recorder._joined) == 2)
        server.tear()
        await asyncio.sleep(0.2)
        await bench.stop(collector)
        messages = [message for _, message in bench.lines()]
        assert len(messages) == len(set(messages)) > 30
        assert bench.lost() == []
        assert [gap.why for gap in bench.book_gaps()] == ["the recording begins"]
        asked = [one["subscription"] for one in server.heard if one["method"] == "subscribe"]
        assert {"type": "l2Book", "coin": COIN, "fast": True} in asked
        assert {one["type"] for one in asked} == {"l2Book", "trades", "bbo"}
        assert {"method": "ping"} in server.heard
        assert [path.name.partition("_")[0] for path in bench.files] == ["PURR%2FUSDC"]


async def test_what_hyperliquid_said_while_no_connection_was_there_is_in_a_window(tmp_path: Path):
    async with running(tmp_path) as (server, bench):
        collector = await bench.start(connections=1, venue={"symbols": [COIN]})
        await bench.until_whole(collector)
        await asyncio.sleep(0.2)
        server.is_open = False
        server.tear()
        recorder = only(bench).recorders[0]
        await bench.until(lambda: not recorder.is_whole)
        await asyncio.sleep(0.3)
        server.is_open = True
        await bench.until_whole(collector)
        await asyncio.sleep(0.2)
        await bench.stop(collector)
        assert len(bench.book_gaps()) == 2
        assert bench.lost() == []
