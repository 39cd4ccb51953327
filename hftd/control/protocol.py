"""The control plane: names, sockets, messages with file descriptors, and how a bot attaches.

Each daemon listens on `<runtime directory>/<name>.sock`, a SOCK_SEQPACKET Unix socket: one packet is one
msgpack message of :mod:`hftd.wire`. Memory and wake descriptors travel as SCM_RIGHTS. The bot's open
socket is its lease.
"""

import array
import contextlib
import os
import re
import socket
import stat
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from hftd import wire
from hftd.channel import layout
from hftd.channel.memory import BotPage, ClockPage, Link, MarketRing
from hftd.clock import monotonic_ns
from hftd.config import quoted
from hftd.control import peers
from hftd.control.decoding import VersionError, decode_message
from hftd.errors import (
    ChannelError,
    ConfigError,
    NoSuchChannelError,
    ProtocolError,
    RefusedError,
    WrongBotError,
)

MAX_CONTROL_BYTES: Final = 64 << 10
"""Of one message; a longer one is a ProtocolError."""
MAX_FDS: Final = 8
"""That one message may bring; with more it is refused, and all are closed."""
_PATH_BYTES_MAX: Final = 107  # sun_path, unix(7)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_LISTED_MAX: Final = 64

REFUSED_VERSION: Final = "version"
"""The code by which a daemon refuses another protocol version."""


def runtime_dir(*, create: bool = False) -> Path:
    """Where the sockets are: `$HFTD_RUNTIME_DIR`, else `$RUNTIME_DIRECTORY` (systemd), else
    `$XDG_RUNTIME_DIR/hftd`, else `/tmp/hftd-<uid>`.

    Args:
        create: Make it, for this user alone or for the group of `hftd.control.peers` too, if it is not there.

    Raises:
        ConfigError: It is not a directory, belongs to another user (and not to the group), or others may write it.
    """
    if chosen := os.environ.get("HFTD_RUNTIME_DIR"):
        path = Path(chosen)
    elif chosen := os.environ.get("RUNTIME_DIRECTORY"):
        path = Path(chosen.split(":", 1)[0])
    elif chosen := os.environ.get("XDG_RUNTIME_DIR"):
        path = Path(chosen) / "hftd"
    else:
        path = Path(f"/tmp/hftd-{os.getuid()}")  # noqa: S108 (ownership and mode are checked below)
    hint = "set HFTD_RUNTIME_DIR to a directory of your own"
    try:
        if create and not path.is_dir():
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            peers.open_to_group(path)
        found = path.stat() if chosen else path.lstat()
    except FileNotFoundError:
        return path
    except OSError as error:
        raise ConfigError(
            f"the runtime directory can't be used: {error.strerror}", where=str(path), hint=hint
        ) from error
    if not stat.S_ISDIR(found.st_mode):
        raise ConfigError("the runtime directory is not a directory", where=str(path), hint=hint)
    if not peers.is_ours(found):
        raise ConfigError(
            "the runtime directory belongs to another user, or others may write it",
            where=str(path),
            hint=hint,
        )
    return path


def check_name(name: str) -> str:
    """A channel's or bot's name, if it is one.

    Raises:
        ConfigError: It is not 1 to 64 letters, digits, dots, dashes and underscores, or begins with none of
            the first two.
    """
    if not _NAME.match(name):
        raise ConfigError(
            f"{quoted(name)} is not a name for a channel or a bot",
            hint="names have 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit",
        )
    return name


def socket_path(name: str, directory: Path | None = None) -> Path:
    """Where the channel of that name listens.

    Raises:
        ConfigError: It is not a name, or the path is longer than a socket's may be.
    """
    path = (directory or runtime_dir()) / f"{check_name(name)}.sock"
    if len(os.fsencode(path)) > _PATH_BYTES_MAX:
        raise ConfigError(
            f"a socket's path may have {_PATH_BYTES_MAX} bytes, this is longer",
            where=str(path),
            hint="set HFTD_RUNTIME_DIR to a shorter path",
        )
    return path


