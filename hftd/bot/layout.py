"""What the compiled side of a bot knows of its channels."""

# pyright: basic

import numpy as np

from hftd.channel.layout import MAX_MESSAGE_BYTES
from hftd.compiled.layout import asset_dtype, offset_of, session_dtype
from hftd.compiled.native import record_at

MAX_INSTRUMENT = 1 << 16
"""Instrument numbers of a channel are below it."""

CHANNEL_OK = 0
CHANNEL_BROKEN = 1  # a ring holds what no writer of ours writes
CHANNEL_NONSENSE = 2  # a message that the protocol does not have

channel_dtype = np.dtype(
    [
        # From the main thread: the address of a row like this that is to take this one's place, 0 for none; and whether
        # the lease is lost.
        ("staged", "i8"),
        ("down", "i8"),
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
        ("clock", "i8"),
        ("instruments", "i8"),  # instrument number by asset number
        ("was_down", "i8"),  # what the strategy's thread knows of it
        ("is_still", "i8"),  # the daemon is there, and does nothing
        # After a return to a daemon: the books are not here yet; then its orders are inquired after, slot by slot.
        ("is_back", "i8"),
        ("inquiring", "i8"),
        ("inquire_asset", "i8"),
        ("inquire_slot", "i8"),
    ],
    align=True,
)
"""One attached channel."""

STAGED = offset_of(channel_dtype, "staged")
DOWN = offset_of(channel_dtype, "down")

hook_queue_dtype = np.dtype(
    [
        ("queue", "i8"),  # the producer's descriptor
        ("fd", "i8"),
        ("asleep", "i8"),
        ("dropped", "i8"),
        ("wants_orders", "i8"),
        ("wants_states", "i8"),
    ],
    align=True,
)
"""Where the strategy's thread leaves what hooks are to be told."""

HOOK_QUEUE_ASLEEP = offset_of(hook_queue_dtype, "asleep")

backend_dtype = np.dtype(
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
        ("steps", "i8"),
        ("error", "i8"),
        ("wanted_asset", "i8"),  # the answer that is waited for, and whether it came
        ("wanted_order", "i8"),
        ("wanted_came", "i8"),
        ("local_ns", "i8"),  # the last local time that was told, and the time since boot then
        ("boot_ns", "i8"),
        ("woke_boot_ns", "i8"),  # the time since boot at the session's `now_ns`
    ],
    align=True,
)
"""A bot's channels."""

backend_at = record_at(backend_dtype)
channel_at = record_at(channel_dtype)
session_at = record_at(session_dtype)
hook_queue_at = record_at(hook_queue_dtype)

CHANNEL_BYTES = channel_dtype.itemsize
ASSET_BYTES = asset_dtype.itemsize
SCRATCH_BYTES = MAX_MESSAGE_BYTES + 64
