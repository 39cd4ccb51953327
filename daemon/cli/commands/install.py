"""`hftd install`."""

import os
from pathlib import Path
from typing import Any

import click

from daemon.cli.options import FILE
from hftd.errors import UsageError

_EPILOG = """\b
Examples:
  hftd install --dry-run connector@binancefutures bot@mm metrics alert
  sudo /opt/hftd/current/bin/hftd install connector@binancefutures bot@mm
  sudo hftd install connector@second --connector binancefutures
  sudo hftd install                      bring what is installed up to date
  hftd install --user connector@binancefutures bot@mm

\b
NAME is connector@NAME, bot@NAME, collect@NAME (with /etc/hftd/NAME.toml, or
collect.toml), replay@DAY, exchange@DAY, metrics, web or alert. Configurations
are read as the daemons read them, and units are checked by systemd, before
anything is changed. Again it changes nothing; a newer hftd brings its units
up to date. Nothing is started. --user is for your own systemd: no users
are made, keys stay in configurations of mode 600 (in ~/.config/hftd), and
units have fewer walls around them. docs/deploy.md has the whole way.
"""


def system_option(command: Any) -> Any:
    """`--system` and `--user`."""
    return click.option(
        "--user/--system",
        "is_user",
        default=False,
        show_default=True,
        help="For your own systemd, or the machine's, which is root's to do.",
    )(command)


def check_root(is_user: bool, again: str) -> None:
    """See that who asks may.

    Raises:
        UsageError: Only root may.
    """
    if not is_user and os.geteuid() != 0:
        raise UsageError("only root may change units of the system", hint=f"{again}, or --user for your own")


@click.command("install", epilog=_EPILOG)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@system_option
@click.option("--dry-run", is_flag=True, help="Show each file and each step, and do nothing.")
@click.option(
    "--connector",
    "exchange",
    metavar="EXCHANGE",
    default="",
    help="The exchange of a connector that is not called so; for one NAME alone.",
)
@click.option("--hftd", type=FILE, metavar="PATH", help="What the units run. Default: this hftd.")
def command(names: tuple[str, ...], is_user: bool, dry_run: bool, exchange: str, hftd: Path | None) -> None:
    """Make systemd's units for daemons, with what they need: users, folders, a target that starts them together."""
    from daemon.cli.installing.checks import find_executable
    from daemon.cli.installing.plan import Written, do, installed, places, plan
    from daemon.cli.installing.units import TARGET, parse

    where = places(is_user=is_user)
    wanted = [parse(name) for name in dict.fromkeys(names)] or installed(where)
    if not wanted:
        raise UsageError(
            "name what is to be installed", hint="such as connector@binancefutures bot@mm; see --help"
        )
    if exchange and [one.kind for one in wanted] != ["connector"]:
        raise UsageError("--connector is for one connector", hint="install it by itself, and then the others")
    if not dry_run:
        check_root(is_user, "sudo hftd install ..., --dry-run to look")
    executable = find_executable(hftd, is_user=is_user or (dry_run and os.geteuid() != 0))
    steps, notes = plan(wanted, where, executable, exchange)
    if dry_run:
        for step in steps:
            click.echo(f"{'there already: ' if step.is_done else ''}{step.what}")
            if isinstance(step, Written):
                click.echo("".join(f"    {line}\n" for line in step.text.splitlines()))
    else:
        for step, is_new in do(steps):
            click.echo(f"{'done' if is_new else 'there'}: {step.what}")
    for note in notes:
        click.echo(f"note: {note}", err=True)
    start = " ".join([*where.systemctl, "enable", "--now", TARGET])
    click.echo(f"Nothing was {'done' if dry_run else 'started'}. Now and at each boot: {start}")
