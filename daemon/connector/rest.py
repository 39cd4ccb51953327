"""Answers of REST requests, read up to a limit."""

import aiohttp

from daemon.connector.supervise import ConnectionBrokenError


async def read_body(answer: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    """The body of an answer.

    Raises:
        ConnectionBrokenError: It is longer than the limit.
        aiohttp.ClientError: The connection broke.
    """
    parts: list[bytes] = []
    size = 0
    async for part in answer.content.iter_any():
        size += len(part)
        if size > limit_bytes:
            raise ConnectionBrokenError(
                f"the answer of {answer.url.path} is longer than {limit_bytes:,} bytes"
            )
        parts.append(part)
    return b"".join(parts)
