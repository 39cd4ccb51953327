"""`hftd set`."""

import click

from daemon.cli.options import json_option

_EPILOG = """\b
Examples:
  hftd set mm                                     its parameters
  hftd set mm half_spread_ticks=6
  hftd set mm half_spread_ticks=6 order_qty=0.02  both at one step

It is for the user of the bot's daemon and root, and only for a bot whose
configuration says `allow_set = true` below [bot]. All values of one command
hold from the same step of the strategy on, until the bot ends: when it starts
again it has the values of its configuration. The daemon's log, the bot's log
and its run file say who set what and when. Exit code 1: the strategy has not
begun another step yet. 2: a name, a value or the bot is wrong, or it may not.
"""


@click.command("set", epilog=_EPILOG)
@click.argument("bot")
@click.argument("values", nargs=-1, metavar="[NAME=VALUE]...")
@json_option
def command(bot: str, values: tuple[str, ...], as_json: bool) -> int:
    """Show the parameters of a running bot, and change them between two steps of its strategy."""
    from daemon.cli.setting import pairs_of, set_parameters
    from daemon.cli.show.output import put
    from daemon.cli.show.parameters import parameters, shown
    from hftd.errors import HftdError

    pairs = pairs_of(values)
    ok, told = set_parameters(bot, pairs)
    put(told, parameters(told), as_json=as_json)
    if not ok:
        raise HftdError(
            f"bot {told.bot} has the new values, but its strategy has not begun another step since",
            hint="they hold from its next step on; does it wait for long?",
        )
    if pairs and not as_json:
        click.echo(f"set: {', '.join(f'{name} = {shown(value)}' for name, value in pairs.items())}", err=True)
    return 0
