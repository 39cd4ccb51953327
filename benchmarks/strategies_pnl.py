"""What strategies earn on days of a generated market that has what they live on, and on days that lack it.

    python -m benchmarks.strategies_pnl                        all, 20 days each, with the effect and without it
    python -m benchmarks.strategies_pnl imbalance --seeds 5
    python -m benchmarks.strategies_pnl --into docs/strategies.md

A case is a bot's configuration and a generated market; each seed is a day of it. The market's own replay
configuration says ticks, fees, latencies and queues. P&L is the equity at the end, all fees and all funding
included, in the quote currency. The intervals hold the mean with a probability of 95 % (Student's t).
"""

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.table import markdown_table, text_table

ROOT = Path(__file__).resolve().parent.parent
DATE = "20220831"
BEGIN = "<!-- figures: python -m benchmarks.strategies_pnl --into docs/strategies.md -->"
END = "<!-- end of figures -->"


@dataclass(frozen=True)
class Case:
    """A strategy with its parameters, and the market that has what it lives on.

    Attributes:
        name: In tables, and to ask for it.
        bot: The bot's configuration, below `configs`.
        market: A name of `sim.generate.MARKETS`.
        paid_in: By symbol, the symbol whose price turns its P&L into the quote currency of the others.
    """

    name: str
    bot: str
    market: str
    paid_in: Mapping[str, str] = field(default_factory=dict)


CASES = (
    Case("imbalance", "imbalance.toml", "imbalance"),
    Case("factor", "factor.toml", "factor"),
    Case("queue", "queue.toml", "largetick"),
    Case("level3", "level3.toml", "level3"),
    Case("portfolio", "portfolio.toml", "factor"),
    Case("cross-making", "cross-making.toml", "cross"),
    Case("cross-arbitrage", "cross-arbitrage.toml", "cross"),
    Case("triangle", "triangle.toml", "triangle", paid_in={"ETHBTC": "BTCUSDT"}),
    Case("pairs", "pairs.toml", "pair"),
    Case("basis", "basis.toml", "basis"),
)


@dataclass(frozen=True)
class Day:
    """What one day came to.

    Attributes:
        pnl: Equity at the end, in the quote currency.
        value: What was traded, in the quote currency.
        fills: Executions.
    """

    pnl: float
    value: float
    fills: int


@dataclass(frozen=True)
class Figures:
    """What the days of a case came to.

    Attributes:
        mean: The mean of the P&L.
        interval: Half the width of its interval of 95 %.
        bp: All P&L over all that was traded, in basis points.
        fills: Executions a day.
        days: How many.
        winners: How many of them earned.
    """

    mean: float
    interval: float
    bp: float
    fills: float
    days: int
    winners: int

    @property
    def earns(self) -> bool:
        """Whether the whole interval is above zero."""
        return self.mean - self.interval > 0.0


def run_day(case: Case, seed: int, effect: float, seconds: float, **parameters: Any) -> Day:
    """One day of a case, generated and traded in this process.

    Args:
        case: The case.
        seed: The day's.
        effect: How strong the effect is that the strategy lives on: 1 as documented, 0 absent.
        seconds: How long the day is.
        parameters: Other values for the strategy than the configuration's.
    """
    import msgspec

    from hftd.bot.config import BotConfig
    from hftd.config import load
    from sim.config import ReplayConfig
    from sim.generate import MARKETS, write_market
    from sim.run import backtest

    path = ROOT / "configs" / case.bot
    bot = load(path, BotConfig)
    bot = msgspec.structs.replace(bot, parameters=bot.parameters | parameters)
    with tempfile.TemporaryDirectory(prefix="hftd-pnl-") as made:
        folder = Path(made)
        write_market(folder, MARKETS[case.market], seed=seed, date=DATE, duration_s=seconds, effect=effect)
        replay = load(folder / "replay.toml", ReplayConfig)
        result = backtest(replay, folder, bot, path.parent, [DATE])
        funding = funding_of(folder, result)
    prices = {asset.symbol: asset.price for asset in result.assets}
    pnl = value = 0.0
    for asset in result.assets:
        rate = prices[case.paid_in[asset.symbol]] if asset.symbol in case.paid_in else 1.0
        rate *= asset.price if asset.inverse else 1.0
        # Without a trade there is nothing to be worth anything, with or without a price.
        pnl += asset.equity * rate if asset.num_trades else 0.0
        value += asset.trading_value * rate if asset.num_trades else 0.0
    return Day(pnl + funding, value, sum(asset.num_trades for asset in result.assets))


