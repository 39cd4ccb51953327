"""Binance COIN-M Futures as a venue."""

from functools import partial
from typing import Final

from daemon.connector.venue import Venue
from daemon.venues.binance import venue
from daemon.venues.binancecoinm.config import BinanceCoinMConfig
from daemon.venues.binancecoinm.facts import COINM

trading_of: Final = partial(venue.trading_of, COINM)
VENUE: Final = Venue("binancecoinm", BinanceCoinMConfig, partial(venue.BinanceSession, COINM))
