"""The live path beside a bare client and a peer: `python -m benchmarks.live [--json] [--turns N] [--count N]`.

A server in this process sends the messages of a capture over loopback sockets, and takes orders. On the other side are,
one after the other, `hftd connector` with a bot, and in its place one process that only reads, decodes and echoes (the
bound), and the same as two processes that are joined by a plain socket. Server and bot have one processor, connector or
bound the other. For quiet figures on a busy machine: `chrt -r 20 python -m benchmarks.live --turns 1 ...`; the server
then has a higher priority than the others, so that a spinning bot does not hold it up.
"""

# pyright: basic

import argparse
import gc
import importlib.util
import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from benchmarks.live_exchange import Exchange, Tape, capture_lines
from benchmarks.processes import ROOT, environment
from benchmarks.table import Row, conditions, machine, ratios, shown, text_table
from hftd.clock import monotonic_ns

CHANNEL = "bench"
WARM = 400
GAP_NS = (1_000_000, 2_000_000)
"""Between two messages of a latency run, by chance: nobody is in step."""
EVERY = 2
"""Every other message is answered by an order."""
DEADLINE_S = 120.0
SPIN_US = 1_000_000
HOUR_S = 3600
QUANTILES = (50.0, 99.0, 99.9)
_RT_STEP = 5


@dataclass(frozen=True)
class Side:
    """Who is measured.

    Attributes:
        name: For the table.
        kind: "hftd", "bare", "relay" or "cryptofeed".
        polls: Whether its event loop polls.
        bot_spin_us: How long the bot spins.
    """

    name: str
    kind: str
    polls: bool = False
    bot_spin_us: int = 0


BARE = Side("bare client", "bare")
BARE_POLLING = Side("bare client, polling", "bare", polls=True)
RELAY = Side("bare client, two processes", "relay")
RELAY_POLLING = Side("bare client, two processes, polling", "relay", polls=True)
SLEEPING = Side("hftd, bot sleeps", "hftd")
SPINNING = Side("hftd, bot spins", "hftd", bot_spin_us=SPIN_US)
POLLING = Side("hftd, polling", "hftd", polls=True, bot_spin_us=SPIN_US)
PEER = Side("cryptofeed", "cryptofeed")
SIDES = {
    "bare": BARE,
    "relay": RELAY,
    "sleeping": SLEEPING,
    "spinning": SPINNING,
    "bare-polling": BARE_POLLING,
    "relay-polling": RELAY_POLLING,
    "polling": POLLING,
    "cryptofeed": PEER,
}


