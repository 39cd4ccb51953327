"""The chaos soak on demand.

python -m tests.soak --seeds 1000 --from 1              in virtual time, all processors
python -m tests.soak --venue bybit                     another exchange, or binancecoinm
python -m tests.soak --level real --seeds 20            with real processes and kill -9
python -m tests.soak --from 42 --seeds 1                a seed that failed, again
python -m tests.soak --only steps --only kills           no other mishaps than these
python -m tests.soak --losses --seeds 200                with a low limit on losses, that no new order may pass
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

import structlog

from tests.soak.fast import ACTIVE_S, Result
from tests.soak.many import run_seeds
from tests.soak.real import MISHAPS, SOME, USUAL, run_real
from tests.soak.venues import PRODUCTS, USDM
from tests.soak.weather import FAST


def _show(result: Result, level: str, is_long: bool) -> None:
    if is_long or not result.is_good:
        what = f"{result.messages:,} messages, " if level == "fast" else ""
        what += f"{result.events['orders']:,} orders, {result.events['fills']:,} fills"
        what += f", {result.chaos['limits reached']} limits reached" if result.chaos["limits reached"] else ""
        what += f", loop lag {result.events['loop lag, ms']} ms" if level == "real" else ""
        print(
            f"seed {result.seed}: {'good' if result.is_good else 'FAILED'}, {what} {result.digest}",
            flush=True,
        )
    for fault in result.faults[:20]:
        print(f"    {fault}", flush=True)


async def _real(seeds: range, jobs: int, mishaps: int, is_long: bool, **options: str) -> list[int]:
    failed = []
    async for result in run_real(
        seeds, jobs=jobs, mishaps=mishaps, keep=Path(tempfile.gettempdir()), **options
    ):
        _show(result, "real", is_long)
        failed += [] if result.is_good else [result.seed]
    return failed


def main() -> int:
    """Run seeds; 1 if one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--level", choices=("fast", "real"), default="fast")
    parser.add_argument("--venue", choices=tuple(PRODUCTS), default=USDM.name, help="the exchange")
    parser.add_argument("--seeds", type=int, default=200, help="how many")
    parser.add_argument("--from", type=int, default=1, dest="first", help="the first one")
    parser.add_argument(
        "--seconds", type=float, default=ACTIVE_S, help="fast: of trading, in the test's own time"
    )
    parser.add_argument("--mishaps", type=int, default=MISHAPS, help="real: kills, tears and stops")
    parser.add_argument(
        "--jobs", type=int, default=0, help="at a time (default: fast: the processors; real: 3)"
    )
    parser.add_argument(
        "--only",
        choices=(*FAST, *SOME, *dict.fromkeys(USUAL)),
        action="append",
        default=[],
        metavar="NAME",
        help=f"no mishap but this; fast: {', '.join(FAST)}; real: {', '.join((*SOME, *dict.fromkeys(USUAL)))}",
    )
    parser.add_argument("--losses", action="store_true", help="fast: with a low limit on losses")
    parser.add_argument("--long", action="store_true", help="say something of good seeds too")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    seeds = range(given.first, given.first + given.seeds)
    begin = time.perf_counter()
    messages = reached = refused = 0
    if given.level == "real":
        failed = asyncio.run(
            _real(
                seeds,
                given.jobs or 3,
                given.mishaps,
                given.long,
                venue=given.venue,
                only="".join(given.only[:1]),
            )
        )
    else:
        failed = []
        for done, result in enumerate(
            run_seeds(
                seeds,
                given.jobs or os.cpu_count() or 1,
                given.seconds,
                tuple(given.only),
                given.venue,
                given.losses,
            ),
            1,
        ):
            _show(result, "fast", given.long)
            messages += result.messages
            reached += result.chaos["limits reached"] > 0
            refused += result.chaos["refused after it"]
            failed += [] if result.is_good else [result.seed]
            if done % 50 == 0:
                print(f"{done} seeds, {messages:,} messages, {len(failed)} failed", flush=True)
    if given.losses:
        print(f"limits were reached in {reached} seeds, and {refused:,} new orders refused after that")
    print(f"{len(seeds)} seeds in {time.perf_counter() - begin:.0f} s, {len(failed)} failed: {failed}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
