"""Whether each loop of the connector goes round; systemd's watchdog is fed by that alone, never by a timer.

A loop that has not gone round for `LATE_S` is stuck: an `await` that never ends, a task that is gone. Then nothing is
fed any more, and after `WatchdogSec` systemd ends the process and starts another, which reads the journal and asks the
exchange. Who runs without systemd sees the warning.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import structlog

from daemon.warnings import Warn
from hftd.clock import monotonic_ns
from hftd.control.notify import ALIVE, how, notify

LATE_S: Final = 20.0
"""Longer than any loop may take to go round, and than a connection may take to be made."""

_log = structlog.get_logger("hftd.connector")


class Watchdog:
    """See the module.

    Args:
        progress: By loop, when it last went round (monotonic ns).
        state: How the connector is, in a line.
    """

    def __init__(self, progress: Callable[[], Mapping[str, int]], state: Callable[[], str]) -> None:
        self._progress = progress
        self._state = state
        self._told: set[str] = set()

    def look(self) -> None:
        """Feed systemd's watchdog if all go round; to be called by one of the loops, each second."""
        stuck = self._stuck()
        for name in stuck.keys() - self._told:
            _log.error("loop_stuck", loop=name, for_s=round(stuck[name], 1))
        self._told = set(stuck)
        if stuck:
            notify(how(_words(stuck)))
        else:
            notify(ALIVE, how(self._state()))

    def warnings(self) -> Iterator[Warn]:
        """Loops that are stuck."""
        if stuck := self._stuck():
            yield Warn(
                "loop_stuck",
                f"{_words(stuck)}: systemd starts the connector anew; without it, do so yourself",
            )

    def _stuck(self) -> dict[str, float]:
        now_ns = monotonic_ns()
        quiet = {name: (now_ns - at_ns) / 1e9 for name, at_ns in self._progress().items()}
        return {name: quiet_s for name, quiet_s in quiet.items() if quiet_s > LATE_S}


def _words(stuck: Mapping[str, float]) -> str:
    return "; ".join(f"the {name} loop has been stuck for {quiet_s:.0f} s" for name, quiet_s in stuck.items())
