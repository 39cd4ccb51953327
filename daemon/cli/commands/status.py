"""`hftd status`."""

import click

from daemon.cli.options import json_option
from daemon.cli.show.output import put

_EPILOG = """\b
Examples:
  hftd status                 every daemon of this user's runtime directory
  hftd status bf              the daemon that serves the channel bf
  hftd status bf --json | jq '.daemons[0].bots[].orders'

The daemons are asked through their channels' sockets and go on meanwhile.

\b
Exit code:
  0  no warnings
  1  a state that needs a person (docs/live.md lists them), or a daemon
     that was not named does not answer
  3  the daemon that was named does not answer
"""


@click.command("status", epilog=_EPILOG)
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """Show the daemons that run: channels, books, bots, open orders, positions, limits used."""
    from daemon.cli.asking import report_of

    report = report_of(name)
    from daemon.cli.show.status import daemons

    put(report, daemons(report), as_json=as_json)
    if report.silent or any(daemon.warnings for daemon in report.daemons):
        click.get_current_context().exit(1)
