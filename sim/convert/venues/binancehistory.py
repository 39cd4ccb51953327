"""Binance's public history (data.binance.vision) and its historical order book: tables without local times, to rows.

Trades, aggregated trades and best prices, of spot (without a header) and futures (with one, or without)::

    id,price,qty,quote_qty,time,is_buyer_maker
    5266583935,61800.30,0.006,370.8018,1723161256322,false
    agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker
    2269854129,61800.3,0.006,5266583935,5266583935,1723161256322,false
    update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time
    5123107839020,61800.2,2.507,61800.3,2.510,1723161256313,1723161256317

The historical order book (T_DEPTH, S_DEPTH), a snapshot's file and one of updates::

    symbol,timestamp,trans_id,first_update_id,last_update_id,side,update_type,price,qty
    BTCUSDT,1638316800003,1638316800001,1065412,1065415,b,snap,57000.10,2.500

Times are in milliseconds (13 digits) or, of spot since 2025, in microseconds (16 digits). A row's local time is that
of the exchange plus a latency that is given. What tables there are stands at
https://github.com/binance/binance-public-data and in Binance's FAQ on historical order books of futures.

Rows: trades; best bids and offers (kind 5, not user events, so that they can be fused with depth); depth; before each
snapshot a clear of both sides, as a snapshot's lines do not say how far it reaches.
"""

# pyright: basic

import re
from pathlib import Path
from typing import Any, Final

import numpy as np

from hftd.compiled.jit import inline, kernel
from hftd.compiled.json_fields import hash_of, hashed, integer_of, text_key, text_of
from hftd.compiled.json_numbers import integer
from hftd.compiled.native import record_at
from hftd.rows import Address, Ns
from hftd.types import (
    BUY_EVENT,
    DEPTH_BBO_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
)
from hftd.venues.message import FIELD, add_priced_row, add_row, set_trade_id
from sim.convert.files.arrange import Start
from sim.convert.files.text import Part
from sim.convert.reader.csv import Table, column, next_line, open_table, said_latency, table_start
from sim.convert.reader.messages import (
    count_name,
    end_message,
    follow,
    is_chosen,
    is_chosen_name,
    start_block,
)
from sim.convert.reader.state import EVENTS, OTHER_SYMBOL, SYMBOLS, TIME_UNIT, UNKNOWN, Scan, state_at
from sim.convert.reader.venue import Venue, refuse_two_markets

KINDS: Final[dict[int, str]] = {}
"""There are no user events."""

TRADES: Final = Table(
    name="trades",
    columns=("time", "price", "qty", "is_buyer_maker"),
    optional=("id",),
    order=("id", "price", "qty", "quote_qty", "time", "is_buyer_maker"),
)
SPOT_TRADES: Final = Table(
    name="spot trades",
    columns=("time", "price", "qty", "isbuyermaker"),
    optional=("id",),
    order=("id", "price", "qty", "quoteqty", "time", "isbuyermaker", "isbestmatch"),
)
AGG_TRADES: Final = Table(
    name="aggregated trades",
    columns=("transact_time", "price", "quantity", "is_buyer_maker"),
    optional=("first_trade_id",),
    order=(
        "agg_trade_id",
        "price",
        "quantity",
        "first_trade_id",
        "last_trade_id",
        "transact_time",
        "is_buyer_maker",
    ),
)
SPOT_AGG_TRADES: Final = Table(
    name="aggregated spot trades",
    columns=("timestamp", "price", "quantity", "isbuyermaker"),
    optional=("firsttradeid",),
    order=(
        "aggtradeid",
        "price",
        "quantity",
        "firsttradeid",
        "lasttradeid",
        "timestamp",
        "isbuyermaker",
        "isbestmatch",
    ),
)
BEST_PRICES: Final = Table(
    name="best prices",
    columns=("transaction_time", "best_bid_price", "best_bid_qty", "best_ask_price", "best_ask_qty"),
    order=(
        "update_id",
        "best_bid_price",
        "best_bid_qty",
        "best_ask_price",
        "best_ask_qty",
        "transaction_time",
        "event_time",
    ),
)
DEPTH: Final = Table(
    name="the order book",
    columns=("timestamp", "price", "qty", "side"),
    optional=("symbol", "update_type", "last_update_id", "pu"),
    order=(
        "symbol",
        "timestamp",
        "trans_id",
        "first_update_id",
        "last_update_id",
        "side",
        "update_type",
        "price",
        "qty",
    ),
)
DEPTH_BY_TIME: Final = Table(
    name="the order book",
    columns=("time", "price", "qty", "side"),
    optional=("symbol", "update_type", "last_update_id", "pu"),
)
TABLES: Final = (TRADES, SPOT_TRADES, AGG_TRADES, SPOT_AGG_TRADES, BEST_PRICES, DEPTH, DEPTH_BY_TIME)
_SPOT, _SPOT_AGG = TABLES.index(SPOT_TRADES), TABLES.index(SPOT_AGG_TRADES)
_AGG, _BEST, _DEPTH = TABLES.index(AGG_TRADES), TABLES.index(BEST_PRICES), TABLES.index(DEPTH)
_TIME, _PRICE, _QTY, _SIDE, _SYMBOL, _UPDATE, _LAST_ID, _PREVIOUS_ID = range(8)
_TRADE_ID: Final = 4
"""Of an aggregated trade: the first that it is made of, so that it is known again where the trades are there."""
_BID, _BID_QTY, _ASK, _ASK_QTY = range(1, 5)

