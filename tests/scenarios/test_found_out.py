"""The scenarios are worth something: a connector that does one thing wrong is found out on each exchange."""

import msgspec
import pytest

from daemon.messages import Modify, Submit
from hftd.constants import IOC
from tests.scenarios.driver import scenario, sold


def _other_price(s, send):
    def sent(command):
        if isinstance(command, Submit | Modify):
            command = msgspec.structs.replace(command, price_tick=command.price_tick - 1)
        send(command)

    return sent


def _twice(s, send):
    """A second order, with an id of its own that order management does not know."""

    def sent(command):
        send(command)
        if isinstance(command, Submit):
            ids = s.orders.store.ids
            again = msgspec.structs.replace(
                command, request=command.request + 1000, client_id=ids.make("mm", 1)
            )
            send(again)

    return sent


def _too_much(s, send):
    def sent(command):
        if isinstance(command, Submit):
            command = msgspec.structs.replace(command, qty_lots=command.qty_lots + 1)
        send(command)

    return sent


@pytest.mark.parametrize("wrong", [_other_price, _twice, _too_much])
@scenario(happens=[sold(4)], is_checked=False)
async def test_what_is_sent_otherwise_is_found_out(s, wrong):
    bot = s.bot()
    s.orders._send = wrong(s, s.orders._send)
    bot.place(1, -5, 10)
    await s.sleep(0.3)
    await s.market()
    with pytest.raises(AssertionError):
        await s.settled(60.0)
        s.check()


@scenario(is_checked=False)
async def test_a_fill_that_is_not_told_to_the_bot_is_found_out(s):
    bot = s.bot()
    bot.apply = lambda _update: None
    bot.place(1, 10, 10, tif=IOC)
    await s.sleep(1.0)
    with pytest.raises(AssertionError):
        s.check()


@scenario(is_checked=False)
async def test_an_order_that_is_forgotten_is_found_out(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.settled()
    s.check()
    s.orders.store.orders.clear()
    with pytest.raises(AssertionError, match="forgotten"):
        s.check()
