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
Exit code, the first of these that holds:
  3   no daemon runs, one does not answer, or one that a bot needs is away
  10  halted: by hand, by a limit, or a bot by one of its limits
  11  a connection to the exchange is down, or was not up yet
  12  a book is not valid
  1   another state that needs a person (docs/live.md lists them)
  0   none of these
2 is for a command line that is wrong.
"""


@click.command("status", epilog=_EPILOG)
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """Show the daemons that run: channels, books, bots, open orders, positions, limits used.

    A bot that trades on several daemons is shown over all of them as well.
    """
    from daemon.cli.asking import report_of
    from daemon.cli.failing import show
    from daemon.cli.health import NO_ANSWER, exit_code
    from hftd.errors import ChannelError

    try:
        report = report_of(name)
    except ChannelError as error:
        # Whatever it is called elsewhere: here it is what was asked for.
        show(error)
        click.get_current_context().exit(NO_ANSWER)
    from daemon.cli.show.status import daemons

    put(report, daemons(report), as_json=as_json)
    click.get_current_context().exit(exit_code(report))
