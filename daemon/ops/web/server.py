"""The HTTP server of `hftd web`: the page, and a stream of what changes; it reads only, and never holds a daemon up.

One round of questions a second whoever looks, in a thread; one answer is made of it, and all get the same. Who has not
read the last one when the next one comes gets all of it anew instead, so nothing queues up; who reads nothing for
`SLOW_S` is hung up on.

Limits: `STREAMS_MAX` look at once, `CONNECTIONS_MAX` are connected; what is no stream lasts `ASK_S` at most.
"""

import asyncio
import contextlib
import ipaddress
import logging
import socket
import struct
from collections.abc import Callable
from typing import Any, Final, cast

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from daemon.connector.secrets import Secret
from daemon.ops.metrics import Ask
from daemon.ops.web.access import has_token, why_refused
from daemon.ops.web.board import Board
from daemon.ops.web.static import HEADERS, page
from hftd.clock import monotonic_ns
from hftd.errors import ConfigError

EVERY_S: Final = 1.0
"""A round of questions, while somebody looks."""
ASK_DAEMONS_S: Final = 1.0
"""So long a daemon may take: one that hangs must not hold the figures of the others back."""
IDLE_S: Final = 15.0
"""And while nobody does: for the curve of the day's profits."""
STREAMS_MAX: Final = 32
CONNECTIONS_MAX: Final = 128
ASK_S: Final = 15.0
SLOW_S: Final = 10.0
SEND_BYTES: Final = 1 << 18
"""So much the system keeps of what a client has not read."""
REQUEST_BYTES_MAX: Final = 8192
PATHS: Final = "there is /, /stream and /healthz\n"

_SILENT: Final = logging.getLogger("hftd.web.http")
"""aiohttp's log of malformed requests: they are answered with 400, and must not fill the log."""
_SILENT.disabled = True

_log = structlog.get_logger("hftd.web")


def _hang_up(transport: asyncio.Transport) -> None:
    """Close at once. What was not read is thrown away, which the system would else keep for minutes."""
    with contextlib.suppress(OSError, AttributeError):
        linger = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()


