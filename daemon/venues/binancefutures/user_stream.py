"""The user data stream: its listen key, and the connections that events come in on.

A listen key lives 60 minutes from its last extension. A POST while one lives gives the same key and extends it; so a
restarted connector, and another one of the account, have the same key, and nobody closes it.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import aiohttp
import structlog

from daemon.connector.limiter import Priority
from daemon.connector.supervise import Backoff, ConnectionBrokenError, Supervision
from daemon.redaction import hide
from daemon.venues.binancefutures.account import read_listen_key
from daemon.venues.binancefutures.codes import LISTEN_KEY_CODE
from daemon.venues.binancefutures.instruments import WireError
from daemon.venues.binancefutures.rest import ExchangeError, FateUnknownError, NotSentError, Rest
from daemon.venues.binancefutures.ws_api import WebSocket, open_websocket
from hftd.clock import monotonic_ns, running_ns
from hftd.errors import HftdError

REFRESH_S: Final = 1800.0
AGAIN_S: Final = 60.0
"""An extension that failed is tried again after this at the latest: thirty times before the key is over."""
OVERLAP_S: Final = 2.0
"""A connection that was replaced is read for so long still: what the new one has not seen is on the old one."""
_PATH: Final = "/fapi/v1/listenKey"

_log = structlog.get_logger("hftd.connector")


class UserStream:
    """The connections of one account's user data stream.

    Args:
        session: The HTTP client.
        rest: Where listen keys come from.
        url: To which ``/ws/<listen key>`` is appended, such as ``wss://fstream.binance.com/private``.
        on_message: Given each message; two connections may give the same one.
        on_up: The stream is up: from here on nothing is missed.
        life_s: A connection is replaced after this.
        refresh_s: How often the key is extended.
        heartbeat_s: How often a quiet connection is pinged.
        seed: Of the waits.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        rest: Rest,
        url: str,
        on_message: Callable[[bytes], None],
        on_up: Callable[[], None],
        *,
        life_s: float,
        refresh_s: float = REFRESH_S,
        heartbeat_s: float = 15.0,
        seed: int = 0,
    ) -> None:
        self._session = session
        self._rest = rest
        self._url = url.rstrip("/")
        self._on_message = on_message
        self._on_up = on_up
        self._life_s = life_s
        self._refresh_s = refresh_s
        self._heartbeat_s = heartbeat_s
        self._backoff = Backoff(min(AGAIN_S, refresh_s) / 4, min(AGAIN_S, refresh_s), seed)
        self._key = ""
        self._reader: asyncio.Task[str] | None = None
        self._closing: set[asyncio.Task[None]] = set()  # at most one a planned end, each for OVERLAP_S
        self._broken_why = ""
        self.received_ns = 0
        """When the last message came (monotonic)."""
        self.unbroken_ns = 0
        """Since when it is up without a gap (running time)."""

    def __repr__(self) -> str:
        return f"UserStream({self._url})"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be in a log."""
        return (self._key,)

    @property
    def retries(self) -> int:
        """How often an extension of the listen key was tried again."""
        return self._backoff.count

    @property
    def is_up(self) -> bool:
        """Whether events come in."""
        return self._reader is not None and not self._reader.done()

    async def once(self, supervision: Supervision) -> None:
        """One connection: up to its planned end, when it stays open until the next one is there.

        Raises:
            ConnectionBrokenError: It ended otherwise, or could not be made.
        """
        key = await self._listen_key()
        websocket = await open_websocket(self._session, f"{self._url}/ws/{key}", self._heartbeat_s, (key,))
        old, self._broken_why = self._reader, ""
        self._reader = reader = asyncio.create_task(self._read(websocket), name="user stream")
        if old is not None and not old.done():
            self._retire(old)
        else:
            self.unbroken_ns = running_ns()
        supervision.up()
        self._on_up()
        end_ns = monotonic_ns() + int(self._life_s * 1e9)
        wait_s = self._refresh_s
        while True:
            left_s = (end_ns - monotonic_ns()) / 1e9
            done, _ = await asyncio.wait([reader], timeout=max(0.0, min(wait_s, left_s)))
            if done:
                why = "ended" if reader.cancelled() else reader.result()
                raise ConnectionBrokenError(self._broken_why or why)
            if monotonic_ns() >= end_ns:
                return
            error = await self._extend()
            if error is None:
                self._backoff.reset()
                wait_s = self._refresh_s
            else:
                wait_s = self._backoff.next_s(error)
                _log.warning(
                    "the listen key could not be extended", why=str(error), again_in_s=round(wait_s, 3)
                )

    async def _listen_key(self) -> str:
        try:
            self._key = read_listen_key(
                await self._rest.ask(_PATH, auth="key", method="POST", priority=Priority.ORDERS)
            )
        except (ExchangeError, NotSentError, FateUnknownError, WireError) as error:
            broken = ConnectionBrokenError(f"no listen key: {error}")
            broken.wait_s = getattr(error, "wait_s", 0.0)
            raise broken from None
        hide(self._key)
        return self._key

    async def _extend(self) -> HftdError | None:
        """Extend the listen key; what was in the way."""
        try:
            await self._rest.ask(_PATH, auth="key", method="PUT", priority=Priority.ORDERS)
        except ExchangeError as error:
            if error.code != LISTEN_KEY_CODE:
                return error
            self.abort("the listen key is over")
        except (NotSentError, FateUnknownError) as error:
            return error
        return None

    async def _read(self, websocket: WebSocket) -> str:
        try:
            while True:
                message = await websocket.receive()
                if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                    return f"closed by the exchange ({websocket.close_code})"
                self.received_ns = monotonic_ns()
                self._on_message(message.data)
        finally:
            await websocket.close()

    def abort(self, why: str) -> None:
        """Make the connection again, with a listen key asked for anew."""
        if self._reader is not None and not self._reader.done():
            self._broken_why = self._broken_why or why
            self._reader.cancel()

    def _retire(self, reader: asyncio.Task[str]) -> None:
        async def later() -> None:
            await asyncio.wait([reader], timeout=OVERLAP_S)
            reader.cancel()

        task = asyncio.create_task(later(), name="user stream, replaced")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """End all connections."""
        tasks = [*self._closing, *([self._reader] if self._reader else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
