"""The messages of Bybit's public streams, version 5: their fields to rows; in code that numba compiles.

::

    {"topic":"orderbook.50.BTCUSDT","type":"snapshot","ts":1758841134603,"data":{"s":"BTCUSDT",
        "b":[["109378.80","1.273"]],"a":[["109378.90","6.278"]],"u":14869255,"seq":457514742271},"cts":1758841134598}
    {"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1758841135824,"data":[{"T":1758841135823,"s":"BTCUSDT",
        "S":"Buy","v":"0.020","p":"109378.90","L":"ZeroPlusTick","i":"2a74..","BT":false,"RPI":false,
        "seq":457514743450}]}
    {"topic":"tickers.BTCUSDT","type":"delta","ts":1758841138200,"cs":24987956059,"data":{"symbol":"BTCUSDT",
        "markPrice":"109377.1","indexPrice":"109401.2","fundingRate":"0.0001"}}

``GET /v5/market/orderbook`` answers
``{"retCode":0,"result":{"s":"BTCUSDT","b":[["109378.80","1.273"]],"a":[],"ts":1758841134603,"u":1,"seq":4575}}``.

A snapshot replaces the whole book, as nothing is known of levels behind its last one; a delta has the new quantities
of levels. A side that did not change may be missing. `cts` is the matching engine's time, which is also what the
trades' `T` is; `ts` is when the message was made.

`S` of a trade is the taker's side. A block trade was agreed elsewhere: no order of the book was touched. One with an
order of retail price improvement is a trade: who had the same price or a better one in the book was before that order.
"""

# pyright: basic

from typing import Any, Final

from hftd.compiled.jit import entry, inline
from hftd.compiled.json_fields import (
    field,
    first_item,
    flag_of,
    hash_of,
    hashed,
    integer_of,
    is_array_end,
    is_item,
    next_item,
    number_of,
    place_of,
    read_item,
    text_key,
    value_of,
)
from hftd.compiled.native import load_u8
from hftd.rows import FUNDING_RATE, INDEX_PRICE, MARK_PRICE, Address, Ns
from hftd.types import BUY_EVENT, DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT, SELL_EVENT, TRADE_EVENT
from hftd.venues.message import (
    FIELD,
    NUMBER,
    add_clear,
    add_levels,
    add_priced_row,
    add_row,
    clear_as_far,
    ms_of,
    set_trade_text_id,
)
from hftd.venues.reader import BOOK, DEPTH, ENTRY, OTHER, TRADES, begin, note_place, reader_at

# What a message is, besides the kinds of :mod:`hftd.venues.reader`.
TICKERS: Final = 10
UNTYPED: Final = 11
"""A book that is neither a snapshot nor a delta."""

_TOPIC: Final = text_key("topic")
_TYPE: Final = text_key("type")
_DATA: Final = text_key("data")
_RESULT: Final = text_key("result")
_SENT: Final = text_key("ts")
_MATCHED: Final = text_key("cts")
_BIDS: Final = text_key("b")
_ASKS: Final = text_key("a")
_UPDATE_ID: Final = text_key("u")
_CROSS_SEQ: Final = text_key("seq")
_TIME: Final = text_key("T")
_SIDE: Final = text_key("S")
_QTY: Final = text_key("v")
_PRICE: Final = text_key("p")
_TRADE_ID: Final = text_key("i")
_IS_BLOCK: Final = text_key("BT")
_INDEX: Final = text_key("indexPrice")
_MARK: Final = text_key("markPrice")
_RATE: Final = text_key("fundingRate")

_ORDERBOOK: Final = text_key("orderbook")
_PUBLIC_TRADE: Final = text_key("publicTrade")
_TICKERS: Final = text_key("tickers")
_SNAPSHOT: Final = text_key("snapshot")
_DELTA: Final = text_key("delta")
_SELL: Final = text_key("Sell")
_BUY: Final = text_key("Buy")


