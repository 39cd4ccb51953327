"""The messages of Binance's spot, USD-M and COIN-M markets: their fields to rows.

The three send the same family of messages; where they differ:

- Spot's depth updates have no time of the matching engine (`T`), so their rows carry the time they were sent
  (`E`), and no `pu`: the first id `U` of an update must be the one behind the last id `u` of the update before.
- Spot's best prices and REST snapshots have no time at all; they carry the latest exchange time of the lines
  before, which they are not older than.
- Spot's times may be in microseconds, where the stream was asked for them.
- COIN-M's snapshots name their symbol; its index price is an event of its own, which names the pair.

Rows carry the time of the matching engine, `T`, in nanoseconds. The one exception besides spot is
`markPriceUpdate`: its `T` is when funding is next paid, hours ahead, so its rows carry the time it was sent, `E`.
(HftBacktest 2.4.4 takes `T` there too, and so shifts the local clock of the whole archive by hours.)

User events: 100 index price, 101 mark price, 102 funding rate; 103 best bid, 104 best ask, with quantities.
"""

# pyright: basic

from typing import Final

import numpy as np

from hftd.compiled.jit import inline
from hftd.compiled.native import load_i64, load_u8
from hftd.compiled.row_access import ev_of, px_of, set_px
from hftd.rows import BEST_ASK, BEST_BID, FUNDING_RATE, INDEX_PRICE, MARK_PRICE, ROW_BYTES, TS_MAX
from hftd.types import (
    BUY_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
)
from sim.convert.reader.message import (
    add_levels,
    add_row,
    field,
    hashed,
    integer_of,
    number_of,
    set_trade_id,
    text_key,
    text_of,
)
from sim.convert.reader.messages import count_name, follow, is_chosen, later_of, was_there
from sim.convert.reader.state import (
    ERROR_OBJECT,
    ERRORS,
    EVENTS,
    FIELD,
    MATCH_TIME,
    NAME_BYTES,
    NO_TIME,
    NOT_A_TRADE,
    NOT_ASKED,
    OTHER_SYMBOL,
    PARTIAL_DEPTH,
    SENT_TIME,
    SUPERSEDED,
    UNKNOWN,
)
from sim.convert.venues.binancebook import (
    COINM,
    SPOT,
    USDM,
    count_market,
    is_of_first_levels,
    leave_out_known,
    remember,
    set_again,
)

KINDS: Final = {
    INDEX_PRICE: "index price",
    MARK_PRICE: "mark price",
    FUNDING_RATE: "funding rate",
    BEST_BID: "best bid",
    BEST_ASK: "best ask",
}
"""What this venue's user events are."""

_STREAM: Final = text_key("stream")
_DATA: Final = text_key("data")
_EVENT: Final = text_key("e")
_SENT: Final = text_key("E")
_TIME: Final = text_key("T")
_SYMBOL: Final = text_key("s")
_LAST_ID: Final = text_key("u")
_FIRST_ID: Final = text_key("U")
_PREVIOUS_ID: Final = text_key("pu")
_PAIR: Final = text_key("ps")
_SNAPSHOT_ID: Final = text_key("lastUpdateId")
_BIDS: Final = text_key("b")
_ASKS: Final = text_key("a")
_BID_QTY: Final = text_key("B")
_ASK_QTY: Final = text_key("A")
_PRICE: Final = text_key("p")
_QTY: Final = text_key("q")
_TRADE_KIND: Final = text_key("X")
_SPOT_TRADE: Final = text_key("M")
_IS_BUYER_MAKER: Final = text_key("m")
_INDEX: Final = text_key("i")
_RATE: Final = text_key("r")
_TRADE_ID: Final = text_key("t")
_CODE: Final = text_key("code")
_MSG: Final = text_key("msg")
_FULL_SYMBOL: Final = text_key("symbol")
_ALL_BIDS: Final = text_key("bids")
_ALL_ASKS: Final = text_key("asks")

_DEPTH_UPDATE: Final = text_key("depthUpdate")
_TRADE: Final = text_key("trade")
_BOOK_TICKER: Final = text_key("bookTicker")
_MARK_PRICE_UPDATE: Final = text_key("markPriceUpdate")
_INDEX_PRICE_UPDATE: Final = text_key("indexPriceUpdate")
_MARKET: Final = text_key("MARKET")

