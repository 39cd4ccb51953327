"""The channel, each figure beside a bound that is measured in the same run: `python -m benchmarks.channel`.

- publish: 20 rows from CPython into a ring; the bound is the same call that only copies them.
- latency: from before the publish in CPython until the bot, in another process, has read the rows, for a
  bot that spins and for one that sleeps; the bound is a word and a bell between two compiled loops, without
  a ring.
- rows: compiled producer to compiled consumer through a lossless ring; the bound is one thread that copies
  the rows into the same memory.
"""

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np

from benchmarks.channel_bot import copy_once, copy_only, pump, wake
from benchmarks.table import Row, conditions, machine, text_table
from hftd.channel.layout import LINK_DATA, MARKET_DATA, MODE_SIMULATED
from hftd.channel.memory import BotPage, ClockPage, Link, MarketRing
from hftd.channel.publisher import MarketPublisher
from hftd.clock import monotonic_ns
from hftd.types import event_dtype

ROOT = Path(__file__).parents[1]
SPIN_NS = 1_000_000
ROWS = 20


class Bench:
    """The memory of one measurement and the process on the other side."""

    def __init__(self, *, lossless: bool) -> None:
        self.stack = ExitStack()
        self.ring = self.stack.enter_context(MarketRing.make(lossless=lossless))
        self.clock = self.stack.enter_context(ClockPage.make(1, MODE_SIMULATED))
        self.page = self.stack.enter_context(BotPage.make())
        self.words = self.stack.enter_context(Link.make(4096, 4096))

    def start(self, role: str, count: int, parameter: int) -> "subprocess.Popen[str]":
        fds = [self.ring.fd, self.page.fd, self.words.fd]
        arguments = [role, ",".join(map(str, fds)), str(count), str(parameter)]
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.channel_bot", *arguments],
            cwd=ROOT,
            pass_fds=fds,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        process.stdout.readline()
        return process

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.close()