@inline
def dot_behind(p: Address, stop: Address) -> Address:
    """The address of the next dot, or the end."""
    while p < stop and load_u8(p) != 46:
        p += 1
    return p


@inline
def kind_of(s: Any) -> tuple[int, Address, Address, Address]:
    """What the message whose fields are noted is; where its topic begins, its first dot is, and it ends (0: none)."""
    start, stop = place_of(s, field(s, _TOPIC, -1))
    dot = dot_behind(start, stop)
    name = hashed(start, dot)
    kind = OTHER
    if name == _ORDERBOOK:
        form = hash_of(s, field(s, _TYPE, -1))
        kind = BOOK if form == _SNAPSHOT else DEPTH if form == _DELTA else UNTYPED
    elif name == _PUBLIC_TRADE:
        kind = TRADES
    elif name == _TICKERS:
        kind = TICKERS
    return kind, start, dot, stop


@inline
def book_ids(s: Any) -> tuple[int, int, Ns, Ns]:
    """Of a book's message: `u`, `seq`, and when it was matched and sent; -1 for what it has not."""
    data = field(s, _DATA, -1)
    update_id, seq = integer_of(s, field(s, _UPDATE_ID, data)), integer_of(s, field(s, _CROSS_SEQ, data))
    return update_id, seq, ms_of(s, field(s, _MATCHED, -1)), ms_of(s, field(s, _SENT, -1))


@inline
def add_side(s: Any, number: int, ev: int, exch_ts: Ns, local_ts: Ns) -> int:
    """Append the levels of a side's field; how many, -1 if they can't be read."""
    return add_levels(s, number, ev, exch_ts, local_ts) if number >= 0 else 0


@inline
def book_sides(s: Any, data: int) -> tuple[int, int]:
    """The numbers of the fields with the bids and with the asks; -1 for a side that is not there."""
    return field(s, _BIDS, data), field(s, _ASKS, data)


@inline
def add_book(
    s: Any, data: int, is_whole: bool, has_reach: bool, asks_first: bool, exch_ts: Ns, local_ts: Ns
) -> tuple[int, int, int]:
    """Append the rows of a book's message.

    Args:
        s: The state.
        data: The object with the levels.
        is_whole: It is the whole book.
        has_reach: Of a whole book: a clear as far as its levels reach before each side, not one of all that was.
        asks_first: Which side comes first.
        exch_ts: The rows' time.
        local_ts: When it was received.

    Returns:
        0 or why there are none; how many bids and asks.
    """
    bid_field, ask_field = book_sides(s, data)
    if bid_field < 0 and ask_field < 0:
        return FIELD, 0, 0
    kind = DEPTH_SNAPSHOT_EVENT if is_whole else DEPTH_EVENT
    if is_whole and not has_reach:
        add_clear(s, 0, exch_ts, local_ts)
    bids = asks = 0
    for turn in range(2):
        is_ask = (turn == 0) == asks_first
        side = SELL_EVENT if is_ask else BUY_EVENT
        row = add_clear(s, side, exch_ts, local_ts) if is_whole and has_reach else 0
        count = add_side(s, ask_field if is_ask else bid_field, kind | side, exch_ts, local_ts)
        if is_whole and has_reach:
            clear_as_far(s, row, count)
        if is_ask:
            asks = count
        else:
            bids = count
    return (NUMBER if bids < 0 or asks < 0 else 0), bids, asks


