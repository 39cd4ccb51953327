"""Questions from outside: how a daemon's server answers them, and how a tool asks.

A question is one packet, its answer one more. A body that is too large for a packet travels as a sealed memfd. For a
tap the connection stays open, so that either side sees the other's end; nothing of the daemon depends on it.
"""

import contextlib
import fcntl
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

import msgspec

from hftd import wire
from hftd.channel import layout
from hftd.channel.endpoint import MarketTap
from hftd.channel.memory import SIZE_SEALS, ClockPage, MarketRing
from hftd.control import status
from hftd.control.protocol import close_all, connect, receive_answer, send_message
from hftd.errors import ChannelError, ProtocolError, RefusedError

MAX_BODY_BYTES: Final = 16 << 20
"""Of a body in a memfd; a longer one is refused."""

_Body = TypeVar("_Body", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a handler answers.

    Attributes:
        body: What the question asks for (`hftd.wire.QUESTIONS`).
        ok: False if it was done in part only.
        fds: For a tap clock page and market ring. They are copied; the handler keeps its own.
    """

    body: status.Body
    ok: bool = True
    fds: Sequence[int] = ()


def send_reply(connected: socket.socket, reply: Reply) -> None:
    """Send a handler's answer.

    Raises:
        RefusedError: The body is too large.
        OSError: The other side is gone, or does not read.
    """
    body = status.encode(reply.body)
    if len(body) <= wire.MAX_BODY_BYTES:
        send_message(connected, wire.Answer(reply.ok, body), reply.fds)
        return
    if len(body) > MAX_BODY_BYTES:
        raise RefusedError(f"the answer has {len(body):,} bytes, and may have {MAX_BODY_BYTES:,}")
    fd = os.memfd_create("hftd-answer", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with os.fdopen(os.dup(fd), "wb") as file:
            file.write(body)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SIZE_SEALS | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL)
        send_message(connected, wire.Answer(reply.ok), [*reply.fds, fd])
    finally:
        os.close(fd)


def _asked(
    name: str, what: str, argument: str, deadline_ns: int, directory: Path | None
) -> tuple[socket.socket, wire.Answer, list[int]]:
    connected = connect(name, deadline_ns, directory)
    try:
        send_message(connected, wire.Ask(layout.PROTOCOL_VERSION, what, argument))
        answer, fds = receive_answer(connected, name, deadline_ns)
    except OSError as error:
        connected.close()
        raise ChannelError(f"the connection broke: {error.strerror}", where=name) from error
    except BaseException:
        connected.close()
        raise
    if isinstance(answer, wire.Answer):
        return connected, answer, fds
    close_all(fds)
    connected.close()
    raise ProtocolError(f"the daemon answered a question with {type(answer).__name__}", where=name)


def _body_of(name: str, answer: wire.Answer, fds: list[int], kind: type[_Body]) -> _Body:
    body = answer.body
    if not body and fds:
        fd = fds.pop()
        try:
            size = os.fstat(fd).st_size
            if size > MAX_BODY_BYTES:
                raise ProtocolError(f"the daemon's answer has {size:,} bytes", where=name)
            body = os.pread(fd, size, 0)
        except OSError as error:
            raise ProtocolError(f"the daemon's answer can't be read: {error.strerror}", where=name) from None
        finally:
            os.close(fd)
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ProtocolError(
            f"the daemon's answer can't be read: {error}",
            where=name,
            hint="run the same version of hftd on both sides",
        ) from error


def ask(
    name: str,
    what: str,
    kind: type[_Body],
    deadline_ns: int,
    *,
    argument: str = "",
    directory: Path | None = None,
) -> tuple[bool, _Body]:
    """Ask the daemon that serves a channel.

    Args:
        name: The channel.
        what: One of `wire.QUESTIONS` but a tap.
        kind: What the body is.
        deadline_ns: Of `hftd.clock.monotonic_ns`.
        argument: Of the question.
        directory: The runtime directory, if it is another than `runtime_dir()`.

    Returns:
        Whether it was done whole, and the body.

    Raises:
        NoSuchChannelError: No daemon listens there.
        RefusedError: The daemon refuses, with its reason.
        ChannelError: No answer in time, or a daemon of another user or version.
    """
    connected, answer, fds = _asked(name, what, argument, deadline_ns, directory)
    try:
        return answer.ok, _body_of(name, answer, fds, kind)
    finally:
        close_all(fds)
        connected.close()


class ChannelTap:
    """Looks at a channel's market ring from outside, from now on, and disturbs nobody; a context manager.

    Attributes:
        about: What the daemon says of the channel.
        clock: The daemon's clock page, mapped for reading.
        market: The messages as they come.
    """

    def __init__(self, name: str, deadline_ns: int, directory: Path | None = None) -> None:
        """Ask for a tap; raises as `ask` does."""
        connected, answer, fds = _asked(name, wire.ASK_TAP, "", deadline_ns, directory)
        with contextlib.ExitStack() as undo:
            undo.callback(connected.close)
            undo.callback(close_all, fds)
            self.about = _body_of(name, answer, fds, status.Tap)
            if len(fds) != 2:
                raise ProtocolError("the daemon gave no market ring", where=name)
            self.clock = undo.enter_context(ClockPage.open(fds.pop(0)))
            self._ring = undo.enter_context(MarketRing.open(fds.pop(0)))
            self.market = MarketTap(self._ring, self.about.position)
            connected.setblocking(False)
            self._socket = connected
            self._closing = undo.pop_all()

    def fileno(self) -> int:
        """Readable when the daemon is gone."""
        return self._socket.fileno()

    def is_over(self) -> bool:
        """Whether the daemon has closed; it does not wait."""
        try:
            return not self._socket.recv(1)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            return True

    def close(self) -> None:
        """Unmap and hang up; again does nothing."""
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
