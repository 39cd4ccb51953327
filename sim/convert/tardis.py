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

from hftd.errors import DataError
from hftd.jit import inline, kernel
from hftd.native import load_f64, load_i64, store_f64, store_i64
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

# Registers.
_MODE, _EXCHANGE_NUMBER, _IS_START, _BIDS, _ASKS, _PUT, _BID_LOW, _ASK_HIGH = range(8)
_PROCESS, _IGNORE_START, _IGNORE = range(3)
_MODES: Final = {"process": _PROCESS, "ignore_sod": _IGNORE_START, "ignore": _IGNORE}

LEVELS_MAX: Final = 1 << 20
"""Levels of a snapshot on each side."""
_LEVEL: Final = 32
WORKSPACE_BYTES: Final = 2 * LEVELS_MAX * _LEVEL + 64
_FAR: Final = 2 * LEVELS_MAX * _LEVEL


def configure(scan: Scan, options: Any) -> None:
    """Take the options: which snapshots, and of which exchange, if the symbol is `exchange:symbol`."""
    scan.record["registers"][_MODE] = _MODES[options.snapshots]
    scan.record["registers"][_EXCHANGE_NUMBER] = -1
    if options.symbol and ":" in options.symbol:
        exchange, _, symbol = options.symbol.partition(":")
        scan.choose(symbol)
        scan.record["registers"][_EXCHANGE_NUMBER] = scan.add_name(EXCHANGES, exchange)
    elif options.symbol:
        scan.choose(options.symbol)


def open_input(scan: Scan, text: bytes, at_end: bool, path: Path) -> int:
    """Find which table the file is; see `open_table`."""
    size = open_table(scan, text, at_end, path, TABLES)
    if size >= 0:
        scan.record["registers"][_IS_START] = 1
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
def _is_ours(s):
    """Count the line's symbol and exchange; 0, or why it is not to be converted."""
    if not is_chosen(s, column(s, _SYMBOL)):
        return OTHER_SYMBOL
    start, stop = text_of(s, column(s, _EXCHANGE))
    number = count_name(s, EXCHANGES, start, stop)
    if s.registers[_EXCHANGE_NUMBER] < 0:
        s.registers[_EXCHANGE_NUMBER] = number
    return 0 if number == s.registers[_EXCHANGE_NUMBER] else OTHER_EXCHANGE


@inline
def _put_level(s, place, exch_ts, local_ts, px, qty):
    at = s.workspace + place * _LEVEL
    store_i64(at, exch_ts)
    store_i64(at + 8, local_ts)
    store_f64(at + 16, px)
    store_f64(at + 24, qty)


@inline
def _reach(s, first, count, is_bid):
    """The price as far as which a side's levels reach."""
    far = load_f64(s.workspace + first * _LEVEL + 16)
    for k in range(first + 1, first + count):
        px = load_f64(s.workspace + k * _LEVEL + 16)
        far = min(far, px) if is_bid else max(far, px)
    return far


@inline
def _put_side(s, first, count, done, flag):
    """Append a clear and the levels of a side, going on behind the first `done` rows; rows done, -1 if no room.

    The side's rows are one more than its levels, the clear; none where neither the snapshot nor the file before
    it has a level of the side.
    """
    is_bid = flag == BUY_EVENT
    far_at = s.workspace + _FAR + (0 if is_bid else 16)
    other = 0 if first else LEVELS_MAX
    while done <= count:
        if s.row_count >= s.row_capacity:
            return done
        if done:
            at = s.workspace + (first + done - 1) * _LEVEL
            ev = DEPTH_SNAPSHOT_EVENT | flag
            add_row(s, ev, load_i64(at), load_i64(at + 8), load_f64(at + 16), load_f64(at + 24))
        elif count:
            at = s.workspace + first * _LEVEL
            far = _reach(s, first, count, is_bid)
            add_row(s, DEPTH_CLEAR_EVENT | flag, load_i64(at), load_i64(at + 8), far, 0.0)
        elif load_i64(far_at):
            at = s.workspace + other * _LEVEL
            far = load_f64(far_at + 8)
            add_row(s, DEPTH_CLEAR_EVENT | flag, load_i64(at), load_i64(at + 8), far, 0.0)
        done += 1
    return done