@inline
def add_trades(s: Any, local_ts: Ns, latency_ns: Ns, takes_blocks: bool) -> tuple[int, int, int, Ns]:
    """Append the rows of all trades of a message.

    Args:
        s: The state; the fields of the message are not noted any more afterwards.
        local_ts: When it was received; -1: each trade `latency_ns` after it happened.
        latency_ns: See `local_ts`.
        takes_blocks: Whether block trades are taken.

    Returns:
        0, or FIELD if the message is no list of trades; how many block trades were left out; how many trades can't be
        read, and were left out; the last one's time (0 without one).
    """
    blocks = bad = 0
    last_ts = 0
    start, end = value_of(s, field(s, _DATA, -1))
    p = first_item(start, end)
    while is_item(p):
        stop = read_item(s, p, end)
        if stop == 0:
            return FIELD, blocks, bad, last_ts
        exch_ts = ms_of(s, field(s, _TIME, -1))
        side = hash_of(s, field(s, _SIDE, -1))
        if exch_ts < 0 or (side != _SELL and side != _BUY):
            bad += 1
        else:
            last_ts = exch_ts
            if flag_of(s, field(s, _IS_BLOCK, -1)) == 1 and not takes_blocks:
                blocks += 1
            else:
                ev = TRADE_EVENT | (SELL_EVENT if side == _SELL else BUY_EVENT)
                arrived_ts = local_ts if local_ts >= 0 else exch_ts + latency_ns
                price, qty = field(s, _PRICE, -1), field(s, _QTY, -1)
                if add_priced_row(s, price, qty, ev, exch_ts, arrived_ts):
                    set_trade_text_id(s, field(s, _TRADE_ID, -1))
                else:
                    bad += 1
        p = next_item(stop, end)
    return (0 if is_array_end(p, end) else FIELD), blocks, bad, last_ts


@inline
def _price_row(s: Any, number: int, kind: int, exch_ts: Ns, local_ts: Ns) -> bool:
    """A row for a field if it is there and not empty; False where it is not a number."""
    start, stop = place_of(s, number)
    if start == stop:
        return True
    value, is_number = number_of(s, number)
    if is_number:
        add_row(s, kind, exch_ts, local_ts, value, 0.0)
    return is_number


@inline
def add_tickers(s: Any, exch_ts: Ns, local_ts: Ns) -> int:
    """Append the rows of index price, mark price and funding rate, as far as they are there; 0 or why not."""
    data = field(s, _DATA, -1)
    if data < 0 or exch_ts < 0:
        return FIELD
    if not _price_row(s, field(s, _INDEX, data), INDEX_PRICE, exch_ts, local_ts):
        return FIELD
    if not _price_row(s, field(s, _MARK, data), MARK_PRICE, exch_ts, local_ts):
        return FIELD
    return 0 if _price_row(s, field(s, _RATE, data), FUNDING_RATE, exch_ts, local_ts) else FIELD


# ---- a connector's


@entry(ENTRY)
def read(message: bytes, reader: Address, local_ts: Ns) -> int:
    """Read a message of the public socket, or the answer about a book; see :mod:`hftd.venues.reader`."""
    s = reader_at(reader)
    if not begin(s, message):
        return FIELD
    s.kind, start, _, _ = kind_of(s)
    s.stream, s.stream_stop = note_place(s, message, field(s, _TOPIC, -1))
    if s.kind == TRADES:
        reason, s.odd_count, s.bad_count, s.exch_ts = add_trades(s, local_ts, 0, False)
        return reason
    data = field(s, _DATA, -1)
    if s.kind == BOOK or s.kind == DEPTH:
        s.last_id, _, matched_ts, sent_ts = book_ids(s)
        s.exch_ts = matched_ts if matched_ts >= 0 else sent_ts
    elif start == 0:
        # An answer is as of its cross sequence.
        data = field(s, _RESULT, -1)
        bids, asks = book_sides(s, data)
        s.kind = BOOK if data >= 0 and bids >= 0 and asks >= 0 else OTHER
        s.last_id, s.exch_ts = integer_of(s, field(s, _CROSS_SEQ, data)), ms_of(s, field(s, _SENT, data))
    if s.kind != BOOK and s.kind != DEPTH:
        s.kind = OTHER
        return 0
    s.previous_id = s.last_id - 1
    if s.last_id < 0 or s.exch_ts < 0 or data < 0:
        return FIELD
    reason, _, _ = add_book(s, data, s.kind == BOOK, False, False, s.exch_ts, local_ts)
    return reason
