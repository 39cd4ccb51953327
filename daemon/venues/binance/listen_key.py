"""The user data stream's listen key.

It lives 60 minutes from its last extension. A POST while one lives gives the same key and extends it; so a restarted
connector, and another one of the account, have the same key, and nobody closes it.
"""

import contextlib
from typing import Final

from daemon.connector.limiter import Priority
from daemon.redaction import hide
from daemon.session.errors import ExchangeError, WireError
from daemon.session.rest import Rest
from daemon.session.trading.order_socket import WebSocket
from daemon.session.trading.user_stream import AccessOverError
from daemon.venues.binance.account import read_listen_key
from daemon.venues.binance.codes import LISTEN_KEY_CODE
from daemon.venues.binance.product import Product

REFRESH_S: Final = 1800.0
"""How often it is extended."""


class ListenKey:
    """Access by a listen key; see `daemon.session.trading.user_stream.Access`.

    Args:
        rest: Where it comes from.
        url: To which ``/ws/<listen key>`` is appended, such as ``wss://fstream.binance.com/private``.
        product: Whose it is.
    """

    def __init__(self, rest: Rest, url: str, product: Product) -> None:
        self._rest = rest
        self._url = url.rstrip("/")
        self._path = f"{product.rest}/listenKey"
        self._tells_key = product.tells_listen_key
        self._key = ""

    @property
    def secrets(self) -> tuple[str, ...]:
        """The key."""
        return (self._key,)

    async def url(self) -> str:
        """Where to connect, with the key in it."""
        body = await self._rest.ask(self._path, auth="key", method="POST", priority=Priority.ORDERS)
        self._key = read_listen_key(body)
        hide(self._key)
        return f"{self._url}/ws/{self._key}"

    async def enter(self, socket: WebSocket) -> None:
        """The key is all that is asked for."""

    async def extend(self) -> None:
        """Extend the key."""
        try:
            body = await self._rest.ask(self._path, auth="key", method="PUT", priority=Priority.ORDERS)
        except ExchangeError as error:
            if error.code == LISTEN_KEY_CODE:
                raise AccessOverError("the listen key is over") from None
            raise
        if self._tells_key:
            # An answer without a key is an extension all the same.
            with contextlib.suppress(WireError):
                if read_listen_key(body) != self._key:
                    # A socket of another key is open, and silent.
                    raise AccessOverError("the exchange has another listen key now")
