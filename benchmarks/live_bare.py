"""The bound of the live benchmark: uvloop, aiohttp's WebSocket, msgspec, and nothing else, in one process.

`python -m benchmarks.live_bare PORT SPIN OUT.npz`: it says "ready", reads a line FIRST LAST EVERY, then decodes each
message, levels and all, and answers each whose number is a multiple of EVERY (0: none) on another WebSocket.
"""

# pyright: basic

import asyncio
import gc
import resource
import sys

import aiohttp
import msgspec
import numpy as np
import uvloop

from benchmarks.live_exchange import FIRST_MS
from hftd.clock import wall_ns

Level = tuple[str, str]


class Depth(msgspec.Struct, tag_field="e", tag="depthUpdate", gc=False):
    """A change of the book."""

    T: int
    U: int
    u: int
    pu: int
    b: list[Level]
    a: list[Level]


class Best(msgspec.Struct, tag_field="e", tag="bookTicker", gc=False):
    """Best prices."""

    T: int
    u: int
    b: str
    B: str
    a: str
    A: str


class Trade(msgspec.Struct, tag_field="e", tag="trade", gc=False):
    """A trade."""

    T: int
    p: str
    q: str
    m: bool


class Message(msgspec.Struct, gc=False):
    """A combined stream's message."""

    stream: str
    data: Depth | Best | Trade


def cpu_s() -> float:
    """Processor time that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def order_text(request: int, time_ms: int) -> bytes:
    """A request."""
    return (
        f'{{"id":{request},"method":"order.place","params":{{"newClientOrderId":"bare-{request}","price":"59000.0",'
        f'"quantity":"0.01","side":"BUY","symbol":"BTCUSDT","timeInForce":"IOC","timestamp":{time_ms},"type":"LIMIT"}}}}'
    ).encode()


async def bare(port: int, spin: bool, out: str) -> None:
    """Read to the message of number LAST."""
    decode = msgspec.json.Decoder(Message).decode
    submits: list[tuple[int, int]] = []
    loop = asyncio.get_running_loop()

    def keep_polling() -> None:
        loop.call_soon(keep_polling)

    if spin:
        keep_polling()
    async with aiohttp.ClientSession() as session:
        orders = await session.ws_connect(f"ws://127.0.0.1:{port}/ws-fapi/v1", decode_text=False)
        market = await session.ws_connect(
            f"ws://127.0.0.1:{port}/stream?streams=all", decode_text=False, max_msg_size=0
        )
        answers = asyncio.create_task(_read_answers(orders))
        gc.collect()
        gc.freeze()
        print("ready", flush=True)
        first, last, every = map(int, sys.stdin.readline().split())
        start_s = 0.0
        seen = np.zeros(last - first + 1, np.int64)
        while True:
            message = decode((await market.receive()).data)
            now_ns = wall_ns()
            number = message.data.T - FIRST_MS
            if number < first:
                continue
            if number > last:
                break
            if number == first:
                start_s = cpu_s()
            seen[number - first] = now_ns
            if every and number % every == 0:
                submits.append((number, wall_ns()))
                await orders.send_frame(order_text(len(submits), message.data.T), aiohttp.WSMsgType.TEXT)
        answers.cancel()
        used_s = cpu_s() - start_s
        np.savez(out, seen=seen, local=seen, cpu_s=used_s, submits=np.array(submits, np.int64).reshape(-1, 2))


async def _read_answers(orders: "aiohttp.ClientWebSocketResponse") -> None:
    while True:
        msgspec.json.decode((await orders.receive()).data)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(bare(int(sys.argv[1]), bool(int(sys.argv[2])), sys.argv[3]))
