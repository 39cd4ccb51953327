"""Bybit's own history: order book archives and public trade files, without local times, to rows.

Order books (`2024-12-01_XRPUSDT_ob500.data.zip`): the messages of the stream, see :mod:`sim.convert.bybit`, one a
line::

    {"topic":"orderbook.500.XRPUSDT","type":"snapshot","ts":1733011200691,"data":{"s":"XRPUSDT","b":[["1.9531","6203"]],
        "a":[["1.9532","8761"]],"u":20254869,"seq":130020238981},"cts":1733011200589}

Trades of derivatives (`XRPUSDT2024-12-01.csv.gz`), times in seconds; and of spot, in milliseconds. Columns are found
by their names; a file without a header has the columns of derivatives in this order::

    timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional
    1733011200.4193,XRPUSDT,Buy,12,1.9532,PlusTick,8a1c..,2343840000.0,12,23.4384
    id,timestamp,price,volume,side
    1,1733011200419,1.9532,12.5,buy

A row's local time is when the message was sent (`ts`; of a trade its time) plus a latency that is given. Both kinds
of files together make one archive, in any order; a trade's row has its time to the last digit, in nanoseconds.

numba compiles this; see :mod:`sim.convert.csv` for the tables.
"""

# pyright: basic

from pathlib import Path
from typing import Any, Final

from hftd.jit import inline, kernel
from hftd.json_numbers import integer
from hftd.native import load_u8
from hftd.types import BUY_EVENT, SELL_EVENT, TRADE_EVENT
from sim.convert import bybit
from sim.convert.bybit import read_message
from sim.convert.bybitbook import own_at
from sim.convert.csv import Table, column, next_line, open_table, said_latency
from sim.convert.message import add_row, hashed, number_of, text_key, text_of
from sim.convert.scan import end_message, is_chosen, next_message, start_block
from sim.convert.state import FIELD, OPENING, OTHER_SYMBOL, TIME_UNIT, Scan, state_at

KINDS: Final[dict[int, str]] = {}
"""There are no user events."""

_DERIVATIVES: Final = Table(
    name="Bybit's trades",
    columns=("timestamp", "side", "size", "price"),
    optional=("symbol",),
    order=(
        "timestamp",
        "symbol",
        "side",
        "size",
        "price",
        "tickdirection",
        "trdmatchid",
        "grossvalue",
        "homenotional",
        "foreignnotional",
    ),
)
_SPOT: Final = Table(
    name="Bybit's spot trades",
    columns=("timestamp", "side", "volume", "price"),
    optional=("symbol",),
)
TABLES: Final = (_DERIVATIVES, _SPOT)
_BOOKS: Final = len(TABLES)
"""The number, in the state's `table`, of a file that is no table but lines of messages."""
_TIME, _SIDE, _QTY, _PRICE, _SYMBOL = range(5)

_SELL: Final = text_key("sell")
_SELL_UPPER: Final = text_key("Sell")
_BUY: Final = text_key("buy")
_BUY_UPPER: Final = text_key("Buy")

_SECOND_NS: Final = 1_000_000_000
_MS_NS: Final = 1_000_000


@inline
def _fraction(start, stop, digits):
    """The digits from `start` to `stop`, filled up to so many with zeros; -1 if there are more, or others."""
    value = integer(start, stop) if stop > start else 0
    if value < 0 or stop - start > digits:
        return -1
    for _ in range(digits - (stop - start)):
        value *= 10
    return value


@inline
def _time_ns(start, stop):
    """A time in seconds (10 digits) or milliseconds (13) with decimals, as nanoseconds.

    Returns:
        -1 where it is none, -2 where it has another unit.
    """
    dot = start
    while dot < stop and load_u8(dot) != 46:
        dot += 1
    whole = integer(start, dot)
    if whole < 0:
        return -1
    if dot - start == 10:
        rest = _fraction(dot + 1, stop, 9) if dot < stop else 0
        return whole * _SECOND_NS + rest if rest >= 0 and whole < 9_000_000_000 else -1
    if dot - start == 13:
        rest = _fraction(dot + 1, stop, 6) if dot < stop else 0
        return whole * _MS_NS + rest if rest >= 0 and whole < 9_000_000_000_000 else -1
    return -2


@inline
def _trade(s, own):
    """Append the row of the trade whose fields are noted; 0, or why it gives none."""
    start, stop = text_of(s, column(s, _TIME))
    exch_ts = _time_ns(start, stop)
    if exch_ts == -2:
        return TIME_UNIT
    px, has_px = number_of(s, column(s, _PRICE))
    qty, has_qty = number_of(s, column(s, _QTY))
    start, stop = text_of(s, column(s, _SIDE))
    side = hashed(start, stop)
    is_sell = side in (_SELL, _SELL_UPPER)
    if exch_ts < 0 or not has_px or not has_qty or qty < 0.0 or not (is_sell or side in (_BUY, _BUY_UPPER)):
        return FIELD
    add_row(
        s, TRADE_EVENT | (SELL_EVENT if is_sell else BUY_EVENT), exch_ts, exch_ts + own.latency_ns, px, qty
    )
    if not is_chosen(s, column(s, _SYMBOL)):
        return OTHER_SYMBOL
    s.used[TRADE_EVENT] += 1
    return 0


@kernel("int64(int64)")
def read_lines(state):
    """Read the lines of the block that the state at this address describes, of books or of trades."""
    s = state_at(state)
    own = own_at(s.own)
    start_block(s)
    if s.table < 0:
        s.code = OPENING
    elif s.table == _BOOKS:
        while next_message(s):
            end_message(s, read_message(s, own, s.local_ts))
    else:
        while next_line(s, 1):
            end_message(s, _trade(s, own))
    return s.code


def open_input(scan: Scan, text: bytes, at_end: bool, path: Path) -> int:
    """Tell lines of books from tables of trades by a file's first byte; see `Venue.open_input`."""
    start = text.lstrip()
    if not start and not at_end:
        return -1
    if start.startswith(b"{") or not text:
        scan.record["table"] = _BOOKS
        return 0
    return open_table(scan, text, at_end, path, TABLES)


def set_up(scan: Scan, options: Any) -> None:
    """Prepare the reader's own state."""
    bybit.set_up(scan, options)
    own = scan.own
    own["latency_ns"] = options.latency_ns
    own["asks_first"] = True
    scan.record["has_no_time"] = True


def check(scan: Scan, options: Any, where: str) -> list[str]:
    """As of the streams; and say what stands for local times."""
    return [*bybit.check(scan, options, where), said_latency(options.latency_ns, "they were sent")]
