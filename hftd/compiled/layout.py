"""The memory that a strategy's `hbt` points to: one layout for backtest, replay and live.

::

    session ──┬─ clock, table of functions (send, advance, ...), the backend's own state
              └─ assets ─┬─ asset 0 ─┬─ book: best prices, quantities by tick, far levels
                         │           ├─ state values, last trades, latencies, fills
                         │           └─ orders: pool of records, index by id, list by age
                         └─ asset 1 ...

Because the layout is one, a strategy compiles once and the same machine code runs everywhere. What differs is
behind two function pointers: `send` hands a request to the exchange side or the request ring, and `advance`
lets time pass. All fields are 8 bytes wide unless they are named otherwise; addresses are int64.
"""

from typing import Any

import numpy as np
from msgspec import Struct

from hftd.types import state_values_dtype
from hftd.wire import OrderUpdate, Submit, columns

MAX_ORDERS = 1 << 20
"""Orders that the local side keeps for each asset, inactive ones included; then a submit returns a code."""

MAX_LAST_TRADES = 1 << 22
"""Trades kept for each asset until `clear_last_trades`; the oldest stay, later ones are dropped and counted."""

MAX_USER_EVENTS = 1 << 22
"""The most user events that can be kept for each asset until `clear_user_events`."""

WINDOW_TICKS = 1 << 22
"""Prices kept in plain arrays, for each side; those beyond it are far levels."""

MAX_FAR_LEVELS = 1 << 20
"""Far levels kept for each side; one more is dropped and counted."""

MAX_MARKET_ORDERS = 1 << 20
"""Orders of the market that a book made from single orders holds at one time; one more is dropped and counted."""

book_dtype = np.dtype(
    [
        ("best_bid_tick", "i8"),
        ("best_ask_tick", "i8"),
        ("tick_size", "f8"),
        ("lot_size", "f8"),
        # Quantities by tick for base_tick <= tick < base_tick + window_ticks; window_ticks is 0 until the base is set.
        ("bids", "i8"),
        ("asks", "i8"),
        ("base_tick", "i8"),
        ("window_ticks", "i8"),
        # Every level of a side lies within these ticks, as far as the window goes.
        ("low_bid_tick", "i8"),
        ("high_bid_tick", "i8"),
        ("low_ask_tick", "i8"),
        ("high_ask_tick", "i8"),
        # Far levels: sorted arrays of ticks and of quantities.
        ("far_bid_ticks", "i8"),
        ("far_bid_qtys", "i8"),
        ("far_bids", "i8"),
        ("far_ask_ticks", "i8"),
        ("far_ask_qtys", "i8"),
        ("far_asks", "i8"),
        ("far_dropped", "i8"),
        # Ticks outside the range of interest are ignored.
        ("roi_lb_tick", "i8"),
        ("roi_ub_tick", "i8"),
        ("fn_far_qty", "i8"),
        ("fn_write_levels", "i8"),
        ("market_orders", "i8"),  # of a book that is made from single orders: its orders; otherwise 0
        ("not_valid", "i8"),  # BY_* bits: who says that it is not; 0 in a backtest
    ],
    align=True,
)

level_dtype = np.dtype([("tick", "i8"), ("qty", "f8")])
"""What `hftd.book.book.write_levels` writes."""

index_dtype = np.dtype(
    [
        ("entries", "i8"),  # pairs of (id, slot + 1); slot + 1 is 0 where empty
        ("spare", "i8"),  # as large: the index grows from one into the other
        ("bits", "i8"),  # log2 of the number of entries in use
        ("count", "i8"),
    ],
    align=True,
)
"""An index from order ids to slots of a pool."""

market_order_dtype = np.dtype(
    [
        ("order_id", "i8"),
        ("side", "i8"),  # 0: the record is free
        ("price_tick", "i8"),
        ("qty", "f8"),
        (
            "arrival",
            "i8",
        ),  # its number among all that joined a queue: at one price the lower one stands ahead
        ("filled_qty", "f8"),  # what fills told since the order's quantity was told last
        ("next_free", "i8"),
    ],
    align=True,
)
"""An order of the market, in a book that is made from single orders."""

