"""How many messages a second of processor time a collector writes to disk, beside a bare client that writes the same.

The bare client is aiohttp's WebSocket on uvloop, `json.loads` to know whose a message is, and a line in a gzip file by
Python's `gzip`, as recorders are commonly written. Both read the same messages of one connection, as fast as they come,
from a server in a process of its own; what is measured is their own processor time and the growth of their memory.

`python -m benchmarks.collect [--json]`.
"""

# pyright: basic

import argparse
import asyncio
import gzip
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
from aiohttp import web

from benchmarks.processes import ROOT, environment
from benchmarks.table import machine, ratios, spread

MESSAGES = 200_000
ROUNDS = 3
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
KINDS = ("collector", "bare")
LEVELS = 12
FIRST_MS = 1_723_161_255_000


def messages(count: int) -> list[str]:
    """Depth, best prices and trades of some symbols, in turn, as combined streams."""
    found: list[str] = []
    for number in range(count):
        symbol = SYMBOLS[number % len(SYMBOLS)]
        turn = number // len(SYMBOLS)
        ms, update = FIRST_MS + number // 50, 1_000_000 + turn
        head = f'"E":{ms},"T":{ms},"s":"{symbol}"'
        if turn % 4 == 3:
            body = f'{{"e":"trade",{head},"t":{turn // 4},"p":"60000.10","q":"0.013","X":"MARKET","m":false}}'
            name = f"{symbol.lower()}@trade"
        elif turn % 4 == 1:
            body = (
                f'{{"e":"bookTicker","u":{update},{head},"b":"60000.10","B":"2.1","a":"60000.20","A":"3.4"}}'
            )
            name = f"{symbol.lower()}@bookTicker"
        else:
            sides = [
                ",".join(
                    f'["{60000 + (turn * 7 + k) % 500 / 10:.2f}","{k}.{turn % 997:03}"]'
                    for k in range(LEVELS)
                )
                for _ in range(2)
            ]
            previous = update - (1 if turn % 4 == 0 else 2)
            ids = f'"U":{update},"u":{update},"pu":{previous}'
            body = f'{{"e":"depthUpdate",{head},{ids},"b":[{sides[0]}],"a":[{sides[1]}]}}'
            name = f"{symbol.lower()}@depth@0ms"
        found.append(f'{{"stream":"{name}","data":{body}}}')
    return found


