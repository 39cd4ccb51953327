"""What is refused, with which code, and what is looked at first."""

import pytest
from msgspec.structs import replace

from sim.exchange.rules.config import LimitsSection
from tests.sim.exchange.client import ACCOUNTS, SYMBOL, config, running


@pytest.mark.parametrize(
    ("code", "params"),
    [
        (-1102, {"side": None}),
        (-1102, {"symbol": None}),
        (-1102, {"price": None}),
        (-1102, {"quantity": None}),
        (-1102, {"timeInForce": None}),
        (-1102, {"price": "1e3"}),
        (-1102, {"price": "-1"}),
        (-1102, {"quantity": ""}),
        (-1106, {"type": "MARKET"}),
        (-1111, {"price": "999.001"}),
        (-1111, {"quantity": "0.0101"}),
        (-1115, {"timeInForce": "DAY"}),
        (-1116, {"type": "ICEBERG"}),
        (-1117, {"side": "LONG"}),
        (-1121, {"symbol": "NOUSDT"}),
        (-2019, {"quantity": "900"}),
        (-4002, {"price": "9999999.0"}),
        (-4003, {"quantity": "0"}),
        (-4005, {"quantity": "1000.001"}),
        (-4005, {"type": "MARKET", "timeInForce": None, "price": None, "quantity": "120.001"}),
        (-4013, {"price": "0.0"}),
        (-4014, {"price": "999.05"}),
        (-4015, {"newClientOrderId": "a b"}),
        (-4015, {"newClientOrderId": "a" * 37}),
        (-4016, {"price": "1050.1"}),
        (-4024, {"side": "SELL", "price": "949.9"}),
        (-4061, {"positionSide": "LONG"}),
        (-4120, {"type": "STOP", "stopPrice": "990"}),
        (-4164, {"quantity": "0.005"}),
        (-5039, {"selfTradePreventionMode": "EXPIRE"}),
    ],
)
async def test_a_wrong_order_has_its_code(code: int, params: dict):
    async with running() as (_, client):
        assert await client.refused(**params) == code
        assert client.truth()["orders"] == []


async def test_a_step_of_more_than_a_digit_is_a_filter_of_its_own():
    async with running(config(replace(SYMBOL, lot_size="0.005", min_qty="0.005"))) as (_, client):
        assert await client.refused(quantity="0.012") == -4023


async def test_parameters_are_looked_at_before_filters_and_filters_before_the_account():
    async with running() as (_, client):
        await client.place(newClientOrderId="a1")
        assert await client.refused(price="999.05", quantity="0.0101", newClientOrderId="a1") == -1111
        assert await client.refused(price="999.05", newClientOrderId="a1", positionSide="LONG") == -4014
        assert await client.refused(newClientOrderId="a1", positionSide="LONG") == -4061
        assert await client.refused(newClientOrderId="a1", quantity="900") == -4116
        assert await client.refused(quantity="900", timeInForce="GTX", price="1000.5") == -2019


async def test_there_are_only_so_many_open_orders():
    async with running(config(replace(SYMBOL, max_orders=2))) as (_, client):
        await client.place()
        await client.place()
        assert await client.refused() == -2025


async def test_an_order_that_only_reduces_may_be_small():
    async with running() as (_, client):
        await client.place(type="MARKET", timeInForce=None, price=None)
        await client.place(side="SELL", price="1001.0", quantity="0.001", reduceOnly="true")


async def test_a_position_may_be_closed_whatever_the_margin():
    poor = [replace(ACCOUNTS[0], balance="110", leverage=1)]
    async with running(config(accounts=poor)) as (_, client):
        await client.place(type="MARKET", timeInForce=None, price=None, quantity="0.100")
        assert await client.refused(quantity="0.100") == -2019
        await client.place(side="SELL", type="MARKET", timeInForce=None, price=None, quantity="0.100")
        assert client.truth()["positions"][0]["lots"] == 0


async def test_what_is_not_there_is_not_found():
    async with running() as (_, client):
        assert await client.code("GET", "v1/order", symbol="BTCUSDT", origClientOrderId="x") == -2013
        assert await client.code("GET", "v1/openOrder", symbol="BTCUSDT", orderId="12") == -2013
        assert await client.code("DELETE", "v1/order", symbol="BTCUSDT", orderId="12") == -2011
        assert await client.code("GET", "v1/order", symbol="BTCUSDT") == -1102
        assert (await client.call("GET", "v9/nothing"))[0] == 404


async def test_orders_of_another_account_are_not_found():
    from tests.sim.exchange.client import OTHER_KEY, OTHER_SECRET, Client

    async with running() as (exchange, client):
        order = await client.place(newClientOrderId="a1")
        other = Client(exchange, client.session, OTHER_KEY, OTHER_SECRET)
        assert await other.code("DELETE", "v1/order", symbol="BTCUSDT", orderId=order["orderId"]) == -2011
        assert await other.code("GET", "v1/order", symbol="BTCUSDT", origClientOrderId="a1") == -2013
        await other.place(newClientOrderId="a1")


async def test_an_order_can_only_be_modified_so_often():
    limits = LimitsSection(modifies_max=1)
    async with running(config(limits=limits)) as (_, client):
        await client.place(newClientOrderId="a1")
        await client.modify("a1", "998.0", "0.010")
        assert await client.code("PUT", "v1/order", **client.modified("a1", "997.0", "0.010")) == -5026
