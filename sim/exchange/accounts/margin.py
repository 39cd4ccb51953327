"""The checks of an order that need its account and the market: margin, price band, post-only, reduce-only."""

from sim.exchange.accounts.accounts import Account, NewOrder, Order, price_of
from sim.exchange.playback.market import Market
from sim.exchange.rules.instruments import Instrument
from sim.exchange.rules.refusals import RefusedError, Why

_LEVELS_MAX = 5000
"""Of the book that a market order is reckoned with."""


def check_margin(account: Account, new: NewOrder, market: Market) -> None:
    """There may be so many open orders, and only so much can be paid for.

    Raises:
        RefusedError: There are too many, or there is too little.
    """
    instrument = new.instrument
    limit = instrument.section.max_orders
    if len(account.open_orders) >= limit:
        count = sum(order.instrument is instrument for order in account.open_orders.values())
        if count >= limit:
            raise RefusedError(Why.TOO_MANY_OPEN)
    if instrument.is_spot:
        _check_funds(account, new, market)
        return
    held = account.held(instrument, new.position_side)
    if new.reduce_only or (held * new.side < 0 and new.lots <= abs(held)):
        return
    tick = new.tick
    if new.kind == "MARKET":
        touch = market.touch(instrument.number)
        tick, lots = (touch.ask_tick, touch.ask_lots) if new.side > 0 else (touch.bid_tick, touch.bid_lots)
        if not lots:
            return
    wallet = account.wallet(instrument)
    used = wallet.reserved + sum(
        one.instrument.money(one.cost)
        for one in account.positions.values()
        if one.instrument.margin_asset == wallet.asset
    )
    if used + instrument.notional(tick, new.lots) > wallet.balance * account.leverage:
        raise RefusedError(Why.NO_MARGIN)


def _check_funds(account: Account, new: NewOrder, market: Market) -> None:
    """A spot order needs what it pays with: there is no leverage, and nothing is sold that is not there."""
    instrument = new.instrument
    needed = price_of(instrument, new.side, new.tick, new.lots)
    if new.kind == "MARKET" and new.side > 0:
        needed = cost_at_market(market, instrument, new.lots)
    if needed > account.paying(instrument, new.side).free:
        raise RefusedError(Why.NO_MARGIN)


def cost_at_market(market: Market, instrument: Instrument, lots: int) -> int:
    """What it costs to buy so much at once; of what the book does not have, nothing."""
    cost, wanted = 0, lots
    for tick, there in market.levels(instrument.number, -1, _LEVELS_MAX):
        taken = min(wanted, there)
        cost += instrument.notional(tick, taken)
        wanted -= taken
        if not wanted:
            break
    return cost


def bought_for(market: Market, instrument: Instrument, side: int, money: int) -> int:
    """How many lots, in whole steps, a market order buys or sells for an amount of the quote."""
    lots = 0
    for tick, there in market.levels(instrument.number, -side, _LEVELS_MAX):
        taken = min(there, money // instrument.worth(tick, 1))
        lots += taken
        money -= instrument.worth(tick, taken)
        if taken < there:
            break
    return lots - lots % instrument.step_lots


def check_match(account: Account, new: NewOrder, market: Market) -> None:
    """A post-only order must not take; one that closes needs what it closes.

    Raises:
        RefusedError: It would take, or there is not so much to close.
    """
    if new.tif == "GTX" and not new.expires_unfit and crosses(market, new.instrument, new.side, new.tick):
        raise RefusedError(Why.WOULD_TAKE)
    closes = new.reduce_only
    if account.hedge:
        closes = (new.side > 0) == (new.position_side == "SHORT")
    if closes:
        held = account.held(new.instrument, new.position_side)
        if held * new.side >= 0 or new.lots > abs(held):
            raise RefusedError(Why.NOT_REDUCING)


def check_band(market: Market, instrument: Instrument, side: int, tick: int) -> None:
    """A limit price must not be too far beyond the middle of the best prices.

    Raises:
        RefusedError: It is.
    """
    touch = market.touch(instrument.number)
    if touch.bid_lots and touch.ask_lots:
        instrument.check_band(side, tick, touch.bid_tick + touch.ask_tick)


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
    if order.tif == "GTX" or (order.asked.stp == "NONE" and order.tif == "FOK"):
        return []
    touch = market.touch(order.instrument.number)
    at = 1 if order.asked.stp == "NONE" else 0
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
        and not (order.asked.stp == "NONE" and other.asked.reduce_only)
        and (order.kind == "MARKET" or (order.tick - other.tick) * order.side >= 0)
    ]
