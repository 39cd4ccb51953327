"""How an exchange behaves where exchanges differ. The defaults: the server pings, and an answer is an outcome."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import aiohttp
import msgspec

from daemon.connector.supervise import ConnectionBrokenError
from daemon.messages import Command
from daemon.session.catalog import Steps
from daemon.session.facts import Params
from hftd.clock import monotonic_ns

RECEIVED: Final = "received"
"""`Outcome.kind` of an answer that says that a command has arrived, and nothing of what became of it. It goes from an
exchange's facts to `daemon.session.trading.acknowledged`, and no further."""


class Heartbeat(msgspec.Struct, frozen=True):
    """A connection that is kept alive by the client, with messages that the exchange defines.

    Attributes:
        message: The ping, given its number; a text or JSON.
        every_s: How often one goes out.
        pong_s: Something, the pong or anything else, comes within this after a ping, or the connection is dead.
    """

    message: Callable[[int], str]
    every_s: float = 20.0
    pong_s: float = 10.0


async def beat(
    heartbeat: Heartbeat, socket: "aiohttp.ClientWebSocketResponse[Any]", received_ns: Callable[[], int]
) -> None:
    """Keep a connection alive, until cancelled.

    Args:
        heartbeat: How.
        socket: The connection.
        received_ns: When the last message came (monotonic time).

    Raises:
        ConnectionBrokenError: A ping had no answer.
    """
    number = 0
    while True:
        number += 1
        sent_ns = monotonic_ns()
        try:
            async with asyncio.timeout(heartbeat.pong_s):
                await socket.send_str(heartbeat.message(number))
        except TimeoutError:
            raise ConnectionBrokenError("a ping could not be written") from None
        except ConnectionError as error:
            raise ConnectionBrokenError(f"a ping could not be written: {type(error).__name__}") from None
        await asyncio.sleep(heartbeat.pong_s)
        if received_ns() < sent_ns:
            raise ConnectionBrokenError(f"a ping was not answered within {heartbeat.pong_s:g} s")
        await asyncio.sleep(max(0.0, heartbeat.every_s - heartbeat.pong_s))


async def beaten(
    heartbeat: Heartbeat | None,
    socket: "aiohttp.ClientWebSocketResponse[Any]",
    received_ns: Callable[[], int],
    on_dead: Callable[[str], None],
) -> None:
    """Keep a connection alive, if that is the client's to do, and tell of its death instead of raising."""
    if heartbeat is None:
        return
    try:
        await beat(heartbeat, socket, received_ns)
    except ConnectionBrokenError as error:
        on_dead(str(error))


class Manners(msgspec.Struct, frozen=True):
    """How the account's side of an exchange behaves.

    Attributes:
        is_ack_receipt: An answer to a command says that it has arrived (`RECEIVED`); what becomes of it the user
            data stream tells, or a question.
        state_wait_s: So long after such an answer the state is waited for; then it is asked for.
        asks_by_rest: The socket for orders takes no questions.
        elsewhere: Where else an order is asked about that is not found: each writes a `Query` as a request of REST.
        cost_amend: What a change counts; None: what a new order does.
        cost_query: What a question counts; None: what a cancel does.
        heartbeat: How connections are kept alive; None: by the server, and by pings of the protocol.
        countdown_weight: What a refresh of a symbol's dead-man switch counts, in the limit that questions count in.
        guard: The id and the message of a request that makes the exchange cancel what was ordered on a connection when
            that ends; None if it can't. Orders then go by such connections alone, and none is replaced before its end.
    """

    is_ack_receipt: bool = False
    state_wait_s: float = 1.0
    asks_by_rest: bool = False
    elsewhere: tuple[Callable[[Command, Steps], tuple[str, str, Params]], ...] = ()
    cost_amend: Mapping[str, int] | None = None
    cost_query: Mapping[str, int] | None = None
    heartbeat: Heartbeat | None = None
    countdown_weight: int = 10
    guard: tuple[str, bytes] | None = None
