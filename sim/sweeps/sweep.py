"""Sweeps: many points of a strategy's parameters over many days."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hftd.bot.config import BotConfig
from hftd.config import load
from hftd.errors import UsageError
from sim.archive import parse_dates
from sim.config import ReplayConfig
from sim.run import traded_of
from sim.sweeps.figures import Row
from sim.sweeps.keys import code_key, data_key
from sim.sweeps.play import LANES, Setup
from sim.sweeps.points import Axis, Point, Value, chosen, grid, parse_axis
from sim.sweeps.store import Description, Part, Store, parts_of, read_description, read_rows
from sim.sweeps.summary import PointSummary, summarize
from sim.sweeps.worker import Common, Task
from sim.sweeps.workers import play_parts


@dataclass(frozen=True)
class Sweep:
    """A sweep and what it came to.

    Attributes:
        folder: Where it stands.
        days: Its days.
        rows: What each point came to on each day, by day and point.
        points: Each point over all days.
    """

    folder: Path
    days: list[str]
    rows: list[Row]
    points: list[PointSummary]

    def table(self) -> list[dict[str, Any]]:
        """The points as flat rows: their parameters as columns, then the figures."""
        return [
            {"point": one.point, **one.parameters}
            | {
                name: getattr(one, name)
                for name in one.__struct_fields__
                if name not in ("point", "parameters", "profits")
            }
            for one in self.points
        ]

    def best(self, by: str = "sharpe") -> PointSummary | None:
        """The point with the highest figure; None if none has one."""
        known = [one for one in self.points if getattr(one, by) is not None and not one.failed]
        return max(known, key=lambda one: getattr(one, by), default=None)


def read_sweep(folder: Path | str) -> Sweep:
    """A sweep from its folder, as far as it is there.

    Raises:
        DataError: There is none, or a part of it is broken.
    """
    folder = Path(folder)
    rows = read_rows(folder)
    return Sweep(folder, list(read_description(folder).days), rows, summarize(rows))


def axes_of(values: Mapping[str, Sequence[Value] | str] | Sequence[str]) -> list[Axis]:
    """Axes from `name=values` each, or from values by name.

    Raises:
        UsageError: They are something else.
    """
    if not isinstance(values, Mapping):
        return [parse_axis(text) for text in values]
    return [
        parse_axis(f"{name}={given}") if isinstance(given, str) else Axis(name, tuple(given))
        for name, given in values.items()
    ]


def sweep(
    replay: Path | str,
    bot: Path | str,
    dates: str | Sequence[str],
    values: Mapping[str, Sequence[Value] | str] | Sequence[str],
    out: Path | str,
    *,
    random: int | None = None,
    seed: int = 0,
    workers: int | None = None,
    chunk: int = LANES,
    progress: Callable[[int, int], None] | None = None,
) -> Sweep:
    """Play points of a strategy's parameters over days, each day from a flat start.

    What each point comes to is, bit for bit, what a backtest of its own gives. A sweep that was stopped, however it
    was, goes on where it was if it is called again with the same; finished parts are not played twice.

    Args:
        replay: The run's configuration (`replay.toml`).
        bot: The bot's (`bot.toml`); its parameters hold where the points set none.
        dates: Days: `20240801..20240807`, or a sequence of `YYYYMMDD`.
        values: What the parameters take: `{"half_spread_ticks": "2:20:2", "order_qty": [0.01, 0.02]}`, or texts as
            of `hftd sweep --set`. All combinations are played.
        out: The folder of the sweep.
        random: So many random points instead of all.
        seed: Of that chance.
        workers: Processes; as many as there are processors if it is not given.
        chunk: How many points are played together.
        progress: Is told about ten times a second how many points of all days are done, and of how many.

    Raises:
        UsageError: The values can't be understood, or the folder holds another sweep.
        StrategyError: The strategy can't be loaded, or has no such parameters.
        DataError: An archive is missing or broken.
    """
    axes = axes_of(values)
    points = grid(axes) if random is None else chosen(axes, random, seed)
    replay_path, bot_path = Path(replay), Path(bot)
    setup = Setup(
        load(replay_path, ReplayConfig), replay_path.parent, load(bot_path, BotConfig), bot_path.parent
    )
    days = parse_dates(dates if isinstance(dates, str) else ",".join(dates))
    if chunk < 1 or (workers is not None and workers < 1):
        raise UsageError("chunk and workers must be 1 at least")
    _check_points(setup, axes, points)
    description = Description(
        strategy=setup.bot.bot.strategy,
        code=code_key(setup),
        days={day: data_key(traded_of(setup.replay, setup.replay_base, setup.bot, [day])) for day in days},
        chunk=chunk,
        points=points,
    )
    store = Store(Path(out))
    with store.locked():
        store.begin(description)
        _work(store, setup, description, workers or len(os.sched_getaffinity(0)), progress)
        found = read_sweep(store.folder)
        store.finish(found.points)
    return found


def _check_points(setup: Setup, axes: Sequence[Axis], points: Sequence[Point]) -> None:
    """Whether the parameters are there, and of the right kinds and ranges; told before anything is played."""
    for axis in axes:
        # Those of an axis by itself: the other ones as in the first point.
        for value in axis.values:
            setup.strategy({**points[0], axis.name: value})


def _work(
    store: Store,
    setup: Setup,
    description: Description,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Play what is missing."""
    parts = parts_of(description)
    missing = [part for part in parts if not store.has(part.name(description.chunk))]
    total = len(description.points) * len(description.days)
    before = total - sum(part.count for part in missing)
    if not missing:
        return
    common = Common(
        replay=setup.replay,
        replay_base=str(setup.replay_base),
        bot=setup.bot,
        bot_base=str(setup.bot_base),
        parent=os.getpid(),
    )
    tasks = [
        (
            part,
            Task(
                date=part.date,
                first=part.first,
                points=description.points[part.first : part.first + part.count],
            ),
        )
        for part in missing
    ]

    def use(part: Part, rows: list[Row]) -> None:
        store.put(part.name(description.chunk), rows)

    def count(points: int) -> None:
        if progress is not None:
            progress(before + points, total)

    play_parts(common, tasks, workers, use, count)
