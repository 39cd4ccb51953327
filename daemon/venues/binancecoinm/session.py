"""Binance COIN-M Futures as a venue."""

from functools import partial
from typing import Final

from daemon.venues.binance import venue
from daemon.venues.binancecoinm.config import BinanceCoinMConfig
from daemon.venues.binancecoinm.facts import COINM

trading_of: Final = partial(venue.trading_of, COINM)
VENUE: Final = venue.BinanceVenue("binancecoinm", BinanceCoinMConfig, COINM)
