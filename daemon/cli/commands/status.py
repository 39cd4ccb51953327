"""`hftd status`."""

import click

from daemon.cli.options import json_option
from daemon.cli.show.output import put

_EPILOG = """\b
Examples:
  hftd status                 every daemon of this user's runtime directory
  hftd status bf              the daemon that serves the channel bf
  hftd status bf --json | jq '.daemons[0].bots[].orders'
  hftd status --json | jq '.bots[].legs[] | {channel, position, troubles}'

The daemons are asked through their channels' sockets and go on meanwhile.

\b
Exit code:
  0  no warnings
  1  a state that needs a person (docs/live.md lists them), a daemon
     that was not named does not answer, or one that a bot needs is away
  3  the daemon that was named does not answer
"""


@click.command("status", epilog=_EPILOG)
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """Show the daemons that run: channels, books, bots, open orders, positions, limits used.

    A bot that trades on several daemons is shown over all of them as well.
    """
    from daemon.cli.asking import report_of

    report = report_of(name)
    from daemon.cli.show.status import daemons

    put(report, daemons(report), as_json=as_json)
    is_away = any(leg.is_away for bot in report.bots for leg in bot.legs)
    if report.silent or is_away or any(daemon.warnings for daemon in report.daemons):
        click.get_current_context().exit(1)
