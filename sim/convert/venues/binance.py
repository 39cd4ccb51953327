"""Captures of Binance's spot, USD-M and COIN-M markets: messages to rows.

What a message says is read by :mod:`hftd.venues.binance.market`, as a connector reads it. Here is what only a capture
needs: the symbol that is chosen among several, updates that come once more, snapshots that come late or early
(:mod:`sim.convert.venues.binancebook`), and what is counted. Spot's best prices and REST snapshots, which have no time,
carry the latest exchange time of the lines before, which they are not older than.

User events: 100 index price, 101 mark price, 102 funding rate; 103 best bid, 104 best ask, with quantities.
"""

# pyright: basic

from typing import Any, Final

import numpy as np

from hftd.compiled.jit import Kernel, inline
from hftd.compiled.json_fields import field, hashed, place_of, text_key, text_of
from hftd.compiled.native import load_i64, load_u8
from hftd.compiled.row_access import ev_of, px_of
from hftd.rows import BEST_ASK, BEST_BID, INDEX_PRICE, MARK_PRICE, ROW_BYTES, Ns
from hftd.types import BUY_EVENT, DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT, SELL_EVENT, TRADE_EVENT
from hftd.venues.binance.market import (
    INDEX,
    MARK,
    PARTIAL,
    REFUSAL,
    add_best,
    add_book,
    add_depth,
    add_index_price,
    add_mark_price,
    add_trade,
    best_time,
    kind_of,
)
from hftd.venues.message import CLOCK_JUMP_NS, NO_TIME, later_of
from hftd.venues.reader import BEST, BOOK, DEPTH, TRADES
from sim.convert.reader.messages import count_name, follow, is_chosen, was_there
from sim.convert.reader.recent import remember, set_again
from sim.convert.reader.state import (
    ERROR_OBJECT,
    ERRORS,
    EVENTS,
    NAME_BYTES,
    NOT_ASKED,
    OTHER_SYMBOL,
    PARTIAL_DEPTH,
    SUPERSEDED,
    UNKNOWN,
)
from sim.convert.reader.venue import Venue
from sim.convert.venues.binancebook import (
    COINM,
    MARKETS,
    RECENT,
    SPOT,
    USDM,
    check_of,
    count_market,
    is_of_first_levels,
    leave_out_known,
    set_up,
)

_TIME: Final = text_key("T")
_SYMBOL: Final = text_key("s")
_PREVIOUS_ID: Final = text_key("pu")
_PAIR: Final = text_key("ps")
_DOLLARS: Final = text_key("USD")
_TRADE_KIND: Final = text_key("X")
_SPOT_TRADE: Final = text_key("M")
_FULL_SYMBOL: Final = text_key("symbol")


def venue_of(market: int, read_lines: Kernel) -> Venue:
    """The converter of a market."""
    return Venue(
        MARKETS[market],
        read_lines,
        set_up=set_up,
        check=check_of(market),
        back_ns=CLOCK_JUMP_NS,
        takes=("hftbacktest_rows",),
    )


@inline
def _depth_market(s: Any, data: int):
    """The market that a depth update tells; -1 where it has some of the fields only."""
    has_match_time, has_previous = field(s, _TIME, data) >= 0, field(s, _PREVIOUS_ID, data) >= 0
    if has_match_time and has_previous:
        # Both name the pair since 2026; that of COIN-M is against dollars, such as BTCUSD, and no other is.
        start, stop = place_of(s, field(s, _PAIR, data))
        is_coinm = stop - start > 3 and hashed(stop - 3, stop) == _DOLLARS
        return COINM if is_coinm else USDM
    return -1 if has_match_time or has_previous else SPOT


@inline
def _depth(s: Any, own: Any, local_ts: Ns, data: int, is_spot: bool):
    market = _depth_market(s, data)
    if market >= 0:
        count_market(s, market)
    row = s.row_count
    reason, exch_ts, update_id, previous_id, bids, asks = add_depth(s, data, is_spot, local_ts)
    if exch_ts >= 0:
        s.exch_ts = later_of(s.exch_ts, exch_ts)
    if reason:
        return reason
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
        remember(s, s.own + RECENT, row, update_id, exch_ts, local_ts)
    s.used[DEPTH_EVENT] += 1
    return 0


@inline
def _trade(s: Any, local_ts: Ns, data: int):
    if field(s, _TRADE_KIND, data) < 0 and field(s, _SPOT_TRADE, data) >= 0:
        count_market(s, SPOT)
    reason, exch_ts = add_trade(s, data, local_ts)
    if reason:
        return reason
    s.exch_ts = later_of(s.exch_ts, exch_ts)
    if not is_chosen(s, field(s, _SYMBOL, data)):
        return OTHER_SYMBOL
    s.used[TRADE_EVENT] += 1
    return 0


