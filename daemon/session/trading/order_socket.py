"""A socket that orders go out on, and what is still to be answered on it."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Literal, Protocol

import aiohttp
import structlog

from daemon.connector.reasons import why_not
from daemon.connector.supervise import ConnectionBrokenError
from daemon.messages import Command
from daemon.redaction import redact
from daemon.session.errors import WireError
from daemon.session.facts import OrderFacts, Pong, Reply, RestFacts, Signer
from daemon.session.manners import Heartbeat, beaten
from daemon.session.rest import TOO_MANY_STATUSES
from hftd.clock import monotonic_ns, running_ns

MESSAGE_BYTES_MAX: Final = 2**20
CONNECT_S: Final = 10.0
LOGON_S: Final = 5.0
CLOSE_S: Final = 1.0
"""So long a closing handshake may take; a dead connection has none."""
DRAIN_S: Final = 10.0
"""How long a socket that was replaced may take to answer what it still owes."""

_log = structlog.get_logger("hftd.connector")


WebSocket = aiohttp.ClientWebSocketResponse[Literal[False]]
"""One that gives texts as bytes."""


class Listener(Protocol):
    """Whom a socket tells what comes in."""

    def on_reply(self, command: Command, reply: Reply) -> None:
        """A command was answered."""

    def on_unreadable(self, command: Command | None, data: bytes, error: WireError) -> None:
        """A message could not be read; `command` is what it answers, if even that is known."""

    def on_late(self, reply: Reply) -> None:
        """A reply to what is not waited for: its time was over, or it is nobody's."""

    def on_closed(self, socket: "OrderSocket", owed: list[Command], why: str) -> None:
        """The socket is gone, with commands unanswered."""


async def open_websocket(
    session: aiohttp.ClientSession,
    url: str,
    heartbeat_s: float | None,
    secrets: tuple[str, ...],
    facts: RestFacts,
) -> WebSocket:
    """Connect; the text of what fails holds no secret.

    Raises:
        ConnectionBrokenError: There is no connection.
    """
    try:
        async with asyncio.timeout(CONNECT_S):
            return await session.ws_connect(
                url,
                heartbeat=heartbeat_s,
                max_msg_size=MESSAGE_BYTES_MAX,
                autoping=True,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),  # pyright: ignore[reportCallIssue]
                decode_text=False,
            )
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        # Without the cause: its text may hold the listen key.
        broken = ConnectionBrokenError(redact(f"{type(error).__name__}: {why_not(error)}", secrets))
        if isinstance(error, aiohttp.WSServerHandshakeError) and error.status in TOO_MANY_STATUSES:
            # The ban holds for connections as well, and trying makes it longer.
            broken.wait_s = facts.quiet_s(error.status, None, error.headers or {}, 0)
        raise broken from None


