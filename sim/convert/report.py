"""What a conversion says about its capture: a Struct that turns into a plain dict and into JSON."""

from typing import Any

import msgspec

from hftd.recording import Gap
from sim.convert.rows.crossed import Crossed


class Place(msgspec.Struct, kw_only=True):
    """A line of an input, counted from 1, and what is wrong there."""

    file: str
    line: int
    what: str


class Break(msgspec.Struct, kw_only=True):
    """A place where an update does not follow the one before: `previous_id` should be `expected_id`."""

    file: str
    line: int
    local_ts: int
    expected_id: int
    previous_id: int


class Sequence(msgspec.Struct, kw_only=True):
    """How the depth updates follow each other.

    Attributes:
        gaps: Updates before which others are missing.
        repeats: Updates that were there before, or come late.
        first: The first of both.
    """

    gaps: int = 0
    repeats: int = 0
    first: list[Break] = []


class Span(msgspec.Struct, kw_only=True):
    """The first and the last time of a clock, in nanoseconds since the Unix epoch."""

    first_ts: int
    last_ts: int

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.last_ts - self.first_ts) / 1e9


class Report(msgspec.Struct, kw_only=True):
    """What was converted, and what the capture is like.

    Attributes:
        venue: The converter.
        symbol: The symbol whose rows were taken, upper case; empty if no message names one.
        inputs: The captures, in the order given.
        output: The archive.
        lines: Lines read.
        lines_by_kind: Lines that gave rows, by what they are.
        rows: Rows of the archive.
        rows_by_kind: Rows before any was split, by kind.
        rows_split: Rows that became two, as the clocks disagree on their place.
        exch: The span by the exchange's clock.
        local: The span by the local clock, corrected.
        latency_min_ns: The least `local_ts - exch_ts` before the correction.
        clock_correction_ns: Added to each local time; 0 if no row came before it was sent.
        sequence: Gaps in the updates of the book.
        gaps: Windows in which something is missing, by the notes of a recorder.
        crossed: Crossed books.
        ignored: Lines without rows, by reason.
        unreadable: The first lines that were torn or not understood.
        not_converted: Events and streams that are not converted or were not asked for, by name.
        exchange_errors: Error objects, by code.
        symbols: Lines by symbol.
        lines_in_us: Lines whose local time was in microseconds; all others are in nanoseconds.
        damage: What of the inputs is lost, in sentences; a conversion with damage ends with exit code 1.
        notes: What else the user should know.
        bytes_read: Bytes of the inputs.
        bytes_text: Bytes of text in them.
        bytes_written: Bytes of the archive.
        seconds: How long it took, behind compiling.
        megabytes_per_second: Text converted in each of these seconds.
    """

    venue: str
    symbol: str
    inputs: list[str]
    output: str
    lines: int
    lines_by_kind: dict[str, int]
    rows: int
    rows_by_kind: dict[str, int]
    rows_split: int
    exch: Span
    local: Span
    latency_min_ns: int
    clock_correction_ns: int
    sequence: Sequence
    gaps: list[Gap] = []
    crossed: Crossed
    ignored: dict[str, int]
    unreadable: list[Place]
    not_converted: dict[str, int]
    exchange_errors: dict[str, int]
    symbols: dict[str, int]
    lines_in_us: int
    damage: list[str]
    notes: list[str]
    bytes_read: int
    bytes_text: int
    bytes_written: int
    seconds: float
    megabytes_per_second: float

    @property
    def exit_code(self) -> int:
        """0, or 1 if a part of the inputs is lost."""
        return 1 if self.damage else 0

    def to_dict(self) -> dict[str, Any]:
        """The report as plain dicts, lists, numbers and strings."""
        return msgspec.to_builtins(self)

    def to_json(self) -> str:
        """The report as JSON, indented."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode()
