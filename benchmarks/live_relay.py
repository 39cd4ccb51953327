"""A second bound of the live benchmark: the bare client as two processes, as hftd has it, joined by a plain socket.

`python -m benchmarks.live_relay PORT SPIN CORE OUT.npz`: this process is the strategy. A child on processor CORE has
the WebSockets: it decodes each message, passes its number on, and sends what comes back as an order.
"""

# pyright: basic

import asyncio
import contextlib
import gc
import os
import socket
import subprocess
import sys

import aiohttp
import msgspec
import numpy as np
import uvloop

from benchmarks.live_bare import Message, order_text
from benchmarks.live_exchange import FIRST_MS
from benchmarks.processes import ROOT
from hftd.clock import wall_ns

_NUMBER_BYTES = 8


def strategy(joint: socket.socket, out: str) -> None:
    """Wait for numbers of messages, stamp them, answer some."""
    joint.recv(_NUMBER_BYTES)
    print("ready", flush=True)
    first, last, every = map(int, sys.stdin.readline().split())
    seen = np.zeros(last - first + 1, np.int64)
    submits: list[tuple[int, int]] = []
    while True:
        number = int.from_bytes(joint.recv(_NUMBER_BYTES), "little")
        now_ns = wall_ns()
        if number < first:
            continue
        if number > last:
            break
        seen[number - first] = now_ns
        if every and number % every == 0:
            submits.append((number, wall_ns()))
            joint.send(order_text(len(submits), FIRST_MS + number))
    np.savez(out, seen=seen, local=seen, submits=np.array(submits, np.int64).reshape(-1, 2))


async def relay(port: int, spin: bool, joint: socket.socket) -> None:
    """Market data one way, orders the other."""
    decode = msgspec.json.Decoder(Message).decode
    loop = asyncio.get_running_loop()
    joint.setblocking(False)

    def keep_polling() -> None:
        loop.call_soon(keep_polling)

    if spin:
        keep_polling()
    async with aiohttp.ClientSession() as session:
        orders = await session.ws_connect(f"ws://127.0.0.1:{port}/ws-fapi/v1", decode_text=False)
        url = f"ws://127.0.0.1:{port}/stream?streams=all"
        market = await session.ws_connect(url, decode_text=False, max_msg_size=0)

        def send() -> None:
            frame = orders.send_frame(joint.recv(1 << 12), aiohttp.WSMsgType.TEXT)
            with contextlib.suppress(StopIteration):
                frame.send(None)

        async def answers() -> None:
            while True:
                msgspec.json.decode((await orders.receive()).data)

        reading = asyncio.create_task(answers())
        loop.add_reader(joint.fileno(), send)
        gc.collect()
        gc.freeze()
        while not reading.done():
            message = decode((await market.receive()).data)
            try:
                joint.send((message.data.T - FIRST_MS).to_bytes(_NUMBER_BYTES, "little"))
            except BlockingIOError:
                # Nobody reads yet.
                continue
            except OSError:
                return


def main() -> None:
    """Either process."""
    if sys.argv[1] == "relay":
        port, spin, fd = map(int, sys.argv[2:5])
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(relay(port, bool(spin), socket.socket(fileno=fd)))
        return
    core, out = int(sys.argv[3]), sys.argv[4]
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "benchmarks.live_relay", "relay", *sys.argv[1:3], str(theirs.fileno())]
    child = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()])
    os.sched_setaffinity(child.pid, {core})
    theirs.close()
    try:
        strategy(ours, out)
    finally:
        child.kill()


if __name__ == "__main__":
    main()
