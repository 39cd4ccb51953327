"""How long until a strategy sees its first event: `python -m benchmarks.startup [--json] [--repeat 7]`.

From the start of a process to the moment at which the strategy's first `elapse` has returned, read on the
monotonic clock that all processes share. The strategy is the market maker, the market that of `hftd demo`.
Each start is a process of its own, with all caches warm (a second run), with an edited strategy, or with
nothing compiled.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.processes import ROOT, environment, finish, replay_running, start
from benchmarks.sides import reference_module
from benchmarks.table import Row, conditions, machine, ratios, shown, spread, text_table
from hftd.clock import monotonic_ns
from sim.generate import DEMO, DEMO_DATE, write_day

_MARK = "first event at"
_CHANNELS = ["demofutures", "demospot"]

BACKTEST = "hftd backtest"
BOT = "hftd bot"
EDITED = "hftd backtest, strategy edited"
REFERENCE = "reference's script"
PYTHON = "python that only imports the strategy"

_EDITED = """

from hftd.clock import steady_ns


@njit(nogil=True)
def first_event(hbt, half_spread_ticks=8.0, interval_ns=10_000_000):
    if hbt.elapse(interval_ns) == 0:
        print("first event at", steady_ns())
        market_making(hbt, half_spread_ticks, 2.0, 0.01, 0.1, interval_ns)
"""
"""What `benchmarks.strategies` adds to the market maker, here in one file with it."""


class Place:
    """A folder with the demo's market and configurations.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        write_day(self.data)
        configs = folder / "configs"
        configs.mkdir()
        shutil.copy(ROOT / "configs" / "replay.toml", configs)
        self.replay = configs / "replay.toml"
        self.bot = self._bot(configs / "bot.toml", "benchmarks.strategies:first_event")
        self.edited_strategy = configs / "edited_strategy.py"
        self.edited = self._bot(configs / "edited.toml", "edited_strategy.py:first_event")

    def _bot(self, path: Path, strategy: str) -> Path:
        text = (ROOT / "configs" / "bot.toml").read_text()
        text = text[: text.index("[parameters]")]
        path.write_text(text.replace("strategies.market_making:market_making", strategy))
        return path

    def edit(self, number: int) -> None:
        """Touch a constant of the strategy."""
        source = (ROOT / "strategies" / "market_making.py").read_text()
        tail = _EDITED.replace("2.0, 0.01", f"{2.0 + number / 1000}, 0.01")
        self.edited_strategy.write_text(source + tail)


def first_event_s(module: list[str], env: dict[str, str]) -> float:
    """Start a process, let it run to its end, and find in its output when it saw the first event."""
    start_ns = monotonic_ns()
    out = finish(start(module, env))
    marks = [line for line in out.splitlines() if line.startswith(_MARK)]
    if not marks:
        raise RuntimeError(f"{' '.join(module)} did not tell of a first event:\n{out[-500:]}")
    return (int(marks[0].removeprefix(_MARK)) - start_ns) / 1e9


def backtest_s(place: Place, bot: Path, env: dict[str, str]) -> float:
    """Seconds to the first event of `hftd backtest`."""
    arguments = ["--config", str(place.replay), "--bot", str(bot), "--date", DEMO_DATE]
    return first_event_s(["daemon.cli", "backtest", *arguments, "--progress", "none", "--json"], env)


def bot_s(place: Place, **more: str) -> float:
    """Seconds to the first event of `hftd bot`, with a replay that waits for it."""
    with replay_running(place.replay, DEMO_DATE, _CHANNELS, **more) as (daemon, env):
        arguments = ["--config", str(place.bot), "--progress", "none", "--json"]
        seconds = first_event_s(["daemon.cli", "bot", *arguments], env)
        finish(daemon)
    return seconds


def reference_s(place: Place, env: dict[str, str]) -> float:
    """Seconds to the first event of the reference."""
    return first_event_s(["benchmarks.startup_reference", str(place.data), DEMO_DATE], env)


