"""Child processes of a command: what they say, how they fail, and none of them left behind."""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import IO, Self

from hftd.clock import monotonic_ns
from hftd.errors import HftdError

READY_MAX_S = 300
"""A daemon compiles at its first start; longer than this it can't take."""

_LINES_WAITING_MAX = 1000
"""More lines wait in the child's pipe, and the child with them."""
_LINES_KEPT_MAX = 60
_FOLDER_BYTES_MAX = 60
"""A socket's path has at most 107 bytes; this leaves 46 for the runtime directory's name and the socket's."""
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
    """Child processes that end with this block, the last one first.

    Args:
        runtime: Their runtime directory, where their stdout is kept too.

    Attributes:
        all: Those that were started.
        on_line: Told of each line of their stderr, with the child's name.
    """

    def __init__(self, runtime: Path) -> None:
        self.runtime = runtime
        self.all: list[Child] = []
        self.on_line: Callable[[str, str], None] = lambda _name, _line: None
        self._environment = os.environ | {"HFTD_RUNTIME_DIR": str(runtime)}
        self._lines: queue.Queue[tuple[str, str]] = queue.Queue(_LINES_WAITING_MAX)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Readers that wait for room in the queue must not hold up a child that is to leave.
        drain = threading.Thread(target=self._drain, daemon=True)
        drain.start()
        for child in reversed(self.all):
            child.stop()

    def _drain(self) -> None:
        while True:
            self._lines.get()

    def start(self, name: str, *arguments: str, **environment: str) -> Child:
        """Start one more, with what it alone has in its environment."""
        child = Child(name, list(arguments), self._environment | environment, self.runtime, self._lines)
        self.all.append(child)
        return child

    def relay(self, timeout_s: float) -> bool:
        """Hand on the lines that are there, waiting for the first one; whether there were any."""
        for number in range(_LINES_WAITING_MAX):
            try:
                name, line = self._lines.get(timeout=0.0 if number else timeout_s)
            except queue.Empty:
                return number > 0
            self.on_line(name, line)
        return True

    def check(self) -> None:
        """Raise if one has failed; if several did, for the first: the others' failures follow from it."""
        if not any(child.code for child in self.all):
            return
        for child in self.all:
            child.wait(1.0)
        failed = next(child for child in self.all if child.code)
        code = failed.code or 0
        how = f"failed with exit code {code}" if code > 0 else f"was ended by signal {-code}"
        said = failed.last_lines() or "(nothing)"
        what = f"hftd {failed.arguments[0]} {how}; its last words:\n\n{said}\n"
        raise HftdError(what, where=f"hftd {' '.join(failed.arguments)}")

    def until(self, limit_s: float, what: str, where: str, timeout_s: float = 0.05) -> Iterator[None]:
        """Again and again while none has failed, for so long at most; `what` is the error then."""
        for _ in ticks(limit_s):
            self.relay(timeout_s)
            self.check()
            yield
        raise HftdError(f"{what} in {limit_s:.0f} s", where=where)


def ticks(limit_s: float) -> Iterator[None]:
    """Again and again until so many seconds have passed."""
    end_ns = monotonic_ns() + int(limit_s * 1e9)
    while monotonic_ns() < end_ns:
        yield


def short_temporary_folder() -> str:
    """The system's temporary folder, or `/tmp` where that one's path is too long for sockets below it."""
    chosen = tempfile.gettempdir()
    return chosen if len(os.fsencode(chosen)) <= _FOLDER_BYTES_MAX else "/tmp"  # noqa: S108 (mkdtemp's mode is 0700)


@contextlib.contextmanager
def supervised() -> Iterator[Children]:
    """Children with a runtime directory of their own, which is gone with them."""
    with (
        tempfile.TemporaryDirectory(prefix="hftd-demo-", dir=short_temporary_folder()) as runtime,
        exiting_on_sigterm(),
        Children(Path(runtime)) as children,
    ):
        yield children


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
