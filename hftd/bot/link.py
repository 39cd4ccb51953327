"""The bot's end of its channels, in compiled code: the backend of a session.

What arrives is applied while the bot waits, so a long wait costs no memory and no burst at its end. Whether the wait
is over is the clock's matter: with the system's clock the bot looks at what came and at the time; with a simulated
clock the daemon that moves it says so, when all that the bot may see has been published.
"""

# pyright: basic

import numpy as np

from hftd.channel.layout import (
    BOT_LAPPED,
    BOT_RECORDS,
    BOT_ROWS,
    BROKEN,
    CLOCK_NOW_NS,
    CLOCK_PARTIES,
    LAPPED,
    LINK_MARKET_CURSOR,
    MARKET_LOSSLESS,
    MAX_MESSAGE_BYTES,
    MESSAGE,
    WAIT_ANY_ORDER,
    WAIT_ONE_ORDER,
)
from hftd.channel.layout import WAIT_FEED as ASK_FEED
from hftd.channel.messages import (
    FEED,
    FIELDS_MESSAGE_BYTES,
    ORDER_UPDATE,
    SPLICE,
    STATE,
    STATUS,
    read_feed,
    read_order_update,
    read_splice,
    read_state,
    read_status,
    read_tag,
    write_cancel,
    write_modify,
    write_resync,
    write_submit,
)
from hftd.channel.queue import queue_claim, queue_commit, queue_peek, queue_release
from hftd.channel.ring import market_copy, market_next
from hftd.channel.wait import (
    TRY_SPIN_EVERY,
    bell_seen,
    bell_wait,
    doorbell_ring,
    next_spin_ns,
    wait_ask,
    wait_granted,
)
from hftd.clock import system_ns
from hftd.feed import BOOK, ROW_BYTES, apply_book_row, apply_rows
from hftd.jit import inline, kernel
from hftd.layout import (
    ARRIVED_FEED,
    ARRIVED_RESPONSE,
    WAIT_FEED,
    WAIT_FEED_OR_RESPONSE,
    WAIT_RESPONSE,
    asset_dtype,
    offset_of,
    request_dtype,
    session_dtype,
    update_dtype,
)
from hftd.native import (
    call_code,
    copy_bytes,
    load_f64,
    load_i64,
    record_at,
    stack_bytes,
    store_i64,
    store_release,
)
from hftd.orders import apply_update, asset_at, order_at, update_at
from hftd.types import (
    CANCELED,
    END_OF_DATA,
    ERR_DATA,
    ERR_RING_FULL,
    MARKET_FEED,
    NEW,
    ORDER_RESPONSE,
    state_values_dtype,
)

MAX_INSTRUMENT = 1 << 16
"""Instrument numbers of a channel are below it."""

PATIENCE_NS = 100_000_000
"""The longest sleep without a look at the world."""

LINK_OK = 0
LINK_BROKEN = 1  # a ring holds what no writer of ours writes
LINK_NONSENSE = 2  # a message that is none of the protocol's

channel_dtype = np.dtype(
    [
        ("market", "i8"),  # addresses
        ("link", "i8"),
        ("requests", "i8"),
        ("responses", "i8"),
        ("asleep", "i8"),
        ("doorbell_fd", "i8"),
        ("cursor", "i8"),
        ("assets", "i8"),  # asset number + 1 by instrument number, 0 for others'
        ("resyncing", "i8"),  # books are on their way: the market ring is left alone until the splice
        ("error", "i8"),
    ],
    align=True,
)
"""One attached channel."""

link_dtype = np.dtype(
    [
        ("page", "i8"),
        ("clock", "i8"),
        ("is_simulated", "i8"),
        ("channels", "i8"),
        ("num_channels", "i8"),
        ("spin_ns", "i8"),  # at most
        ("spin_now_ns", "i8"),
        ("cpus", "i8"),
        ("scratch", "i8"),
        ("asset_channels", "i8"),  # channel number by asset number
        ("asset_instruments", "i8"),  # instrument number by asset number
        ("waits", "i8"),
        ("error", "i8"),
        ("wanted_asset", "i8"),  # the answer that is waited for, and whether it came
        ("wanted_order", "i8"),
        ("wanted_came", "i8"),
    ],
    align=True,
)
"""A bot's channels."""

