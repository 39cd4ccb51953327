# pyright: basic
"""What the exchange sends of a simulated book, as archive rows, and when that arrives.

Trades are sent at once, one row a price. Depth is sent every 30 to 100 ms: each level that changed since,
with the quantity it has now. Within a depth message the emptied levels come first, so that the book is not
crossed even between two of its rows. All of an instrument comes over one connection, so the rows are in order
on both clocks.
"""

from hftd.compiled.jit import inline
from hftd.rows import Lots, Ns
from hftd.types import (
    BUY_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EXCH_EVENT,
    LOCAL_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
)
from sim.generator.chance import exponential, heavy, uniform
from sim.generator.layout import DEPTH, WINDOW

_LATENCY_MAX_NS = 200_000_000
_BOTH = EXCH_EVENT | LOCAL_EVENT
_BUY_DEPTH = _BOTH | BUY_EVENT | DEPTH_EVENT
_SELL_DEPTH = _BOTH | SELL_EVENT | DEPTH_EVENT
_BUY_TRADE = _BOTH | BUY_EVENT | TRADE_EVENT
_SELL_TRADE = _BOTH | SELL_EVENT | TRADE_EVENT
_BUY_SNAPSHOT = _BOTH | BUY_EVENT | DEPTH_SNAPSHOT_EVENT
_SELL_SNAPSHOT = _BOTH | SELL_EVENT | DEPTH_SNAPSHOT_EVENT
_BUY_CLEAR = _BOTH | BUY_EVENT | DEPTH_CLEAR_EVENT
_SELL_CLEAR = _BOTH | SELL_EVENT | DEPTH_CLEAR_EVENT


@inline
def arrival(m, exch_ns: Ns, row_count: int, s) -> Ns:
    """When a message of `row_count` rows that is sent at `exch_ns` arrives.

    A base latency with jitter; the sender's line takes one message after the other, so bursts queue; now and
    then the network is congested, which decays. Never above `_LATENCY_MAX_NS`, never ahead of an earlier
    message.
    """
    start_ns = max(exch_ns, m.line_free_ns)
    m.line_free_ns = start_ns + 25_000 + 1_500 * row_count
    m.congestion_ns *= 0.97
    if uniform(s) < 0.0007:
        m.congestion_ns += min(2e6 * heavy(s), 60e6)
    delay_ns = (
        m.line_free_ns - exch_ns + int(m.latency_ns + m.congestion_ns + 0.12 * m.latency_ns * exponential(s))
    )
    m.local_ns = max(m.local_ns, exch_ns + min(delay_ns, _LATENCY_MAX_NS))
    return m.local_ns


@inline
def write_row(m, rows, ev: int, exch_ns: Ns, local_ns: Ns, index: int, lots: Lots):
    """Append one row. The caller leaves room."""
    row = rows[m.row_count]
    row.ev = ev
    row.exch_ts = exch_ns
    row.local_ts = local_ns
    row.px = (m.base_tick + index) * m.tick_size
    row.qty = lots * m.lot_size
    row.order_id = 0
    row.ival = 0
    row.fval = 0.0
    m.row_count += 1


@inline
def write_trade(m, rows, exch_ns: Ns, local_ns: Ns, index: int, lots: Lots, is_buy):
    """One trade; `is_buy` says who was the taker."""
    write_row(m, rows, _BUY_TRADE if is_buy else _SELL_TRADE, exch_ns, local_ns, index, lots)


@inline
def _sort(values, count: int):
    """Insertion sort, falling: a message has some tens of levels."""
    for i in range(1, count):
        value = values[i]
        j = i - 1
        while j >= 0 and values[j] < value:
            values[j + 1] = values[j]
            j -= 1
        values[j + 1] = value


@inline
def send_depth(m, book, published, changed, dirty, rows, exch_ns: Ns, s):
    """Send the levels that are not as published: emptied ones, then bids down, then asks up."""
    count = m.changed_count
    _sort(changed, count)
    sent = 0
    for i in range(count):
        index = changed[i]
        dirty[index] = 0
        if published[index] != book[index]:
            sent += 1
    m.changed_count = 0
    if sent == 0:
        return
    local_ns = arrival(m, exch_ns, sent, s)
    for i in range(count):
        index = changed[i]
        before = published[index]
        if before > 0 and book[index] <= 0:
            write_row(m, rows, _BUY_DEPTH, exch_ns, local_ns, index, 0)
        elif before < 0 and book[index] >= 0:
            write_row(m, rows, _SELL_DEPTH, exch_ns, local_ns, index, 0)
    for i in range(count):
        index = changed[i]
        if book[index] > 0 and published[index] != book[index]:
            write_row(m, rows, _BUY_DEPTH, exch_ns, local_ns, index, book[index])
    for i in range(count - 1, -1, -1):
        index = changed[i]
        if book[index] < 0 and published[index] != book[index]:
            write_row(m, rows, _SELL_DEPTH, exch_ns, local_ns, index, -book[index])
    for i in range(count):
        published[changed[i]] = book[changed[i]]


@inline
def send_snapshot(m, book, published, changed, dirty, rows, exch_ns: Ns, s):
    """Send the whole book near the touch: both sides cleared, then bids down, then asks up."""
    for i in range(m.changed_count):
        dirty[changed[i]] = 0
    m.changed_count = 0
    low = max(m.best_bid - 2 * DEPTH, 1)
    high = min(m.best_ask + 2 * DEPTH, WINDOW - 2)
    local_ns = arrival(m, exch_ns, 2 * DEPTH, s)
    write_row(m, rows, _BUY_CLEAR, exch_ns, local_ns, low, 0)
    write_row(m, rows, _SELL_CLEAR, exch_ns, local_ns, high, 0)
    for index in range(m.best_bid, low - 1, -1):
        if book[index] > 0:
            write_row(m, rows, _BUY_SNAPSHOT, exch_ns, local_ns, index, book[index])
    for index in range(m.best_ask, high + 1):
        if book[index] < 0:
            write_row(m, rows, _SELL_SNAPSHOT, exch_ns, local_ns, index, -book[index])
    # A loop: an assignment of slices takes two seconds to compile.
    for index in range(WINDOW):
        published[index] = book[index] if low <= index <= high else 0
