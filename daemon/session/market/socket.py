"""The socket of market data: how it is connected, and how its frames are read."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp

from daemon.connector.supervise import CONNECT_S, ConnectionBrokenError
from daemon.connector.watch.unreadable import Unreadable
from hftd.clock import stamp_ns

MESSAGE_MAX_BYTES: Final = 8 << 20


@asynccontextmanager
async def connected(
    http: aiohttp.ClientSession, url: str
) -> AsyncGenerator["aiohttp.ClientWebSocketResponse[Any]"]:
    """Connect within `CONNECT_S`; what the caller does with the socket may take as long as it likes.

    Raises:
        TimeoutError, aiohttp.ClientError, OSError: It could not be connected.
    """
    async with (
        asyncio.timeout(CONNECT_S) as limit,
        http.ws_connect(
            url,
            autoping=False,
            autoclose=True,
            max_msg_size=MESSAGE_MAX_BYTES,
            decode_text=False,
            timeout=aiohttp.ClientWSTimeout(ws_close=2.0),  # pyright: ignore[reportCallIssue]
        ) as socket,
    ):
        limit.reschedule(None)
        yield socket


async def hear(
    socket: "aiohttp.ClientWebSocketResponse[Any]",
    on_message: Callable[[bytes, int], None],
    unreadable: Unreadable,
) -> None:
    """Hand over each text frame, with the time at which it was read, until the connection ends.

    Raises:
        ConnectionBrokenError: The exchange ended the connection.
    """
    receive, text = socket.receive, aiohttp.WSMsgType.TEXT
    while True:
        message = await receive()
        if message.type is text:
            on_message(message.data, stamp_ns())
        elif message.type is aiohttp.WSMsgType.PING:
            await socket.pong(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            unreadable.note("binary", "a binary frame", message.data)
        elif message.type is not aiohttp.WSMsgType.PONG:
            reason = f"{message.type.name.lower()} {message.data or ''} {message.extra or ''}".strip()
            raise ConnectionBrokenError(f"the exchange ended the connection ({reason})")
