"""The daemon's side of the control plane, on asyncio: it listens, hands leases out, and notices their end.

Limits: `MAX_BOTS` leases, `MAX_PENDING` connections that said nothing yet (more are closed at once, and
counted), `HELLO_SECONDS` for a Hello or an Ask, `MAX_TAPS` tools that look at the market. A lease ends with its
socket, with a Bye, or with anything else that the bot sends.
"""

import asyncio
import contextlib
import errno
import os
import socket
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, Protocol, Self

import structlog

from hftd.channel import peers, wire
from hftd.channel.admission import check_hello, lock_directory
from hftd.channel.asking import Reply, send_reply
from hftd.channel.control import (
    REFUSED_VERSION,
    Peer,
    VersionError,
    check_name,
    close_all,
    new_socket,
    peer_of,
    receive_message,
    runtime_dir,
    send_message,
    socket_path,
    who_listens,
)
from hftd.channel.layout import MAX_BOTS
from hftd.channel.memory import BotPage
from hftd.cleanup import run_all
from hftd.errors import ChannelError, ConfigError, HftdError, ProtocolError, RefusedError

MAX_PENDING: Final = 32
MAX_TAPS: Final = 16
HELLO_SECONDS: Final = 5.0
_BACKLOG: Final = 64
_ACCEPTS_A_TURN: Final = 16
_PAUSE_SECONDS: Final = 1.0
"""Without accepting, after the process ran out of descriptors."""

_log = structlog.get_logger("hftd.channel")


@dataclass(frozen=True, slots=True)
class Grant:
    """What a handler gives a bot.

    Attributes:
        welcome: The answer.
        fds: Clock page, market ring, link, doorbell, in this order. They are copied; the handler keeps its
            own.
    """

    welcome: wire.Welcome
    fds: Sequence[int]


class Handler(Protocol):
    """What a daemon does about bots and questions. All are called in the loop's thread, and must not wait."""

    def attach(self, hello: wire.Hello, bot_page: BotPage) -> Grant:
        """A bot asks for a lease; the page stays mapped until `detach` returns.

        Raises:
            HftdError: It is refused, for this reason, best a RefusedError.
        """
        ...

    def detach(self, bot: str, reason: str) -> None:
        """The lease of the bot of that name is over: apply its end policy, free its memory."""
        ...

    def answer(self, ask: wire.Ask) -> Reply:
        """A tool asks; `ask.what` is one of `wire.QUESTIONS`.

        Raises:
            HftdError: It is refused, for this reason, best a RefusedError.
        """
        ...


@dataclass(slots=True)
class _Lease:
    hello: wire.Hello
    page: BotPage
    peer: Peer
    connected: socket.socket


@dataclass(slots=True)
class ServerStatistics:
    """What a server counted."""

    attached: int = 0
    detached: int = 0
    refused: int = 0
    turned_away: int = 0
    """Connections closed unheard: too many at once, or of another user."""
    nonsense: int = 0
    asked: int = 0


@dataclass(slots=True, eq=False)
class _Pending:
    connected: socket.socket
    peer: Peer
    timer: asyncio.TimerHandle = field(init=False)


