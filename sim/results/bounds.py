"""`hftd backtest --bounds`: the run once more under other models of queue and latency.

Each variant is a whole backtest on the same prepared archives, with the compiled strategy that is there, several at
once where there are processors for them: the engine runs without the GIL. So each equals, bit for bit, the backtest
whose configuration says what the variant changes.
"""

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from msgspec.structs import replace

from hftd.bot.config import BotConfig, HooksSection
from hftd.bot.result import BotResult
from hftd.bot.runner import signals_to
from hftd.bot.strategy import Strategy, load_strategy
from hftd.errors import HftdError
from hftd.hbt.local import Contract
from hftd.parameters.declared import ParameterChange
from hftd.runs.bounds import Bounds, Variant
from sim.backtest import Backtest
from sim.config import (
    AssetSection,
    FrontQueue,
    L3FifoQueue,
    LogQueue,
    LogQueue2,
    PowerQueue,
    PowerQueue2,
    PowerQueue3,
    Queue,
    ReplayConfig,
    RiskAverseQueue,
    ThroughQueue,
)
from sim.run import backtest

OWN: Final = "as configured"
FACTORS: Final = (0.5, 2.0)
"""Of the shorter and the longer latencies."""
_USUAL_N: Final = 3.0


class Change(NamedTuple):
    """What a variant changes of a configuration."""

    name: str
    kind: str
    queue: Queue | None = None
    factor: float = 1.0


def changes_for(config: ReplayConfig) -> list[Change]:
    """The variants of a run: two bounds, the other queue models, latencies shorter and longer.

    Where the market is known order by order there is nothing to estimate: only the latencies are varied.
    """
    queues = [section.queue for channel in config.channels for section in channel.instruments]
    queues = [queue for queue in queues if not isinstance(queue, L3FifoQueue)]
    found: list[Change] = []
    if queues:
        n = next((queue.n for queue in queues if isinstance(queue, _POWERS)), _USUAL_N)
        found.append(Change("filled only when traded through", "bound", ThroughQueue()))
        found.append(Change("front of the queue", "bound", FrontQueue()))
        others: list[tuple[str, Queue]] = [
            ("risk_averse", RiskAverseQueue()),
            ("log", LogQueue()),
            ("log2", LogQueue2()),
            (f"power, n = {n:g}", PowerQueue(n=n)),
            (f"power2, n = {n:g}", PowerQueue2(n=n)),
            (f"power3, n = {n:g}", PowerQueue3(n=n)),
        ]
        found += [
            Change(name, "queue", queue) for name, queue in others if any(own != queue for own in queues)
        ]
    for factor in FACTORS:
        found.append(Change(f"latency x {factor:g}", "latency", None, factor))
    return found


_POWERS: Final = (PowerQueue, PowerQueue2, PowerQueue3)


def changed(config: ReplayConfig, change: Change) -> ReplayConfig:
    """A run's configuration under a variant."""

    def of(section: AssetSection) -> AssetSection:
        if change.queue is not None and not isinstance(section.queue, L3FifoQueue):
            section = replace(section, queue=change.queue)
        return replace(section, order_latency_factor=section.order_latency_factor * change.factor)

    channels = [
        replace(channel, instruments=[of(section) for section in channel.instruments])
        for channel in config.channels
    ]
    return replace(config, channels=channels)


def pnl_of(result: BotResult) -> float | None:
    """Equity after fees at the last price of each asset, added up, of inverse ones at that price; None without one."""
    total = 0.0
    for number, asset in enumerate(result.assets):
        contract = Contract(asset.contract_size, asset.inverse)
        price, equity = asset.price, asset.equity
        if not math.isfinite(equity):
            rows = result.records[:, number]
            rows = rows[np.isfinite(rows["price"])]
            if len(rows):
                price = float(rows["price"][-1])
            elif asset.num_trades:
                return None
            else:
                continue
            equity = contract.equity(asset.balance, asset.position, asset.fee, price)
        total += equity * price if asset.inverse else equity
    return total


