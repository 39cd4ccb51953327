"""Who may use a channel: the daemon's own user, root, and, where there is one, the members of a group.

Bots of another user than the daemon's can't read the keys in its memory. `$HFTD_GROUP` names the group whose members
may attach and look; both sides must have it. The runtime directory then belongs to that group, which may enter it and
not write it, and so does each socket, which the group may connect to. To halt and to resume stays the owner's.
"""

import array
import contextlib
import grp
import os
import socket
import stat
from pathlib import Path
from typing import Final

from hftd.errors import ConfigError

VARIABLE: Final = "HFTD_GROUP"
_SO_PEERGROUPS: Final = 59
_GROUPS_BYTES: Final = 1024
"""As much as Python reads; a process of more than 256 groups is taken by its first one alone."""


def shared_group() -> int | None:
    """The id of the group that `$HFTD_GROUP` names; None if it names none.

    Raises:
        ConfigError: There is no such group.
    """
    name = os.environ.get(VARIABLE, "").strip()
    if not name:
        return None
    try:
        return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise ConfigError(
            f"there is no group {name!r}", where=VARIABLE, hint="create it, or leave the variable out"
        ) from None


def is_ours(directory: os.stat_result) -> bool:
    """Whether a runtime directory is this user's own, or the group's; and nobody but its owner may write it."""
    if directory.st_mode & 0o022:
        return False
    return directory.st_uid == os.getuid() or directory.st_gid == shared_group()


def is_welcome(connected: socket.socket, uid: int) -> bool:
    """Whether the process at the other end, of that user, may be spoken to: a daemon with a bot, and the reverse."""
    if uid in (os.getuid(), 0):
        return True
    group = shared_group()
    return group is not None and group in _groups_of(connected)


def is_owner(uid: int) -> bool:
    """Whether a user may command the daemon that asks this."""
    return uid in (os.getuid(), 0)


def _groups_of(connected: socket.socket) -> list[int]:
    """All groups of the process at the other end, as the kernel says."""
    groups = array.array("i")
    groups.frombytes(connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[8:])
    with contextlib.suppress(OSError):
        groups.frombytes(connected.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_BYTES))
    return list(groups)


def open_to_group(path: Path) -> None:
    """Set who may use a directory or socket of ours: its owner alone, or the group too.

    Raises:
        ConfigError: The group can't be given it, since this process is not of that group.
    """
    group = shared_group()
    is_directory = stat.S_ISDIR(path.stat().st_mode)
    mode = 0o700 if is_directory else 0o600
    if group is not None:
        mode = 0o750 if is_directory else 0o660
        try:
            if path.stat().st_gid != group:
                os.chown(path, -1, group)
        except OSError as error:
            raise ConfigError(
                f"it can't be given to the group {os.environ[VARIABLE]}: {error.strerror}",
                where=str(path),
                hint="make the daemon's user a member of it",
            ) from None
    path.chmod(mode)
