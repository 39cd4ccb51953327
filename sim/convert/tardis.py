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

numba compiles this; see :mod:`sim.convert.csv`.
"""

# pyright: basic

from pathlib import Path
from typing import Any, Final

import numpy as np

from hftd.errors import DataError
from hftd.jit import inline, kernel
from hftd.layout import offset_of
from hftd.native import copy_bytes, load_f64, load_i64, move_bytes, record_at, store_f64, store_i64
from hftd.types import (
    BUY_EVENT,
    DEPTH_BBO_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
)
from sim.convert.arrange import Start
from sim.convert.csv import Table, column, is_text, next_line, open_table, table_start, time_us_ns
from sim.convert.message import add_row, number_of, set_trade_text_id, text_key, text_of
from sim.convert.reading import Venue
from sim.convert.scan import count_name, end_message, is_chosen, later_of, start_block
from sim.convert.state import (
    BEFORE_SNAPSHOT,
    DONE,
    EXCHANGES,
    FIELD,
    LEVELS,
    LIQUIDATION,
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
from sim.convert.text import Part

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

_PROCESS, _IGNORE_START, _IGNORE = range(3)
_MODES: Final = {"process": _PROCESS, "ignore_sod": _IGNORE_START, "ignore": _IGNORE}

LEVELS_MAX: Final = 1 << 20
"""Levels of one snapshot on each side."""
_LEVEL: Final = 32
_LOOK_MAX: Final = 4 << 20
"""So far into a file its first snapshot is looked for."""

own_dtype = np.dtype(
    [
        ("mode", "i8"),
        ("is_as_hftbacktest", "i8"),
        ("exchange", "i8"),  # the number of its name; -1: the first that comes
        ("is_start", "i8"),  # no line of the file but those of its first snapshot was there
        ("start_ts", "i8"),  # the local time of the file's first snapshot; 0: none yet
        ("awaits", "i8"),  # a snapshot comes in the file, and did not come yet
        ("bids", "i8"),  # levels of the snapshot that is held back
        ("asks", "i8"),
        ("put", "i8"),  # rows of it that were appended
        ("exch_ts", "i8"),  # its times
        ("local_ts", "i8"),
        ("follows", "i8"),  # the book is that of the last snapshot, without an update since
        ("buffer", "i8"),  # which of the two lists of each side is the one that is held back
        ("bids_before", "i8"),  # levels of the last one
        ("asks_before", "i8"),
        ("has_bid", "i8"),  # as far as which any level stood
        ("low_bid", "f8"),
        ("has_ask", "i8"),
        ("high_ask", "f8"),
        (
            "levels",
            "i8",
            (4 * LEVELS_MAX * _LEVEL // 8,),
        ),  # bids and asks, twice: both times, price, quantity
        ("spare", "i8", (LEVELS_MAX * _LEVEL // 8,)),
    ],
    align=True,
)
"""What the reader keeps from line to line; memory that no snapshot needs is never touched."""
own_at = record_at(own_dtype)
_LEVELS_AT: Final = offset_of(own_dtype, "levels")
_SPARE_AT: Final = offset_of(own_dtype, "spare")


def set_up(scan: Scan, options: Any) -> None:
    """Take the options: which snapshots, and of which exchange, if the symbol is `exchange:symbol`."""
    own = scan.give_own(own_dtype)
    own["mode"] = _MODES[options.snapshots]
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
    return 0 if number >= 0 and number == own.exchange else OTHER_EXCHANGE


@inline
def _levels_of(s, own, is_bid):
    """Where the levels of a side are held back."""
    return s.own + _LEVELS_AT + (own.buffer * 2 + (0 if is_bid else 1)) * LEVELS_MAX * _LEVEL


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
    levels = _levels_of(s, own, is_bid)
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
        other = _levels_of(s, own, not is_bid)
        far = own.low_bid if is_bid else own.high_ask
        add_row(s, DEPTH_CLEAR_EVENT | flag, load_i64(other), load_i64(other + 8), far, 0.0)


@inline
def _is_better(at, other, is_bid):
    return load_f64(at + 16) > load_f64(other + 16) if is_bid else load_f64(at + 16) < load_f64(other + 16)


@inline
def _merge_sorted(levels, spare, start, middle, stop, is_bid):
    """Merge two stretches of levels that are sorted each into `spare`; of equal prices the earlier comes first."""
    a, b, out = start, middle, start
    while out < stop:
        takes_a = a < middle and (
            b >= stop or not _is_better(levels + b * _LEVEL, levels + a * _LEVEL, is_bid)
        )
        copy_bytes(spare + out * _LEVEL, levels + (a if takes_a else b) * _LEVEL, _LEVEL)
        a += takes_a
        b += not takes_a
        out += 1


@inline
def _sort_levels(levels, count, spare, is_bid):
    """Sort a snapshot's levels from the best on; returns how many are left, the last of each price."""
    width = 1
    is_sorted = True
    for number in range(1, count):
        if not _is_better(levels + (number - 1) * _LEVEL, levels + number * _LEVEL, is_bid):
            is_sorted = False
            break
    if is_sorted:
        return count
    while width < count:
        start = 0
        while start < count:
            middle = min(start + width, count)
            _merge_sorted(levels, spare, start, middle, min(middle + width, count), is_bid)
            start += 2 * width
        copy_bytes(levels, spare, count * _LEVEL)
        width *= 2
    kept = 0
    for number in range(count):
        at = levels + number * _LEVEL
        if number + 1 < count and load_f64(at + 16) == load_f64(at + _LEVEL + 16):
            continue
        move_bytes(levels + kept * _LEVEL, at, _LEVEL)
        kept += 1
    return kept


