# pyright: basic
"""Quotes on some exchanges, hedged on another: the market making of one who can trade elsewhere at a known price.

Asset 0 is the hedge; every other asset is quoted. All are of one underlying, and their contracts and lots may differ.
With `H_bid` and `H_ask` the prices at which the hedge's book takes `order_qty`, `basis` the mean difference between
the asset's and the hedge's mid price (as a fraction, 0 unless `basis_window_ns` is given), and
`lean = lean_at_max * position / max_position`::

    bid = H_bid * (1 + basis - fee - hedge_fee - margin - lean)    below the asset's best ask
    ask = H_ask * (1 + basis + fee + hedge_fee + margin - lean)    above the asset's best bid

so that a fill, hedged at once, earns `margin` after the fees of both. It lives on exchanges that are dislocated for
a while: takers there pay more than the hedge costs, and the position is given back when the dislocation is over,
or the other way round. Source: the field's cross-exchange market making, as in Hummingbot's strategy of that name:
a quote's price is that of its hedge, less all costs.

What is kept to, whatever happens:

- The exposure, with all that is open filled in the worst order, stays within `max_unhedged`: quotes are only sent as
  far as that leaves room, and so are hedges and roll-backs beside an order whose answer is missing.
- A fill is hedged at the next wake, what an order leaves half done by the next one.
- The hedge can't be done: its book is not valid or stale, or it is disconnected, an order got no answer within
  `hedge_timeout_ns`, or `attempts` orders in a row were refused or executed nothing. Then all quotes are pulled at once
  until it has been possible again for `pause_ns`, and with `roll_back` what is still open after `hedge_timeout_ns`
  is closed where it was opened; without, it waits for the hedge.
- A quoted exchange that is disconnected, whose book is not valid or stale loses its own quotes only.
"""

import numpy as np
from numba import njit

from hftd import ALL_ASSETS, BUY, CANCELED, CONNECTED, GTX, LIMIT, SELL
from strategies.legs import (
    ALERT_LEG_FAILED,
    ALERT_ROLLED_BACK,
    LEG_FREE,
    LEG_IDS,
    LEG_LATE,
    LEG_WAITING,
    by_asset,
    is_over,
    is_usable,
    leg_room,
    make_legs,
    may_go_on,
    net_exposure,
    open_exposure,
    price_to_take,
    quote_room,
    send,
    watch,
    whole_lots,
)


@njit(nogil=True)
def quote_side(hbt, sizes, asset_no, side, tick, band_ticks, order_qty, max_position, max_unhedged):
    """Have one order on a side of an asset as far as position and exposure allow, and no other one.

    Args:
        hbt: The backtest or the bot.
        sizes: Contract sizes, by asset.
        asset_no: Which asset.
        side: BUY or SELL.
        tick: Where a new order goes; 0: there is to be none.
        band_ticks: How far from it one that stands is left alone.
        order_qty: Of a new order, in units of the underlying.
        max_position: As of the strategy.
        max_unhedged: As of the strategy.
    """
    depth = hbt.depth(asset_no)
    size = sizes[asset_no]
    tolerance = 0.5 * depth.lot_size * size
    held = hbt.position(asset_no) * size
    own = open_exposure(hbt, sizes, asset_no, asset_no + 1)
    room = max_position - side * held - (own[0] + own[2] if side == BUY else own[1] + own[3])
    room = min(
        room,
        quote_room(side, net_exposure(hbt, sizes), open_exposure(hbt, sizes, 0, len(sizes)), max_unhedged),
    )
    # What is open is too much only if the position was another's: a limit that changed, a bot that came back.
    wanted = tick if room > -tolerance else 0
    has_one = False
    values = hbt.orders(asset_no).values()
    while values.has_next():
        order = values.get()
        if order.side != side or is_over(order) or np.int64(order.order_id) >= LEG_IDS:
            continue
        if wanted > 0 and not has_one and abs(order.price_tick - wanted) <= band_ticks:
            has_one = order.req != CANCELED
        elif order.cancellable:
            hbt.cancel(asset_no, order.order_id, False)
        elif order.req != CANCELED:
            # Its answer is under way; it is judged again then.
            has_one = True
    qty = whole_lots(order_qty / size, depth.lot_size)
    if (
        wanted <= 0
        or has_one
        or qty == 0.0
        or qty * size > room + tolerance
        or wanted in hbt.orders(asset_no)
    ):
        return
    price = wanted * depth.tick_size
    if side == BUY:
        hbt.submit_buy_order(asset_no, wanted, price, qty, GTX, LIMIT, False)
    else:
        hbt.submit_sell_order(asset_no, wanted, price, qty, GTX, LIMIT, False)