async def serve(count: int) -> None:
    """Send all messages to whoever subscribes, as fast as they are read; a book to whoever asks."""
    texts = messages(count)

    async def stream(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        await socket.receive()
        for text in texts:
            await socket.send_str(text)
        await socket.receive()
        return socket

    async def depth(_request: web.Request) -> web.Response:
        book = {
            "lastUpdateId": 2_000_000_000,
            "E": FIRST_MS,
            "T": FIRST_MS,
            "bids": [["60000.0", "1"]],
            "asks": [],
        }
        return web.json_response(book)

    async def clock(_request: web.Request) -> web.Response:
        return web.json_response({"serverTime": FIRST_MS})

    app = web.Application()
    app.add_routes([web.get("/fapi/v1/depth", depth), web.get("/fapi/v1/time", clock)])
    app.add_routes([web.get("/{path:.*}", stream)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


async def collect(port: int, count: int, folder: Path) -> int:
    """The collector, until it has written as many. Returns how many."""
    from daemon.collector.config import load_collect
    from daemon.collector.service import Collector

    config = folder / "collect.toml"
    config.write_text(
        f'folder = "raw"\nconnections = 1\ndisk_floor_gb = 0.0\nlevel = 1\nname = "bench-{port}"\n'
        f'[venues.binancefutures]\nsymbols = {json.dumps(SYMBOLS)}\nstream_url = "ws://127.0.0.1:{port}"\n'
        f'api_url = "http://127.0.0.1:{port}"\nstale_after_s = 600.0\n'
    )
    made, followed, raw, _ = load_collect(config)
    collector = Collector(made, followed, raw, seed=1)
    running = asyncio.create_task(collector.run())
    while not collector.venues or sum(slot.messages for slot in collector.venues[0].slots) < count:
        await asyncio.sleep(0.05)
        if running.done():
            running.result()
    collector.stop()
    await running
    return sum(one.messages for one in collector.venues[0].recorders)


async def bare(port: int, count: int, folder: Path) -> int:
    """The bare client."""
    from hftd.clock import wall_ns

    files = {symbol: gzip.open(folder / f"{symbol}.gz", "at", compresslevel=1) for symbol in SYMBOLS}  # noqa: SIM115
    written = 0
    async with aiohttp.ClientSession() as http, http.ws_connect(f"ws://127.0.0.1:{port}/stream") as socket:
        await socket.send_str("{}")
        while written < count:
            message = (await socket.receive()).data
            now_ns = wall_ns()
            data = json.loads(message)["data"]
            files[data["s"]].write(f"{now_ns} {message}\n")
            written += 1
    for file in files.values():
        file.close()
    return written


def run(kind: str, port: int, count: int) -> dict[str, float]:
    """One of them, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        work = collect if kind == "collector" else bare
        if kind == "collector":
            # What is imported and loaded once is no cost of a message.
            from daemon.collector import config, service  # noqa: F401
            from daemon.venues.binancefutures import collect as _  # noqa: F401
            from daemon.venues.binancefutures.facts import MarketFacts

            MarketFacts("0ms", "fused").reader().read(messages(1)[0].encode(), 1)
        before = resource.getrusage(resource.RUSAGE_SELF)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            written = runner.run(work(port, count, Path(folder)))
        after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    grown = (after.ru_maxrss - before.ru_maxrss) / 1024
    return {"messages": written, "cpu_s": cpu_s, "per_s": written / cpu_s, "grown_mib": grown}


def measure(count: int, rounds: int) -> dict[str, Any]:
    """Both in turn, each round with a server of its own."""
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    me = [sys.executable, "-m", "benchmarks.collect"]
    for _ in range(rounds):
        for kind in KINDS:
            with subprocess.Popen(
                [*me, "serve", "--messages", str(count)],
                cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            ) as server:  # fmt: skip
                assert server.stdout is not None
                port = server.stdout.readline().strip()
                done = subprocess.run(
                    [*me, kind, "--port", port, "--messages", str(count)],
                    cwd=ROOT, env=environment(), stdout=subprocess.PIPE, check=True, text=True,
                )  # fmt: skip
                server.kill()
            found[kind].append(json.loads(done.stdout.splitlines()[-1]))
    rates = {kind: [one["per_s"] for one in found[kind]] for kind in KINDS}
    return {
        "machine": machine(),
        "messages": count,
        "per_s": {kind: spread(rates[kind]) for kind in KINDS},
        "grown_mib": {kind: spread([one["grown_mib"] for one in found[kind]]) for kind in KINDS},
        "ratio": ratios(rates["collector"], rates["bare"]),
    }


def notes(figures: dict[str, Any]) -> list[str]:
    """What is to be known of the figures."""
    said = f"{figures['messages']:,} messages of {len(SYMBOLS)} symbols; messages a second of processor time."
    return [said, "The bare client: aiohttp, json.loads and Python's gzip at level 1."]


def table(figures: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """For people."""
    rows = [
        [kind, f"{figures['per_s'][kind]['median']:,.0f}", f"{figures['grown_mib'][kind]['median']:,.0f}"]
        for kind in KINDS
    ]
    rows.append(["collector to bare", f"{figures['ratio']['median']:.2f}", ""])
    return ["writer", "messages/s", "memory, MiB"], rows


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=("serve", *KINDS))
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--messages", type=int, default=MESSAGES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.what == "serve":
        asyncio.run(serve(given.messages))
    elif given.what:
        print(json.dumps(run(given.what, given.port, given.messages)))
    else:
        figures = measure(given.messages, given.rounds)
        if given.json:
            print(json.dumps(figures))
        else:
            from benchmarks.table import text_table

            print(text_table(*table(figures)))


if __name__ == "__main__":
    main()