class Running:
    """One side's processes.

    Attributes:
        watcher: Who stamps, and says when it is ready.
        worker: Whose processor time and memory count.
    """

    def __init__(self, exchange: Exchange, watcher: "subprocess.Popen[str]", worker: int, out: Path) -> None:
        self.exchange = exchange
        self.watcher = watcher
        self.worker = worker
        self._out = out

    def go(self, first: int, last: int, every: int) -> None:
        """Have it stamp these messages."""
        assert self.watcher.stdin is not None
        self.watcher.stdin.write(f"{first} {last} {every}\n")
        self.watcher.stdin.flush()

    def result(self) -> Any:
        """Tick on until it has what it waited for."""
        ticking(self.exchange, lambda: self.watcher.poll() is not None, "the messages were not all seen")
        if self.watcher.returncode:
            raise RuntimeError(f"the watching process ended with {self.watcher.returncode}")
        with np.load(self._out) as found:
            return {name: found[name] for name in found}

    def cpu_s(self) -> float:
        """Processor time that the worker has used."""
        fields = Path(f"/proc/{self.worker}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_bytes(self) -> int:
        """Memory that the worker has."""
        return int(Path(f"/proc/{self.worker}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def ticking(
    exchange: Exchange, until: Callable[[], object], otherwise: str, deadline_s: float = DEADLINE_S
) -> None:
    """Serve, and send a message now and then if there is somebody to send to, until something holds."""
    deadline_ns = monotonic_ns() + int(deadline_s * 1e9)
    next_ns = 0
    while not until():
        now_ns = monotonic_ns()
        if now_ns > deadline_ns:
            raise RuntimeError(otherwise)
        if exchange.market is not None and exchange.is_subscribed and now_ns >= next_ns:
            try:
                exchange.tick()
            except OSError:
                exchange.market = None
            next_ns = now_ns + GAP_NS[1]
        exchange.serve(0.001)


@contextmanager
def running(side: Side, exchange: Exchange, peers_python: str) -> Iterator[Running]:
    """A side's processes, ready."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hftd-bench-")))
        env = environment(HFTD_RUNTIME_DIR=str(folder), HFTD_API_KEY="k" * 64, HFTD_SECRET=_private_key())
        out = folder / "out.npz"
        server_core, core = _cores()
        connector: subprocess.Popen[str] | None = None
        if side.kind == "hftd":
            config = folder / "binancefutures.toml"
            config.write_text(_config(exchange.port, side.polls))
            command = ["daemon.cli", "connector", "--config", str(config), "--name", CHANNEL, "--log", "json"]
            connector = stack.enter_context(_started([sys.executable, "-m", *command], env, core))
            path = folder / f"{CHANNEL}.sock"
            ticking(exchange, lambda: path.exists() or connector.poll() is not None, "there is no channel")
            up = lambda: exchange.has_snapshot and exchange.user is not None  # noqa: E731
            ticking(exchange, lambda: up() or connector.poll() is not None, "the connector does not come up")
            if connector.poll() is not None:
                raise RuntimeError(f"the connector ended with {connector.returncode}")
            arguments = ["benchmarks.live_bot", CHANNEL, side.bot_spin_us, server_core, out]
            python, core = sys.executable, server_core
        elif side.kind == "bare":
            arguments = ["benchmarks.live_bare", exchange.port, int(side.polls), out]
            python = sys.executable
        elif side.kind == "relay":
            arguments = ["benchmarks.live_relay", exchange.port, int(side.polls), core, out]
            python, core = sys.executable, server_core
        else:
            arguments = ["benchmarks.live_peer", exchange.port, out]
            python = peers_python
        # A bot that is confined to one processor from the start does not spin: it goes there by itself.
        confined = core if side.kind != "hftd" else None
        watcher = stack.enter_context(_started([python, "-m", *map(str, arguments)], env, confined))
        _await_ready(exchange, watcher)
        yield Running(exchange, watcher, (connector or watcher).pid, out)


@contextmanager
def _started(command: list[str], env: dict[str, str], core: int | None) -> "Iterator[subprocess.Popen[str]]":
    policy = os.sched_getscheduler(0)

    def confine() -> None:
        if core is not None:
            os.sched_setaffinity(0, {core})
        else:
            os.sched_setaffinity(0, set(_cores()))
        if policy in (os.SCHED_RR, os.SCHED_FIFO):
            lower = max(1, os.sched_getparam(0).sched_priority - _RT_STEP)
            os.sched_setscheduler(0, policy, os.sched_param(lower))

    with Path(os.environ.get("HFTD_BENCH_LOG", os.devnull)).open("a") as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            preexec_fn=confine,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _await_ready(exchange: Exchange, watcher: "subprocess.Popen[str]") -> None:
    assert watcher.stdout is not None
    fd = watcher.stdout.fileno()

    def is_ready() -> bool:
        if watcher.poll() is not None:
            raise RuntimeError(f"{watcher.args} ended with {watcher.returncode}")
        return bool(select.select([fd], [], [], 0.0)[0]) and b"ready" in os.read(fd, 100)

    ticking(exchange, is_ready, "the watching process is not ready")


_all_cores: list[int] = []


def _cores() -> tuple[int, int]:
    """The server's (and a bot's), and the worker's."""
    if not _all_cores:
        _all_cores.extend(sorted(os.sched_getaffinity(0)))
    return _all_cores[0], _all_cores[-1]


def _private_key() -> str:
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    return key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()).decode()


def _config(port: int, polls: bool) -> str:
    return (
        f'stream_url = "ws://127.0.0.1:{port}/ws"\napi_url = "http://127.0.0.1:{port}"\n'
        f'ws_api_url = "ws://127.0.0.1:{port}/ws-fapi/v1"\norder_prefix = "bench"\njournal = "orders.journal"\n'
        f'symbols = ["BTCUSDT"]\nspin = {str(polls).lower()}\n'
    )


