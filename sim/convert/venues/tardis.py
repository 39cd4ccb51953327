"""Tardis's downloadable CSV files: lines to rows.

::

    exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount              incremental_book_L2
    exchange,symbol,timestamp,local_timestamp,id,side,price,amount                       trades
    exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount  book_ticker, quotes

Times are microseconds. Each file begins with its header, which says what it is. Files of trades are read first, then
books, then best bids and offers: rows of equal times keep that order, so that a trade comes before the depth that it
changed.

Lines of a snapshot (`is_snapshot`) with one `local_timestamp` are one book, which replaces what was there (Tardis: the
book before is to be discarded). The first one is a clear of everything and its levels. One that follows another
without an update in between, as where a venue sends whole books only, becomes depth rows of what differs: levels that
are new or have another quantity, and rows of quantity 0 for those that are gone. Updates that stand before a file's
first snapshot were buffered until it came, and are no rows.

With `hftbacktest_rows`, as HftBacktest 2.4.4 does: all snapshot lines up to the first other line are one snapshot; its
rows are, for each side, a clear as far as the snapshot reaches, and its levels. A side without any level is cleared as
far as any level of the file stood. (HftBacktest leaves that side as it is, and drops a
snapshot with which a file ends.)

Best bids and offers become rows of kind 5; an empty price says that nobody is there: quantity 0.

numba compiles this; see :mod:`sim.convert.reader.csv`.
"""

# pyright: basic

from pathlib import Path
from typing import Any, Final

from hftd.compiled.jit import inline, kernel
from hftd.compiled.json_fields import number_of, text_key, text_of
from hftd.compiled.native import load_i64
from hftd.errors import DataError
from hftd.rows import Address
from hftd.types import (
    BUY_EVENT,
    DEPTH_BBO_EVENT,
    DEPTH_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
)
from hftd.venues.message import FIELD, add_row, later_of, set_trade_text_id
from sim.convert.files.arrange import Start
from sim.convert.files.text import Part
from sim.convert.reader.csv import Table, column, is_text, next_line, open_table, table_start, time_us_ns
from sim.convert.reader.messages import count_name, end_message, is_chosen, start_block
from sim.convert.reader.state import (
    BEFORE_SNAPSHOT,
    DONE,
    EXCHANGES,
    LIQUIDATION,
    OTHER_EXCHANGE,
    OTHER_SYMBOL,
    SIDE,
    TIME_UNIT,
    Scan,
    state_at,
)
from sim.convert.reader.venue import Venue
from sim.convert.venues.tardisbook import MODES, hold_back, note_far, own_at, own_dtype, put_snapshot

_COMMON: Final = ("exchange", "symbol", "timestamp", "local_timestamp")
TABLES: Final = (
    Table(name="incremental_book_L2", columns=(*_COMMON, "is_snapshot", "side", "price", "amount")),
    Table(name="book_ticker", columns=(*_COMMON, "ask_amount", "ask_price", "bid_price", "bid_amount")),
    Table(name="trades", columns=(*_COMMON, "side", "price", "amount"), optional=("id",)),
)
_BOOK, _TICKER, _TRADES, _LIQUIDATIONS = range(4)
_READ_FIRST: Final = (_TRADES, _BOOK, _TICKER)
KINDS: Final[dict[int, str]] = {}

_EXCHANGE, _SYMBOL, _TIME, _LOCAL_TIME = range(4)
_IS_SNAPSHOT, _BOOK_SIDE, _BOOK_PX, _BOOK_QTY = range(4, 8)
_ASK_QTY, _ASK_PX, _BID_PX, _BID_QTY = range(4, 8)
_TRADE_SIDE, _TRADE_PX, _TRADE_QTY, _TRADE_ID = range(4, 8)

_BID: Final = text_key("bid")
_ASK: Final = text_key("ask")
_BUY: Final = text_key("buy")
_SELL: Final = text_key("sell")
_UNKNOWN: Final = text_key("unknown")
_TRUE: Final = text_key("true")
_FALSE: Final = text_key("false")

_LOOK_MAX: Final = 4 << 20
"""So far into a file its first snapshot is looked for."""


def set_up(scan: Scan, options: Any) -> None:
    """Take the options: which snapshots, and of which exchange, if the symbol is `exchange:symbol`."""
    own = scan.give_own(own_dtype)
    own["mode"] = MODES[options.snapshots]
    own["is_as_hftbacktest"] = options.hftbacktest_rows
    scan.record["takes_again"] = options.hftbacktest_rows
    own["exchange"] = -1
    if options.symbol:
        exchange, _, symbol = options.symbol.rpartition(":")
        scan.choose(symbol)
        if exchange:
            own["exchange"] = scan.name_number(EXCHANGES, exchange)


def open_input(scan: Scan, text: bytes, at_end: bool, path: Path) -> int:
    """Find which table the file is, see `open_table`; and whether a book's file has a snapshot at its beginning."""
    size = open_table(scan, text, at_end, path, TABLES)
    if size < 0:
        return size
    record, own = scan.record, scan.own
    if _is_liquidations(int(record["table"]), path):
        record["table"] = _LIQUIDATIONS
    own["is_start"] = 1
    own["start_ts"] = own["awaits"] = 0
    if record["table"] == _BOOK and not own["is_as_hftbacktest"]:
        has_snapshot = _has_snapshot(text[size:], int(record["columns"][_IS_SNAPSHOT]))
        if not has_snapshot and not at_end and len(text) < _LOOK_MAX:
            record["table"] = -1
            record["line"] -= 1
            return -1
        own["awaits"] = has_snapshot
    return size


