"""What survives the process: requests, executions and outcomes, in an append-only file."""

from pathlib import Path
from typing import Literal


class Journal:
    """The file, open for writing by this process alone. `Journal.open` makes one.

    Attributes:
        last_run: The highest run number that wrote into it, 0 for a new one.
        torn_bytes: How much was cut off its end, because a last write was not completed.
    """

    last_run: int
    torn_bytes: int

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        rotate_bytes: int = 64 << 20,
        on_damage: Literal["refuse", "keep_beginning"] = "refuse",
    ) -> "Journal":
        """Open or create it, and read what it holds.

        Raises:
            ConfigError: Another process writes it, or its folder can't be used.
            DataError: It is damaged in the middle.
        """
        raise NotImplementedError

    def sync(self) -> None:
        """Have the disk keep what was written, against a loss of power; it may block for milliseconds.

        A kill of the process loses nothing even without it.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Close it; again does nothing."""
        raise NotImplementedError
