"""States that need a person, and how long each has lasted.

Whoever can be in such a state says so when it is asked: a generator of `Warn`, made from what it knows at that
moment, so that nothing has to be taken back. `Warnings` asks them all, each second and whenever `hftd status` does,
keeps when each state was first seen, and logs it once when it begins and once when it is over.
"""

from collections.abc import Callable, Iterable
from typing import Final

import structlog
from msgspec import Struct

from hftd.control import status

WARNINGS_MAX: Final = 200
"""So many are kept at a time; the others are counted in one of their own."""
LOOK_EVERY_S: Final = 1.0

_log = structlog.get_logger("hftd.warnings")


class Warn(Struct, frozen=True):
    """A state that needs a person.

    Attributes:
        key: What kind of state, such as ``book_not_valid``: stable, for programs. docs/live.md lists them.
        text: What is the matter and what to do, for people.
        symbol: The instrument, or the bot, or whatever else there are several of; "" for the whole connector. With the
            key it says which state this is: a text may change while the state lasts.
        after_s: It is told once it has lasted so long: what is over sooner needs nobody.
    """

    key: str
    text: str
    symbol: str = ""
    after_s: float = 0.0


Source = Callable[[], Iterable[Warn]]


class Warnings:
    """What is the matter now, and since when.

    Args:
        sources: Those that may be in a state that needs a person.
    """

    def __init__(self, *sources: Source) -> None:
        self._sources = sources
        self._since_ns: dict[tuple[str, str], int] = {}
        self._told: set[tuple[str, str]] = set()

    @property
    def told(self) -> str:
        """Those that were told in the last look, in a few words: "2 warnings: clock_stepped, unfused"; or ""."""
        if not self._told:
            return ""
        keys = ", ".join(sorted({key for key, _ in self._told}))
        return f"{len(self._told)} {'warning' if len(self._told) == 1 else 'warnings'}: {keys}"

    def look(self, now_ns: int) -> list[status.Warning]:
        """Ask all sources.

        Args:
            now_ns: The time, on the monotonic clock: ages are durations.
        """
        found: dict[tuple[str, str], Warn] = {}
        left_out = 0
        for source in self._sources:
            try:
                for one in source():
                    if len(found) < WARNINGS_MAX or (one.key, one.symbol) in found:
                        found.setdefault((one.key, one.symbol), one)
                    else:
                        left_out += 1
            except Exception as error:
                # What is shown must not end what trades; that it can't be shown is shown.
                found["status_failed", ""] = Warn(
                    "status_failed", f"a part of the status failed: {type(error).__name__}: {error}"
                )
        if left_out:
            found["more", ""] = Warn("more", f"{left_out:,} more warnings are not shown")
        for key in self._since_ns.keys() - found.keys():
            since_ns = self._since_ns.pop(key)
            if key in self._told:
                self._told.discard(key)
                _log.info(
                    "warning_over", key=key[0], symbol=key[1], lasted_s=round((now_ns - since_ns) / 1e9, 1)
                )
        shown: list[status.Warning] = []
        for key, one in found.items():
            age_ns = now_ns - self._since_ns.setdefault(key, now_ns)
            if age_ns < one.after_s * 1e9:
                continue
            if key not in self._told:
                self._told.add(key)
                _log.warning("warning", key=one.key, symbol=one.symbol, text=one.text)
            shown.append(status.Warning(key=one.key, text=one.text, symbol=one.symbol, age_ns=age_ns))
        return shown


class Recent:
    """Whether something that only counts has happened lately, so that what happened is a state for a while.

    Args:
        window_s: For so long.
    """

    def __init__(self, window_s: float = 60.0) -> None:
        self._window_ns = int(window_s * 1e9)
        self._seen: dict[str, tuple[int, int]] = {}

    def grew(self, name: str, count: int, now_ns: int) -> bool:
        """Whether a counter grew within the window; what it was when it was first looked at counts as grown then.

        Args:
            name: The counter's; there must be a limited number of them.
            count: What it is now.
            now_ns: The time, on the monotonic clock.
        """
        before, grown_ns = self._seen.get(name, (0, 0))
        if count != before:
            grown_ns = now_ns if count > before else 0
            self._seen[name] = count, grown_ns
        return grown_ns > 0 and now_ns - grown_ns <= self._window_ns
