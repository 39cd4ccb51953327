"""The messages of Binance's spot, USD-M and COIN-M markets: their fields to rows; in code that numba compiles.

Combined streams wrap each event with its stream's name, raw streams send it as it is::

    {"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1723161256299,"T":1723161256298,"s":"BTCUSDT",
        "U":5123107832006,"u":5123107837557,"pu":5123107831937,"b":[["58710.20","0.014"]],"a":[]}}
    {"e":"bookTicker","u":5123107839020,"s":"BTCUSDT","b":"61800.20","B":"2.507","a":"61800.30","A":"2.510",
        "T":1723161256313,"E":1723161256313}
    {"e":"trade","E":1723161256322,"T":1723161256322,"s":"BTCUSDT","t":5266583935,"p":"61800.30","q":"0.006",
        "X":"MARKET","m":false}

``GET depth`` answers
``{"lastUpdateId":5123107852948,"E":1723161256501,"T":1723161256493,"bids":[["61800.20","2.909"]],"asks":[]}``.

The three markets send the same family of messages; where they differ:

- Spot's depth updates have no time of the matching engine (`T`), so their rows carry the time they were sent
  (`E`), and no `pu`: the first id `U` of an update must be the one behind the last id `u` of the update before.
- Spot's best prices and REST snapshots have no time at all; the caller says which they carry.
- Spot's best prices have no event's name.
- Spot's times may be in microseconds, where the stream was asked for them.
- COIN-M's snapshots name their symbol; its index price is a separate event, which names the pair.

Rows carry the time of the matching engine, `T`, in nanoseconds. The one exception besides spot is
`markPriceUpdate`: its `T` is when funding is next paid, hours ahead, so its rows carry the time it was sent, `E`.
(HftBacktest 2.4.4 takes `T` there too, and so shifts the local clock of the whole archive by hours.)
"""

# pyright: basic

from typing import Any, Final

from hftd.compiled.jit import entry, inline
from hftd.compiled.json_fields import (
    field,
    flag_of,
    hash_of,
    integer_of,
    number_of,
    place_of,
    text_key,
)
from hftd.compiled.native import load_u8
from hftd.rows import FUNDING_RATE, INDEX_PRICE, MARK_PRICE, TS_MAX, Address, Ns
from hftd.types import BUY_EVENT, DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT, SELL_EVENT, TRADE_EVENT
from hftd.venues.message import (
    FIELD,
    MATCH_TIME,
    MS_MAX,
    NO_TIME,
    NOT_A_TRADE,
    NS_PER_MS,
    NUMBER,
    SENT_TIME,
    add_clear,
    add_levels,
    add_priced_row,
    add_row,
    clear_as_far,
    later_of,
    set_trade_id,
)
from hftd.venues.reader import BEST, BOOK, DEPTH, ENTRY, OTHER, TRADES, begin, note_place, reader_at

# What a message is, besides the kinds of :mod:`hftd.venues.reader`.
MARK: Final = 10
INDEX: Final = 11
PARTIAL: Final = 12
"""A book's first levels (`@depth5`), or one with retail orders (`@rpiDepth`): called `depthUpdate`, but no change."""
REFUSAL: Final = 13
"""An error of the exchange."""

_STREAM: Final = text_key("stream")
_DATA: Final = text_key("data")
_EVENT: Final = text_key("e")
_SENT: Final = text_key("E")
_TIME: Final = text_key("T")
_LAST_ID: Final = text_key("u")
_FIRST_ID: Final = text_key("U")
_PREVIOUS_ID: Final = text_key("pu")
_SNAPSHOT_ID: Final = text_key("lastUpdateId")
_BIDS: Final = text_key("b")
_ASKS: Final = text_key("a")
_BID_QTY: Final = text_key("B")
_ASK_QTY: Final = text_key("A")
_PRICE: Final = text_key("p")
_QTY: Final = text_key("q")
_TRADE_KIND: Final = text_key("X")
_IS_BUYER_MAKER: Final = text_key("m")
_INDEX: Final = text_key("i")
_RATE: Final = text_key("r")
_TRADE_ID: Final = text_key("t")
_CODE: Final = text_key("code")
_MSG: Final = text_key("msg")
_ALL_BIDS: Final = text_key("bids")
_ALL_ASKS: Final = text_key("asks")

_DEPTH_UPDATE: Final = text_key("depthUpdate")
_TRADE: Final = text_key("trade")
_BOOK_TICKER: Final = text_key("bookTicker")
_MARK_PRICE_UPDATE: Final = text_key("markPriceUpdate")
_INDEX_PRICE_UPDATE: Final = text_key("indexPriceUpdate")
_MARKET: Final = text_key("MARKET")

_US_MIN: Final = 1_000_000_000_000_000
_US_MAX: Final = TS_MAX // 1000


@inline
def _time_of(s: Any, number: int) -> Ns:
    """A field in milliseconds, or in microseconds of 16 digits, as nanoseconds; -1 where it is not one."""
    time = integer_of(s, number)
    if 0 <= time < MS_MAX:
        return time * NS_PER_MS
    return time * 1000 if _US_MIN <= time < _US_MAX else -1


