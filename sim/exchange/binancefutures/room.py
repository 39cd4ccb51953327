"""The checks of an order that need its account and the market: margin, post-only, reduce-only, its own other side."""

from sim.exchange.binancefutures.accounts import Account, Order
from sim.exchange.binancefutures.checks import Wanted
from sim.exchange.binancefutures.errors import ApiError
from sim.exchange.binancefutures.instruments import Instrument
from sim.exchange.market import Market


def _held(account: Account, want: Wanted) -> int:
    position = account.positions.get((want.instrument.symbol, want.position_side))
    return position.lots if position is not None else 0


def check_room(account: Account, want: Wanted, market: Market) -> None:
    """There may be so many open orders, and only so much can be paid for.

    Raises:
        ApiError: There is no room for it.
    """
    limit = want.instrument.section.max_orders
    if len(account.open_orders) >= limit:
        count = sum(order.instrument is want.instrument for order in account.open_orders.values())
        if count >= limit:
            raise ApiError(-2025, "Reach max open order limit.")
    held = _held(account, want)
    if want.reduce_only or (held * want.side < 0 and want.lots <= abs(held)):
        return
    tick = want.tick
    if want.kind == "MARKET":
        touch = market.touch(want.instrument.number)
        tick, lots = (touch.ask_tick, touch.ask_lots) if want.side > 0 else (touch.bid_tick, touch.bid_lots)
        if not lots:
            return
    used = account.open_money + sum(one.cost for one in account.positions.values())
    if used + want.instrument.notional(tick, want.lots) > account.balance * account.leverage:
        raise ApiError(-2019, "Margin is insufficient.")


def check_match(account: Account, want: Wanted, market: Market) -> None:
    """A post-only order must not take; one that closes needs what it closes.

    Raises:
        ApiError: It can't be.
    """
    if want.tif == "GTX" and crosses(market, want.instrument, want.side, want.tick):
        raise ApiError(
            -5022, "Due to the order could not be executed as maker, the Post Only order will be rejected."
        )
    closes = want.reduce_only
    if account.hedge:
        closes = (want.side > 0) == (want.position_side == "SHORT")
    if closes:
        held = _held(account, want)
        if held * want.side >= 0 or want.lots > abs(held):
            raise ApiError(-2022, "ReduceOnly Order is rejected.")


def crosses(market: Market, instrument: Instrument, side: int, tick: int) -> bool:
    """Whether an order at a price would take."""
    touch = market.touch(instrument.number)
    if side > 0:
        return touch.ask_lots > 0 and tick >= touch.ask_tick
    return touch.bid_lots > 0 and tick <= touch.bid_tick


def own_orders_met(order: Order, market: Market) -> list[Order]:
    """The account's own orders between the market's best prices that an order would meet first.

    One that does not mind to trade with them (`NONE`) meets those at the market's best price first, too.
    """
    if order.tif == "GTX" or (order.stp == "NONE" and order.tif == "FOK"):
        return []
    touch = market.touch(order.instrument.number)
    at = 1 if order.stp == "NONE" else 0
    if order.side > 0:
        return [one for one in _facing(order) if not touch.ask_lots or one.tick < touch.ask_tick + at]
    return [one for one in _facing(order) if not touch.bid_lots or one.tick > touch.bid_tick - at]


def _facing(order: Order) -> list[Order]:
    """The account's orders of the other side at prices that an order reaches."""
    return [
        other
        for other in order.account.open_orders.values()
        if other.instrument is order.instrument
        and other.side == -order.side
        and not (order.stp == "NONE" and other.reduce_only)
        and (order.kind == "MARKET" or (order.tick - other.tick) * order.side >= 0)
    ]
