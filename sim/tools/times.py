"""Times as users write them: nanoseconds, a date and time, or a time of day."""

import datetime
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from hftd.errors import DataError, UsageError
from hftd.types import EXCH_EVENT, LOCAL_EVENT
from sim.archive.stream import EventReader

_NS: Final = 1_000_000_000
_DAY_NS: Final = 86_400 * _NS
_ISO: Final = re.compile(
    r"(\d{4})-?(\d{2})-?(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?)?(Z|[+-]\d{2}:?\d{2})?"
)
_OF_DAY: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?")


def parse_time(text: str, first_ts: int, last_ts: Callable[[], int] | None = None) -> int:
    """A time in nanoseconds since the Unix epoch.

    Args:
        text: Nanoseconds (`1723161300000000000`), ISO 8601 (`2024-08-08T23:55:00.5`, with `Z` or an offset; UTC without
            one), or a time of day (`23:55`, `23:55:00.5`).
        first_ts: When the archive begins, ns. A time of day is the first such one from its second on that the archive
            reaches; if it reaches none, that of its first day.
        last_ts: Called for when the archive ends, ns, where that decides on which day a time of day is; None: it goes
            on for as long as it has to.

    Raises:
        UsageError: It is written in another way, or there is no such time.
    """
    text = text.strip()
    if re.fullmatch(r"\d{17,19}", text):
        return int(text)
    if match := _OF_DAY.fullmatch(text):
        of_day = _of_day(*match.groups(), text=text)
        at_ts = first_ts // _DAY_NS * _DAY_NS + of_day
        if at_ts >= first_ts // _NS * _NS or (last_ts is not None and at_ts + _DAY_NS > last_ts()):
            return at_ts
        return at_ts + _DAY_NS
    if match := _ISO.fullmatch(text):
        year, month, day, hour, minute, second, fraction, zone = match.groups()
        try:
            date = datetime.date(int(year), int(month), int(day))
        except ValueError:
            raise _wrong(text) from None
        days = (date - datetime.date(1970, 1, 1)).days
        of_day = _of_day(hour or "0", minute or "0", second, fraction, text=text)
        return days * _DAY_NS + of_day - _zone_ns(zone)
    raise _wrong(text)


def _of_day(hour: str, minute: str, second: str | None, fraction: str | None, *, text: str) -> int:
    if int(hour) > 23 or int(minute) > 59 or int(second or 0) > 59:
        raise _wrong(text)
    seconds = int(hour) * 3600 + int(minute) * 60 + int(second or 0)
    return seconds * _NS + int((fraction or "0").ljust(9, "0"))


def _zone_ns(zone: str | None) -> int:
    if zone in (None, "Z"):
        return 0
    digits = zone[1:].replace(":", "")
    size = (int(digits[:2]) * 3600 + int(digits[2:]) * 60) * _NS
    return size if zone[0] == "+" else -size


def _wrong(text: str) -> UsageError:
    return UsageError(
        f"{text!r} is not a time",
        hint="a time is 1723161300000000000 (ns), 2024-08-08T23:55:00.5 or 23:55:00.5 (UTC)",
    )


def first_time(file: Path | str, clock: str = "local") -> int:
    """The first time of a clock in an archive, ns.

    Raises:
        DataError: The archive can't be read, or no row is of that clock.
    """
    flag, name = (LOCAL_EVENT, "local_ts") if clock == "local" else (EXCH_EVENT, "exch_ts")
    with EventReader(file) as reader:
        for block in reader.blocks():
            of_clock = (block["ev"] & np.uint64(flag)) != 0
            if of_clock.any():
                return int(block[name][np.argmax(of_clock)])
    raise DataError(f"no row is of the {clock} clock", where=str(file))


def last_time(file: Path | str, clock: str = "local") -> int:
    """The latest time of a clock in an archive, ns; reads all of it.

    Raises:
        DataError: The archive can't be read, or no row is of that clock.
    """
    flag, name = (LOCAL_EVENT, "local_ts") if clock == "local" else (EXCH_EVENT, "exch_ts")
    found: list[int] = []
    with EventReader(file) as reader:
        for block in reader.blocks():
            times = block[name][(block["ev"] & np.uint64(flag)) != 0]
            found = [max([*found, int(times.max())])] if len(times) else found
    if not found:
        raise DataError(f"no row is of the {clock} clock", where=str(file))
    return found[0]


def how_long(ns: int) -> str:
    """A span of time as in "12 h 5 min"; the two largest units."""
    for unit, size in (("ns", 1_000), ("µs", 1_000_000), ("ms", _NS)):
        if ns < size:
            return f"{ns * 1000 / size:.3g} {unit}"
    if ns < 60 * _NS:
        return f"{ns / _NS:.3g} s"
    seconds = ns // _NS
    for big, small, size, inner in (("d", "h", 86_400, 3_600), ("h", "min", 3_600, 60), ("min", "s", 60, 1)):
        if seconds >= size:
            rest = seconds % size // inner
            return f"{seconds // size} {big}" + (f" {rest} {small}" if rest else "")
    raise AssertionError("a minute and longer is caught above")
