"""Bybit's own history: order book archives and public trade files, without local times, to rows.

Order books (`2024-12-01_XRPUSDT_ob500.data.zip`): the messages of the stream, see
:mod:`sim.convert.venues.bybit`, one a line::

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

numba compiles this; see :mod:`sim.convert.reader.csv` for the tables.
"""

# pyright: basic

import re
from pathlib import Path
from typing import Any, Final

from hftd.compiled.jit import inline, kernel
from hftd.compiled.json_fields import hash_of, text_key, text_of
from hftd.compiled.json_numbers import integer
from hftd.compiled.native import load_u8
from hftd.rows import Address
from hftd.types import BUY_EVENT, SELL_EVENT, TRADE_EVENT
from hftd.venues.message import FIELD, add_priced_row, set_trade_text_id
from sim.convert.files.arrange import LOOK_SIZE, NEVER, Start
from sim.convert.files.text import Part
from sim.convert.reader.csv import Table, column, next_line, open_table, said_latency, table_start
from sim.convert.reader.messages import end_message, is_chosen, is_chosen_name, next_message, start_block
from sim.convert.reader.state import OPENING, OTHER_SYMBOL, SYMBOLS, TIME_UNIT, Scan, state_at
from sim.convert.reader.venue import Venue, refuse_two_markets
from sim.convert.venues import bybit
from sim.convert.venues.bybit import read_message
from sim.convert.venues.bybitbook import own_at, own_dtype

KINDS: Final[dict[int, str]] = {}
"""There are no user events."""

_DERIVATIVES: Final = Table(
    name="Bybit's trades",
    columns=("timestamp", "side", "size", "price"),
    optional=("symbol", "trdmatchid"),
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
    optional=("symbol", "id"),
)
TABLES: Final = (_DERIVATIVES, _SPOT)
_SPOT_TABLE: Final = TABLES.index(_SPOT)
_FILE_NAME: Final = re.compile(r"(\w+?)_?\d{4}-\d{2}(?:-\d{2})?(?:_index_price|_premium_index)?\.", re.ASCII)
_BOOKS: Final = len(TABLES)
"""The number, in the state's `table`, of a file that is no table but lines of messages."""
_TIME, _SIDE, _QTY, _PRICE, _SYMBOL, _TRADE_ID = range(6)

_SELL: Final = text_key("sell")
_SELL_UPPER: Final = text_key("Sell")
_BUY: Final = text_key("buy")
_BUY_UPPER: Final = text_key("Buy")

_TIMES: Final = re.compile(rb'"c?ts"\s*:\s*(\d{13})\b')
_NEAR_NS: Final = 1_800_000_000_000
"""A time at a file's beginning that is farther from the middle one there is wrong."""
_SECOND_NS: Final = 1_000_000_000
_MS_NS: Final = 1_000_000


@inline
def _fraction(start: Address, stop: Address, digits: int):
    """The digits from `start` to `stop`, filled up to so many with zeros; -1 if there are more, or others."""
    value = integer(start, stop) if stop > start else 0
    if value < 0 or stop - start > digits:
        return -1
    for _ in range(digits - (stop - start)):
        value *= 10
    return value


