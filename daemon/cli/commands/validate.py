"""`hftd validate`."""

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daemon.cli.options import (
    FILE,
    POSITIVE,
    json_option,
    lot_option,
    picture_option,
    progress_option,
    tick_option,
)
from daemon.cli.show.output import check_outputs, put, put_picture

if TYPE_CHECKING:
    from sim.checks import Fixed, Limits, Validation

_EPILOG = """\b
Examples:
  hftd validate btcusdt_20240808.npz
  hftd validate day1.npz day2.npz --tick-size 0.1 --lot-size 0.001
  hftd validate day.npz --picture day.png --json
  hftd validate day.npz --fix sound.npz

Several archives are taken as consecutive days. Tick and lot size are guessed
from the first rows if they are not given, and the guess is said.

--fix writes a copy with the rows in the order of both clocks, without rows
that can't be played and without doubled trades, and moves the local clock
where rows arrive before they were sent. What it changed, and what is left,
is shown; the exit code is that of the copy. With several archives OUT is a
folder.

Exit codes: 0 sound (notes do not count), 1 problems found, 2 an archive can't
be read or an option is wrong.
"""


@click.command("validate", epilog=_EPILOG)
@click.argument("files", type=FILE, nargs=-1, required=True, metavar="FILE...")
@tick_option
@lot_option
@click.option(
    "--gap",
    "gap_s",
    type=POSITIVE,
    metavar="SECONDS",
    help="A longer pause of the feed is a gap. Default: 20 times its usual pauses, at least 5 s.",
)
@click.option(
    "--jump",
    "jump_s",
    type=POSITIVE,
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="A row whose latency differs by more from those before has a wrong time.",
)
@click.option("--fix", "fix_to", type=FILE, metavar="OUT", help="Write a corrected copy.")
@click.option(
    "--base-latency-ns",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="With --fix: the least latency that is believed where the local clock is moved.",
)
@picture_option("latency, spread and problems over time")
@click.option(
    "--rows",
    type=click.IntRange(min=0, max=16),
    default=3,
    show_default=True,
    help="Rows to show of each problem.",
)
@json_option
@progress_option
def command(
    files: tuple[Path, ...],
    tick_size: float | None,
    lot_size: float | None,
    gap_s: float | None,
    jump_s: float,
    fix_to: Path | None,
    base_latency_ns: int,
    picture: Path | None,
    rows: int,
    as_json: bool,
    progress_mode: str,
) -> int:
    """Look for what is wrong with archives: order, gaps, crossed books, prices, times, clocks, doubles."""
    from daemon.cli.compiling import watching
    from daemon.cli.importing import importing
    from daemon.cli.show.progress import Share

    with importing():
        from sim.checks import Limits, examine

    check_outputs(picture)
    limits = Limits(
        tick_size=tick_size,
        lot_size=lot_size,
        gap_ns=None if gap_s is None else round(gap_s * 1e9),
        jump_ns=round(jump_s * 1e9),
    )
    outputs = _outputs(files, fix_to)
    with watching("none" if progress_mode == "none" else "plain"):
        with Share("checking", mode=progress_mode) as progress:
            report, series = examine(files, limits=limits, progress=progress)
        fixed = [
            _fix(file, output, limits, base_latency_ns, progress_mode)
            for file, output in zip(files, outputs, strict=False)
        ]
        after: Validation | None = None
        if fixed:
            with Share("checking the copy", mode=progress_mode) as progress:
                after = examine(outputs, limits=limits, progress=progress)[0]
    from daemon.cli.show import archives, charts

    if picture is not None:
        put_picture(picture, charts.archive(report, series))
    shown = archives.validation(report, rows)
    if after is None:
        put(report, shown, as_json=as_json)
    else:
        document = {**report.to_dict(), "fixed": [one.to_dict() for one in fixed], "after": after.to_dict()}
        put(document, chain(shown, archives.fixed(fixed, after)), as_json=as_json, indent=2)
    return (after or report).exit_code


def _outputs(files: tuple[Path, ...], fix_to: Path | None) -> list[Path]:
    """Where the corrected copies go."""
    from hftd.errors import UsageError

    if fix_to is None:
        return []
    if len(files) == 1 and not fix_to.is_dir():
        return [fix_to]
    if not fix_to.is_dir():
        raise UsageError(
            "with several archives --fix takes a folder that is there",
            where=str(fix_to),
            hint="make it first",
        )
    if len({file.name for file in files}) < len(files):
        raise UsageError("two of the archives have one name, and would become one copy", where=str(fix_to))
    return [fix_to / file.with_suffix(".npz").name for file in files]


def _fix(file: Path, output: Path, limits: "Limits", base_latency_ns: int, mode: str) -> "Fixed":
    from daemon.cli.show.progress import Share
    from sim.checks import fix

    with Share(f"writing {output.name}", mode=mode) as progress:
        return fix(file, output, limits=limits, base_latency_ns=base_latency_ns, progress=progress)[0]
