"""A sweep's folder.

::

    sweep.json                       what it is: points, days, and hashes of code, configurations and archives
    parts/20240801-00000-KEY.jsonl   what became of the points of a chunk on a day, a line each, in order
    points.jsonl                     each point over all days, when all parts are there

A file appears whole or not at all. What stands in them depends on the sweep alone, not on how it was worked through, so
two of the same are equal, byte for byte.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from hftd.errors import DataError, UsageError
from sim.sweeps.figures import Row
from sim.sweeps.points import Point

_PART_MARK: Final = ".part"


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """What a sweep is.

    Attributes:
        strategy: As the bot's configuration names it.
        code: Hashes of code and configurations by what they are of.
        days: By day the hash of the files that it reads.
        chunk: How many points are played together.
        points: Which.
    """

    strategy: str
    code: dict[str, str]
    days: dict[str, str]
    chunk: int
    points: list[Point]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Points of a sweep that are played together on a day.

    Attributes:
        date: The day.
        first: The number of the first.
        count: How many.
        key: What their results depend on.
    """

    date: str
    first: int
    count: int
    key: str

    def name(self, chunk: int) -> str:
        """Its file's."""
        return f"{self.date}-{self.first // chunk:05d}-{self.key[:16]}.jsonl"


class Store:
    """The folder of a sweep.

    Args:
        folder: It is made if it is not there.

    Raises:
        UsageError: It can't be written, or holds something else.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.parts = folder / "parts"
        try:
            if folder.is_dir() and not (folder / "sweep.json").exists():
                others = [one.name for one in folder.iterdir() if one.name not in (".lock", "parts")]
                if [one for one in others if not one.endswith(_PART_MARK)]:
                    raise UsageError(
                        f"the folder holds other things, such as {sorted(others)[0]}",
                        where=str(folder),
                        hint="give a folder of its own with --out",
                    )
            self.parts.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"the folder can't be made: {error.strerror}", where=str(folder)) from None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let nobody else work on it meanwhile.

        Raises:
            UsageError: Somebody does.
        """
        with (self.folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UsageError("another command works on this sweep", where=str(self.folder)) from None
            # What a killed one has left half written.
            for folder in (self.folder, self.parts):
                for left in folder.glob(f".*{_PART_MARK}"):
                    left.unlink()
            yield

    def begin(self, description: Description) -> None:
        """Note what the sweep is.

        Raises:
            UsageError: The folder holds another one.
        """
        path = self.folder / "sweep.json"
        if path.exists():
            self._compare(read_description(self.folder), description)
        self._write(path, msgspec.json.format(msgspec.json.encode(description), indent=1))

    def _compare(self, before: Description, now: Description) -> None:
        changed = [name for name in now.code if before.code.get(name) != now.code[name]]
        if before.points != now.points:
            changed.append("points")
        changed += [
            f"archives of {day}" for day in now.days if before.days.get(day, now.days[day]) != now.days[day]
        ]
        if set(before.days) != set(now.days):
            changed.append("days")
        if before.chunk != now.chunk:
            changed.append("chunk")
        if changed:
            raise UsageError(
                f"the folder holds a sweep with other {', '.join(changed)}",
                where=str(self.folder),
                hint="what was begun goes on where all of these are as they were; for another sweep give another --out",
            )

    def has(self, name: str) -> bool:
        """Whether a part is there."""
        return (self.parts / name).is_file()

    def put(self, name: str, rows: Iterable[Row]) -> None:
        """Write a part."""
        self._write(self.parts / name, b"".join(msgspec.json.encode(row) + b"\n" for row in rows))

    def finish(self, lines: Iterable[Any]) -> None:
        """Write the points."""
        self._write(self.folder / "points.jsonl", b"".join(msgspec.json.encode(one) + b"\n" for one in lines))

    def _write(self, path: Path, content: bytes) -> None:
        part = path.with_name(f".{path.name}{_PART_MARK}")
        try:
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            raise UsageError(f"the sweep can't be written: {error.strerror}", where=str(path)) from None


def read_description(folder: Path) -> Description:
    """What a folder's sweep is.

    Raises:
        DataError: There is none.
    """
    try:
        return msgspec.json.decode((folder / "sweep.json").read_bytes(), type=Description)
    except OSError as error:
        raise DataError(f"there is no sweep: {error.strerror}", where=str(folder / "sweep.json")) from None
    except msgspec.DecodeError as error:
        raise DataError(f"this is no sweep: {error}", where=str(folder / "sweep.json")) from None


def parts_of(description: Description) -> list[Part]:
    """The parts of a sweep, day by day."""
    from sim.sweeps.keys import part_key

    return [
        Part(
            date=date,
            first=first,
            count=len(points),
            key=part_key(description.code, data, points),
        )
        for date, data in description.days.items()
        for first in range(0, len(description.points), description.chunk)
        for points in [description.points[first : first + description.chunk]]
    ]


def read_rows(folder: Path) -> list[Row]:
    """All rows of a sweep that are there, by day and point.

    Raises:
        DataError: There is no sweep, or a part is broken.
    """
    description = read_description(folder)
    found: list[Row] = []
    for part in parts_of(description):
        path = folder / "parts" / part.name(description.chunk)
        if not path.is_file():
            continue
        try:
            found += msgspec.json.decode(
                b"[" + b",".join(path.read_bytes().splitlines()) + b"]", type=list[Row]
            )
        except (OSError, msgspec.DecodeError) as error:
            raise DataError(f"a part of the sweep can't be read: {error}", where=str(path)) from None
    return found
