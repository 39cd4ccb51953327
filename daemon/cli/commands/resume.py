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
    from daemon.cli.asking import halt_or_resume
    from hftd.channel import wire

    ok, halted = halt_or_resume(name, wire.ASK_RESUME, "")
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode(halted))
    else:
        click.echo(f"{name} takes orders again")
        if halted.left:
            click.echo(f"{halted.left:,} orders could not be asked to be cancelled yet", err=True)
    return 0 if ok else 1
