"""The files of a run: which days, and where they are."""

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from hftd.errors import DataError, UsageError

DAYS_MAX: Final = 3660
"""A run has at most that many days."""
_PLACEHOLDERS: Final = ("channel", "symbol", "date")
_LISTED_MAX: Final = 10


def parse_dates(text: str) -> list[str]:
    """The days of a run from `20220831`, `20220831,20220902` or `20220831..20220902` (both ends included).

    Returns:
        Days as `YYYYMMDD`, in the order given, without doubles.

    Raises:
        UsageError: A day does not exist, a range goes backwards, or there are none or more than `DAYS_MAX`.
    """
    days: dict[str, None] = {}
    for part in text.split(","):
        first, dots, last = part.strip().partition("..")
        start = _day(first)
        stop = _day(last) if dots else start
        if stop < start:
            raise UsageError(f"the days {part.strip()!r} go backwards")
        if (stop - start).days >= DAYS_MAX:
            raise UsageError(f"the days {part.strip()!r} are more than {DAYS_MAX:,}")
        for number in range((stop - start).days + 1):
            days[f"{start + timedelta(number):%Y%m%d}"] = None
    if len(days) > DAYS_MAX:
        raise UsageError(f"there are {len(days):,} days, more than {DAYS_MAX:,}")
    return list(days)


def _day(text: str) -> date:
    text = text.strip()
    if re.fullmatch(r"[0-9]{8}", text):
        try:
            return date(int(text[:4]), int(text[4:6]), int(text[6:]))
        except ValueError:
            pass
    raise UsageError(
        f"{text!r} is no day", hint="a day is YYYYMMDD; several: 20220831,20220902 or 20220831..20220902"
    )


def find_files(
    pattern: str, dates: list[str], *, channel: str = "", symbol: str = "", base: Path | str = "."
) -> list[Path]:
    """The files of an instrument, one for each day.

    Args:
        pattern: Such as `{channel}/{symbol}_{date}.npz`; a relative one counts from `base`.
        dates: Days as `YYYYMMDD`.
        channel: What `{channel}` stands for.
        symbol: What `{symbol}` stands for; tried as it is, then in lower case.
        base: A folder.

    Returns:
        The files in the order of `dates`.

    Raises:
        UsageError: The pattern has another placeholder, or none for the day where there are several.
        DataError: A file is missing; says which were looked for and which days there are.
    """
    _check_pattern(pattern, dates)
    # The symbol is asked for as it is, then in lower case; where both are the same there is one question.
    symbols = list(dict.fromkeys((symbol, symbol.lower())))
    found: list[Path] = []
    missing: list[str] = []
    for day in dates:
        candidates = [Path(base) / _filled(pattern, channel, name, day) for name in symbols]
        path = next((path for path in candidates if path.is_file()), None)
        if path is None:
            missing += [str(path) for path in candidates]
        else:
            found.append(path)
    if missing:
        days = _days_there(pattern, channel, symbols, Path(base))
        there = f"there is {_listed(days)}" if days else "there is no day of that instrument"
        raise DataError(f"no file for the day: looked for {_listed(missing)}", where=str(base), hint=there)
    return found


def find_snapshot(
    pattern: str, day: str, *, channel: str = "", symbol: str = "", base: Path | str = "."
) -> Path:
    """The file of `initial_snapshot`, with the book before the first row of an instrument.

    Args:
        pattern: As of `find_files`.
        day: The first day of the run, `YYYYMMDD`.
        channel: What `{channel}` stands for.
        symbol: What `{symbol}` stands for; tried as it is, then in lower case.
        base: A folder.

    Raises:
        UsageError: The pattern has another placeholder.
        DataError: The file is missing; says which was looked for, and for which instrument.
    """
    _check_pattern(pattern, [day])
    names = dict.fromkeys((symbol, symbol.lower()))
    looked = list(dict.fromkeys(Path(base) / _filled(pattern, channel, name, day) for name in names))
    for path in looked:
        if path.is_file():
            return path
    raise DataError(
        f"`initial_snapshot` of {channel}/{symbol} names a file that is not there: {_listed([*map(str, looked)])}",
        where=str(base),
        hint="`hftd snapshot` makes such a file from the day before; without the key the book begins empty",
    )


def _check_pattern(pattern: str, dates: list[str]) -> None:
    for name in re.findall(r"\{([^{}]*)\}", pattern):
        if name not in _PLACEHOLDERS:
            raise UsageError(
                f"the pattern {pattern!r} has an unknown {{{name}}}",
                hint="it may have {channel}, {symbol} and {date}",
            )
    if re.sub(r"\{[^{}]*\}", "", pattern).strip("{}") != re.sub(r"\{[^{}]*\}", "", pattern):
        raise UsageError(f"the pattern {pattern!r} has a brace alone")
    if len(dates) > 1 and "{date}" not in pattern:
        raise UsageError(f"the pattern {pattern!r} has no {{date}}, and there are {len(dates)} days")


def _filled(pattern: str, channel: str, symbol: str, day: str) -> str:
    return pattern.replace("{channel}", channel).replace("{symbol}", symbol).replace("{date}", day)


def _days_there(pattern: str, channel: str, symbols: list[str], base: Path) -> list[str]:
    """The days for which there is a file, of those that the pattern's folder holds."""
    days: set[str] = set()
    for symbol in symbols:
        # Only the file's name is searched: a {date} in a folder's name is not worth a walk through the disk.
        filled = Path(base) / _filled(pattern, channel, symbol, "\0")
        folder, name = filled.parent, filled.name
        if "\0" in str(folder) or "\0" not in name or not folder.is_dir():
            continue
        expression = re.compile(re.escape(name).replace(re.escape("\0"), "([0-9]{8})"))
        days.update(match[1] for path in folder.iterdir() if (match := expression.fullmatch(path.name)))
    return sorted(days)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED_MAX} more" if len(names) > _LISTED_MAX else ""
    return ", ".join(names[:_LISTED_MAX]) + more
