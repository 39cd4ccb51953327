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
:mod:`sim.convert.reader.wholebook`. Beside differences they only start it: at first and after a gap, the sides are
cleared as far as such a book reaches and its levels are set; differences that it has already are left out then.

A trade's side is the aggressor's: 1 bought, 2 sold. User events, of `push.ticker`: 100 index price, 101 fair price,
102 funding rate; of spot's `bookTicker`: 103 best bid, 104 best ask.

numba compiles this; see :mod:`sim.convert.reader.messages` and :mod:`sim.convert.reader.message`.
"""

# pyright: basic

from typing import Any, Final

from hftd.compiled.jit import inline, kernel
from hftd.compiled.json_fields import (
    field,
    first_item,
    hashed,
    integer_of,
    is_array_end,
    is_item,
    next_item,
    number_of,
    place_of,
    read_item,
    text_key,
    text_of,
)
from hftd.compiled.native import load_u8
from hftd.rows import BEST_ASK, BEST_BID, FUNDING_RATE, INDEX_PRICE, MARK_PRICE, Address, Ns
from hftd.types import BUY_EVENT, SELL_EVENT, TRADE_EVENT
from hftd.venues.message import FIELD, add_priced_row, add_row, ms_of, set_trade_text_id
from sim.convert.reader.messages import count_name, end_message, next_message, start_block
from sim.convert.reader.recent import RECENT_MAX
from sim.convert.reader.state import (
    ERROR_OBJECT,
    ERRORS,
    EVENTS,
    NOT_ASKED,
    OTHER_SYMBOL,
    UNKNOWN,
    Scan,
    state_at,
)
from sim.convert.reader.venue import USER_EVENTS, Venue
from sim.convert.reader.wholebook import ROWS_EXTRA
from sim.convert.venues.mexcbook import (
    differences,
    is_ours,
    own_at,
    own_dtype,
    whole_book,
)

KINDS: Final = {**USER_EVENTS, MARK_PRICE: "fair price"}
"""What this venue's user events are."""

_CHANNEL: Final = text_key("channel")
_DATA: Final = text_key("data")
_SYMBOL: Final = text_key("symbol")
_SENT: Final = text_key("ts")
_MATCHED: Final = text_key("cts")
_VERSION: Final = text_key("version")
_BEGIN: Final = text_key("begin")
_END: Final = text_key("end")
_TIMESTAMP: Final = text_key("timestamp")
_BIDS: Final = text_key("bids")
_PRICE: Final = text_key("p")
_QTY: Final = text_key("v")
_SIDE: Final = text_key("T")
_TIME: Final = text_key("t")
_TRADE_ID: Final = text_key("i")
_INDEX: Final = text_key("indexPrice")
_FAIR: Final = text_key("fairPrice")
_RATE: Final = text_key("fundingRate")
_CODE: Final = text_key("code")
_STREAM: Final = text_key("c")
_SPOT_DATA: Final = text_key("d")
_SPOT_SYMBOL: Final = text_key("s")
_SPOT_SIDE: Final = text_key("S")
_SPOT_VERSION: Final = text_key("r")
_DEALS_FIELD: Final = text_key("deals")
_LAST_ID: Final = text_key("lastUpdateId")
_BEST_BID: Final = text_key("b")
_BEST_BID_QTY: Final = text_key("B")
_BEST_ASK: Final = text_key("a")
_BEST_ASK_QTY: Final = text_key("A")

_DEPTH: Final = text_key("push.depth")
_FULL_DEPTH: Final = text_key("push.depth.full")
_DEAL: Final = text_key("push.deal")
_TICKER: Final = text_key("push.ticker")
_ERROR: Final = text_key("rs.error")
_SPOT_DEPTH: Final = text_key("spot@public.increase.depth.v3.api")
_SPOT_FULL_DEPTH: Final = text_key("spot@public.limit.depth.v3.api")
_SPOT_DEALS: Final = text_key("spot@public.deals.v3.api")
_SPOT_TICKER: Final = text_key("spot@public.bookTicker.v3.api")

# What a message is.
_NOTHING: Final = 0
_CHANGES: Final = 1
_BOOK: Final = 2
_TRADES: Final = 3
_PRICES: Final = 4
_BEST: Final = 5
_REFUSAL: Final = 6


