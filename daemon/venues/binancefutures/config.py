"""What `binancefutures.toml` says beside what every connector's configuration has."""

import re
from collections.abc import Mapping
from typing import ClassVar, Final, Literal

from yarl import URL

from daemon.venues.binance.config import BinanceConfig, Route

_OLD_HOSTS: Final = ("fstream.binancefuture.com", "demo-fstream.binance.com")
"""Testnets take the addresses of before 2026 only."""

HOSTS: Final = re.compile(r"(.*-)?f(api|stream)(-.*)?\.binance\.com|(testnet|fstream)\.binancefuture\.com")
"""Names of the exchange's hosts."""


class BinanceFuturesConfig(BinanceConfig, frozen=True):
    """Configuration of Binance USD-M Futures; the testnet unless told otherwise.

    Attributes:
        routes: Streams by class of data ("2026") or all on one path ("old"); "auto" goes by the host.
    """

    ws_apis: ClassVar[Mapping[str, str]] = {
        "fapi.binance.com": "wss://ws-fapi.binance.com/ws-fapi/v1",
        "fapi-mm.binance.com": "wss://ws-fapi-mm.binance.com/ws-fapi/v1",
        "testnet.binancefuture.com": "wss://testnet.binancefuture.com/ws-fapi/v1",
        "demo-fapi.binance.com": "wss://testnet.binancefuture.com/ws-fapi/v1",
    }
    not_ours: ClassVar[tuple[str, ...]] = ("dapi", "dstream", "/ws-api")

    stream_url: str = "wss://fstream.binancefuture.com/ws"
    api_url: str = "https://testnet.binancefuture.com"
    routes: Literal["auto", "2026", "old"] = "auto"

    @property
    def is_routed(self) -> bool:
        """Whether streams are addressed by class of data."""
        if self.routes == "auto":
            return URL(self.stream_url).host not in _OLD_HOSTS
        return self.routes == "2026"

    def path_of(self, route: Route) -> str:
        """The class, if streams are addressed so."""
        return f"/{route}" if self.is_routed else ""
