"""`hftd uninstall`."""

import click

from daemon.cli.commands.install import check_root, system_option
from hftd.errors import UsageError

_EPILOG = """\b
Examples:
  sudo hftd uninstall bot@mm
  sudo hftd uninstall                      everything that install made
  hftd uninstall --user

What runs is not ended: stop it first. Files that were changed by hand stay, and
so do configurations, keys, journals, recordings, caches and users: it says
which, and how to remove them.
"""


@click.command("uninstall", epilog=_EPILOG)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@system_option
@click.option("--dry-run", is_flag=True, help="Show what would be removed, and do nothing.")
def command(names: tuple[str, ...], is_user: bool, dry_run: bool) -> None:
    """Remove what `hftd install` made: units, links, the target. Never a configuration, a key or a state."""
    from daemon.cli.installing.plan import installed, made, places, remove, running
    from daemon.cli.installing.units import parse

    if not dry_run:
        check_root(is_user, "sudo hftd uninstall ..., --dry-run to look")
    where = places(is_user=is_user)
    wanted = [parse(name) for name in dict.fromkeys(names)]
    paths, changed = made(where, wanted)
    if active := running(where, wanted or installed(where)):
        stop = " ".join([*where.systemctl, "stop", *active])
        raise UsageError(f"{', '.join(active)} runs", hint=f"a connector ends its bots' orders then: {stop}")
    if not dry_run:
        remove(paths, where)
    for path in paths:
        click.echo(f"{'would remove' if dry_run else 'removed'} {path}")
    for path in changed:
        click.echo(f"stays, since it was changed by hand: {path}", err=True)
    if not paths:
        click.echo("there is nothing to remove")
    if where.is_user:
        click.echo(f"stay: {where.configs}, ~/.local/state/hftd, ~/.cache/hftd")
    else:
        click.echo(
            f"stay: {where.configs}, /etc/credstore.encrypted, /var/lib/hftd, /var/lib/hftd-collect, /var/cache/hftd*, "
            "and the users hftd-connector, hftd-bot, hftd-watch, hftd-alert (userdel NAME, groupdel hftd)"
        )
