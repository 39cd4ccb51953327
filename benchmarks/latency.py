"""What it costs to keep latencies: `python -m benchmarks.latency`.

- observe: a duration counted into a histogram by compiled code, durations at random over six decades; the bound is the
  same loop that only reads them.
- message: a message of 20 rows through a connector's books, fused, published and followed, with the feed's latency kept
  and without; the two take turns, and the ratio is of the least times.
"""

import json
import sys
from decimal import Decimal
from typing import Any

import numpy as np

from benchmarks.channel import ROWS, best
from benchmarks.table import Row, conditions, machine, text_table
from daemon.connector.market.books import Books, FollowedMarket
from daemon.histogram import Histogram
from daemon.messages import Instrument
from hftd.channel.layout import MODE_SYSTEM
from hftd.channel.memory import ClockPage, MarketRing
from hftd.channel.publisher import MarketPublisher
from hftd.compiled.histogram import observe
from hftd.compiled.jit import entry
from hftd.compiled.native import load_i64
from hftd.types import BUY_EVENT, DEPTH_EVENT, EXCH_EVENT, LOCAL_EVENT, event_dtype

COUNT = 100_000
REPEATS = 30
TURNS = 5_000


@entry("int64(int64, int64, int64)")
def _observe_all(histogram, durations, count):
    for k in range(count):
        observe(histogram, load_i64(durations + 8 * k))
    return count


@entry("int64(int64, int64, int64)")
def _read_all(histogram, durations, count):
    total = histogram
    for k in range(count):
        total ^= load_i64(durations + 8 * k)
    return total


def bench_observe() -> dict[str, float]:
    """One duration, in ns."""
    durations = (10 ** np.random.default_rng(13).uniform(3, 9, COUNT)).astype(np.int64)
    kept = Histogram()

    def run(call: Any) -> float:
        compiled = call.compiled()
        return best(1, REPEATS, lambda _: compiled(kept.address, durations.ctypes.data, COUNT)) / COUNT

    return {"observe_ns": run(_observe_all), "bound_ns": run(_read_all)}


def bench_message() -> dict[str, float]:
    """One message through the books, in ns."""
    rows = np.zeros(ROWS, event_dtype)
    rows["ev"] = EXCH_EVENT | LOCAL_EVENT | DEPTH_EVENT | BUY_EVENT
    rows["px"] = 60_000 - 0.1 * np.arange(ROWS)
    rows["qty"] = 1.0
    rows["exch_ts"], rows["local_ts"] = 1_000_000_000, 1_002_345_678
    with MarketRing.make(lossless=False) as ring, ClockPage.make(1, MODE_SYSTEM) as clock:
        books = Books(MarketPublisher(ring, clock), True, lambda *_: None)
        markets: list[FollowedMarket] = [
            books.follow(Instrument(number, name, Decimal("0.1"), Decimal("0.001")))
            for number, name in enumerate(("WITHOUT", "WITH"))
        ]
        markets[1].set_ahead(0)

        def run(number: int) -> float:
            call = books.on_rows

            def turns(count: int) -> None:
                for _ in range(count):
                    call(number, rows, True)

            return best(TURNS, 1, turns)

        pairs = [(run(0), run(1)) for _ in range(REPEATS)]
    without_ns, with_ns = (min(times) for times in zip(*pairs, strict=True))
    return {"with_ns": with_ns, "without_ns": without_ns, "ratio": with_ns / without_ns}


def measure() -> dict[str, Any]:
    """All figures."""
    figures: dict[str, Any] = {"machine": machine(), "observe": bench_observe(), "message": bench_message()}
    figures["machine"]["load_1_min_after"] = machine()["load_1_min"]
    return figures


def table(figures: dict[str, Any]) -> tuple[Row, list[Row]]:
    """The figures as a header and rows."""
    one, message = figures["observe"], figures["message"]
    rows: list[Row] = [
        [
            "a duration counted",
            f"{one['observe_ns']:.1f} ns",
            f"{one['bound_ns']:.1f} ns, the same loop that only reads them",
        ],
        [
            f"a message of {ROWS} rows with the feed's latency",
            f"{message['with_ns']:.0f} ns",
            f"{message['without_ns']:.0f} ns without; {message['ratio']:.3f} times that",
        ],
    ]
    return ["latency", "measured", "beside"], rows


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