def bench_latency(side: Side, tape: Tape, count: int, peers_python: str) -> dict[str, dict[str, float]]:
    """Quantiles of feed path, order path and tick to order, in ns."""
    chance = Random(1)
    with Exchange(tape) as exchange, running(side, exchange, peers_python) as runs:
        first = exchange.next + WARM
        runs.go(first, first + count - 1, EVERY if side.kind != "cryptofeed" else 0)
        sent = np.zeros(count, np.int64)
        del exchange.arrivals[:]
        gc.collect()
        gc.disable()
        next_ns = monotonic_ns() + 50_000_000
        while exchange.next < first + count:
            while (left_ns := next_ns - monotonic_ns()) > 0:
                exchange.serve(left_ns / 1e9)
            number = exchange.next
            sent_ns = exchange.tick()
            if number >= first:
                sent[number - first] = sent_ns
            next_ns += chance.randrange(*GAP_NS)
        gc.enable()
        found = runs.result()
        arrived = np.array(exchange.arrivals, np.int64)
    saw = found["seen"] > 0
    figures = {"feed": _quantiles(_next_seen(found["seen"]) - sent)}
    if side.kind == "hftd":
        figures["feed, to the connector"] = _quantiles((found["local"] - sent)[saw])
    submits = found["submits"]
    if len(submits):
        if len(submits) != len(arrived):
            raise RuntimeError(f"{len(submits)} orders were sent, {len(arrived)} came")
        figures["order"] = _quantiles(arrived - submits[:, 1])
        figures["tick to order"] = _quantiles(arrived - sent[submits[:, 0] - first])
    return figures


def _next_seen(seen: np.ndarray) -> np.ndarray:
    """When each message, or else the next one that was, had been seen.

    A bot that comes late finds several messages at once, and stamps the last: the others were seen then too, and must
    not be left out, since they are the slow ones. The few that change nothing, and so make no rows, count as late too.
    """
    last = np.iinfo(np.int64).max
    found = np.minimum.accumulate(np.where(seen > 0, seen, last)[::-1])[::-1]
    return np.where(found < last, found, seen.max())


def _quantiles(values: np.ndarray) -> dict[str, float]:
    return {f"p{q:g}": float(np.percentile(values, q)) for q in QUANTILES} | {"samples": len(values)}


