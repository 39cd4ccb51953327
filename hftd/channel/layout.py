"""The layout of a channel's memory: offsets, sizes, versions. Both sides take them from here.

All words are int64 in the machine's byte order unless said otherwise; all pieces are memfds. Words that
different sides write while trading lie `LINE` bytes apart, so that no two sides write one cache line (or one
pair of lines, which processors prefetch together).

Clock page, one a daemon or run; the bots may only read it::

    0    magic | version | clock_id | mode | pid                 written once
    128  now_ns                                                  the daemon
    256  ended                                                   the daemon, once
    264  parties: processes that take turns                      the daemon
    384  stamp: the last one given                               the daemon
    512  alive: since boot, when it was last at work             a connector

Market ring, one a channel; the bots may only read it::

    0    magic | version | capacity | lossless | pid             written once
    128  tail_intent | claimed | claimed_end                     the producer, before it writes a frame
    256  tail                                                    the producer, after it wrote a frame
    384  records | rows | daemon's own counters ...              the producer
    4096 data, `capacity` bytes (a power of two)

Link, one a bot and channel; both may write it::

    0    magic | version | request capacity | response capacity  written once by the daemon
    128  market_cursor                                           the bot
    256  request tail                                            the bot
    384  request head                                            the daemon
    512  response tail                                           the daemon
    640  response head                                           the bot
    768  daemon_asleep                                           the daemon; the bot clears it as it rings
    896  the bot's counters                                      the bot
    1024 the daemon's counters                                   the daemon
    4096 request data, then response data

Bot page, one a bot, made by the bot; all its daemons may write it::

    0    magic | version | pid                                   written once by the bot
    128  wake (u32, a futex)                                     whoever wakes the bot
    256  bot_asleep                                              the bot
    384  wait_seq | wait_until_ns | wait_flags | wait_instrument | wait_order_id | steps      the bot
    512  granted_seq: of the wait answered; negative: the end    the replay daemon
    520  over: the lease was taken from a bot that hung          a connector, once
    640  stop | compiling: odd while the bot's process compiles  the bot's main thread
    768  lapped | records | rows                                 the bot

A frame in any of the rings, `16 + round_up_8(length)` bytes, never wrapped::

    0           4        8             16                                            size
    | length u32 | kind u32 | stamp i64 | padding, 0 to 7 bytes | message, `length` bytes |

The message ends on an 8-byte boundary, so the rows that are the last field of a Feed begin on one. Where a
frame does not fit before the end of the buffer, a filler closes it: its length word holds the bytes to the
end, its kind is `KIND_FILLER`, and the rest (with eight bytes left, even the stamp) is not there.

Positions (tail, head, cursor) count bytes since the ring was made and only grow; the place in the buffer is
`position & (capacity - 1)`.
"""

from typing import Final

from hftd.rows import ROW_BYTES
from hftd.wire import PROTOCOL_VERSION as PROTOCOL_VERSION

LINE: Final = 128
PAGE_BYTES: Final = 4096
HEADER_BYTES: Final = 4096

# What every piece begins with.
MAGIC: Final = 0
VERSION: Final = 8

CLOCK_MAGIC: Final = int.from_bytes(b"hftdclok", "little")
MARKET_MAGIC: Final = int.from_bytes(b"hftdmark", "little")
LINK_MAGIC: Final = int.from_bytes(b"hftdlink", "little")
BOT_MAGIC: Final = int.from_bytes(b"hftdbot.", "little")

# Clock page.
CLOCK_ID: Final = 16
CLOCK_MODE: Final = 24
CLOCK_PID: Final = 32
CLOCK_NOW_NS: Final = 128
CLOCK_PARTIES: Final = 264
"""Daemon and bots of a replay that wait for each other: more of them than processors had better not spin."""
CLOCK_STAMP: Final = 384
CLOCK_ALIVE_NS: Final = 512
"""Of the machine's time since boot, a hundred times a second; 0 for a daemon that does not say."""
MODE_SYSTEM: Final = 0
MODE_SIMULATED: Final = 1

# Market ring.
MARKET_CAPACITY: Final = 16
MARKET_LOSSLESS: Final = 24
MARKET_PID: Final = 32
MARKET_TAIL_INTENT: Final = 128
MARKET_CLAIMED: Final = 136
MARKET_CLAIMED_END: Final = 144
MARKET_TAIL: Final = 256
MARKET_RECORDS: Final = 384
MARKET_ROWS: Final = 392
MARKET_DATA: Final = HEADER_BYTES
MARKET_BYTES: Final = 16 << 20
"""The usual capacity of a market ring."""

# Link.
LINK_REQUEST_CAPACITY: Final = 16
LINK_RESPONSE_CAPACITY: Final = 24
LINK_MARKET_CURSOR: Final = 128
LINK_REQUEST_TAIL: Final = 256
LINK_REQUEST_HEAD: Final = 384
LINK_RESPONSE_TAIL: Final = 512
LINK_RESPONSE_HEAD: Final = 640
LINK_DAEMON_ASLEEP: Final = 768
LINK_DATA: Final = HEADER_BYTES
REQUEST_BYTES: Final = 256 << 10
"""The usual capacity of a request ring: about 5,000 orders that the daemon has not read yet."""
RESPONSE_BYTES: Final = 4 << 20
"""The usual capacity of a response ring: books of a newcomer and about 30,000 order updates."""

# Bot page.
BOT_PID: Final = 16
BOT_WAKE: Final = 128
BOT_ASLEEP: Final = 256
BOT_WAIT_SEQ: Final = 384
BOT_WAIT_UNTIL_NS: Final = 392
BOT_WAIT_FLAGS: Final = 400
BOT_WAIT_INSTRUMENT: Final = 408
BOT_WAIT_ORDER_ID: Final = 416
BOT_STEPS: Final = 424
"""Grows whenever the strategy asks to wait, and ten times a second while it waits; 0 before the first time."""
BOT_GRANTED_SEQ: Final = 512
BOT_OVER: Final = 520
BOT_STOP: Final = 640
BOT_COMPILING: Final = 648
BOT_LAPPED: Final = 768
BOT_RECORDS: Final = 776
BOT_ROWS: Final = 784

# Bits of wait_flags.
WAIT_FEED: Final = 1
WAIT_ANY_ORDER: Final = 2
WAIT_ONE_ORDER: Final = 4

# Frames.
FRAME_LENGTH: Final = 0
FRAME_KIND: Final = 4
FRAME_STAMP: Final = 8
FRAME_HEADER: Final = 16
KIND_MESSAGE: Final = 0
KIND_FILLER: Final = 1

MAX_ROWS: Final = 1024
"""Rows of one Feed at most; a publisher splits what is longer."""
MAX_MESSAGE_BYTES: Final = MAX_ROWS * ROW_BYTES + 64
"""No message is longer; the least size of the scratch buffer that a consumer copies frames to."""
MIN_RING_BYTES: Final = 64
MAX_RING_BYTES: Final = 1 << 32
MAX_BOTS: Final = 64
"""Bots of one channel at most; the next is refused."""

# What reading a ring gives.
NOTHING: Final = 0
MESSAGE: Final = 1
LAPPED: Final = 2
BROKEN: Final = -1
"""The ring holds what no writer of ours writes: the reader gives the link up."""
