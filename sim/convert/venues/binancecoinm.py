"""Captures of Binance COIN-M futures: messages to rows.

Lines as a recorder writes them, combined or raw streams, told apart line by line::

    1723161256172216566 {"stream":"btcusd_perp@depth@0ms","data":{"e":"depthUpdate","E":1723161257440,
        "T":1723161257432,"s":"BTCUSD_PERP","ps":"BTCUSD","U":1007198631260,"u":1007198631565,"pu":1007198631198,"b":[["61773.6","1001"]],"a":[]}}
    1723161256419684465 {"e":"trade","E":1723161257687,"T":1723161257679,"s":"BTCUSD_PERP","t":849714402,
        "p":"61804.8","q":"4","X":"MARKET","m":false}
    1723161256609369665 {"lastUpdateId":1007198635033,"E":1723161257835,"T":1723161257823,
        "symbol":"BTCUSD_PERP","pair":"BTCUSD","bids":[["61804.7","35"]],"asks":[]}

Quantities are contracts. The lines are those of USD-M, and so is what reads them; what becomes of the messages:
:mod:`sim.convert.venues.binance`.
"""

from typing import Final

from sim.convert.venues.binance import venue_of
from sim.convert.venues.binancebook import COINM
from sim.convert.venues.binancefutures import read_lines

VENUE: Final = venue_of(COINM, read_lines)
