"""Exchange, connector, tap and bot as processes of `hftd`, with configurations in one folder."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import msgspec

from hftd.clock import monotonic_ns, sleep

ROOT = Path(__file__).resolve().parent.parent.parent
KEYS = {"HFTD_API_KEY": "local-demo-key", "HFTD_SECRET": "local-demo-secret"}
_WAIT_S = 120.0


class Stack:
    """Processes that end with this block."""

    def __init__(self, folder: Path, runtime: Path) -> None:
        self.folder = folder
        self._environment = os.environ | KEYS | {"PYTHONPATH": str(ROOT), "HFTD_RUNTIME_DIR": str(runtime)}
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def start(self, name: str, *arguments: str) -> "subprocess.Popen[str]":
        """Start `hftd NAME ...`; its output goes to NAME.out and NAME.err."""
        out = self._undo.enter_context((self.folder / f"{name}.out").open("w"))
        err = self._undo.enter_context((self.folder / f"{name}.err").open("w"))
        process = subprocess.Popen(
            [sys.executable, "-m", "daemon.cli", name, *arguments],
            cwd=self.folder,
            env=self._environment,
            stdout=out,
            stderr=err,
            text=True,
        )
        self._undo.callback(self.stop, process)
        return process

    def run(self, name: str, *arguments: str) -> str:
        """Run `hftd NAME ...` to its end, and give its stdout."""
        process = self.start(name, *arguments)
        assert process.wait(_WAIT_S) == 0, self.said(name)
        return (self.folder / f"{name}.out").read_text()

    def stop(self, process: "subprocess.Popen[str]") -> None:
        """Interrupt it, and wait."""
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(20.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def said(self, name: str) -> str:
        """What a process wrote."""
        return "".join((self.folder / f"{name}.{end}").read_text() for end in ("out", "err"))

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds."""
        deadline_ns = monotonic_ns() + int(_WAIT_S * 1e9)
        while not condition():
            assert monotonic_ns() < deadline_ns, "it never came to be"
            sleep(0.1)

    def exchange_and_connector(self, *, connector: str) -> "subprocess.Popen[str]":
        """Start both; `connector` is the configuration behind the addresses. Returns when there is a valid book."""
        self.start(
            "exchange",
            "--venue",
            "binancefutures",
            "--date",
            "20220831",
            "--config",
            "exchange.toml",
            "--json",
        )
        self.until(lambda: (self.folder / "exchange.out").read_text().endswith("\n"))
        urls = msgspec.json.decode((self.folder / "exchange.out").read_bytes())
        addresses = {"stream_url": urls["streams"], "api_url": urls["rest"], "ws_api_url": urls["ws_api"]}
        text = "".join(f'{key} = "{url}"\n' for key, url in addresses.items())
        (self.folder / "binancefutures.toml").write_text(text + connector)
        process = self.start("connector", "--config", "binancefutures.toml", "--log", "json")
        self.until(lambda: '"book_valid"' in self.said("connector"))
        self.until(lambda: '"orders_connected"' in self.said("connector"))
        return process
