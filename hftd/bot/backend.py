"""The bot's end of its channels, in compiled code: the backend of a session.

What arrives is applied while the bot waits, so a long wait costs no memory and no burst at its end. Whether the wait
is over is the clock's matter: with the system's clock the bot looks at what came and at the time; with a simulated
clock the daemon that moves it says so, when all that the bot may see has been published.
"""

# pyright: basic

from typing import Any

from hftd.bot.arrivals import drain_market, drain_responses
from hftd.bot.layout import ASSET_BYTES, CHANNEL_BYTES, CHANNEL_OK, backend_at, channel_at, session_at
from hftd.bot.local_time import local_now
from hftd.bot.returning import inquire, look_at_lease
from hftd.channel.layout import (
    BOT_OVER,
    BOT_ROWS,
    BOT_STEPS,
    BROKEN,
    CLOCK_NOW_NS,
    CLOCK_PARTIES,
    WAIT_ANY_ORDER,
    WAIT_ONE_ORDER,
)
from hftd.channel.layout import WAIT_FEED as ASK_FEED
from hftd.channel.messages import FIELDS_MESSAGE_BYTES, write_cancel, write_modify, write_submit
from hftd.channel.queue import queue_claim, queue_commit
from hftd.channel.wait import (
    TRY_SPIN_EVERY,
    bell_seen,
    bell_wait,
    doorbell_ring,
    next_spin_ns,
    wait_ask,
    wait_granted,
)
from hftd.compiled.jit import inline, kernel
from hftd.compiled.layout import (
    ARRIVED_FEED,
    ARRIVED_RESPONSE,
    WAIT_FEED,
    WAIT_FEED_OR_RESPONSE,
    WAIT_RESPONSE,
    offset_of,
    request_dtype,
)
from hftd.compiled.native import call_code, copy_bytes, load_i64, record_at, stack_bytes, store_i64
from hftd.hbt.orders import asset_at, order_at
from hftd.rows import Address, Ns
from hftd.types import (
    CANCELED,
    END_OF_DATA,
    ERR_DATA,
    ERR_DISCONNECTED,
    ERR_RING_FULL,
    MARKET_FEED,
    NEW,
    ORDER_RESPONSE,
)

PATIENCE_NS = 100_000_000
"""The longest sleep without a look at the world."""

request_at = record_at(request_dtype)
_SUBMIT_FIELDS = offset_of(request_dtype, "instrument")


@kernel("int64(int64)")
def drain(session: Address):
    """Apply all that has arrived. Returns 0, or `ERR_DATA` if a channel is broken (its `error` says how)."""
    backend = session_at(session).backend
    b = backend_at(backend)
    for i in range(b.num_channels):
        channel = b.channels + i * CHANNEL_BYTES
        look_at_lease(session, backend, channel)
        code = drain_responses(session, backend, channel)
        if code == CHANNEL_OK:
            code = drain_market(session, backend, channel)
        if channel_at(channel).inquiring != 0:
            inquire(session, backend, channel)
        if code != CHANNEL_OK:
            channel_at(channel).error = code
            b.error = ERR_DATA
            return ERR_DATA
    return 0


@inline
def _arrived(session: Address, wait: int):
    """What the wait came to: MARKET_FEED, ORDER_RESPONSE or 0. Of one moment, the higher asset number decides."""
    s = session_at(session)
    code = 0
    for asset_no in range(s.num_assets):
        arrived = asset_at(s.assets + asset_no * ASSET_BYTES).arrived
        if wait == WAIT_FEED_OR_RESPONSE and (arrived & ARRIVED_RESPONSE) != 0:
            code = ORDER_RESPONSE
        elif (arrived & ARRIVED_FEED) != 0:
            code = MARKET_FEED
    return code


@inline
def _spin_ns(b: Any):
    """Spinning takes the processor from those who are waited for, where there are more of them than processors."""
    if load_i64(b.clock + CLOCK_PARTIES) > b.cpus:
        return 0
    if b.waits % TRY_SPIN_EVERY == 0:
        return b.spin_ns
    return b.spin_now_ns