@inline
def _put_changes(s, own, is_bid, step):
    """Append a side's rows for what differs from the snapshot before: what is gone (step 0), or new (1)."""
    flag = DEPTH_EVENT | (BUY_EVENT if is_bid else SELL_EVENT)
    after = _levels_of(s, own, is_bid)
    own.buffer = 1 - own.buffer
    before = _levels_of(s, own, is_bid)
    own.buffer = 1 - own.buffer
    count = own.bids if is_bid else own.asks
    count_before = own.bids_before if is_bid else own.asks_before
    a, b = 0, 0
    while a < count or b < count_before:
        at, old = after + a * _LEVEL, before + b * _LEVEL
        is_new = a < count and (b >= count_before or _is_better(at, old, is_bid))
        is_gone = b < count_before and (a >= count or _is_better(old, at, is_bid))
        if step == 0 and is_gone:
            add_row(s, flag, own.exch_ts, own.local_ts, load_f64(old + 16), 0.0)
        if step == 1 and not is_gone and (is_new or load_f64(at + 24) != load_f64(old + 24)):
            add_row(s, flag, load_i64(at), own.local_ts, load_f64(at + 16), load_f64(at + 24))
        a += not is_gone
        b += not is_new


@inline
def _put_book(s, own):
    """Append the rows of the book that was held back: all of it, or what differs from the one before."""
    if s.row_capacity - s.row_count < own.bids + own.asks + own.bids_before + own.asks_before + 1:
        s.code = ROWS_FULL
        return False
    spare = s.own + _SPARE_AT
    own.bids = _sort_levels(_levels_of(s, own, True), own.bids, spare, True)
    own.asks = _sort_levels(_levels_of(s, own, False), own.asks, spare, False)
    if own.follows:
        # All that is gone first, so that the book is not crossed in between.
        for step in range(4):
            _put_changes(s, own, step % 2 == 0, step // 2)
    else:
        add_row(s, DEPTH_CLEAR_EVENT, own.exch_ts, own.local_ts, 0.0, 0.0)
        for number in range(own.bids + own.asks):
            is_bid = number < own.bids
            at = _levels_of(s, own, is_bid) + (number if is_bid else number - own.bids) * _LEVEL
            flag = BUY_EVENT if is_bid else SELL_EVENT
            add_row(
                s,
                DEPTH_SNAPSHOT_EVENT | flag,
                load_i64(at),
                own.local_ts,
                load_f64(at + 16),
                load_f64(at + 24),
            )
    own.bids_before, own.asks_before = own.bids, own.asks
    own.buffer = 1 - own.buffer
    own.follows = 1
    own.bids = 0
    own.asks = 0
    return True


@inline
def _put_snapshot(s, own):
    """Append the rows of the snapshot that was held back; False (ROWS_FULL) if there is no room for all."""
    if own.bids + own.asks == 0:
        return True
    if not own.is_as_hftbacktest:
        return _put_book(s, own)
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
    if qty == 0.0 and not own.is_as_hftbacktest:
        # Nothing is there.
        s.used[DEPTH_SNAPSHOT_EVENT] += 1
        return 0
    count = own.bids if is_bid else own.asks
    if count == LEVELS_MAX:
        return LEVELS
    if own.bids + own.asks == 0:
        own.exch_ts, own.local_ts = exch_ts, local_ts
    at = _levels_of(s, own, is_bid) + count * _LEVEL
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
    ends = not is_snapshot or (local_ts != own.local_ts and not own.is_as_hftbacktest)
    if ends and not _put_snapshot(s, own):
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
        return _hold_back(s, own, is_bid, exch_ts, local_ts, px, qty)
    if own.awaits:
        return BEFORE_SNAPSHOT
    own.is_start = 0
    own.follows = 0
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
        if s.table == _LIQUIDATIONS:
            return LIQUIDATION
        add_row(s, TRADE_EVENT | flag, exch_ts, local_ts, px, qty)
        set_trade_text_id(s, column(s, _TRADE_ID))
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
        elif s.table == _TRADES or s.table == _LIQUIDATIONS:
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
