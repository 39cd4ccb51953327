"""What `binancefutures.toml` says beside what every connector's configuration has."""

from typing import Annotated, Final, Literal

import msgspec
from yarl import URL

from daemon.connector.config import ConnectorConfig, Positive
from hftd.config import quoted

_OLD_HOSTS: Final = ("fstream.binancefuture.com", "demo-fstream.binance.com")
"""Testnets take the addresses of before 2026 only."""
_WS_API: Final = {
    "fapi.binance.com": "wss://ws-fapi.binance.com/ws-fapi/v1",
    "fapi-mm.binance.com": "wss://ws-fapi-mm.binance.com/ws-fapi/v1",
    "testnet.binancefuture.com": "wss://testnet.binancefuture.com/ws-fapi/v1",
    "demo-fapi.binance.com": "wss://testnet.binancefuture.com/ws-fapi/v1",
}


class BinanceFuturesConfig(ConnectorConfig, frozen=True):
    """Configuration of Binance USD-M Futures; the testnet unless told otherwise.

    Attributes:
        stream_url: Of market data and of the account's events. A path such as `/ws` at its end may be there or not.
        api_url: Of REST.
        ws_api_url: Of orders by WebSocket; empty: the one that belongs to `api_url`.
        order_entry: How orders are sent: by "websocket", with REST where that is down, or by "rest" alone.
        depth: How often the book's changes come: as they happen ("0ms") or gathered.
        best_prices: What becomes of the stream of best prices: "fused" with the depth into one book; "events": user
            events 103 and 104, as `hftd convert` writes them; "none": it is not subscribed.
        routes: Streams by class of data ("2026") or all on one path ("old"); "auto" goes by the host.
        symbols: Followed from the start; others when a bot asks for them.
        recv_window_ms: How late a signed request may reach the exchange.
        countdown_s: The exchange cancels all orders of a symbol, others' too, when it does not hear from us for so
            long; 0: never.
        connection_life_s: The exchange closes connections after so long; ours end a little before.
    """

    stream_url: str = "wss://fstream.binancefuture.com/ws"
    api_url: str = "https://testnet.binancefuture.com"
    ws_api_url: str = ""
    order_entry: Literal["websocket", "rest"] = "websocket"
    depth: Literal["0ms", "100ms"] = "0ms"
    best_prices: Literal["fused", "events", "none"] = "fused"
    routes: Literal["auto", "2026", "old"] = "auto"
    symbols: tuple[str, ...] = ()
    recv_window_ms: Annotated[int, msgspec.Meta(ge=1, le=60_000)] = 5_000
    countdown_s: Annotated[float, msgspec.Meta(ge=0)] = 120.0
    connection_life_s: Positive = 86_400.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, schemes in (
            ("stream_url", ("wss", "ws")),
            ("api_url", ("https", "http")),
            ("ws_api_url", ("wss", "ws")),
        ):
            text = getattr(self, key)
            if text or key != "ws_api_url":
                _check_url(key, text, schemes)

    def _streams_base(self) -> str:
        text = self.stream_url.rstrip("/")
        for ending in ("/ws", "/stream"):
            text = text.removesuffix(ending)
        for ending in ("/public", "/market", "/private"):
            text = text.removesuffix(ending)
        return text

    @property
    def is_routed(self) -> bool:
        """Whether streams are addressed by class of data."""
        if self.routes == "auto":
            return URL(self.stream_url).host not in _OLD_HOSTS
        return self.routes == "2026"

    def market_url(self) -> str:
        """Where market data is, as combined streams."""
        return f"{self._streams_base()}{'/public' if self.is_routed else ''}/stream"

    def contracts_url(self) -> str:
        """Where listings, delistings and changes of status are said, as combined streams."""
        return f"{self._streams_base()}{'/market' if self.is_routed else ''}/stream"

    def user_url(self) -> str:
        """Where the account's events are; `/ws/<listen key>` follows."""
        return f"{self._streams_base()}{'/private' if self.is_routed else ''}"

    def rest_url(self) -> str:
        """Where REST is, without a slash at its end."""
        return self.api_url.rstrip("/")

    def orders_url(self) -> str:
        """Where orders go by WebSocket; empty if it is not known for this host."""
        return self.ws_api_url or _WS_API.get(URL(self.api_url).host or "", "")


def _check_url(key: str, text: str, schemes: tuple[str, ...]) -> None:
    wanted = " or ".join(f"{scheme}://" for scheme in schemes)
    try:
        url = URL(text)
        port = url.port
    except ValueError:
        raise ValueError(f"`{key}` is no URL: {quoted(text)}") from None
    if url.scheme not in schemes or not url.host or port is None:
        raise ValueError(f"`{key}` must begin with {wanted} and name a host, is {quoted(text)}")
    if url.scheme in ("ws", "http") and url.host not in ("localhost", "127.0.0.1", "::1"):
        raise ValueError(
            f"`{key}` must be encrypted ({schemes[0]}://) unless it is this machine, is {quoted(text)}"
        )
    if url.user or url.password:
        raise ValueError(f"`{key}` must not hold a user or password")
