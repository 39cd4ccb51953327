"""Whatever is asked of a Spot account, its balances are what its orders lock and its trades moved."""

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sim.exchange.accounts.accounts import Account, price_of
from sim.exchange.accounts.margin import bought_for, cost_at_market
from sim.exchange.binancespot import api
from sim.exchange.binancespot.venue import BinanceSpot, SpotSymbol
from sim.exchange.core import Exchange
from sim.exchange.rules.instruments import ALL_ORDERS, Instrument
from sim.exchange.rules.refusals import RefusedError
from tests.sim.exchange.client import at, market
from tests.sim.exchange.spot_client import PAIR, spot

UNIT = 10**8


def moving() -> Any:
    """A market in which orders near its middle are reached now and then."""
    numbers = random.Random(3)
    lines = []
    for ms in range(5, 3000, 5):
        away = numbers.choice((0.5, 0.6, 0.7, 0.8))
        kind = numbers.choice(("buy", "sell", "bid", "ask"))
        sign = 1 if kind in ("buy", "ask") else -1
        lines.append((kind, ms, round(1000.0 + sign * away, 1), round(numbers.uniform(0.5, 3.0), 3)))
    return market(*lines)


def amount(text: str) -> int:
    """A decimal number in 1e-8."""
    whole, _, fraction = text.partition(".")
    return int(whole) * UNIT + int(fraction.ljust(8, "0"))


def check(account: Account, start: dict[str, int]) -> None:
    """The account's books, added up once more from its orders and trades."""
    locked, moved, fees = dict.fromkeys(start, 0), dict(start), dict.fromkeys(start, 0)
    for order in account.open_orders.values():
        i = order.instrument
        asset = i.quote if order.side > 0 else i.base
        left = amount(i.qty(order.lots)) - amount(i.qty(order.executed_lots))
        locked[asset] += left * amount(i.price(order.tick)) // UNIT if order.side > 0 else left
    for trade in account.trades:
        i, side = trade.order.instrument, trade.order.side
        qty, price = amount(i.qty(trade.lots)), amount(i.price(trade.tick))
        moved[i.base] += side * qty
        moved[i.quote] -= side * qty * price // UNIT
        moved[trade.fee_asset] -= trade.fee
        fees[trade.fee_asset] += trade.fee
    for asset, wallet in account.wallets.items():
        assert (wallet.balance, wallet.reserved, wallet.fees) == (moved[asset], locked[asset], fees[asset])
        assert wallet.balance >= wallet.reserved >= 0
    assert account.positions == {}


@pytest.mark.parametrize(("seed", "fee_asset"), [(1, ""), (2, "BNB")])
def test_balances_are_what_orders_lock_and_trades_moved(seed: int, fee_asset: str):
    funds = {"USDT": "900", "BTC": "0.9", "BNB": "0.003"}
    settings = spot(fee_asset=fee_asset, funds=funds)
    settings = replace(settings, limits=replace(settings.limits, orders_10s=0, orders_1d=0))
    exchange = Exchange(BinanceSpot, settings, Path(), [], {"BTCUSDT": moving()})
    exchange.start()
    account, numbers = exchange.accounts[0], random.Random(seed)
    start = {asset: amount(text) for asset, text in funds.items()}
    done: dict[str, int] = {}
    for step in range(600):
        exchange.clock.move_to(at(step * 5))
        exchange.pump()
        side = numbers.choice(("BUY", "SELL"))
        params = {"symbol": "BTCUSDT", "side": side, "quantity": f"{numbers.randrange(5, 300) / 1000:.3f}"}
        opened = [one.client_id for one in account.open_orders.values()]
        what = numbers.choice(("place", "place", "market", "cancel", "amend", "replace"))
        kind = numbers.choice(("LIMIT", "LIMIT_MAKER"))
        limit = {"type": kind, "price": f"{1000 + numbers.randrange(-12, 13) / 10:.1f}"}
        limit |= {"timeInForce": numbers.choice(("GTC", "IOC", "FOK"))} if kind == "LIMIT" else {}
        named = {"origClientOrderId": numbers.choice(opened)} if opened else {"origClientOrderId": "none"}
        try:
            if what == "place":
                api.place(exchange, account, params | limit)
            elif what == "market":
                api.place(exchange, account, params | {"type": "MARKET"})
            elif what == "cancel":
                api.cancel(exchange, account, params | named)
            elif what == "amend":
                less = {"newQty": f"{numbers.randrange(5, 100) / 1000:.3f}"}
                api.amend(exchange, account, params | named | less)
            else:
                ends = {"cancelOrigClientOrderId": named["origClientOrderId"]}
                ends["cancelReplaceMode"] = numbers.choice(("STOP_ON_FAILURE", "ALLOW_FAILURE"))
                api.cancel_replace(exchange, account, params | limit | ends)
            done[what] = done.get(what, 0) + 1
        except RefusedError:
            done["refused"] = done.get("refused", 0) + 1
        check(account, start)
    # All of it has happened, and both kinds of executions.
    assert (
        min(done.get(name, 0) for name in ("place", "market", "cancel", "amend", "replace", "refused")) > 10
    )
    assert {trade.maker for trade in account.trades} == {True, False}
    assert account.counters["modifies"] > 10
    assert {trade.fee_asset for trade in account.trades} > ({"BNB"} if fee_asset else {"BTC"})
    exchange.matching.cancel_all(account, "")
    check(account, start)


STEPS = [("0.01", "0.00001"), ("0.00000001", "1"), ("1", "0.00000001"), ("0.10", "0.025")]


@given(st.sampled_from(STEPS), st.integers(1, 10**6), st.integers(1, 10**6), st.sampled_from((1, -1)))
def test_what_an_order_locks_is_what_its_execution_moves(steps: Any, tick: int, lots: int, side: int):
    section = replace(PAIR, tick_size=steps[0], lot_size=steps[1], min_price=steps[0], min_qty=steps[1])
    i = Instrument(0, section, {"TRADING": ALL_ORDERS})
    qty, price = amount(i.qty(lots)), amount(i.price(tick))
    assert i.base_amount(lots) == qty
    assert price_of(i, side, tick, lots) == (qty if side < 0 else qty * price // UNIT)
    fee = i.fee_in_asset(i.notional(tick, lots), i.taker_rate)
    # 0.2 %, a quarter less, at 500.
    assert fee is not None and abs(fee - qty * price // UNIT * 0.0015 / 500) <= 1 + fee * 1e-9


def test_a_market_order_is_reckoned_by_the_book():
    exchange = Exchange(BinanceSpot, spot(), Path(), [], {"BTCUSDT": market()})
    exchange.start()
    i = exchange.instruments["BTCUSDT"]
    # 1 at 1,000.5, then at 1,000.6.
    assert cost_at_market(exchange.market, i, 1500) == 150_080_000_000
    assert bought_for(exchange.market, i, 1, 1_000 * UNIT) == 999
    assert bought_for(exchange.market, i, -1, 2_000 * UNIT) == 2001
    assert cost_at_market(exchange.market, i, 10**9) == cost_at_market(exchange.market, i, 20_000)


def test_a_pair_without_a_price_for_the_fee_asset_takes_fees_from_what_is_received():
    assert Instrument(0, SpotSymbol(), {"TRADING": ALL_ORDERS}).fee_in_asset(UNIT, UNIT) is None