link_at = record_at(link_dtype)
channel_at = record_at(channel_dtype)
session_at = record_at(session_dtype)
request_at = record_at(request_dtype)

_CHANNEL_BYTES = channel_dtype.itemsize
_ASSET_BYTES = asset_dtype.itemsize
_UPDATE_BYTES = update_dtype.itemsize
_UPDATE_FIELDS = 8  # behind arrive_ts
_STATE = offset_of(asset_dtype, "state")
_STATE_BYTES = state_values_dtype.itemsize
_EV, _PX, _QTY = 0, 24, 32
_SUBMIT_FIELDS = offset_of(request_dtype, "instrument")
SCRATCH_BYTES = MAX_MESSAGE_BYTES + 64


@inline
def _asset_of(session, channel, instrument):
    """The address of the bot's asset with that instrument number, 0 if it has none."""
    if instrument < 0 or instrument >= MAX_INSTRUMENT:
        return 0
    asset_no = load_i64(channel_at(channel).assets + 8 * instrument) - 1
    if asset_no < 0:
        return 0
    return session_at(session).assets + asset_no * _ASSET_BYTES


@inline
def _on_market_message(session, channel, message, length):
    end = message + length
    tag = read_tag(message, end)
    if tag == FEED:
        ok, instrument, rows, count = read_feed(message, end)
        if not ok:
            return LINK_NONSENSE
        asset = _asset_of(session, channel, instrument)
        if asset != 0 and apply_rows(asset, rows, count) > 0:
            asset_at(asset).arrived |= ARRIVED_FEED
    elif tag == STATUS:
        words = stack_bytes(16)
        if not read_status(message, end, words):
            return LINK_NONSENSE
        asset = _asset_of(session, channel, load_i64(words))
        if asset != 0:
            asset_at(asset).book_state = load_i64(words + 8)
    else:
        return LINK_NONSENSE
    return LINK_OK


@inline
def _on_response(session, link, channel, message, length):
    end = message + length
    tag = read_tag(message, end)
    if tag == ORDER_UPDATE:
        update = stack_bytes(_UPDATE_BYTES)
        if not read_order_update(message, end, update + _UPDATE_FIELDS):
            return LINK_NONSENSE
        asset = _asset_of(session, channel, update_at(update).instrument)
        if asset == 0:
            return LINK_NONSENSE
        apply_update(asset, update)
        a = asset_at(asset)
        a.arrived |= ARRIVED_RESPONSE
        b = link_at(link)
        if a.asset_no == b.wanted_asset and update_at(update).order_id == b.wanted_order:
            b.wanted_came = 1
    elif tag == FEED:
        # A book for a newcomer: levels, not news.
        ok, instrument, rows, count = read_feed(message, end)
        if not ok:
            return LINK_NONSENSE
        asset = _asset_of(session, channel, instrument)
        if asset != 0:
            for i in range(count):
                row = rows + i * ROW_BYTES
                apply_book_row(asset + BOOK, load_i64(row + _EV), load_f64(row + _PX), load_f64(row + _QTY))
    elif tag == STATE:
        words = stack_bytes(64)
        if not read_state(message, end, words):
            return LINK_NONSENSE
        asset = _asset_of(session, channel, load_i64(words))
        if asset != 0:
            copy_bytes(asset + _STATE, words + 8, _STATE_BYTES)
    elif tag == SPLICE:
        words = stack_bytes(8)
        if not read_splice(message, end, words):
            return LINK_NONSENSE
        channel_at(channel).cursor = load_i64(words)
        channel_at(channel).resyncing = 0
    else:
        return LINK_NONSENSE
    return LINK_OK


@inline
def _ask_for_books(channel):
    """The bot was lapped: ask for fresh books, if there is room for the request."""
    c = channel_at(channel)
    words = stack_bytes(8)
    length = write_resync(words)
    target = queue_claim(c.requests, length)
    if target > 0:
        copy_bytes(target, words, length)
        queue_commit(c.requests, 0)
        doorbell_ring(c.doorbell_fd, c.asleep)
        c.resyncing = 1


@inline
def _drain_responses(session, link, channel):
    c = channel_at(channel)
    while True:
        status, message, length, _stamp = queue_peek(c.responses)
        if status != MESSAGE:
            return LINK_BROKEN if status == BROKEN else LINK_OK
        code = _on_response(session, link, channel, message, length)
        queue_release(c.responses)
        if code != LINK_OK:
            return code


