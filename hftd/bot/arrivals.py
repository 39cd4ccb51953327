"""What reaches a bot through its rings, applied to its books, orders and account."""

# pyright: basic

from hftd.bot.hook_queue import leave_for_hooks
from hftd.bot.layout import (
    ASSET_BYTES,
    CHANNEL_BROKEN,
    CHANNEL_NONSENSE,
    CHANNEL_OK,
    MAX_INSTRUMENT,
    backend_at,
    channel_at,
    hook_queue_at,
    session_at,
)
from hftd.bot.local_time import local_now
from hftd.bot.returning import mark, spliced
from hftd.channel.layout import (
    BOT_LAPPED,
    BOT_RECORDS,
    BROKEN,
    LAPPED,
    LINK_MARKET_CURSOR,
    MARKET_LOSSLESS,
    MESSAGE,
)
from hftd.channel.messages import (
    FEED,
    NOTICE,
    ORDER_UPDATE,
    SPLICE,
    STATE,
    STATUS,
    read_feed,
    read_notice,
    read_order_update,
    read_splice,
    read_state,
    read_status,
    read_tag,
    write_resync,
)
from hftd.channel.queue import queue_claim, queue_commit, queue_peek, queue_release
from hftd.channel.ring import market_copy, market_next
from hftd.channel.wait import doorbell_ring
from hftd.compiled.jit import inline
from hftd.compiled.layout import (
    ARRIVED_FEED,
    ARRIVED_RESPONSE,
    BY_BOT,
    BY_DAEMON,
    BY_HALT,
    asset_dtype,
    offset_of,
    update_dtype,
)
from hftd.compiled.native import copy_bytes, load_i64, stack_bytes, store_i64, store_release
from hftd.constants import BOOK_INVALID, BOOK_VALID, CONNECTED, DISCONNECTED, HALTED
from hftd.hbt.feed import BOOK, apply_book_row, apply_rows
from hftd.hbt.orders import apply_update, asset_at, update_at
from hftd.rows import ROW_BYTES, Address
from hftd.types import state_values_dtype

_UPDATE_BYTES = update_dtype.itemsize
_UPDATE_FIELDS = 8  # behind arrive_ts
_STATE = offset_of(asset_dtype, "state")
_STATE_BYTES = state_values_dtype.itemsize
_NUM_TRADES = 8 * (1 + (state_values_dtype.names or ()).index("num_trades"))


@inline
def _asset_of(session: Address, channel: Address, instrument: int):
    """The address of the bot's asset with that instrument number, 0 if it has none."""
    if instrument < 0 or instrument >= MAX_INSTRUMENT:
        return 0
    asset_no = load_i64(channel_at(channel).assets + 8 * instrument) - 1
    if asset_no < 0:
        return 0
    return session_at(session).assets + asset_no * ASSET_BYTES


@inline
def _on_market_message(session: Address, channel: Address, message: Address, length: int):
    end = message + length
    tag = read_tag(message, end)
    if tag == FEED:
        ok, instrument, rows, count = read_feed(message, end)
        if not ok:
            return CHANNEL_NONSENSE
        asset = _asset_of(session, channel, instrument)
        if asset != 0 and apply_rows(asset, rows, count) > 0:
            asset_at(asset).arrived |= ARRIVED_FEED
    elif tag == STATUS:
        return _on_status(session, channel, message, length)
    else:
        return CHANNEL_NONSENSE
    return CHANNEL_OK


@inline
def _on_status(session: Address, channel: Address, message: Address, length: int):
    words = stack_bytes(16)
    if not read_status(message, message + length, words):
        return CHANNEL_NONSENSE
    asset = _asset_of(session, channel, load_i64(words))
    if asset != 0:
        a = asset_at(asset)
        state = load_i64(words + 8)
        if state == BOOK_VALID:
            a.book.not_valid &= BY_BOT
        elif state == BOOK_INVALID:
            a.book.not_valid |= BY_DAEMON
        elif state == CONNECTED:
            a.disconnected &= BY_BOT
        elif state == DISCONNECTED:
            a.disconnected = (a.disconnected & BY_BOT) | BY_DAEMON
        elif state == HALTED:
            a.disconnected = (a.disconnected & BY_BOT) | BY_HALT
        notes = session_at(session).notes
        if notes != 0 and hook_queue_at(notes).wants_states != 0:
            leave_for_hooks(notes, message, length, a.asset_no)
    return CHANNEL_OK


