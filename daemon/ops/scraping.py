"""The HTTP server of `hftd metrics`.

Asking daemons blocks, so it happens in one thread; while it runs, and for a moment after it, all that ask are given the
same answer. So a daemon is asked at most so often, however many ask here.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog
from aiohttp import web

from daemon.ops.serving import HEADERS, Served, said
from hftd.clock import monotonic_ns

FRESH_NS: Final = 500_000_000
"""An answer is given out again for so long; that there was none, too."""
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_log = structlog.get_logger(__name__)


class Metrics(Served):
    """Answers `GET /metrics`.

    Args:
        scrape: Asks all daemons, and gives the text; called in a thread, one call at a time.
    """

    def __init__(self, scrape: Callable[[], bytes]) -> None:
        super().__init__()
        self._scrape = scrape
        self._round: asyncio.Task[bytes | None] | None = None
        self._ended_ns = 0

    async def _give(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path != "/metrics":
            return said(404, "there is /metrics and /healthz\n")
        if self._round is None or (self._round.done() and monotonic_ns() - self._ended_ns > FRESH_NS):
            self._round = asyncio.get_running_loop().create_task(self._ask())
        # The others wait for it too.
        text = await asyncio.shield(self._round)
        if text is None:
            return said(500, "the daemons could not be asked: the log says why\n")
        return web.Response(body=text, headers={**HEADERS, "Content-Type": CONTENT_TYPE})

    async def _ask(self) -> bytes | None:
        """The text, which is empty where no daemon runs; None: they could not be asked."""
        try:
            return await asyncio.get_running_loop().run_in_executor(None, self._scrape)
        except Exception as error:
            _log.warning("metrics_failed", error=repr(error))
            return None
        finally:
            self._ended_ns = monotonic_ns()