class OrderSocket:
    """One connection that orders go out on, logged on where the key allows it."""

    def __init__(self, socket: WebSocket, listener: Listener, facts: OrderFacts) -> None:
        self._socket = socket
        self._facts = facts
        self._listener = listener
        self._send_frame = socket.send_frame
        self.in_flight: dict[int, tuple[Command, int]] = {}
        """By request number, in the order of sending: the command, and when it was sent (monotonic)."""
        self.received_ns = 0
        """When the last message came (monotonic)."""
        self.is_open = True
        self._closing_why = ""
        self._reader: asyncio.Task[str] | None = None
        self._beating: asyncio.Task[None] | None = None
        self._to_be_replaced = asyncio.Event()
        self.guard_problem = ""
        """Why the exchange does not cancel what was ordered on this connection when it ends, if it was asked to."""

    @classmethod
    async def connect(
        cls,
        session: aiohttp.ClientSession,
        facts: OrderFacts,
        rest_facts: RestFacts,
        url: str,
        signer: Signer,
        listener: Listener,
        corrected_ms: Callable[[int], int],
        *,
        heartbeat_s: float = 15.0,
        heartbeat: Heartbeat | None = None,
        guard: tuple[str, bytes] | None = None,
    ) -> "OrderSocket":
        """Connect, and log on if the key can. A `heartbeat` takes the place of the protocol's pings.

        A `guard` (see `Manners`) is asked for before anything is sent.

        Raises:
            ConnectionBrokenError: There is no connection, or it was not let in.
        """
        ping_s = heartbeat_s if heartbeat is None else None
        websocket = await open_websocket(session, url, ping_s, (signer.api_key,), rest_facts)
        socket = cls(websocket, listener, facts)
        try:
            if signer.has_session:
                await socket._log_on(signer, corrected_ms)
            if guard is not None:
                _, socket.guard_problem = await socket._ask("the dead-man switch", *guard)
        except BaseException:
            await websocket.close()
            raise
        socket._reader = asyncio.create_task(socket._read(), name="order socket")
        if heartbeat is not None:
            socket._beating = asyncio.create_task(
                beaten(heartbeat, websocket, lambda: socket.received_ns, socket.abort)
            )
        return socket

    async def _log_on(self, signer: Signer, corrected_ms: Callable[[int], int]) -> None:
        message = self._facts.logon(signer, corrected_ms(running_ns()))
        code, problem = await self._ask("the logon", self._facts.logon_id, message)
        if problem:
            words = redact(f"the logon was refused: {problem}", (signer.api_key,))
            raise LogonError(words, code)

    async def _ask(self, what: str, number: str, message: bytes) -> tuple[int, str]:
        """Ask before there are orders on the connection. Returns the exchange's code and words; empty ones are a yes.

        Raises:
            ConnectionBrokenError: There was no answer.
        """
        await self._socket.send_frame(message, aiohttp.WSMsgType.TEXT)
        try:
            received = await self._socket.receive(LOGON_S)
        except TimeoutError:
            raise ConnectionBrokenError(f"{what} is not answered") from None
        if received.type is not aiohttp.WSMsgType.TEXT:
            raise ConnectionBrokenError(
                f"the exchange closed the connection during {what} ({received.type.name})"
            )
        try:
            reply = self._facts.read_reply(received.data)
        except WireError as error:
            raise ConnectionBrokenError(f"{what}: {error}") from None
        if isinstance(reply, Pong):
            raise ConnectionBrokenError(f"{what} was answered with a pong")
        if reply.id == number and reply.status == 200:
            return 0, ""
        error = reply.failure()
        code, words = (error.code, error.msg) if error else (0, "")
        return code, f"{reply.status} {code} {words[:200]}"

    def send(self, command: Command, data: bytes, now_ns: int) -> bool:
        """Write a request to the transport, without waiting.

        Args:
            command: What it asks.
            data: Its bytes.
            now_ns: On the monotonic clock.

        Returns:
            False if the socket is closed: nothing was written.
        """
        frame = self._send_frame(data, aiohttp.WSMsgType.TEXT)
        try:
            # The frame is written before the coroutine first waits, which it only does for the buffer to drain; how
            # much can pile up there is limited by the number of requests in flight.
            frame.send(None)
        except StopIteration:
            pass
        except ConnectionError:
            return False
        else:
            frame.close()
        self.in_flight[command.request] = (command, now_ns)
        return True

    async def _read(self) -> str:
        socket, in_flight, listener = self._socket, self.in_flight, self._listener
        read_reply = self._facts.read_reply
        why = "closed"
        try:
            while True:
                message = await socket.receive()
                if message.type is aiohttp.WSMsgType.BINARY:
                    listener.on_unreadable(None, message.data, WireError("a binary message"))
                    continue
                if message.type is not aiohttp.WSMsgType.TEXT:
                    why = self._closing_why or _reason(socket, message)
                    break
                self.received_ns = monotonic_ns()
                data = message.data
                try:
                    reply = read_reply(data)
                except WireError as error:
                    request = self._facts.read_reply_id(data)
                    owed = in_flight.pop(request, None) if isinstance(request, int) else None
                    listener.on_unreadable(owed[0] if owed else None, data, error)
                    continue
                if isinstance(reply, Pong):
                    continue
                owed = in_flight.pop(reply.id, None) if isinstance(reply.id, int) else None
                if owed is None:
                    listener.on_late(reply)
                else:
                    listener.on_reply(owed[0], reply)
        finally:
            self.is_open = False
            if self._beating is not None:
                self._beating.cancel()
            left = [command for command, _ in in_flight.values()]
            in_flight.clear()
            listener.on_closed(self, left, why)
            await socket.close()
        return why

    def overdue(self, sent_before_ns: int) -> list[Command]:
        """Take out what was sent before a moment (monotonic) and is not answered."""
        late: list[Command] = []
        for command, sent_ns in self.in_flight.values():
            if sent_ns > sent_before_ns:
                break
            late.append(command)
        for command in late:
            del self.in_flight[command.request]
        return late

    def owes(self, client_id: str) -> bool:
        """Whether something about an order is still to be answered."""
        return any(command.client_id == client_id for command, _ in self.in_flight.values())

    def retire(self) -> None:
        """The exchange takes nothing new on this one, and answers what it owes: another one is to be made."""
        self._to_be_replaced.set()

    def abort(self, why: str) -> None:
        """End the connection without waiting."""
        if self.is_open and not self._closing_why:
            self._closing_why = why
            if self._reader is not None:
                self._reader.cancel()

    async def wait(self, life_s: float | None) -> bool:
        """Wait for the connection's end. False: it has lived for so long (None: for ever), and is still open.

        Raises:
            ConnectionBrokenError: It ended.
        """
        assert self._reader is not None
        replaced = asyncio.create_task(self._to_be_replaced.wait())
        try:
            await asyncio.wait([self._reader, replaced], timeout=life_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            replaced.cancel()
        if not self._reader.done():
            return False
        if self._reader.cancelled():
            raise ConnectionBrokenError(self._closing_why or "ended")
        raise ConnectionBrokenError(self._reader.result())

    async def drain(self) -> None:
        """Close it once what it owes is answered, or after a while."""
        end_ns = monotonic_ns() + int(DRAIN_S * 1e9)
        while self.is_open and self.in_flight and monotonic_ns() < end_ns:  # noqa: ASYNC110 - once a day
            await asyncio.sleep(0.05)
        await self.close("replaced")

    async def close(self, why: str) -> None:
        """End the connection, and wait until it has."""
        self.abort(why)
        if self._reader is not None:
            await asyncio.wait([self._reader])


class LogonError(ConnectionBrokenError):
    """The exchange did not let us in."""

    def __init__(self, what: str, code: int) -> None:
        super().__init__(what)
        self.code = code


def _reason(socket: WebSocket, message: aiohttp.WSMessage | Any) -> str:
    if message.type is aiohttp.WSMsgType.ERROR:
        return f"{type(message.data).__name__}"
    return f"closed by the exchange ({socket.close_code})"