def bench_rate(side: Side, tape: Tape, count: int, peers_python: str) -> dict[str, float]:
    """So many messages as fast as they are taken: messages a second of processor time and of the clock; memory."""
    with Exchange(tape) as exchange, running(side, exchange, peers_python) as runs:
        first = exchange.next + WARM
        runs.go(first, first + count - 1, 0)
        exchange.push(first)
        start_ns, start_s = monotonic_ns(), runs.cpu_s()
        exchange.push(first + count // 10)
        early_bytes = runs.rss_bytes()
        exchange.push(first + count)
        ticking(exchange, lambda: runs.watcher.poll() is not None, "the messages were not all seen")
        took_s = (monotonic_ns() - start_ns) / 1e9
        is_ours = side.kind == "hftd"
        cpu_s = runs.cpu_s() - start_s if is_ours else 0.0
        late_bytes = runs.rss_bytes() if is_ours else 0
        found = runs.result()
        cpu_s = cpu_s or float(found["cpu_s"])
        if int(found.get("lapped", 0)):
            raise RuntimeError("the bot was lapped: no strategy could follow at this rate")
    return {
        "messages": count,
        "seen": int((found["seen"] > 0).sum()),
        "messages_per_s": count / took_s,
        "messages_per_cpu_s": count / cpu_s,
        "rss_at_10_percent_bytes": early_bytes,
        "rss_at_end_bytes": late_bytes,
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All figures, as `python -m benchmarks` wants them."""
    folder = Path(os.environ.get("HFTD_TEST_DATA", "../shared/data"))
    lines, rate, is_real = capture_lines(folder)
    figures: dict[str, Any] = {
        "machine": machine(),
        "market": f"{len(lines):,} messages, {rate:.0f} a second{'' if is_real else ' (generated)'}",
        "has_priority": os.sched_getscheduler(0) in (os.SCHED_RR, os.SCHED_FIFO),
        "latency": {},
        "rate": {},
    }
    tape, peers_tape = Tape(lines), Tape(lines, is_aggregated=True)
    names = [name for name in options.sides if name != "cryptofeed" or _has_peer(options.peers_python)]
    for turn in range(options.turns):
        for name in names:
            side = SIDES[name]
            print(f"turn {turn + 1}: {side.name}", file=sys.stderr, flush=True)
            chosen = peers_tape if side.kind == "cryptofeed" else tape
            if options.count:
                found = bench_latency(side, chosen, options.count, options.peers_python)
                figures["latency"].setdefault(name, []).append(found)
    if options.messages:
        for name in names:
            side = SIDES[name]
            if side.polls or side is RELAY:
                continue
            print(f"as fast as it goes: {side.name}", file=sys.stderr, flush=True)
            chosen = peers_tape if side.kind == "cryptofeed" else tape
            # Of the hour the others get a part, which says as much about their rate.
            count = options.messages or 0
            count = (int(rate * HOUR_S) if count < 0 else count) if side.kind == "hftd" else len(lines)
            figures["rate"][name] = bench_rate(side, chosen, count, options.peers_python)
    figures["machine"]["load_1_min_after"] = machine()["load_1_min"]
    return figures


def _has_peer(peers_python: str) -> bool:
    if peers_python != sys.executable:
        return True
    return importlib.util.find_spec("cryptofeed") is not None


_BOUNDS = {
    "relay": ("bare",),
    "sleeping": ("bare", "relay"),
    "spinning": ("bare", "relay"),
    "cryptofeed": ("bare",),
    "relay-polling": ("bare-polling",),
    "polling": ("bare-polling", "relay-polling"),
}


def table(figures: dict[str, Any]) -> tuple[Row, list[Row]]:
    """The figures as a header and rows."""
    rows: list[Row] = []
    latency = figures["latency"]
    for path in ("feed", "order", "tick to order"):
        for name in SIDES:
            turns = [turn[path] for turn in latency.get(name, []) if path in turn]
            if not turns:
                continue
            # One of the turns spoilt by a neighbour must not spoil the figure.
            p50, p99, p999 = (
                f"{np.median([turn[f'p{q:g}'] for turn in turns]) / 1e3:.1f}" for q in QUANTILES
            )
            against = ["", ""]
            for place, bound in enumerate(_BOUNDS.get(name, ())):
                others = [turn[path] for turn in latency.get(bound, []) if path in turn]
                if others:
                    of_p50 = ratios([one["p50"] for one in turns], [one["p50"] for one in others])
                    against[place] = shown(of_p50, digits=2)
            rows.append([path, SIDES[name].name, f"{p50} / {p99} / {p999} us", *against])
    rate = figures["rate"]
    bound = rate.get("bare")
    for name, found in rate.items():
        ratio = ""
        if bound is not None and name != "bare":
            ratio = f"{found['messages_per_cpu_s'] / bound['messages_per_cpu_s']:.2f}"
        cell = f"{found['messages_per_cpu_s']:,.0f}"
        rows.append(["messages a second of a core", SIDES[name].name, cell, ratio, ""])
    for name, found in rate.items():
        if SIDES[name].kind == "hftd":
            early, late = found["rss_at_10_percent_bytes"] / 1e6, found["rss_at_end_bytes"] / 1e6
            what = f"memory after 10 % and 100 % of {found['messages']:,} messages"
            rows.append([what, SIDES[name].name, f"{early:.1f} and {late:.1f} MB", "", ""])
    return ["path", "side", "p50 / p99 / p99.9", "to the bare client's", "to its two processes'"], rows


def notes(figures: dict[str, Any]) -> list[str]:
    """What else must be known to read the table."""
    found = [conditions(figures["machine"]), figures["market"]]
    if figures["has_priority"]:
        found.append("All processes of the benchmark ran with real-time priority (`chrt`).")
    if "cryptofeed" not in figures["latency"] and "cryptofeed" not in figures["rate"]:
        found.append("cryptofeed is not installed (dependency group `peers`).")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures, as JSON with `--json`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--turns", type=int, default=3, help="of the latencies; each side runs once in each")
    parser.add_argument("--count", type=int, default=3000, help="messages of a latency run; 0: none")
    parser.add_argument(
        "--messages", type=int, default=-1, help="of the run at full speed; default: an hour's worth; 0: none"
    )
    parser.add_argument("--sides", nargs="+", choices=list(SIDES), default=list(SIDES), metavar="SIDE")
    parser.add_argument("--peers-python", default=sys.executable, help="the Python that has cryptofeed")
    options = parser.parse_args(arguments)
    figures = measure(options)
    if options.json:
        print(json.dumps(figures))
        return
    print("\n".join(notes(figures)))
    print(text_table(*table(figures)))


if __name__ == "__main__":
    main()
