"""Captures of Bybit's public streams, version 5: messages to rows.

Lines as a recorder writes them::

    1758841137168651303 {"topic":"orderbook.50.BTCUSDT","type":"snapshot","ts":1758841134603,"data":{"s":"BTCUSDT",
        "b":[["109378.80","1.273"]],"a":[["109378.90","6.278"]],"u":14869255,"seq":457514742271},"cts":1758841134598}
    1758841138293664629 {"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1758841135824,"data":[
        {"T":1758841135823,"s":"BTCUSDT","S":"Buy","v":"0.020","p":"109378.90","L":"ZeroPlusTick","i":"2a74..",
        "BT":false,"RPI":false,"seq":457514743450}]}
    1758841138300000000 {"topic":"tickers.BTCUSDT","type":"delta","ts":1758841138200,"cs":24987956059,"data":{
        "symbol":"BTCUSDT","markPrice":"109377.1","indexPrice":"109401.2","fundingRate":"0.0001"}}

Books: a snapshot replaces the whole book, as nothing is known of levels behind its last one; a delta has the new
quantities of levels. `u` grows by one from message to message of a topic, `seq` never falls; a snapshot may come at
any time and begins anew. The books of one level come as snapshots only and are compared with the one before, see
:mod:`sim.convert.reader.wholebook`. Of several depths one is taken.

Rows of books carry `cts`, the matching engine's time, which is also what the trades' `T` is, not `ts`, when the
message was made (HftBacktest 2.4.4 takes that: there a book lags the trades that changed it).

User events: 100 index price, 101 mark price, 102 funding rate, of `tickers` as far as a message has them; 103 best
bid, 104 best ask, of `orderbook.1`.

numba compiles this; see :mod:`sim.convert.reader.messages` and :mod:`sim.convert.reader.message`.
"""

# pyright: basic

from typing import Any, Final

from hftd.compiled.jit import inline, kernel
from hftd.compiled.native import load_u8
from hftd.errors import DataError
from hftd.rows import BEST_ASK, BEST_BID, FUNDING_RATE, INDEX_PRICE, MARK_PRICE
from hftd.types import (
    BUY_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
)
from sim.convert.reader.items import first_item, is_array_end, is_item, ms_of, next_item, read_item
from sim.convert.reader.message import add_row, field, hashed, number_of, set_trade_text_id, text_key, text_of
from sim.convert.reader.messages import (
    count_name,
    end_message,
    is_chosen_text,
    next_message,
    start_block,
)
from sim.convert.reader.state import (
    BLOCK_TRADE,
    BOOKS,
    ERROR_OBJECT,
    ERRORS,
    EVENTS,
    FIELD,
    NOT_ASKED,
    OTHER_SYMBOL,
    UNKNOWN,
    Scan,
    state_at,
)
from sim.convert.reader.venue import Venue
from sim.convert.reader.wholebook import ROWS_EXTRA
from sim.convert.venues.bybitbook import book_message, dot_behind, local_time, own_at, own_dtype

KINDS: Final = {
    INDEX_PRICE: "index price",
    MARK_PRICE: "mark price",
    FUNDING_RATE: "funding rate",
    BEST_BID: "best bid",
    BEST_ASK: "best ask",
}
"""What this venue's user events are."""

_TOPIC: Final = text_key("topic")
_DATA: Final = text_key("data")
_SENT: Final = text_key("ts")
_TIME: Final = text_key("T")
_SIDE: Final = text_key("S")
_QTY: Final = text_key("v")
_PRICE: Final = text_key("p")
_TRADE_ID: Final = text_key("i")
_IS_BLOCK: Final = text_key("BT")
_INDEX: Final = text_key("indexPrice")
_MARK: Final = text_key("markPrice")
_RATE: Final = text_key("fundingRate")
_SUCCESS: Final = text_key("success")
_RET_MSG: Final = text_key("ret_msg")
_OP: Final = text_key("op")
_CODE: Final = text_key("code")

_ORDERBOOK: Final = text_key("orderbook")
_PUBLIC_TRADE: Final = text_key("publicTrade")
_TICKERS: Final = text_key("tickers")
_SELL: Final = text_key("Sell")
_BUY: Final = text_key("Buy")


@inline
def _is_true(s, number):
    if number < 0:
        return False
    start, _ = text_of(s, number)
    return load_u8(start) == 116