market_orders_dtype = np.dtype(
    [
        ("pool", "i8"),
        ("used_slots", "i8"),
        ("free", "i8"),
        ("count", "i8"),
        ("arrivals", "i8"),  # numbers given out
        ("index", index_dtype),
        # Rows that were left out.
        ("unknown", "i8"),  # of an order that is not there
        ("duplicates", "i8"),  # an order that is there was added
        ("sideless", "i8"),  # an order of neither side was added
        ("dropped", "i8"),  # there was no room for it
        ("fn_apply_rows", "i8"),
    ],
    align=True,
)

order_dtype = np.dtype(
    [
        ("qty", "f8"),
        ("leaves_qty", "f8"),
        ("exec_qty", "f8"),
        ("exec_price_tick", "i8"),
        ("price_tick", "i8"),
        ("tick_size", "f8"),
        ("exch_timestamp", "i8"),
        ("local_timestamp", "i8"),
        ("order_id", "i8"),
        ("maker", "i8"),
        ("order_type", "i8"),
        ("req", "i8"),
        ("status", "i8"),
        ("side", "i8"),
        ("time_in_force", "i8"),
        # As they were before the modification under way, to go back to when it is refused.
        ("prior_price_tick", "i8"),
        ("prior_qty", "f8"),
        ("reason", "i8"),  # why it was refused or ended, REASON_*
        # The list of orders from the oldest to the newest, by address.
        ("next", "i8"),
        ("prev", "i8"),
        ("slot", "i8"),
    ],
    align=True,
)

orders_dtype = np.dtype(
    [
        ("pool", "i8"),
        ("used_slots", "i8"),  # slots that were ever used
        ("free", "i8"),  # a list of freed records through their `next`
        ("first", "i8"),
        ("last", "i8"),
        ("count", "i8"),
        ("inactive", "i8"),
        ("cursor", "i8"),  # the iterator handed out last, see `cursors`
        ("cursors", "i8", (8,)),
        ("index", index_dtype),
    ],
    align=True,
)

asset_dtype = np.dtype(
    [
        ("book", book_dtype),
        ("state", state_values_dtype),
        ("orders", orders_dtype),
        ("trades", "i8"),
        ("trades_len", "i8"),
        ("trades_cap", "i8"),
        ("trades_dropped", "i8"),
        ("user_events", "i8"),
        ("user_events_len", "i8"),
        ("user_events_cap", "i8"),
        ("user_events_dropped", "i8"),
        ("feed_seen", "i8"),
        ("feed_exch_ts", "i8"),
        ("feed_local_ts", "i8"),
        ("order_seen", "i8"),
        ("order_req_ts", "i8"),
        ("order_exch_ts", "i8"),
        ("order_resp_ts", "i8"),
        ("fills", "i8"),
        ("fills_len", "i8"),
        ("fills_cap", "i8"),
        ("fills_dropped", "i8"),
        ("rows", "i8"),  # rows of market data applied
        ("asset_no", "i8"),
        ("arrived", "i8"),  # bits of what came during the last wait
        ("disconnected", "i8"),  # BY_* bits: why new orders do not get through; 0 in a backtest
        # Recorded order latencies: rows of latency_dtype, whose padding holds the reason of a refusal.
        ("latencies", "i8"),
        ("latencies_len", "i8"),
        ("latencies_cap", "i8"),
        ("latencies_dropped", "i8"),
        ("fills_missed", "i8"),  # executions that only the account's state told of, after a daemon's restart
        ("fn_find_order", "i8"),
    ],
    align=True,
)

