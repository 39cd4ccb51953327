"""The engine's memory.

::

    engine ── assets ─┬─ exchange side of asset 0 ─┬─ book at the exchange's time, stream of its events
                      │                            ├─ own orders: pool; buys and sells sorted by price
                      │                            └─ lanes, one a bot: latency, buses, account, index of orders
                      └─ exchange side of asset 1 ...

A lane is what one bot has at one asset's exchange: its orders in flight and its account. Bots do not see or disturb
each other, so a run with two bots gives each what it would have had alone.
"""

import math

import numpy as np

from hftd.compiled.layout import book_dtype, index_dtype, offset_of, request_dtype, update_dtype  # noqa: F401
from hftd.types import INVALID_MAX, INVALID_MIN, state_values_dtype

MAX_REQUESTS = 1 << 16
"""Requests on their way, for each lane; one more is refused with a code."""

MAX_TURNS = 64
"""Moments, for each asset, at which it is known that the book will be lost or back. An archive tells of them before
whoever listens knows: by the latency of the feed and the offset that a run adds to it. Where more windows wait for
their time than have room, those that have none are one with the window before."""

MAX_ANSWERS = 1 << 18
"""Answers on their way, for each lane. Since none may be lost, one more ends a backtest with an error, and
a bot's part in a replay."""

CHUNK_ROWS = 1 << 14
"""Rows prepared at a time: the columns stay in the processor's cache."""

# What a segment's rows are.
SEG_OTHER = 0
SEG_BIDS = 1
SEG_ASKS = 2
SEG_BUY_TRADES = 3
SEG_SELL_TRADES = 4
SEG_TRADES = 5  # without a side
SEG_FAR_BIDS = 6
SEG_FAR_ASKS = 7
SEG_CLEAR_BIDS = 8
SEG_CLEAR_ASKS = 9
SEG_CLEAR = 10
SEG_USER = 11  # user events that the local side sees; a book that is lost or back, on both sides
SEG_ORDERS = 12  # single orders of the market: added, cancelled, modified and filled ones, as they come

segment_dtype = np.dtype(
    [
        ("ts", "i8"),  # when this side sees the rows
        ("first_kind", "i8"),  # 16 * (number of the first row's column entry) + SEG_*
        ("exch_ts", "i8"),  # of the last row
        ("row", "i8"),  # the first row, in bytes from the stream's `rows_base` on
    ],
    align=True,
)
"""Rows in a row that are seen at one time and are of one kind."""

stream_dtype = np.dtype(
    [
        # The segments that are prepared, and the next to be processed.
        ("next_ts", "i8"),  # INVALID_MAX at the end of the data
        ("segment", "i8"),  # address of the next segment
        ("segments_end", "i8"),  # behind the last; there is one more record there, to tell its rows' end
        ("ticks", "i8"),
        ("qtys", "i8"),
        ("rows_base", "i8"),  # 0 where segments tell their rows' addresses
        # Where they are made from, and how many rows at a time.
        ("chunk_rows", "i8"),
        ("buffer_segments", "i8"),
        ("buffer_ticks", "i8"),
        ("buffer_qtys", "i8"),
        ("row", "i8"),  # address of the next raw row
        ("rows_end", "i8"),
        ("file_no", "i8"),  # the number of the file whose rows these are
        ("is_local", "i8"),
        ("offset_ns", "i8"),  # added to local_ts
        ("last_ts", "i8"),  # of the last prepared row: times may not go back
        ("book", "i8"),  # the book that the rows go to: its window tells which levels are far
        ("kinds", "i8"),  # KINDS_*: which rows it takes
        ("ended", "i8"),
        ("error", "i8"),  # PREPARE_*, with the address of the offending row
        ("error_row", "i8"),
        ("rows_done", "i8"),  # prepared before this chunk
    ],
    align=True,
)
"""One side's view of an asset's events, prepared chunk by chunk."""

KINDS_OF_LEVELS = 0
KINDS_OF_ORDERS = 64
KINDS_OF_ORDERS_AT_EXCHANGE = 128  # where fills say what trades would

PREPARE_OK = 0
PREPARE_UNSORTED = 1
PREPARE_NOT_FINITE = 2
PREPARE_NEGATIVE_QTY = 3
PREPARE_NO_TIME = 4


