"""Binance USD-M Futures, as the local exchange's framework asks for it (`sim/exchange/venue.py`)."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from sim.exchange.accounts.processing import Operation
from sim.exchange.binance.family import Binance, BinanceConfig, BinanceServer, endpoints_of
from sim.exchange.binance.payloads import Payloads
from sim.exchange.binancefutures import api
from sim.exchange.venue import LocalVenue

__all__ = ["VENUE", "BinanceConfig", "BinanceFutures", "BinanceServer"]


class BinanceFutures(Binance):
    """See `LocalVenue` and `Product`."""

    name: ClassVar[str] = "binancefutures"
    prefix: ClassVar[str] = "/fapi"
    number: ClassVar[int] = 1
    endpoints: ClassVar[Sequence[str]] = endpoints_of(prefix)
    sockets: ClassVar[Mapping[str, str]] = {"ws_api": "/ws-fapi/v1"}
    says: ClassVar[Payloads] = api.SAYS
    rest: ClassVar[Mapping[tuple[str, str], Operation]] = api.REST
    ws_methods: ClassVar[Mapping[str, Operation]] = api.WS_METHODS


VENUE: type[LocalVenue] = BinanceFutures