@inline
def _put_snapshot(s):
    """Append the rows of the snapshot that was held back; False (ROWS_FULL) if there is no room for all."""
    bids, asks = s.registers[_BIDS], s.registers[_ASKS]
    if bids + asks == 0:
        return True
    done = s.registers[_PUT]
    if done <= bids:
        done = _put_side(s, 0, bids, done, BUY_EVENT)
    if done > bids:
        done = bids + 1 + _put_side(s, LEVELS_MAX, asks, done - bids - 1, SELL_EVENT)
    s.registers[_PUT] = done
    if done < bids + asks + 2:
        s.code = ROWS_FULL
        return False
    s.registers[_BIDS] = 0
    s.registers[_ASKS] = 0
    s.registers[_PUT] = 0
    return True


@inline
def _note_far(s, is_bid, px):
    """Remember as far as which any level of a side stood."""
    at = s.workspace + _FAR + (0 if is_bid else 16)
    far = load_f64(at + 8)
    if load_i64(at) == 0 or (px < far if is_bid else px > far):
        store_i64(at, 1)
        store_f64(at + 8, px)


@inline
def _snapshot_level(s, is_bid, exch_ts, local_ts, px, qty):
    mode = s.registers[_MODE]
    if mode == _IGNORE or (mode == _IGNORE_START and s.registers[_IS_START]):
        return SNAPSHOT_LEFT_OUT
    side = _BIDS if is_bid else _ASKS
    count = s.registers[side]
    if count == LEVELS_MAX:
        return LEVELS
    _put_level(s, count if is_bid else LEVELS_MAX + count, exch_ts, local_ts, px, qty)
    s.registers[side] = count + 1
    _note_far(s, is_bid, px)
    s.used[DEPTH_SNAPSHOT_EVENT] += 1
    return 0


@inline
def _level(s):
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
    if not is_snapshot and not _put_snapshot(s):
        # The line comes once more when there is room.
        s.consumed = load_i64(s.fields + 8) - s.text
        s.line -= 1
        return 0
    s.row_mark = s.row_count
    reason = _is_ours(s)
    if reason:
        return reason
    if is_snapshot:
        return _snapshot_level(s, is_bid, exch_ts, local_ts, px, qty)
    s.registers[_IS_START] = 0
    _note_far(s, is_bid, px)
    add_row(s, DEPTH_EVENT | (BUY_EVENT if is_bid else SELL_EVENT), exch_ts, local_ts, px, qty)
    s.used[DEPTH_EVENT] += 1
    return 0


@inline
def _trade(s):
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
    reason = _is_ours(s)
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
def _ticker(s):
    exch_ts, local_ts, reason = _times(s)
    ask, ask_qty, has_ask = _best(s, _ASK_PX, _ASK_QTY)
    bid, bid_qty, has_bid = _best(s, _BID_PX, _BID_QTY)
    if reason:
        return reason
    if not has_ask or not has_bid:
        return FIELD
    reason = _is_ours(s)
    if reason == 0:
        add_row(s, DEPTH_BBO_EVENT | SELL_EVENT, exch_ts, local_ts, ask, ask_qty)
        add_row(s, DEPTH_BBO_EVENT | BUY_EVENT, exch_ts, local_ts, bid, bid_qty)
        s.used[DEPTH_BBO_EVENT] += 1
    return reason


@kernel("int64(int64)")
def read_lines(state):
    """Read the lines of the block that the state at this address describes; see `next_line`."""
    s = state_at(state)
    start_block(s)
    while next_line(s, 2):
        if s.table == _BOOK:
            reason = _level(s)
        elif s.table == _TRADES:
            reason = _trade(s)
        else:
            reason = _ticker(s)
        if s.code == DONE:
            end_message(s, reason)
    if s.code == DONE and s.at_end:
        _put_snapshot(s)
    return s.code


def check(scan: Scan, where: str, options: Any) -> None:
    """Refuse files of several exchanges of which none was chosen.

    Raises:
        DataError: There are several.
    """
    exchanges = scan.counts(EXCHANGES)
    if len(exchanges) > 1 and ":" not in (options.symbol or ""):
        listed = ", ".join(f"{name} ({count:,} lines)" for name, count in exchanges.items())
        raise DataError(
            f"the files are of several exchanges: {listed}",
            where=where,
            hint="an archive holds one: choose it with a symbol such as binance-futures:BTCUSDT",
        )


VENUE: Final = Venue(
    "tardis",
    read_lines,
    KINDS,
    open_input=open_input,
    configure=configure,
    arrange=arrange,
    check=check,
    workspace_bytes=WORKSPACE_BYTES,
)
