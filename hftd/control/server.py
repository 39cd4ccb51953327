"""The daemon's side of the control plane, on asyncio: it listens, hands leases out, and notices their end.

Limits: `MAX_BOTS` leases; `MAX_PENDING` connections that said nothing yet, of which for a newcomer the oldest of the
process that has most gives way, and `HELLO_SECONDS` for their Hello or Ask; `MAX_WAITING` Hellos and questions that
wait for their turn, one a turn of the loop; `MAX_TAPS` tools that look at the market; one question at a time that is
handed on to a bot, and `BOT_SECONDS` for its answer. A halt and a resume wait for nobody, so nobody can keep them out.
A lease ends with its socket, with a Bye, or with anything else that the bot sends.
"""

import asyncio
import contextlib
import os
import socket
import stat
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol, Self

import msgspec
import structlog

from hftd import wire
from hftd.channel.layout import MAX_BOTS
from hftd.channel.memory import BotPage
from hftd.cleanup import run_all
from hftd.clock import monotonic_ns
from hftd.config import quoted
from hftd.control import peers, status
from hftd.control.admission import check_hello, lock_directory
from hftd.control.asking import Reply, send_reply
from hftd.control.protocol import (
    REFUSED_VERSION,
    Peer,
    VersionError,
    check_name,
    close_all,
    new_socket,
    receive_message,
    runtime_dir,
    send_message,
    socket_path,
    who_listens,
)
from hftd.control.reception import HELLO_SECONDS, MAX_PENDING, Caller, Reception, ServerStatistics
from hftd.errors import ChannelError, ConfigError, HftdError, ProtocolError, RefusedError, WrongBotError

MAX_WAITING: Final = 256
MAX_TAPS: Final = 16
BOT_SECONDS: Final = 8.0
"""How long a bot may take to answer a question that was handed on to it."""
_BACKLOG: Final = 1024
_LINES_A_SECOND: Final = 10
"""Of the log, about connections that are refused."""
_REASON_CHARACTERS: Final = 200
"""That are kept of what a bot says for its reason."""

__all__ = ["HELLO_SECONDS", "MAX_PENDING", "ChannelServer", "Grant", "Handler", "ServerStatistics"]

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
    question: "_Question | None" = None


@dataclass(slots=True)
class _Question:
    """What a bot was asked and has not answered, who asked it, and the end of the patience with it."""

    caller: Caller
    asked: status.SetParameters
    timer: asyncio.TimerHandle


@dataclass(slots=True)
class _Said:
    """A caller's first message, and the descriptors that came with it."""

    caller: Caller
    message: wire.Control
    fds: list[int]


