"""The limits of a bot over all of its instruments: how much their positions may be worth, gross and net.

They are checked before a new order or a modification is sent, by the same code in a backtest, a replay and live; a bot
without them skips one comparison. What counts is the worst that open orders can make of the positions::

    gross = sum over assets of max(|position + buys|, |position - sells|) * worth
    net   = max(|sum of (position + buys) * worth|, |sum of (position - sells) * worth|)

with `buys` and `sells` what open orders of that side may still execute, those on their way included, and `worth` the
mid price times the contract's size (an inverse contract's worth is its size, whatever the price). Without a mid price
the last one counts, before the first one the order's own price. An order that raises neither beyond its limit passes;
so does one that raises neither at all, so that what is too large can be made smaller. Cancels always pass.
"""

# pyright: basic

from collections.abc import Sequence
from typing import Any

import numpy as np

from hftd.compiled.arena import Arena
from hftd.compiled.jit import inline, kernel
from hftd.compiled.native import record_at
from hftd.hbt.local import Contract
from hftd.hbt.orders import ORDERS, asset_at, is_inactive, order_at, orders_at
from hftd.rows import Address
from hftd.types import BUY, INVALID_MAX, INVALID_MIN, REPLACED

worth_dtype = np.dtype([("size", "f8"), ("inverse", "i8"), ("price", "f8")], align=True)
"""Of an asset: its contract, and its last mid price."""
portfolio_dtype = np.dtype(
    [
        ("gross", "f8"),  # 0 for no limit
        ("net", "f8"),
        ("refused", "i8"),
        ("worth", "i8"),  # the address of a `worth_dtype` for each asset
        ("assets", "i8"),
        ("asset_bytes", "i8"),
        ("num_assets", "i8"),
    ],
    align=True,
)

portfolio_at = record_at(portfolio_dtype)
worth_at = record_at(worth_dtype)
_WORTH_BYTES = worth_dtype.itemsize
_ROUNDING = 1e-9


@inline
def _worth(asset: Address, worth: Address, price: float) -> float:
    """What a unit of an asset is worth; `price` counts where it has had no mid price yet."""
    book = asset_at(asset).book
    w = worth_at(worth)
    if w.inverse != 0:
        return w.size
    if book.best_bid_tick != INVALID_MIN and book.best_ask_tick != INVALID_MAX:
        w.price = 0.5 * (book.best_bid_tick + book.best_ask_tick) * book.tick_size
    return abs(w.price if w.price != 0.0 else price) * w.size


@inline
def _open_qtys(asset: Address) -> tuple[float, float]:
    """What open buys and open sells may still execute; of one that is being modified, the larger quantity."""
    buys = 0.0
    sells = 0.0
    address = orders_at(asset + ORDERS).first
    while address != 0:
        order = order_at(address)
        if not is_inactive(order.status):
            qty = max(order.leaves_qty, order.qty) if order.req == REPLACED else order.leaves_qty
            if order.side == BUY:
                buys += qty
            else:
                sells += qty
        address = order.next
    return buys, sells


@kernel("int64(int64, int64, int64, float64, float64)")
def refuses(portfolio: Address, asset_no: int, side: int, qty: float, price: float) -> int:
    """Whether the limits refuse an order, or so much more of one; counted if they do.

    Args:
        portfolio: The address of a `portfolio_dtype`.
        asset_no: The asset's number.
        side: BUY or SELL.
        qty: By how much it adds to what may be executed.
        price: Its own, in quote currency.
    """
    p = portfolio_at(portfolio)
    gross, net_long, net_short = 0.0, 0.0, 0.0
    more_gross, more_long, more_short = 0.0, 0.0, 0.0
    for number in range(p.num_assets):
        asset = p.assets + number * p.asset_bytes
        position = asset_at(asset).state.position
        buys, sells = _open_qtys(asset)
        worth = _worth(asset, p.worth + number * _WORTH_BYTES, price if number == asset_no else float("nan"))
        highest, lowest = position + buys, position - sells
        if highest == 0.0 and lowest == 0.0 and number != asset_no:
            continue
        size = max(abs(highest), abs(lowest)) * worth
        gross += size
        net_long += highest * worth
        net_short += lowest * worth
        if number == asset_no:
            if side == BUY:
                highest += qty
            else:
                lowest -= qty
            more_gross = max(abs(highest), abs(lowest)) * worth - size
            more_long = (highest - position - buys) * worth
            more_short = (lowest - position + sells) * worth
    net = max(abs(net_long), abs(net_short))
    wanted_gross = gross + more_gross
    wanted_net = max(abs(net_long + more_long), abs(net_short + more_short))
    # What is not a number has no price, and is refused.
    is_gross_good = p.gross == 0.0 or wanted_gross <= p.gross * (1.0 + _ROUNDING) or wanted_gross <= gross
    is_net_good = p.net == 0.0 or wanted_net <= p.net * (1.0 + _ROUNDING) or wanted_net <= net
    if is_gross_good and is_net_good:
        return 0
    p.refused += 1
    return 1


def limit(
    arena: Arena, assets: Any, contracts: Sequence[Contract], gross_value: float, net_value: float
) -> Any:
    """Memory for the limits of a session.

    Args:
        arena: Owns the memory.
        assets: The session's records of `asset_dtype`.
        contracts: What each asset's position is worth.
        gross_value: The largest gross value; 0 for no limit.
        net_value: The largest net value, long or short.

    Returns:
        A `portfolio_dtype` record, shape (1,).
    """
    worth = arena.records(worth_dtype, len(assets))
    worth["size"] = [contract.size for contract in contracts]
    worth["inverse"] = [contract.inverse for contract in contracts]
    made = arena.records(portfolio_dtype, 1)
    made["gross"], made["net"] = gross_value, net_value
    made["worth"] = worth.ctypes.data
    made["assets"], made["asset_bytes"] = assets.ctypes.data, assets.dtype.itemsize
    made["num_assets"] = len(assets)
    return made
