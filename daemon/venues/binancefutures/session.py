"""Binance USD-M Futures as a venue."""

from functools import partial
from typing import Final

from daemon.connector.venue import Venue
from daemon.venues.binance import venue
from daemon.venues.binancefutures.config import BinanceFuturesConfig
from daemon.venues.binancefutures.facts import USDM

trading_of: Final = partial(venue.trading_of, USDM)
VENUE: Final = Venue("binancefutures", BinanceFuturesConfig, partial(venue.BinanceSession, USDM))
