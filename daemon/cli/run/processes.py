"""Child processes of a command: their lines in one queue, and none of them left behind."""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import IO, Self

_LINES_WAITING_MAX = 1000
"""More lines wait in the child's pipe, and the child with them."""
_LINES_KEPT_MAX = 60
_GRACE_S = 5.0
"""How long a child may take to leave after SIGINT before it is killed."""


class Child:
    """One process, `python -m daemon.cli ...`, in a session of its own: a Ctrl-C reaches only its parent.

    If its parent is killed, so that nobody is left to stop it, it is interrupted by the system.

    Args:
        name: What its lines are called.
        arguments: Those of `hftd`.
        environment: All of its environment.
        folder: Where its stdout is kept.
        lines: Gets (name, line) for each line of its stderr.
    """

    def __init__(
        self,
        name: str,
        arguments: list[str],
        environment: dict[str, str],
        folder: Path,
        lines: "queue.Queue[tuple[str, str]]",
    ) -> None:
        self.name = name
        self.arguments = arguments
        self._stdout_path = folder / f"{name}.stdout"
        self._kept: deque[str] = deque(maxlen=_LINES_KEPT_MAX)
        with self._stdout_path.open("wb") as stdout:
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-m", "daemon.cli.run.child", str(os.getpid()), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,
                text=True,
                errors="replace",
            )
        assert self.process.stderr is not None
        self._reader = threading.Thread(target=self._read, args=(self.process.stderr, lines), daemon=True)
        self._reader.start()

    def _read(self, stream: IO[str], lines: "queue.Queue[tuple[str, str]]") -> None:
        for line in stream:
            text = line.rstrip()
            # Progress for programs is no help to someone who looks for a cause.
            if not text.startswith("{"):
                self._kept.append(text)
            lines.put((self.name, text))

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self.process.poll()

    @property
    def stdout(self) -> bytes:
        """What it has written to stdout."""
        return self._stdout_path.read_bytes()

    def last_lines(self) -> str:
        """The end of its stderr, once it has ended."""
        self._reader.join(timeout=1.0)
        return "\n".join(self._kept)

    def wait(self, timeout_s: float) -> None:
        """Wait for its end, but not longer than that."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout_s)

    def interrupt(self) -> None:
        """Tell it to end."""
        if self.code is None:
            self.process.send_signal(signal.SIGINT)

    def stop(self) -> None:
        """Interrupt it, and kill it if it stays."""
        self.interrupt()
        if self.code is None:
            self.wait(_GRACE_S)
        if self.code is None:
            self.process.kill()
            self.process.wait()


class Children:
    """Child processes that end with this block, the last one first."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self._environment = environment
        self._folder = folder
        self._lines: queue.Queue[tuple[str, str]] = queue.Queue(_LINES_WAITING_MAX)
        self.all: list[Child] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Readers that wait for room in the queue must not hold up a child that is to leave.
        drain = threading.Thread(target=self._drain, daemon=True)
        drain.start()
        for child in reversed(self.all):
            child.stop()

    def start(self, name: str, *arguments: str, **environment: str) -> Child:
        """Start one more, with what it alone has in its environment."""
        child = Child(name, list(arguments), self._environment | environment, self._folder, self._lines)
        self.all.append(child)
        return child

    def next_line(self, timeout_s: float) -> tuple[str, str] | None:
        """The next line of any child as (name, line); None if there is none in that time."""
        try:
            return self._lines.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def _drain(self) -> None:
        while True:
            self._lines.get()


@contextlib.contextmanager
def exiting_on_sigterm() -> Iterator[None]:
    """Turn SIGTERM, and the end of the terminal, into SystemExit meanwhile, so that blocks are left in order.

    The children have sessions of their own, so nothing but this process tells them that a terminal was closed.
    """

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
