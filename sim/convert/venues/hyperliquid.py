"""Captures of Hyperliquid: messages to rows.

Lines as a recorder writes them::

    1737918843893903000 {"channel":"l2Book","data":{"coin":"BTC","time":1737918843542,"levels":[
        [{"px":"105055.0","sz":"3.03622","n":5}],[{"px":"105056.0","sz":"6.34472","n":13}]]}}
    1737918844167767000 {"channel":"trades","data":[{"coin":"BTC","side":"B","px":"105056.0","sz":"0.00219",
        "time":1737918794873,"hash":"0x..","tid":121451470284048,"users":["0x..","0x.."]}]}
    1737918844200000000 {"channel":"bbo","data":{"coin":"BTC","time":1737918844100,"bbo":[
        {"px":"105055.0","sz":"3.0","n":5},{"px":"105056.0","sz":"6.3","n":13}]}}

`l2Book` is the whole book of the first levels each time, see :mod:`sim.convert.reader.wholebook`; rows carry the
exchange's time of the message or of the trade. `side` is the aggressor's: `A` sold, `B` bought. After a subscription
the last trades come once more; by their `tid` and time, those that were there are left out.

User events: 103 best bid, 104 best ask, of `bbo`.

numba compiles this; see :mod:`sim.convert.reader.messages` and :mod:`sim.convert.reader.message`.
"""

# pyright: basic

from typing import Any, Final

import numpy as np

from hftd.compiled.jit import inline, kernel
from hftd.compiled.json_fields import (
    field,
    first_item,
    hashed,
    is_array_end,
    is_item,
    next_item,
    read_item,
    text_key,
    text_of,
)
from hftd.compiled.json_levels import value_end
from hftd.compiled.native import load_u8, record_at
from hftd.rows import BEST_ASK, BEST_BID, Address, Ns
from hftd.types import BUY_EVENT, DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT, SELL_EVENT, TRADE_EVENT
from hftd.venues.message import (
    CLOCK_JUMP_NS,
    FIELD,
    add_clear,
    add_objects,
    add_priced_row,
    add_row,
    ms_of,
    set_trade_text_id,
)
from sim.convert.reader.messages import count_name, end_message, is_chosen_text, next_message, start_block
from sim.convert.reader.state import (
    BOOK_SIZE,
    ERROR_OBJECT,
    ERRORS,
    EVENTS,
    NOT_ASKED,
    OTHER_SYMBOL,
    SUPERSEDED,
    UNKNOWN,
    Scan,
    state_at,
)
from sim.convert.reader.venue import Venue
from sim.convert.reader.wholebook import LEVELS_MAX, ROWS_EXTRA, book_dtype, take_book

KINDS: Final = {BEST_BID: "best bid", BEST_ASK: "best ask"}
"""What this venue's user events are."""

_CHANNEL: Final = text_key("channel")
_DATA: Final = text_key("data")
_COIN: Final = text_key("coin")
_TIME: Final = text_key("time")
_LEVELS: Final = text_key("levels")
_BBO_FIELD: Final = text_key("bbo")
_PX: Final = text_key("px")
_SZ: Final = text_key("sz")
_SIDE: Final = text_key("side")
_TID: Final = text_key("tid")

_L2_BOOK: Final = text_key("l2Book")
_TRADES: Final = text_key("trades")
_BBO: Final = text_key("bbo")
_ERROR: Final = text_key("error")

own_dtype = np.dtype(
    [
        ("book", book_dtype),
        ("book_ts", "i8"),
        ("is_as_hftbacktest", "i8"),
    ],
    align=True,
)

_own_at = record_at(own_dtype)


@inline
def _side(s: Any, p: Address, end: Address, ev: int, exch_ts: Ns, local_ts: Ns):
    """Append the levels of the side whose array is at `p`; how many, and the address behind it (0 if torn)."""
    stop = value_end(p, end)
    if stop == 0:
        return -1, 0
    return add_objects(s, p, stop, _PX, _SZ, ev, exch_ts, local_ts), stop


@inline
def _l2_book(s: Any, local_ts: Ns, data: int):
    exch_ts = ms_of(s, field(s, _TIME, data))
    levels = field(s, _LEVELS, data)
    coin = field(s, _COIN, data)
    if exch_ts < 0 or levels < 0 or coin < 0:
        return FIELD
    start, end = text_of(s, levels)
    coin_start, coin_stop = text_of(s, coin)
    row = add_clear(s, 0, exch_ts, local_ts)
    p = first_item(start, end)
    if not is_item(p):
        return FIELD
    bids, stop = _side(s, p, end, DEPTH_SNAPSHOT_EVENT | BUY_EVENT, exch_ts, local_ts)
    p = next_item(stop, end) if stop else 0
    if bids < 0 or not is_item(p):
        return FIELD
    asks, stop = _side(s, p, end, DEPTH_SNAPSHOT_EVENT | SELL_EVENT, exch_ts, local_ts)
    if asks < 0 or stop == 0 or not is_array_end(next_item(stop, end), end):
        return FIELD
    if bids > LEVELS_MAX or asks > LEVELS_MAX:
        return BOOK_SIZE
    if not is_chosen_text(s, coin_start, coin_stop):
        return OTHER_SYMBOL
    own = _own_at(s.own)
    if not own.is_as_hftbacktest:
        if own.book_ts - CLOCK_JUMP_NS <= exch_ts < own.book_ts:
            # Of another connection, which is behind.
            return SUPERSEDED
        own.book_ts = exch_ts
    take_book(s, s.own, row, bids, asks, exch_ts, local_ts)
    s.used[DEPTH_EVENT] += 1
    return 0


