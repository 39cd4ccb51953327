"""Questions to running daemons, as commands ask them."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import msgspec

from daemon.cli.legs import BotLegs, bots_of
from hftd import wire
from hftd.clock import monotonic_ns
from hftd.control import status
from hftd.control.asking import ask
from hftd.control.protocol import running_channels
from hftd.errors import HftdError

ANSWER_SECONDS: Final = 3.0
"""How long a daemon may take to answer."""
ASKED_AT_ONCE: Final = 16
"""Daemons that are asked at the same time."""


class Silent(msgspec.Struct, frozen=True, kw_only=True):
    """A channel whose daemon did not answer, and why."""

    channel: str
    error: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What `hftd status` finds: the daemons that answered, the channels whose did not, and bots on several daemons."""

    daemons: list[status.DaemonStatus]
    silent: list[Silent]
    bots: list[BotLegs] = []


def deadline_ns(seconds: float = ANSWER_SECONDS) -> int:
    """Until when a daemon that is asked now must have answered."""
    return monotonic_ns() + int(seconds * 1e9)


def report_of(name: str | None, seconds: float = ANSWER_SECONDS) -> Report:
    """Ask the daemon of a channel, or each daemon that runs.

    Raises:
        NoSuchChannelError: A name was given, and no daemon has it.
        ChannelError: A name was given, and its daemon does not answer.
    """
    if name is not None:
        return Report(daemons=[_status(name, seconds)], silent=[])
    # All at once: one that hangs must not take the others' time.
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        found = list(pool.map(partial(_status_or_silence, seconds=seconds), running_channels()))
    # A daemon may serve several channels, and tells of all of them. In containers several daemons have one process id.
    daemons = {
        (one.pid, *(one.served or [one.name])): one
        for one in reversed(found)
        if isinstance(one, status.DaemonStatus)
    }
    told = {channel for daemon in daemons.values() for channel in daemon.served}
    silent = [one for one in found if isinstance(one, Silent) and one.channel not in told]
    answered = list(reversed(daemons.values()))
    return Report(daemons=answered, silent=silent, bots=bots_of(answered, {one.channel for one in silent}))


def states(seconds: float = ANSWER_SECONDS) -> tuple[list[status.DaemonStatus], list[str]]:
    """What all daemons that run say of themselves, and the channels whose daemon does not answer in that time."""
    report = report_of(None, seconds)
    return report.daemons, [one.channel for one in report.silent]


def _status_or_silence(channel: str, seconds: float) -> status.DaemonStatus | Silent:
    try:
        return _status(channel, seconds)
    except HftdError as error:
        return Silent(channel=channel, error=error.what)


def _status(channel: str, seconds: float) -> status.DaemonStatus:
    return ask(channel, wire.ASK_STATUS, status.DaemonStatus, deadline_ns(seconds))[1]
