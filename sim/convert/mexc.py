"""Captures of MEXC: messages of contracts, and of spot's JSON streams, to rows.

Lines as a recorder writes them, of contracts (`wss://contract.mexc.com/edge`), quantities in contracts::

    1736682893942252094 {"symbol":"BTC_USDT","data":{"asks":[[80468.7,3446,2]],"bids":[],"version":41925002140,
        "cts":1736682893800},"channel":"push.depth","ts":1736682893806}
    1736682893950000000 {"symbol":"BTC_USDT","data":{..},"channel":"push.depth.full","ts":1736682893810}
    1736682893960000000 {"symbol":"BTC_USDT","data":[{"p":80468.7,"v":11,"T":1,"O":3,"M":1,"t":1736682893820,
        "i":"16270106116"}],"channel":"push.deal","ts":1736682893821}
    1736682893970000000 {"success":true,"code":0,"data":{"asks":[[80468.7,3446,2]],"bids":[..],
        "version":41925002100,"timestamp":1736682893830}}

and of spot, version 3, as it was until August 2025, when its streams became protobuf, which is not read::

    1736682893942252094 {"c":"spot@public.limit.depth.v3.api@SOLUSDT@10","d":{"bids":[{"p":"186.69","v":"46.87"}],
        "asks":[{"p":"186.70","v":"340.03"}],"e":"..","r":"4474505330"},"s":"SOLUSDT","t":1736682893806}
    1736682894188268890 {"c":"spot@public.increase.depth.v3.api@SOLUSDT","d":{"asks":[{"p":"187.57","v":"0.00"}],
        "e":"..","r":"4474505331"},"s":"SOLUSDT","t":1736682894061}
    1736682894200000000 {"c":"spot@public.deals.v3.api@SOLUSDT","d":{"deals":[{"p":"186.70","v":"0.5","S":1,
        "t":1736682894100}],"e":".."},"s":"SOLUSDT","t":1736682894101}

Differences (`push.depth`, `increase.depth`) follow each other by version (`version` or `begin` to `end`; `r`).
Whole books of the first levels (`push.depth.full`, `limit.depth`) are the book where there is nothing else, see
:mod:`sim.convert.wholebook`. Beside differences they only start it: at first and after a gap, the sides are cleared
as far as such a book reaches and its levels are set; differences that it has already are left out then.

A trade's side is the aggressor's: 1 bought, 2 sold. User events, of `push.ticker`: 100 index price, 101 fair price,
102 funding rate; 103 best bid, 104 best ask, without quantities.

numba compiles this; see :mod:`sim.convert.scan` and :mod:`sim.convert.message`.
"""

# pyright: basic

from typing import Any, Final

import numpy as np

from hftd.jit import inline, kernel
from hftd.json_levels import skip_blanks
from hftd.native import load_u8, record_at
from hftd.types import BUY_EVENT, DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT, SELL_EVENT, TRADE_EVENT
from sim.convert.items import add_objects, first_item, is_array_end, is_item, ms_of, next_item, read_item
from sim.convert.message import add_levels, add_row, field, hashed, integer_of, number_of, text_key, text_of
from sim.convert.scan import (
    count_name,
    end_message,
    follow,
    is_chosen,
    is_chosen_text,
    next_message,
    start_block,
)
from sim.convert.state import (
    BOOK_SIZE,
    ERROR_OBJECT,
    ERRORS,
    EVENTS,
    FIELD,
    NOT_ASKED,
    OTHER_SYMBOL,
    PARTIAL_DEPTH,
    SUPERSEDED,
    UNKNOWN,
    Scan,
    state_at,
)
from sim.convert.wholebook import LEVELS_MAX, ROWS_EXTRA, add_clear, book_dtype, clear_as_far, take_book

INDEX_PRICE: Final = 100
FAIR_PRICE: Final = 101
FUNDING_RATE: Final = 102
BEST_BID: Final = 103
BEST_ASK: Final = 104

KINDS: Final = {
    INDEX_PRICE: "index price",
    FAIR_PRICE: "fair price",
    FUNDING_RATE: "funding rate",
    BEST_BID: "best bid",
    BEST_ASK: "best ask",
}
"""What this venue's user events are."""