@inline
def _time_ns(start: Address, stop: Address):
    """A time in seconds (10 digits) or milliseconds (13) with decimals, as nanoseconds.

    Returns:
        -1 where it is not one, -2 where it has another unit.
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
def _trade(s: Any, own: Any):
    """Append the row of the trade whose fields are noted; 0, or why it gives none."""
    start, stop = text_of(s, column(s, _TIME))
    exch_ts = _time_ns(start, stop)
    if exch_ts == -2:
        return TIME_UNIT
    side = hash_of(s, column(s, _SIDE))
    is_sell = side in (_SELL, _SELL_UPPER)
    if exch_ts < 0 or not (is_sell or side in (_BUY, _BUY_UPPER)):
        return FIELD
    ev = TRADE_EVENT | (SELL_EVENT if is_sell else BUY_EVENT)
    if not add_priced_row(s, column(s, _PRICE), column(s, _QTY), ev, exch_ts, exch_ts + own.latency_ns):
        return FIELD
    set_trade_text_id(s, column(s, _TRADE_ID))
    is_ours = is_chosen(s, column(s, _SYMBOL)) if column(s, _SYMBOL) >= 0 else is_chosen_name(s, own.symbol)
    if not is_ours:
        return OTHER_SYMBOL
    if s.table == _SPOT_TABLE:
        own.spot_trades += 1
    else:
        own.derivative_trades += 1
    s.used[TRADE_EVENT] += 1
    return 0


@kernel("int64(int64)")
def read_lines(state: Address) -> int:
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
    """Tell lines of books from tables of trades by a file's first byte; see `Venue.open_input`.

    Trades of spot have no column for the symbol: it is that of the file's name, `BTCUSDT_2024-12-01.csv.gz`.
    """
    start = text.lstrip()
    if not start and not at_end:
        return -1
    if start.startswith(b"{") or not text:
        scan.record["table"] = _BOOKS
        # What the first message's times are compared with.
        first_ts = _first_ts(text[:LOOK_SIZE])
        scan.own["sent_ts"] = 0 if first_ts == NEVER else first_ts
        return 0
    size = open_table(scan, text, at_end, path, TABLES)
    named = _FILE_NAME.match(path.name)
    is_named = size >= 0 and named is not None and scan.record["columns"][_SYMBOL] < 0
    scan.own["symbol"] = scan.name_number(SYMBOLS, named[1]) if is_named and named is not None else -1
    if size >= 0 and scan.record["columns"][_SYMBOL] < 0 and not is_named and isinstance(scan.kept, list):
        scan.kept.append(path.name)
    return size


def _first_ts(text: bytes) -> int:
    """The first time of messages, ns, that is near the others; `NEVER` if there is none."""
    times = [int(found) * _MS_NS for found in _TIMES.findall(text)]
    if not times:
        return NEVER
    middle = sorted(times)[len(times) // 2]
    return next(one for one in times if abs(one - middle) <= _NEAR_NS)


def look(text: bytes, at_end: bool, part: Part) -> Start:
    """Books come before trades; see `Venue.look`. At equal times rows keep that order, as HftBacktest has it."""
    if text.lstrip().startswith(b"{"):
        return Start(first_ts=_first_ts(text))
    return Start(rank=1, first_ts=table_start(open_input, text, at_end, part.path, _TIME, own_dtype)[1])


def set_up(scan: Scan, options: Any) -> None:
    """Prepare the reader's own state."""
    bybit.set_up(scan, options)
    own = scan.own
    own["latency_ns"] = options.latency_ns
    own["asks_first"] = True
    own["symbol"] = -1
    scan.kept = []
    scan.record["has_no_time"] = True


def check(scan: Scan, options: Any, where: str) -> list[str]:
    """As of the streams; refuse trades of two markets, and say what stands for local times.

    Raises:
        DataError: Spot and derivatives have symbols of one name.
    """
    own = scan.own
    counts = {"spot": int(own["spot_trades"]), "derivatives": int(own["derivative_trades"])}
    refuse_two_markets("trades", counts, where)
    notes = [*bybit.check(scan, options, where), said_latency(options.latency_ns, "they were sent")]
    if held := int(own["held"]):
        notes.append(
            f"{held:,} messages of the book have an earlier `ts` than the one before them, and arrive with that one"
        )
    if wrong := int(own["bad_times"]):
        notes.append(
            f"{wrong:,} messages have a `ts` and a `cts` that are far apart: the wrong one was not used"
        )
    if scan.kept and (len(scan.kept) > 1 or scan.symbol):
        notes.append(
            f"neither the lines nor the name of {scan.kept[0]} say which symbol it has: it was taken for "
            f"{scan.symbol or 'the same as the other files'}"
        )
    return notes


VENUE: Final = Venue(
    "bybithistory",
    read_lines,
    KINDS,
    open_input=open_input,
    look=look,
    set_up=set_up,
    check=check,
    takes=("depth", "latency_ns", "hftbacktest_rows"),
)
