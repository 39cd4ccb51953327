"""The points of a chunk, played over a day: in one pass where that can be, else each in a backtest of its own.

Both give the same results, bit for bit. A pass is left, and each point played by itself, where something is wrong with
it that one of its points may have done: the others are not to suffer for it, and the reason is to be told.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hftd.bot.config import BotConfig
from hftd.bot.result import BotResult
from hftd.bot.runner import result_of, run_strategy, set_up
from hftd.bot.strategy import Strategy, load_function
from hftd.errors import HftdError
from sim.backtest import Backtest
from sim.config import ReplayConfig
from sim.run import Traded, traded_of
from sim.sweeps.points import Point

LANES = 64
"""Points of a pass. With more their memory is farther from the processor, with fewer the market is a larger part."""


@dataclass(frozen=True)
class Failure:
    """A point that came to nothing.

    Attributes:
        reason: Why.
    """

    reason: str


Outcome = BotResult | Failure


class Setup:
    """What all points of a sweep have in common.

    Args:
        replay: The run's configuration.
        replay_base: Its folder.
        bot: The bot's configuration, whose parameters the points change.
        bot_base: Its folder.

    Raises:
        StrategyError: The strategy can't be loaded.
    """

    def __init__(self, replay: ReplayConfig, replay_base: Path, bot: BotConfig, bot_base: Path) -> None:
        self.replay = replay
        self.replay_base = replay_base
        self.bot = bot
        self.bot_base = bot_base
        self._where = f"strategy {bot.bot.strategy}"
        self.function = load_function(bot.bot.strategy, bot_base, self._where)

    def strategy(self, point: Point) -> Strategy:
        """The strategy with the parameters of a point.

        Raises:
            StrategyError: They do not fit.
        """
        return Strategy(self.function, {**self.bot.parameters, **point}, self._where)


def play(
    setup: Setup,
    dates: list[str],
    points: Sequence[Point],
    use: Callable[[int, Outcome], None],
    *,
    alone: bool = False,
) -> None:
    """Play points over days.

    Args:
        setup: What they have in common.
        dates: Days as `YYYYMMDD`, one after the other.
        points: The points.
        use: Is given what became of each, by its number, in order.
        alone: Each in a backtest of its own.

    Raises:
        UsageError: The bot trades what the run has not, or a file is missing.
    """
    traded = traded_of(setup.replay, setup.replay_base, setup.bot, dates)
    for first in range(0, len(points), LANES):
        part = points[first : first + LANES]
        strategies: list[Strategy | Failure] = []
        for point in part:
            try:
                strategies.append(setup.strategy(point))
            except HftdError as error:
                strategies.append(Failure(_told(error)))
        _share_code([one for one in strategies if isinstance(one, Strategy)])
        outcomes = {} if alone else _in_one_pass(setup, traded, strategies)
        for number, strategy in enumerate(strategies):
            outcome = outcomes.pop(number, None)
            if outcome is None:
                outcome = strategy if isinstance(strategy, Failure) else _alone(setup, traded, strategy)
            use(first + number, outcome() if callable(outcome) else outcome)


def _told(error: BaseException) -> str:
    """An error in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _share_code(strategies: list[Strategy]) -> None:
    """Strategies whose arguments are of the same types are compiled once."""
    compiled: dict[tuple[Any, ...], Strategy] = {}
    for strategy in strategies:
        kinds = tuple(_kind(value) for value in strategy.parameters.values())
        first = compiled.setdefault(kinds, strategy)
        if first is not strategy:
            strategy.share_code_of(first)


def _kind(value: Any) -> Any:
    return (value.dtype, value.ndim) if hasattr(value, "dtype") else type(value)


def _alone(setup: Setup, traded: Traded, strategy: Strategy) -> Outcome:
    """A backtest of its own."""
    try:
        hbt = Backtest(traded.models, traded.timeline, traded.specs, is_quiet=True)
        if setup.bot.bot.pull_quotes:
            hbt.pull_quotes()
        return run_strategy(hbt, setup.bot, strategy, traded.contracts)
    except HftdError as error:
        return Failure(_told(error))


def _has_own_models(traded: Traded) -> bool:
    """Whether models are a user's: they may remember what one lane did, and answer another one by it."""
    return any(
        one is not None
        for model in [*traded.models, *traded.timeline]
        for one in (model.custom_queue, model.custom_fee, model.custom_latency, model.custom_exchange)
    )


def _in_one_pass(
    setup: Setup, traded: Traded, strategies: list[Strategy | Failure]
) -> dict[int, Callable[[], BotResult]]:
    """What became of each point, as far as a pass could tell; the results are made when they are asked for."""
    from sim.sweeps.entry import fits
    from sim.sweeps.lanes import Lane, Market, Pass
    from sim.sweeps.stacks import is_known

    chosen = [
        (number, strategy)
        for number, strategy in enumerate(strategies)
        if isinstance(strategy, Strategy)
        and strategy.is_compiled
        and fits(list(strategy.parameters.values()))
    ]
    if len(chosen) < 2 or not is_known() or _has_own_models(traded):
        return {}
    try:
        market = Market(traded.models, traded.timeline, traded.specs, len(chosen))
        if setup.bot.bot.pull_quotes:
            market.engine.lanes["pulls_quotes"] = 1
        lanes = [Lane(traded.specs) for _ in chosen]
        one_pass = Pass(market, lanes)
        recorders: list[Any] = []
        calls: list[tuple[Any, list[Any]]] = []
        for lane, (_, strategy) in zip(lanes, chosen, strict=True):
            recorder = set_up(lane, setup.bot, strategy, traded.contracts)
            memory = recorder.recorder if recorder else None
            recorders.append(recorder)
            calls.append((strategy.compile(lane, memory), list(strategy.arguments(lane, memory)[1:])))
        failed = one_pass.play(calls)
        market.check()
    except HftdError:
        # Each tells by itself what is wrong with its data.
        return {}

    def result(lane: Lane, recorder: Any) -> BotResult:
        ended = "end of data" if lane.ended else "strategy returned"
        return result_of(lane, setup.bot, traded.contracts, recorder, ended)

    found: dict[int, Callable[[], BotResult]] = {}
    for (number, _), lane, recorder, has_failed in zip(chosen, lanes, recorders, failed, strict=True):
        if not has_failed:
            found[number] = lambda lane=lane, recorder=recorder: result(lane, recorder)
    market.engine.stop()
    return found
