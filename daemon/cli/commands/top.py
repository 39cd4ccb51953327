"""`hftd top`."""

import click

_EPILOG = """\b
Examples:
  hftd top                    the daemons of this user's runtime directory
  ssh -t SERVER hftd top      of another machine

\b
Keys: 1 to 9 and 0 choose a table, the arrows left and right go through all,
up and down through its rows; q quits. It asks once a second and changes
nothing. A terminal of 150 columns or more shows more columns.
"""


@click.command("top", epilog=_EPILOG)
def command() -> None:
    """Show all daemons, bots, orders and profits in the terminal."""
    import sys
    from functools import partial

    from hftd.errors import UsageError

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "hftd top needs a terminal", hint="hftd status shows the same once, also with --json"
        )
    try:
        from daemon.cli.top.app import run
    except ImportError:
        raise UsageError(
            "hftd top is drawn by textual, which is not installed", hint="pip install 'hftd[top]'"
        ) from None
    from daemon.cli.asking import states
    from daemon.cli.logs import log_to
    from daemon.ops.web.server import ASK_DAEMONS_S

    # The screen is the app's: what goes wrong stands in it.
    log_to(lambda _: None)
    run(partial(states, ASK_DAEMONS_S))
