"""A connector that waits for its exchange, and serves no channel yet: `hftd status` shows it as ``NAME.waiting``.

The channel's own name is not taken before there is something to serve: bots that look for it go on looking.
"""

import os
from pathlib import Path
from typing import Final

import structlog

from daemon.warnings import Warn, Warnings
from hftd import wire
from hftd.channel.memory import BotPage
from hftd.clock import monotonic_ns, running_ns
from hftd.control import recent, status
from hftd.control.asking import Reply
from hftd.control.server import ChannelServer, Grant
from hftd.errors import HftdError, RefusedError
from hftd.version import __version__

_NAME_MAX: Final = 64
_ENDING: Final = ".waiting"

_log = structlog.get_logger("hftd.connector")


class Waiting:
    """See the module.

    Args:
        name: The channel's.
        venue: The exchange's.
        directory: The runtime directory, if it is another than the usual one.
    """

    def __init__(self, name: str, venue: str, directory: Path | None) -> None:
        self._name = name[: _NAME_MAX - len(_ENDING)] + _ENDING
        self._channel = name
        self._venue = venue
        self._directory = directory
        self._server: ChannelServer | None = None
        self._since_ns = running_ns()
        self._why = ""
        self._warnings = Warnings(lambda: [Warn("waits_for_exchange", self._why)])

    async def failed(self, why: str) -> None:
        """The exchange could not be asked once more."""
        self._why = f"the connector {self._channel!r} waits for its exchange, and serves no bots yet: {why}"
        self._warnings.look(monotonic_ns())
        if self._server is not None:
            return
        self._server = ChannelServer(self._name, self, self._directory)
        try:
            await self._server.start()
        except HftdError as error:
            # It is shown, or it is not; waiting goes on.
            _log.warning("waiting_status_unavailable", why=str(error))

    def close(self) -> None:
        """It waits no more; again does nothing."""
        if self._server is not None:
            self._server.close("the connector waits no more")

    # The server's handler.

    def attach(self, hello: wire.Hello, bot_page: BotPage) -> Grant:
        """There is nothing to attach to."""
        del hello, bot_page
        raise RefusedError(self._why)

    def detach(self, bot: str, reason: str) -> None:
        """Nobody was attached."""

    def answer(self, ask: wire.Ask) -> Reply:
        """Its status; all else there is not."""
        if ask.what != wire.ASK_STATUS:
            raise RefusedError(self._why)
        alerts = self._warnings.look(monotonic_ns())
        return Reply(
            status.DaemonStatus(
                kind=status.CONNECTOR,
                name=self._name,
                pid=os.getpid(),
                version=__version__,
                now_ns=running_ns(),
                venue=self._venue,
                started_ns=self._since_ns,
                warnings=[one.text for one in alerts],
                alerts=alerts,
                events=recent.events(),
            )
        )
