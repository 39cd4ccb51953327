"""Tardis's downloadable CSV files: lines to rows.

::

    exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount              incremental_book_L2
    exchange,symbol,timestamp,local_timestamp,id,side,price,amount                       trades
    exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount  book_ticker, quotes

Times are microseconds. Each file begins with its header, which says what it is. Files of trades are read first, then
books, then best bids and offers: rows of equal times keep that order, so that a trade comes before the depth that it
changed.

The lines of a snapshot (`is_snapshot`) are held back until it ends: with the first line that is none, or with the
file. Its rows are then, for each side, a clear as far as the snapshot reaches, and its levels. A side without any
level is cleared as far as any level of the file stood. (HftBacktest 2.4.4 leaves that side as it is, and drops a
snapshot with which a file ends.)

Best bids and offers become rows of kind 5; an empty price says that nobody is there: quantity 0.

numba compiles this; see :mod:`sim.convert.csv`.
"""

# pyright: basic

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from hftd.errors import DataError
from hftd.jit import inline, kernel
from hftd.layout import offset_of
from hftd.native import load_f64, load_i64, record_at, store_f64, store_i64
from hftd.types import (
    BUY_EVENT,
    DEPTH_BBO_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
)
from sim.convert.csv import Table, column, is_text, next_line, open_table, time_us_ns
from sim.convert.message import add_row, number_of, text_key, text_of
from sim.convert.reading import Venue
from sim.convert.scan import count_name, end_message, is_chosen, start_block
from sim.convert.state import (
    DONE,
    EXCHANGES,
    FIELD,
    LEVELS,
    OTHER_EXCHANGE,
    OTHER_SYMBOL,
    PX_MAX,
    QTY_MAX,
    ROWS_FULL,
    SIDE,
    SNAPSHOT_LEFT_OUT,
    TIME_UNIT,
    Scan,
    state_at,
)
from sim.convert.text import TextFile

_COMMON: Final = ("exchange", "symbol", "timestamp", "local_timestamp")
TABLES: Final = (
    Table(name="incremental_book_L2", columns=(*_COMMON, "is_snapshot", "side", "price", "amount")),
    Table(name="book_ticker", columns=(*_COMMON, "ask_amount", "ask_price", "bid_price", "bid_amount")),
    Table(name="trades", columns=(*_COMMON, "side", "price", "amount")),
)
_BOOK, _TICKER, _TRADES = range(3)
_READ_FIRST: Final = (_TRADES, _BOOK, _TICKER)
KINDS: Final[dict[int, str]] = {}

_EXCHANGE, _SYMBOL, _TIME, _LOCAL_TIME = range(4)
_IS_SNAPSHOT, _BOOK_SIDE, _BOOK_PX, _BOOK_QTY = range(4, 8)
_ASK_QTY, _ASK_PX, _BID_PX, _BID_QTY = range(4, 8)
_TRADE_SIDE, _TRADE_PX, _TRADE_QTY = range(4, 7)

_BID: Final = text_key("bid")
_ASK: Final = text_key("ask")
_BUY: Final = text_key("buy")
_SELL: Final = text_key("sell")
_UNKNOWN: Final = text_key("unknown")
_TRUE: Final = text_key("true")
_FALSE: Final = text_key("false")

_PROCESS, _IGNORE_START, _IGNORE = range(3)
_MODES: Final = {"process": _PROCESS, "ignore_sod": _IGNORE_START, "ignore": _IGNORE}

LEVELS_MAX: Final = 1 << 20
"""Levels of a snapshot on each side."""
_LEVEL: Final = 32