_NS_PER_MS: Final = 1_000_000
_MS_MAX: Final = TS_MAX // 1_000_000
"""Later than this a time in milliseconds is none that an engine takes."""
_US_MIN: Final = 1_000_000_000_000_000
_US_MAX: Final = TS_MAX // 1000


@inline
def _time_ns(s, number):
    """A field in milliseconds, or in microseconds of 16 digits, as nanoseconds; -1 where it is none."""
    time = integer_of(s, number)
    if 0 <= time < _MS_MAX:
        return time * _NS_PER_MS
    return time * 1000 if _US_MIN <= time < _US_MAX else -1


@inline
def _is_partial_depth(s, stream):
    """Whether a stream is the book's first levels (`@depth5`), or has retail orders (`@rpiDepth`).

    Their events are called `depthUpdate` too, but are no differences.
    """
    if stream < 0:
        return False
    start, stop = text_of(s, stream)
    for p in range(start, stop - 6):
        if load_u8(p) == 64:
            if load_u8(p + 1) == 114:
                return True
            return 48 <= load_u8(p + 6) <= 57
    return False


@inline
def _depth_market(s, data):
    """The market that a depth update tells; -1 where it has some of the fields only."""
    has_match_time, has_previous = field(s, _TIME, data) >= 0, field(s, _PREVIOUS_ID, data) >= 0
    if has_match_time and has_previous:
        return COINM if field(s, _PAIR, data) >= 0 else USDM
    return -1 if has_match_time or has_previous else SPOT


@inline
def _depth(s, own, local_ts, data, stream, is_spot):
    if _is_partial_depth(s, stream):
        return PARTIAL_DEPTH
    market = _depth_market(s, data)
    if market >= 0:
        count_market(s, market)
    row = s.row_count
    exch_ts = _time_ns(s, field(s, _SENT if is_spot else _TIME, data))
    update_id = integer_of(s, field(s, _LAST_ID, data))
    if is_spot:
        previous_id = integer_of(s, field(s, _FIRST_ID, data)) - 1
    else:
        previous_id = integer_of(s, field(s, _PREVIOUS_ID, data))
    if exch_ts < 0:
        return SENT_TIME if is_spot else MATCH_TIME
    s.exch_ts = later_of(s.exch_ts, exch_ts)
    bids = add_levels(s, field(s, _BIDS, data), DEPTH_EVENT | BUY_EVENT, exch_ts, local_ts)
    asks = add_levels(s, field(s, _ASKS, data), DEPTH_EVENT | SELL_EVENT, exch_ts, local_ts)
    if bids < 0 or asks < 0:
        return FIELD
    if not is_chosen(s, field(s, _SYMBOL, data)):
        return OTHER_SYMBOL
    if is_of_first_levels(s, row, bids, asks):
        own.first_level_updates += 1
    else:
        own.other_updates += 1
    if not own.is_as_hftbacktest and update_id >= 0 and was_there(s, update_id, exch_ts, local_ts):
        return SUPERSEDED
    if update_id >= 0 and previous_id >= 0:
        follow(s, previous_id, update_id, local_ts)
    if update_id >= 0 and not own.is_as_hftbacktest:
        if leave_out_known(s, own, row, update_id, local_ts):
            return SUPERSEDED
        remember(s, own, row, update_id, exch_ts, local_ts)
    s.used[DEPTH_EVENT] += 1
    return 0


@inline
def _trade(s, local_ts, data):
    kind = field(s, _TRADE_KIND, data)
    if kind < 0 and field(s, _SPOT_TRADE, data) >= 0:
        count_market(s, SPOT)
    if kind >= 0:
        start, stop = text_of(s, kind)
        if hashed(start, stop) != _MARKET:
            return NOT_A_TRADE
    exch_ts = _time_ns(s, field(s, _TIME, data))
    px, has_px = number_of(s, field(s, _PRICE, data))
    qty, has_qty = number_of(s, field(s, _QTY, data))
    maker = field(s, _IS_BUYER_MAKER, data)
    if exch_ts < 0:
        return MATCH_TIME
    if not has_px or not has_qty or qty < 0.0 or maker < 0:
        return FIELD
    start, _ = text_of(s, maker)
    side = SELL_EVENT if load_u8(start) == 116 else BUY_EVENT
    s.exch_ts = later_of(s.exch_ts, exch_ts)
    add_row(s, TRADE_EVENT | side, exch_ts, local_ts, px, qty)
    set_trade_id(s, integer_of(s, field(s, _TRADE_ID, data)) + 1)
    if not is_chosen(s, field(s, _SYMBOL, data)):
        return OTHER_SYMBOL
    s.used[TRADE_EVENT] += 1
    return 0


