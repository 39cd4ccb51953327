"""An instrument that was not listed when the connector began, and is listed again: the journal has its orders."""

import pytest

from daemon.messages import Cancel, Query
from daemon.orders.manager import OrderManager
from hftd.constants import NONE
from tests.daemon.orders.model import INSTRUMENT, SECOND
from tests.daemon.orders.world import World


class Delisted(World):
    """Its connector, once killed, begins without the instrument."""

    def start(self, **options: object) -> OrderManager:
        add = OrderManager.add_instrument
        if self.lives:
            OrderManager.add_instrument = lambda _self, _instrument: None  # type: ignore[method-assign]
        try:
            return super().start(**options)
        finally:
            OrderManager.add_instrument = add  # type: ignore[method-assign]


@pytest.fixture(params=["cancel", "flatten"])
def delisted(tmp_path, request) -> World:
    return Delisted(tmp_path, on_end=request.param)


def again(world: World, wait_s: int) -> None:
    """The connector begins again, is connected, and the instrument is listed so much later."""
    world.crash()
    world.manager.on_connection(True, world.now_ns)
    world.reconcile()
    for _ in range(wait_s):
        world.advance(SECOND)
        world.tick()
    world.commands.clear()
    world.manager.on_instruments([INSTRUMENT], world.now_ns)


def test_an_order_that_was_under_way_is_asked_about(delisted):
    delisted.submit("a", 1)
    delisted.requests.clear()  # it never arrives
    again(delisted, 3)
    assert any(isinstance(one, Query) for one in delisted.commands)
    delisted.attach("a")
    delisted.settle()
    assert not delisted.manager.store.alive
    assert delisted.bots["a"].orders[1].status != NONE
    delisted.check()


def test_an_order_whose_bot_did_not_come_back_is_cancelled(delisted):
    delisted.submit("a", 1)
    delisted.flush()
    again(delisted, 60)
    delisted.settle()
    delisted.advance(60 * SECOND)
    delisted.settle()
    assert any(isinstance(one, Cancel) for one in delisted.commands)
    assert not [one for one in delisted.exchange.orders.values() if one.is_open]
    assert not delisted.manager.store.alive


def test_what_it_traded_meanwhile_is_asked_for_at_once(delisted):
    delisted.submit("a", 1)
    delisted.flush()
    again(delisted, 3)
    assert delisted.manager.reconcile_due_ns() <= delisted.now_ns