@inline
def _deal(s: Any, side_key: int, local_ts: Ns):
    """Append the row of the trade whose fields are noted; whether it is one."""
    deal_ts = ms_of(s, field(s, _TIME, -1))
    side = integer_of(s, field(s, side_key, -1))
    if deal_ts < 0 or (side != 1 and side != 2):
        return False
    ev = TRADE_EVENT | (SELL_EVENT if side == 2 else BUY_EVENT)
    if not add_priced_row(s, field(s, _PRICE, -1), field(s, _QTY, -1), ev, deal_ts, local_ts):
        return False
    set_trade_text_id(s, field(s, _TRADE_ID, -1))
    return True


@inline
def _deals(s: Any, deals, symbol: int, side_key: int, local_ts: Ns):
    """Append the rows of trades: an array of objects, or one object."""
    symbol_start, symbol_stop = place_of(s, symbol)
    start, end = place_of(s, deals)
    if start == 0:
        return FIELD
    if load_u8(start) == 123:
        if read_item(s, start, end) == 0 or not _deal(s, side_key, local_ts):
            return FIELD
    else:
        p = first_item(start, end)
        while is_item(p):
            stop = read_item(s, p, end)
            if stop == 0 or not _deal(s, side_key, local_ts):
                return FIELD
            p = next_item(stop, end)
        if not is_array_end(p, end):
            return FIELD
    if not is_ours(s, symbol_start, symbol_stop):
        return OTHER_SYMBOL
    s.used[TRADE_EVENT] += 1
    return 0


@inline
def _ticker(s: Any, data: int, symbol: int, local_ts: Ns):
    exch_ts = ms_of(s, field(s, _TIMESTAMP, data))
    if exch_ts < 0:
        exch_ts = ms_of(s, field(s, _SENT, -1))
    index, has_index = number_of(s, field(s, _INDEX, data))
    fair, has_fair = number_of(s, field(s, _FAIR, data))
    rate, has_rate = number_of(s, field(s, _RATE, data))
    if exch_ts < 0 or not has_index or not has_fair or not has_rate:
        return FIELD
    add_row(s, INDEX_PRICE, exch_ts, local_ts, index, 0.0)
    add_row(s, MARK_PRICE, exch_ts, local_ts, fair, 0.0)
    add_row(s, FUNDING_RATE, exch_ts, local_ts, rate, 0.0)
    symbol_start, symbol_stop = place_of(s, symbol)
    if not is_ours(s, symbol_start, symbol_stop):
        return OTHER_SYMBOL
    s.used[MARK_PRICE] += 1
    return 0


@inline
def _spot_ticker(s: Any, data: int, symbol: int, local_ts: Ns):
    exch_ts = ms_of(s, field(s, _TIME, -1))
    if exch_ts < 0:
        return FIELD
    if not add_priced_row(
        s, field(s, _BEST_BID, data), field(s, _BEST_BID_QTY, data), BEST_BID, exch_ts, local_ts
    ):
        return FIELD
    if not add_priced_row(
        s, field(s, _BEST_ASK, data), field(s, _BEST_ASK_QTY, data), BEST_ASK, exch_ts, local_ts
    ):
        return FIELD
    symbol_start, symbol_stop = place_of(s, symbol)
    if not is_ours(s, symbol_start, symbol_stop):
        return OTHER_SYMBOL
    s.used[BEST_BID] += 1
    return 0


@inline
def _contract_kind(name: int):
    """What a message of the streams of contracts is."""
    if name == _DEPTH:
        return _CHANGES
    if name == _FULL_DEPTH:
        return _BOOK
    if name == _DEAL:
        return _TRADES
    if name == _TICKER:
        return _PRICES
    return _REFUSAL if name == _ERROR else _NOTHING


@inline
def _spot_kind(name: int):
    """What a message of spot's streams is."""
    if name == _SPOT_DEPTH:
        return _CHANGES
    if name == _SPOT_FULL_DEPTH:
        return _BOOK
    if name == _SPOT_DEALS:
        return _TRADES
    return _BEST if name == _SPOT_TICKER else _NOTHING


@inline
def _name_end(start: Address, end: Address):
    """What a message of spot's streams is, stands before the second `@` of the stream's name."""
    count = 0
    for p in range(start, end):
        count += load_u8(p) == 64
        if count == 2:
            return p
    return end


