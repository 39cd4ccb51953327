"""What `hftd alert` knows and has told, kept in a file: one that starts anew in an outage says nothing twice, and says
when it is over.

The file is written whole or not at all, whenever something changed. Alerts that no target has taken yet are in it, so
what a process was told to say and did not get out is said by the next one; what was on its way just then is said twice.
Times are on the wall clock: the monotonic one does not outlast the machine's.
"""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final, Literal

import msgspec
import structlog

from daemon.ops.alerts.rules import KeptDaemon
from daemon.ops.alerts.states import KeptState, Notice
from hftd.errors import ConfigError

SIZE_MAX_BYTES: Final = 16 << 20
"""A larger file was not written by this process."""

_log = structlog.get_logger("hftd.alert")


class Kept(msgspec.Struct, frozen=True):
    """All that is kept.

    Attributes:
        version: Of this form.
        states: What is the matter.
        daemons: Those that were seen.
        waiting: By target, the alerts that it has not taken.
    """

    version: Literal[1] = 1
    states: tuple[KeptState, ...] = ()
    daemons: tuple[KeptDaemon, ...] = ()
    waiting: dict[str, tuple[Notice, ...]] = {}


class StateFile:
    """The file.

    Args:
        path: Where it is. Its folder is made.

    Attributes:
        why: Why it can't be written; "" if it can.

    Raises:
        ConfigError: Another process keeps its state there.
    """

    def __init__(self, path: Path) -> None:
        self.why = ""
        self._path = path
        self._written = b""
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Of its own: a file that is replaced can't be locked.
            self._lock = path.with_name(f"{path.name}.lock").open("wb")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"another `hftd alert` runs, and keeps what it has told in {path}",
                where="[watch] state",
                hint="end that one, or give this one another file",
            ) from None
        except OSError as error:
            self._fail(error)

    def read(self) -> Kept:
        """What an earlier process left; nothing, and a line in the log, if that can't be read, which is moved aside."""
        try:
            with self._path.open("rb") as file:
                raw = file.read(SIZE_MAX_BYTES + 1)
            return msgspec.json.decode(raw, type=Kept)
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            _log.warning("alert_state_broken", path=str(self._path), error=str(error))
            # It may be something else, by a mistake in the configuration.
            with contextlib.suppress(OSError):
                self._path.replace(self._path.with_name(f"{self._path.name}.broken"))
        return Kept()

    def write(self, kept: Kept) -> None:
        """Replace what is there, if it is something else; `why` says whether that failed."""
        raw = msgspec.json.encode(kept)
        if raw == self._written:
            return
        part = self._path.with_name(f".{self._path.name}.part")
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._path)
        except OSError as error:
            self._fail(error)
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        else:
            self._written = raw
            self.why = ""

    def _fail(self, error: OSError) -> None:
        why = f"{self._path}: {error.strerror or error}"
        if not self.why:
            _log.warning("alert_state_not_kept", why=why)
        self.why = why
