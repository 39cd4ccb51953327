import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hftd.bot import runner
from hftd.bot.config import BotConfig
from hftd.bot.result import BotResult
from hftd.clock import monotonic_ns, sleep
from tests.forks import Forked

ROOT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).resolve().parent


class FakeDaemon:
    """The process of a fake daemon."""

    def __init__(self, folder: Path, environment: dict[str, str], name: str = "bf") -> None:
        self.folder, self.environment, self.name = folder, environment, name
        self.process: subprocess.Popen[str] | None = None
        self.said: list[dict[str, Any]] = []

    def start(self) -> None:
        self.process = Forked(
            ["tests.hftd.bot.fake", self.name, str(self.folder)],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.hear("ready")

    def hear(self, word: str) -> dict[str, Any]:
        assert self.process is not None
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                said = json.loads(line)
                self.said.append(said)
                if word in said:
                    return said
        raise AssertionError(f"the daemon ended before it said {word}")

    def tell(self, do: str, **more: Any) -> dict[str, Any]:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        self.process.stdin.flush()
        return self.hear("done")

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self, number: int = signal.SIGKILL) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait()

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for stream in (self.process.stdin, self.process.stdout):
                assert stream is not None
                stream.close()


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDaemon]:
    run_dir = tmp_path / "run"
    run_dir.mkdir(mode=0o700)
    monkeypatch.setenv("HFTD_RUNTIME_DIR", str(run_dir))
    made = FakeDaemon(tmp_path, dict(os.environ))
    made.start()
    yield made
    made.close()


class Play:
    """A bot in this process, beside a test that follows it by its notes."""

    def __init__(self, fake: FakeDaemon, channels: tuple[str, ...] = ("bf",)) -> None:
        self.fake = fake
        self.channels = channels
        self.alerts: list[tuple[int, float]] = []
        self.orders: list[Any] = []
        self.errors: list[Any] = []
        self.result: BotResult | None = None
        self.error: BaseException | None = None

    def config(self, strategy: str, parameters: dict[str, Any], **bot: Any) -> BotConfig:
        import msgspec

        sections = {key: bot.pop(key) for key in ("limits",) if key in bot}
        instrument = {"symbol": "BTCUSDT", "tick_size": 0.1, "lot_size": 0.001, "last_trades_capacity": 100}
        return msgspec.convert(
            {
                "bot": {"name": "mm", "strategy": f"{HERE}/strategies.py:{strategy}", "spin_us": 0, **bot},
                "instruments": [{"channel": channel, **instrument} for channel in self.channels],
                "parameters": parameters,
                "hooks": {name: f"tests.hftd.bot.told:{name}" for name in ("order", "error", "alert")},
                **sections,
            },
            BotConfig,
        )

    def start(self, strategy: str, parameters: dict[str, Any] | None = None, **bot: Any) -> None:
        config = self.config(strategy, parameters or {}, **bot)

        def play() -> None:
            try:
                self.result = runner.run(config, HERE)
            except BaseException as error:
                self.error = error

        self.thread = threading.Thread(target=play, daemon=True)
        self.thread.start()

    def finish(self) -> BotResult:
        self.thread.join(90)
        assert not self.thread.is_alive()
        if self.error is not None:
            raise self.error
        assert self.result is not None
        return self.result

    def run(self, strategy: str, parameters: dict[str, Any] | None = None, **bot: Any) -> BotResult:
        self.start(strategy, parameters, **bot)
        return self.finish()

    def until(self, condition: Callable[[], Any]) -> None:
        end_ns = monotonic_ns() + 90_000_000_000
        while not condition():
            assert self.thread.is_alive(), (self.alerts, self.errors, self.error, self.result)
            assert monotonic_ns() < end_ns, (self.alerts, self.errors)
            sleep(0.002)

    def alert(self, code: int) -> float:
        """The value of the last alert with this code."""
        return [value for found, value in self.alerts if found == code][-1]

    def has(self, code: int) -> bool:
        return any(found == code for found, _ in self.alerts)

    @property
    def kinds(self) -> list[str]:
        return [note.kind for note in self.errors]


@pytest.fixture
def play(fake: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> Play:
    made = Play(fake)
    monkeypatch.setattr("tests.hftd.bot.told.play", made)
    return made
