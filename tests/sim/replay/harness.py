"""Runs of real processes: a generated market, a replay, its bots, and the same run in one process."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hftd.clock import monotonic_ns, sleep
from tests.forks import Forked

ROOT = Path(__file__).resolve().parents[3]
STRATEGIES = ROOT / "tests" / "sim" / "replay" / "strategies.py"
DATE = "20220831"
MAKER = "strategies.market_making:market_making"
COLD_S = 600
"""Whatever waits for a process may have to wait for its compiling."""

SLOW_ANSWERS = '{ model = "constant", entry_ns = 1, response_ns = 3_600_000_000_000 }'
CONSTANT = '{ model = "constant", entry_ns = 1_000_000, response_ns = 1_500_000 }'
INTERPOLATED = '{ model = "interpolated", files = "{data}/latency_{symbol}_{date}.npz" }'


@dataclass
class Instrument:
    """An instrument of a run or of a bot, with what differs from the usual."""

    channel: str
    symbol: str
    tick_size: float = 0.1
    lot_size: float = 0.001
    more: dict[str, Any] = field(default_factory=dict)

    def toml(self, usual: dict[str, Any], *, name_channel: bool) -> str:
        values = {"symbol": f'"{self.symbol}"', "tick_size": self.tick_size, "lot_size": self.lot_size}
        if name_channel:
            values["channel"] = f'"{self.channel}"'
        return "\n".join(f"{key} = {value}" for key, value in {**values, **usual, **self.more}.items())


def futures(channel: str = "fut", **more: Any) -> Instrument:
    return Instrument(channel, "BTCUSDT", 0.1, 0.001, more)


def spot(channel: str = "spot", **more: Any) -> Instrument:
    return Instrument(channel, "BTCBUSD", 0.1, 0.0001, more)


class Process:
    """One `hftd`, its stdout and stderr in files."""

    def __init__(
        self, arguments: list[str], cwd: Path, environment: dict[str, str], cpus: set[int] | None
    ) -> None:
        self.arguments = arguments
        self._out = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `close`)
        self._err = tempfile.TemporaryFile()  # noqa: SIM115
        is_module = arguments[0] == "-m"
        self.process: subprocess.Popen[bytes] = (Forked if is_module else subprocess.Popen)(
            arguments[1:] if is_module else [sys.executable, *arguments],
            cwd=cwd,
            env=environment,
            stdout=self._out,
            stderr=self._err,
        )
        if cpus is not None:
            os.sched_setaffinity(self.process.pid, cpus)
        self.pid = self.process.pid

    def wait(self, timeout_s: float = COLD_S) -> int:
        return self.process.wait(timeout_s)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)
        if number == signal.SIGSTOP:
            os.waitpid(self.pid, os.WUNTRACED)

    @property
    def stdout(self) -> str:
        return self._read(self._out)

    @property
    def stderr(self) -> str:
        return self._read(self._err)

    @staticmethod
    def _read(file: Any) -> str:
        return os.pread(file.fileno(), 1 << 24, 0).decode()

    def json(self) -> dict[str, Any]:
        """Its one document on stdout."""
        return json.loads(self.stdout)

    def wait_for(self, words: str, timeout_s: float = COLD_S) -> None:
        """Wait until it says something on stderr."""
        end_ns = monotonic_ns() + int(timeout_s * 1e9)
        while words not in self.stderr:
            code = self.process.poll()
            assert code is None, f"ended with {code} before it said {words!r}:\n{self.stderr}"
            assert monotonic_ns() < end_ns, f"did not say {words!r}:\n{self.stderr}"
            sleep(0.01)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._out.close()
        self._err.close()


class Bench:
    """A folder with configurations, a runtime directory, and the processes that run there."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder = folder
        self.data = data
        # The path of a Unix socket must be short.
        self._runtime = tempfile.TemporaryDirectory(prefix="hftd-t-")
        self.runtime = Path(self._runtime.name)
        self.processes: list[Process] = []
        self.cpus: set[int] | None = None
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        self.environment = os.environ | {
            "HFTD_RUNTIME_DIR": str(self.runtime),
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self.environment.pop("HFTD_DEBUG", None)

    # Configurations.

    def replay_config(
        self,
        *instruments: Instrument,
        name: str = "replay.toml",
        bots: list[str] | None = None,
        latency: str = CONSTANT,
        pattern: str = "{symbol}_{date}.npz",
        data: Path | None = None,
        head: str = "",
    ) -> Path:
        usual = {
            "order_latency": latency.replace("{data}", str(self.data)),
            "queue": '{ model = "power3", n = 3.0 }',
            "fee": '{ model = "value", maker = -0.00005, taker = 0.0007 }',
        }
        lines = [f'[replay]\ndata = "{data or self.data}/{pattern}"\nbots = {json.dumps(bots or [])}\n{head}']
        for channel in dict.fromkeys(one.channel for one in instruments):
            lines.append(f'[[channels]]\nname = "{channel}"')
            lines += [
                "[[channels.instruments]]\n" + one.toml(usual, name_channel=False)
                for one in instruments
                if one.channel == channel
            ]
        return self._write(name, lines)

    def bot_config(
        self,
        name: str,
        *instruments: Instrument,
        strategy: str = "chaos",
        interval_ms: int = 100,
        head: str = "",
        **parameters: Any,
    ) -> Path:
        where = strategy if ":" in strategy else f"{STRATEGIES}:{strategy}"
        lines = [f'[bot]\nname = "{name}"\nstrategy = "{where}"\n{head}']
        usual = {"last_trades_capacity": 1000}
        lines += ["[[instruments]]\n" + one.toml(usual, name_channel=True) for one in instruments]
        lines.append(
            "[parameters]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in parameters.items())
        )
        lines.append(f"[record]\ninterval_ms = {interval_ms}")
        return self._write(f"{name}.toml", lines)

    def add_data(self, source: str, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
        """Write an archive that is another one, changed."""
        with np.load(self.data / source) as archive:
            rows = archive["data"].copy()
        np.savez(self.folder / name, data=change(rows))

    def _write(self, name: str, lines: list[str]) -> Path:
        path = self.folder / name
        path.write_text("\n".join(lines) + "\n")
        return path

    # Processes.

    def start(self, *arguments: str | Path, **changes: str) -> Process:
        return self.python("-m", "daemon.cli", *arguments, **changes)

    def python(self, *arguments: str | Path, **changes: str) -> Process:
        """Start Python."""
        made = Process([str(one) for one in arguments], self.folder, self.environment | changes, self.cpus)
        self.processes.append(made)
        return made

    def replay(self, config: Path, *more: str, date: str = DATE, ready: bool = True) -> Process:
        """Start a replay, and wait until bots may come."""
        made = self.start(
            "replay", "--config", config, "--date", date, "--json", "--progress", "plain", *more
        )
        if ready:
            made.wait_for("waiting for")
        return made

    def bot(self, config: Path, *more: str) -> Process:
        record = config.with_suffix(".bot.npz")
        return self.start(
            "bot", "--config", config, "--record", record, "--json", "--progress", "plain", *more
        )

    def backtest(self, config: Path, bot: Path, date: str = DATE) -> Process:
        made = self.start(
            "backtest", "--config", config, "--bot", bot, "--date", date, "--json", "--progress", "plain",
            "--record", bot.with_suffix(".backtest.npz"),
        )  # fmt: skip
        assert made.wait() == 0, made.stderr
        return made

    def run(self, config: Path, *bots: Path, date: str = DATE) -> tuple[Process, list[Process]]:
        """A replay and its bots, from their start to a good end."""
        replay = self.replay(config, date=date)
        running = [self.bot(bot) for bot in bots]
        for one in running:
            assert one.wait() == 0, one.stderr
        assert replay.wait() == 0, replay.stderr
        return replay, running

    def check_equal(self, config: Path, *bots: Path, date: str = DATE, fills: bool = True) -> list[Process]:
        """Run bots over channels, and check that each comes to the same as in a process of its own."""
        _, running = self.run(config, *bots, date=date)
        self.compare(config, *zip(bots, running, strict=True), date=date, fills=fills)
        return running

    def compare(
        self, config: Path, *pairs: tuple[Path, Process], date: str = DATE, fills: bool = True
    ) -> None:
        for path, process in pairs:
            alone = self.backtest(config, path, date)
            ours, theirs = result(process), result(alone)
            assert ours == theirs
            assert rows_of(path.with_suffix(".bot.npz")) == rows_of(path.with_suffix(".backtest.npz"))
            assert not fills or ours["num_fills"] > 0, "the run traded nothing, so it shows nothing"

    def left_behind(self) -> list[str]:
        """What there should not be once all processes have ended."""
        found = [str(path) for path in self.runtime.iterdir()]
        found += [str(path) for path in Path("/dev/shm").iterdir() if "hftd" in path.name]
        return found

    def close(self) -> None:
        for process in self.processes:
            process.close()
        self._runtime.cleanup()


def rows_of(path: Path) -> dict[str, bytes]:
    """The arrays of a run's file; what it tells besides, such as from which files it was played, isn't the result."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name != "meta.npy"}


def result(process: Process) -> dict[str, Any]:
    """What a bot came to, without the wall's time."""
    document = process.json()
    del document["seconds"]
    return document


def wait_until(is_so: Callable[[], bool], process: Process) -> None:
    """Wait until something is so, while a process lives."""
    end_ns = monotonic_ns() + COLD_S * 1_000_000_000
    while not is_so():
        assert process.process.poll() is None, process.stderr
        assert monotonic_ns() < end_ns, process.stderr
        sleep(0.01)


class Scene:
    """A replay with a bot that a test does something to, and another one, both waiting: a third one holds them up."""

    def __init__(
        self,
        bench: Bench,
        *,
        after_ns: int = 2_000_000_000,
        date: str = DATE,
        more: tuple[str, ...] = (),
        data: Path | None = None,
    ) -> None:
        self.bench = bench
        self.date = date
        self.config = bench.replay_config(futures(), bots=["victim", "other", "gate"], data=data)
        self._path = bench.folder / "open"
        every_ms = {"interval_ns": 1_000_000}
        bots = [
            bench.bot_config("victim", futures(), strategy="keeps_quoting", **every_ms),
            bench.bot_config("other", futures(), strategy=MAKER, **every_ms),
            bench.bot_config("gate", futures(), strategy="gate", path=str(self._path), after_ns=after_ns),
        ]
        self.replay = bench.replay(self.config, *more, date=date)
        self.victim, self.other, self.gate = (bench.bot(bot) for bot in bots)
        wait_until(self._path.with_suffix(".here").exists, self.replay)

    def go_on(self) -> None:
        """Let the run go on."""
        self._path.touch()

    def ends_well(self, *, as_alone: bool = False) -> dict[str, dict[str, Any]]:
        """The replay and the other bot come to their end, and nothing remains.

        Args:
            as_alone: Whether the other bot's result is to be compared with its backtest.

        Returns:
            The bots' summaries.
        """
        self.go_on()
        assert self.other.wait() == 0, self.other.stderr
        assert self.replay.wait() == 0, self.replay.stderr
        assert result(self.other)["ended"] == "end of data"
        if as_alone:
            self.bench.compare(self.config, (self.bench.folder / "other.toml", self.other), date=self.date)
        assert self.bench.left_behind() == []
        return {bot["name"]: bot for bot in self.replay.json()["bots"]}
