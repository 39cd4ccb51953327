"""How what a command found leaves it: as JSON, as tables on stdout, as a picture."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from sim.results.parts import Chart, Part


def check_outputs(*paths: Path | None) -> None:
    """Look whether files can be written, before the work begins; None stands for no file.

    Raises:
        UsageError: One can't.
    """
    if any(paths):
        from hftd.bot.result import check_output

        for path in filter(None, paths):
            check_output(path)


def put(document: Any, parts: "Iterable[Part]", *, as_json: bool, indent: int = 0) -> None:
    """Write a result to stdout.

    Args:
        document: The result, for a program: what msgspec encodes, or what has a `to_json`.
        parts: The same for people; a generator, so that only what is shown is made.
        as_json: Which of the two is written.
        indent: Of the JSON; 0: it stands in one line.
    """
    if as_json:
        click.echo(document.to_json() if hasattr(document, "to_json") else _json(document, indent))
        return
    from daemon.cli.show.terminal import show

    show(parts)


def _json(document: Any, indent: int) -> str:
    import msgspec

    def plain(value: object) -> str:
        if isinstance(value, Path):
            return str(value)
        raise NotImplementedError

    encoded = msgspec.json.encode(document, enc_hook=plain)
    return (msgspec.json.format(encoded, indent=indent) if indent else encoded).decode()


def put_picture(path: Path, chart: "Chart") -> None:
    """Draw a chart, and say where."""
    from daemon.cli.show.picture import draw

    draw(path, chart)
    click.echo(f"the picture is {path}", err=True)
