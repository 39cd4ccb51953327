"""Captures of Binance COIN-M futures: messages to rows.

Lines as a recorder writes them, combined or raw streams, told apart line by line::

    1723161256172216566 {"stream":"btcusd_perp@depth@0ms","data":{"e":"depthUpdate","E":1723161257440,
        "T":1723161257432,"s":"BTCUSD_PERP","ps":"BTCUSD","U":1007198631260,"u":1007198631565,"pu":1007198631198,"b":[["61773.6","1001"]],"a":[]}}
    1723161256419684465 {"e":"trade","E":1723161257687,"T":1723161257679,"s":"BTCUSD_PERP","t":849714402,
        "p":"61804.8","q":"4","X":"MARKET","m":false}
    1723161256609369665 {"lastUpdateId":1007198635033,"E":1723161257835,"T":1723161257823,
        "symbol":"BTCUSD_PERP","pair":"BTCUSD","bids":[["61804.7","35"]],"asks":[]}

Quantities are contracts. What becomes of the messages: :mod:`sim.convert.binance`.
"""

# pyright: basic

from hftd.jit import kernel
from sim.convert.binance import KINDS, read_message
from sim.convert.binancebook import own_at
from sim.convert.scan import end_message, next_message, start_block
from sim.convert.state import state_at

__all__ = ["KINDS", "read_lines"]


@kernel("int64(int64)")
def read_lines(state):
    """Read the lines of the block that the state at this address describes; see `next_message`."""
    s = state_at(state)
    own = own_at(s.own)
    start_block(s)
    while next_message(s):
        end_message(s, read_message(s, own, s.local_ts, False))
    return s.code