@inline
def _book_ticker(s, local_ts, data, is_spot):
    if is_spot and s.exch_ts == 0:
        return NO_TIME
    exch_ts = s.exch_ts if is_spot else _time_ns(s, field(s, _TIME, data))
    bid, has_bid = number_of(s, field(s, _BIDS, data))
    bid_qty, has_bid_qty = number_of(s, field(s, _BID_QTY, data))
    ask, has_ask = number_of(s, field(s, _ASKS, data))
    ask_qty, has_ask_qty = number_of(s, field(s, _ASK_QTY, data))
    if exch_ts < 0 or not has_bid or not has_bid_qty or not has_ask or not has_ask_qty:
        return FIELD
    if bid_qty < 0.0 or ask_qty < 0.0:
        return FIELD
    add_row(s, BEST_BID, exch_ts, local_ts, bid, bid_qty)
    add_row(s, BEST_ASK, exch_ts, local_ts, ask, ask_qty)
    if not is_chosen(s, field(s, _SYMBOL, data)):
        return OTHER_SYMBOL
    s.used[BEST_BID] += 1
    return 0


@inline
def _mark_price(s, local_ts, data):
    exch_ts = _time_ns(s, field(s, _SENT, data))
    index, has_index = number_of(s, field(s, _INDEX, data))
    mark, has_mark = number_of(s, field(s, _PRICE, data))
    if exch_ts < 0 or not has_mark:
        return FIELD
    # COIN-M's has no index price.
    if has_index:
        add_row(s, INDEX_PRICE, exch_ts, local_ts, index, 0.0)
    add_row(s, MARK_PRICE, exch_ts, local_ts, mark, 0.0)
    # A delivery contract has no funding: its rate is an empty text.
    rate, has_rate = number_of(s, field(s, _RATE, data))
    if has_rate:
        add_row(s, FUNDING_RATE, exch_ts, local_ts, rate, 0.0)
    if not is_chosen(s, field(s, _SYMBOL, data)):
        return OTHER_SYMBOL
    s.used[MARK_PRICE] += 1
    return 0


@inline
def _index_price(s, local_ts, data):
    """COIN-M's index price, an event of its own. It names the pair, with which the symbol begins."""
    exch_ts = _time_ns(s, field(s, _SENT, data))
    index, has_index = number_of(s, field(s, _PRICE, data))
    pair = field(s, _INDEX, data)
    if exch_ts < 0 or not has_index or pair < 0:
        return FIELD
    if not _is_pair_of_chosen(s, pair):
        return OTHER_SYMBOL
    add_row(s, INDEX_PRICE, exch_ts, local_ts, index, 0.0)
    s.used[INDEX_PRICE] += 1
    return 0


@inline
def _is_pair_of_chosen(s, number):
    """Whether the chosen symbol, such as `BTCUSD_PERP`, is of that pair; none is before one is chosen."""
    if s.chosen < 0:
        return False
    start, stop = text_of(s, number)
    name = s.names + s.chosen * NAME_BYTES
    size = stop - start
    if load_i64(name + 8) <= size or load_u8(name + 24 + size) != 95:
        return False
    return hashed(start, stop) == hashed(name + 24, name + 24 + size)


@inline
def _snapshot_side(s, number, side, exch_ts, local_ts):
    """Clear the side as far as the snapshot reaches, then its levels; how many, -1 where these are none."""
    row = s.row_count
    add_row(s, DEPTH_CLEAR_EVENT | side, exch_ts, local_ts, 0.0, 0.0)
    count = add_levels(s, number, DEPTH_SNAPSHOT_EVENT | side, exch_ts, local_ts)
    if count == 0:
        s.row_count = row
    if count > 0:
        last = s.rows + (s.row_count - 1) * ROW_BYTES
        set_px(s.rows + row * ROW_BYTES, px_of(last))
    return count


@inline
def _last_px(s, row, side, nothing):
    """The price of the last of the side's rows from `row` on, as far as the snapshot reaches."""
    px = nothing
    for number in range(row, s.row_count):
        at = s.rows + number * ROW_BYTES
        if ev_of(at) & side:
            px = px_of(at)
    return px