def _is_liquidations(table: int, path: Path) -> bool:
    # They have the columns of trades: only the name tells.
    return table == _TRADES and "liquidations" in path.name.lower()


def _has_snapshot(text: bytes, column: int) -> bool:
    """Whether one of the lines is of a snapshot."""
    at = 0
    while (at := text.find(b"true", at)) >= 0:
        start, stop = text.rfind(b"\n", 0, at) + 1, text.find(b"\n", at)
        fields = text[start : stop if stop >= 0 else len(text)].split(b",")
        if len(fields) > column and fields[column].strip().strip(b'"') == b"true":
            return True
        at += 4
    return False


def look(text: bytes, at_end: bool, part: Part) -> Start:
    """Trades, then books, then best bids and offers; see `Venue.look`."""
    table, first_ts = table_start(open_start, text, at_end, part.path, _LOCAL_TIME, own_dtype)
    is_liquidations = _is_liquidations(table, part.path)
    rank = len(_READ_FIRST) if is_liquidations else _READ_FIRST.index(table)
    return Start(rank=rank, first_ts=first_ts, is_book=table == _BOOK)


def open_start(scan: Scan, text: bytes, at_end: bool, path: Path) -> int:
    """Find which table the file is."""
    return open_table(scan, text, at_end, path, TABLES)


@inline
def _times(s: Any):
    """The line's times in ns, and 0 or why it has none."""
    exch_ts = time_us_ns(s, column(s, _TIME))
    local_ts = time_us_ns(s, column(s, _LOCAL_TIME))
    if exch_ts == -2 or local_ts == -2:
        return 0, 0, TIME_UNIT
    if exch_ts < 0 or local_ts < 0:
        return 0, 0, FIELD
    return exch_ts, local_ts, 0


@inline
def _is_ours(s: Any, own: Any):
    """Count the line's symbol and exchange; 0, or why it is not to be converted."""
    if not is_chosen(s, column(s, _SYMBOL)):
        return OTHER_SYMBOL
    start, stop = text_of(s, column(s, _EXCHANGE))
    number = count_name(s, EXCHANGES, start, stop)
    if own.exchange < 0:
        own.exchange = number
    return 0 if number >= 0 and number == own.exchange else OTHER_EXCHANGE


@inline
def _level(s: Any, own: Any):
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
    ends = not is_snapshot or (local_ts != own.local_ts and not own.is_as_hftbacktest)
    if ends and not put_snapshot(s, own):
        # The line comes once more when there is room.
        s.consumed = load_i64(s.fields + 8) - s.text
        s.line -= 1
        return 0
    s.row_mark = s.row_count
    reason = _is_ours(s, own)
    if reason:
        return reason
    s.book_ts = later_of(s.book_ts, local_ts)
    if is_snapshot:
        own.awaits = 0
        if own.start_ts == 0:
            own.start_ts = local_ts
        if own.start_ts != local_ts and not own.is_as_hftbacktest:
            own.is_start = 0
        return hold_back(s, own, is_bid, exch_ts, local_ts, px, qty)
    if own.awaits:
        return BEFORE_SNAPSHOT
    own.is_start = 0
    own.follows = 0
    note_far(own, is_bid, px)
    add_row(s, DEPTH_EVENT | (BUY_EVENT if is_bid else SELL_EVENT), exch_ts, local_ts, px, qty)
    s.used[DEPTH_EVENT] += 1
    return 0


@inline
def _trade(s: Any, own: Any):
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
        if s.table == _LIQUIDATIONS:
            return LIQUIDATION
        add_row(s, TRADE_EVENT | flag, exch_ts, local_ts, px, qty)
        set_trade_text_id(s, column(s, _TRADE_ID))
        s.used[TRADE_EVENT] += 1
    return reason


@inline
def _best(s: Any, px_column, qty_column):
    """A best price and its quantity, 0 where it is empty; whether that is what stands there."""
    start, stop = text_of(s, column(s, px_column))
    if start == stop:
        return 0.0, 0.0, True
    px, has_px = number_of(s, column(s, px_column))
    qty, has_qty = number_of(s, column(s, qty_column))
    return px, qty, has_px and has_qty and qty >= 0.0


@inline
def _ticker(s: Any, own: Any):
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
def read_lines(state: Address) -> int:
    """Read the lines of the block that the state at this address describes; see `next_line`."""
    s = state_at(state)
    own = own_at(s.own)
    start_block(s)
    while next_line(s, 2):
        if s.table == _BOOK:
            reason = _level(s, own)
        elif s.table == _TRADES or s.table == _LIQUIDATIONS:
            reason = _trade(s, own)
        else:
            reason = _ticker(s, own)
        if s.code == DONE:
            end_message(s, reason)
    if s.code == DONE and s.at_end:
        put_snapshot(s, own)
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
    if count := int(scan.record["ignored"][LIQUIDATION]):
        return [f"{count:,} liquidations were left out: they are among the trades"]
    return []


VENUE: Final = Venue(
    "tardis",
    read_lines,
    KINDS,
    open_input=open_input,
    set_up=set_up,
    check=check,
    keeps_case=True,
    look=look,
    takes=("snapshots", "tick_size", "lot_size", "hftbacktest_rows"),
)
