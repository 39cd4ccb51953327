"""What `binancespot.toml` says beside what every connector's configuration has."""

import re
from collections.abc import Mapping
from typing import ClassVar, Final, Literal

from daemon.venues.binance.config import FamilyConfig

_MAINNET: Final = "wss://ws-api.binance.com:443/ws-api/v3"

HOSTS: Final = re.compile(r"(.*-)?(api|stream)(\d|-.*)?\.binance\.com|.*\.binance\.vision")
"""Names of the exchange's hosts."""


class BinanceSpotConfig(FamilyConfig, frozen=True):
    """Configuration of Binance Spot; the testnet unless told otherwise.

    Attributes:
        depth: How often the book's changes come, gathered.
        time_unit: Of the times in market data.
        self_trade_prevention: What becomes of an order that would meet another one of the account, by the exchange;
            empty: as the exchange has it for the symbol.
    """

    ws_apis: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(
            (
                "api.binance.com",
                "api1.binance.com",
                "api2.binance.com",
                "api3.binance.com",
                "api4.binance.com",
                "api-gcp.binance.com",
            ),
            _MAINNET,
        ),
        "testnet.binance.vision": "wss://ws-api.testnet.binance.vision/ws-api/v3",
        "demo-api.binance.com": "wss://demo-ws-api.binance.com/ws-api/v3",
    }
    not_ours: ClassVar[tuple[str, ...]] = ("fapi", "fstream", "dapi", "dstream", "binancefuture")

    stream_url: str = "wss://stream.testnet.binance.vision"
    api_url: str = "https://testnet.binance.vision"
    depth: Literal["100ms", "1000ms"] = "100ms"
    time_unit: Literal["microseconds", "milliseconds"] = "microseconds"
    self_trade_prevention: Literal["", "NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"] = ""

    def market_url(self) -> str:
        """Where market data is, as combined streams."""
        unit = "?timeUnit=MICROSECOND" if self.time_unit == "microseconds" else ""
        return f"{self._streams_base()}/stream{unit}"

    @staticmethod
    def _kind_of(host: str) -> str:
        """Testnet and demo are two, with keys of their own."""
        if host.endswith("testnet.binance.vision"):
            return "the testnet"
        if host.startswith("demo-"):
            return "the demo"
        return "the mainnet" if host.endswith((".binance.com", ".binance.vision")) else ""