def python_s(env: dict[str, str]) -> float:
    """Seconds of a process that only imports the strategy and numba, whole: a bound."""
    start_ns = monotonic_ns()
    finish(start(["benchmarks.strategies"], env))
    return (monotonic_ns() - start_ns) / 1e9


def cold(place: Place, folder: Path) -> dict[str, float]:
    """Seconds to the first event with nothing compiled."""
    found = {}
    for name, run in (
        (BACKTEST, lambda env: backtest_s(place, place.bot, env)),
        # The replay compiles before its channels open, which is counted by itself.
        (BOT, lambda env: bot_s(place, HFTD_CACHE_DIR=env["HFTD_CACHE_DIR"])),
    ):
        empty = folder / f"cache of {name}"
        empty.mkdir()
        start_ns = monotonic_ns()
        found[name] = run(environment(HFTD_CACHE_DIR=str(empty)))
        found[f"{name}, all that was started for it"] = (monotonic_ns() - start_ns) / 1e9
    return found


def measure(repeat: int) -> dict[str, Any]:
    """All figures."""
    with tempfile.TemporaryDirectory(prefix="hftd-bench-") as temporary:
        folder = Path(temporary)
        place = Place(folder)
        warm = folder / "warm"
        warm.mkdir()
        cache = {"HFTD_CACHE_DIR": str(warm)}
        env = environment(**cache)
        edits = iter(range(1, 1000))

        def edited_s() -> float:
            place.edit(next(edits))
            return backtest_s(place, place.edited, env)

        ways: dict[str, Callable[[], float]] = {
            BACKTEST: lambda: backtest_s(place, place.bot, env),
            BOT: lambda: bot_s(place, **cache),
            EDITED: edited_s,
            PYTHON: lambda: python_s(env),
        }
        if reference_module() is not None:
            ways[REFERENCE] = lambda: reference_s(place, env)
        figures: dict[str, Any] = {
            "market": ", ".join(f"{one.channel}:{one.symbol}" for one in DEMO),
            "repeat": repeat,
            "machine": machine(),
            "cold_s": cold(place, folder),
        }
        # The first run of each fills the caches.
        for way in ways.values():
            way()
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(repeat):
            for name, way in ways.items():
                seconds[name].append(way())
        figures["machine"]["load_1_min_after"] = machine()["load_1_min"]
        figures["first_event_s"] = {name: spread(found) for name, found in seconds.items()}
        compiling = [a - b for a, b in zip(seconds[EDITED], seconds[BACKTEST], strict=True)]
        figures["edit_compiles_s"] = spread(compiling)
        if REFERENCE in seconds:
            figures["ratios"] = {
                f"{REFERENCE} / {name}": ratios(seconds[REFERENCE], seconds[name])
                for name in (BACKTEST, BOT, EDITED)
            }
        return figures


def table(figures: dict[str, Any]) -> tuple[Row, list[Row]]:
    """The figures as a header and rows."""
    rows: list[Row] = [
        [name, f"{shown(found, 1.0, 2)} s"] for name, found in figures["first_event_s"].items()
    ]
    rows.append(["an edited strategy costs", f"{shown(figures['edit_compiles_s'], 1.0, 2)} s"])
    rows += [[pair, f"{shown(ratio)} times"] for pair, ratio in figures.get("ratios", {}).items()]
    rows += [[f"{name}, nothing compiled", f"{found:.1f} s"] for name, found in figures["cold_s"].items()]
    return ["from process start to first event", "median (min - max)"], rows


def notes(figures: dict[str, Any]) -> list[str]:
    """What else must be known to read the table."""
    return [
        f"the demo's market ({figures['market']}); {figures['repeat']} starts of each, in turns; caches warm",
        conditions(figures["machine"]),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--repeat", type=int, default=7, help="starts of each")
    options = parser.parse_args()
    figures = measure(options.repeat)
    if options.json:
        print(json.dumps(figures))
        return
    print("\n".join(notes(figures)))
    print(text_table(*table(figures)))


if __name__ == "__main__":
    main()
