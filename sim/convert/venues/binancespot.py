"""Captures of Binance spot: messages to rows.

Lines as a recorder writes them, combined or raw streams, told apart line by line::

    1723161253937085768 {"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255208,
        "s":"BTCUSDT","U":50093239189,"u":50093239202,"b":[["61737.63000000","0.00000000"]],"a":[]}}
    1723161254087891268 {"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000",
        "a":"61837.64000000","A":"1.54698000"}
    1723161254087896568 {"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000",
        "q":"0.02000000","T":1723161255342,"m":true,"M":true}
    1723161254206652067 {"lastUpdateId":50093239218,"bids":[["61837.63000000","3.78826000"]],"asks":[]}

What becomes of them: :mod:`sim.convert.venues.binance`. A raw stream of the first levels (`@depth5`) can't be told from
snapshots, as its messages are alike; record it as a combined stream.
"""

# pyright: basic

from typing import Final

from hftd.compiled.jit import kernel
from hftd.rows import Address
from sim.convert.reader.messages import end_message, next_message, start_block
from sim.convert.reader.state import state_at
from sim.convert.venues.binance import read_message, venue_of
from sim.convert.venues.binancebook import SPOT, own_at


@kernel("int64(int64)")
def read_lines(state: Address) -> int:
    """Read the lines of the block that the state at this address describes; see `next_message`."""
    s = state_at(state)
    own = own_at(s.own)
    start_block(s)
    while next_message(s):
        end_message(s, read_message(s, own, s.local_ts, True))
    return s.code


VENUE: Final = venue_of(SPOT, read_lines)
