"""Questions to running daemons, as commands ask them."""

from typing import Final

import click
import msgspec

from daemon.cli.legs import BotLegs, bots_of
from hftd import wire
from hftd.clock import monotonic_ns
from hftd.control import status
from hftd.control.asking import ask
from hftd.control.protocol import running_channels
from hftd.errors import ChannelError, HftdError

ANSWER_SECONDS: Final = 3.0
"""How long a daemon may take to answer."""


class Silent(msgspec.Struct, frozen=True, kw_only=True):
    """A channel whose daemon did not answer, and why."""

    channel: str
    error: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What `hftd status` finds: the daemons that answered, the channels whose did not, and bots on several daemons."""

    daemons: list[status.DaemonStatus]
    silent: list[Silent]
    bots: list[BotLegs] = []


def deadline_ns() -> int:
    """Until when a daemon that is asked now must have answered."""
    return monotonic_ns() + int(ANSWER_SECONDS * 1e9)


def report_of(name: str | None) -> Report:
    """Ask the daemon of a channel, or each daemon that runs.

    Raises:
        NoSuchChannelError: A name was given, and no daemon has it.
        ChannelError: A name was given, and its daemon does not answer.
    """
    if name is not None:
        return Report(daemons=[_status(name)], silent=[])
    daemons: dict[int, status.DaemonStatus] = {}
    silent: list[Silent] = []
    for channel in running_channels():
        # A daemon may serve several channels, and tells of all of them.
        if any(channel in (one.name for one in daemon.channels) for daemon in daemons.values()):
            continue
        try:
            found = _status(channel)
        except HftdError as error:
            silent.append(Silent(channel=channel, error=error.what))
            continue
        daemons.setdefault(found.pid, found)
    found = list(daemons.values())
    return Report(daemons=found, silent=silent, bots=bots_of(found, {one.channel for one in silent}))


def _status(channel: str) -> status.DaemonStatus:
    return ask(channel, wire.ASK_STATUS, status.DaemonStatus, deadline_ns())[1]


def halt_or_resume(name: str, what: str, reason: str, as_json: bool) -> int:
    """Halt or resume a daemon, and say what holds now.

    Args:
        name: Of the channel.
        what: ASK_HALT or ASK_RESUME.
        reason: Why, for the daemon's log and status.
        as_json: Whether it is said as JSON.

    Returns:
        The exit code: 0 if it was done whole.

    Raises:
        ChannelError: It does not answer, or refuses.
    """
    ok, halted = ask(name, what, status.Halted, deadline_ns(), argument=reason)
    if halted.is_halted != (what == wire.ASK_HALT):
        raise ChannelError(f"the daemon did not {what}", where=name, hint=f"see `hftd status {name}`")
    if as_json:
        click.echo(msgspec.json.encode(halted))
        return 0 if ok else 1
    if halted.is_halted:
        click.echo(f"{name} is halted: {halted.cancelling:,} orders are being cancelled")
    else:
        click.echo(f"{name} takes orders again")
    if halted.left:
        click.echo(f"{halted.left:,} orders could not be asked to be cancelled yet", err=True)
    return 0 if ok else 1
