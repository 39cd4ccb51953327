"""Processes that are killed: copies of one that has imported everything."""

import json
import os
import select
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class Process:
    """A process that is not our child: a copy of the fork server."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._pidfd = os.pidfd_open(pid)

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._pidfd >= 0 and not select.select([self._pidfd], [], [], 0)[0]

    def signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self.is_alive:
            signal.pidfd_send_signal(self._pidfd, number)

    def close(self) -> None:
        """Kill it, and let go of it."""
        self.signal(signal.SIGKILL)
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1


class Forks:
    """The process whose copies connector and bots are: it has imported and loaded everything; a copy starts at once."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.children"],
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._server.stdout is not None
        assert self._server.stdout.readline() == "ready\n"

    def start(self, name: str, folder: Path, *arguments: Any) -> Process:
        """A new process."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps([name, str(folder), *arguments]) + "\n")
        self._server.stdin.flush()
        return Process(int(self._server.stdout.readline()))

    def close(self) -> None:
        """End it."""
        self._server.kill()
        self._server.communicate()


@dataclass
class BotProcess:
    """A bot, its lives and its policy."""

    name: str
    end: str
    process: Process | None = None
    lives: int = 0
    seed: int = 0

    @property
    def is_alive(self) -> bool:
        """Whether its process runs."""
        return self.process is not None and self.process.is_alive
