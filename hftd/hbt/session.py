"""What a strategy calls, in compiled code, whatever is behind it.

A backend (the engine in a backtest, the channels in a bot) provides three functions by address:

- `begin(session)`: called once, before time first passes or an order is first sent; sets the clock. Returns 0 or 1
  (no data).
- `advance(session, until_ns, wait, asset_no, order_id)`: lets time pass until then, or until what `wait` names
  (`WAIT_*` of :mod:`hftd.compiled.layout`); applies to the local side all that arrives meanwhile, and sets the clock.
- `send(session, asset_no, order, kind)`: hands on the request NEW, CANCELED or REPLACED for a local order.

Each returns 0 or a code of :mod:`hftd.types`.
"""

# pyright: basic

from hftd.compiled.jit import Kernel, inline, kernel
from hftd.compiled.layout import (
    WAIT_FEED,
    WAIT_FEED_OR_RESPONSE,
    WAIT_RESPONSE,
    WAIT_TIME,
    asset_dtype,
    recorder_dtype,
    session_dtype,
)
from hftd.compiled.native import call_code, record_at, round_away, store_i64
from hftd.compiled.row_access import is_tick
from hftd.hbt.orders import asset_at, clear_inactive, find_order, new_order, order_at, remove_order
from hftd.parameters.shared import take
from hftd.rows import LOTS_MAX, Address, Ns
from hftd.types import (
    ALL_ASSETS,
    CANCELED,
    END_OF_DATA,
    ERR_INVALID_REQUEST,
    ERR_NO_SUCH_ASSET,
    ERR_ORDER_ID_EXISTS,
    ERR_ORDER_NOT_FOUND,
    ERR_PORTFOLIO_LIMIT,
    ERR_REQUEST_IN_PROCESS,
    ERR_TOO_MANY_ORDERS,
    GTC,
    INVALID_MAX,
    INVALID_MIN,
    IOC,
    LIMIT,
    MARKET,
    NEW,
    NONE,
    REPLACED,
    UNTIL_END_OF_DATA,
    record_dtype,
    request_row_dtype,
)

session_at = record_at(session_dtype)
recorder_at = record_at(recorder_dtype)
record_row_at = record_at(record_dtype)
request_row_at = record_at(request_row_dtype)

ASSET_BYTES = asset_dtype.itemsize
_RECORD_BYTES = record_dtype.itemsize
_REQUEST_ROW_BYTES = request_row_dtype.itemsize


@inline
def asset_address(session: Address, asset_no: int):
    """The address of an asset of a session."""
    return session_at(session).assets + asset_no * ASSET_BYTES


@inline
def _after(now_ns: Ns, duration_ns: Ns):
    """Now + duration, held at the end of time."""
    if now_ns > 0 and duration_ns > UNTIL_END_OF_DATA - now_ns:
        return UNTIL_END_OF_DATA
    return now_ns + duration_ns


@inline
def _begin(session: Address):
    s = session_at(session)
    if s.now_ns != INVALID_MAX:
        return 0
    return call_code(s.fn_begin, (session,))