own_order_dtype = np.dtype(
    [
        ("order_id", "i8"),
        ("lane", "i8"),  # address
        ("side", "i8"),
        ("price_tick", "i8"),
        ("qty", "f8"),
        ("leaves_qty", "f8"),
        ("order_type", "i8"),
        ("time_in_force", "i8"),
        ("local_ts", "i8"),
        ("status", "i8"),
        ("front_qty", "f8"),
        ("cum_trade_qty", "f8"),
        ("exec_price_tick", "i8"),
        ("exec_qty", "f8"),
        ("maker", "i8"),
        ("arrival", "i8"),  # its place among single orders, see `hftd.compiled.layout.market_order_dtype`
        # For a user's models.
        ("user0", "f8"),
        ("user1", "f8"),
        ("user2", "f8"),
        ("user3", "f8"),
        ("rests", "i8"),  # whether it has, or had until now, a place in a queue
        ("told_front_qty", "f8"),  # the quantity ahead as the order's life has it, see `sim.engine.life`
        ("slot", "i8"),
        ("next_free", "i8"),
    ],
    align=True,
)
"""An own order resting at the exchange."""

QUEUE_RISK_ADVERSE = 0
QUEUE_LOG = 1
QUEUE_LOG2 = 2
QUEUE_POWER = 3
QUEUE_POWER2 = 4
QUEUE_POWER3 = 5
QUEUE_CUSTOM = 6
QUEUE_L3_FIFO = 7
QUEUE_THROUGH = 8  # filled only when the market goes through the price
QUEUE_FRONT = 9  # always at the front

LATENCY_CONSTANT = 0
LATENCY_INTERPOLATED = 1
LATENCY_CUSTOM = 2

# Which way an order latency is of.
WAY_NEW = 0
WAY_MODIFY = 1
WAY_CANCEL = 2
WAY_RESPONSE = 3

ASSET_LINEAR = 0
ASSET_INVERSE = 1

FEE_ON_VALUE = 0
FEE_ON_QTY = 1
FEE_FLAT = 2
FEE_CUSTOM = 3

EXCHANGE_WHOLE_FILLS = 0
EXCHANGE_PARTIAL_FILLS = 1

# What the quantity of a modification is: that of the whole order, or what remains to be filled.
MODIFY_TOTAL = 0
MODIFY_REMAINDER = 1

latency_model_dtype = np.dtype(
    [
        ("model", "i8"),
        ("constant_ns", "i8"),
        ("rows", "i8"),
        ("count", "i8"),
        ("function", "i8"),
        ("state", "i8"),
    ],
    align=True,
)
"""How long one way takes; rows is the address of `latency_dtype` rows, function that of a user's model."""

market_dtype = np.dtype(
    [
        ("now_ns", "i8"),
        ("rows_seen", "i8"),
        ("best_bid_tick", "i8"),
        ("best_ask_tick", "i8"),
        ("tick_size", "f8"),
        ("lot_size", "f8"),
    ],
    align=True,
)
"""What a user's model is told of the market: the exchange's time, its best prices, and the rows of data so far."""

bus_dtype = np.dtype(
    [("entries", "i8"), ("head", "i8"), ("tail", "i8"), ("last_ts", "i8"), ("head_ts", "i8")], align=True
)
"""A queue of what is on its way; head_ts is when the first arrives, INVALID_MAX if there is none."""

lane_dtype = np.dtype(
    [
        ("state", state_values_dtype),
        ("to_exch", bus_dtype),
        ("to_local", bus_dtype),
        ("index", index_dtype),
        ("latency_rows", "i8", (4,)),  # by WAY_*: where the search goes on
        ("instrument", "i8"),
        ("bot", "i8"),
        ("active", "i8"),
        ("open_orders", "i8"),
        ("to_fill_qty", "f8"),  # what the event that is processed still has for its orders
        ("last_fee", "f8"),  # of the last execution
        ("life", "i8"),  # where the life of its orders is kept, a record of `life_rows_dtype`; 0 for nowhere
        ("pulls_quotes", "i8"),  # whether its orders end while the book is lost
        ("pull_waits", "i8"),  # whether to ask for that once there is room on the way
    ],
    align=True,
)

life_rows_dtype = np.dtype(
    [
        ("rows", "i8"),  # of `hftd.hbt.life.life_dtype`, by address
        ("count", "i8"),
        ("cap", "i8"),
        ("dropped", "i8"),
        ("asset", "i8"),
        ("bot", "i8"),
    ],
    align=True,
)
"""The life of one bot's orders at one asset's exchange, in the order in which it was noted."""