class ChannelServer:
    """Serves one channel's name; use it as `async with ChannelServer(name, handler):`.

    Args:
        name: The channel's name.
        handler: What decides about bots.
        directory: The runtime directory, if it is another than `runtime_dir()`.
    """

    def __init__(self, name: str, handler: Handler, directory: Path | None = None) -> None:
        self.name = check_name(name)
        self.statistics = ServerStatistics()
        self._handler = handler
        self._directory = directory
        self._path = Path()
        self._inode = 0
        self._listener: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pending: dict[int, _Pending] = {}
        self._leases: dict[int, _Lease] = {}
        self._taps: dict[int, socket.socket] = {}
        self._resume: asyncio.TimerHandle | None = None

    @property
    def bots(self) -> list[str]:
        """The names of the bots that have a lease."""
        return [lease.hello.bot for lease in self._leases.values()]

    async def start(self) -> None:
        """Listen, taking over the socket file of a dead daemon.

        Raises:
            ChannelError: A live daemon has the name.
            ConfigError: The runtime directory or the path can't be used.
        """
        assert self._listener is None, "started twice"
        directory = self._directory or runtime_dir(create=True)
        self._path = socket_path(self.name, directory)
        self._loop = asyncio.get_running_loop()
        # Two daemons that start at once: the directory's lock is held while one looks, unlinks and listens.
        lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            await lock_directory(lock, directory)
            self._listener = self._listen()
        finally:
            os.close(lock)
        self._loop.add_reader(self._listener.fileno(), self._accept)

    def _listen(self) -> socket.socket:
        path = self._path
        if other := who_listens(path):
            who = f" by pid {other.pid}" if other.pid else ""
            raise ChannelError(
                f"the channel {self.name!r} is served already{who}",
                where=str(path),
                hint="stop that daemon, or give this channel another name, here and in the bots' configurations",
            )
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise ConfigError(
                    "this is no socket, and is left alone",
                    where=str(path),
                    hint="choose another name, or remove it",
                )
            path.unlink()
            _log.info("took over the socket of a daemon that died", channel=self.name)
        listener = new_socket()
        try:
            listener.setblocking(False)
            listener.bind(os.fspath(path))
            # Nobody can connect before `listen`, so there is no moment with another mode.
            peers.open_to_group(path)
            self._inode = path.stat().st_ino
            listener.listen(_BACKLOG)
        except BaseException:
            listener.close()
            raise
        return listener

    def _accept(self) -> None:
        assert self._listener is not None
        for _ in range(_ACCEPTS_A_TURN):
            try:
                connected, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    raise
                self._pause(error)
                return
            self._take(connected)

    def _pause(self, error: OSError) -> None:
        """Out of descriptors: the connection stays in the queue; asking again at once would burn time."""
        assert self._loop is not None
        assert self._listener is not None
        _log.warning("can't accept for a while", channel=self.name, error=error.strerror)
        self._loop.remove_reader(self._listener.fileno())
        self._resume = self._loop.call_later(
            _PAUSE_SECONDS, self._loop.add_reader, self._listener.fileno(), self._accept
        )

    def _take(self, connected: socket.socket) -> None:
        assert self._loop is not None
        connected.setblocking(False)
        peer = peer_of(connected)
        if not peers.is_welcome(connected, peer.uid) or len(self._pending) >= MAX_PENDING:
            self.statistics.turned_away += 1
            connected.close()
            return
        fd = connected.fileno()
        pending = _Pending(connected, peer)
        pending.timer = self._loop.call_later(HELLO_SECONDS, self._forget, fd)
        self._pending[fd] = pending
        self._loop.add_reader(fd, self._hear, fd)

    def _forget(self, fd: int) -> None:
        """Close a connection that got no lease."""
        self._release_pending(fd).connected.close()

    def _release_pending(self, fd: int) -> _Pending:
        assert self._loop is not None
        pending = self._pending.pop(fd)
        pending.timer.cancel()
        self._loop.remove_reader(fd)
        return pending

    def _hear(self, fd: int) -> None:
        """The first message of a connection: a Hello, an Ask, or the end."""
        connected = self._pending[fd].connected
        fds: list[int] = []
        try:
            message, fds = receive_message(connected)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._forget(fd)
            return
        except ProtocolError as error:
            self.statistics.nonsense += 1
            self._refuse(fd, error)
            return
        if message is None:
            # Somebody only looked whether a daemon is here.
            close_all(fds)
            self._forget(fd)
            return
        try:
            if isinstance(message, wire.Ask):
                self._reply(fd, message)
            else:
                self._greet(fd, message, fds)
        except HftdError as error:
            self._refuse(fd, error)
        except Exception:
            _log.exception("a handler failed", channel=self.name, message=type(message).__name__)
            self._refuse(fd, HftdError("the daemon failed to attach or answer", hint="its log says why"))
        finally:
            close_all(fds)

    def _greet(self, fd: int, message: wire.Control, fds: list[int]) -> None:
        pending = self._pending[fd]
        if not isinstance(message, wire.Hello) or len(fds) != 1:
            self.statistics.nonsense += 1
            raise ProtocolError(
                f"the first message is a {type(message).__name__} with {len(fds)} descriptors",
                hint="a connection begins with a Hello and one bot page",
            )
        check_hello(message)
        self._check_room(message)
        page = BotPage.open(fds.pop())
        try:
            grant = self._handler.attach(message, page)
        except BaseException:
            page.close()
            raise
        self._release_pending(fd)
        self._leases[fd] = _Lease(message, page, pending.peer, pending.connected)
        self.statistics.attached += 1
        try:
            send_message(pending.connected, grant.welcome, grant.fds)
        except OSError as error:
            self._end(fd, f"its connection broke before the Welcome: {error.strerror}")
            return
        assert self._loop is not None
        self._loop.add_reader(fd, self._mind, fd)
        _log.info("bot attached", channel=self.name, bot=message.bot, pid=pending.peer.pid)

    def _reply(self, fd: int, ask: wire.Ask) -> None:
        is_tap = ask.what == wire.ASK_TAP
        if ask.what not in wire.QUESTIONS:
            raise RefusedError(f"there is no question {ask.what!r}", hint=f"ask {', '.join(wire.QUESTIONS)}")
        if ask.what in wire.COMMANDS and not peers.is_owner(self._pending[fd].peer.uid):
            raise RefusedError(
                f"to {ask.what} is for the daemon's own user",
                hint=f"run it as user {os.getuid()}, or as root",
            )
        if is_tap and len(self._taps) >= MAX_TAPS:
            raise RefusedError(f"{MAX_TAPS} taps look at the channel already", hint="end one of them first")
        connected = self._pending[fd].connected
        try:
            send_reply(connected, self._handler.answer(ask))
        except OSError:
            self._forget(fd)
            return
        self.statistics.asked += 1
        if not is_tap:
            self._forget(fd)
            return
        # It stays, so that either side sees the other's end; whatever it says is its end.
        self._release_pending(fd)
        self._taps[fd] = connected
        assert self._loop is not None
        self._loop.add_reader(fd, self._end_tap, fd)

    def _end_tap(self, fd: int) -> None:
        assert self._loop is not None
        self._loop.remove_reader(fd)
        self._taps.pop(fd).close()

    def _check_room(self, hello: wire.Hello) -> None:
        for fd, lease in list(self._leases.items()):
            if lease.hello.bot == hello.bot:
                # Perhaps it died a moment ago, and its end waits in the loop behind this Hello.
                self._mind(fd)
                if fd in self._leases:
                    raise ChannelError(
                        f"a bot named {hello.bot!r} is attached already (pid {lease.peer.pid})",
                        hint="give each bot of a channel its own name",
                    )
        if len(self._leases) >= MAX_BOTS:
            raise ChannelError(f"the channel has {MAX_BOTS} bots already", hint="end one of them first")

    def _refuse(self, fd: int, error: HftdError) -> None:
        code = REFUSED_VERSION if isinstance(error, VersionError) else type(error).__name__
        what = error.what
        if isinstance(error, VersionError):
            # "This side" and "the other side" are told from the bot's place.
            what = f"the daemon says: {what}"
        self.statistics.refused += 1
        _log.warning("refused", channel=self.name, pid=self._pending[fd].peer.pid, what=error.what)
        with contextlib.suppress(OSError):
            send_message(self._pending[fd].connected, wire.Refused(code, what, error.hint))
        self._forget(fd)

    def _mind(self, fd: int) -> None:
        """A lease's socket has something to say; whatever it is, it is the end."""
        try:
            message, fds = receive_message(self._leases[fd].connected)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(fd, f"its connection broke: {error.strerror}")
            return
        except ProtocolError as error:
            self.statistics.nonsense += 1
            self._end(fd, f"it sent nonsense: {error.what}")
            return
        close_all(fds)
        match message:
            case None:
                self._end(fd, "it is gone")
            case wire.Bye(reason=reason):
                self._end(fd, reason)
            case _:
                self.statistics.nonsense += 1
                self._end(fd, f"it sent a {type(message).__name__} in the middle of its lease")

    def drop(self, bot: str, reason: str) -> None:
        """Take a bot's lease away; without such a bot it does nothing."""
        for fd, lease in list(self._leases.items()):
            if lease.hello.bot == bot:
                with contextlib.suppress(OSError):
                    send_message(lease.connected, wire.Bye(reason))
                self._end(fd, reason)

    def _end(self, fd: int, reason: str) -> None:
        assert self._loop is not None
        lease = self._leases.pop(fd)
        bot = lease.hello.bot
        self.statistics.detached += 1
        loop = self._loop
        # The end policy before all else, so that nothing keeps the bot's orders in the market.
        errors = run_all(
            lambda: self._handler.detach(bot, reason),
            lambda: loop.remove_reader(fd),
            lease.connected.close,
            lease.page.close,
        )
        _log.info("bot detached", channel=self.name, bot=bot, pid=lease.peer.pid, reason=reason)
        for error in errors:
            _log.error("a handler failed to detach a bot", channel=self.name, bot=bot, exc_info=error)

    def close(self, reason: str = "the daemon ends") -> None:
        """End all leases, stop listening, remove the socket file; again does nothing."""
        if self._listener is None:
            return
        assert self._loop is not None
        listener, self._listener = self._listener, None
        loop = self._loop
        # The leases first: nothing that fails here keeps a bot's orders in the market.
        errors = run_all(
            *(partial(self.drop, bot, reason) for bot in self.bots),
            lambda: loop.remove_reader(listener.fileno()),
            lambda: self._resume.cancel() if self._resume is not None else None,
            self._unlink,
            listener.close,
            *(partial(self._forget, fd) for fd in self._pending),
            *(partial(self._end_tap, fd) for fd in self._taps),
        )
        for error in errors:
            _log.error("a part of the channel did not end", channel=self.name, exc_info=error)

    def _unlink(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            # Not a successor's, who took the path over from us.
            if self._path.lstat().st_ino == self._inode:
                self._path.unlink()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.close()
