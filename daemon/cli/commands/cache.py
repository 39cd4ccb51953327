"""`hftd cache`."""

from typing import Any

import click

from daemon.cli.importing import importing
from daemon.cli.options import json_option
from daemon.cli.show.output import put

_EPILOG = """\b
Examples:
  hftd cache                        what there is
  hftd cache --check                read all of it, and compare the checksums
  hftd cache --max-size 20GB        keep what was used last, up to that size
  hftd cache --clear

The folder is $HFTD_PREPARED_DIR, else `prepared` beside the compiled code
($HFTD_CACHE_DIR, ~/.cache/hftd). It may take $HFTD_PREPARED_MAX_GB; else 64 GB,
and a quarter of the disk at most.
"""


@click.command("cache", epilog=_EPILOG)
@click.option(
    "--prune", "wants_pruning", is_flag=True, help="Take out what is of no use, and what is too much."
)
@click.option("--max-size", metavar="SIZE", help="Prune to that size, such as 20GB.")
@click.option(
    "--check", "wants_check", is_flag=True, help="Read all of it; take out what is damaged. Exit code 1."
)
@click.option("--clear", "wants_clearing", is_flag=True, help="Take everything out.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    wants_pruning: bool,
    max_size: str | None,
    wants_check: bool,
    wants_clearing: bool,
    as_json: bool,
) -> None:
    """Show the prepared archives, and take some out."""
    with importing():
        from sim.feed import cache
        from sim.feed.preparing import parse_size

    folder = cache.require_folder()
    report: dict[str, Any] = {"folder": str(folder), "max_bytes": cache.max_bytes()}
    if wants_check:
        report["damaged"] = []
        for entry in cache.entries():
            if what := cache.check(entry.path):
                cache.discard(entry.path)
                report["damaged"].append({"file": str(entry.path), "source": entry.source, "what": what})
    if wants_clearing or wants_pruning or max_size is not None:
        limit = 0 if wants_clearing else parse_size(max_size) if max_size is not None else None
        pruned = cache.prune(limit)
        report["pruned"] = {"files": pruned.files, "bytes": pruned.size_bytes}
    entries = cache.entries()
    report["entries"] = entries
    report["bytes"] = sum(entry.size_bytes for entry in entries)
    report["foreign_files"] = len(cache.foreign_files())
    from daemon.cli.show import cache as shown

    put(report, shown.cache(report), as_json=as_json)
    if report.get("damaged"):
        ctx.exit(1)
