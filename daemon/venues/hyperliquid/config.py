"""What a collector's configuration says of Hyperliquid."""

import re
from typing import Annotated, Final

import msgspec

from daemon.connector.config import Positive
from daemon.connector.urls import check_url
from hftd.config import Section, check_unique

HOSTS: Final = re.compile(r".*\.hyperliquid(-testnet)?\.xyz")
"""Names of the exchange's hosts."""


class HyperliquidConfig(Section, frozen=True):
    """Public streams of Hyperliquid; the testnet unless told otherwise.

    Attributes:
        stream_url: The WebSocket's address.
        symbols: Coins, as the exchange spells them: "BTC", "PURR/USDC", "@107".
        fast: Books of 5 levels, twice a second, in place of 20 levels each few seconds.
        ping_s: How often it is pinged: it closes connections on which it has said nothing for 60 s.
        stale_after_s: A connection that is silent for so long is dead.
        first_message_s: A subscription without a first message within this is made again.
        connection_life_s: Connections are made anew after so long.
    """

    stream_url: str = "wss://api.hyperliquid-testnet.xyz/ws"
    symbols: tuple[str, ...] = ()
    fast: bool = False
    ping_s: Annotated[float, msgspec.Meta(gt=0, le=55)] = 20.0
    stale_after_s: Positive = 30.0
    first_message_s: Positive = 20.0
    connection_life_s: Positive = 86_400.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_url("stream_url", self.stream_url, ("wss", "ws"))
        if not all(symbol.strip() for symbol in self.symbols):
            raise ValueError("`symbols` must not have empty names")
        check_unique("`symbols`:", list(self.symbols))
