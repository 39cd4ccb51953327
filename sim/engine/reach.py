"""What the market does to own orders: it goes through their prices, trades reach them, their levels change.

Own orders at one price stand by queue place; the recorded market takes no notice of them.
"""

# pyright: basic

from hftd.compiled.jit import inline
from hftd.compiled.native import load_i64
from hftd.hbt.life import CAUSE_REACHED, CAUSE_TRADE, CAUSE_TRADED_THROUGH
from hftd.rows import Address, Ns, Tick
from sim.engine.life import note_level, note_queue
from sim.engine.own import fill_crossed, fill_reached, fill_resting, first_at_or_above
from sim.model.latency import LANE_BYTES, exchange_at, lane_at
from sim.model.queue import own_order_at, queue_depth, queue_reached_lots, queue_trade


@inline
def fill_sells_upto(
    exchange: Address, tick: Tick, cause: int, event_tick: Tick, event_qty: float, now_ns: Ns
) -> None:
    """The best bid, or a trade, is at or above these: they fill, the lowest first."""
    x = exchange_at(exchange)
    if x.fn_cross != 0:
        i = 0
        while i < x.sells and load_i64(x.sell_ticks + 8 * i) <= tick:
            if not fill_crossed(
                exchange, load_i64(x.sell_orders + 8 * i), cause, event_tick, event_qty, now_ns
            ):
                i += 1
        return
    while x.sells > 0 and load_i64(x.sell_ticks) <= tick:
        fill_resting(exchange, load_i64(x.sell_orders), cause, event_tick, event_qty, now_ns)


@inline
def fill_buys_downto(
    exchange: Address, tick: Tick, cause: int, event_tick: Tick, event_qty: float, now_ns: Ns
) -> None:
    """The best ask, or a trade, is at or below these: they fill, the highest first."""
    x = exchange_at(exchange)
    if x.fn_cross != 0:
        above = x.buys
        while above > 0 and load_i64(x.buy_ticks + 8 * (above - 1)) >= tick:
            # At one price the oldest goes first; those that are gone leave their place to the next.
            i = first_at_or_above(x.buy_ticks, above, load_i64(x.buy_ticks + 8 * (above - 1)))
            below = i
            for _ in range(above - below):
                if not fill_crossed(
                    exchange, load_i64(x.buy_orders + 8 * i), cause, event_tick, event_qty, now_ns
                ):
                    i += 1
            above = below
        return
    while x.buys > 0 and load_i64(x.buy_ticks + 8 * (x.buys - 1)) >= tick:
        # At one price the oldest goes first, and it stands first.
        top = load_i64(x.buy_ticks + 8 * (x.buys - 1))
        i = first_at_or_above(x.buy_ticks, x.buys, top)
        fill_resting(exchange, load_i64(x.buy_orders + 8 * i), cause, event_tick, event_qty, now_ns)


@inline
def _level_changed(
    exchange: Address,
    order: Address,
    before_qty: float,
    after_qty: float,
    best_bid_tick: Tick,
    best_ask_tick: Tick,
    now_ns: Ns,
) -> None:
    """The queue place of an order at a level."""
    explained_qty = own_order_at(order).cum_trade_qty
    queue_depth(exchange, order, before_qty, after_qty, now_ns)
    note_level(exchange, order, before_qty, after_qty, explained_qty, best_bid_tick, best_ask_tick, now_ns)


@inline
def bid_level_changed(
    exchange: Address, tick: Tick, before_qty: float, after_qty: float, best_tick: Tick, now_ns: Ns
) -> None:
    """Queue places of own buys at a level; the best bid is for their lives."""
    x = exchange_at(exchange)
    i = first_at_or_above(x.buy_ticks, x.buys, tick)
    while i < x.buys and load_i64(x.buy_ticks + 8 * i) == tick:
        order = load_i64(x.buy_orders + 8 * i)
        _level_changed(exchange, order, before_qty, after_qty, best_tick, x.book.best_ask_tick, now_ns)
        i += 1


@inline
def ask_level_changed(
    exchange: Address, tick: Tick, before_qty: float, after_qty: float, best_tick: Tick, now_ns: Ns
) -> None:
    """Queue places of own sells at a level; the best ask is for their lives."""
    x = exchange_at(exchange)
    i = first_at_or_above(x.sell_ticks, x.sells, tick)
    while i < x.sells and load_i64(x.sell_ticks + 8 * i) == tick:
        order = load_i64(x.sell_orders + 8 * i)
        _level_changed(exchange, order, before_qty, after_qty, x.book.best_bid_tick, best_tick, now_ns)
        i += 1


@inline
def _offer(exchange: Address, qty: float) -> None:
    """Each bot's orders share a trade."""
    x = exchange_at(exchange)
    for k in range(x.num_lanes):
        lane_at(x.lanes + k * LANE_BYTES).to_fill_qty = qty


@inline
def _reach(exchange: Address, order: Address, tick: Tick, qty: float, now_ns: Ns):
    """A trade at a resting order's price. Returns whether the order is gone."""
    x = exchange_at(exchange)
    if x.share_trades == 0:
        queue_trade(exchange, order, qty, now_ns)
        lots = queue_reached_lots(exchange, order, now_ns)
        note_queue(exchange, order, CAUSE_TRADE, tick, qty, now_ns)
        return lots > 0 and fill_reached(exchange, order, lots, CAUSE_REACHED, tick, qty, now_ns)
    o = own_order_at(order)
    lane = lane_at(o.lane)
    given = lane.to_fill_qty
    if given > 0.0:
        queue_trade(exchange, order, given, now_ns)
    # The level has lost all of it, whoever got it.
    o.cum_trade_qty += qty - given
    lots = queue_reached_lots(exchange, order, now_ns) if given > 0.0 else 0
    note_queue(exchange, order, CAUSE_TRADE, tick, qty, now_ns)
    if lots <= 0:
        return False
    leaves_qty = o.leaves_qty
    is_gone = fill_reached(exchange, order, lots, CAUSE_REACHED, tick, qty, now_ns)
    taken = leaves_qty if is_gone else lots * x.book.lot_size
    # A rest of less than half a lot is rounding.
    rest = given - taken
    lane.to_fill_qty = rest if rest >= 0.5 * x.book.lot_size else 0.0
    return is_gone


@inline
def buy_trade(exchange: Address, tick: Tick, qty: float, now_ns: Ns) -> None:
    """A trade whose buyer took: own sells below its price fill; at its price, those that are reached."""
    x = exchange_at(exchange)
    fill_sells_upto(exchange, tick - 1, CAUSE_TRADED_THROUGH, tick, qty, now_ns)
    i = first_at_or_above(x.sell_ticks, x.sells, tick)
    if x.share_trades != 0:
        _offer(exchange, qty)
    while i < x.sells and load_i64(x.sell_ticks + 8 * i) == tick:
        if not _reach(exchange, load_i64(x.sell_orders + 8 * i), tick, qty, now_ns):
            i += 1


@inline
def sell_trade(exchange: Address, tick: Tick, qty: float, now_ns: Ns) -> None:
    """A trade whose seller took: own buys above its price fill; at its price, those that are reached."""
    x = exchange_at(exchange)
    fill_buys_downto(exchange, tick + 1, CAUSE_TRADED_THROUGH, tick, qty, now_ns)
    i = first_at_or_above(x.buy_ticks, x.buys, tick)
    if x.share_trades != 0:
        _offer(exchange, qty)
    while i < x.buys and load_i64(x.buy_ticks + 8 * i) == tick:
        if not _reach(exchange, load_i64(x.buy_orders + 8 * i), tick, qty, now_ns):
            i += 1
