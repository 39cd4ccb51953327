"""Windows of a run in which something is missing of its data: what was played, and was filled, without knowing all."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from hftd.errors import HftdError
from hftd.recording import Gap
from hftd.runfile import AssetMeta
from sim.archive.gaps import read_gaps
from sim.stats.executions import Executions

ROWS_MAX: Final = 50
"""Of more windows, a table shows the longest ones."""


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """A window, by the clock of the run's records.

    Attributes:
        from_ns: Until then all is there.
        noticed_ns: From when on the book was not valid.
        until_ns: From then on all is there again.
        kind: "book", or "trades" where only trades are missing.
        why: What happened.
        fills: Executions in it.
    """

    from_ns: int
    noticed_ns: int
    until_ns: int
    kind: str
    why: str
    fills: int


class MissingTable(NamedTuple):
    """What is shown of them: a cell for each column (headings as of `sim.results.parts.Table`), and a title."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str


def missing_of(
    meta: AssetMeta, times: Any, done: Executions, data: Sequence[Path] | None, notes: list[str]
) -> list[Missing]:
    """What the archives of an asset say is missing while it was recorded; nothing where they are not there.

    Args:
        meta: The asset.
        times: Of its records.
        done: Its executions.
        data: Archives to look at in place of those that the run names.
        notes: What could not be read is told there.
    """
    if not len(times):
        return []
    first, last = times[[0, -1]].astype("datetime64[ns]").astype(np.int64).tolist()
    found: list[Gap] = []
    for path in data if data else map(Path, meta.data):
        try:
            found += read_gaps(path) if path.is_file() else ()
        except HftdError as error:
            notes.append(f"{meta.symbol}: what is missing of {path} is not known: {error.what}.")
    shift_ns = meta.feed_latency_offset_ns
    made: list[Missing] = []
    for gap in sorted(found, key=lambda one: (one.from_ns, one.until_ns)):
        from_ns, noticed_ns, until_ns = (ns + shift_ns for ns in (gap.from_ns, gap.noticed_ns, gap.until_ns))
        if from_ns <= last and until_ns >= first:
            fills = int(((done.exch_ts >= from_ns) & (done.exch_ts < until_ns)).sum())
            made.append(
                Missing(
                    from_ns=from_ns,
                    noticed_ns=noticed_ns,
                    until_ns=until_ns,
                    kind=gap.kind,
                    why=gap.why,
                    fills=fills,
                )
            )
    return made


def missing_table(assets: Sequence[tuple[str, Sequence[Missing]]]) -> MissingTable | None:
    """The windows of a run's assets, by name; None where nothing is missing."""
    found = [(name, one) for name, windows in assets for one in windows]
    if not found:
        return None
    shown = sorted(found, key=lambda each: each[1].from_ns - each[1].until_ns)[:ROWS_MAX]
    length_s = sum(one.until_ns - one.from_ns for _, one in found) / 1e9
    fills = sum(one.fills for _, one in found)
    title = f"Missing of the data: {len(found):,} windows, {length_s:,.3f} s in all, {fills:,} fills in them"
    if len(shown) < len(found):
        title += f"; the longest {len(shown)}"
    rows = [
        [
            name,
            one.kind,
            *(_moment(ns) for ns in (one.from_ns, one.noticed_ns, one.until_ns)),
            f"{(one.until_ns - one.from_ns) / 1e9:,.3f}",
            f"{one.fills:,}",
            one.why,
        ]
        for name, one in sorted(shown, key=lambda each: each[1].from_ns)
    ]
    columns = ("asset", "of", "from (UTC)", "noticed", "whole again", "=s", "=fills", "~why")
    return MissingTable(columns, rows, title)


def _moment(ns: int) -> str:
    return str(np.datetime64(ns, "ns").astype("datetime64[ms]")).replace("T", " ")
