"""What a daemon tells the systemd that started it (sd_notify(3)): that it serves, lives, how it goes, that it ends.

Where nobody listens nothing happens. Telling neither waits nor raises: no daemon stands still for it.
"""

import contextlib
import os
import socket
from typing import Final

READY: Final = "READY=1"
ALIVE: Final = "WATCHDOG=1"
"""To be told by the loops that matter, never by a timer of its own: without it systemd ends the daemon."""
STOPPING: Final = "STOPPING=1"
_TEXT_MAX: Final = 300


def notify(*states: str) -> bool:
    """Tell states such as `READY` and `ALIVE` in one message; whether it went out.

    It is sent from this process to `$NOTIFY_SOCKET`, a path, or the name of an abstract socket behind an `@`.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    where = f"\0{address[1:]}" if address[0] == "@" else address
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to,
    ):
        to.setblocking(False)
        return to.sendto("\n".join(states).encode("utf-8", "replace"), where) > 0
    return False


def how(text: str) -> str:
    """The state that `systemctl status` shows: one line of people's words."""
    line = " ".join(text.split())
    return f"STATUS={line[:_TEXT_MAX]}"


def more_time(seconds: float) -> str:
    """The state of one that is not ready yet, and needs so long from now on until it says so again."""
    return f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}"