@inline
def _trades(s: Any, local_ts: Ns, data: int):
    start, end = text_of(s, data)
    p = first_item(start, end)
    is_ours = True
    while is_item(p):
        stop = read_item(s, p, end)
        if stop == 0:
            return FIELD
        exch_ts = ms_of(s, field(s, _TIME, -1))
        side, coin = field(s, _SIDE, -1), field(s, _COIN, -1)
        if exch_ts < 0 or side < 0 or coin < 0:
            return FIELD
        flag, _ = text_of(s, side)
        aggressor = SELL_EVENT if load_u8(flag) == 65 else BUY_EVENT
        coin_start, coin_stop = text_of(s, coin)
        if p == first_item(start, end):
            # A message is of one coin: it is counted, and chosen, once.
            is_ours = is_chosen_text(s, coin_start, coin_stop)
        if not is_ours:
            return OTHER_SYMBOL
        px, qty = field(s, _PX, -1), field(s, _SZ, -1)
        if not add_priced_row(s, px, qty, TRADE_EVENT | aggressor, exch_ts, local_ts):
            return FIELD
        # The id is one of both orders, which may meet again.
        set_trade_text_id(s, field(s, _TID, -1))
        p = next_item(stop, end)
    if not is_array_end(p, end):
        return FIELD
    s.used[TRADE_EVENT] += 1
    return 0


@inline
def _best(s: Any, p: Address, end: Address, ev: int, exch_ts: Ns, local_ts: Ns):
    """A row for the best level at `p`, an object or `null`; the address behind it, 0 where it is neither."""
    if load_u8(p) == 110:
        add_row(s, ev, exch_ts, local_ts, 0.0, 0.0)
        return value_end(p, end)
    stop = read_item(s, p, end)
    if stop == 0 or not add_priced_row(s, field(s, _PX, -1), field(s, _SZ, -1), ev, exch_ts, local_ts):
        return 0
    return stop


@inline
def _bbo(s: Any, local_ts: Ns, data: int):
    exch_ts = ms_of(s, field(s, _TIME, data))
    best = field(s, _BBO_FIELD, data)
    coin = field(s, _COIN, data)
    if exch_ts < 0 or best < 0 or coin < 0:
        return FIELD
    start, end = text_of(s, best)
    coin_start, coin_stop = text_of(s, coin)
    p = first_item(start, end)
    stop = _best(s, p, end, BEST_BID, exch_ts, local_ts) if is_item(p) else 0
    p = next_item(stop, end) if stop else 0
    stop = _best(s, p, end, BEST_ASK, exch_ts, local_ts) if is_item(p) else 0
    if stop == 0 or not is_array_end(next_item(stop, end), end):
        return FIELD
    if not is_chosen_text(s, coin_start, coin_stop):
        return OTHER_SYMBOL
    s.used[BEST_BID] += 1
    return 0


@inline
def read_message(s: Any, local_ts: Ns):
    """Append the rows of the message whose fields are noted; 0, or why it gives none."""
    channel = field(s, _CHANNEL, -1)
    data = field(s, _DATA, -1)
    if channel < 0 or data < 0:
        return UNKNOWN
    start, stop = text_of(s, channel)
    name = hashed(start, stop)
    if name == _L2_BOOK:
        return _l2_book(s, local_ts, data)
    if name == _TRADES:
        return _trades(s, local_ts, data)
    if name == _BBO and s.wants_ticker:
        return _bbo(s, local_ts, data)
    if name == _ERROR:
        start, stop = text_of(s, data)
        count_name(s, ERRORS, start, stop)
        return ERROR_OBJECT
    count_name(s, EVENTS, start, stop)
    return NOT_ASKED if name == _BBO else UNKNOWN


@kernel("int64(int64)")
def read_lines(state: Address) -> int:
    """Read the lines of the block that the state at this address describes; see `next_message`."""
    s = state_at(state)
    start_block(s)
    while next_message(s):
        end_message(s, read_message(s, s.local_ts))
    return s.code


def set_up(scan: Scan, options: Any) -> None:
    """Prepare the reader's own state."""
    own = scan.give_own(own_dtype)
    own["book"]["keeps_far"] = options.keep_far_levels is True
    # HftBacktest compares the first book with an empty one, and takes trades that were there again.
    own["book"]["is_known"] = options.hftbacktest_rows
    own["is_as_hftbacktest"] = options.hftbacktest_rows
    scan.record["takes_again"] = options.hftbacktest_rows
    scan.record["rows_extra"] = ROWS_EXTRA


VENUE: Final = Venue(
    "hyperliquid",
    read_lines,
    KINDS,
    set_up=set_up,
    keeps_case=True,
    takes=("keep_far_levels", "hftbacktest_rows"),
)