@inline
def _either(first, second):
    return first if first >= 0 else second


@inline
def read_message(s: Any, own: Any, local_ts: Ns):
    """Append the rows of the message whose fields are noted; 0, or why it gives none."""
    channel, stream = field(s, _CHANNEL, -1), field(s, _STREAM, -1)
    data, symbol = _either(field(s, _DATA, -1), field(s, _SPOT_DATA, -1)), -1
    kind, is_answer = _NOTHING, False
    start, stop = 0, 0
    if channel >= 0:
        start, stop = text_of(s, channel)
        kind, symbol = _contract_kind(hashed(start, stop)), field(s, _SYMBOL, -1)
    elif stream >= 0:
        start, stop = text_of(s, stream)
        stop = _name_end(start, stop)
        kind, symbol = _spot_kind(hashed(start, stop)), field(s, _SPOT_SYMBOL, -1)
    else:
        code = field(s, _CODE, -1)
        if code >= 0 and integer_of(s, code) != 0:
            start, stop = text_of(s, code)
            count_name(s, ERRORS, start, stop)
            return ERROR_OBJECT
        # An answer to a request for the book: contracts have it in `data`, spot has it outside.
        data = data if field(s, _BIDS, data) >= 0 else -1
        is_answer = field(s, _BIDS, data) >= 0
        kind = _BOOK if is_answer else _NOTHING
    if kind in (_CHANGES, _BOOK):
        # By the matching engine where it is said, or else when the message was made.
        matched_ns = ms_of(s, _either(field(s, _MATCHED, data), field(s, _TIMESTAMP, data)))
        sent_ns = ms_of(s, _either(field(s, _SENT, -1), field(s, _TIME, -1)))
        exch_ts = _either(matched_ns, sent_ns)
        last = _either(field(s, _END, data), field(s, _VERSION, data))
        version = integer_of(
            s, _either(_either(last, field(s, _SPOT_VERSION, data)), field(s, _LAST_ID, data))
        )
        if kind == _BOOK:
            return whole_book(s, own, data, symbol, version, is_answer, exch_ts, local_ts)
        begin = integer_of(s, field(s, _BEGIN, data))
        return differences(s, own, data, symbol, version, begin, exch_ts, local_ts)
    if kind == _TRADES:
        is_spot = stream >= 0
        deals = field(s, _DEALS_FIELD, data) if is_spot else data
        return _deals(s, deals, symbol, _SPOT_SIDE if is_spot else _SIDE, local_ts)
    if kind == _PRICES and s.wants_mark:
        return _ticker(s, data, symbol, local_ts)
    if kind == _BEST and s.wants_ticker:
        return _spot_ticker(s, data, symbol, local_ts)
    if kind == _REFUSAL:
        start, stop = place_of(s, data)
        count_name(s, ERRORS, start, stop)
        return ERROR_OBJECT
    if start:
        count_name(s, EVENTS, start, stop)
    return NOT_ASKED if kind in (_PRICES, _BEST) else UNKNOWN


@kernel("int64(int64)")
def read_lines(state: Address) -> int:
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
    own["book"]["keeps_far"] = options.keep_far_levels is True
    own["snapshot_id"] = -1
    own["needs_book"] = True
    own["is_as_hftbacktest"] = options.hftbacktest_rows
    scan.record["rows_extra"] = ROWS_EXTRA + RECENT_MAX
    scan.record["takes_again"] = options.hftbacktest_rows


def check(scan: Scan, options: Any, where: str) -> list[str]:  # noqa: ARG001 (see `Venue.check`)
    """Notes on what is missing."""
    notes: list[str] = []
    if any(".pb" in name for name in scan.counts(EVENTS)):
        notes.append("streams in protobuf (.pb) are not read, decoded to JSON or not")
    own = scan.own
    if own["has_differences"] and own["needs_book"] and not own["is_as_hftbacktest"]:
        notes.append(
            "since the start or the last gap no whole book came: levels may be wrong until they change"
        )
    return notes


VENUE: Final = Venue(
    "mexc",
    read_lines,
    KINDS,
    set_up=set_up,
    check=check,
    takes=("keep_far_levels", "hftbacktest_rows"),
)