@inline
def _best(s: Any, local_ts: Ns, data: int, is_spot: bool):
    if is_spot and s.exch_ts == 0:
        return NO_TIME
    exch_ts = s.exch_ts if is_spot else best_time(s, data)
    reason, _ = add_best(s, data, BEST_BID, BEST_ASK, exch_ts, local_ts)
    if reason:
        return reason
    if not is_chosen(s, field(s, _SYMBOL, data)):
        return OTHER_SYMBOL
    s.used[BEST_BID] += 1
    return 0


@inline
def _mark_price(s: Any, local_ts: Ns, data: int):
    reason = add_mark_price(s, data, local_ts)
    if reason:
        return reason
    if not is_chosen(s, field(s, _SYMBOL, data)):
        return OTHER_SYMBOL
    s.used[MARK_PRICE] += 1
    return 0


@inline
def _index_price(s: Any, local_ts: Ns, data: int):
    reason, pair = add_index_price(s, data, local_ts)
    if reason:
        return reason
    if not _is_pair_of_chosen(s, pair):
        return OTHER_SYMBOL
    s.used[INDEX_PRICE] += 1
    return 0


@inline
def _is_pair_of_chosen(s: Any, number: int):
    """Whether the chosen symbol, such as `BTCUSD_PERP`, is of that pair; no pair is, before one is chosen."""
    if s.chosen < 0:
        return False
    start, stop = text_of(s, number)
    name = s.names + s.chosen * NAME_BYTES
    size = stop - start
    if load_i64(name + 8) <= size or load_u8(name + 24 + size) != 95:
        return False
    return hashed(start, stop) == hashed(name + 24, name + 24 + size)


@inline
def _last_px(s: Any, row: int, side: int, nothing: float):
    """The price of the last of the side's rows from `row` on, as far as the snapshot reaches."""
    px = nothing
    for number in range(row, s.row_count):
        at = s.rows + number * ROW_BYTES
        if ev_of(at) & side:
            px = px_of(at)
    return px


@inline
def _book(s: Any, own: Any, local_ts: Ns, is_spot: bool):
    row = s.row_count
    reason, exch_ts, update_id, bids, asks = add_book(s, s.exch_ts if is_spot else -1, local_ts)
    if reason:
        return reason
    own.first_level_books += is_of_first_levels(s, row, bids, asks)
    symbol = field(s, _FULL_SYMBOL, -1)
    if symbol < 0:
        s.snapshot_row = row
    elif not is_chosen(s, symbol):
        return OTHER_SYMBOL
    if update_id >= 0 and not own.is_as_hftbacktest:
        # From the snapshot to where the stream is.
        if symbol >= 0 or own.takes_unnamed:
            own.snapshot_id, own.snapshot_ts = update_id, local_ts
            own.bid_reach = _last_px(s, row, BUY_EVENT, np.inf)
            own.ask_reach = _last_px(s, row, SELL_EVENT, -np.inf)
        if not set_again(s, s.own + RECENT, update_id, exch_ts, local_ts):
            own.snapshots_forgotten += 1
    s.used[DEPTH_SNAPSHOT_EVENT] += 1
    return 0


@inline
def read_message(s: Any, own: Any, local_ts: int, is_spot: bool) -> int:
    """Append the rows of the message whose fields are noted.

    Args:
        s: The state.
        own: The state of :mod:`sim.convert.venues.binancebook`.
        local_ts: When it was received, ns.
        is_spot: Whether it is of the spot market.

    Returns:
        0, or why there are none.
    """
    kind, data, name = kind_of(s, is_spot)
    if kind == DEPTH:
        return _depth(s, own, local_ts, data, is_spot)
    if kind == TRADES:
        return _trade(s, local_ts, data)
    if kind == BEST and s.wants_ticker:
        return _best(s, local_ts, data, is_spot)
    if kind == BOOK:
        return _book(s, own, local_ts, is_spot)
    if kind == MARK and s.wants_mark:
        return _mark_price(s, local_ts, data)
    if kind == INDEX and s.wants_mark:
        return _index_price(s, local_ts, data)
    if kind == PARTIAL:
        return PARTIAL_DEPTH
    if name >= 0:
        start, stop = text_of(s, name)
        count_name(s, ERRORS if kind == REFUSAL else EVENTS, start, stop)
    if kind == REFUSAL:
        return ERROR_OBJECT
    return NOT_ASKED if kind in (BEST, MARK, INDEX) else UNKNOWN
