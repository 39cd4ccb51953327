"""What `bybit.toml` says beside what every connector's configuration has."""

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal

import msgspec
from yarl import URL

from daemon.connector.config import ConnectorConfig, Positive
from daemon.connector.urls import check_environment, check_url

_WITHOUT_ORDERS: Final = ("stream-demo",)
"""Hosts that take no orders by WebSocket."""
_SITES: Final = ("bybit.tr", "bybit.kz", "bybit.id", "bybitgeorgia.ge", "manepa.jp")
"""Regional sites with streams of their own; the others' streams are those of the main site."""

HOSTS: Final = re.compile(r".*(bybit|bytick|manepa).*")
"""Names of the exchange's hosts."""


class BybitConfig(ConnectorConfig, frozen=True):
    """Configuration of Bybit's linear contracts; the testnet unless told otherwise.

    Attributes:
        stream_url: Of market data, and of the account's events and orders; the host alone.
        private_url: Of the account's events, where that is another host (demo); empty: `stream_url`.
        api_url: Of REST.
        order_entry: How orders are sent: by "websocket", with REST where that is down, or by "rest" alone.
        depth: How many levels of a book are followed: 50 come each 20 ms, 200 each 100 ms, 1000 each 200 ms.
        recv_window_ms: How late a signed request may reach the exchange.
        dcp_window_s: The exchange cancels all of the account's orders in derivatives, others' too, when it does not
            hear from the account for so long, 3 to 300; 0: never. For accounts that it grants this to.
        state_wait_s: An order that the exchange has received, and that its events do not tell of within this, is
            asked about.
        connection_life_s: Connections are made anew after so long.
    """

    elsewhere: ClassVar[Mapping[str, str]] = {
        "countdown_s": "the dead-man switch is `dcp_window_s` here, and one for the whole account",
        "ws_api_url": "orders by WebSocket go to `private_url`, or to `stream_url`",
        "best_prices": "best prices are part of the book here: leave it out",
    }

    stream_url: str = "wss://stream-testnet.bybit.com"
    private_url: str = ""
    api_url: str = "https://api-testnet.bybit.com"
    order_entry: Literal["websocket", "rest"] = "websocket"
    depth: Literal[50, 200, 1000] = 50
    recv_window_ms: Annotated[int, msgspec.Meta(ge=1, le=60_000)] = 5_000
    dcp_window_s: Annotated[int, msgspec.Meta(ge=0, le=300)] = 10
    state_wait_s: Positive = 1.0
    connection_life_s: Positive = 86_400.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_url("stream_url", self.stream_url, ("wss", "ws"))
        check_url("api_url", self.api_url, ("https", "http"))
        if self.private_url:
            check_url("private_url", self.private_url, ("wss", "ws"))
        if 0 < self.dcp_window_s < 3:
            raise ValueError(f"`dcp_window_s` must be 0 or 3 to 300, is {self.dcp_window_s}")
        host = URL(self.private_url or self.stream_url).host or ""
        if self.order_entry == "websocket" and host.startswith(_WITHOUT_ORDERS):
            raise ValueError('`order_entry` must be "rest": this host takes no orders by WebSocket')
        orders = self.private_url or self.stream_url
        check_environment(
            {"api_url": self.api_url, "private_url" if self.private_url else "stream_url": orders}, _kind_of
        )
        # The demo trades by the prices of the mainnet.
        wanted = self.api_url.replace("-demo", "")
        check_environment({"api_url": wanted, "stream_url": self.stream_url}, _kind_of)

    def market_url(self) -> str:
        """Where market data is."""
        return f"{_host(self.stream_url)}/v5/public/linear"

    def user_url(self) -> str:
        """Where the account's events are."""
        return f"{_host(self.private_url or self.stream_url)}/v5/private"

    def orders_url(self) -> str:
        """Where orders go by WebSocket."""
        return f"{_host(self.private_url or self.stream_url)}/v5/trade"

    def rest_url(self) -> str:
        """Where REST is, without a slash at its end."""
        return self.api_url.rstrip("/")


def _host(url: str) -> str:
    return url.partition("/v5")[0].rstrip("/")


def _kind_of(host: str) -> str:
    """Which environment a host is of, as far as its name tells."""
    if not any(site in host for site in ("bybit", "bytick", "manepa")):
        return ""
    if "-testnet" in host:
        return "the testnet"
    if "-demo" in host:
        return "the demo"
    return next((site for site in _SITES if host.endswith(site)), "the mainnet")
