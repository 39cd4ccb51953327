"""`hftd verify`."""

from pathlib import Path

import click

from daemon.cli.importing import importing
from daemon.cli.options import FILE, json_option, progress_option
from daemon.cli.show.output import put

_EPILOG = """\b
Examples:
  hftd backtest --bot bot.toml --date 20220831 --record run.npz
  hftd verify run.npz                       equal, or what differs
  hftd verify run.npz --moved /data/2024=/srv/2024

\b
The run is made again from what its file says: strategy, parameters and what
was set of them, configuration, archives. Files are compared by their hashes.
Exit code 0: equal; 1: the results differ, or are equal but a file has
changed; 2: it can't be made again, as a live run.
"""


@click.command("verify", epilog=_EPILOG)
@click.argument("run", type=FILE, metavar="RUN.npz")
@click.option(
    "--moved",
    multiple=True,
    metavar="OLD=NEW",
    help="A folder of the run's files that is elsewhere now; may be given several times.",
)
@json_option
@progress_option
def command(run: Path, moved: tuple[str, ...], as_json: bool, progress_mode: str) -> int:
    """Make a recorded run again, and say whether it comes to the same."""
    with importing():
        from daemon.cli.compiling import watching
        from daemon.connector.secrets import forget_environment
        from sim.results.verify import EQUAL, verify

    pairs = [(old, new) for old, _, new in (text.partition("=") for text in moved)]
    if not all(old and new for old, new in pairs):
        raise click.UsageError("--moved is OLD=NEW, as in --moved /data/2024=/srv/2024")
    # Whatever runs in here, a strategy or a model, has no business with the keys of an account.
    forget_environment()
    with watching(progress_mode):
        found = verify(run, moved=pairs)
    from daemon.cli.show.verified import verification

    put(found, verification(found), as_json=as_json)
    return 0 if found.verdict == EQUAL else 1
