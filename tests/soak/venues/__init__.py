"""The exchanges that the soak can be run on: a file each, of which one says how it is spoken to and what is traded."""

from tests.soak.venues.binancecoinm import COINM
from tests.soak.venues.binancefutures import USDM
from tests.soak.venues.binancespot import SPOT
from tests.soak.venues.bybit import BYBIT

PRODUCTS = {one.name: one for one in (USDM, COINM, BYBIT, SPOT)}

__all__ = ["BYBIT", "COINM", "PRODUCTS", "SPOT", "USDM"]
