"""`hftd halt` and `hftd resume`: the kill switch, which has to find the daemons in an incident.

They are looked for in this user's runtime directory, and then where systemd's units have their sockets: the user's own
`/run/user/UID/hftd`, and the system's `/run/hftd`. Who may not enter that is told the command that may.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import click
import msgspec

from daemon.cli.asking import ASKED_AT_ONCE, deadline_ns
from hftd import wire
from hftd.control import peers, status
from hftd.control.asking import ask
from hftd.control.protocol import check_name, running_channels, runtime_dir, who_listens
from hftd.errors import ChannelError, ConfigError, HftdError, NoSuchChannelError

SYSTEM: Final = Path("/run/hftd")
"""Where the sockets of the system's units are (`systemd/hftd-connector@.service`)."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What came of asking one daemon.

    Attributes:
        answer: What holds now; None if it did not answer, or refused: `error` says why.
        is_done: Whether it was done whole.
    """

    channel: str
    answer: status.Halted | None = None
    is_done: bool = False
    error: str = ""


def own_folder() -> Path | None:
    """This user's runtime directory; None if it can't be used, such as the system's for somebody else."""
    try:
        return runtime_dir()
    except ConfigError:
        return None


def other_folders() -> list[Path]:
    """Other folders in which units have their sockets, this user's first."""
    own = own_folder()
    found = (Path(f"/run/user/{os.getuid()}/hftd"), SYSTEM)
    return [path for path in found if path != own and path.is_dir()]


def may_enter(folder: Path) -> bool:
    """Whether this user may look for sockets there."""
    return os.access(folder, os.R_OK | os.X_OK)


def _elsewhere(what: str, folder: Path) -> str:
    return f"the sockets of the system's units are in {folder}, which this user may not enter: run `sudo hftd {what}`"


def _ask(name: str, what: str, reason: str, folder: Path | None = None) -> tuple[bool, status.Halted]:
    """Ask one daemon; in another folder its group is the one whose members it speaks to."""
    if folder is not None and not os.environ.get(peers.VARIABLE):
        os.environ[peers.VARIABLE] = str(folder.stat().st_gid)
    ok, halted = ask(name, what, status.Halted, deadline_ns(), argument=reason, directory=folder)
    if halted.is_halted != (what == wire.ASK_HALT):
        raise ChannelError(f"the daemon did not {what}", where=name, hint=f"see `hftd status {name}`")
    return ok, halted


def _found(name: str, what: str, reason: str) -> tuple[bool, status.Halted]:
    """Ask the daemon of that name, wherever its socket is."""
    try:
        return _ask(name, what, reason)
    except (NoSuchChannelError, ConfigError) as error:
        for folder in other_folders():
            if not may_enter(folder):
                hint = _elsewhere(f"{what} {name}", folder)
                raise NoSuchChannelError(error.what, where=error.where, hint=hint) from None
            if who_listens(folder / f"{check_name(name)}.sock"):
                return _ask(name, what, reason, folder)
        raise


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
    ok, halted = _found(name, what, reason)
    if as_json:
        click.echo(msgspec.json.encode(halted))
        return 0 if ok else 1
    _say(name, halted)
    return 0 if ok else 1


def _say(name: str, halted: status.Halted) -> None:
    if halted.is_halted:
        click.echo(f"{name} is halted; orders being cancelled: {halted.cancelling:,}")
    else:
        click.echo(f"{name} takes orders again")
    if halted.left:
        click.echo(f"{name}: orders that could not be asked to be cancelled yet: {halted.left:,}", err=True)


def halt_all(reason: str, as_json: bool) -> int:
    """Halt every connector of this machine that this user may, all at once, and say of each what holds now.

    Returns:
        The exit code: 0 if each was halted and all orders are being cancelled.

    Raises:
        NoSuchChannelError: None runs.
    """
    folders: list[Path | None] = [None] if own_folder() is not None else []
    closed: list[str] = []
    for folder in other_folders():
        if may_enter(folder):
            folders.append(folder)
        else:
            closed.append(_elsewhere("halt --all", folder))
    channels = [(name, folder) for folder in folders for name in running_channels(folder)]
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        found = [one for one in pool.map(lambda one: _halt_one(one[0], reason, one[1]), channels) if one]
    if not found:
        raise NoSuchChannelError(
            "no connector runs",
            where=str(own_folder() or ""),
            hint="; ".join(closed) or "there is nothing to halt",
        )
    if as_json:
        click.echo(msgspec.json.encode(found))
    for one in found:
        if one.answer is None:
            click.echo(f"{one.channel} IS NOT HALTED: {one.error}", err=True)
        elif not as_json:
            _say(one.channel, one.answer)
    for words in closed:
        click.echo(words, err=True)
    return 0 if all(one.is_done for one in found) and not closed else 1


def _halt_one(name: str, reason: str, folder: Path | None) -> Asked | None:
    """Halt a daemon; None for one that trades nothing: a replay, a collector."""
    try:
        ok, halted = _ask(name, wire.ASK_HALT, reason, folder)
    except HftdError as error:
        if _trades_nothing(name, folder):
            return None
        return Asked(channel=name, error=str(error))
    return Asked(channel=name, answer=halted, is_done=ok)


def _trades_nothing(name: str, folder: Path | None) -> bool:
    try:
        told = ask(name, wire.ASK_STATUS, status.DaemonStatus, deadline_ns(), directory=folder)[1]
    except HftdError:
        return False
    return told.kind != status.CONNECTOR
