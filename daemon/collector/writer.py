"""The thread that packs and writes, so that no disk holds up the event loop.

Limits: `WAITING_MAX` bytes wait for it. Where more come, where the disk has less room than the floor, or where a file
can't be written, it `refuses`: the recorders stop giving it lines, say so in their files as soon as these can be
written, and go on when all that waits is written and there is room again. What it has taken it keeps.
"""

import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from daemon.collector.files import DayFile
from daemon.collector.frames import Compression
from hftd.clock import monotonic_ns
from hftd.errors import HftdError
from hftd.recording import Note

WAITING_MAX: Final = 256 << 20
LOOK_S: Final = 1.0
RESUME: Final = 1.02
"""So much more than the floor must be free before it goes on."""

_log = structlog.get_logger("hftd.collect")


class Key(NamedTuple):
    """Whose file, of which day."""

    venue: str
    symbol: str
    day: int


class Writer:
    """See the module; its methods are for the event loop's thread.

    Args:
        folder: Where the folders of the exchanges are.
        compression: How files are packed.
        level: Of the compression.
        frame_s: How often frames are closed.
        floor_bytes: With less room on the disk it refuses.
        on_closed: Told, in its thread, of each file that was closed in order.

    Attributes:
        trouble: Why it refuses; empty if it does not.
        waiting: Bytes that wait for it.
        written: Bytes that it wrote.
        free: Bytes of room on the disk; -1 if not known.
        progress_ns: When its thread last went round, or was started (monotonic).
    """

    def __init__(
        self,
        folder: Path,
        compression: Compression,
        level: int,
        frame_s: float,
        floor_bytes: int,
        on_closed: Callable[[Key, Path], None] = lambda _key, _path: None,
    ) -> None:
        self._folder = folder
        self._compression: Compression = compression
        self._level = level
        self._frame_ns = int(frame_s * 1e9)
        self._floor = floor_bytes
        self._on_closed = on_closed
        self._tasks: deque[tuple[Key, bytes | Note | None]] = deque()
        self._wake = threading.Event()
        self._is_ending = False
        self._files: dict[Key, DayFile] = {}
        self._closing: set[Key] = set()
        self._errors: dict[Key, str] = {}
        self._size = 0
        self.trouble = ""
        self.free = -1
        self.frames = 0
        self.progress_ns = monotonic_ns()
        self._taken = 0
        self._done = 0
        self._thread = threading.Thread(target=self._run, name="collect", daemon=True)

    @property
    def waiting(self) -> int:
        """Bytes that wait for it."""
        return self._taken - self._done

    @property
    def written(self) -> int:
        """Unpacked bytes that it has packed so far."""
        return self._done

    def start(self) -> None:
        """Make the folder, and begin.

        Raises:
            OSError: The folder can't be made.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._look_at_disk()
        self.progress_ns = monotonic_ns()
        self._thread.start()

    def lines(self, key: Key, lines: bytes) -> None:
        """Add lines to a file."""
        self._taken += len(lines)
        self._tasks.append((key, lines))

    def note(self, key: Key, note: Note) -> None:
        """Say something in a file's quality file."""
        self._tasks.append((key, note))

    def close(self, key: Key) -> None:
        """Nothing more comes for a file."""
        self._tasks.append((key, None))

    def end(self) -> None:
        """Write all that waits, and end; to be called where waiting is allowed."""
        self._is_ending = True
        self._wake.set()
        self._thread.join()

    # ---- in the thread

    def _run(self) -> None:
        due_ns = monotonic_ns() + self._frame_ns
        while True:
            ending = self._is_ending
            self._wake.wait(0.0 if ending else min(LOOK_S, self._frame_ns / 4e9))
            try:
                self._take_tasks()
                now_ns = monotonic_ns()
                is_due = now_ns >= due_ns or ending or bool(self._errors)
                if is_due:
                    due_ns = now_ns + self._frame_ns
                self._flush(is_due)
                self._look_at_disk()
                self.progress_ns = now_ns
            except Exception as error:
                # Whatever it is, the loop's side must hear of it.
                _log.exception("collect_writer_failed")
                self.trouble = f"the writer failed: {type(error).__name__}: {error}"
            if ending:
                for file in self._files.values():
                    file.close()
                return

    def _take_tasks(self) -> None:
        for _ in range(len(self._tasks)):
            key, what = self._tasks[0]
            file = self._files.get(key)
            if file is None:
                if what is None:
                    self._tasks.popleft()
                    continue
                try:
                    file = self._files[key] = self._open(key)
                    self._errors.pop(key, None)
                except (OSError, HftdError) as error:
                    # It waits for a better time, and so does all behind it.
                    self._errors[key] = getattr(error, "strerror", None) or str(error)
                    return
            if what is None:
                self._closing.add(key)
            elif isinstance(what, bytes):
                file.add(what)
                self._done += len(what)
            else:
                file.note(what)
            self._tasks.popleft()

    def _open(self, key: Key) -> DayFile:
        return DayFile(self._folder / key.venue, key.symbol, key.day, self._compression, self._level)

    def _flush(self, is_due: bool) -> None:
        for key, file in list(self._files.items()):
            if not is_due and key not in self._closing:
                continue
            try:
                file.flush()
            except OSError as error:
                if key not in self._errors:
                    _log.error("collect_write_failed", path=str(file.path), why=error.strerror)
                self._errors[key] = error.strerror or str(error)
                continue
            self.frames += 1
            self._errors.pop(key, None)
            if key in self._closing:
                self._closing.discard(key)
                file.close()
                del self._files[key]
                self._on_closed(key, file.path)

    def _look_at_disk(self) -> None:
        try:
            found = os.statvfs(self._folder)
            self.free = found.f_bavail * found.f_frsize
        except OSError:
            self.free = -1
        floor = self._floor * RESUME if self.trouble else self._floor
        trouble = ""
        if self._errors:
            key, why = next(iter(self._errors.items()))
            trouble = f"the file of {key.symbol} can't be written: {why}"
        elif 0 <= self.free < floor:
            trouble = (
                f"{self.free >> 20:,} MiB are left on the disk, and the floor is {self._floor >> 20:,} MiB"
            )
        elif self.waiting > (WAITING_MAX // 4 if self.trouble else WAITING_MAX):
            trouble = f"{self.waiting >> 20:,} MiB wait for the disk, which is too slow"
        if trouble and not self.trouble:
            _log.error("collect_paused", why=trouble)
        elif self.trouble and not trouble:
            _log.info("collect_resumed")
        self.trouble = trouble
