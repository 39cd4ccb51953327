"""A symbol's file of a day: frames are appended to it, and notes to its quality file; by the writer's thread alone.

A file belongs to one process at a time, by a lock. Who finds it taken begins another part of the day,
``BTCUSDT_20240808.2.zst``; so a process can record before the one that it takes the place of has ended. Nothing is ever
overwritten: what is appended begins behind the last whole frame, and what can be read of a torn one is written again.
"""

import contextlib
import fcntl
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

from daemon.collector import frames
from daemon.collector.frames import Compression, Frame
from hftd import recording
from hftd.errors import DataError
from hftd.recording import DAY_NS, Begin, Broken, Note

PARTS_MAX: Final = 64
"""Of a day; so many processes may record it at once."""


def day_of(ns: int) -> int:
    """The UTC day of a moment, counted from 1970."""
    return ns // DAY_NS


def day_text(day: int) -> str:
    """It as YYYYMMDD."""
    return f"{datetime.fromtimestamp(day * DAY_NS // 1_000_000_000, UTC):%Y%m%d}"


def file_name(symbol: str, day: int, part: int, compression: Compression) -> str:
    """The name of a part of a day; what no file name may hold is escaped as in addresses."""
    number = f".{part}" if part > 1 else ""
    return f"{quote(symbol, safe='')}_{day_text(day)}{number}{frames.suffix_of(compression)}"


class DayFile:
    """See the module.

    Args:
        folder: The exchange's.
        symbol: Whose it is.
        day: Which one, counted from 1970.
        compression: How it is packed.
        level: Of the compression.

    Raises:
        OSError: It can't be opened.
        DataError: All parts of the day are taken.
    """

    def __init__(self, folder: Path, symbol: str, day: int, compression: Compression, level: int) -> None:
        self._compression: Compression = compression
        self._level = level
        self._frame: Frame | None = None
        self._frames: list[bytes] = []  # whole ones that could not be written yet
        self._notes: list[bytes] = []
        self._doubt_ns = -1  # from when on something is missing of what was not written yet
        self.path, self._handle = self._take(folder, symbol, day)
        try:
            self._quality = os.open(
                recording.quality_path(self.path), os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644
            )
            try:
                self._size = self._mend()
            except BaseException:
                os.close(self._quality)
                raise
        except BaseException:
            os.close(self._handle)
            raise
        self._quality_size = os.fstat(self._quality).st_size

    def _take(self, folder: Path, symbol: str, day: int) -> tuple[Path, int]:
        folder.mkdir(parents=True, exist_ok=True)
        for part in range(1, PARTS_MAX + 1):
            path = folder / file_name(symbol, day, part, self._compression)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                frames.whole_size(handle, self._compression)
            except (BlockingIOError, ValueError):
                # Another process's, or not ours at all: it is left alone.
                os.close(handle)
                continue
            except BaseException:
                os.close(handle)
                raise
            return path, handle
        raise DataError(f"all {PARTS_MAX} parts of the day are taken", where=str(path))

    def _mend(self) -> int:
        """After a kill or a power failure: where to go on. Notes what the former process could not say any more."""
        size = os.fstat(self._handle).st_size
        end, last = frames.whole_size(self._handle, self._compression)
        if end < size:
            torn = os.pread(self._handle, min(size - end, frames.TORN_MAX), end)
            lines = frames.unpack(torn, self._compression)
            lines = lines[: lines.rfind(b"\n") + 1]
            os.ftruncate(self._handle, end)
            if lines:
                frame = frames.new_frame(self._compression, self._level)
                frame.add(lines)
                last, end = end, end + self._append(self._handle, frame.end(), end)
        notes = recording.read_notes(recording.quality_path(self.path))
        quality_size = os.fstat(self._quality).st_size
        if quality_size and os.pread(self._quality, 1, quality_size - 1) != b"\n":
            os.write(self._quality, b"\n")
        if recording.is_open(notes):
            last_ns = max(last_line_ns(self._handle, last, end, self._compression), 0)
            whole_ns = max(note.ns for note in notes if isinstance(note, recording.Whole))
            at_ns = max(recording.sure_until(notes, last_ns), whole_ns)
            os.write(self._quality, recording.encode(Broken(at_ns, at_ns, "the recorder was gone")) + b"\n")
        return end

    def add(self, lines: bytes) -> None:
        """Pack lines into the frame that is open."""
        if self._frame is None:
            self._frame = frames.new_frame(self._compression, self._level)
        self._frame.add(lines)

    def note(self, note: Note) -> None:
        """Say something in the quality file, behind what was added so far."""
        if isinstance(note, Broken | recording.Missing | recording.Unheard):
            self._doubt_ns = note.ns if self._doubt_ns < 0 else min(self._doubt_ns, note.ns)
        self._notes.append(recording.encode(note) + b"\n")

    def flush(self) -> None:
        """Close the open frame and write it.

        Raises:
            OSError: It can't be written: it is kept, and written at the next time.
        """
        if self._frame is not None:
            frame, self._frame = self._frame, None
            self._frames.append(frame.end())
        if self._frames and self._doubt_ns >= 0:
            # Whoever is killed between the lines and the notes must have said so.
            self._say(recording.encode(recording.Doubt(self._doubt_ns)) + b"\n")
            os.fdatasync(self._quality)
            self._doubt_ns = -1
        while self._frames:
            self._size += self._append(self._handle, self._frames[0], self._size)
            del self._frames[0]
        if self._notes:
            # What it says holds for what is in the file.
            self._say(b"".join(self._notes))
            self._notes.clear()
            self._doubt_ns = -1
        os.fdatasync(self._handle)

    def _say(self, data: bytes) -> None:
        self._quality_size += self._append(self._quality, data, self._quality_size)

    @property
    def is_behind(self) -> bool:
        """Whether something could not be written yet."""
        return bool(self._frames or self._notes)

    def _append(self, handle: int, data: bytes, at: int) -> int:
        """Write all of it behind what is there, or nothing."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.pwrite(handle, view, at + len(data) - len(view)) :]
        except BaseException:
            with contextlib.suppress(OSError):
                os.ftruncate(handle, at)
            raise
        return len(data)

    def close(self) -> None:
        """Let it go; what `flush` did not write is lost."""
        os.close(self._quality)
        os.close(self._handle)


def last_line_ns(handle: int, start: int, end: int, compression: Compression) -> int:
    """The time of the last line of the frame from `start` to `end`; -1 without one."""
    if end <= start:
        return -1
    lines = frames.unpack(os.pread(handle, end - start, start), compression)
    line = lines[lines.rfind(b"\n", 0, len(lines) - 1) + 1 :]
    text = line.partition(b" ")[0]
    return int(text) if text.isdigit() else -1


def begin_note(ns: int, version: str) -> Begin:
    """What a process says first of a file."""
    return Begin(ns, version, os.getpid())
