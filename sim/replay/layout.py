"""The state of a replay: what its compiled loop and the daemon's other thread share."""

# pyright: basic

import numpy as np

from hftd.compiled.layout import offset_of
from hftd.compiled.native import record_at

bot_dtype = np.dtype(
    [
        ("active", "i8"),
        ("page", "i8"),
        ("answered", "i8"),  # the number of the last wait that was answered
        ("waiting", "i8"),  # the number of the wait that is under way, 0 if the bot is busy
        ("fed", "i8"),  # whether rows of its instruments were published during it
        ("responded", "i8"),
        ("matched", "i8"),  # whether the answer that it waits for was
        ("over", "i8"),  # whether it was told that the data is over
        ("now_ns", "i8"),  # the bot's clock: when it last woke, or came
        ("sent_ns", "i8"),  # the time on its last request
        ("links", "i8"),  # by channel: the link's address, 0 where the bot is not attached
        ("requests", "i8"),  # by channel: the request queue's descriptor
        ("responses", "i8"),
        ("instruments", "i8"),  # by asset: whether the bot trades it
        ("orders", "i8"),  # requests and executions so far
        ("fills", "i8"),
    ],
    align=True,
)
"""A bot of the run; its number is the number of its lanes."""

play_dtype = np.dtype(
    [
        ("engine", "i8"),
        ("bots", "i8"),
        ("num_bots", "i8"),  # the highest number of a bot so far, and one
        ("num_channels", "i8"),
        ("rings", "i8"),  # by channel
        ("slowest", "i8"),  # by channel: how far the slowest bot had read when last looked at
        ("asset_channels", "i8"),  # by asset
        ("awaited", "i8"),  # by asset: whether an answer of its exchange would wake a bot
        ("clock", "i8"),
        ("doorbell_fd", "i8"),
        ("attention", "i8"),  # set by the other thread: return at once
        ("now_ns", "i8"),
        ("limit_ns", "i8"),
        ("publishing", "i8"),  # whether what may be seen up to limit_ns is on its way into the rings
        ("rows", "i8"),  # published
        ("spin_ns", "i8"),  # at most
        ("spin_now_ns", "i8"),
        ("rests", "i8"),
        ("broken", "i8"),
        ("speed", "f8"),  # 0 in lockstep
        ("wall_start_ns", "i8"),
        ("sim_start_ns", "i8"),
        ("held_up_by", "i8"),  # 1 + the bot that the run waits for, 0 if none
    ],
    align=True,
)

ATTENTION = offset_of(play_dtype, "attention")

play_at = record_at(play_dtype)
bot_at = record_at(bot_dtype)
BOT_BYTES = bot_dtype.itemsize