noting_dtype = np.dtype(
    [
        ("fn_order", "i8"),
        ("fn_queue", "i8"),
        ("fn_request", "i8"),
        ("fn_answer", "i8"),
        ("fn_market", "i8"),
        # Of single orders: how one stood before a row changed it, and which of them was filled last.
        ("side", "i8"),
        ("price_tick", "i8"),
        ("qty", "f8"),
        ("arrival", "i8"),
        ("level_qty", "f8"),
        ("best_bid_tick", "i8"),
        ("best_ask_tick", "i8"),
        ("filled_id", "i8"),
        ("filled", "i8"),
    ],
    align=True,
)
"""What an exchange's side needs to note the life of orders: functions by address, and a note of its own."""

MODEL_FUNCTIONS = ("enter", "trade", "depth", "reached", "fee", "entry", "response", "admit", "cross")
"""The functions of a user's models."""
LATENCY_FAILED = INVALID_MIN
QTY_FAILED = -math.inf
"""What :mod:`sim.model.guard` gives for the latency and the quantity of a function that failed."""

exchange_dtype = np.dtype(
    [
        ("book", book_dtype),
        ("stream", stream_dtype),
        ("lanes", "i8"),
        ("num_lanes", "i8"),
        (
            "next_request_ts",
            "i8",
        ),  # when something but data happens next: a request, or the book is lost or back
        ("error", "i8"),
        ("answers", "i8"),  # given so far, to all lanes
        # Own orders: sorted by price, then by queue place.
        ("pool", "i8"),
        ("used_slots", "i8"),
        ("free", "i8"),
        ("buy_ticks", "i8"),
        ("buy_orders", "i8"),
        ("buys", "i8"),
        ("sell_ticks", "i8"),
        ("sell_orders", "i8"),
        ("sells", "i8"),
        # Models.
        ("queue_model", "i8"),
        ("queue_power", "f8"),
        ("latencies", latency_model_dtype, (4,)),  # by WAY_*
        ("latency_factor", "f8"),  # every order latency is multiplied by it
        ("exchange_model", "i8"),
        ("modify_model", "i8"),
        ("share_trades", "i8"),  # a bot's orders at one price share a trade's quantity
        ("asset_model", "i8"),
        ("contract_size", "f8"),
        ("fee_model", "i8"),
        ("maker_fee", "f8"),
        ("taker_fee", "f8"),
        ("buyer_fee", "f8"),  # of the value, in addition
        ("seller_fee", "f8"),
        # A user's models: functions and their states by address, 0 where there is none.
        ("market", market_dtype),
        ("fn_fee", "i8"),
        ("fee_state", "i8"),
        ("fn_queue_enter", "i8"),
        ("fn_queue_trade", "i8"),
        ("fn_queue_depth", "i8"),
        ("fn_queue_reached", "i8"),
        ("queue_state", "i8"),
        ("fn_admit", "i8"),
        ("fn_cross", "i8"),
        ("exchange_state", "i8"),
        ("failed_function", "i8"),  # 1 and the number among MODEL_FUNCTIONS of the one that ended the run
        ("fn_orders", "i8"),  # where the market is known order by order: (exchange, rows, count, now_ns)
        ("life", "i8"),  # a record of `noting_dtype`; 0 where the life of orders is not noted
        ("book_lost", "i8"),  # whether those who listen know that something is missing of the recorded book
        ("next_turn_ts", "i8"),  # when that changes next; NEVER if it is not known to
        ("turns", "i8", (MAX_TURNS,)),  # all known moments at which it does, around and around
        ("turns_head", "i8"),
        ("turns_tail", "i8"),
    ],
    align=True,
)

engine_dtype = np.dtype(
    [
        ("num_assets", "i8"),
        ("exchanges", "i8"),
        ("locals", "i8"),  # streams of the local side
        ("fn_next_file", "i8"),  # (engine, asset_no, is_local) -> 0, or 1 if there is none, or an error
        ("fn_prepare", "i8"),
        ("fn_advance_exchange", "i8"),
        ("fn_advance_local", "i8"),
        ("fn_failed", "i8"),  # (engine) -> 0: called once, when an error ends a backtest; 0 for none
        ("error", "i8"),
    ],
    align=True,
)

REQUEST_BYTES = request_dtype.itemsize
UPDATE_BYTES = update_dtype.itemsize
NEVER = INVALID_MAX
