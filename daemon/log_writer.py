"""A daemon's stderr, from which nothing ever waits or fails.

Whoever reads it may have stopped reading (a pager, a supervisor that is stopped), may be gone, or its disk may be full.
So lines go into a queue, and a thread writes them: `write` neither raises nor waits. What can't be written is tried
again until it can; a queue that is full takes nothing more, and counts what it did not take. When there is room again,
a line says how many are missing.

Limits: `QUEUE_BYTES` wait, `LINE_BYTES` of one text are kept, and at a normal end the rest has `CLOSE_S` to get out.
"""

import os
import select
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from hftd.clock import monotonic_ns

QUEUE_BYTES: Final = 4 << 20
LINE_BYTES: Final = 64 << 10
CLOSE_S: Final = 1.0
STUCK_NS: Final = 5_000_000_000
"""A write that takes so long is told of: nobody reads."""
SHOWN_NS: Final = 3_600_000_000_000
"""How long lines that were dropped are told of."""
_BATCH_BYTES: Final = 64 << 10
_PAUSE_S: Final = 0.1
_PAUSE_MAX_S: Final = 5.0


def _note_plainly(dropped: int) -> str:
    return f"warning: {dropped:,} lines of the log were dropped here: they could not be written\n"


class LogWriter:
    """Writes lines to a descriptor, in a thread of its own.

    Args:
        fd: The descriptor; it stays its owner's.
        queue_bytes: So much waits at most.

    Attributes:
        note: Makes the line that says how many lines are missing.
        dropped: Texts that were not written, since the start.
    """

    def __init__(self, fd: int, *, queue_bytes: int = QUEUE_BYTES) -> None:
        self.note: Callable[[int], str] = _note_plainly
        self.dropped = 0
        self._fd = fd
        self._queue_bytes = queue_bytes
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._unsaid = 0
        self._dropped_ns = 0
        self._busy_ns = 0
        self._why = ""
        self._is_closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, text: str) -> None:
        """Have a text written, if there is room; it never raises and never waits."""
        try:
            data = text.encode("utf-8", "backslashreplace")
        except Exception:
            data = b"a line of the log could not be encoded\n"
        if len(data) > LINE_BYTES:
            data = data[:LINE_BYTES] + b" ... (shortened)\n"
        with self._changed:
            if self._queued + len(data) > self._queue_bytes:
                self.dropped += 1
                self._unsaid += 1
                self._dropped_ns = monotonic_ns()
                return
            self._queue.append(data)
            self._queued += len(data)
            self._changed.notify()

    def trouble(self) -> str:
        """What is the matter with the log now, or lately; empty if nothing is."""
        now_ns = monotonic_ns()
        busy_ns, why = self._busy_ns, self._why
        what = ""
        if why:
            what = f"the log can't be written: {why}"
        elif busy_ns and now_ns - busy_ns > STUCK_NS:
            what = "the log can't be written: nobody reads it"
        elif self._dropped_ns and now_ns - self._dropped_ns < SHOWN_NS:
            what = "the log could not be written for a while"
        if not what:
            return ""
        return f"{what}; {self.dropped:,} lines were dropped. Look at what stderr is connected to"

    def close(self, timeout_s: float = CLOSE_S) -> bool:
        """Write what waits, as far as that takes no longer; whether all was written."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive() and not self._queued

    # The thread.

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._queue:
                    if self._is_closing:
                        return
                    self._changed.wait()
                batch = self._next_batch()
            if not self._write_out(batch):
                return
            with self._changed:
                self._queued -= len(batch)
                unsaid, self._unsaid = self._unsaid, 0
                if unsaid:
                    # Those that wait came before the first one that was dropped.
                    said = self.note(unsaid).encode()
                    self._queue.append(said)
                    self._queued += len(said)

    def _next_batch(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        while self._queue and (not parts or size + len(self._queue[0]) <= _BATCH_BYTES):
            part = self._queue.popleft()
            parts.append(part)
            size += len(part)
        return b"".join(parts)

    def _write_out(self, batch: bytes) -> bool:
        """Write it, however long that takes; whether it was written (what can't be at the end is left)."""
        left = memoryview(batch)
        pause_s = _PAUSE_S
        self._busy_ns = monotonic_ns()
        while left:
            try:
                left = left[os.write(self._fd, left) :]
            except (BlockingIOError, InterruptedError):
                # Somebody made it non-blocking, and it is full.
                self._wait_until_writable()
            except OSError as error:
                self._why = error.strerror or type(error).__name__
                if self._is_closing:
                    return False
                with self._changed:
                    self._changed.wait_for(lambda: self._is_closing, pause_s)
                pause_s = min(2 * pause_s, _PAUSE_MAX_S)
            else:
                self._why = ""
                pause_s = _PAUSE_S
        self._busy_ns = 0
        return True

    def _wait_until_writable(self) -> None:
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        poll.poll(1000)


current: LogWriter | None = None
"""What stands before this process's stderr, if something does."""


def trouble() -> str:
    """What is the matter with this process's log; empty if nothing is."""
    return current.trouble() if current is not None else ""


def dropped() -> int:
    """How many texts of this process's log were not written."""
    return current.dropped if current is not None else 0
