"""A server's way in: connections are accepted, and heard to their first message.

Nobody can keep others out: the next connection is always taken, and where too many say nothing, the oldest of the
process that has most of them is closed.
"""

import asyncio
import errno
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from hftd import wire
from hftd.control import peers
from hftd.control.protocol import Peer, close_all, peer_of, receive_message
from hftd.errors import ProtocolError

MAX_PENDING: Final = 128
HELLO_SECONDS: Final = 5.0
_ACCEPTS_A_TURN: Final = 16
_REST_SECONDS: Final = 0.005
"""Without accepting, after so many: a flood of connections has at most a small part of the loop's time."""
_PAUSE_SECONDS: Final = 1.0
"""The same after the process ran out of descriptors."""

_log = structlog.get_logger("hftd.channel")


@dataclass(slots=True, eq=False)
class Caller:
    """A connection without a lease."""

    connected: socket.socket
    peer: Peer
    timer: asyncio.TimerHandle | None = None


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


class Reception:
    """Accepts connections at a listener, and hears their first messages.

    Args:
        name: The channel's.
        loop: That runs.
        listener: It listens, and does not block.
        statistics: Where it counts.
        on_first_word: Given a caller, its message, and the descriptors that came with it; all are its own from then on.
        on_nonsense: Given a caller whose first message can't be read.
    """

    def __init__(
        self,
        name: str,
        loop: asyncio.AbstractEventLoop,
        listener: socket.socket,
        statistics: ServerStatistics,
        on_first_word: Callable[[Caller, wire.Control, list[int]], None],
        on_nonsense: Callable[[Caller, ProtocolError], None],
    ) -> None:
        self.name = name
        self.statistics = statistics
        self.pending: dict[int, Caller] = {}
        self._loop = loop
        self._listener = listener
        self._on_first_word = on_first_word
        self._on_nonsense = on_nonsense
        self._resume: asyncio.TimerHandle | None = None
        self._is_open = True
        loop.add_reader(listener.fileno(), self._accept)

    def close(self) -> None:
        """Accept nothing more, and close the connections that said nothing yet."""
        self._is_open = False
        self._loop.remove_reader(self._listener.fileno())
        if self._resume is not None:
            self._resume.cancel()
        for fd in list(self.pending):
            self._release(fd).connected.close()

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_A_TURN):
            try:
                connected, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    raise
                # The connection stays in the queue; asking again at once would burn time.
                self._rest(_PAUSE_SECONDS)
                _log.warning("accept_paused", channel=self.name, error=error.strerror)
                return
            self._take(connected)
            if not self._is_open:
                return
        self._rest(_REST_SECONDS)

    def _rest(self, seconds: float) -> None:
        """Accept nothing for a while."""
        listener = self._listener.fileno()
        self._loop.remove_reader(listener)
        self._resume = self._loop.call_later(seconds, self._loop.add_reader, listener, self._accept)

    def _take(self, connected: socket.socket) -> None:
        """A new connection. Most have spoken by now; who has not is waited for, but keeps nobody out."""
        connected.setblocking(False)
        caller = Caller(connected, peer_of(connected))
        if not peers.is_welcome(connected, caller.peer.uid):
            self.statistics.turned_away += 1
            connected.close()
            return
        fd = connected.fileno()
        self.pending[fd] = caller
        self._hear(fd)
        if self.pending.get(fd) is not caller:
            return
        caller.timer = self._loop.call_later(HELLO_SECONDS, self._turn_away, fd)
        self._loop.add_reader(fd, self._hear, fd)
        if len(self.pending) > MAX_PENDING:
            self._make_room()

    def _make_room(self) -> None:
        """Close the oldest silent connection of the process that has most of them."""
        busiest = Counter(one.peer.pid for one in self.pending.values()).most_common(1)[0][0]
        fd = next(fd for fd, one in self.pending.items() if one.peer.pid == busiest)
        # It may have spoken in this very turn.
        self._hear(fd)
        if fd in self.pending:
            self._turn_away(fd)

    def _turn_away(self, fd: int) -> None:
        """Close a connection that said nothing."""
        self.statistics.turned_away += 1
        self._release(fd).connected.close()

    def _release(self, fd: int) -> Caller:
        """A caller is waited for no more."""
        caller = self.pending.pop(fd)
        if caller.timer is not None:
            caller.timer.cancel()
            self._loop.remove_reader(fd)
        return caller

    def _hear(self, fd: int) -> None:
        """The first message of a connection: a Hello, an Ask, or the end."""
        try:
            message, fds = receive_message(self.pending[fd].connected)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._release(fd).connected.close()
            return
        except ProtocolError as error:
            self.statistics.nonsense += 1
            self._on_nonsense(self._release(fd), error)
            return
        caller = self._release(fd)
        if message is None:
            # Somebody only looked whether a daemon is here.
            close_all(fds)
            caller.connected.close()
            return
        self._on_first_word(caller, message, fds)
