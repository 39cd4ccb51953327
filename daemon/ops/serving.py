"""A small HTTP server for what watches daemons: read only, and it never holds a daemon up.

Asking daemons blocks, so it happens in one thread; while it runs, and for a moment after it, all that ask are given the
same answer. So a daemon is asked at most so often, however many ask here.
"""

import asyncio
import ipaddress
import signal
from collections.abc import Callable
from typing import Final, Protocol

import structlog
from aiohttp import web

from hftd.clock import monotonic_ns
from hftd.control.notify import READY, STOPPING, how, notify
from hftd.errors import ConfigError

FRESH_NS: Final = 500_000_000
"""An answer is given out again for so long."""
WAITING_MAX: Final = 64
"""So many wait for one answer; further ones are told to come back."""
REQUEST_BYTES_MAX: Final = 8192
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

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


class Metrics:
    """Answers `GET /metrics`, and `GET /healthz` for whoever watches this process itself.

    Args:
        scrape: Asks all daemons, and gives the text; called in a thread, one call at a time.
    """

    def __init__(self, scrape: Callable[[], bytes]) -> None:
        self._scrape = scrape
        self._text = b""
        self._asked_ns = 0
        self._lock = asyncio.Lock()
        self._runner = web.ServerRunner(
            web.Server(self._answer, access_log=None, max_line_size=REQUEST_BYTES_MAX, lingering_time=1.0)
        )
        self._waiting = 0

    async def start(self, host: str, port: int) -> int:
        """Listen. Returns the port.

        Raises:
            ConfigError: It can't listen there.
        """
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, backlog=WAITING_MAX)
        try:
            await site.start()
        except OSError as error:
            raise ConfigError(
                f"can't listen on {host}:{port}: {error.strerror or error}",
                where="--listen",
                hint="another process may have the port: choose another one",
            ) from None
        return self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening, and let go of all connections."""
        await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, text="only GET\n", headers={"Allow": "GET, HEAD"})
        if request.path == "/healthz":
            return web.Response(text="ok\n")
        if request.path != "/metrics":
            return web.Response(status=404, text="there is /metrics and /healthz\n")
        if self._waiting >= WAITING_MAX:
            return web.Response(status=503, text="too many ask at once\n", headers={"Retry-After": "1"})
        self._waiting += 1
        try:
            text = await self._fresh()
        except Exception as error:
            _log.warning("metrics_failed", error=repr(error))
            return web.Response(status=500, text="the daemons could not be asked: the log says why\n")
        finally:
            self._waiting -= 1
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})

    async def _fresh(self) -> bytes:
        async with self._lock:
            if not self._asked_ns or monotonic_ns() - self._asked_ns > FRESH_NS:
                self._text = await asyncio.get_running_loop().run_in_executor(None, self._scrape)
                self._asked_ns = monotonic_ns()
            return self._text


class Server(Protocol):
    """What listens."""

    async def start(self, host: str, port: int) -> int:
        """Begin to listen; the port."""
        ...

    async def stop(self) -> None:
        """Hang up on all."""
        ...


async def serve(
    make: Callable[[], Server], host: str, port: int, words: str, say: Callable[[str], None]
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
    said = words.format(f"http://[{host}]:{found}" if ":" in host else f"http://{host}:{found}")
    say(said)
    notify(READY, how(said))
    try:
        await stopped.wait()
    finally:
        notify(STOPPING)
        await server.stop()
