"""A machine and its network that are the test's: time passes only when nobody has anything to do.

Real are the programs: what they do on an event loop, and the bytes that they send each other. Their loop, their clocks
and the connections between them are here, in one process. A program can be killed at any moment, as by a kill -9: it
does nothing more, its connections break, and what it knew is gone.
"""

import asyncio
import contextlib
import contextvars
import socket
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import hftd.clock

BEGIN_NS = 1_790_000_000_000_000_000
LATENCY_S = 0.001
"""Of a connection, each way."""
NEXT_S = 0.000001
"""What is sent at once arrives one after the other."""
STUCK = 1_000_000
"""So many callbacks without time passing are an endless loop."""

_program: "contextvars.ContextVar[Program | None]" = contextvars.ContextVar("program", default=None)


class Killed(BaseException):
    """The program ends here; nothing in it hears of that."""


class Program:
    """One that can be killed.

    Attributes:
        context: In which all that it does is done.
    """

    def __init__(self) -> None:
        self.context = contextvars.copy_context()
        self.context.run(_program.set, self)
        self.is_dead = self.was_killed = self.is_stopped = False
        self.parked: list[asyncio.Handle] = []
        self.ends: list[_End] = []

    def run(self, act: Callable[..., Any], *args: Any) -> Any:
        """Do something as this program."""
        return self.context.run(act, *args)

    def kill(self) -> None:
        """It does nothing more; the kernel closes its connections."""
        self.is_dead = self.was_killed = True
        for end in self.ends:
            end.reset()


class _Handle(asyncio.Handle):
    __slots__ = ()

    def _run(self) -> None:
        _run(self, super()._run)


class _TimerHandle(asyncio.TimerHandle):
    __slots__ = ()

    def _run(self) -> None:
        _run(self, super()._run)


def _run(handle: Any, act: Callable[[], None]) -> None:
    program = handle._context.get(_program)
    if program is not None and (program.is_dead or program.is_stopped):
        program.parked.append(handle)
    else:
        act()


class _Clock:
    """In the place of the module `time` in `hftd.clock`."""

    def __init__(self) -> None:
        self.passed_ns = 1_000_000_000_000

    def time_ns(self) -> int:
        return BEGIN_NS + self.passed_ns

    def monotonic_ns(self) -> int:
        return self.passed_ns

    def clock_gettime_ns(self, _clock: int) -> int:
        return self.passed_ns


class _Selector:
    """Nothing comes from outside: waiting is letting time pass."""

    def __init__(self, clock: _Clock) -> None:
        self._clock = clock
        self._count = 0

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise AssertionError("nobody waits for anything any more: it hangs")
        self._count = 0 if timeout > 0 else self._count + 1
        assert self._count < STUCK, "time stands still"
        self._clock.passed_ns += -int(-timeout * 1e9 // 1)
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop in which time is virtual, with connections in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = _Clock()
        self._selector = _Selector(self.clock)
        self._clock_resolution = 1e-9
        self.listening: dict[int, _Listening] = {}
        self._last_port = 20_000
        self._wanted: dict[int, tuple[str, int]] = {}
        self.failures: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _loop, context: self.failures.append(context))

    def time(self) -> float:
        return self.clock.passed_ns / 1e9

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    def _call_soon(self, callback: Any, args: Any, context: Any) -> asyncio.Handle:
        handle = _Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        import heapq

        timer = _TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True
        return timer

    def resume(self, program: Program) -> None:
        """Let a program that was killed go on, so that it can be wound up."""
        program.is_dead = False
        for end in program.ends:
            end.is_mute = True
            self.call_soon(end._end, None, context=end._context)
        self._ready.extend(program.parked)
        program.parked.clear()

    def go_on(self, program: Program) -> None:
        """A program that stood still goes on, with all that has come meanwhile."""
        program.is_stopped = False
        self._ready.extend(program.parked)
        program.parked.clear()

    # What comes from outside of a real machine.

    def add_reader(self, fd: int, callback: Any, *args: Any) -> None:
        """Nobody writes to it."""

    def remove_reader(self, fd: int) -> bool:
        return True

    def add_signal_handler(self, sig: int, callback: Any, *args: Any) -> None:
        """Nobody sends it."""

    def remove_signal_handler(self, sig: int) -> bool:
        return True

    # Connections.

    async def create_server(self, protocol_factory: Any, host: Any = None, port: int = 0, **_: Any) -> Any:
        if not port:
            self._last_port += 1
            port = self._last_port
        if port in self.listening:
            raise OSError(98, "Address already in use")
        found = self.listening[port] = _Listening(self, protocol_factory, port)
        return found

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        self._wanted[id(sock)] = address[0], address[1]
        await asyncio.sleep(LATENCY_S)
        if address[1] not in self.listening:
            raise ConnectionRefusedError(111, f"Connect call failed {address}")

    async def create_connection(self, protocol_factory: Any, *_: Any, sock: Any = None, **__: Any) -> Any:
        host, port = self._wanted.pop(id(sock))
        sock.close()
        listening = self.listening.get(port)
        if listening is None:
            raise ConnectionRefusedError(111, "Connection refused")
        protocol = protocol_factory()
        client = _End(self, protocol, contextvars.copy_context(), (host, 40_000), (host, port))
        served = listening.protocol_factory()
        server = _End(self, served, listening.context, (host, port), (host, 40_000))
        client.peer, server.peer = server, client
        listening.ends.append(server)
        program = _program.get()
        if program is not None:
            program.ends.append(client)
        protocol.connection_made(client)
        listening.context.run(served.connection_made, server)
        return client, protocol


