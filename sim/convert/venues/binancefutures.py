"""Captures of Binance USD-M futures: messages to rows.

Lines as a recorder writes them, combined or raw streams, told apart line by line::

    1723161255030314667 {"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1723161256299,
        "T":1723161256298,"s":"BTCUSDT","U":5123107832006,"u":5123107837557,"pu":5123107831937,"b":[["58710.20","0.014"]],"a":[]}}
    1723161255088169167 {"e":"bookTicker","u":5123107839020,"s":"BTCUSDT","b":"61800.20","B":"2.507",
        "a":"61800.30","A":"2.510","T":1723161256313,"E":1723161256313}
    1723161255088176367 {"e":"trade","E":1723161256322,"T":1723161256322,"s":"BTCUSDT","t":5266583935,
        "p":"61800.30","q":"0.006","X":"MARKET","m":false}
    1723161255319702566 {"lastUpdateId":5123107852948,"E":1723161256501,"T":1723161256493,"bids":[],"asks":[]}

What becomes of them: :mod:`sim.convert.venues.binance`.
"""

# pyright: basic

from typing import Final

from hftd.compiled.jit import kernel
from hftd.rows import Address
from sim.convert.reader.messages import end_message, next_message, start_block
from sim.convert.reader.state import state_at
from sim.convert.venues.binance import read_message, venue_of
from sim.convert.venues.binancebook import USDM, own_at


@kernel("int64(int64)")
def read_lines(state: Address) -> int:
    """Read the lines of the block that the state at this address describes; see `next_message`."""
    s = state_at(state)
    own = own_at(s.own)
    start_block(s)
    while next_message(s):
        end_message(s, read_message(s, own, s.local_ts, False))
    return s.code


VENUE: Final = venue_of(USDM, read_lines)
