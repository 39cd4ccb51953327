"""The lock beside a journal: one process writes it. The lock's file also keeps the connector's number and run."""

import contextlib
import errno
import fcntl
import os
from pathlib import Path

from hftd.errors import ConfigError


class Lock:
    """Held from here on, until it is closed.

    Args:
        path: The journal.

    Raises:
        ConfigError: Another process has it, or the folder can't be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".lock")
        self._journal = path
        self._fd = self._take()

    def _take(self) -> int:
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(
                f"the journal's folder can't be used: {error.strerror}", where=str(self._journal)
            ) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            raise ConfigError(
                "another process writes this journal",
                where=str(self._journal),
                hint="a connector for this account runs already; stop it, or give this one another journal",
            ) from None
        return fd

    def renew(self) -> bool:
        """Lock the place again if the lock's file was taken away; whether it was.

        Raises:
            OSError: Somebody else has begun a journal there.
        """
        try:
            there, ours = self._path.stat(), os.fstat(self._fd)
            if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                return False
        except FileNotFoundError:
            pass
        try:
            fd = self._take()
        except ConfigError as error:
            raise OSError(errno.EBUSY, error.what) from None
        os.close(self._fd)
        self._fd = fd
        return True

    def kept(self) -> tuple[int, int] | None:
        """Number and run as they were kept; None if they were not."""
        try:
            identity, run = os.pread(self._fd, 64, 0).split()
            return int(identity, 16), int(run)
        except (OSError, ValueError):
            return None

    def keep(self, identity: int, run: int) -> None:
        """Keep number and run, where they are found even if the journal is lost."""
        # The journal itself has them, too.
        with contextlib.suppress(OSError):
            text = f"{identity:06x} {run}\n".encode()
            os.pwrite(self._fd, text, 0)
            os.ftruncate(self._fd, len(text))

    def close(self) -> None:
        """Let go of it; once."""
        os.close(self._fd)