def new_socket() -> socket.socket:
    """A socket of the control plane, not connected."""
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a socket, as the kernel says."""

    pid: int
    uid: int

    def __str__(self) -> str:
        return f"uid {self.uid}, pid {self.pid}"


def peer_of(connected: socket.socket) -> Peer:
    """The process at the other end (for a client: the one that listens)."""
    pid, uid, _gid = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return Peer(pid, uid)


def who_listens(path: Path) -> Peer | None:
    """The daemon that listens at a path; None if there is none, or only a dead one's socket file.

    A listener whose queue of connections is full, or that speaks another kind of socket, is alive too, with
    pid 0.
    """
    with new_socket() as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
            return peer_of(probe)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            return None
        except OSError:
            return Peer(0, -1)


def running_channels(directory: Path | None = None) -> list[str]:
    """The names under which daemons listen, sorted; of the first 64 socket files."""
    with contextlib.suppress(OSError):
        paths = sorted((directory or runtime_dir()).glob("*.sock"))[:_LISTED_MAX]
        return [path.stem for path in paths if who_listens(path)]
    return []


def no_such_channel(name: str, path: Path) -> NoSuchChannelError:
    """The error that nobody listens there, with the channels that there are."""
    running = running_channels(path.parent)
    hint = (
        f"channels that run: {', '.join(running)}"
        if running
        else f"no channel runs in {path.parent}; start `hftd replay` or `hftd connector` first"
    )
    return NoSuchChannelError(f"there is no channel {name!r}", where=str(path), hint=hint)


def send_message(connected: socket.socket, message: wire.Control, fds: Sequence[int] = ()) -> None:
    """Send one message, with copies of `fds`; the caller keeps its own.

    Raises:
        OSError: The other side is gone, or does not read.
    """
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    connected.sendmsg([wire.encoder.encode(message)], rights, socket.MSG_NOSIGNAL)


def close_all(fds: list[int]) -> None:
    """Close and forget all of them."""
    while fds:
        with contextlib.suppress(OSError):
            os.close(fds.pop())


def receive_message(connected: socket.socket) -> tuple[wire.Control | None, list[int]]:
    """Receive one message and the descriptors that came with it, which the caller closes.

    Returns:
        The message, or None if the other side closed the connection.

    Raises:
        ProtocolError: It is no message of this version; whatever came with it is closed.
        OSError: As the socket says, BlockingIOError and TimeoutError included.
    """
    space = socket.CMSG_SPACE(MAX_FDS * 4)
    data, ancillary, flags, _ = connected.recvmsg(MAX_CONTROL_BYTES, space, socket.MSG_CMSG_CLOEXEC)
    fds: list[int] = []
    for level, kind, payload in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            received = array.array("i")
            received.frombytes(payload[: len(payload) - len(payload) % received.itemsize])
            fds.extend(received)
    try:
        return (_decode_whole(data, flags) if data else None), fds
    except BaseException:
        close_all(fds)
        raise


def _decode_whole(data: bytes, flags: int) -> wire.Control:
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        raise ProtocolError("the other side sent more than a message may have")
    return decode_message(data)


class Attachment:
    """A bot's lease of a channel: its memory, and the socket that keeps it.

    Attributes:
        name: The channel.
        welcome: What the daemon answered.
        clock: The daemon's clock page.
        market: The market ring.
        link: The queues.
        doorbell_fd: The eventfd that wakes the daemon.
        socket: The lease; readable when the daemon has something to say or is gone.
        asked: What the daemon asked and was not answered, the newest alone.
    """

    def __init__(self, name: str, connected: socket.socket, welcome: wire.Welcome, fds: list[int]) -> None:
        self.name = name
        self.socket = connected
        self.welcome = welcome
        self.asked: wire.Ask | None = None
        self._closing = contextlib.ExitStack()
        with contextlib.ExitStack() as undo:
            undo.callback(close_all, fds)
            self.clock = undo.enter_context(ClockPage.open(fds.pop(0)))
            self.market = undo.enter_context(MarketRing.open(fds.pop(0)))
            self.link = undo.enter_context(Link.open(fds.pop(0)))
            self.doorbell_fd = fds.pop(0)
            undo.callback(os.close, self.doorbell_fd)
            if (
                self.clock.word(layout.CLOCK_ID) != welcome.clock_id
                or self.market.capacity != welcome.market_bytes
            ):
                raise ProtocolError("the daemon's memory is not what it says", where=name)
            undo.callback(connected.close)
            self._closing = undo.pop_all()

    def fileno(self) -> int:
        """The lease, for select and poll."""
        return self.socket.fileno()

    def lost(self) -> str | None:
        """Why the lease is over, or None while it holds; it does not wait."""
        try:
            self.socket.setblocking(False)
            message, fds = receive_message(self.socket)
        except (BlockingIOError, InterruptedError):
            return None
        except (OSError, ProtocolError) as error:
            return f"the connection broke: {error}"
        close_all(fds)
        if message is None:
            return "the daemon is gone"
        if isinstance(message, wire.Ask):
            # It asks one thing at a time.
            self.asked = message
            return None
        return message.reason if isinstance(message, wire.Bye) else "the daemon sent what it should not"

    def answer(self, answer: wire.Answer | wire.Refused) -> None:
        """Answer what the daemon asked; a daemon that is gone, or does not read, is not answered."""
        self.asked = None
        with contextlib.suppress(OSError):
            send_message(self.socket, answer)

    def close(self, reason: str = "the bot ends") -> None:
        """Give the lease back and free the memory; again does nothing. No compiled code may be using it."""
        if self.socket.fileno() >= 0:
            with contextlib.suppress(OSError):
                self.socket.setblocking(False)
                send_message(self.socket, wire.Bye(reason))
        self._closing.close()

    def hang_up(self, reason: str) -> None:
        """Give the lease back, and leave the memory to compiled code that may still be using it."""
        with contextlib.suppress(OSError):
            self.socket.setblocking(False)
            send_message(self.socket, wire.Bye(reason))
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def attach(
    name: str, hello: wire.Hello, bot_page: BotPage, deadline_ns: int, directory: Path | None = None
) -> Attachment:
    """Ask the channel of that name for a lease.

    Args:
        name: The channel.
        hello: Who asks, and for what.
        bot_page: The bot's page; the same one for all its channels.
        deadline_ns: Of `hftd.clock.monotonic_ns`; until then the daemon must have answered.
        directory: The runtime directory, if it is another than `runtime_dir()`.

    Raises:
        NoSuchChannelError: No daemon listens there.
        RefusedError: The daemon refused, with its reason.
        ProtocolError: Another version, or nonsense.
        ChannelError: No answer in time, or a daemon of another user.
    """
    connected = connect(name, deadline_ns, directory)
    try:
        try:
            send_message(connected, hello, [bot_page.fd])
        except OSError as error:
            raise ChannelError(f"the connection broke: {error.strerror}", where=name) from error
        answer, fds = receive_answer(connected, name, deadline_ns)
        return _welcomed(name, connected, hello, answer, fds)
    except BaseException:
        connected.close()
        raise


def connect(name: str, deadline_ns: int, directory: Path | None = None) -> socket.socket:
    """Connect to the daemon that serves a channel, which must be of this user.

    Raises:
        NoSuchChannelError: No daemon listens there.
        ChannelError: It takes no connections, or belongs to another user.
    """
    path = socket_path(name, directory)
    connected = new_socket()
    try:
        _connect(connected, name, path, deadline_ns)
        _own_peer(connected, name)
    except BaseException:
        connected.close()
        raise
    return connected


_REFUSALS: Final = {REFUSED_VERSION: VersionError, WrongBotError.__name__: WrongBotError}


def receive_answer(connected: socket.socket, name: str, deadline_ns: int) -> tuple[wire.Control, list[int]]:
    """Wait for the daemon's answer to a first message, and for the descriptors that come with it.

    Raises:
        RefusedError: The daemon refused, with its reason.
        ProtocolError: Another version, or nonsense.
        ChannelError: No answer in time, or the end of the connection.
    """
    try:
        connected.settimeout(_left_s(deadline_ns))
        answer, fds = receive_message(connected)
    except TimeoutError:
        raise ChannelError(
            f"the daemon (pid {peer_of(connected).pid}) did not answer in time",
            where=name,
            hint="is it stopped, or busy?",
        ) from None
    except OSError as error:
        raise ChannelError(f"the connection broke: {error.strerror}", where=name) from error
    except ProtocolError as error:
        raise type(error)(error.what, where=name, hint=error.hint) from None
    match answer:
        case wire.Refused(code=code, what=what, hint=hint):
            close_all(fds)
            raise _REFUSALS.get(code, RefusedError)(what, where=name, hint=hint)
        case None:
            close_all(fds)
            raise ChannelError("the daemon closed the connection without an answer", where=name)
        case _:
            return answer, fds


def _own_peer(connected: socket.socket, name: str) -> None:
    peer = peer_of(connected)
    if not peers.is_welcome(connected, peer.uid):
        raise ChannelError(f"the daemon (pid {peer.pid}) belongs to user {peer.uid}", where=name)


def _left_s(deadline_ns: int) -> float:
    return max((deadline_ns - monotonic_ns()) / 1e9, 0.001)


def _connect(connected: socket.socket, name: str, path: Path, deadline_ns: int) -> None:
    # Where the daemon's queue of connections is full the kernel lets one after the other in, as they came.
    # Who came back to try again would stand behind all who wait.
    _set_patience(connected, _left_s(deadline_ns))
    try:
        connected.connect(os.fspath(path))
    except BlockingIOError:
        raise ChannelError("the daemon takes no connections", where=name, hint="is it stopped?") from None
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        raise no_such_channel(name, path) from None
    except OSError as error:
        raise ChannelError(f"can't be connected to: {error.strerror}", where=str(path)) from error
    _set_patience(connected, 0.0)
    connected.setblocking(False)


def _set_patience(connected: socket.socket, seconds: float) -> None:
    """How long a connect may take; 0 for as long as it takes."""
    whole = int(seconds)
    timeval = struct.pack("@ll", whole, int((seconds - whole) * 1e6))
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)


def _welcomed(
    name: str, connected: socket.socket, hello: wire.Hello, answer: wire.Control, fds: list[int]
) -> Attachment:
    match answer:
        case wire.Welcome() if len(fds) == 4 and len(answer.instruments) == len(hello.instruments):
            return Attachment(name, connected, answer, fds)
        case _:
            close_all(fds)
            raise ProtocolError(f"the daemon answered a Hello with {type(answer).__name__}", where=name)
