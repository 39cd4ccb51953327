"""All benchmarks, one after the other: `python -m benchmarks [NAME...] [--json | --markdown]`.

Each runs in a process of its own. The figures of a run can be kept (`--json > figures.json`) and shown again
(`--read figures.json`); `--into docs/benchmarks.md` puts them into that page.
"""

import argparse
import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.processes import ROOT, environment
from benchmarks.table import markdown_table, text_table

NAMES = (
    *("engine", "models", "life", "startup", "channel", "latency"),
    *("convert", "convert_vendors", "live", "collect"),
)
_BEGIN = "<!-- figures: python -m benchmarks --into docs/benchmarks.md -->"
_END = "<!-- end of figures -->"


def measured(names: list[str]) -> dict[str, Any]:
    """The figures of these benchmarks by name.

    Raises:
        RuntimeError: One of them failed.
    """
    found: dict[str, Any] = {}
    for name in names:
        print(f"measuring: {name}", file=sys.stderr, flush=True)
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}", "--json"],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"the benchmark {name} failed")
        found[name] = json.loads(done.stdout.splitlines()[-1])
    return found


def as_text(figures: dict[str, Any]) -> str:
    """One table a benchmark, for a terminal."""
    return _joined(figures, text_table, "{}\n")


def as_markdown(figures: dict[str, Any]) -> str:
    """One table a benchmark, for a page."""
    return _joined(figures, markdown_table, "### {}\n")


def _joined(figures: dict[str, Any], drawn: Any, heading: str) -> str:
    parts = []
    for name, found in figures.items():
        module = importlib.import_module(f"benchmarks.{name}")
        notes = "\n".join(f"{note}  " for note in module.notes(found))
        header, rows = module.table(found)
        parts.append(
            "\n".join([heading.format(name.capitalize()), notes, "", drawn(header, rows) if rows else ""])
        )
    return "\n\n".join(part.rstrip() for part in parts)


def put_into(page: Path, figures: dict[str, Any]) -> None:
    """Replace what stands between the page's two marks."""
    text = page.read_text()
    if _BEGIN not in text or _END not in text:
        sys.exit(f"{page} has no place for figures: it must have the lines\n{_BEGIN}\n{_END}")
    head, _, rest = text.partition(_BEGIN)
    tail = rest.partition(_END)[2]
    page.write_text(f"{head}{_BEGIN}\n\n{as_markdown(figures)}\n\n{_END}{tail}")


def main() -> None:
    """Measure, or read, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all by default")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--markdown", action="store_true", help="tables for a page")
    parser.add_argument(
        "--read", type=Path, metavar="FIGURES.json", help="show these figures, measure nothing"
    )
    parser.add_argument("--into", type=Path, metavar="PAGE.md", help="put the tables into this page")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in NAMES]:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}")
    if options.read is not None:
        figures = json.loads(options.read.read_text())
        figures = {name: found for name, found in figures.items() if name in (options.names or NAMES)}
    else:
        figures = measured(options.names or list(NAMES))
    if options.into is not None:
        put_into(options.into, figures)
    if options.json:
        print(json.dumps(figures))
    elif options.markdown:
        print(as_markdown(figures))
    else:
        print(as_text(figures))


if __name__ == "__main__":
    main()
