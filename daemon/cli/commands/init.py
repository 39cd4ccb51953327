"""`hftd init`."""

from pathlib import Path
from typing import Final

import click

from daemon.cli.importing import importing
from daemon.cli.options import FILE

_EPILOG = """\b
Examples:
  hftd init my_maker
  cd my_maker
  hftd backtest --bot configs/bot.toml --date 20220831

The project has a strategy (maker.py), its configurations for a backtest, a
replay and a local exchange, a test, a README with the commands, and a
generated day to run it on.
"""
_SECONDS: Final = 300.0


@click.command("init", epilog=_EPILOG)
@click.argument("folder", type=FILE, metavar="DIR")
@click.option("--seed", type=click.IntRange(min=0), default=7, show_default=True, help="Of the day.")
def command(folder: Path, seed: int) -> None:
    """Make a project in a new or empty folder: a strategy, its configurations, a test, a day to run it on."""
    with importing():
        from daemon.cli.compiling import watching
        from daemon.cli.run.demo import make_folder, originals
        from daemon.cli.show.progress import Share
        from daemon.cli.show.text import size
        from hftd.errors import UsageError
        from sim.generate import DEMO, DEMO_DATE, write_day

    try:
        is_free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    except OSError as error:
        raise UsageError(f"it can't be looked into: {error.strerror}", where=str(folder)) from None
    if not is_free:
        raise UsageError("the folder is not empty", where=str(folder), hint="name a new one: hftd init DIR")
    template = originals() / "project"
    written = sorted(path.relative_to(template) for path in template.rglob("*") if path.is_file())
    for path in written:
        if "__pycache__" in path.parts:
            continue
        target = folder / (".gitignore" if path.name == "gitignore" else path)
        make_folder(target.parent)
        try:
            # What holds a key is only for its owner, as the connector asks for.
            target.touch(mode=0o600 if path.name == "local.toml" else 0o666)
            target.write_bytes((template / path).read_bytes())
        except OSError as error:
            raise UsageError(f"it can't be written: {error.strerror}", where=str(target)) from None
        click.echo(f"  {target}", err=True)
    with watching("plain"), Share("generating") as progress:
        days = write_day(
            folder / "data",
            DEMO[:1],
            seed=seed,
            date=DEMO_DATE,
            duration_s=_SECONDS,
            compress=True,
            progress=lambda share: progress(share, 1.0),
        )
    for path in days:
        click.echo(f"  {path}  {size(path.stat().st_size)}", err=True)
    click.echo(f"\nNext:\n  cd {folder}\n  hftd backtest --bot configs/bot.toml --date {DEMO_DATE}")