@inline
def _on_response(session: Address, backend: Address, channel: Address, message: Address, length: int):
    end = message + length
    tag = read_tag(message, end)
    if tag == ORDER_UPDATE:
        update = stack_bytes(_UPDATE_BYTES)
        if not read_order_update(message, end, update + _UPDATE_FIELDS):
            return CHANNEL_NONSENSE
        asset = _asset_of(session, channel, update_at(update).instrument)
        if asset == 0:
            return CHANNEL_NONSENSE
        if backend_at(backend).is_simulated == 0:
            # The bot has it now: what the daemon's clock says is when the daemon had it.
            update_at(update).recv_ts = local_now(backend_at(backend))
        apply_update(asset, update)
        a = asset_at(asset)
        notes = session_at(session).notes
        if notes != 0 and hook_queue_at(notes).wants_orders != 0:
            leave_for_hooks(notes, message, length, a.asset_no)
        a.arrived |= ARRIVED_RESPONSE
        b = backend_at(backend)
        if a.asset_no == b.wanted_asset and update_at(update).order_id == b.wanted_order:
            b.wanted_came = 1
    elif tag == FEED:
        # A book for a newcomer: levels, not news.
        ok, instrument, rows, count = read_feed(message, end)
        if not ok:
            return CHANNEL_NONSENSE
        asset = _asset_of(session, channel, instrument)
        if asset != 0:
            for i in range(count):
                apply_book_row(asset + BOOK, rows + i * ROW_BYTES)
    elif tag == STATE:
        words = stack_bytes(64)
        if not read_state(message, end, words):
            return CHANNEL_NONSENSE
        asset = _asset_of(session, channel, load_i64(words))
        if asset != 0:
            if channel_at(channel).is_back != 0:
                a = asset_at(asset)
                a.fills_missed += max(load_i64(words + _NUM_TRADES) - a.state.num_trades, 0)
            copy_bytes(asset + _STATE, words + 8, _STATE_BYTES)
    elif tag == STATUS:
        return _on_status(session, channel, message, length)
    elif tag == NOTICE:
        # For the main thread alone.
        ok, instrument = read_notice(message, end)
        if not ok:
            return CHANNEL_NONSENSE
        asset = _asset_of(session, channel, instrument)
        notes = session_at(session).notes
        if asset != 0 and notes != 0:
            leave_for_hooks(notes, message, length, asset_at(asset).asset_no)
    elif tag == SPLICE:
        words = stack_bytes(8)
        if not read_splice(message, end, words):
            return CHANNEL_NONSENSE
        channel_at(channel).cursor = load_i64(words)
        channel_at(channel).resyncing = 0
        spliced(session, backend, channel)
    else:
        return CHANNEL_NONSENSE
    return CHANNEL_OK


@inline
def _ask_for_books(session: Address, backend: Address, channel: Address):
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
        # The daemon tells what is not valid and not connected; the rest is, from the splice on.
        mark(session, backend, channel, 0, BY_BOT, BY_BOT, 0)


@inline
def drain_responses(session: Address, backend: Address, channel: Address):
    """Apply what a channel's daemon answered."""
    c = channel_at(channel)
    while True:
        status, message, length, _stamp = queue_peek(c.responses)
        if status != MESSAGE:
            return CHANNEL_BROKEN if status == BROKEN else CHANNEL_OK
        code = _on_response(session, backend, channel, message, length)
        queue_release(c.responses)
        if code != CHANNEL_OK:
            return code


@inline
def drain_market(session: Address, backend: Address, channel: Address):
    """Apply what a channel's market ring holds; where it was lapped, ask for the books."""
    c = channel_at(channel)
    page = backend_at(backend).page
    in_place = load_i64(c.market + MARKET_LOSSLESS) != 0
    code = CHANNEL_OK
    records = 0
    while c.resyncing == 0:
        if in_place:
            status, message, length, _stamp, after = market_next(c.market, c.cursor)
        else:
            status, message, length, _stamp, after = market_copy(
                c.market, c.cursor, backend_at(backend).scratch
            )
        if status == MESSAGE:
            code = _on_market_message(session, channel, message, length)
            c.cursor = after
            records += 1
            # Its room may be what the producer waits for.
            store_release(c.link + LINK_MARKET_CURSOR, after)
            if code != CHANNEL_OK:
                break
        elif status == LAPPED:
            # Where the request finds no room, the next look meets the same gap.
            _ask_for_books(session, backend, channel)
            if c.resyncing != 0:
                store_i64(page + BOT_LAPPED, load_i64(page + BOT_LAPPED) + 1)
                c.cursor = after
            break
        else:
            if status == BROKEN:
                code = CHANNEL_BROKEN
            break
    if records > 0:
        store_i64(page + BOT_RECORDS, load_i64(page + BOT_RECORDS) + records)
    return code