@inline
def _drain_market(session, link, channel):
    c = channel_at(channel)
    page = link_at(link).page
    in_place = load_i64(c.market + MARKET_LOSSLESS) != 0
    code = LINK_OK
    records = 0
    while c.resyncing == 0:
        if in_place:
            status, message, length, _stamp, after = market_next(c.market, c.cursor)
        else:
            status, message, length, _stamp, after = market_copy(c.market, c.cursor, link_at(link).scratch)
        if status == MESSAGE:
            code = _on_market_message(session, channel, message, length)
            c.cursor = after
            records += 1
            # Its room may be what the producer waits for.
            store_release(c.link + LINK_MARKET_CURSOR, after)
            if code != LINK_OK:
                break
        elif status == LAPPED:
            # Where the request finds no room, the next look meets the same gap.
            _ask_for_books(channel)
            if c.resyncing != 0:
                store_i64(page + BOT_LAPPED, load_i64(page + BOT_LAPPED) + 1)
                c.cursor = after
            break
        else:
            if status == BROKEN:
                code = LINK_BROKEN
            break
    if records > 0:
        store_i64(page + BOT_RECORDS, load_i64(page + BOT_RECORDS) + records)
    return code


@kernel("int64(int64)")
def drain(session):
    """Apply all that has arrived. Returns 0, or `ERR_DATA` if a channel is broken (its `error` says how)."""
    link = session_at(session).backend
    b = link_at(link)
    for i in range(b.num_channels):
        channel = b.channels + i * _CHANNEL_BYTES
        code = _drain_responses(session, link, channel)
        if code == LINK_OK:
            code = _drain_market(session, link, channel)
        if code != LINK_OK:
            channel_at(channel).error = code
            b.error = ERR_DATA
            return ERR_DATA
    return 0


@inline
def _arrived(session, wait):
    """What the wait came to: MARKET_FEED, ORDER_RESPONSE or 0. Of one moment, the higher asset number decides."""
    s = session_at(session)
    code = 0
    for asset_no in range(s.num_assets):
        arrived = asset_at(s.assets + asset_no * _ASSET_BYTES).arrived
        if wait == WAIT_FEED_OR_RESPONSE and (arrived & ARRIVED_RESPONSE) != 0:
            code = ORDER_RESPONSE
        elif (arrived & ARRIVED_FEED) != 0:
            code = MARKET_FEED
    return code


@inline
def _spin_ns(b):
    """Spinning takes the processor from those who are waited for, where there are more of them than processors."""
    if load_i64(b.clock + CLOCK_PARTIES) > b.cpus:
        return 0
    if b.waits % TRY_SPIN_EVERY == 0:
        return b.spin_ns
    return b.spin_now_ns


@inline
def _wait_for_news(b, seen, spin_ns, timeout_ns):
    """Spin, then sleep; learn from whether spinning helped."""
    if spin_ns > 0:
        came = bell_wait(b.page, seen, spin_ns, spin_ns) != seen
        b.spin_now_ns = next_spin_ns(spin_ns, b.spin_ns, came)
        if came:
            return
    bell_wait(b.page, seen, 0, timeout_ns)


@inline
def _wait_simulated(session, link, until_ns, wait, asset_no, order_id):
    s = session_at(session)
    b = link_at(link)
    flags = 0
    instrument = 0
    if wait == WAIT_FEED:
        flags = ASK_FEED
    elif wait == WAIT_FEED_OR_RESPONSE:
        flags = ASK_FEED | WAIT_ANY_ORDER
    elif wait == WAIT_RESPONSE:
        flags = WAIT_ONE_ORDER
        instrument = load_i64(b.asset_instruments + 8 * asset_no)
    spin_ns = _spin_ns(b)
    asked = 0
    while True:
        if asked == 0:
            asked = wait_ask(b.page, until_ns, flags, instrument, order_id)
            # One daemon moves the clock of all channels; any doorbell of its is the right one.
            doorbell_ring(channel_at(b.channels).doorbell_fd, channel_at(b.channels).asleep)
        seen = bell_seen(b.page)
        # Looked at before the rings: what was published before the answer is applied before the bot goes on.
        answer = wait_granted(b.page)
        code = call_code(s.fn_drain, (session,))
        if code != 0:
            return code
        if answer == asked:
            s.now_ns = load_i64(b.clock + CLOCK_NOW_NS)
            if (flags & ASK_FEED) == 0:
                return 0
            arrived = _arrived(session, wait)
            if arrived != 0 or s.now_ns >= until_ns:
                return arrived
            # Where the clock follows the wall, what woke the bot may have been applied in the wait before.
            asked = 0
            continue
        if answer == -asked or s.stop != 0:
            return END_OF_DATA
        _wait_for_news(b, seen, spin_ns, PATIENCE_NS)


