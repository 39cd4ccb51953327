"""Which connectors of ours trade an account on this machine: a locked file each in the runtime directory.

::

    <runtime directory>/identities/<account>-<identity>      flock: its connector runs; content: who that is, as JSON

The number in a connector's order ids (`daemon.orders.ids`) is its identity. While its file is locked, it runs;
once it is not, it does not, however it ended. So another connector on the account knows whether orders with that number
are somebody's.

Limits: `FILES_MAX` files are looked at; more are left out, and their orders are those of a connector that is not known.
"""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final

import msgspec
import structlog

from daemon.orders.commands import Kin
from hftd.errors import ConfigError

FILES_MAX: Final = 64
TEXT_BYTES_MAX: Final = 8192
LOCK_TRIES: Final = 1000

_log = structlog.get_logger("hftd.connector")


class _Text(msgspec.Struct):
    """Who a file's connector is."""

    channel: str
    journal: str = ""
    prefix: str = ""


_decode: Final = msgspec.json.Decoder(_Text).decode


class Presence:
    """This connector's file, and those of the others.

    Args:
        folder: The runtime directory.
        account: A name for the account that is safe in a file's name.
        channel: This connector's.
        journal: The file of its journal, empty for none.
        prefix: Of its orders' ids.
    """

    def __init__(self, folder: Path, account: str, channel: str, journal: str, prefix: str) -> None:
        self._folder = folder / "identities"
        self._account = account
        self._text = _Text(channel, journal, prefix)
        self._fd = -1
        self._identity = 0
        self._dead_ns: dict[int, int] = {}

    def _path(self, identity: int) -> Path:
        return self._folder / f"{self._account}-{identity:06x}"

    def begin(self, identity: int) -> None:
        """Be there, as long as this process runs.

        Raises:
            ConfigError: Another connector with this number runs, or the folder can't be used.
        """
        path = self._path(identity)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(
                f"the runtime directory can't be used: {error.strerror}", where=str(path)
            ) from None
        if not _lock(fd):
            other = _read(fd)
            os.close(fd)
            raise ConfigError(
                "another connector makes order ids with the same number: "
                + (f"{other.channel!r}, whose journal is {other.journal}" if other else "is it just ending?"),
                where=self._text.journal,
                hint="each connector needs a journal of its own, not a copy of another's: end the other one, or move "
                "this journal and its .lock away",
            )
        text = msgspec.json.encode(self._text)
        with contextlib.suppress(OSError):
            os.pwrite(fd, text, 0)
            os.ftruncate(fd, len(text))
        self._fd, self._identity = fd, identity

    def former(self) -> set[int]:
        """The numbers that this connector had: of its channel and journal, and whose process is gone."""
        found: set[int] = set()
        for identity, text, is_alive in self._look():
            if text == self._text and not is_alive and identity != self._identity:
                found.add(identity)
        return found

    def kin(self, own: set[int], now_ns: int) -> dict[int, Kin]:
        """The other connectors of the account, those that are gone included.

        Args:
            own: Numbers that are this connector's own.
            now_ns: Now, as order management has it.
        """
        found: dict[int, Kin] = {}
        for identity, text, is_alive in self._look():
            if identity in own:
                continue
            if is_alive:
                self._dead_ns.pop(identity, None)
                dead_ns = 0
            else:
                dead_ns = self._dead_ns.setdefault(identity, now_ns)
            found[identity] = Kin(identity, text.channel, text.prefix, dead_ns)
        return found

    def _look(self) -> list[tuple[int, _Text, bool]]:
        found: list[tuple[int, _Text, bool]] = []
        start = f"{self._account}-"
        try:
            names = sorted(one.name for one in self._folder.iterdir() if one.name.startswith(start))
        except OSError:
            return []
        for name in names[:FILES_MAX]:
            try:
                identity = int(name.removeprefix(start), 16)
                fd = os.open(self._folder / name, os.O_RDONLY | os.O_CLOEXEC)
            except (OSError, ValueError):
                continue
            try:
                text = _read(fd)
                if text is not None:
                    found.append((identity, text, identity == self._identity or _is_locked(fd)))
            finally:
                os.close(fd)
        return found

    def close(self) -> None:
        """Be gone; again does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _lock(fd: int) -> bool:
    """Lock a file for this process. One that others only look at is free again at once."""
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.sched_yield()
        else:
            return True
    return False


def _read(fd: int) -> _Text | None:
    try:
        return _decode(os.pread(fd, TEXT_BYTES_MAX, 0))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _is_locked(fd: int) -> bool:
    try:
        # Shared: so that two that look at once do not take each other for it.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False
