# pyright: basic
"""Two exchanges, one underlying: buy where it is cheap and sell where it is dear, both at once.

Of all ordered pairs of assets the one with the largest edge is looked at::

    edge = (bid_i * (1 - fee_i) - ask_j * (1 + fee_j)) / ask_j

what selling on i and buying on j earns after the fees of both takers. A pair of orders is sent when the edge is above
`margin`, or above `exit_margin` where it reduces the positions of both, which a pair of the other direction opened:
nothing has to be sent from one exchange to the other. Both orders are immediate-or-cancel at the prices that were seen.

Source: the law of one price; that the gap has to exceed all costs of both trades is the no-arbitrage band of, for
instance, Makarov and Schoar, "Trading and arbitrage in cryptocurrency markets" (Journal of Financial Economics, 2020).

One leg may fill and the other not. What is left open is evened out where that costs least after fees: on the exchange
where it failed, which completes the pair, or where it filled, which rolls it back. No further pair is begun before.
An order without an answer for `leg_timeout_ns` is late: it may still fill, so what is sent beside it keeps the
exposure within `max_unhedged` in either case.
"""

import numpy as np
from numba import njit

from hftd import ALL_ASSETS, BUY, SELL
from strategies.legs import (
    ALERT_LEG_FAILED,
    LEG_LATE,
    LEG_WAITING,
    by_asset,
    common_lots,
    even_out,
    is_ready,
    is_usable,
    make_legs,
    may_go_on,
    net_exposure,
    send,
    watch,
)


@njit(nogil=True)
def pair_qty(hbt, sizes, sell, buy, order_qty, max_position, is_exit):
    """How much can be sold in one asset and bought in another at their best prices, in units of the underlying.

    As far as the quantities there, the positions and the lots of both allow; with `is_exit` no more than closes both.
    """
    sell_depth = hbt.depth(sell)
    buy_depth = hbt.depth(buy)
    sell_held = hbt.position(sell) * sizes[sell]
    buy_held = hbt.position(buy) * sizes[buy]
    qty = min(sell_depth.best_bid_qty * sizes[sell], buy_depth.best_ask_qty * sizes[buy])
    if is_exit:
        qty = min(qty, sell_held, -buy_held)
    else:
        qty = min(qty, max_position + sell_held, max_position - buy_held)
    return common_lots(
        min(qty, order_qty), sell_depth.lot_size * sizes[sell], buy_depth.lot_size * sizes[buy]
    )


@njit(nogil=True)
def cross_exchange_arbitrage(
    hbt,
    fees=(0.0002,),
    margin=0.0003,
    exit_margin=0.0,
    order_qty=0.01,
    max_position=0.05,
    max_unhedged=0.02,
    min_hedge_qty=0.001,
    slippage=0.001,
    leg_timeout_ns=500_000_000,
    retry_ns=20_000_000,
    stale_ns=500_000_000,
    contract_sizes=(1.0,),
    interval_ns=10_000_000,
):
    """Buy one asset and sell another at once where their prices are further apart than that costs.

    Market: two assets or more of one underlying on several exchanges.

    Args:
        hbt: The backtest or the bot, with two assets or more of one underlying.
        fees (fractions of the price): Taker fees by asset; the last one holds for all further assets.
        margin (fraction): The edge above which a pair opens positions.
        exit_margin (fraction): The edge above which a pair closes them; may be below 0.
        order_qty (underlying): Quantity of a pair at most.
        max_position (underlying): Each asset's position stays within plus and minus this.
        max_unhedged (underlying): The exposure over all assets stays within plus and minus this.
        min_hedge_qty (underlying): Less than this is not evened out: the largest of the exchanges' smallest
            orders.
        slippage (fraction): How far beyond the best price what evens out a half-done pair may take; the pair
            itself takes the best prices only.
        leg_timeout_ns (ns): An order without an end is late after that.
        retry_ns (ns): Pause of an asset after a failed attempt; doubles with each, up to 64 times.
        stale_ns (ns): Prices are believed for that long after the last row of market data.
        contract_sizes (underlying): One contract of each asset; the last one holds for all further assets.
        interval_ns (ns): The longest time between two looks where nothing happens.
    """
    count = hbt.num_assets
    if count < 2 or not (order_qty > 0.0 and max_unhedged > 0.0 and max_position > 0.0 and interval_ns > 0):
        return
    sizes = by_asset(contract_sizes, count)
    costs = by_asset(fees, count)
    legs = make_legs(count)
    may_trade = np.zeros(count, np.bool_)
    was_late = False
    while may_go_on(hbt.wait_next_feed(True, interval_ns)):
        is_waiting = is_late = False
        for asset_no in range(count):
            state = watch(hbt, legs, asset_no, leg_timeout_ns, retry_ns)
            if state == LEG_WAITING:
                is_waiting = True
            elif state == LEG_LATE:
                is_late = True
        hbt.clear_inactive_orders(ALL_ASSETS)
        if is_waiting:
            continue
        net = net_exposure(hbt, sizes)
        if is_late and not was_late:
            hbt.alert(0, ALERT_LEG_FAILED, net)
        was_late = is_late
        if abs(net) > min_hedge_qty * (1.0 - 1e-6):
            even_out(hbt, legs, sizes, costs, net, max_unhedged, slippage, stale_ns, retry_ns)
            continue
        if is_late:
            continue
        now_ns = hbt.current_timestamp
        for asset_no in range(count):
            may_trade[asset_no] = is_usable(hbt, asset_no, stale_ns) and is_ready(legs, asset_no, now_ns)
        best = qty = 0.0
        best_sell = best_buy = -1
        for sell in range(count):
            for buy in range(count):
                if sell == buy or not (may_trade[sell] and may_trade[buy]):
                    continue
                bid = hbt.depth(sell).best_bid
                ask = hbt.depth(buy).best_ask
                is_exit = hbt.position(sell) > 0.0 and hbt.position(buy) < 0.0
                edge = (bid * (1.0 - costs[sell]) - ask * (1.0 + costs[buy])) / ask
                edge -= exit_margin if is_exit else margin
                if edge <= 0.0 or (best_sell >= 0 and edge <= best):
                    continue
                found = pair_qty(hbt, sizes, sell, buy, min(order_qty, max_unhedged), max_position, is_exit)
                if found > 0.0:
                    best = edge
                    best_sell = sell
                    best_buy = buy
                    qty = found
        if best_sell >= 0 and send(hbt, legs, best_sell, SELL, qty / sizes[best_sell], 0.0, retry_ns) > 0.0:
            send(hbt, legs, best_buy, BUY, qty / sizes[best_buy], 0.0, retry_ns)