class _Listening:
    """What `create_server` gives."""

    def __init__(self, loop: VirtualLoop, protocol_factory: Any, port: int) -> None:
        self.protocol_factory = protocol_factory
        self.context = contextvars.copy_context()
        self.ends: list[_End] = []
        self._loop = loop
        self._port = port
        self.sockets = [self]

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", self._port

    def is_serving(self) -> bool:
        return self._loop.listening.get(self._port) is self

    def close(self) -> None:
        if self.is_serving():
            del self._loop.listening[self._port]

    async def wait_closed(self) -> None:
        pass


class _End(asyncio.Transport):
    """One end of a connection."""

    def __init__(
        self, loop: VirtualLoop, protocol: Any, context: contextvars.Context, here: Any, there: Any
    ) -> None:
        super().__init__({"peername": there, "sockname": here})
        self.peer: _End
        self._loop = loop
        self._protocol = protocol
        self._context = context
        self._is_closing = False
        self._is_over = False
        self._is_paused = False
        self._kept: deque[bytes | None] = deque()
        self.is_mute = False
        self._due_s = 0.0

    def get_protocol(self) -> Any:
        return self._protocol

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    def is_closing(self) -> bool:
        return self._is_closing

    def write(self, data: Any) -> None:
        program = self._context.get(_program)
        if self._is_closing or self.is_mute or (program is not None and program.is_dead):
            return
        self._deliver(bytes(data))

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(bytes(one) for one in list_of_data))

    def write_eof(self) -> None:
        self._deliver(None)

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def _deliver(self, data: bytes | None) -> None:
        self._later(self.peer._come, data)

    def _later(self, act: Callable[..., None], what: Any) -> None:
        """At the other end, after all that was sent before."""
        self._due_s = max(self._loop.time() + LATENCY_S, self._due_s + NEXT_S)
        self._loop.call_at(self._due_s, act, what, context=self.peer._context)

    def _come(self, data: bytes | None) -> None:
        if self._is_over:
            return
        if self._is_paused:
            self._kept.append(data)
        elif data is None:
            if not self._protocol.eof_received():
                self.close()
        elif not self._is_closing:
            self._protocol.data_received(data)

    def pause_reading(self) -> None:
        self._is_paused = True

    def resume_reading(self) -> None:
        self._is_paused = False
        while self._kept and not self._is_paused:
            self._come(self._kept.popleft())

    def is_reading(self) -> bool:
        return not self._is_paused

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._deliver(None)
            self._loop.call_soon(self._end, None, context=self._context)

    def abort(self) -> None:
        if not self._is_over:
            self.reset()
            self._loop.call_soon(self._end, None, context=self._context)

    def reset(self) -> None:
        """The other end hears that this one is gone."""
        self._is_closing = True
        self._later(self.peer._end, ConnectionResetError(104, "Connection reset by peer"))

    def _end(self, error: Exception | None) -> None:
        if not self._is_over:
            self._is_over = self._is_closing = True
            self._protocol.connection_lost(error)


@contextlib.contextmanager
def virtual_clocks(clock: _Clock) -> Iterator[None]:
    """All clocks of `hftd.clock` (but those of compiled code) show a virtual time."""
    names = ("time", "_ANCHOR_NS", "_stamp_ns", "_stamp_boot_ns")
    before = [getattr(hftd.clock, name) for name in names]
    for name, value in zip(names, (clock, BEGIN_NS, 0, 0), strict=True):
        setattr(hftd.clock, name, value)
    try:
        yield
    finally:
        for name, value in zip(names, before, strict=True):
            setattr(hftd.clock, name, value)


def run(main: Callable[[VirtualLoop], Coroutine[Any, Any, None]]) -> None:
    """Run something on a machine of its own, to its end."""
    loop = VirtualLoop()
    try:
        with virtual_clocks(loop.clock), asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(main(loop))
    finally:
        asyncio.set_event_loop(None)
