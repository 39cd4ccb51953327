"""`hftd resume`."""

import click

from daemon.cli.options import json_option

_EPILOG = """\b
Examples:
  hftd resume bf

The bots need not be started again.
"""


@click.command("resume", epilog=_EPILOG)
@click.argument("name")
@json_option
def command(name: str, as_json: bool) -> int:
    """Have a halted connector take orders again."""
    from daemon.cli.halting import halt_or_resume
    from hftd import wire

    return halt_or_resume(name, wire.ASK_RESUME, "", as_json)