@njit(nogil=True)
def close_where_opened(hbt, legs, sizes, net, max_unhedged, slippage, stale_ns, pause_ns):
    """Roll back: close on the quoted exchanges what is not hedged, as far as it was opened there.

    Returns:
        The quantity sent, in units of the underlying.
    """
    side = SELL if net > 0.0 else BUY
    total = 0.0
    for asset_no in range(1, len(sizes)):
        held = hbt.position(asset_no) * sizes[asset_no]
        if held * net <= 0.0 or not is_usable(hbt, asset_no, stale_ns):
            continue
        room = leg_room(side, net, open_exposure(hbt, sizes, 0, len(sizes)), max_unhedged)
        qty = min(abs(net) - total, abs(held), room)
        sent = send(hbt, legs, asset_no, side, qty / sizes[asset_no], slippage, pause_ns) * sizes[asset_no]
        if sent > 0.0:
            total += sent
            hbt.alert(asset_no, ALERT_ROLLED_BACK, sent)
    return total


@njit(nogil=True)
def cross_exchange_making(
    hbt,
    fees=(0.0002, -0.00005),
    margin=0.0001,
    lean_at_max=0.0002,
    order_qty=0.01,
    max_position=0.05,
    max_unhedged=0.03,
    min_hedge_qty=0.001,
    slippage=0.001,
    hedge_timeout_ns=500_000_000,
    attempts=3,
    retry_ns=50_000_000,
    roll_back=True,
    pause_ns=2_000_000_000,
    stale_ns=2_000_000_000,
    basis_window_ns=0,
    band=0.00005,
    contract_sizes=(1.0,),
    interval_ns=10_000_000,
):
    """Quote all assets but the first, and hedge each fill on the first.

    Market: two assets or more of one underlying on several exchanges: the hedge, then those that are quoted.

    Args:
        hbt: The backtest or the bot, with two assets or more.
        fees (fractions of the price): The hedge's taker fee, then the quoted assets' maker fees; below 0 a rebate.
            The last one holds for all further assets.
        margin (fraction): What a hedged fill is to earn.
        lean_at_max (fraction): How far the quotes of an asset lean against its position at `max_position`.
        order_qty (underlying): Quantity of a quote; rounded down to lots.
        max_position (underlying): Each quoted asset's position stays within plus and minus this.
        max_unhedged (underlying): The exposure over all assets stays within plus and minus this.
        min_hedge_qty (underlying): Less than this waits until there is more to hedge: the hedge exchange's
            smallest order.
        slippage (fraction): How far beyond the best price a hedge or a roll-back may take.
        hedge_timeout_ns (ns): A hedge is late after that.
        attempts: Hedges in a row that may fail before they count as impossible, 1 or more.
        retry_ns (ns): Pause after a failed attempt; doubles with each, up to 64 times.
        roll_back: Whether what can't be hedged is closed where it was opened; else it waits for the hedge.
        pause_ns (ns): Nothing is quoted for so long after the hedge could not be done.
        stale_ns (ns): Prices are believed for that long after the last row of market data.
        basis_window_ns (ns): Time constant of the mean basis; nothing is quoted before it was measured for
            so long. 0: the assets have one price.
        band (fraction): How far from its best place an order is left alone.
        contract_sizes (underlying): One contract of each asset; the last one holds for all further assets.
        interval_ns (ns): Time between two looks at the quotes; fills are hedged at once.
    """
    count = hbt.num_assets
    if count < 2 or not (order_qty > 0.0 and max_unhedged > 0.0 and max_position > 0.0 and interval_ns > 0):
        return
    sizes = by_asset(contract_sizes, count)
    costs = by_asset(fees, count) + (fees[0] + margin)
    legs = make_legs(count)
    basis = np.zeros(count)
    basis_from_ns = np.zeros(count, np.int64)
    weight = 1.0 - np.exp(-interval_ns / basis_window_ns) if basis_window_ns > 0 else 0.0
    look_ns = np.zeros(count, np.int64)
    was_good = np.zeros(count, np.bool_)
    was_failing = False
    open_from_ns = 0
    resume_ns = 0
    while may_go_on(hbt.wait_next_feed(True, interval_ns)):
        now_ns = hbt.current_timestamp
        is_waiting = False
        state = LEG_FREE
        for asset_no in range(count):
            found = watch(hbt, legs, asset_no, hedge_timeout_ns, retry_ns)
            if found == LEG_WAITING:
                is_waiting = True
            if asset_no == 0:
                state = found
        hbt.clear_inactive_orders(ALL_ASSETS)

        # Hedge what is open, or roll it back.
        hedge = hbt.depth(0)
        can_hedge = is_usable(hbt, 0, stale_ns)
        net = net_exposure(hbt, sizes)
        is_open = abs(net) > max(min_hedge_qty, hedge.lot_size * sizes[0]) * (1.0 - 1e-6)
        if not is_open:
            open_from_ns = now_ns
        is_failing = state == LEG_LATE or legs[0].failures >= attempts
        if is_failing and not was_failing:
            hbt.alert(0, ALERT_LEG_FAILED, net)
        was_failing = is_failing
        if not can_hedge or state == LEG_LATE or (is_failing and is_open):
            resume_ns = now_ns + pause_ns
        elif is_failing and now_ns >= resume_ns:
            legs[0].failures = 0
        if is_open and not is_waiting:
            is_late = is_failing or now_ns - open_from_ns >= hedge_timeout_ns
            sent = 0.0
            if roll_back and is_late and not (can_hedge and not is_failing):
                sent = close_where_opened(hbt, legs, sizes, net, max_unhedged, slippage, stale_ns, retry_ns)
            if sent == 0.0 and can_hedge:
                side = SELL if net > 0.0 else BUY
                room = leg_room(side, net, open_exposure(hbt, sizes, 0, count), max_unhedged)
                send(hbt, legs, 0, side, min(abs(net), room) / sizes[0], slippage, retry_ns)

        # Quote, or pull the quotes.
        hedge_bid = price_to_take(hedge, SELL, order_qty / sizes[0])
        hedge_ask = price_to_take(hedge, BUY, order_qty / sizes[0])
        may_quote = can_hedge and not is_failing and now_ns >= resume_ns and hedge_bid < hedge_ask
        for asset_no in range(1, count):
            is_good = may_quote and is_usable(hbt, asset_no, stale_ns)
            if now_ns < look_ns[asset_no] and (is_good or not was_good[asset_no]):
                continue
            was_good[asset_no] = is_good
            is_connected = hbt.connection(asset_no) == CONNECTED
            look_ns[asset_no] = now_ns + (interval_ns if is_connected else retry_ns)
            depth = hbt.depth(asset_no)
            bid_tick = ask_tick = band_ticks = 0
            if is_good:
                mid = 0.5 * (depth.best_bid + depth.best_ask)
                if basis_window_ns > 0:
                    found_basis = mid / (0.5 * (hedge.best_bid + hedge.best_ask)) - 1.0
                    if basis_from_ns[asset_no] == 0:
                        basis_from_ns[asset_no] = now_ns
                        basis[asset_no] = found_basis
                    basis[asset_no] += weight * (found_basis - basis[asset_no])
                if now_ns - basis_from_ns[asset_no] >= basis_window_ns:
                    lean = lean_at_max * hbt.position(asset_no) * sizes[asset_no] / max_position
                    bid = hedge_bid * (1.0 + basis[asset_no] - costs[asset_no] - lean)
                    ask = hedge_ask * (1.0 + basis[asset_no] + costs[asset_no] - lean)
                    bid_tick = min(int(np.floor(bid / depth.tick_size)), depth.best_ask_tick - 1)
                    ask_tick = max(int(np.ceil(ask / depth.tick_size)), depth.best_bid_tick + 1)
                    band_ticks = int(band * mid / depth.tick_size)
            quote_side(hbt, sizes, asset_no, BUY, bid_tick, band_ticks, order_qty, max_position, max_unhedged)
            quote_side(
                hbt, sizes, asset_no, SELL, ask_tick, band_ticks, order_qty, max_position, max_unhedged
            )