own_dtype = np.dtype(
    [
        ("mode", "i8"),
        ("exchange", "i8"),  # the number of its name; -1: the first that comes
        ("is_start", "i8"),  # no line of the file but those of its first snapshot was there
        ("bids", "i8"),  # levels of the snapshot that is held back
        ("asks", "i8"),
        ("put", "i8"),  # rows of it that were appended
        ("has_bid", "i8"),  # as far as which any level stood
        ("low_bid", "f8"),
        ("has_ask", "i8"),
        ("high_ask", "f8"),
        ("levels", "i8", (2 * LEVELS_MAX * _LEVEL // 8,)),  # bids, then asks: both times, price, quantity
    ],
    align=True,
)
"""What the reader keeps from line to line; memory that no snapshot needs is never touched."""
own_at = record_at(own_dtype)
_LEVELS_AT: Final = offset_of(own_dtype, "levels")


def set_up(scan: Scan, options: Any) -> None:
    """Take the options: which snapshots, and of which exchange, if the symbol is `exchange:symbol`."""
    own = scan.give_own(own_dtype)
    own["mode"] = _MODES[options.snapshots]
    own["exchange"] = -1
    if options.symbol:
        exchange, _, symbol = options.symbol.rpartition(":")
        scan.choose(symbol)
        if exchange:
            own["exchange"] = scan.add_name(EXCHANGES, exchange)


def open_input(scan: Scan, text: bytes, at_end: bool, path: Path) -> int:
    """Find which table the file is; see `open_table`."""
    size = open_table(scan, text, at_end, path, TABLES)
    if size >= 0:
        scan.own["is_start"] = 1
    return size


def arrange(files: Sequence[TextFile]) -> list[TextFile]:
    """Trades, then books, then best bids and offers; files that are alike stay in their order."""
    return sorted(files, key=lambda file: _READ_FIRST.index(_table_of(file.path)))


def _table_of(path: Path) -> int:
    scan = Scan()
    text = b""
    for block in TextFile(path).blocks():
        text += block
        if open_table(scan, text, False, path, TABLES) >= 0:
            break
    else:
        if text:
            open_table(scan, text, True, path, TABLES)
    return max(int(scan.record["table"]), 0)


@inline
def _times(s):
    """The line's times in ns, and 0 or why it has none."""
    exch_ts = time_us_ns(s, column(s, _TIME))
    local_ts = time_us_ns(s, column(s, _LOCAL_TIME))
    if exch_ts == -2 or local_ts == -2:
        return 0, 0, TIME_UNIT
    if exch_ts < 0 or local_ts < 0:
        return 0, 0, FIELD
    return exch_ts, local_ts, 0


@inline
def _is_ours(s, own):
    """Count the line's symbol and exchange; 0, or why it is not to be converted."""
    if not is_chosen(s, column(s, _SYMBOL)):
        return OTHER_SYMBOL
    start, stop = text_of(s, column(s, _EXCHANGE))
    number = count_name(s, EXCHANGES, start, stop)
    if own.exchange < 0:
        own.exchange = number
    return 0 if number == own.exchange else OTHER_EXCHANGE


@inline
def _levels_of(s, is_bid):
    """Where the levels of a side are held back."""
    return s.own + _LEVELS_AT + (0 if is_bid else LEVELS_MAX * _LEVEL)


@inline
def _reach(levels, count, is_bid):
    """The price as far as which a side's levels reach."""
    far = load_f64(levels + 16)
    for level in range(levels + _LEVEL, levels + count * _LEVEL, _LEVEL):
        px = load_f64(level + 16)
        far = min(far, px) if is_bid else max(far, px)
    return far


@inline
def _put_level(s, own, number, is_bid):
    """Append a row of a snapshot's side: its clear (number 0), or one of its levels."""
    levels = _levels_of(s, is_bid)
    count = own.bids if is_bid else own.asks
    flag = BUY_EVENT if is_bid else SELL_EVENT
    if number:
        at = levels + (number - 1) * _LEVEL
        ev = DEPTH_SNAPSHOT_EVENT | flag
        add_row(s, ev, load_i64(at), load_i64(at + 8), load_f64(at + 16), load_f64(at + 24))
    elif count:
        far = _reach(levels, count, is_bid)
        add_row(s, DEPTH_CLEAR_EVENT | flag, load_i64(levels), load_i64(levels + 8), far, 0.0)
    elif own.has_bid if is_bid else own.has_ask:
        other = _levels_of(s, not is_bid)
        far = own.low_bid if is_bid else own.high_ask
        add_row(s, DEPTH_CLEAR_EVENT | flag, load_i64(other), load_i64(other + 8), far, 0.0)


@inline
def _put_snapshot(s, own):
    """Append the rows of the snapshot that was held back; False (ROWS_FULL) if there is no room for all."""
    if own.bids + own.asks == 0:
        return True
    while own.put < own.bids + own.asks + 2:
        if s.row_count >= s.row_capacity:
            s.code = ROWS_FULL
            return False
        is_bid = own.put <= own.bids
        _put_level(s, own, own.put if is_bid else own.put - own.bids - 1, is_bid)
        own.put += 1
    own.bids = 0
    own.asks = 0
    own.put = 0
    return True


@inline
def _note_far(own, is_bid, px):
    """Remember as far as which any level of a side stood."""
    if is_bid:
        own.low_bid = min(own.low_bid, px) if own.has_bid else px
        own.has_bid = 1
    else:
        own.high_ask = max(own.high_ask, px) if own.has_ask else px
        own.has_ask = 1


@inline
def _hold_back(s, own, is_bid, exch_ts, local_ts, px, qty):
    """Keep a level of a snapshot until this ends; 0, or why not."""
    if own.mode == _IGNORE or (own.mode == _IGNORE_START and own.is_start):
        return SNAPSHOT_LEFT_OUT
    if not (px < PX_MAX and px > -PX_MAX and qty < QTY_MAX):
        return FIELD
    count = own.bids if is_bid else own.asks
    if count == LEVELS_MAX:
        return LEVELS
    at = _levels_of(s, is_bid) + count * _LEVEL
    store_i64(at, exch_ts)
    store_i64(at + 8, local_ts)
    store_f64(at + 16, px)
    store_f64(at + 24, qty)
    if is_bid:
        own.bids += 1
    else:
        own.asks += 1
    _note_far(own, is_bid, px)
    s.used[DEPTH_SNAPSHOT_EVENT] += 1
    return 0


@inline
def _level(s, own):
    exch_ts, local_ts, reason = _times(s)
    px, has_px = number_of(s, column(s, _BOOK_PX))
    qty, has_qty = number_of(s, column(s, _BOOK_QTY))
    snapshot = column(s, _IS_SNAPSHOT)
    is_snapshot = is_text(s, snapshot, _TRUE)
    if reason:
        return reason
    if not has_px or not has_qty or qty < 0.0 or not (is_snapshot or is_text(s, snapshot, _FALSE)):
        return FIELD
    side = column(s, _BOOK_SIDE)
    is_bid = is_text(s, side, _BID) or is_text(s, side, _BUY)
    if not is_bid and not is_text(s, side, _ASK) and not is_text(s, side, _SELL):
        return SIDE
    if not is_snapshot and not _put_snapshot(s, own):
        # The line comes once more when there is room.
        s.consumed = load_i64(s.fields + 8) - s.text
        s.line -= 1
        return 0
    s.row_mark = s.row_count
    reason = _is_ours(s, own)
    if reason:
        return reason
    if is_snapshot:
        return _hold_back(s, own, is_bid, exch_ts, local_ts, px, qty)
    own.is_start = 0
    _note_far(own, is_bid, px)
    add_row(s, DEPTH_EVENT | (BUY_EVENT if is_bid else SELL_EVENT), exch_ts, local_ts, px, qty)
    s.used[DEPTH_EVENT] += 1
    return 0


@inline
def _trade(s, own):
    exch_ts, local_ts, reason = _times(s)
    px, has_px = number_of(s, column(s, _TRADE_PX))
    qty, has_qty = number_of(s, column(s, _TRADE_QTY))
    if reason:
        return reason
    if not has_px or not has_qty or qty < 0.0:
        return FIELD
    side = column(s, _TRADE_SIDE)
    flag = 0
    if is_text(s, side, _BUY):
        flag = BUY_EVENT
    elif is_text(s, side, _SELL):
        flag = SELL_EVENT
    else:
        start, stop = text_of(s, side)
        if stop > start and not is_text(s, side, _UNKNOWN):
            return SIDE
    reason = _is_ours(s, own)
    if reason == 0:
        add_row(s, TRADE_EVENT | flag, exch_ts, local_ts, px, qty)
        s.used[TRADE_EVENT] += 1
    return reason


@inline
def _best(s, px_column, qty_column):
    """A best price and its quantity, 0 where it is empty; whether that is what stands there."""
    start, stop = text_of(s, column(s, px_column))
    if start == stop:
        return 0.0, 0.0, True
    px, has_px = number_of(s, column(s, px_column))
    qty, has_qty = number_of(s, column(s, qty_column))
    return px, qty, has_px and has_qty and qty >= 0.0


@inline
def _ticker(s, own):
    exch_ts, local_ts, reason = _times(s)
    ask, ask_qty, has_ask = _best(s, _ASK_PX, _ASK_QTY)
    bid, bid_qty, has_bid = _best(s, _BID_PX, _BID_QTY)
    if reason:
        return reason
    if not has_ask or not has_bid:
        return FIELD
    reason = _is_ours(s, own)
    if reason == 0:
        add_row(s, DEPTH_BBO_EVENT | SELL_EVENT, exch_ts, local_ts, ask, ask_qty)
        add_row(s, DEPTH_BBO_EVENT | BUY_EVENT, exch_ts, local_ts, bid, bid_qty)
        s.used[DEPTH_BBO_EVENT] += 1
    return reason


@kernel("int64(int64)")
def read_lines(state):
    """Read the lines of the block that the state at this address describes; see `next_line`."""
    s = state_at(state)
    own = own_at(s.own)
    start_block(s)
    while next_line(s, 2):
        if s.table == _BOOK:
            reason = _level(s, own)
        elif s.table == _TRADES:
            reason = _trade(s, own)
        else:
            reason = _ticker(s, own)
        if s.code == DONE:
            end_message(s, reason)
    if s.code == DONE and s.at_end:
        _put_snapshot(s, own)
    return s.code


def check(scan: Scan, options: Any, where: str) -> list[str]:
    """Refuse files of several exchanges of which none was chosen.

    Raises:
        DataError: Says the exchanges, and how many lines there are of each.
    """
    exchanges = scan.counts(EXCHANGES)
    listed = ", ".join(f"{name} ({count:,} lines)" for name, count in exchanges.items())
    asked, _, symbol = (options.symbol or "").rpartition(":")
    if len(exchanges) > 1 and not asked:
        raise DataError(
            f"the files are of several exchanges: {listed}",
            where=where,
            hint=f"an archive holds one: choose it with a symbol such as {next(iter(exchanges))}:{scan.symbol}",
        )
    if asked and asked not in exchanges:
        raise DataError(f"{symbol} is not of the exchange {asked}", where=where, hint=f"it is of {listed}")
    return []


VENUE: Final = Venue(
    "tardis",
    read_lines,
    KINDS,
    open_input=open_input,
    set_up=set_up,
    check=check,
    keeps_case=True,
    arrange=arrange,
    takes=("snapshots", "tick_size", "lot_size"),
)
