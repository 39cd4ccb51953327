"""The HTTP server of `hftd web`: the page, and a stream of what changes; it reads only, and never holds a daemon up.

One round of questions a second whoever looks, in a thread; one answer is made of it, and all get the same. Who has not
read the last one when the next one comes gets all of it anew instead, so nothing queues up; who reads nothing for
`SLOW_S` is hung up on.

`STREAMS_MAX` look at once.
"""

import asyncio
import contextlib
from typing import Final

import structlog
from aiohttp import web

from daemon.connector.secrets import Secret
from daemon.ops.access import has_token
from daemon.ops.metrics import Ask
from daemon.ops.serving import HEADERS, Served, hang_up, said
from daemon.ops.web.board import Board
from daemon.ops.web.static import page
from hftd.clock import monotonic_ns

EVERY_S: Final = 1.0
"""A round of questions, while somebody looks."""
ASK_DAEMONS_S: Final = 1.0
"""So long a daemon may take: one that hangs must not hold the figures of the others back."""
IDLE_S: Final = 15.0
"""And while nobody does: for the curve of the day's profits."""
STREAMS_MAX: Final = 32
SLOW_S: Final = 10.0
PATHS: Final = "there is /, /stream and /healthz\n"

_log = structlog.get_logger("hftd.web")


class Web(Served):
    """Serves the page.

    Args:
        ask: Asks all daemons; called in a thread, one call at a time.
        token: Who looks must bring it; None: whoever reaches this may look.
    """

    def __init__(self, ask: Ask, token: Secret | None) -> None:
        super().__init__()
        self._ask = ask
        self._token = token
        self._board = Board()
        self._whole = self._change = b""
        self._number = 0
        self._is_ending = False
        self._changed = asyncio.Event()
        self._wanted = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen, and begin to look. Returns the port.

        Raises:
            ConfigError: It can't listen there.
        """
        page()
        found = await super().start(host, port)
        self._looking = asyncio.get_running_loop().create_task(self._look_always())
        return found

    async def stop(self) -> None:
        """Hang up on all, and stop."""
        self._is_ending = True
        self._tell()
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking
        await super().stop()

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
            if not self.streams:
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

    async def _give(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/":
            return _page(request)
        if request.path != "/stream":
            return said(404, PATHS)
        if self._token is not None and not has_token(request.headers, self._token):
            return said(401, "a token is needed\n", **{"WWW-Authenticate": "Bearer"})
        if len(self.streams) >= STREAMS_MAX:
            return said(503, "too many look at once\n", **{"Retry-After": "5"})
        if request.method == "HEAD":
            return said(200, "")
        return await self._stream(request)

    async def _wait(self, seen: int) -> None:
        """Until there is another look than this one, or it ends."""
        while self._number in (0, seen) and not self._is_ending:
            await self._changed.wait()

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {**HEADERS, "Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        response = web.StreamResponse(headers=headers)
        self.streams.add(request.protocol)
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
                hang_up(request.transport)
        finally:
            self.streams.discard(request.protocol)
        return response


def _event(line: bytes) -> bytes:
    return b"data: %b\n\n" % line


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
