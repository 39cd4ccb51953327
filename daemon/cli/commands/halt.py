"""`hftd halt`."""

import click

from daemon.cli.options import json_option
from hftd.errors import UsageError

_EPILOG = """\b
Examples:
  hftd halt bf --reason "news at two"
  hftd halt --all

Cancels always pass; the bots stay attached, and are told REASON_HALTED for
what they send. Connectors are looked for in this user's runtime directory and
in those of systemd's units, /run/hftd among them; who may not enter it is told
what to type. Exit code 1: a connector was not halted, or some orders could not
be asked to be cancelled yet; the daemon goes on trying.
"""


@click.command("halt", epilog=_EPILOG)
@click.argument("name", required=False)
@click.option("--all", "is_all", is_flag=True, help="Halt every connector of this machine.")
@click.option("--reason", default="", help="Why, for the daemon's log and `hftd status`.")
@json_option
def command(name: str | None, is_all: bool, reason: str, as_json: bool) -> int:
    """Have a connector cancel all open orders and refuse new ones, until `hftd resume`."""
    from daemon.cli.halting import halt_all, halt_or_resume
    from hftd import wire

    if (name is None) is not is_all:
        raise UsageError("give the name of one channel, or --all", hint="`hftd status` shows what runs")
    if name is None:
        return halt_all(reason, as_json)
    return halt_or_resume(name, wire.ASK_HALT, reason, as_json)
