"""What the configurations of the family's members have in common."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal

import msgspec
from yarl import URL

from daemon.connector.config import ConnectorConfig, Positive
from daemon.connector.urls import LOOPBACK, check_environment, check_url
from hftd.config import quoted

Route = Literal["public", "market", "private"]
"""Classes of streams: books and trades; what the exchange says of contracts; the account's events."""

EXCHANGE: Final = (".binance.com", ".binancefuture.com", ".binance.vision")
"""How names of the exchange's hosts end."""


class FamilyConfig(ConnectorConfig, frozen=True):
    """Configuration of a member of the family, which says its hosts.

    Attributes:
        stream_url: Of market data and of the account's events. A path such as `/ws` at its end may be there or not.
        api_url: Of REST.
        ws_api_url: Of orders by WebSocket; empty: the one that belongs to `api_url`.
        order_entry: How orders are sent: by "websocket", with REST where that is down, or by "rest" alone.
        best_prices: What becomes of the stream of best prices: "fused" with the depth into one book; "events": user
            events 103 and 104, as `hftd convert` writes them; "none": it is not subscribed.
        recv_window_ms: How late a signed request may reach the exchange.
        connection_life_s: The exchange closes connections after so long; ours end a little before.
    """

    ws_apis: ClassVar[Mapping[str, str]] = {}
    """Where orders go by WebSocket, by the host of REST."""
    not_ours: ClassVar[tuple[str, ...]] = ()
    """What names of the exchange's hosts and their paths have in them where they are another member's."""
    elsewhere: ClassVar[Mapping[str, str]] = {"dcp_window_s": "the dead-man switch is `countdown_s` here"}

    stream_url: str = ""
    api_url: str = ""
    ws_api_url: str = ""
    order_entry: Literal["websocket", "rest"] = "websocket"
    best_prices: Literal["fused", "events", "none"] = "fused"
    recv_window_ms: Annotated[int, msgspec.Meta(ge=1, le=60_000)] = 5_000
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
                check_url(key, text, schemes)
                self._check_member(key, text)
        check_environment(
            {"api_url": self.api_url, "stream_url": self.stream_url, "ws_api_url": self.ws_api_url},
            self._kind_of,
        )

    def _check_member(self, key: str, text: str) -> None:
        """An address that was copied from another member's configuration would be answered, and answer wrongly."""
        url = URL(text)
        named = f"{url.host}{url.path}"
        is_known = (url.host or "").endswith(EXCHANGE) or url.host in LOOPBACK
        if is_known and (found := [one for one in self.not_ours if one in named]):
            raise ValueError(
                f"`{key}` is an address of another product (it has {found[0]!r} in it), is {quoted(text)}"
            )

    def _streams_base(self) -> str:
        text = self.stream_url.rstrip("/")
        for ending in ("/ws", "/stream"):
            text = text.removesuffix(ending)
        for ending in ("/public", "/market", "/private"):
            text = text.removesuffix(ending)
        return text

    def rest_url(self) -> str:
        """Where REST is, without a slash at its end."""
        return self.api_url.rstrip("/")

    def orders_url(self) -> str:
        """Where orders go by WebSocket; empty if it is not known for this host."""
        return self.ws_api_url or self.ws_apis.get(URL(self.api_url).host or "", "")

    @staticmethod
    def _kind_of(host: str) -> str:
        """Which environment a host is of; empty if its name does not say."""
        raise NotImplementedError(host)


class BinanceConfig(FamilyConfig, frozen=True):
    """Configuration of a futures market of the family.

    Attributes:
        depth: How often the book's changes come: as they happen ("0ms") or gathered.
        countdown_s: The exchange cancels all orders of a symbol, others' too, when it does not hear from us for so
            long; 0: never.
    """

    depth: Literal["0ms", "100ms"] = "0ms"
    countdown_s: Annotated[float, msgspec.Meta(ge=0)] = 120.0

    def path_of(self, route: Route) -> str:
        """What stands between the host and ``/ws`` or ``/stream`` for a class of streams."""
        raise NotImplementedError(route)

    def market_url(self) -> str:
        """Where market data is, as combined streams."""
        return f"{self._streams_base()}{self.path_of('public')}/stream"

    def contracts_url(self) -> str:
        """Where listings, delistings and changes of status are said, as combined streams."""
        return f"{self._streams_base()}{self.path_of('market')}/stream"

    def user_url(self) -> str:
        """Where the account's events are; `/ws/<listen key>` follows."""
        return f"{self._streams_base()}{self.path_of('private')}"

    @staticmethod
    def _kind_of(host: str) -> str:
        """The old testnet and the demo are one."""
        if host.endswith("binancefuture.com") or host.startswith("demo-"):
            return "the testnet"
        return "the mainnet" if host.endswith(".binance.com") else ""