class _Refused(asyncio.Protocol):
    """Hangs up at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is one in all but its class.
        _hang_up(cast("asyncio.Transport", transport))


class _Server(web.Server):
    """aiohttp's, with a limit on connections, and on how long one that is no stream may last."""

    def __init__(self, answer: Callable[[web.BaseRequest], Any]) -> None:
        super().__init__(
            answer,
            access_log=None,
            logger=_SILENT,
            max_line_size=REQUEST_BYTES_MAX,
            max_field_size=REQUEST_BYTES_MAX,
            keepalive_timeout=ASK_S,
            lingering_time=1.0,
        )
        self.streams: set[RequestHandler] = set()

    def __call__(self) -> Any:
        return _Refused() if len(self._connections) >= CONNECTIONS_MAX else super().__call__()

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        with contextlib.suppress(OSError, AttributeError):
            sending = transport.get_extra_info("socket")
            sending.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        asyncio.get_running_loop().call_later(ASK_S, self._expire, handler, transport)

    def _expire(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        if handler not in self.streams:
            _hang_up(transport)


class Web:
    """Serves the page.

    Args:
        ask: Asks all daemons; called in a thread, one call at a time.
        token: Who looks must bring it; None: whoever reaches this may look.
    """

    def __init__(self, ask: Ask, token: Secret | None) -> None:
        self._ask = ask
        self._token = token
        self._board = Board()
        self._whole = self._change = b""
        self._number = 0
        self._is_loopback = True
        self._is_ending = False
        self._changed = asyncio.Event()
        self._wanted = asyncio.Event()
        self._server = _Server(self._answer)
        self._runner = web.ServerRunner(self._server, shutdown_timeout=1.0)
        self._looking: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen, and begin to look. Returns the port.

        Raises:
            ConfigError: It can't listen there.
        """
        self._is_loopback = ipaddress.ip_address(host).is_loopback
        page()
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port, backlog=CONNECTIONS_MAX).start()
        except OSError as error:
            raise ConfigError(
                f"can't listen on {host}:{port}: {error.strerror or error}",
                where="--listen",
                hint="another process may have the port: choose another one",
            ) from None
        self._looking = asyncio.get_running_loop().create_task(self._look_always())
        return self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Hang up on all, and stop."""
        self._is_ending = True
        self._tell()
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking
        await self._runner.cleanup()

    # What is looked at.

    async def _look_always(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began_ns = monotonic_ns()
            self._wanted.clear()
            try:
                self._whole, self._change = await loop.run_in_executor(None, self._look)
                self._number += 1
                self._tell()
            except Exception as error:
                _log.warning("web_look_failed", error=repr(error))
            await asyncio.sleep(max(EVERY_S - (monotonic_ns() - began_ns) / 1e9, EVERY_S / 4))
            if not self._server.streams:
                # Who comes now does not wait for the next turn.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wanted.wait(), IDLE_S)

    def _look(self) -> tuple[bytes, bytes]:
        daemons, silent = self._ask()
        look = self._board.look(daemons, silent, monotonic_ns())
        return _event(look.whole()), _event(look.change())

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    # What is asked.

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._answered(request)
        except Exception as error:
            _log.warning("web_answer_failed", error=repr(error))
            return _said(500, "it could not be answered: the log says why\n")

    async def _answered(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            return _said(405, "only GET\n", Allow="GET, HEAD")
        if why := why_refused(request.headers, is_loopback=self._is_loopback):
            return _said(403, f"{why}\n")
        if request.path == "/":
            return _page(request)
        if request.path == "/healthz":
            return _said(200, "ok\n")
        if request.path != "/stream":
            return _said(404, PATHS)
        if self._token is not None and not has_token(request.headers, self._token):
            return _said(401, "a token is needed\n", **{"WWW-Authenticate": "Bearer"})
        if len(self._server.streams) >= STREAMS_MAX:
            return _said(503, "too many look at once\n", **{"Retry-After": "5"})
        if request.method == "HEAD":
            return _said(200, "")
        return await self._stream(request)

    async def _wait(self, seen: int) -> None:
        """Until there is another look than this one, or it ends."""
        while self._number in (0, seen) and not self._is_ending:
            await self._changed.wait()

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {**HEADERS, "Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        response = web.StreamResponse(headers=headers)
        self._server.streams.add(request.protocol)
        try:
            async with asyncio.timeout(SLOW_S):
                await response.prepare(request)
            seen = -1
            self._wanted.set()
            while True:
                await self._wait(seen)
                if self._is_ending:
                    break
                line = self._change if self._number == seen + 1 else self._whole
                seen = self._number
                async with asyncio.timeout(SLOW_S):
                    await response.write(line)
        except (TimeoutError, ConnectionError):
            # Too slow, or gone.
            if request.transport is not None:
                _hang_up(request.transport)
        finally:
            self._server.streams.discard(request.protocol)
        response.force_close()
        return response


def _event(line: bytes) -> bytes:
    return b"data: %b\n\n" % line


def _said(code: int, text: str, **headers: str) -> web.Response:
    return web.Response(status=code, text=text, headers={**HEADERS, "Cache-Control": "no-store", **headers})


def _page(request: web.BaseRequest) -> web.Response:
    made = page()
    headers = {
        **HEADERS,
        "Cache-Control": "no-cache",
        "Content-Security-Policy": made.policy,
        "Content-Type": "text/html; charset=utf-8",
        "ETag": made.etag,
        "Vary": "Accept-Encoding",
    }
    if request.headers.get("If-None-Match") == made.etag:
        return web.Response(status=304, headers=headers)
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        return web.Response(body=made.packed, headers={**headers, "Content-Encoding": "gzip"})
    return web.Response(body=made.body, headers=headers)