@inline
def _wait_system(session, link, until_ns, wait):
    s = session_at(session)
    b = link_at(link)
    while True:
        seen = bell_seen(b.page)
        code = call_code(s.fn_drain, (session,))
        now_ns = system_ns()
        s.now_ns = max(s.now_ns, now_ns)
        if code != 0:
            return code
        if s.stop != 0:
            return END_OF_DATA
        if wait == WAIT_FEED or wait == WAIT_FEED_OR_RESPONSE:
            arrived = _arrived(session, wait)
            if arrived != 0:
                return arrived
        if (wait == WAIT_RESPONSE and b.wanted_came != 0) or now_ns >= until_ns:
            return 0
        _wait_for_news(b, seen, min(b.spin_ns, until_ns - now_ns), min(until_ns - now_ns, PATIENCE_NS))


@kernel("int64(int64, int64, int64, int64, int64)")
def advance(session, until_ns, wait, asset_no, order_id):
    """As `hftd.session` says."""
    s = session_at(session)
    link = s.backend
    b = link_at(link)
    if b.error != 0:
        return b.error
    for a in range(s.num_assets):
        asset_at(s.assets + a * _ASSET_BYTES).arrived = 0
    b.waits += 1
    b.wanted_asset = asset_no if wait == WAIT_RESPONSE else -1
    b.wanted_order = order_id
    b.wanted_came = 0
    if b.is_simulated != 0:
        code = _wait_simulated(session, link, until_ns, wait, asset_no, order_id)
    else:
        code = _wait_system(session, link, until_ns, wait)
    rows = 0
    for a in range(s.num_assets):
        rows += asset_at(s.assets + a * _ASSET_BYTES).rows
    store_i64(b.page + BOT_ROWS, rows)
    return code


@kernel("int64(int64)")
def begin(_session):
    """The clock of a bot runs from the moment it is attached."""
    return 0


@kernel("int64(int64, int64, int64, int64)")
def send(session, asset_no, order, kind):
    """Write a request for a local order to its channel's request ring."""
    b = link_at(session_at(session).backend)
    channel = channel_at(b.channels + load_i64(b.asset_channels + 8 * asset_no) * _CHANNEL_BYTES)
    o = order_at(order)
    request = stack_bytes(128)
    message = stack_bytes(FIELDS_MESSAGE_BYTES)
    r = request_at(request)
    fields = request + _SUBMIT_FIELDS
    r.instrument = load_i64(b.asset_instruments + 8 * asset_no)
    r.order_id = o.order_id
    if kind == NEW:
        r.side = o.side
        r.order_type = o.order_type
        r.time_in_force = o.time_in_force
        r.price_tick = o.price_tick
        r.qty = o.qty
        r.local_ts = o.local_timestamp
        length = write_submit(message, fields)
    elif kind == CANCELED:
        # Cancel: instrument, order_id, local_ts.
        store_i64(fields + 16, o.local_timestamp)
        length = write_cancel(message, fields)
    else:
        # Modify: instrument, order_id, price_tick, qty, local_ts.
        store_i64(fields + 16, o.price_tick)
        store_i64(fields + 24, load_i64(order))
        store_i64(fields + 32, o.local_timestamp)
        length = write_modify(message, fields)
    target = queue_claim(channel.requests, length)
    if target <= 0:
        if target == BROKEN:
            b.error = ERR_DATA
            return ERR_DATA
        return ERR_RING_FULL
    copy_bytes(target, message, length)
    queue_commit(channel.requests, o.local_timestamp)
    if b.is_simulated == 0:
        doorbell_ring(channel.doorbell_fd, channel.asleep)
    return 0
