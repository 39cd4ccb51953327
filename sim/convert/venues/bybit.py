"""Captures of Bybit's public streams, version 5: messages to rows.

What a message says is read by :mod:`hftd.venues.bybit.market`, as a connector reads it. `u` of a book grows by one
from message to message of a topic, `seq` never falls; a snapshot may come at any time and begins anew. The books of
one level come as snapshots only and are compared with the one before, see :mod:`sim.convert.reader.wholebook`. Of
several depths one is taken.

Rows of books carry `cts`, the matching engine's time, which is also what the trades' `T` is, not `ts`, when the
message was made (HftBacktest 2.4.4 takes that: there a book lags the trades that changed it).

User events: 100 index price, 101 mark price, 102 funding rate, of `tickers` as far as a message has them; 103 best
bid, 104 best ask, of `orderbook.1`.
"""

# pyright: basic

from typing import Any, Final

from hftd.compiled.jit import inline, kernel
from hftd.compiled.json_fields import field, flag_of, text_key, text_of
from hftd.errors import DataError
from hftd.rows import MARK_PRICE, Address, Ns
from hftd.types import TRADE_EVENT
from hftd.venues.bybit.market import TICKERS, UNTYPED, add_tickers, add_trades, kind_of
from hftd.venues.message import FIELD, ms_of
from hftd.venues.reader import BOOK, DEPTH, TRADES
from sim.convert.reader.messages import count_name, end_message, is_chosen_text, next_message, start_block
from sim.convert.reader.state import (
    BLOCK_TRADE,
    BOOKS,
    ERROR_OBJECT,
    ERRORS,
    EVENTS,
    NOT_ASKED,
    OTHER_SYMBOL,
    UNKNOWN,
    Scan,
    state_at,
)
from sim.convert.reader.venue import Venue
from sim.convert.reader.wholebook import ROWS_EXTRA
from sim.convert.venues.bybitbook import book_message, local_time, own_at, own_dtype

_SENT: Final = text_key("ts")
_SUCCESS: Final = text_key("success")
_RET_MSG: Final = text_key("ret_msg")
_OP: Final = text_key("op")
_CODE: Final = text_key("code")


@inline
def _trades(s: Any, own: Any, symbol_start: Address, symbol_stop: Address, local_ts: Ns):
    arrived_ts = -1 if s.has_no_time else local_ts
    reason, blocks, bad, _ = add_trades(s, arrived_ts, own.latency_ns, own.is_as_hftbacktest != 0)
    if reason or bad:
        return FIELD
    if not is_chosen_text(s, symbol_start, symbol_stop):
        return OTHER_SYMBOL
    s.ignored[BLOCK_TRADE] += blocks
    s.used[TRADE_EVENT] += 1
    return 0


@inline
def _tickers(s: Any, own: Any, symbol_start: Address, symbol_stop: Address, local_ts: Ns):
    exch_ts = ms_of(s, field(s, _SENT, -1))
    reason = add_tickers(s, exch_ts, local_time(s, own, exch_ts, local_ts))
    if reason:
        return reason
    if not is_chosen_text(s, symbol_start, symbol_stop):
        return OTHER_SYMBOL
    s.used[MARK_PRICE] += 1
    return 0


@inline
def _no_topic(s: Any):
    """An answer to a request, an error, or something else."""
    code, said, op = field(s, _CODE, -1), field(s, _RET_MSG, -1), field(s, _OP, -1)
    success = field(s, _SUCCESS, -1)
    if success >= 0 and flag_of(s, success) != 1:
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
def read_message(s: Any, own: Any, local_ts: Ns) -> int:
    """Append the rows of the message whose fields are noted; 0, or why there are none."""
    kind, start, dot, stop = kind_of(s)
    if kind in (BOOK, DEPTH):
        return book_message(s, own, kind == BOOK, dot + 1, stop, local_ts)
    if kind == TRADES:
        return _trades(s, own, dot + 1, stop, local_ts)
    if kind == TICKERS and s.wants_mark:
        return _tickers(s, own, dot + 1, stop, local_ts)
    if kind == UNTYPED:
        return FIELD
    if start == 0:
        return _no_topic(s)
    count_name(s, EVENTS, start, dot)
    return NOT_ASKED if kind == TICKERS else UNKNOWN


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
    set_up=set_up,
    check=check,
    takes=("depth", "hftbacktest_rows"),
)