_TRUE: Final = (text_key("true"), text_key("True"), text_key("TRUE"))
_FALSE: Final = (text_key("false"), text_key("False"), text_key("FALSE"))
_BUY_SIDE, _SELL_SIDE = text_key("b"), text_key("a")
_SNAP, _SET, _NONE = text_key("snap"), text_key("set"), text_key("")

_FILE_NAME: Final = re.compile(r"(\w+)-(?:trades|aggTrades|bookTicker)-\d{4}-\d{2}")
_WHOLE: Final = re.compile(rb"\d+")
_TIMES: Final = re.compile(rb"\d{13}|\d{16}")

own_dtype = np.dtype(
    [
        ("latency_ns", "i8"),
        ("symbol", "i8"),
        ("snapshot_ts", "i8"),
        ("snapshot_id", "i8"),
        ("is_in_snapshot", "i8"),
        ("agg_trades_without_id", "i8"),
        ("trades", "i8"),
        ("agg_trades", "i8"),
        ("spot_rows", "i8"),
        ("futures_rows", "i8"),
    ],
    align=True,
)
"""The latency that is given, the number of the file name's symbol (-1: none), the snapshot whose lines are being
read, lines of trades of both kinds, and rows of either market."""
own_at = record_at(own_dtype)


@inline
def _time_ns(s: Any, number: int):
    """A field of 13 digits of milliseconds or 16 of microseconds as nanoseconds; -1: none, -2: another unit."""
    start, stop = text_of(s, number)
    time = integer(start, stop)
    if stop - start == 13:
        return time * 1_000_000 if 0 <= time < 9_000_000_000_000 else -1
    if stop - start == 16:
        return time * 1000 if 0 <= time < 9_000_000_000_000_000 else -1
    size = stop - start
    return -2 if size == 10 or size == 19 else -1


@inline
def _count_market(s: Any, own: Any):
    if s.table in (_SPOT, _SPOT_AGG):
        own.spot_rows += 1
    else:
        own.futures_rows += 1


@inline
def _trade(s: Any, own: Any, exch_ts: Ns):
    maker = hash_of(s, column(s, _SIDE))
    is_sell = maker in _TRUE
    ev = TRADE_EVENT | (SELL_EVENT if is_sell else BUY_EVENT)
    if not is_sell and maker not in _FALSE:
        return FIELD
    if not add_priced_row(s, column(s, _PRICE), column(s, _QTY), ev, exch_ts, exch_ts + own.latency_ns):
        return FIELD
    trade_id = integer_of(s, column(s, _TRADE_ID))
    set_trade_id(s, trade_id + 1)
    if not is_chosen_name(s, own.symbol):
        return OTHER_SYMBOL
    _count_market(s, own)
    if s.table >= _AGG:
        own.agg_trades += 1
        own.agg_trades_without_id += trade_id < 0
    else:
        own.trades += 1
    s.used[TRADE_EVENT] += 1
    return 0


@inline
def _best_prices(s: Any, own: Any, exch_ts: Ns):
    local_ts = exch_ts + own.latency_ns
    bid_ev, ask_ev = DEPTH_BBO_EVENT | BUY_EVENT, DEPTH_BBO_EVENT | SELL_EVENT
    if not add_priced_row(s, column(s, _BID), column(s, _BID_QTY), bid_ev, exch_ts, local_ts):
        return FIELD
    if not add_priced_row(s, column(s, _ASK), column(s, _ASK_QTY), ask_ev, exch_ts, local_ts):
        return FIELD
    if not is_chosen_name(s, own.symbol):
        return OTHER_SYMBOL
    _count_market(s, own)
    s.used[DEPTH_BBO_EVENT] += 1
    return 0


