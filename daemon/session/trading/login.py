"""A user data stream that is entered by messages: a login, then the topics.

Nothing is missed from the moment at which the topics are answered; what comes before that answer is kept for the
reader. A topic that may be refused has a message of its own, so that it takes no other with it.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import aiohttp
import msgspec

from daemon.connector.supervise import ConnectionBrokenError
from daemon.redaction import redact
from daemon.session.errors import WireError
from daemon.session.facts import Signer
from daemon.session.trading.order_socket import LOGON_S, LogonError, WebSocket
from hftd.clock import running_ns

EARLY_MAX: Final = 1000
"""Messages that may come before the topics are answered; more, and something is wrong."""


class Entrance(msgspec.Struct, frozen=True):
    """An answer during the login.

    Attributes:
        id: Of what it answers.
        problem: Empty if all is well.
        code: The exchange's number of what is wrong, 0 for none.
    """

    id: str
    problem: str = ""
    code: int = 0


class LoginFacts(Protocol):
    """How one logs in."""

    def login(self, signer: Signer, now_ms: int) -> tuple[str, bytes]:
        """The login's id and message."""
        ...

    def topics(self) -> Sequence[tuple[str, bytes, bool]]:
        """The subscriptions: id, message, and whether one can do without it."""
        ...

    def read_entrance(self, data: bytes) -> Entrance | None:
        """An answer; None for anything else.

        Raises:
            WireError: It can't be read.
        """
        ...


class Login:
    """Access by a login; see `daemon.session.trading.user_stream.Access`.

    Args:
        facts: How.
        url: Where.
        signer: Of the key.
        now_ms: A moment of `running_ns` by the exchange's clock.

    Attributes:
        refused: What one does without: the subscription's id, and why it was refused.
    """

    def __init__(self, facts: LoginFacts, url: str, signer: Signer, now_ms: Callable[[int], int]) -> None:
        self._facts = facts
        self._url = url
        self._signer = signer
        self._now_ms = now_ms
        self.refused: dict[str, str] = {}

    @property
    def secrets(self) -> tuple[str, ...]:
        """The key."""
        return (self._signer.api_key,)

    async def url(self) -> str:
        """Where to connect."""
        return self._url

    async def enter(self, socket: WebSocket) -> Sequence[bytes]:
        """Log in, and subscribe.

        Raises:
            ConnectionBrokenError: One is not let in.
        """
        early: list[bytes] = []
        number, message = self._facts.login(self._signer, self._now_ms(running_ns()))
        answer = await self._ask(socket, number, message, early)
        if answer.problem:
            raise LogonError(
                redact(f"the login was refused: {answer.code} {answer.problem[:200]}", self.secrets),
                answer.code,
            )
        for number, message, may_fail in self._facts.topics():
            answer = await self._ask(socket, number, message, early)
            self.refused.pop(number, None)
            if answer.problem and not may_fail:
                raise ConnectionBrokenError(f"a subscription was refused: {answer.problem[:200]}")
            if answer.problem:
                self.refused[number] = answer.problem[:200]
        return early

    async def _ask(self, socket: WebSocket, number: str, message: bytes, early: list[bytes]) -> Entrance:
        await socket.send_frame(message, aiohttp.WSMsgType.TEXT)
        try:
            async with asyncio.timeout(LOGON_S):
                while True:
                    received = await socket.receive()
                    if received.type is not aiohttp.WSMsgType.TEXT:
                        raise ConnectionBrokenError(
                            f"the exchange closed the connection during the login ({received.type.name})"
                        )
                    try:
                        answer = self._facts.read_entrance(received.data)
                    except WireError as error:
                        raise ConnectionBrokenError(f"login: {error}") from None
                    if answer is not None and answer.id == number:
                        return answer
                    if answer is None:
                        early.append(received.data)
                    if len(early) > EARLY_MAX:
                        raise ConnectionBrokenError("the topics are not answered among many messages")
        except TimeoutError:
            raise ConnectionBrokenError("the login is not answered") from None

    async def extend(self) -> None:
        """It holds as long as the connection."""
