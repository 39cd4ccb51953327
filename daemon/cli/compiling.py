"""What is being compiled, on stderr: only the first run of a version compiles, and it takes a while.

Loading compiled code from the cache is not worth a word, so nothing is shown before the first function that
was not there. Plain writes, no library: this is on a bot's way to its first event.
"""

import contextlib
import sys
from collections.abc import Iterator
from typing import TextIO

from hftd.clock import monotonic_ns
from hftd.compiled import jit

_LINE_EVERY_NS = 3_000_000_000
_CLEAR = "\r\x1b[2K"


class Compiling:
    """Counts what is compiled and says so.

    Args:
        stream: Where to; None is whatever sys.stderr is at that moment.
        live: Rewrite one line as on a terminal; else a line each few seconds.
    """

    def __init__(self, stream: TextIO | None = None, *, live: bool) -> None:
        self.stream = stream
        self.live = live
        self.count = 0
        self.seconds = 0.0
        self._said_ns = 0

    def begin(self, name: str) -> None:
        """A function is about to be compiled or loaded."""
        if not self.count:
            return
        total = max(len(jit.kernels), self.count + 1)
        text = f"compiling {self.count + 1} of up to {total}: {name}"
        if self.live:
            self._write(f"{_CLEAR}{text[:78]}")
        elif monotonic_ns() - self._said_ns >= _LINE_EVERY_NS:
            self._line(text)

    def done(self, name: str, seconds: float) -> None:  # noqa: ARG002
        """A function was compiled: it was not in the cache."""
        if not self.count:
            self._line("compiling what is new since the last run (the next one finds it in the cache)")
        self.count += 1
        self.seconds += seconds
        if self.live:
            self._write(f"{_CLEAR}{self._summary()}")

    def finish(self) -> None:
        """No more will come."""
        if self.count:
            self._write(f"{_CLEAR if self.live else ''}{self._summary()}\n")

    def _summary(self) -> str:
        return f"compiled {self.count} function{'s' if self.count > 1 else ''} in {self.seconds:.1f} s"

    def _line(self, text: str) -> None:
        self._said_ns = monotonic_ns()
        self._write(f"{text}\n")

    def _write(self, text: str) -> None:
        stream = self.stream or sys.stderr
        stream.write(text)
        stream.flush()


@contextlib.contextmanager
def watching(mode: str) -> Iterator[None]:
    """Show on stderr what is compiled meanwhile.

    Args:
        mode: The value of `--progress`; `plain` leaves a terminal's lines alone.
    """
    if mode == "none":
        yield
        return
    shown = Compiling(live=mode == "auto" and sys.stderr.isatty())
    jit.on_compiling.append(shown.begin)
    jit.on_compiled.append(shown.done)
    try:
        yield
    finally:
        jit.on_compiling.remove(shown.begin)
        jit.on_compiled.remove(shown.done)
        shown.finish()