def run_bounds(
    replay: ReplayConfig,
    replay_base: Path,
    bot: BotConfig,
    bot_base: Path,
    dates: list[str],
    own: BotResult,
    strategy: Strategy,
    changes: Sequence[ParameterChange] = (),
) -> Bounds:
    """Run the variants of a backtest.

    Args:
        replay: The run's configuration.
        replay_base: Its folder.
        bot: The bot's configuration.
        bot_base: Its folder.
        dates: Days as `YYYYMMDD`.
        own: What the run itself came to.
        strategy: The one that it was run with.
        changes: As of `sim.run.backtest`.
    """
    # Nobody is to be alerted of what happens in a variant.
    bot = replace(bot, hooks=HooksSection())
    is_shared = strategy.is_compiled and strategy.shared is None
    there: list[Backtest] = []
    is_stopped: list[bool] = []

    def stop() -> None:
        is_stopped.append(True)
        for hbt in there.copy():
            hbt.stop()

    def run(change: Change) -> Variant:
        if is_stopped:
            return Variant(name=change.name, kind=change.kind, error="stopped")
        mine: list[Backtest] = []

        def running(hbt: Backtest) -> None:
            mine.append(hbt)
            there.append(hbt)

        try:
            again = strategy if is_shared else _again(bot, bot_base)
            result = backtest(
                changed(replay, change), replay_base, bot, bot_base, dates, 0, changes,
                strategy=again, running=running,
            )  # fmt: skip
        except HftdError as error:
            return Variant(name=change.name, kind=change.kind, error=error.what)
        finally:
            for hbt in mine:
                there.remove(hbt)
        if result.ended == "stopped":
            return Variant(name=change.name, kind=change.kind, error="stopped")
        return _variant(change.name, change.kind, result)

    # A plain strategy holds the GIL, and its module may keep what its runs must not share.
    workers = len(os.sched_getaffinity(0)) if strategy.is_compiled else 1
    wanted = changes_for(replay)
    with signals_to(stop), ThreadPoolExecutor(workers, "variant") as pool:
        variants = list(pool.map(run, wanted))
    return told([_variant(OWN, "own", own), *variants])


def _again(bot: BotConfig, base: Path) -> Strategy:
    return load_strategy(bot.bot.strategy, bot.parameters, base, allow_set=bot.bot.allow_set)


def _variant(name: str, kind: str, result: BotResult) -> Variant:
    return Variant(
        name=name,
        kind=kind,
        pnl=pnl_of(result),
        trades=sum(asset.num_trades for asset in result.assets),
        volume=sum(asset.trading_volume for asset in result.assets),
        fee=sum(asset.fee for asset in result.assets),
    )


def told(variants: list[Variant]) -> Bounds:
    """What the variants say together."""

    def between(*kinds: str) -> tuple[float, float] | None:
        values = [one.pnl for one in variants if one.kind in kinds and one.pnl is not None]
        return (
            (min(values), max(values)) if any(one.kind == kinds[-1] for one in variants) and values else None
        )

    bounds, queues, latencies = between("bound"), between("own", "queue"), between("own", "latency")
    widths = [high - low for low, high in filter(None, (queues, latencies))]
    share = None
    if queues is not None and sum(widths) > 0.0:
        share = (queues[1] - queues[0]) / sum(widths)
    own = variants[0].pnl
    pieces = ["P&L is not known: there is no price" if own is None else f"P&L {_figure(own)}"]
    for range_, words in (
        (bounds, "between the bounds"),
        (queues, "between queue models"),
        (latencies, "between latencies"),
    ):
        if range_ is not None:
            pieces.append(f"{_figure(range_[0])} to {_figure(range_[1])} {words}")
    if share is not None:
        pieces.append(f"{100 * share:.0f} % of the spread is the queue model")
    notes: list[str] = []
    if bounds is not None and own is not None and not bounds[0] <= own <= bounds[1]:
        notes.append(
            "the P&L lies outside that of the bounds: they bound how early each order fills, not what a strategy makes "
            "of its fills"
        )
    if failed := [f"{one.name}: {one.error}" for one in variants if one.error]:
        notes.append(f"without a result: {'; '.join(failed)}")
    return Bounds(
        variants=variants,
        between_bounds=bounds,
        between_queues=queues,
        between_latencies=latencies,
        queue_share=share,
        sentence="; ".join(pieces),
        notes=notes,
    )


def _figure(value: float) -> str:
    """Four digits, or all before the point."""
    size = abs(value)
    decimals = 0 if size >= 1000 or size == 0 else max(3 - math.floor(math.log10(size)), 0)
    return f"{round(value, decimals) + 0.0:,.{decimals}f}"
