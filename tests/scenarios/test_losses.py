"""Limits on losses, with a whole connector: what is reached halts, closes, and outlives a kill."""

import pytest

from daemon.orders.limits import AccountLimits, BotLimits, InstrumentLimits
from hftd.clock import running_ns
from hftd.constants import CANCELED, IOC, REASON_HALTED, SELL
from tests.scenarios.driver import KEY, scenario

LEAST = 1e-9
"""Less than any fee."""


@pytest.mark.thorough
@scenario()
async def test_a_bot_that_loses_too_much_is_closed_and_stays_halted_over_a_kill_until_the_owner_resumes(s):
    bot = s.bot(on_end="flatten", limits=BotLimits(max_day_loss=LEAST))
    other = s.bot("other")
    bot.place(1, -9, 10)
    await s.sleep(0.2)
    bot.place(2, 10, 10, tif=IOC)
    await s.sleep(5.0)
    assert s.open == []
    assert bot.orders[1].status == CANCELED
    assert s.is_flat
    other.place(1, -7, 10)
    bot.place(3, -5, 10)
    await s.sleep(0.2)
    assert bot.orders[3].reason == REASON_HALTED
    assert s.open == [(1, -7, 10)]
    assert "bot_halted" in s.warnings
    await s.restart()
    await s.until(lambda: s.connector.orders.counters.reconciliations > 0)
    bot.place(4, -5, 10)
    await s.sleep(0.2)
    assert bot.orders[4].reason == REASON_HALTED
    s.resume()
    bot.place(5, -5, 10)
    await s.sleep(0.2)
    assert s.open == [(1, -7, 10), (1, -5, 10)]
    assert "bot_halted" not in s.warnings


@pytest.mark.thorough
@scenario(config={"limits": AccountLimits(max_day_loss=LEAST)})
async def test_an_account_that_loses_too_much_takes_no_new_order_of_anybody(s):
    bot, other = s.bot(), s.bot("other")
    other.place(1, -9, 10)
    await s.sleep(0.2)
    bot.place(2, 10, 10, tif=IOC)
    await s.sleep(1.0)
    assert s.open == []
    other.place(3, -5, 10)
    await s.sleep(0.2)
    assert other.orders[3].reason == REASON_HALTED
    assert "halted" in s.warnings
    profit = profit_of(s)
    assert profit.total == pytest.approx(-profit.fee + profit.realised + profit.unrealised)
    assert profit.total < 0 < profit.fee


@pytest.mark.thorough
@scenario(needs="positions")
async def test_what_was_earned_is_what_the_wallet_has_changed_by_and_funding_stands_apart(s):
    bot = s.bot()
    bot.place(1, 10, 10, tif=IOC)
    await s.sleep(0.5)
    (paid,) = (await s.control("fund", api_key=KEY, symbol=s.case.symbol, rate="0.0025"))["paid"]
    (got,) = (await s.control("fund", api_key=KEY, symbol=s.case.symbol, rate="-0.001"))["paid"]
    assert float(paid) > -float(got) > 0
    await s.sleep(0.5)
    await s.restart()
    await s.sleep(2.0)
    bot.place(2, -10, 10, side=SELL, tif=IOC)
    await s.sleep(2.0)
    assert s.is_flat
    profit = profit_of(s)
    assert profit.funding == pytest.approx(-float(paid) - float(got), rel=1e-12)
    assert profit.fee > 0
    assert profit.unrealised == pytest.approx(0.0, abs=1e-12)
    wallet = next(one for one in s.truth["wallets"] if one["asset"] == profit.asset)
    changed = (wallet["balance"] - wallet["start_balance"]) / 1e8
    assert profit.total == pytest.approx(changed, abs=3e-8), "three amounts that the exchange rounds"


@pytest.mark.thorough
@scenario(needs="positions")
async def test_funding_while_the_connector_was_away_is_found_and_counted_once(s):
    bot = s.bot()
    bot.place(1, 10, 10, tif=IOC)
    await s.sleep(0.5)
    s.kill()
    (paid,) = (await s.control("fund", api_key=KEY, symbol=s.case.symbol, rate="0.0025"))["paid"]
    await s.start()
    await s.sleep(1.0)
    bot.attach()
    await s.sleep(30.0)
    assert profit_of(s).funding == pytest.approx(-float(paid))
    (more,) = (await s.control("fund", api_key=KEY, symbol=s.case.symbol, rate="0.001"))["paid"]
    await s.sleep(1.0)
    s.kill()
    await s.start()
    await s.sleep(1.0)
    bot.attach()
    await s.sleep(5.0)
    assert profit_of(s).funding == pytest.approx(-float(paid) - float(more))


def profit_of(s):
    """The account's, of the day."""
    s.connector.orders.tick(running_ns())
    (profit,) = s.connector.orders.snapshot(running_ns()).profits
    return profit


@scenario(
    config=lambda case: {
        "bots": {
            "mm": BotLimits(instruments={case.symbol.lower(): InstrumentLimits(), "NONE": InstrumentLimits()})
        }
    }
)
async def test_limits_that_limit_nothing_are_told(s):
    s.bot()
    s.bot("other")
    seen = s.connector.warnings.look(s.loop.clock.passed_ns)
    names = ("bot_not_limited", "limit_of_no_instrument")
    assert [(one.key, one.symbol) for one in seen if one.key in names] == [
        (names[0], "other"),
        (names[1], "mm NONE"),
    ]