@inline
def _wait_for_news(b: Any, seen: int, spin_ns: Ns, timeout_ns: Ns):
    """Spin, then sleep; learn from whether spinning helped."""
    if spin_ns > 0:
        came = bell_wait(b.page, seen, spin_ns, spin_ns) != seen
        b.spin_now_ns = next_spin_ns(spin_ns, b.spin_ns, came)
        if came:
            return
    bell_wait(b.page, seen, 0, timeout_ns)


@inline
def _wait_simulated(
    session: Address, backend: Address, until_ns: Ns, wait: int, asset_no: int, order_id: int
):
    s = session_at(session)
    b = backend_at(backend)
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
def _wait_system(session: Address, backend: Address, until_ns: Ns, wait: int):
    s = session_at(session)
    b = backend_at(backend)
    # How long it takes is no matter of a clock that may be set: from the last wake on, so much time passes.
    deadline_ns = b.woke_boot_ns + (until_ns - s.now_ns)
    while True:
        # A strategy that waits is alive, however long it waits: it is here at least every `PATIENCE_NS`.
        b.steps += 1
        store_i64(b.page + BOT_STEPS, b.steps)
        if load_i64(b.page + BOT_OVER) != 0:
            s.stop = 1
        seen = bell_seen(b.page)
        code = call_code(s.fn_drain, (session,))
        s.now_ns = max(s.now_ns, local_now(b))
        b.woke_boot_ns = b.boot_ns
        left_ns = deadline_ns - b.boot_ns
        if code != 0:
            return code
        if s.stop != 0:
            return END_OF_DATA
        if wait == WAIT_FEED or wait == WAIT_FEED_OR_RESPONSE:
            arrived = _arrived(session, wait)
            if arrived != 0:
                return arrived
        if (wait == WAIT_RESPONSE and b.wanted_came != 0) or left_ns <= 0:
            return 0
        _wait_for_news(b, seen, min(b.spin_ns, left_ns), min(left_ns, PATIENCE_NS))


@kernel("int64(int64, int64, int64, int64, int64)")
def advance(session: Address, until_ns: Ns, wait: int, asset_no: int, order_id: int):
    """As `hftd.hbt.session` says."""
    s = session_at(session)
    backend = s.backend
    b = backend_at(backend)
    if b.error != 0:
        # Said once: a strategy that only looks for the end must end too.
        return END_OF_DATA
    for a in range(s.num_assets):
        asset_at(s.assets + a * ASSET_BYTES).arrived = 0
    b.waits += 1
    b.wanted_asset = asset_no if wait == WAIT_RESPONSE else -1
    b.wanted_order = order_id
    b.wanted_came = 0
    if b.is_simulated != 0:
        code = _wait_simulated(session, backend, until_ns, wait, asset_no, order_id)
    else:
        code = _wait_system(session, backend, until_ns, wait)
    rows = 0
    for a in range(s.num_assets):
        rows += asset_at(s.assets + a * ASSET_BYTES).rows
    store_i64(b.page + BOT_ROWS, rows)
    return code


@kernel("int64(int64)")
def begin(_session: Address):
    """The clock of a bot runs from the moment it is attached."""
    return 0


@kernel("int64(int64, int64, int64, int64)")
def send(session: Address, asset_no: int, order: Address, kind: int):
    """Write a request for a local order to its channel's request ring."""
    b = backend_at(session_at(session).backend)
    channel = channel_at(b.channels + load_i64(b.asset_channels + 8 * asset_no) * CHANNEL_BYTES)
    # A daemon that stands still is to find cancels when it goes on, and no orders for a market that is gone.
    if channel.down != 0 or (channel.is_still != 0 and kind != CANCELED):
        return ERR_DISCONNECTED
    o = order_at(order)
    if b.is_simulated == 0:
        # Not the last wake's time: what the strategy took to think is no latency of the order's.
        o.local_timestamp = max(o.local_timestamp, local_now(b))
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
    # A connector sees by the stamp how long a request has waited, whatever was done to the clock meanwhile.
    queue_commit(channel.requests, o.local_timestamp if b.is_simulated != 0 else b.boot_ns)
    if b.is_simulated == 0:
        doorbell_ring(channel.doorbell_fd, channel.asleep)
    return 0
