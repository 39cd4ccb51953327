"""Positions and money are whole numbers, and nothing of them is lost."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.exchange.accounts.accounts import Position
from sim.exchange.rules.instruments import (
    ALL_ORDERS,
    BadNumberError,
    Instrument,
    PrecisionError,
    divide,
    parse,
    show,
)
from tests.sim.exchange.client import SYMBOL, at, market, running

BTC = Instrument(0, SYMBOL, {"TRADING": ALL_ORDERS})
fills = st.lists(
    st.tuples(st.sampled_from([1, -1]), st.integers(1, 1_000_000), st.integers(1, 1_000_000)), max_size=40
)


@given(fills)
def test_profits_and_what_is_held_add_up_to_what_was_paid(executed: list[tuple[int, int, int]]):
    position = Position(BTC, "BOTH")
    paid = 0
    for side, tick, lots in executed:
        position.book(side, tick, lots)
        paid += side * BTC.notional(tick, lots)
    assert position.lots == sum(side * lots for side, _, lots in executed)
    held = position.cost if position.lots > 0 else -position.cost
    assert position.realized == held - paid
    if position.lots == 0:
        assert position.cost == 0


@given(fills)
def test_the_entry_price_lies_between_the_prices_paid(executed: list[tuple[int, int, int]]):
    position = Position(BTC, "BOTH")
    for side, tick, lots in executed:
        position.book(side, tick, lots)
    if position.lots:
        entry = Fraction(position.cost, abs(position.lots) * BTC.notional(1, 1))
        ticks = [tick for _, tick, _ in executed]
        assert min(ticks) - 1 <= entry <= max(ticks) + 1


@given(st.integers(0, 10**15), st.integers(0, 8))
def test_a_number_is_read_as_it_was_written(value: int, digits: int):
    assert parse(show(value, digits), digits) == value


@given(st.integers(-(10**20), 10**20), st.integers(1, 10**9))
def test_division_goes_to_the_nearest(numerator: int, denominator: int):
    assert abs(Fraction(numerator, denominator) - divide(numerator, denominator)) <= Fraction(1, 2)


def test_numbers_that_are_none_and_those_with_too_many_digits_are_told_apart():
    for text in ("", "-1", "1e5", "1.", ".5", "0x1", "1_0", "\u0661", "1" * 21):
        with pytest.raises(BadNumberError):
            parse(text, 3)
    with pytest.raises(PrecisionError):
        parse("0.0001", 3)
    assert parse("0.0010000", 3) == 1


async def test_balance_is_what_it_was_with_profits_and_without_fees():
    lines = [("sell", 5, 998.0, 9.0), ("buy", 6, 1002.0, 9.0), ("sell", 7, 998.0, 9.0)]
    async with running(data=market(*lines)) as (exchange, client):
        await client.place(quantity="0.010", price="999.0")
        await client.place(quantity="0.007", price="998.7")
        await client.place(side="SELL", quantity="0.013", price="1001.3")
        exchange.move_to(at(6))
        await client.place(quantity="0.050", price="999.0")
        exchange.move_to(at(7))
        truth = client.truth()
        assert [one["lots"] for one in truth["trades"]] == [10, 7, 13, 50]
        assert truth["balance"] == truth["start_balance"] + truth["realized"] - truth["fees"]
        assert truth["fees"] == sum(one["fee"] for one in truth["trades"])
        assert truth["positions"][0]["lots"] == 54
        (balance,) = await client.good("GET", "v3/balance")
        assert balance["balance"] == show(truth["balance"], 8)
        trades = await client.good("GET", "v1/userTrades", symbol="BTCUSDT")
        assert [one["id"] for one in trades] == [one["trade_id"] for one in truth["trades"]]
        assert sum(parse(one["commission"], 8) for one in trades) == truth["fees"]


async def test_trades_and_orders_are_found_by_id_and_by_time():
    lines = [("sell", 10 * n, 998.0, 9.0) for n in range(1, 6)]
    async with running(data=market(*lines)) as (exchange, client):
        for number in range(5):
            await client.place(newClientOrderId=f"a{number}")
            exchange.move_to(at(10 * number + 10))
        trades = await client.good("GET", "v1/userTrades", symbol="BTCUSDT")
        assert len(trades) == 5
        later = await client.good("GET", "v1/userTrades", symbol="BTCUSDT", fromId=trades[2]["id"], limit=2)
        assert later == trades[2:4]
        since = await client.good("GET", "v1/userTrades", symbol="BTCUSDT", startTime=trades[3]["time"])
        assert since == trades[3:]
        orders = await client.good("GET", "v1/allOrders", symbol="BTCUSDT")
        assert [one["clientOrderId"] for one in orders] == [f"a{n}" for n in range(5)]
        newest = await client.good("GET", "v1/allOrders", symbol="BTCUSDT", limit=1)
        assert newest == orders[-1:]
        assert await client.code("GET", "v1/userTrades", symbol="BTCUSDT", limit=1001) == -1130
        assert (
            await client.code("GET", "v1/userTrades", symbol="BTCUSDT", startTime=1, endTime=10**9) == -4166
        )


async def test_positions_are_listed_where_there_is_one_or_an_order():
    async with running() as (_, client):
        assert await client.good("GET", "v3/positionRisk") == []
        await client.place(type="MARKET", timeInForce=None, price=None)
        (one,) = await client.good("GET", "v3/positionRisk")
        assert (one["positionAmt"], one["entryPrice"], one["markPrice"]) == (
            "0.010",
            "1000.50000000",
            "1000.00",
        )
        assert one["unRealizedProfit"] == "-0.00500000"
        await client.place(type="MARKET", timeInForce=None, price=None, side="SELL")
        assert await client.good("GET", "v3/positionRisk") == []