@inline
def _trades(s, own, symbol_start, symbol_stop, local_ts):
    data = field(s, _DATA, -1)
    if data < 0:
        return FIELD
    start, end = text_of(s, data)
    p = first_item(start, end)
    blocks = 0
    while is_item(p):
        stop = read_item(s, p, end)
        if stop == 0:
            return FIELD
        exch_ts = ms_of(s, field(s, _TIME, -1))
        px, has_px = number_of(s, field(s, _PRICE, -1))
        qty, has_qty = number_of(s, field(s, _QTY, -1))
        side = field(s, _SIDE, -1)
        if exch_ts < 0 or not has_px or not has_qty or qty < 0.0 or side < 0:
            return FIELD
        side_start, side_stop = text_of(s, side)
        aggressor = hashed(side_start, side_stop)
        if aggressor != _SELL and aggressor != _BUY:
            return FIELD
        flag = SELL_EVENT if aggressor == _SELL else BUY_EVENT
        # A block trade was agreed elsewhere: no order of the book was touched.
        if _is_true(s, field(s, _IS_BLOCK, -1)) and not own.is_as_hftbacktest:
            blocks += 1
        else:
            add_row(s, TRADE_EVENT | flag, exch_ts, local_time(s, own, exch_ts, local_ts), px, qty)
            set_trade_text_id(s, field(s, _TRADE_ID, -1))
        p = next_item(stop, end)
    if not is_array_end(p, end):
        return FIELD
    if not is_chosen_text(s, symbol_start, symbol_stop):
        return OTHER_SYMBOL
    s.ignored[BLOCK_TRADE] += blocks
    s.used[TRADE_EVENT] += 1
    return 0


@inline
def _price_row(s, number, kind, exch_ts, local_ts):
    """A row for a field if it is there and not empty; False where it is no number."""
    if number < 0:
        return True
    start, stop = text_of(s, number)
    if start == stop:
        return True
    value, is_number = number_of(s, number)
    if is_number:
        add_row(s, kind, exch_ts, local_ts, value, 0.0)
    return is_number


@inline
def _tickers(s, own, symbol_start, symbol_stop, local_ts):
    data = field(s, _DATA, -1)
    exch_ts = ms_of(s, field(s, _SENT, -1))
    if data < 0 or exch_ts < 0:
        return FIELD
    local_ts = local_time(s, own, exch_ts, local_ts)
    if not _price_row(s, field(s, _INDEX, data), INDEX_PRICE, exch_ts, local_ts):
        return FIELD
    if not _price_row(s, field(s, _MARK, data), MARK_PRICE, exch_ts, local_ts):
        return FIELD
    if not _price_row(s, field(s, _RATE, data), FUNDING_RATE, exch_ts, local_ts):
        return FIELD
    if not is_chosen_text(s, symbol_start, symbol_stop):
        return OTHER_SYMBOL
    s.used[MARK_PRICE] += 1
    return 0


@inline
def _no_topic(s):
    """An answer to a request, an error, or something else."""
    code, said, op = field(s, _CODE, -1), field(s, _RET_MSG, -1), field(s, _OP, -1)
    success = field(s, _SUCCESS, -1)
    if success >= 0 and not _is_true(s, success):
        number = said if said >= 0 else success
    else:
        number = code
    if number >= 0:
        start, stop = text_of(s, number)
        count_name(s, ERRORS, start, stop)
        return ERROR_OBJECT
    if op >= 0:
        start, stop = text_of(s, op)
        count_name(s, EVENTS, start, stop)
    return UNKNOWN


@inline
def read_message(s, own, local_ts):
    """Append the rows of the message whose fields are noted; 0, or why it gives none."""
    topic = field(s, _TOPIC, -1)
    if topic < 0:
        return _no_topic(s)
    start, stop = text_of(s, topic)
    dot = dot_behind(start, stop)
    name = hashed(start, dot)
    if name == _ORDERBOOK:
        return book_message(s, own, dot + 1, stop, local_ts)
    if name == _PUBLIC_TRADE:
        return _trades(s, own, dot + 1, stop, local_ts)
    if name == _TICKERS and s.wants_mark:
        return _tickers(s, own, dot + 1, stop, local_ts)
    count_name(s, EVENTS, start, dot)
    return NOT_ASKED if name == _TICKERS else UNKNOWN


@kernel("int64(int64)")
def read_lines(state):
    """Read the lines of the block that the state at this address describes; see `next_message`."""
    s = state_at(state)
    own = own_at(s.own)
    start_block(s)
    while next_message(s):
        end_message(s, read_message(s, own, s.local_ts))
    return s.code


def set_up(scan: Scan, options: Any) -> None:
    """Prepare the reader's own state."""
    own = scan.give_own(own_dtype)
    own["depth"] = options.depth or 0
    own["seq"] = -1
    own["is_as_hftbacktest"] = options.hftbacktest_rows
    scan.record["rows_extra"] = ROWS_EXTRA
    scan.record["takes_again"] = options.hftbacktest_rows


def check(scan: Scan, options: Any, where: str) -> list[str]:
    """Refuse a capture with books of several depths of which none was chosen, or not of the one that was.

    Raises:
        DataError: Says the depths, and how many messages there are of each.
    """
    counts = scan.counts(BOOKS)
    listed = ", ".join(f"{depth} ({count:,} lines)" for depth, count in counts.items())
    if options.depth is not None and counts and str(options.depth) not in counts:
        raise DataError(
            f"the capture has no book of depth {options.depth}", where=where, hint=f"it has {listed}"
        )
    if options.depth is None and len(counts) > 1:
        raise DataError(
            f"the capture has books of several depths: {listed}",
            where=where,
            hint="an archive holds one book: choose it with the option depth",
        )
    return []


VENUE: Final = Venue(
    "bybit",
    read_lines,
    KINDS,
    set_up=set_up,
    check=check,
    takes=("depth", "hftbacktest_rows"),
)