@inline
def _advance(session: Address, until_ns: Ns, wait: int, asset_no: int, order_id: int):
    s = session_at(session)
    if s.stop != 0:
        return END_OF_DATA
    code = call_code(s.fn_advance, (session, until_ns, wait, asset_no, order_id))
    if code == END_OF_DATA and s.stop == 0:
        s.ended = 1
    if s.now_ns >= s.record_next_ns:
        call_code(s.fn_record, (s.record, session))
        interval = s.record_interval_ns
        s.record_next_ns = (s.now_ns // interval + 1) * interval
    return code


@inline
def _note_request(session: Address, asset_no: int, address: Address, kind: int) -> None:
    """Keep what was sent, if it is wanted."""
    s = session_at(session)
    if s.requests_cap == 0:
        return
    if s.requests_len >= s.requests_cap:
        s.requests_dropped += 1
        return
    order = order_at(address)
    row = s.requests + s.requests_len * _REQUEST_ROW_BYTES
    r = request_row_at(row)
    r.timestamp = order.local_timestamp
    r.asset_no = asset_no
    # Copied as bits: the id is unsigned in the file.
    store_i64(row + 16, order.order_id)
    r.kind = kind
    r.side = order.side
    r.price = order.price_tick * order.tick_size
    r.qty = order.qty
    s.requests_len += 1


@kernel("int64(int64, int64)")
def elapse(session: Address, duration_ns: Ns) -> int:
    """Let time pass. Returns 0, or `END_OF_DATA`."""
    code = _begin(session)
    if code != 0:
        return code
    if duration_ns < 0:
        return ERR_INVALID_REQUEST
    return _advance(session, _after(session_at(session).now_ns, duration_ns), WAIT_TIME, 0, 0)


@kernel("int64(int64, int64, int64)")
def wait_next_feed(session: Address, include_order_response: int, timeout_ns: Ns) -> int:
    """Wait for market data, and for answers to orders if they are wanted. Returns what came."""
    code = _begin(session)
    if code != 0:
        return code
    if timeout_ns < 0:
        return ERR_INVALID_REQUEST
    wait = WAIT_FEED_OR_RESPONSE if include_order_response != 0 else WAIT_FEED
    return _advance(session, _after(session_at(session).now_ns, timeout_ns), wait, 0, 0)


@kernel("int64(int64, int64, int64, int64)")
def wait_order_response(session: Address, asset_no: int, order_id: int, timeout_ns: Ns) -> int:
    """Wait for the answer to an order of that id. Returns 0 on it and on timeout."""
    code = _begin(session)
    if code != 0:
        return code
    if asset_no < 0 or asset_no >= session_at(session).num_assets:
        return ERR_NO_SUCH_ASSET
    if timeout_ns < 0:
        return ERR_INVALID_REQUEST
    until = _after(session_at(session).now_ns, timeout_ns)
    return _advance(session, until, WAIT_RESPONSE, asset_no, order_id)


@kernel("int64(int64)")
def goto_end(session: Address) -> int:
    """Let time pass until the data ends."""
    code = _begin(session)
    if code != 0:
        return code
    return _advance(session, UNTIL_END_OF_DATA, WAIT_TIME, 0, 0)


@kernel("int64(int64, int64, int64, int64, float64, float64, int64, int64, int64)")
def submit(
    session: Address,
    asset_no: int,
    order_id: int,
    side: int,
    price: float,
    qty: float,
    time_in_force: int,
    order_type: int,
    wait: int,
) -> int:
    """Send a new order, and wait for its answer if that is wanted."""
    s = session_at(session)
    if asset_no < 0 or asset_no >= s.num_assets:
        return ERR_NO_SUCH_ASSET
    code = _begin(session)
    if code != 0:
        return code
    asset = asset_address(session, asset_no)
    if find_order(asset, order_id) != 0:
        return ERR_ORDER_ID_EXISTS
    if not qty > 0.0 or time_in_force < GTC or time_in_force > IOC:
        return ERR_INVALID_REQUEST
    if not qty / asset_at(asset).book.lot_size < LOTS_MAX:
        return ERR_INVALID_REQUEST
    ticks = price / asset_at(asset).book.tick_size
    if order_type == MARKET:
        # The price of a market order means nothing; what can't be a price becomes 0.
        if not is_tick(ticks):
            ticks = 0.0
    elif order_type != LIMIT or not is_tick(ticks):
        return ERR_INVALID_REQUEST
    if s.portfolio != 0:
        own_price = round_away(ticks) * asset_at(asset).book.tick_size
        if call_code(s.fn_refuses, (s.portfolio, asset_no, side, qty, own_price)) != 0:
            return ERR_PORTFOLIO_LIMIT
    order = new_order(asset, order_id, side, round_away(ticks), qty, time_in_force, order_type, s.now_ns)
    if order == 0:
        return ERR_TOO_MANY_ORDERS
    code = call_code(s.fn_send, (session, asset_no, order, NEW))
    if code != 0:
        remove_order(asset, order)
        return code
    _note_request(session, asset_no, order, NEW)
    if wait != 0:
        return _advance(session, UNTIL_END_OF_DATA, WAIT_RESPONSE, asset_no, order_id)
    return 0


@kernel("int64(int64, int64, int64, float64, float64, int64)")
def modify(session: Address, asset_no: int, order_id: int, price: float, qty: float, wait: int) -> int:
    """Ask for another price and quantity of an order; the local order shows them until the answer comes."""
    s = session_at(session)
    if asset_no < 0 or asset_no >= s.num_assets:
        return ERR_NO_SUCH_ASSET
    asset = asset_address(session, asset_no)
    address = find_order(asset, order_id)
    if address == 0:
        return ERR_ORDER_NOT_FOUND
    order = order_at(address)
    if order.req != NONE:
        return ERR_REQUEST_IN_PROCESS
    ticks = price / asset_at(asset).book.tick_size
    if not (qty > 0.0 and qty / asset_at(asset).book.lot_size < LOTS_MAX):
        return ERR_INVALID_REQUEST
    if not is_tick(ticks):
        return ERR_INVALID_REQUEST
    if s.portfolio != 0 and qty > order.leaves_qty:
        more_qty = qty - order.leaves_qty
        own_price = round_away(ticks) * asset_at(asset).book.tick_size
        if call_code(s.fn_refuses, (s.portfolio, asset_no, order.side, more_qty, own_price)) != 0:
            return ERR_PORTFOLIO_LIMIT
    prior_local_ts = order.local_timestamp
    order.prior_price_tick = order.price_tick
    order.prior_qty = order.qty
    order.price_tick = round_away(ticks)
    order.qty = qty
    order.req = REPLACED
    order.local_timestamp = s.now_ns
    code = call_code(s.fn_send, (session, asset_no, address, REPLACED))
    if code != 0:
        order.price_tick = order.prior_price_tick
        order.qty = order.prior_qty
        order.req = NONE
        order.local_timestamp = prior_local_ts
        return code
    _note_request(session, asset_no, address, REPLACED)
    if wait != 0:
        return _advance(session, UNTIL_END_OF_DATA, WAIT_RESPONSE, asset_no, order_id)
    return 0


@kernel("int64(int64, int64, int64, int64)")
def cancel(session: Address, asset_no: int, order_id: int, wait: int) -> int:
    """Ask for the end of an order."""
    s = session_at(session)
    if asset_no < 0 or asset_no >= s.num_assets:
        return ERR_NO_SUCH_ASSET
    address = find_order(asset_address(session, asset_no), order_id)
    if address == 0:
        return ERR_ORDER_NOT_FOUND
    order = order_at(address)
    if order.req != NONE:
        return ERR_REQUEST_IN_PROCESS
    prior_local_ts = order.local_timestamp
    order.req = CANCELED
    order.local_timestamp = s.now_ns
    code = call_code(s.fn_send, (session, asset_no, address, CANCELED))
    if code != 0:
        order.req = NONE
        order.local_timestamp = prior_local_ts
        return code
    _note_request(session, asset_no, address, CANCELED)
    if wait != 0:
        return _advance(session, UNTIL_END_OF_DATA, WAIT_RESPONSE, asset_no, order_id)
    return 0


@kernel("int64(int64, int64)")
def clear_inactive_orders(session: Address, asset_no: int) -> int:
    """Forget the orders of an asset, or of all, that are expired, filled or canceled."""
    s = session_at(session)
    if asset_no == ALL_ASSETS:
        for a in range(s.num_assets):
            clear_inactive(asset_address(session, a))
    elif 0 <= asset_no < s.num_assets:
        clear_inactive(asset_address(session, asset_no))
    else:
        return ERR_NO_SUCH_ASSET
    return 0


@kernel("int64(int64, int64)")
def clear_last_trades(session: Address, asset_no: int) -> int:
    """Empty the last trades of an asset, or of all."""
    s = session_at(session)
    if asset_no == ALL_ASSETS:
        for a in range(s.num_assets):
            asset_at(asset_address(session, a)).trades_len = 0
    elif 0 <= asset_no < s.num_assets:
        asset_at(asset_address(session, asset_no)).trades_len = 0
    else:
        return ERR_NO_SUCH_ASSET
    return 0


@kernel("int64(int64, int64)")
def clear_user_events(session: Address, asset_no: int) -> int:
    """Empty the user events of an asset, or of all."""
    s = session_at(session)
    if asset_no == ALL_ASSETS:
        for a in range(s.num_assets):
            asset_at(asset_address(session, a)).user_events_len = 0
    elif 0 <= asset_no < s.num_assets:
        asset_at(asset_address(session, asset_no)).user_events_len = 0
    else:
        return ERR_NO_SUCH_ASSET
    return 0


@kernel("int64(int64, int64)")
def find(asset: Address, order_id: int) -> int:
    """The address of an order by its id, 0 if there is none."""
    return find_order(asset, order_id)


@kernel("int64(int64)")
def close(session: Address) -> int:
    """Note that the strategy is done."""
    session_at(session).closed = 1
    return 0


@kernel("int64(int64, int64)")
def record(recorder, session):
    """Add a row for each asset to a recorder; when it is full, count what is left out. Returns 1 then."""
    r = recorder_at(recorder)
    if r.len >= r.cap:
        r.dropped += 1
        return 1
    s = session_at(session)
    r.run = s.number
    for asset_no in range(min(s.num_assets, r.num_assets)):
        a = asset_at(asset_address(session, asset_no))
        row = record_row_at(r.records + (r.len * r.num_assets + asset_no) * _RECORD_BYTES)
        row.timestamp = s.now_ns
        if a.book.best_bid_tick == INVALID_MIN or a.book.best_ask_tick == INVALID_MAX:
            row.price = float("nan")
        else:
            tick_size = a.book.tick_size
            row.price = (a.book.best_bid_tick * tick_size + a.book.best_ask_tick * tick_size) / 2.0
        row.position = a.state.position
        row.balance = a.state.balance
        row.fee = a.state.fee
        row.num_trades = a.state.num_trades
        row.trading_volume = a.state.trading_volume
        row.trading_value = a.state.trading_value
    r.len += 1
    return 0


@kernel("int64(int64, int64, int64, float64)")
def alert(_session, _asset_no, _code, _value):
    """Tell nobody: there is no hook."""
    return 0


TABLE: dict[str, Kernel] = {
    "fn_elapse": elapse,
    "fn_wait_next_feed": wait_next_feed,
    "fn_wait_order_response": wait_order_response,
    "fn_submit": submit,
    "fn_modify": modify,
    "fn_cancel": cancel,
    "fn_clear_inactive_orders": clear_inactive_orders,
    "fn_clear_last_trades": clear_last_trades,
    "fn_clear_user_events": clear_user_events,
    "fn_goto_end": goto_end,
    "fn_close": close,
    "fn_alert": alert,
    "fn_record": record,
    "fn_take_parameters": take,
}
"""The functions of a session that do not depend on the backend."""