@inline
def _is_partial(s: Any, stream: int) -> bool:
    start, stop = place_of(s, stream)
    for p in range(start, stop - 6):
        if load_u8(p) == 64:
            return load_u8(p + 1) == 114 or 48 <= load_u8(p + 6) <= 57
    return False


@inline
def kind_of(s: Any, is_spot: bool) -> tuple[int, int, int]:
    """What the message whose fields are noted is; the number of the object with its fields; and of its name's field.

    The name is the event's, or else the stream's, or else an error's code; -1 where it has none.
    """
    stream, data = field(s, _STREAM, -1), field(s, _DATA, -1)
    event = field(s, _EVENT, data)
    if event >= 0:
        name = hash_of(s, event)
        kind = OTHER
        if name == _DEPTH_UPDATE:
            kind = PARTIAL if _is_partial(s, stream) else DEPTH
        elif name == _TRADE:
            kind = TRADES
        elif name == _BOOK_TICKER:
            kind = BEST
        elif name == _MARK_PRICE_UPDATE:
            kind = MARK
        elif name == _INDEX_PRICE_UPDATE:
            kind = INDEX
        return kind, data, event
    if data < 0 and field(s, _ALL_BIDS, -1) >= 0 and field(s, _ALL_ASKS, -1) >= 0:
        return BOOK, data, stream
    if is_spot and field(s, _BID_QTY, data) >= 0 and field(s, _ASK_QTY, data) >= 0:
        return BEST, data, stream
    code = field(s, _CODE, -1)
    if code >= 0 and field(s, _MSG, -1) >= 0:
        return REFUSAL, data, code
    return OTHER, data, stream


@inline
def add_depth(s: Any, data: int, is_spot: bool, local_ts: Ns) -> tuple[int, Ns, int, int, int, int]:
    """Append the rows of a change of the book, bids first.

    Returns:
        0 or why there are none; its time (-1 for none), its last update's id and that of the one before the first
        (-1 for none); how many bids and asks.
    """
    exch_ts = _time_of(s, field(s, _SENT if is_spot else _TIME, data))
    last_id = integer_of(s, field(s, _LAST_ID, data))
    if is_spot:
        first_id = integer_of(s, field(s, _FIRST_ID, data))
        previous_id = first_id - 1 if first_id >= 0 else -1
    else:
        previous_id = integer_of(s, field(s, _PREVIOUS_ID, data))
    if exch_ts < 0:
        return (SENT_TIME if is_spot else MATCH_TIME), exch_ts, last_id, previous_id, 0, 0
    bid_field, ask_field = field(s, _BIDS, data), field(s, _ASKS, data)
    if bid_field < 0 or ask_field < 0:
        return FIELD, exch_ts, last_id, previous_id, 0, 0
    bids = add_levels(s, bid_field, DEPTH_EVENT | BUY_EVENT, exch_ts, local_ts)
    asks = add_levels(s, ask_field, DEPTH_EVENT | SELL_EVENT, exch_ts, local_ts)
    return (NUMBER if bids < 0 or asks < 0 else 0), exch_ts, last_id, previous_id, bids, asks


@inline
def _add_side(s: Any, number: int, side: int, exch_ts: Ns, local_ts: Ns) -> int:
    """Clear the side as far as the snapshot reaches, then its levels; how many, -1 where they can't be read."""
    row = add_clear(s, side, exch_ts, local_ts)
    count = add_levels(s, number, DEPTH_SNAPSHOT_EVENT | side, exch_ts, local_ts)
    clear_as_far(s, row, count)
    return count


@inline
def add_book(s: Any, otherwise_ts: Ns, local_ts: Ns) -> tuple[int, Ns, int, int, int]:
    """Append the rows of a snapshot of the book: each side a clear as far as it reaches, then its levels.

    Args:
        s: The state.
        otherwise_ts: The time of a snapshot that has none; 0: none is known yet, -1: it must have one.
        local_ts: When it was received.

    Returns:
        0 or why there are none; its time; the id of the update as of which it is; how many bids and asks.
    """
    time = field(s, _TIME, -1)
    exch_ts = otherwise_ts if time < 0 else _time_of(s, time)
    last_id = integer_of(s, field(s, _SNAPSHOT_ID, -1))
    if exch_ts <= 0:
        return (NO_TIME if exch_ts == 0 else FIELD), exch_ts, last_id, 0, 0
    bids = _add_side(s, field(s, _ALL_BIDS, -1), BUY_EVENT, exch_ts, local_ts)
    asks = _add_side(s, field(s, _ALL_ASKS, -1), SELL_EVENT, exch_ts, local_ts)
    return (NUMBER if bids < 0 or asks < 0 else 0), exch_ts, last_id, bids, asks