def quantiles(process: "subprocess.Popen[str]") -> dict[str, float]:
    output, _ = process.communicate()
    samples = np.array(output.strip().split(","), np.int64)
    samples = samples[len(samples) // 10 :]
    return {"p50_ns": float(np.percentile(samples, 50)), "p99_ns": float(np.percentile(samples, 99))}


def best(turns: int, repeats: int, run: Any) -> float:
    """ns a turn, the best of some repeats."""
    times = []
    for _ in range(repeats):
        start_ns = monotonic_ns()
        run(turns)
        times.append((monotonic_ns() - start_ns) / turns)
    return min(times)


def bench_publish() -> dict[str, float]:
    """One publish of 20 rows from CPython, in ns."""
    rows = np.zeros(ROWS, event_dtype)
    with Bench(lossless=False) as bench:
        publisher = MarketPublisher(bench.ring, bench.clock)

        def publish(turns: int) -> None:
            call = publisher.publish
            for _ in range(turns):
                call(1, rows)

        def bound(turns: int) -> None:
            call = copy_once.direct
            target, source, size = bench.ring.address + MARKET_DATA, rows.ctypes.data, rows.nbytes
            for _ in range(turns):
                call(target, source, size)

        alone_ns = best(100_000, 5, publish)
        publisher.add_bot(bench.page)
        with_bot_ns = best(100_000, 5, publish)
        return {
            "publish_ns": alone_ns,
            "publish_with_one_bot_ns": with_bot_ns,
            "bound_ns": best(100_000, 5, bound),
        }


def bench_latency(count: int, spin_ns: int, gap_ns: int) -> dict[str, Any]:
    """From before a publish in CPython until the bot has read the rows; beside a bare word and bell."""
    rows = np.zeros(ROWS, event_dtype)
    local_ts = rows["local_ts"]
    with Bench(lossless=False) as bench:
        publisher = MarketPublisher(bench.ring, bench.clock)
        publisher.add_bot(bench.page)
        process = bench.start("receive", count, spin_ns)
        for _ in range(count):
            until_ns = monotonic_ns() + gap_ns
            while monotonic_ns() < until_ns:
                pass
            local_ts[0] = monotonic_ns()
            publisher.publish(1, rows)
        result = quantiles(process)
    with Bench(lossless=False) as bench:
        process = bench.start("woken", count, spin_ns)
        wake(bench.page.address, bench.words.address + LINK_DATA, count, gap_ns)
        return {**result, "bound": quantiles(process)}


def bench_rows(batch: int, rows_total: int) -> dict[str, float]:
    """Rows a second through the ring, and of the copy alone."""
    rows = np.zeros(batch, event_dtype)
    messages = rows_total // batch
    rates, bounds = [], []
    for _ in range(3):
        with Bench(lossless=True) as bench:
            pump.compiled()
            process = bench.start("drain", messages, 0)
            cursor = bench.words.address + LINK_DATA
            start_ns = monotonic_ns()
            done = pump(bench.ring.address, bench.clock.address, cursor, batch, messages, rows.ctypes.data)
            rates.append(done * batch / (monotonic_ns() - start_ns) * 1e9)
            process.communicate()
            copy_only.compiled()
            start_ns = monotonic_ns()
            copy_only(bench.ring.address, batch, messages, rows.ctypes.data)
            bounds.append(messages * batch / (monotonic_ns() - start_ns) * 1e9)
    return {"rows_per_s": max(rates), "bound_rows_per_s": max(bounds)}


def measure() -> dict[str, Any]:
    """All figures."""
    figures: dict[str, Any] = {"machine": machine()}
    figures |= {
        "publish_20_rows_from_cpython": bench_publish(),
        "publish_to_spinning_bot": bench_latency(20_000, SPIN_NS, 20_000),
        "publish_to_sleeping_bot": bench_latency(5_000, 0, 200_000),
        "rows": {str(batch): bench_rows(batch, 20_000_000) for batch in (1, 10, 100)},
    }
    figures["machine"]["load_1_min_after"] = machine()["load_1_min"]
    return figures


def table(figures: dict[str, Any]) -> tuple[Row, list[Row]]:
    """The figures as a header and rows."""
    publish = figures["publish_20_rows_from_cpython"]
    bound = f"{publish['bound_ns']:.0f} ns, the same call that only copies"
    rows: list[Row] = [
        [f"publish of {ROWS} rows from CPython", f"{publish['publish_ns']:.0f} ns", bound],
        ["the same with a bot to wake", f"{publish['publish_with_one_bot_ns']:.0f} ns", bound],
    ]
    for name in ("spinning", "sleeping"):
        found = figures[f"publish_to_{name}_bot"]
        bell = found["bound"]
        rows.append(
            [
                f"publish until a {name} bot has it, p50 / p99",
                f"{found['p50_ns'] / 1e3:.1f} / {found['p99_ns'] / 1e3:.1f} us",
                f"{bell['p50_ns'] / 1e3:.1f} / {bell['p99_ns'] / 1e3:.1f} us, a bare word and bell",
            ]
        )
    for batch, found in figures["rows"].items():
        rows.append(
            [
                f"process to process, {batch} row{'s' if batch != '1' else ''} a message",
                f"{found['rows_per_s'] / 1e6:.1f} M rows/s",
                f"{found['bound_rows_per_s'] / 1e6:.1f} M rows/s, copied by one thread",
            ]
        )
    return ["channel", "measured", "bound"], rows


def notes(figures: dict[str, Any]) -> list[str]:
    """What else must be known to read the table."""
    return [conditions(figures["machine"])]


def main() -> None:
    """Print the figures, as JSON with `--json`."""
    figures = measure()
    if "--json" in sys.argv[1:]:
        print(json.dumps(figures))
        return
    print("\n".join(notes(figures)))
    print(text_table(*table(figures)))


if __name__ == "__main__":
    main()
