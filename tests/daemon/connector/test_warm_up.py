"""What a user may rely on: what a polling connector does to stay warm is seen by nobody, and leaves nothing behind."""

from decimal import Decimal

import pytest

from daemon.connector.bots.warm_up import WarmUp
from daemon.messages import Instrument, Submit
from tests.daemon.connector.harness import running


@pytest.fixture
def instrument():
    return Instrument(
        number=7,
        symbol="BTCUSDT",
        tick_size=Decimal("0.1"),
        lot_size=Decimal("0.001"),
        min_qty_lots=100,
        min_notional=100.0,
        is_trading=False,
    )


def test_each_warm_up_goes_all_the_way_and_nothing_of_it_is_kept(instrument):
    performed = []
    warm_up = WarmUp(instrument, performed.append)
    for _ in range(500):
        warm_up.run()
    assert [type(command) for command in performed] == [Submit] * 500
    store = warm_up._manager.store
    assert not store.orders
    assert not store.alive
    assert not store.by_id
    assert not warm_up._manager.commands.in_flight
    warm_up.close()


async def test_a_warm_up_reaches_neither_the_exchange_nor_its_limits(tmp_path):
    async with running(tmp_path, config={"spin": True}) as whole:
        await whole.until_valid()
        # By hand: a bot's thread that compiles beside a polling loop would take long.
        for _ in range(200):
            whole.connector.bots._warm_up()
        used = {one.name: one.used for one in whole.connector.session.limits()}
        assert used["orders_10s"] == 0
        assert whole.connector.session.counters()["sent_ws"] == 0
        assert whole.connector.orders.store.orders_sent == 0