@inline
def add_trade(s: Any, data: int, local_ts: Ns) -> tuple[int, Ns]:
    """Append the row of a trade; 0 or why there is no row, and its time.

    `m`, that the buyer was the maker, is that the taker sold; `X` is how the trade came about.
    """
    kind = field(s, _TRADE_KIND, data)
    exch_ts = _time_of(s, field(s, _TIME, data))
    if kind >= 0 and hash_of(s, kind) != _MARKET:
        return NOT_A_TRADE, exch_ts
    if exch_ts < 0:
        return MATCH_TIME, exch_ts
    price, qty = field(s, _PRICE, data), field(s, _QTY, data)
    is_sell = flag_of(s, field(s, _IS_BUYER_MAKER, data))
    if price < 0 or qty < 0 or is_sell < 0:
        return FIELD, exch_ts
    side = SELL_EVENT if is_sell else BUY_EVENT
    if not add_priced_row(s, price, qty, TRADE_EVENT | side, exch_ts, local_ts):
        return NUMBER, exch_ts
    set_trade_id(s, integer_of(s, field(s, _TRADE_ID, data)) + 1)
    return 0, exch_ts


@inline
def best_time(s: Any, data: int) -> Ns:
    """The time of best prices of the futures; -1 without one."""
    return _time_of(s, field(s, _TIME, data))


@inline
def add_best(s: Any, data: int, bid_ev: int, ask_ev: int, exch_ts: Ns, local_ts: Ns) -> tuple[int, int]:
    """Append the rows of the best bid and the best ask; 0 or why there are none, and the id of the update."""
    last_id = integer_of(s, field(s, _LAST_ID, data))
    bid, ask = field(s, _BIDS, data), field(s, _ASKS, data)
    bid_qty, ask_qty = field(s, _BID_QTY, data), field(s, _ASK_QTY, data)
    if exch_ts < 0 or bid < 0 or ask < 0 or bid_qty < 0 or ask_qty < 0:
        return FIELD, last_id
    if not add_priced_row(s, bid, bid_qty, bid_ev, exch_ts, local_ts):
        return NUMBER, last_id
    if not add_priced_row(s, ask, ask_qty, ask_ev, exch_ts, local_ts):
        return NUMBER, last_id
    return 0, last_id


@inline
def add_mark_price(s: Any, data: int, local_ts: Ns) -> int:
    """Append the rows of index price, mark price and funding rate, as far as they are there; 0 or why not."""
    exch_ts = _time_of(s, field(s, _SENT, data))
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
    return 0


@inline
def add_index_price(s: Any, data: int, local_ts: Ns) -> tuple[int, int]:
    """Append the row of COIN-M's index price; 0 or why there is no row, and the number of the pair's field."""
    exch_ts = _time_of(s, field(s, _SENT, data))
    index, has_index = number_of(s, field(s, _PRICE, data))
    pair = field(s, _INDEX, data)
    if exch_ts < 0 or not has_index or pair < 0:
        return FIELD, pair
    add_row(s, INDEX_PRICE, exch_ts, local_ts, index, 0.0)
    return 0, pair


# ---- a connector's


@inline
def _read(message: bytes, reader: Address, local_ts: Ns, is_spot: bool) -> int:
    s = reader_at(reader)
    if not begin(s, message):
        return FIELD
    s.kind, data, _ = kind_of(s, is_spot)
    s.stream, s.stream_stop = note_place(s, message, field(s, _STREAM, -1))
    reason = 0
    if s.kind == DEPTH:
        reason, s.exch_ts, s.last_id, s.previous_id, _, _ = add_depth(s, data, is_spot, local_ts)
        has_ids = s.last_id >= 0 and s.previous_id >= 0
        reason = reason if has_ids else FIELD
    elif s.kind == TRADES:
        reason, s.exch_ts = add_trade(s, data, local_ts)
        if reason == NOT_A_TRADE:
            s.odd, s.odd_stop = note_place(s, message, field(s, _TRADE_KIND, data))
            s.odd_count = 1
            reason = 0 if s.exch_ts >= 0 else FIELD
    elif s.kind == BEST:
        s.exch_ts = s.newest_ts if is_spot else best_time(s, data)
        reason, s.last_id = add_best(s, data, s.bid_ev, s.ask_ev, s.exch_ts, local_ts)
        reason = FIELD if s.last_id < 0 else NO_TIME if is_spot and s.exch_ts == 0 else reason
    elif s.kind == BOOK:
        reason, s.exch_ts, s.last_id, _, _ = add_book(s, s.newest_ts if is_spot else -1, local_ts)
        reason = reason if s.last_id >= 0 else FIELD
    else:
        s.kind = OTHER
    if s.exch_ts > 0 and (s.kind == DEPTH or s.kind == TRADES):
        s.newest_ts = later_of(s.newest_ts, s.exch_ts)
    return reason


@entry(ENTRY)
def read_futures(message: bytes, reader: Address, local_ts: Ns) -> int:
    """Read a message of a connection, or the answer to ``GET depth``; see :mod:`hftd.venues.reader`."""
    return _read(message, reader, local_ts, False)


@entry(ENTRY)
def read_spot(message: bytes, reader: Address, local_ts: Ns) -> int:
    """As `read_futures`; best prices and snapshots carry the latest time of the messages before."""
    return _read(message, reader, local_ts, True)
