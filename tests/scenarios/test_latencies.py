"""What a connector measures: latencies are those of the exchange and the way to it, markouts those of the book."""

import pytest

from hftd.clock import running_ns
from hftd.control import status
from tests.scenarios.driver import Scenario, scenario, sold
from tests.scenarios.market import TICK
from tests.scenarios.virtual import LATENCY_S
from tests.soak.books import MONEY

MS = 1_000_000
WAY_NS = round(LATENCY_S * 1e9)
ENTRY_MS, BACK_MS, FEED_MS = 20, 40, 60
WAYS = {
    "entry_ms": [ENTRY_MS] * 2,
    "reply_ms": [BACK_MS] * 2,
    "event_ms": [BACK_MS] * 2,
    "feed_ms": [FEED_MS] * 2,
}


def shown(s: Scenario) -> status.Bot:
    """The only bot, as `hftd status` shows it."""
    (bot,) = s.act(lambda: s.orders.snapshot(running_ns()).bots)
    return bot


@scenario(sections={"latency": WAYS})
async def test_latencies_are_those_of_the_exchange_and_of_the_way_to_it(s):
    bot = s.bot()
    for number in range(1, 4):
        bot.place(number, -5 - number, 10)
        await s.sleep(0.5)
        bot.cancel(number)
        await s.sleep(0.5)
    told = {one.name: one for one in shown(s).latencies}
    assert {one.count for one in told.values()} == {6}
    means = {name: one.sum_ns / one.count for name, one in told.items()}
    assert means["round trip"] == pytest.approx((ENTRY_MS + BACK_MS) * MS + 2 * WAY_NS, abs=10_000)
    # What is measured by two clocks is known as well as they are compared.
    _, error_ns = s.act(s.connector.session.clock)
    assert means["entry"] == pytest.approx(ENTRY_MS * MS + WAY_NS, abs=error_ns)
    assert means["response"] == pytest.approx(BACK_MS * MS + WAY_NS, abs=error_ns)
    feed = s.connector.bots.books.get(s.number).latency.told("feed")
    assert feed.count > 0
    assert feed.sum_ns / feed.count == pytest.approx(FEED_MS * MS + WAY_NS, abs=error_ns)
    assert shown(s).outcomes["cancelled"] == 3


@scenario(happens=[sold(10)])
async def test_a_fill_is_told_as_the_exchange_has_it_with_its_markouts(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.1)
    await s.market()
    await s.sleep(61.0)
    (fill,) = s.act(s.orders.fills)
    (trade,) = s.trades
    assert (fill.bot, fill.symbol, fill.side, fill.order_id) == ("mm", s.case.symbol, "buy", 1)
    assert (fill.client_id, fill.is_maker) == (trade["client_id"], True)
    assert fill.price == pytest.approx(float(trade["price"]))
    assert (fill.fee, fill.fee_asset) == (pytest.approx(trade["fee"] / MONEY), trade["fee_asset"])
    # The middle is five ticks above, and stays there.
    assert fill.markouts == pytest.approx([5 * float(TICK)] * 3)
    told = shown(s)
    assert [one.count for one in told.markouts] == [1, 1, 1]
    assert all(
        one.gain / one.value == pytest.approx(5 * float(TICK) / fill.price, rel=1e-4) for one in told.markouts
    )
    assert told.outcomes["filled"] == 1
