"""The user data stream: the connections that an account's events come in on."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import aiohttp
import structlog

from daemon.connector.supervise import Backoff, ConnectionBrokenError, Supervision
from daemon.session.errors import ExchangeError, FateUnknownError, NotSentError, WireError
from daemon.session.facts import RestFacts
from daemon.session.manners import Heartbeat, beaten
from daemon.session.trading.order_socket import WebSocket, open_websocket
from hftd.clock import monotonic_ns, running_ns
from hftd.errors import HftdError

AGAIN_S: Final = 60.0
"""An extension that failed is tried again after this at the latest."""
OVERLAP_S: Final = 2.0
"""A connection that was replaced is read for so long still: what the new one has not seen is on the old one."""

_log = structlog.get_logger("hftd.connector")


class AccessOverError(HftdError):
    """What let us in does no more: the connection has to be made anew."""


class Access(Protocol):
    """How one is let into a user data stream, and stays there."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be in a log."""
        ...

    async def url(self) -> str:
        """Where to connect.

        Raises:
            ExchangeError, NotSentError, FateUnknownError, WireError: Not to be known now.
        """
        ...

    async def enter(self, socket: WebSocket) -> Sequence[bytes] | None:
        """Say on a new connection what has to be said before it tells anything.

        Returns what has come meanwhile and is for others.

        Raises:
            ConnectionBrokenError: One is not let in.
        """
        ...

    async def extend(self) -> None:
        """Stay in for longer.

        Raises:
            AccessOverError: It is too late.
            ExchangeError, NotSentError, FateUnknownError: It did not work this time.
        """
        ...


class UserStream:
    """The connections of one account's user data stream.

    Args:
        session: The HTTP client.
        access: How one is let in.
        facts: What a refusal of the connection means.
        on_message: Given each message; two connections may give the same one.
        on_up: The stream is up: from here on nothing is missed.
        life_s: A connection is replaced after this.
        refresh_s: How often the access is extended.
        heartbeat_s: How often a quiet connection is pinged.
        heartbeat: What takes the place of the protocol's pings.
        may_open: While it says False, no connection is made.
        seed: Of the waits.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        access: Access,
        facts: RestFacts,
        on_message: Callable[[bytes], None],
        on_up: Callable[[], None],
        *,
        life_s: float,
        refresh_s: float,
        heartbeat_s: float = 15.0,
        heartbeat: Heartbeat | None = None,
        may_open: Callable[[], bool] = lambda: True,
        seed: int = 0,
    ) -> None:
        self._session = session
        self._access = access
        self._facts = facts
        self._on_message = on_message
        self._on_up = on_up
        self._life_s = life_s
        self._refresh_s = refresh_s
        self._heartbeat_s = heartbeat_s if heartbeat is None else None
        self._heartbeat = heartbeat
        self._may_open = may_open
        self._backoff = Backoff(min(AGAIN_S, refresh_s) / 4, min(AGAIN_S, refresh_s), seed)
        self._reader: asyncio.Task[str] | None = None
        self._closing: set[asyncio.Task[None]] = set()  # at most one a planned end, each for OVERLAP_S
        self._broken_why = ""
        self._leaving = asyncio.Event()
        self.received_ns = 0
        """When the last message came (monotonic)."""
        self.unbroken_ns = 0
        """Since when it is up without a gap (running time)."""

    def __repr__(self) -> str:
        return f"UserStream(is_up={self.is_up})"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be in a log."""
        return self._access.secrets

    @property
    def retries(self) -> int:
        """How often an extension was tried again."""
        return self._backoff.count

    @property
    def is_up(self) -> bool:
        """Whether events come in."""
        return self._reader is not None and not self._reader.done()

    async def once(self, supervision: Supervision) -> None:
        """One connection: up to its planned end, or the exchange's, when it stays open until the next one is there.

        Raises:
            ConnectionBrokenError: It ended otherwise, or could not be made.
        """
        if not self._may_open():
            raise ConnectionBrokenError("the connector is not well, and the dead-man switch is to fire")
        try:
            url = await self._access.url()
        except (ExchangeError, NotSentError, FateUnknownError, WireError) as error:
            broken = ConnectionBrokenError(f"the user data stream can't be opened: {error}")
            broken.wait_s = getattr(error, "wait_s", 0.0)
            raise broken from None
        websocket = await open_websocket(
            self._session, url, self._heartbeat_s, self._access.secrets, self._facts
        )
        try:
            early = await self._access.enter(websocket)
        except BaseException:
            await websocket.close()
            raise
        old, self._broken_why = self._reader, ""
        self._reader = reader = asyncio.create_task(self._read(websocket, early or ()), name="user stream")
        if old is not None and not old.done():
            self._retire(old)
        else:
            self.unbroken_ns = running_ns()
        supervision.up()
        self._on_up()
        self._leaving.clear()
        leaving = asyncio.create_task(self._leaving.wait())
        try:
            await self._live(reader, leaving)
        finally:
            leaving.cancel()

    async def _live(self, reader: "asyncio.Task[str]", leaving: "asyncio.Task[Any]") -> None:
        """Stay in until the connection's end, or a planned one."""
        end_ns = monotonic_ns() + int(self._life_s * 1e9)
        wait_s = self._refresh_s
        while True:
            left_s = (end_ns - monotonic_ns()) / 1e9
            await asyncio.wait(
                [reader, leaving],
                timeout=max(0.0, min(wait_s, left_s)),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if reader.done():
                why = "ended" if reader.cancelled() else reader.result()
                raise ConnectionBrokenError(self._broken_why or why)
            if leaving.done() or monotonic_ns() >= end_ns:
                return
            error = await self._extend()
            if error is None:
                self._backoff.reset()
                wait_s = self._refresh_s
            else:
                wait_s = self._backoff.next_s(error)
                _log.warning("user_stream_not_extended", why=str(error), again_in_s=round(wait_s, 3))

    async def _extend(self) -> HftdError | None:
        """Stay in; what was in the way."""
        try:
            await self._access.extend()
        except AccessOverError as error:
            self.abort(str(error))
        except (ExchangeError, NotSentError, FateUnknownError) as error:
            return error
        return None

    async def _read(self, websocket: WebSocket, early: Sequence[bytes]) -> str:
        self.received_ns = monotonic_ns()
        read_ns = [self.received_ns]
        dead: list[str] = []

        reader = asyncio.current_task()

        def die(why: str) -> None:
            dead.append(why)
            if reader is not None:
                reader.cancel()

        beating = asyncio.create_task(beaten(self._heartbeat, websocket, lambda: read_ns[0], die))
        try:
            for data in early:
                self._on_message(data)
            while True:
                message = await websocket.receive()
                if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                    return f"closed by the exchange ({websocket.close_code})"
                self.received_ns = read_ns[0] = monotonic_ns()
                self._on_message(message.data)
        except asyncio.CancelledError:
            if not dead:
                raise
            return dead[0]
        finally:
            beating.cancel()
            await websocket.close()

    def retire(self) -> None:
        """The exchange is about to end the connection: make the next one while it is still read."""
        self._leaving.set()

    def abort(self, why: str) -> None:
        """Make the connection again, and be let in anew."""
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
