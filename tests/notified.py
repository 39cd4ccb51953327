"""What a daemon tells systemd, heard by a test."""

import os
import socket
from pathlib import Path
from typing import Self

import pytest

from hftd.clock import monotonic_ns, sleep


class Listener:
    """Stands for systemd: what is told to `$NOTIFY_SOCKET` of this process, and of those that it starts."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.said: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        # A socket's path is short, and a test's folder may be long.
        name = f"@hftd-test-{os.getpid()}-{folder.name}"
        self._socket.bind(f"\0{name[1:]}")
        self._socket.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def heard(self) -> list[str]:
        """The messages that came since the last time."""
        found: list[str] = []
        while True:
            try:
                found.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                self.said += found
                return found

    def has(self, state: str) -> bool:
        """Whether a state was told so far."""
        self.heard()
        return any(state in message.splitlines() for message in self.said)

    def until(self, state: str, seconds: float = 60.0) -> str:
        """Wait for a message with a state, from now on; give the message."""
        deadline_ns = monotonic_ns() + int(seconds * 1e9)
        while True:
            for message in self.heard():
                if state in message.splitlines():
                    return message
            assert monotonic_ns() < deadline_ns, (state, self.said)
            sleep(0.02)

    def first(self, seconds: float = 60.0) -> str:
        """The first message of all."""
        deadline_ns = monotonic_ns() + int(seconds * 1e9)
        while not self.said:
            assert monotonic_ns() < deadline_ns, "nothing was told"
            self.heard()
            sleep(0.02)
        return self.said[0]

    def is_fed_within(self, seconds: float) -> bool:
        """Whether the watchdog is fed from now on."""
        self.heard()
        deadline_ns = monotonic_ns() + int(seconds * 1e9)
        while monotonic_ns() < deadline_ns:
            if any("WATCHDOG=1" in message.splitlines() for message in self.heard()):
                return True
            sleep(0.02)
        return False