@inline
def _keep_up(s, own, row, is_named, exch_ts, local_ts):
    """Bring the book from the snapshot, whose rows begin at `row`, to where the stream is."""
    update_id = integer_of(s, field(s, _SNAPSHOT_ID, -1))
    if update_id < 0 or own.is_as_hftbacktest:
        return
    if is_named or own.takes_unnamed:
        own.snapshot_id, own.snapshot_ts = update_id, local_ts
        own.bid_reach = _last_px(s, row, BUY_EVENT, np.inf)
        own.ask_reach = _last_px(s, row, SELL_EVENT, -np.inf)
    set_again(s, own, update_id, exch_ts, local_ts)


@inline
def _snapshot(s, own, local_ts, is_spot):
    time = field(s, _TIME, -1)
    exch_ts = s.exch_ts if is_spot and time < 0 else _time_ns(s, time)
    if exch_ts < 0:
        return FIELD
    if exch_ts == 0:
        return NO_TIME
    row = s.row_count
    bids = _snapshot_side(s, field(s, _ALL_BIDS, -1), BUY_EVENT, exch_ts, local_ts)
    asks = _snapshot_side(s, field(s, _ALL_ASKS, -1), SELL_EVENT, exch_ts, local_ts)
    if bids < 0 or asks < 0:
        return FIELD
    own.first_level_books += is_of_first_levels(s, row, bids, asks)
    symbol = field(s, _FULL_SYMBOL, -1)
    if symbol < 0:
        s.snapshot_row = row
    elif not is_chosen(s, symbol):
        return OTHER_SYMBOL
    _keep_up(s, own, row, symbol >= 0, exch_ts, local_ts)
    s.used[DEPTH_SNAPSHOT_EVENT] += 1
    return 0


@inline
def _no_event(s, own, local_ts, data, stream, is_spot):
    """A message without an event's name: a snapshot, spot's best prices, an error, or something else."""
    if data < 0 and field(s, _ALL_BIDS, -1) >= 0 and field(s, _ALL_ASKS, -1) >= 0:
        return _snapshot(s, own, local_ts, is_spot)
    if is_spot and field(s, _BID_QTY, data) >= 0 and field(s, _ASK_QTY, data) >= 0:
        if s.wants_ticker:
            return _book_ticker(s, local_ts, data, True)
        if stream >= 0:
            start, stop = text_of(s, stream)
            count_name(s, EVENTS, start, stop)
        return NOT_ASKED
    code = field(s, _CODE, -1)
    if code >= 0 and field(s, _MSG, -1) >= 0:
        start, stop = text_of(s, code)
        count_name(s, ERRORS, start, stop)
        return ERROR_OBJECT
    if stream >= 0:
        start, stop = text_of(s, stream)
        count_name(s, EVENTS, start, stop)
    return UNKNOWN


@inline
def read_message(s, own, local_ts, is_spot):
    """Append the rows of the message whose fields are noted.

    Args:
        s: The state.
        own: The state of :mod:`sim.convert.venues.binancebook`.
        local_ts: When it was received, ns.
        is_spot: Whether it is of the spot market.

    Returns:
        0, or why it gives none.
    """
    stream = field(s, _STREAM, -1)
    data = field(s, _DATA, -1)
    event = field(s, _EVENT, data)
    if event < 0:
        return _no_event(s, own, local_ts, data, stream, is_spot)
    start, stop = text_of(s, event)
    name = hashed(start, stop)
    if name == _DEPTH_UPDATE:
        return _depth(s, own, local_ts, data, stream, is_spot)
    if name == _TRADE:
        return _trade(s, local_ts, data)
    if name == _BOOK_TICKER and s.wants_ticker:
        return _book_ticker(s, local_ts, data, is_spot)
    if name == _MARK_PRICE_UPDATE and s.wants_mark:
        return _mark_price(s, local_ts, data)
    if name == _INDEX_PRICE_UPDATE and s.wants_mark:
        return _index_price(s, local_ts, data)
    count_name(s, EVENTS, start, stop)
    return NOT_ASKED if name in (_BOOK_TICKER, _MARK_PRICE_UPDATE, _INDEX_PRICE_UPDATE) else UNKNOWN
