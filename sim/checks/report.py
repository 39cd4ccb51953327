"""What a check of archives says: Structs that turn into plain dicts and into JSON."""

from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from hftd.recording import Gap

ERROR: Final = "error"
WARNING: Final = "warning"
NOTE: Final = "note"


class Place(msgspec.Struct, kw_only=True):
    """A row where something was found.

    Attributes:
        file: The archive.
        row: The row's number in it, counted from 0.
        exch_ts: Its times, ns.
        local_ts: Its times, ns.
        ev: Its flags and kind.
        px: Its price; None if it is not finite.
        qty: Its quantity; None if it is not finite.
        amount: By how much (see the problem's `unit`); None where that has no meaning.
    """

    file: str
    row: int
    exch_ts: int
    local_ts: int
    ev: int
    px: float | None
    qty: float | None
    amount: int | None


class Problem(msgspec.Struct, kw_only=True):
    """One kind of problem.

    Attributes:
        name: What programs know it by.
        severity: `error`: the engine refuses such an archive or can't play it right; `warning`: a run will not
            mean what it seems to; `note`: worth knowing, and no fault by itself.
        what: What is wrong, in a sentence.
        hint: What can be done.
        count: How many rows, or stretches of time, are like that.
        unit: What amounts are in: `ns`, `messages`, or empty if there are none.
        total: The amounts together.
        most: The greatest.
        first: The first places.
    """

    name: str
    severity: str
    what: str
    hint: str = ""
    count: int = 0
    unit: str = ""
    total: int = 0
    most: int = 0
    first: list[Place] = []


class Latency(msgspec.Struct, kw_only=True):
    """Feed latencies (`local_ts - exch_ts`) in nanoseconds; the percentiles to within 0.4%."""

    rows: int
    min_ns: int
    p1_ns: int
    p10_ns: int
    p50_ns: int
    p90_ns: int
    p99_ns: int
    p999_ns: int
    max_ns: int


class Drift(msgspec.Struct, kw_only=True):
    """How the two clocks run apart: a line through the least latencies over time (Theil and Sen's).

    Attributes:
        ns_per_s: Its slope; positive if the local clock is too fast.
        total_ns: What that makes over the whole span.
        scatter_ns: Half of the least latencies lie closer to the line.
    """

    ns_per_s: float
    total_ns: int
    scatter_ns: int


class Spread(msgspec.Struct, kw_only=True):
    """Best ask less best bid in ticks, over the messages that left the book sound."""

    messages: int
    p50_ticks: int
    p99_ticks: int
    max_ticks: int


class Trades(msgspec.Struct, kw_only=True):
    """Trades against the book as it was received before them.

    Attributes:
        count: All of them, with the local side's flag.
        at_best: At the opposite best price.
        inside: Within the spread.
        through: Beyond the opposite best.
        behind: At the best price of their own side or behind it: the book was not up to date.
        unknown: Without a side, without a sound book, or too far away from it to be believed.
    """

    count: int
    at_best: int
    inside: int
    through: int
    behind: int
    unknown: int


class FileRows(msgspec.Struct, kw_only=True):
    """One archive: its rows, and its span by both clocks in nanoseconds (None if no row is of that clock).

    Behind the rows of one whose writer was killed may be some `torn_bytes`.
    """

    file: str
    rows: int
    exch_first_ts: int | None
    exch_last_ts: int | None
    local_first_ts: int | None
    local_last_ts: int | None
    torn_bytes: int = 0


class Validation(msgspec.Struct, kw_only=True):
    """What is in archives, and what is wrong with them.

    Attributes:
        files: In the order given, taken as consecutive.
        rows: Of all of them, as they stand in the files.
        rows_by_kind: Rows before any was split, by the names of their kinds: one that became two counts once.
        split_rows: Rows that became two, one for each clock.
        tick_size: By which prices were judged.
        tick_guessed: Whether it was guessed from the first rows.
        lot_size: By which quantities were judged.
        lot_guessed: Whether it was guessed from the first rows.
        gap_ns: Pauses longer than that are gaps.
        gap_guessed: Whether that limit was taken from the pauses of the first rows.
        jump_ns: Rows whose latency is away by more than that from the rows before are jumps.
        px_min: The lowest price; None without one.
        px_max: The highest price; None without one.
        latency: By `all`, `book`, `trades`; only those that there are.
        drift: None if there is too little to tell.
        spread: None without a book.
        trades: Where they stood.
        problems: The worst first; empty if there are none.
        notes: What else the user should know.
        seconds: How long it took, without compiling.
        missing: Windows in which something is missing, by what the recorder said.
    """

    files: list[FileRows]
    rows: int
    rows_by_kind: dict[str, int]
    split_rows: int
    tick_size: float
    tick_guessed: bool
    lot_size: float
    lot_guessed: bool
    gap_ns: int
    gap_guessed: bool
    jump_ns: int
    px_min: float | None
    px_max: float | None
    latency: dict[str, Latency]
    drift: Drift | None
    spread: Spread | None
    trades: Trades
    problems: list[Problem]
    notes: list[str]
    seconds: float
    missing: list[Gap] = []

    def problem(self, name: str) -> Problem | None:
        """The problem of that name, if it was found."""
        return next((problem for problem in self.problems if problem.name == name), None)

    def count(self, name: str) -> int:
        """How often a problem was found."""
        found = self.problem(name)
        return found.count if found else 0

    @property
    def is_sound(self) -> bool:
        """Whether there are neither errors nor warnings."""
        return all(problem.severity == NOTE for problem in self.problems)

    @property
    def exit_code(self) -> int:
        """0, or 1 if there are errors or warnings."""
        return 0 if self.is_sound else 1

    def to_dict(self) -> dict[str, Any]:
        """The report as plain dicts, lists, numbers and strings."""
        return msgspec.to_builtins(self)

    def to_json(self) -> str:
        """The report as JSON, indented."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode()


class Series(msgspec.Struct, kw_only=True):
    """The archive over time, for a picture.

    Attributes:
        start_ts: When each stretch begins, local clock, shape (n,).
        width_ns: How long each is.
        buckets: Shape (n,), `sim.checks.layout.bucket_dtype`.
        tick_size: That of the spreads.
    """

    start_ts: NDArray[np.int64]
    width_ns: int
    buckets: NDArray[np.void]
    tick_size: float