@inline
def _depth(s: Any, own: Any, exch_ts: Ns):
    side_text = hash_of(s, column(s, _SIDE))
    if side_text not in (_BUY_SIDE, _SELL_SIDE):
        return FIELD
    side = BUY_EVENT if side_text == _BUY_SIDE else SELL_EVENT
    update = _SET
    if column(s, _UPDATE) >= 0:
        start, stop = text_of(s, column(s, _UPDATE))
        update = hashed(start, stop)
        if update not in (_SNAP, _SET, _NONE):
            count_name(s, EVENTS, start, stop)
            return UNKNOWN
    local_ts = exch_ts + own.latency_ns
    update_id = integer_of(s, column(s, _LAST_ID))
    is_snapshot = update == _SNAP
    is_new = is_snapshot and not (
        own.is_in_snapshot and own.snapshot_ts == exch_ts and own.snapshot_id == update_id
    )
    if is_new:
        add_row(s, DEPTH_CLEAR_EVENT, exch_ts, local_ts, 0.0, 0.0)
    kind = DEPTH_SNAPSHOT_EVENT if is_snapshot else DEPTH_EVENT
    if not add_priced_row(s, column(s, _PRICE), column(s, _QTY), kind | side, exch_ts, local_ts):
        return FIELD
    if not is_chosen(s, column(s, _SYMBOL)):
        return OTHER_SYMBOL
    own.is_in_snapshot, own.snapshot_ts, own.snapshot_id = is_snapshot, exch_ts, update_id
    previous_id = integer_of(s, column(s, _PREVIOUS_ID))
    if not is_snapshot and update_id != s.update_id and previous_id >= 0:
        follow(s, previous_id, update_id, local_ts)
    s.used[kind] += 1
    return 0


@kernel("int64(int64)")
def read_lines(state: Address) -> int:
    """Read the lines of the block that the state at this address describes; see `next_line`."""
    s = state_at(state)
    own = own_at(s.own)
    start_block(s)
    while next_line(s, 2):
        exch_ts = _time_ns(s, column(s, _TIME))
        if exch_ts < 0:
            end_message(s, TIME_UNIT if exch_ts == -2 else FIELD)
        elif s.table < _BEST:
            end_message(s, _trade(s, own, exch_ts))
        elif s.table < _DEPTH:
            end_message(s, _best_prices(s, own, exch_ts))
        else:
            end_message(s, _depth(s, own, exch_ts))
    return s.code


def _without_header(fields: list[bytes]) -> Table | None:
    """The table of a file whose first line has these fields, if they are values and not a header."""
    is_time = [bool(_TIMES.fullmatch(field)) for field in fields]
    if len(fields) == 9 and is_time[1]:
        return DEPTH
    if not _WHOLE.fullmatch(fields[0]):
        return None
    if len(fields) == 6:
        return TRADES
    if len(fields) == 8:
        return SPOT_AGG_TRADES
    if len(fields) == 7:
        if is_time[5]:
            return BEST_PRICES if is_time[6] else AGG_TRADES
        return SPOT_TRADES
    return None


def open_input(scan: Scan, text: bytes, at_end: bool, path: Path) -> int:
    """Find the table by a file's first line, and the symbol by its name; see `Venue.open_input`."""
    newline = text.find(b"\n")
    own = scan.own
    own["is_in_snapshot"] = False
    named = _FILE_NAME.match(path.name)
    own["symbol"] = scan.name_number(SYMBOLS, named[1]) if named else -1
    if newline >= 0 or at_end:
        line = text[: newline if newline >= 0 else len(text)]
        table = _without_header([field.strip().strip(b'"') for field in line.split(b",")])
        if table is not None:
            size = open_table(scan, text, at_end, path, (table,))
            scan.record["table"] = TABLES.index(table)
            return size
    return open_table(scan, text, at_end, path, TABLES)


def set_up(scan: Scan, options: Any) -> None:
    """Prepare the reader's own state."""
    own = scan.give_own(own_dtype)
    own["latency_ns"] = options.latency_ns
    own["symbol"] = -1


def check(scan: Scan, options: Any, where: str) -> list[str]:
    """Refuse trades of two markets, and say what is to be noted of all inputs together; see `Venue.check`.

    Raises:
        DataError: Spot and futures have symbols of one name.
    """
    own = scan.own
    counts = {"spot": int(own["spot_rows"]), "futures": int(own["futures_rows"])}
    refuse_two_markets("lines", counts, where)
    notes = [said_latency(options.latency_ns, "their exchange time")]
    if own["trades"] and own["agg_trades"]:
        notes.append(
            "there are trades and aggregated trades: is each trade there twice?"
            if own["agg_trades_without_id"]
            else "there are trades and aggregated trades: where both are there, the aggregated ones are left out"
        )
    return notes


def look(text: bytes, at_end: bool, part: Part) -> Start:
    """Books, best prices, trades, and aggregated ones, which are left out where the trades are there.

    See `Venue.look`. At equal times rows keep that order, as HftBacktest's converter has it.
    """
    number, first_ts = table_start(open_input, text, at_end, part.path, _TIME, own_dtype)
    ranks = (_DEPTH, _BEST, _SPOT, _AGG)
    kind = _DEPTH if number >= _DEPTH else _BEST if number == _BEST else _AGG if number >= _AGG else _SPOT
    return Start(rank=ranks.index(kind), first_ts=first_ts)


VENUE: Final = Venue(
    "binancehistory",
    read_lines,
    KINDS,
    open_input=open_input,
    look=look,
    set_up=set_up,
    check=check,
    takes=("latency_ns",),
)
