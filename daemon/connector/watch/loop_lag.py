"""How long the event loop stands still.

While one thing in the loop takes its time, nothing else happens: no cancel goes out, no fill is taken. So something is
due every `EVERY_S`, and how much later it comes is the lag. What is not the loop's doing is taken off: the time in
which this thread could run and the system let others run (`run_delay` of `/proc/thread-self/schedstat`), and a stop of
the whole process (SIGSTOP), which its end (SIGCONT) tells of.
"""

import asyncio
import contextlib
import os
import signal
import threading
from typing import Final

from hftd.clock import monotonic_ns

EVERY_S: Final = 0.01
LONG_NS: Final = 50_000_000
"""Longer ones are counted."""
SIGNAL_NS: Final = 250_000_000
"""So long after a process went on its SIGCONT may come."""
_MS: Final = 1_000_000


class LoopLag:
    """Measures it, from `start` to `close`.

    Attributes:
        max_ns: The longest so far.
        long: How often it was longer than `LONG_NS`.
    """

    def __init__(self) -> None:
        self.max_ns = 0
        self.long = 0
        self._due_ns = 0
        self._delay_ns = 0
        self._found: list[tuple[int, int]] = []
        self._fd = -1
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hears_signals = False

    def start(self) -> None:
        """Measure the loop that runs."""
        with contextlib.suppress(OSError):
            self._fd = os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        self._loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            self._loop.add_signal_handler(signal.SIGCONT, self._on_continued)
            self._hears_signals = True
        self._wait()

    def close(self) -> None:
        """Measure no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._loop is not None and self._hears_signals:
            self._loop.remove_signal_handler(signal.SIGCONT)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def counters(self) -> dict[str, int]:
        """For the status, in milliseconds."""
        return {"loop_lag_max_ms": self.max_ns // _MS, "loop_lags_long": self.long}

    def _wait(self) -> None:
        assert self._loop is not None
        self._due_ns = monotonic_ns() + int(EVERY_S * 1e9)
        self._delay_ns = self._run_delay_ns()
        self._timer = self._loop.call_later(EVERY_S, self._on_time)

    def _on_time(self) -> None:
        now_ns = monotonic_ns()
        late_ns = now_ns - self._due_ns
        # What was found counts a little later: the signal that tells of a stop may be handled after this.
        while self._found and now_ns - self._found[0][0] >= SIGNAL_NS:
            self._count(self._found.pop(0)[1])
        if late_ns > self.max_ns or late_ns > LONG_NS:
            self._found.append((now_ns, late_ns - (self._run_delay_ns() - self._delay_ns)))
        self._wait()

    def _count(self, lag_ns: int) -> None:
        self.max_ns = max(self.max_ns, lag_ns)
        self.long += lag_ns > LONG_NS

    def _on_continued(self) -> None:
        """The process was stopped: the lag that was found is that."""
        self._found.clear()

    def _run_delay_ns(self) -> int:
        if self._fd < 0:
            return 0
        try:
            return int(os.pread(self._fd, 100, 0).split()[1])
        except (OSError, ValueError, IndexError):
            return 0