class ChannelServer:
    """Serves one channel's name; use it as `async with ChannelServer(name, handler):`.

    Args:
        name: The channel's name.
        handler: What decides about bots.
        directory: The runtime directory, if it is another than `runtime_dir()`.

    Attributes:
        asking: Whose question the handler answers just now, for records.
        on_set: Told bot, values (JSON) and who, once a bot has taken over parameters that were set, or will.
    """

    def __init__(self, name: str, handler: Handler, directory: Path | None = None) -> None:
        self.name = check_name(name)
        self.asking = ""
        self.on_set: Callable[[str, str, str], None] | None = None
        self.statistics = ServerStatistics()
        self._handler = handler
        self._directory = directory
        self._path = Path()
        self._inode = 0
        self._listener: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: deque[_Said] = deque()
        self._is_turn_due = False
        self._lines = 0
        self._lines_since_ns = 0
        self._leases: dict[int, _Lease] = {}
        self._taps: dict[int, socket.socket] = {}
        self._reception: Reception | None = None

    @property
    def pending(self) -> dict[int, Caller]:
        """Connections that said nothing yet."""
        return self._reception.pending if self._reception is not None else {}

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
        self._reception = Reception(
            self.name, self._loop, self._listener, self.statistics, self._first_word, self._refuse
        )

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
                    "this is not a socket, and is left alone",
                    where=str(path),
                    hint="choose another name, or remove it",
                )
            path.unlink()
            _log.info("socket_taken_over", channel=self.name)
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

    def _first_word(self, caller: Caller, message: wire.Control, fds: list[int]) -> None:
        said = _Said(caller, message, fds)
        if isinstance(message, wire.Ask) and message.what in (wire.ASK_HALT, wire.ASK_RESUME):
            self._serve(said)
        elif len(self._waiting) >= MAX_WAITING:
            close_all(fds)
            self._refuse(caller, ChannelError(f"{MAX_WAITING} others wait for the daemon", hint="try again"))
        else:
            self._waiting.append(said)
            self._want_turn()

    def _want_turn(self) -> None:
        if self._waiting and not self._is_turn_due:
            assert self._loop is not None
            self._is_turn_due = True
            self._loop.call_soon(self._serve_next)

    def _serve_next(self) -> None:
        """One Hello or question a turn: each may take a millisecond or two, and the market does not wait."""
        self._is_turn_due = False
        try:
            if self._waiting:
                self._serve(self._waiting.popleft())
        finally:
            self._want_turn()

    def _serve(self, said: _Said) -> None:
        message = said.message
        try:
            if isinstance(message, wire.Ask):
                self._reply(said.caller, message)
            else:
                self._greet(said.caller, message, said.fds)
        except HftdError as error:
            self._refuse(said.caller, error)
        except Exception:
            _log.exception("message_handler_failed", channel=self.name, message=type(message).__name__)
            self._refuse(
                said.caller, HftdError("the daemon failed to attach or answer", hint="its log says why")
            )
        finally:
            close_all(said.fds)

    def _greet(self, caller: Caller, message: wire.Control, fds: list[int]) -> None:
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
        fd = caller.connected.fileno()
        self._leases[fd] = _Lease(message, page, caller.peer, caller.connected)
        self.statistics.attached += 1
        try:
            send_message(caller.connected, grant.welcome, grant.fds)
            assert self._loop is not None
            self._loop.add_reader(fd, self._mind, fd)
        except Exception as error:
            self._end(fd, f"its connection broke before the Welcome: {error}")
            return
        _log.info("bot_attached", channel=self.name, bot=message.bot, pid=caller.peer.pid)

    def _reply(self, caller: Caller, ask: wire.Ask) -> None:
        is_tap = ask.what == wire.ASK_TAP
        if ask.what not in wire.QUESTIONS:
            raise RefusedError(
                f"there is no question {quoted(ask.what)}", hint=f"ask {', '.join(wire.QUESTIONS)}"
            )
        if ask.what in wire.COMMANDS and not peers.is_owner(caller.peer.uid):
            raise RefusedError(
                f"to {ask.what} is for the daemon's own user",
                hint=f"run it as user {os.getuid()}, or as root",
            )
        if is_tap and len(self._taps) >= MAX_TAPS:
            raise RefusedError(f"{MAX_TAPS} taps look at the channel already", hint="end one of them first")
        if ask.what == wire.ASK_SET:
            self._hand_on(caller, ask)
            return
        self.asking = str(caller.peer)
        try:
            send_reply(caller.connected, self._handler.answer(ask))
        except OSError:
            caller.connected.close()
            return
        self.statistics.asked += 1
        if not is_tap:
            caller.connected.close()
            return
        # It stays, so that either side sees the other's end; whatever it says is its end.
        fd = caller.connected.fileno()
        self._taps[fd] = caller.connected
        assert self._loop is not None
        self._loop.add_reader(fd, self._end_tap, fd)

    def _hand_on(self, caller: Caller, ask: wire.Ask) -> None:
        """Ask a bot what a tool asks; `_answered` tells the tool."""
        try:
            asked = msgspec.json.decode(ask.argument, type=status.SetParameters)
        except msgspec.MsgspecError as error:
            raise ProtocolError(f"what is to be set can't be read: {error}") from None
        fd = next((fd for fd, lease in self._leases.items() if lease.hello.bot == asked.bot), -1)
        if fd < 0:
            raise WrongBotError(
                f"no bot {quoted(asked.bot)} is attached",
                hint=f"attached are {', '.join(self.bots) or 'none'}",
            )
        lease = self._leases[fd]
        if lease.question is not None:
            raise RefusedError(f"bot {asked.bot} is being asked already", hint="try again")
        asked = msgspec.structs.replace(asked, uid=caller.peer.uid, pid=caller.peer.pid)
        argument = status.encode(asked).decode()
        try:
            send_message(lease.connected, wire.Ask(wire.PROTOCOL_VERSION, wire.ASK_SET, argument))
        except OSError as error:
            raise RefusedError(f"bot {asked.bot} can't be asked: {error.strerror}") from None
        assert self._loop is not None
        late = wire.Refused(
            RefusedError.__name__,
            f"bot {asked.bot} did not answer within {BOT_SECONDS:g} s; it may still do what was asked",
            f"`hftd set {asked.bot}` shows its parameters once it answers",
        )
        timer = self._loop.call_later(BOT_SECONDS, self._answered, fd, late)
        lease.question = _Question(caller, asked, timer)

    def _answered(self, fd: int, answer: wire.Answer | wire.Refused) -> None:
        """The answer to what was handed on, a bot's own or that it gives none; without a question it is dropped."""
        self._tell_asker(self._leases[fd], answer)

    def _tell_asker(self, lease: _Lease, answer: wire.Answer | wire.Refused) -> None:
        question, lease.question = lease.question, None
        if question is None:
            return
        question.timer.cancel()
        with contextlib.suppress(OSError):
            send_message(question.caller.connected, answer)
        question.caller.connected.close()
        asked = question.asked
        if not asked.values:
            return
        bot, uid, pid, values = asked.bot, asked.uid, asked.pid, asked.values
        if isinstance(answer, wire.Answer):
            _log.info("parameters_set", channel=self.name, bot=bot, uid=uid, pid=pid, values=values)
            if self.on_set is not None:
                self.on_set(bot, status.encode(values).decode(), str(question.caller.peer))
        else:
            why = answer.what[:_REASON_CHARACTERS]
            _log.warning(
                "parameters_not_set", channel=self.name, bot=bot, uid=uid, pid=pid, values=values, why=why
            )

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
                    raise WrongBotError(
                        f"a bot named {hello.bot!r} is attached already (pid {lease.peer.pid})",
                        hint="give each bot of a channel its own name",
                    )
        if len(self._leases) >= MAX_BOTS:
            raise ChannelError(f"the channel has {MAX_BOTS} bots already", hint="end one of them first")

    def _refuse(self, caller: Caller, error: HftdError) -> None:
        code = REFUSED_VERSION if isinstance(error, VersionError) else type(error).__name__
        what = error.what
        if isinstance(error, VersionError):
            # "This side" and "the other side" are told from the bot's place.
            what = f"the daemon says: {what}"
        self.statistics.refused += 1
        with contextlib.suppress(OSError):
            send_message(caller.connected, wire.Refused(code, what, error.hint))
        caller.connected.close()
        now_ns = monotonic_ns()
        if now_ns - self._lines_since_ns > 1_000_000_000:
            self._lines, self._lines_since_ns = 0, now_ns
        self._lines += 1
        if self._lines <= _LINES_A_SECOND:
            _log.warning("caller_refused", channel=self.name, pid=caller.peer.pid, what=error.what)

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
                self._end(fd, reason[:_REASON_CHARACTERS])
            case wire.Answer() | wire.Refused():
                self._answered(fd, message)
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
        """A lease is over. What the handler does about it comes before all that might fail."""
        assert self._loop is not None
        lease = self._leases.pop(fd)
        bot = lease.hello.bot
        self.statistics.detached += 1
        loop = self._loop
        # The end policy before all else, so that nothing keeps the bot's orders in the market.
        gone = wire.Refused(RefusedError.__name__, f"bot {bot} has ended: {reason}", "")
        errors = run_all(
            lambda: self._handler.detach(bot, reason),
            lambda: loop.remove_reader(fd),
            lambda: self._tell_asker(lease, gone),
            lease.connected.close,
            lease.page.close,
        )
        _log.info("bot_detached", channel=self.name, bot=bot, pid=lease.peer.pid, reason=reason)
        for error in errors:
            _log.error("detach_handler_failed", channel=self.name, bot=bot, exc_info=error)

    def close(self, reason: str = "the daemon ends") -> None:
        """End all leases, stop listening, remove the socket file; again does nothing."""
        if self._listener is None:
            return
        assert self._loop is not None
        reception = self._reception
        assert reception is not None
        listener, self._listener = self._listener, None
        # The leases first: nothing that fails here keeps a bot's orders in the market.
        errors = run_all(
            *(partial(self.drop, bot, reason) for bot in self.bots),
            reception.close,
            self._unlink,
            listener.close,
            self._close_waiting,
            *(partial(self._end_tap, fd) for fd in list(self._taps)),
        )
        for error in errors:
            _log.error("channel_close_failed", channel=self.name, exc_info=error)

    def _unlink(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            # Not a successor's, who took the path over from us.
            if self._path.lstat().st_ino == self._inode:
                self._path.unlink()

    def _close_waiting(self) -> None:
        while self._waiting:
            said = self._waiting.popleft()
            close_all(said.fds)
            said.caller.connected.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.close()
