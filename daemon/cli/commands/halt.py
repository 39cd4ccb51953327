"""`hftd halt`."""

import click

from daemon.cli.options import json_option

_EPILOG = """\b
Examples:
  hftd halt bf --reason "news at two"

Cancels always pass; the bots stay attached, and are told REASON_HALTED for
what they send. Exit code 1: some orders could not be asked to be cancelled
yet; the daemon goes on trying.
"""


@click.command("halt", epilog=_EPILOG)
@click.argument("name")
@click.option("--reason", default="", help="Why, for the daemon's log and `hftd status`.")
@json_option
def command(name: str, reason: str, as_json: bool) -> int:
    """Have a connector cancel all open orders and refuse new ones, until `hftd resume`."""
    from daemon.cli.asking import halt_or_resume
    from hftd import wire

    return halt_or_resume(name, wire.ASK_HALT, reason, as_json)
