"""What a long run tells whoever watches it.

A run is given a `Progress` and calls it about ten times a second; the command line draws it. A run that
nobody watches is given `Silent`.
"""

from typing import Protocol


class Progress(Protocol):
    """A watcher of a run; its methods must return at once, and are called from one thread."""

    def say(self, text: str) -> None:
        """A stage of the run in one line, such as "waiting for the bot 'mm'"."""
        ...

    def update(self, rows: int, rows_total: int, now_ns: int) -> None:
        """How far the run is.

        Args:
            rows: Rows of events that were played.
            rows_total: Rows of the whole run; 0 if that is not known.
            now_ns: The simulated time, in nanoseconds since the Unix epoch; 0 before it starts.
        """
        ...


class Silent:
    """Nobody watches."""

    def say(self, text: str) -> None:
        """Not shown."""

    def update(self, rows: int, rows_total: int, now_ns: int) -> None:
        """Not shown."""
