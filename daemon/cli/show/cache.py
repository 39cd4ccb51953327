"""Prepared archives: what was made, what there is, and what was taken out."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.cli.show import text
from sim.results.parts import Part, Table, line, notes

if TYPE_CHECKING:
    from sim.feed.preparing import Preparation


def prepared(done: list["Preparation"], sentences: list[str]) -> Iterator[Part]:
    """What was prepared, file by file."""
    rows = [
        [
            *_what(one),
            text.duration(one.seconds) if one.made else text.NOTHING,
            "" if one.made else "was there",
        ]
        for one in done
    ]
    if rows:
        columns = ("~file", "=~tick", "=~lot", "~for", "=~rows", "=~size", "=~took", "~")
        yield Table(columns, rows, is_boxed=False, keys=1)
    yield from notes(sentences)


def cache(report: dict[str, Any]) -> Iterator[Part]:
    """What there is in the cache, and what was taken out."""
    for damaged in report.get("damaged", ()):
        where = f"{damaged['source']} ({Path(damaged['file']).name})"
        yield line(("damaged: ", "red bold"), f"{where}: {damaged['what']}")
    if "damaged" in report and not report["damaged"]:
        yield line("all checksums are right")
    if "pruned" in report:
        pruned = report["pruned"]
        yield line(f"taken out: {text.count(pruned['files'], 'file')}, {text.size(pruned['bytes'])}")
    entries = report["entries"]
    limit = f"{text.size(report['bytes'])} of at most {text.size(report['max_bytes'])}"
    count = text.count(len(entries), "prepared archive")
    yield line(f"{report['folder']}: {count}, {limit}", style="bold", wraps=False)
    if foreign := report["foreign_files"]:
        yield line(f"other files in that folder, which are never touched: {foreign:,}", wraps=False)
    if entries:
        columns = ("~source", "=~tick", "=~lot", "~for", "=~rows", "=~size", "~last use")
        yield Table(
            columns, [[*_what(one), text.moment(one.used_ns)] for one in entries], is_boxed=False, keys=1
        )


def _what(one: Any) -> list[str]:
    sizes = f"{one.rows:,}", text.size(one.size_bytes)
    return [one.source, f"{one.tick_size:g}", f"{one.lot_size:g}", one.use, *sizes]
