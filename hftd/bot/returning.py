"""A daemon's restart as the strategy's thread sees it: the lease lost, another in its place, the orders asked after.

The main thread does what takes time (it notices the end, finds the successor, maps its memory) and says so by two words
of the channel's row; the strategy's thread takes the new row over when it next looks at its rings, so neither ever
waits for the other, and no memory is let go that the other may be using.
"""

# pyright: basic

from typing import Final

from hftd.bot.layout import ASSET_BYTES, CHANNEL_BYTES, DOWN, STAGED, backend_at, channel_at, session_at
from hftd.channel.layout import CLOCK_ALIVE_NS
from hftd.channel.messages import FIELDS_MESSAGE_BYTES, write_inquire
from hftd.channel.queue import queue_claim, queue_commit
from hftd.channel.wait import doorbell_ring
from hftd.compiled.jit import inline, kernel
from hftd.compiled.layout import BY_BOT, BY_DAEMON, BY_HALT, order_dtype
from hftd.compiled.native import copy_bytes, load_acquire, load_i64, stack_bytes, store_i64, store_release
from hftd.hbt.orders import ORDERS, asset_at, find_order, is_inactive, order_at, orders_at
from hftd.rows import Address
from hftd.types import NONE

STILL_NS: Final = 2_000_000_000
"""A daemon that has been at nothing for so long is not heard: its books are old, and new orders would be late."""
_WAY_BY_DAEMON: Final = BY_DAEMON | BY_HALT
_ORDER_BYTES = order_dtype.itemsize


@kernel("int64(int64, int64)")
def offer(channel: Address, staged: Address):
    """The main thread's: a row to take the place of a channel's."""
    store_release(channel + STAGED, staged)
    return 0


@kernel("int64(int64)")
def offered(channel: Address):
    """The main thread's: the row that was not taken over yet, 0 if it was."""
    return load_acquire(channel + STAGED)


@inline
def mark(
    session: Address,
    backend: Address,
    channel: Address,
    keep_book: int,
    add_book: int,
    keep_way: int,
    add_way: int,
):
    """Keep and add BY_* bits of what is not to be trusted, in the assets of a channel: books, and orders' ways."""
    s = session_at(session)
    b = backend_at(backend)
    number = (channel - b.channels) // CHANNEL_BYTES
    for asset_no in range(s.num_assets):
        if load_i64(b.asset_channels + 8 * asset_no) == number:
            a = asset_at(s.assets + asset_no * ASSET_BYTES)
            a.book.not_valid = (a.book.not_valid & keep_book) | add_book
            a.disconnected = (a.disconnected & keep_way) | add_way


@inline
def _take_over(session: Address, backend: Address, channel: Address):
    b = backend_at(backend)
    number = (channel - b.channels) // CHANNEL_BYTES
    # All but the word that says that it is there: with it the main thread lets the old memory go.
    staged = load_i64(channel + STAGED)
    copy_bytes(channel + DOWN, staged + DOWN, CHANNEL_BYTES - DOWN)
    c = channel_at(channel)
    for asset_no in range(session_at(session).num_assets):
        if load_i64(b.asset_channels + 8 * asset_no) == number:
            store_i64(b.asset_instruments + 8 * asset_no, load_i64(c.instruments + 8 * asset_no))
    if number == 0:
        b.clock = c.clock
    mark(session, backend, channel, 0, BY_BOT, 0, BY_BOT)
    store_release(channel + STAGED, 0)


@inline
def look_at_lease(session: Address, backend: Address, channel: Address):
    """See what the main thread says of a channel, and whether its daemon is at work."""
    if load_acquire(channel + STAGED) != 0:
        _take_over(session, backend, channel)
    c = channel_at(channel)
    down = load_acquire(channel + DOWN)
    alive_ns = load_i64(c.clock + CLOCK_ALIVE_NS)
    # By the time of the last look: a bot that stood still itself gives its daemons until the next one.
    is_still = 1 if down == 0 and alive_ns != 0 and backend_at(backend).boot_ns - alive_ns > STILL_NS else 0
    if down == c.was_down and is_still == c.is_still:
        return
    c.was_down = down
    c.is_still = is_still
    if down != 0 or is_still != 0:
        mark(session, backend, channel, BY_DAEMON, BY_BOT, _WAY_BY_DAEMON, BY_BOT)
    elif c.resyncing == 0:
        mark(session, backend, channel, BY_DAEMON, 0, _WAY_BY_DAEMON, 0)


@inline
def spliced(session: Address, backend: Address, channel: Address):
    """The books are there; after a return the orders are asked after next."""
    c = channel_at(channel)
    if c.was_down == 0 and c.is_still == 0:
        mark(session, backend, channel, BY_DAEMON, 0, _WAY_BY_DAEMON, 0)
    if c.is_back != 0:
        c.is_back = 0
        c.inquiring = 1
        c.inquire_asset = 0
        c.inquire_slot = 0


@inline
def _is_open(asset: Address, address: Address):
    """Whether a slot of the pool holds an order that may still be in the market, or in a request."""
    o = order_at(address)
    if is_inactive(o.status) and o.req == NONE:
        return False
    return find_order(asset, o.order_id) == address


@inline
def inquire(session: Address, backend: Address, channel: Address):
    """Ask what became of the orders that are held for open; where the ring is full, go on at the next look."""
    s = session_at(session)
    b = backend_at(backend)
    c = channel_at(channel)
    number = (channel - b.channels) // CHANNEL_BYTES
    words = stack_bytes(24)
    message = stack_bytes(FIELDS_MESSAGE_BYTES)
    asked = 0
    while c.inquiring != 0:
        if c.inquire_asset >= s.num_assets:
            c.inquiring = 0
            break
        asset = s.assets + c.inquire_asset * ASSET_BYTES
        orders = orders_at(asset + ORDERS)
        if load_i64(b.asset_channels + 8 * c.inquire_asset) != number or c.inquire_slot >= orders.used_slots:
            c.inquire_asset += 1
            c.inquire_slot = 0
            continue
        address = orders.pool + c.inquire_slot * _ORDER_BYTES
        if _is_open(asset, address):
            store_i64(words, load_i64(b.asset_instruments + 8 * c.inquire_asset))
            store_i64(words + 8, order_at(address).order_id)
            store_i64(words + 16, order_at(address).local_timestamp)
            length = write_inquire(message, words)
            target = queue_claim(c.requests, length)
            if target <= 0:
                break
            copy_bytes(target, message, length)
            queue_commit(c.requests, order_at(address).local_timestamp)
            asked += 1
        c.inquire_slot += 1
    if asked > 0:
        doorbell_ring(c.doorbell_fd, c.asleep)