def funding_of(folder: Path, result: Any) -> float:
    """What the run's positions were paid by funding, below zero what they paid."""
    import numpy as np

    total = 0.0
    for number, asset in enumerate(result.assets):
        path = folder / asset.channel / f"funding_{asset.symbol}_{DATE}.npz"
        if path.is_file():
            from sim.funding import funding_paid

            with np.load(path) as table:
                total += float(funding_paid(result.records[:, number], table["data"])[-1])
    return total


def figures_of(days: Iterable[Day]) -> Figures:
    """The mean of some days, with its interval."""
    found = list(days)
    pnl = [day.pnl for day in found]
    count = len(pnl)
    spread = statistics.stdev(pnl) / math.sqrt(count) if count > 1 else math.inf
    value = sum(day.value for day in found)
    return Figures(
        statistics.fmean(pnl),
        t_quantile(count - 1) * spread if count > 1 else math.inf,
        1e4 * sum(pnl) / value if value else 0.0,
        statistics.fmean(day.fills for day in found),
        count,
        sum(one > 0.0 for one in pnl),
    )


def t_quantile(freedom: int) -> float:
    """Student's t at 97.5 %, by the expansion around the normal quantile (Abramowitz and Stegun, 26.7.5)."""
    z = 1.959963985
    terms = (
        (z**3 + z) / 4.0,
        (5.0 * z**5 + 16.0 * z**3 + 3.0 * z) / 96.0,
        (3.0 * z**7 + 19.0 * z**5 + 17.0 * z**3 - 15.0 * z) / 384.0,
    )
    return z + sum(term / freedom ** (i + 1) for i, term in enumerate(terms))


def _task(task: tuple[Case, int, float, float]) -> Day:
    return run_day(*task)


def measured(
    cases: Iterable[Case], seeds: range, seconds: float, processes: int
) -> Iterator[tuple[Case, Figures, Figures]]:
    """Each case with the effect and without it, on the same seeds; days in parallel."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for case in cases:
            # The first day compiles, for all.
            pool.submit(run_day, case, seeds[0], 1.0, 1.0).result()
            tasks = [(case, seed, effect, seconds) for effect in (1.0, 0.0) for seed in seeds]
            days = list(pool.map(_task, tasks))
            yield case, figures_of(days[: len(seeds)]), figures_of(days[len(seeds) :])


HEADER = [
    "strategy",
    "market",
    "P&L a day with the effect",
    "without it",
    "bp of what was traded, with",
    "without",
    "fills a day, with",
    "days won, with",
    "without",
]


def _row(name: str, market: str, with_it: Figures, without: Figures) -> list[str]:
    return [
        name,
        market,
        *(f"{one.mean:,.2f} ± {one.interval:,.2f}" for one in (with_it, without)),
        f"{with_it.bp:.2f}",
        f"{without.bp:.2f}",
        f"{with_it.fills:,.0f}",
        f"{with_it.winners} of {with_it.days}",
        f"{without.winners} of {without.days}",
    ]


def main() -> None:
    """Measure and print."""
    by_name = {case.name: case for case in CASES}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.strategies_pnl", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(by_name)}; all by default")
    parser.add_argument("--seeds", type=int, default=20, help="days of each case (20)")
    parser.add_argument("--first", type=int, default=1, metavar="SEED", help="the first one's seed (1)")
    parser.add_argument("--seconds", type=float, default=900.0, help="how long a day is (900)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="days at a time")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--into", type=Path, metavar="PAGE.md", help="put the table into this page")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in by_name]:
        parser.error(f"there is no case {', '.join(unknown)}; there are {', '.join(by_name)}")
    if options.seeds < 2:
        parser.error("an interval needs two days or more")
    cases = [by_name[name] for name in options.names] or list(CASES)
    seeds = range(options.first, options.first + options.seeds)
    rows, document = [], {}
    for case, with_it, without in measured(cases, seeds, options.seconds, options.processes):
        rows.append(_row(case.name, case.market, with_it, without))
        document[case.name] = {"with": asdict(with_it), "without": asdict(without)}
        print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    if options.into is not None:
        put_into(options.into, markdown_table(HEADER, rows))
    print(json.dumps(document) if options.json else text_table(HEADER, rows))


def put_into(page: Path, table: str) -> None:
    """Replace what stands between the page's two marks."""
    text = page.read_text()
    if BEGIN not in text or END not in text:
        sys.exit(f"{page} has no place for figures: it must have the lines\n{BEGIN}\n{END}")
    head, _, rest = text.partition(BEGIN)
    page.write_text(f"{head}{BEGIN}\n\n{table}\n\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
