"""A run that was made again, beside what its file says."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from daemon.cli.show import text
from sim.results.parts import Cell, Part, Rows, Table, line, notes

if TYPE_CHECKING:
    from sim.results.verify import FieldChange, TableCheck, Verification

_STYLES = {"equal": "green bold", "differs": "red bold", "inputs changed": "yellow bold"}
_FIELDS_MAX = 6


def verification(found: "Verification") -> Iterator[Part]:
    """What changed of its inputs, each table, and the verdict."""
    if found.inputs:
        rows: Rows = [[one.role, one.path, one.what] for one in found.inputs]
        yield Table(("", "~file", "~has changed"), rows, keys=2)
    yield Table(
        ("table", "=rows", "=made again", "first difference"), [_row(one) for one in found.tables], keys=1
    )
    for one in found.tables:
        if one.first is not None:
            yield line(f"{one.table}, row {one.first:,}{_time(one)}: {_fields(one.fields)}")
    for name, (before, now) in found.versions.items():
        yield from notes([f"{name}: {before} then, {now} now"])
    yield from notes([*found.notes, *filter(None, [found.part])])
    verdict = {
        "equal": f"equal: made again from the same {text.count(found.files, 'file')}, bit for bit",
        "differs": "differs: see the first differences above",
        "inputs changed": "equal, but not made from the same files",
    }[found.verdict]
    yield line(verdict, style=_STYLES[found.verdict])


def _row(one: "TableCheck") -> list[Cell]:
    first: Cell = ("none", "green") if one.first is None else (f"row {one.first:,}", "red")
    return [one.table, f"{one.rows:,}", f"{one.rows_again:,}", first]


def _time(one: "TableCheck") -> str:
    return f" at {text.moment(one.time_ns)}" if one.time_ns else ""


def _fields(changes: list["FieldChange"]) -> str:
    """The values of a row that differ."""
    if changes and all(one.recorded is None for one in changes):
        return "only made again has it"
    if changes and all(one.again is None for one in changes):
        return "only the file has it"
    more = f" and {len(changes) - _FIELDS_MAX} more" if len(changes) > _FIELDS_MAX else ""
    told = (f"{one.field} {one.recorded!r} then, {one.again!r} now" for one in changes[:_FIELDS_MAX])
    return ", ".join(told) + more
