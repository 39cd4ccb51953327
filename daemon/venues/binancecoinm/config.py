"""What `binancecoinm.toml` says beside what every connector's configuration has."""

import re
from collections.abc import Mapping
from typing import ClassVar, Final

from daemon.venues.binance.config import BinanceConfig, Route
from hftd.config import quoted

HOSTS: Final = re.compile(r"(.*-)?d(api|stream)(-.*)?\.binance\.com|(testnet|dstream)\.binancefuture\.com")
"""Names of the exchange's hosts."""


class BinanceCoinMConfig(BinanceConfig, frozen=True):
    """Configuration of Binance COIN-M Futures; the testnet unless told otherwise.

    Streams stand on one path, as the exchange documents it. Should it split them by class of data, as it did for USD-M,
    the three paths say where each class is. A class on the wrong path is acknowledged and silent, which is noticed.

    Attributes:
        public_path: Between host and ``/stream`` for books and trades, such as ``/public``; empty for nothing.
        market_path: The same for what is said of contracts, such as ``/market``.
        private_path: Between host and ``/ws`` for the account's events, such as ``/private``.
    """

    ws_apis: ClassVar[Mapping[str, str]] = {
        "dapi.binance.com": "wss://ws-dapi.binance.com/ws-dapi/v1",
        "dapi-mm.binance.com": "wss://ws-dapi-mm.binance.com/ws-dapi/v1",
        "testnet.binancefuture.com": "wss://testnet.binancefuture.com/ws-dapi/v1",
    }
    not_ours: ClassVar[tuple[str, ...]] = ("fapi", "fstream", "/ws-api")

    stream_url: str = "wss://dstream.binancefuture.com/ws"
    api_url: str = "https://testnet.binancefuture.com"
    public_path: str = ""
    market_path: str = ""
    private_path: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("public_path", "market_path", "private_path"):
            path = getattr(self, key)
            if path and not (path.startswith("/") and path[1:].isalnum() and path.isascii()):
                raise ValueError(f"`{key}` must be empty or like '/public', is {quoted(path)}")

    def path_of(self, route: Route) -> str:
        """What stands between the host and ``/ws`` or ``/stream`` for a class of streams."""
        return {"public": self.public_path, "market": self.market_path, "private": self.private_path}[route]