session_dtype = np.dtype(
    [
        ("now_ns", "i8"),
        ("start_ns", "i8"),  # what the clock showed first
        ("num_assets", "i8"),
        ("assets", "i8"),
        # What a strategy calls.
        ("fn_elapse", "i8"),
        ("fn_wait_next_feed", "i8"),
        ("fn_wait_order_response", "i8"),
        ("fn_submit", "i8"),
        ("fn_modify", "i8"),
        ("fn_cancel", "i8"),
        ("fn_clear_inactive_orders", "i8"),
        ("fn_clear_last_trades", "i8"),
        ("fn_clear_user_events", "i8"),
        ("fn_goto_end", "i8"),
        ("fn_alert", "i8"),
        ("fn_close", "i8"),
        ("fn_take_parameters", "i8"),
        # What the backend provides.
        ("fn_begin", "i8"),
        ("fn_advance", "i8"),
        ("fn_send", "i8"),
        ("fn_drain", "i8"),  # of a bot: apply what has arrived
        ("backend", "i8"),
        ("notes", "i8"),  # where hooks are told, 0 for nowhere
        ("portfolio", "i8"),  # limits over all assets, 0 for none
        ("fn_refuses", "i8"),
        ("parameters", "i8"),  # those that are set while the strategy runs, 0 for none
        # Sampling of records while time passes.
        ("record", "i8"),  # the address of a recorder, 0 for none
        ("record_interval_ns", "i8"),
        ("record_next_ns", "i8"),
        ("fn_record", "i8"),
        # Recorded requests: rows of request_row_dtype.
        ("requests", "i8"),
        ("requests_len", "i8"),
        ("requests_cap", "i8"),
        ("requests_dropped", "i8"),
        ("closed", "i8"),
        ("stop", "i8"),  # set from outside: whatever lets time pass returns 1
        ("ended", "i8"),  # the data is over
        ("wrong_asset", "i8"),  # an asset's number that the bot does not have, given by the strategy
        ("wrong_assets", "i8"),  # how often
        ("number", "i8"),  # of the run, in this process: from 1 on
    ],
    align=True,
)

recorder_dtype = np.dtype(
    [
        ("records", "i8"),
        ("num_assets", "i8"),
        ("len", "i8"),
        ("cap", "i8"),
        ("dropped", "i8"),
        ("fn_record", "i8"),
        ("run", "i8"),  # the number of the session that was recorded last, 0 for none
    ],
    align=True,
)


def _as_words(kind: type[Struct]) -> list[tuple[str, Any]]:
    """The fields of a message: ids as the int64 with their bits, the account's values as one record `state`."""
    account = state_values_dtype.names
    assert account is not None
    fields: list[tuple[str, Any]] = []
    for name, code in columns(kind):
        if name == account[0]:
            fields.append(("state", state_values_dtype))
        elif name not in account:
            fields.append((name, "f8" if code == "f8" else "i8"))
    return fields


update_dtype = np.dtype([("arrive_ts", "i8"), *_as_words(OrderUpdate)], align=True)
"""What the exchange side tells the local side about an order: when it arrives, and the channel's OrderUpdate. The
account's values are absolute, after the execution."""

request_dtype = np.dtype([("arrive_ts", "i8"), ("kind", "i8"), *_as_words(Submit)], align=True)
"""What the local side asks of the exchange side: NEW, CANCELED or REPLACED (`kind`), and the channel's Submit."""

# How `advance` waits, beside the time: for what it returns early.
WAIT_TIME = 0
WAIT_FEED = 1
WAIT_FEED_OR_RESPONSE = 2
WAIT_RESPONSE = 3

# Bits of a book's `not_valid` and of `disconnected`: who says so.
BY_DAEMON = 1
BY_BOT = 2  # it has lost its daemon, or waits for a fresh book, or its daemon stands still
BY_HALT = 4  # of `disconnected` alone: the way is there, and the daemon takes no new orders

# Bits of `arrived`.
ARRIVED_FEED = 1
ARRIVED_RESPONSE = 2


def offset_of(dtype: np.dtype[Any], path: str) -> int:
    """The offset in bytes of a field, through nested records: `offset_of(asset_dtype, "book.best_bid_tick")`."""
    offset = 0
    for name in path.split("."):
        fields = dtype.fields
        if fields is None or name not in fields:
            raise KeyError(path)
        dtype, inner = fields[name][:2]  # pyright: ignore[reportArgumentType]
        offset += inner
    return offset
