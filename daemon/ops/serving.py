"""The small HTTP server of what watches daemons: read only, and no client of it holds it, another one or a daemon up.

Who asks is checked first (:mod:`daemon.ops.access`). `CONNECTIONS_MAX` are connected at most; each has one request
and is hung up on after `ASK_S`, whatever it does, unless it is a stream, which looks after its client itself.
"""

import asyncio
import contextlib
import ipaddress
import logging
import signal
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final, cast

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from daemon.ops.access import why_refused
from hftd.control.notify import READY, STOPPING, how, notify
from hftd.errors import ConfigError

CONNECTIONS_MAX: Final = 128
ASK_S: Final = 15.0
SEND_BYTES: Final = 1 << 18
"""So much the system keeps of what a client has not read."""
REQUEST_BYTES_MAX: Final = 8192
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Of every answer."""

_SILENT: Final = logging.getLogger("hftd.http")
"""aiohttp's log of malformed requests: they are answered with 400, and must not fill the log."""
_SILENT.disabled = True

_log = structlog.get_logger(__name__)


def parse_listen(text: str) -> tuple[str, int]:
    """`127.0.0.1:9464` or `[::1]:9464` as address and port.

    Raises:
        ConfigError: It is not an address of this kind.
    """
    host, _, port = text.rpartition(":")
    hint = "give an address and a port, such as 127.0.0.1:9464"
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise ConfigError(f"'{text}' is not an address to listen on", where="--listen", hint=hint) from None
    if not (port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise ConfigError(f"'{port}' is not a port", where="--listen", hint=hint)
    return str(address), int(port)


def hang_up(transport: asyncio.Transport) -> None:
    """Close at once. What was not read is thrown away, which the system would else keep for minutes."""
    with contextlib.suppress(OSError, AttributeError):
        linger = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()


def said(code: int, text: str, **headers: str) -> web.Response:
    """An answer in words."""
    return web.Response(status=code, text=text, headers={**HEADERS, "Cache-Control": "no-store", **headers})


class _Refused(asyncio.Protocol):
    """Hangs up at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is one in all but its class.
        hang_up(cast("asyncio.Transport", transport))


class _Connections(web.Server):
    """aiohttp's server, with a limit on connections, and on how long one that is no stream may last."""

    def __init__(self, answer: Callable[[web.BaseRequest], Any]) -> None:
        super().__init__(
            answer,
            access_log=None,
            logger=_SILENT,
            max_line_size=REQUEST_BYTES_MAX,
            max_field_size=REQUEST_BYTES_MAX,
            lingering_time=1.0,
            # Else a stream hears that its client is gone only when it has something to say.
            handler_cancellation=True,
        )
        self.streams: set[RequestHandler] = set()
        self._ends: dict[RequestHandler, asyncio.TimerHandle] = {}

    def __call__(self) -> Any:
        return _Refused() if len(self._connections) >= CONNECTIONS_MAX else super().__call__()

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        with contextlib.suppress(OSError, AttributeError):
            sending = transport.get_extra_info("socket")
            sending.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        self._ends[handler] = asyncio.get_running_loop().call_later(ASK_S, self._expire, handler, transport)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        if (end := self._ends.pop(handler, None)) is not None:
            end.cancel()

    def _expire(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        if handler not in self.streams:
            hang_up(transport)


class Served(ABC):
    """What listens. `GET /healthz` is answered for whoever watches this process itself; the rest is a subclass's.

    Attributes:
        streams: Connections that last for as long as they like.
    """

    def __init__(self) -> None:
        self._is_loopback = True
        connections = _Connections(self._answer)
        self.streams = connections.streams
        self._runner = web.ServerRunner(connections, shutdown_timeout=1.0)

    @abstractmethod
    async def _give(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a GET or HEAD that may be answered."""

    async def start(self, host: str, port: int) -> int:
        """Listen. Returns the port.

        Raises:
            ConfigError: It can't listen there.
        """
        self._is_loopback = ipaddress.ip_address(host).is_loopback
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port, backlog=CONNECTIONS_MAX).start()
        except OSError as error:
            raise ConfigError(
                f"can't listen on {host}:{port}: {error.strerror or error}",
                where="--listen",
                hint="another process may have the port: choose another one",
            ) from None
        return self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening, and hang up on all."""
        await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            answer = await self._checked(request)
        except Exception as error:
            _log.warning("http_answer_failed", error=repr(error))
            answer = said(500, "it could not be answered: the log says why\n")
        # A connection that is kept would be hung up on in the midst of a later request.
        answer.force_close()
        return answer

    async def _checked(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            return said(405, "only GET\n", Allow="GET, HEAD")
        if why := why_refused(request.headers, is_loopback=self._is_loopback):
            return said(403, f"{why}\n")
        if request.path == "/healthz":
            return said(200, "ok\n")
        return await self._give(request)


async def serve(
    make: Callable[[], Served], host: str, port: int, words: str, say: Callable[[str], None]
) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        make: Makes what is started; called in the event loop.
        host: Where it listens.
        port: And there; 0: a free one.
        words: What is said then, with {} for the address; systemd hears it too.
        say: Says it to who started this.

    Raises:
        ConfigError: It can't listen there.
    """
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    server = make()
    found = await server.start(host, port)
    told = words.format(f"http://[{host}]:{found}" if ":" in host else f"http://{host}:{found}")
    say(told)
    notify(READY, how(told))
    try:
        await stopped.wait()
    finally:
        notify(STOPPING)
        await server.stop()
