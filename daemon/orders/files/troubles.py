"""What of a journal's files can hurt while they are in use: for `hftd status`, beside the log's one line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from daemon.warnings import Warn
from hftd.clock import monotonic_ns

RECENT_NS: Final = 900_000_000_000
"""A torn end is told for so long: what the exchange has is compared meanwhile."""


class Troubles:
    """The troubles of one journal.

    Args:
        path: The journal.
        torn_bytes: So many were cut off at its end when it was opened.

    Attributes:
        damaged_bytes: So many were moved aside when it was opened, with whole records among them.
        not_rotated: Why the next file could not be begun; "" if the last one could.
        not_packed: Why a part could not be packed, and which; "" if all could. The thread that packs sets it.
    """

    def __init__(self, path: Path, torn_bytes: int) -> None:
        self.damaged_bytes = 0
        self.not_rotated = ""
        self.not_packed = ""
        self._path = path
        self._torn_bytes = torn_bytes
        self._opened_ns = monotonic_ns()

    def warnings(self) -> Iterator[Warn]:
        """What of them is so now."""
        if self.damaged_bytes:
            yield Warn(
                "journal_damaged",
                f"the journal was damaged: its last {self.damaged_bytes:,} bytes are in {self._path}.damaged and were "
                "not taken over: compare positions and orders with the exchange's",
            )
        elif self._torn_bytes and monotonic_ns() - self._opened_ns < RECENT_NS:
            yield Warn(
                "journal_record_incomplete",
                f"the journal ended within a record, as after a loss of power: {self._torn_bytes:,} bytes are gone; "
                "compare positions and orders with the exchange's",
            )
        if self.not_rotated:
            yield Warn(
                "journal_not_rotated",
                f"the next file of the journal {self._path} can't be begun: {self.not_rotated}; the one in use is "
                "written on and grows, and it is tried again: make room on its disk",
            )
        if self.not_packed:
            yield Warn(
                "journal_part_not_packed",
                f"a part of the journal can't be packed and takes its room unpacked: {self.not_packed}; it is tried "
                "again after the next one",
            )
