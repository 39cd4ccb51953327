"""What happens to the account and its instruments beside the bots' orders: hands, force, halts, delistings, keys."""

import pytest

from daemon.connector.config import Credentials
from daemon.connector.secrets import Secret
from hftd import wire
from hftd.constants import (
    CANCELED,
    EXPIRED,
    FILLED,
    IOC,
    NEW,
    REASON_LIQUIDATION,
    REASON_NOT_TRADING,
    REASON_PERMISSION,
    SELL,
)
from hftd.errors import HftdError
from tests.scenarios.driver import KEY, scenario, sold


@scenario()
async def test_a_trade_by_hand_is_the_accounts_and_no_bots(s):
    bot = s.bot()
    bot.place(1, 10, 10, tif=IOC)
    await s.sleep(0.3)
    await s.by_hand("BUY", 7)
    await s.settled()
    ledger = s.orders.store.by_number[s.number]
    assert (s.position, ledger.other_lots, bot.position) == (17, 7, 10)


@scenario(needs="positions")
async def test_a_position_that_is_closed_by_hand_is_not_flattened_once_more(s):
    bot = s.bot(on_end="flatten")
    bot.place(1, 10, 10, tif=IOC)
    await s.sleep(0.3)
    await s.control("close-position", symbol=s.case.symbol, api_key=KEY)
    await s.settled()
    bot.detach()
    await s.settled()
    assert s.position == 0
    assert len(s.trades) == 2


@scenario()
async def test_an_order_that_the_owner_cancels_is_cancelled(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    bot.place(2, -6, 10)
    await s.sleep(0.3)
    await s.control("cancel", symbol=s.case.symbol, api_key=KEY)
    await s.sleep(0.5)
    assert {bot.orders[1].status, bot.orders[2].status} == {CANCELED}


@pytest.mark.parametrize("why", ["liquidation", "adl"])
@scenario(needs="positions")
async def test_a_position_that_the_exchange_closes_is_told_and_nothing_is_opened_until_the_owner_has_looked(
    s, why
):
    bot = s.bot()
    bot.place(1, 10, 10, tif=IOC)
    await s.sleep(0.3)
    await s.control("force", symbol=s.case.symbol, api_key=KEY, why=why)
    await s.until(lambda: bot.position == 0)
    assert any(isinstance(one, wire.Notice) and one.kind == wire.NOTICE_FORCED_CLOSE for one in bot.said)
    bot.place(2, -5, 10)
    await s.sleep(0.3)
    assert (bot.orders[2].status, bot.orders[2].reason) == (EXPIRED, REASON_LIQUIDATION)
    await s.restart()
    bot.place(3, -5, 10)
    await s.sleep(0.3)
    assert bot.orders[3].reason == REASON_LIQUIDATION
    s.resume()
    bot.place(4, -5, 10)
    await s.sleep(0.3)
    assert s.open == [(1, -5, 10)]


@scenario(happens=[sold(4)])
async def test_a_symbol_that_the_exchange_halts_is_traded_again_when_it_goes_on(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.3)
    await s.control("change", symbol=s.case.symbol, status=s.case.halted)
    bot.place(2, -6, 10)
    await s.sleep(5.0)
    assert (bot.orders[2].status, bot.orders[2].reason) == (EXPIRED, REASON_NOT_TRADING)
    await s.control("change", symbol=s.case.symbol, status="")
    bot.cancel(1)
    await s.until(lambda: s.open == [])
    await s.until(lambda: _trades_again(s, bot), 300.0)


def _trades_again(s, bot):
    number = len(bot.orders) + 1
    if s.open == []:
        bot.place(number, -7, 10)
    return s.open == [(1, -7, 10)]


@scenario(config=lambda case: {"symbols": case.symbols})
async def test_a_symbol_that_is_delisted_takes_nothing_with_it(s):
    bot = s.bot()
    bot.place(1, 10, 10, tif=IOC)
    await s.sleep(0.5)
    await s.control("delist", symbol=s.case.symbols[1])
    await s.sleep(5.0)
    bot.place(2, -5, 10)
    await s.sleep(0.5)
    assert s.open == [(1, -5, 10)]
    await s.restart(symbols=(s.case.symbol,))
    await s.settled()
    assert bot.position == s.position == 10


@scenario(is_checked=False, needs="positions")
async def test_orders_and_position_in_a_symbol_that_is_delisted_are_over(s):
    bot = s.bot()
    bot.place(1, 10, 10, tif=IOC)
    bot.place(2, -5, 10)
    await s.sleep(0.5)
    await s.control("delist", symbol=s.case.symbol)
    await s.until(lambda: bot.orders[2].status in (CANCELED, EXPIRED))
    assert s.open == []
    await s.until(lambda: bot.position == 0)
    bot.place(3, -5, 10)
    await s.sleep(1.0)
    assert bot.orders[3].status == EXPIRED


@pytest.mark.parametrize("steps", [{"tick_size": "0.5"}, {"lot_size": 2}])
@scenario(happens=[sold(4)])
async def test_other_steps_end_the_orders_and_are_traded_after_a_restart(s, steps):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.3)
    changes = {key: value if isinstance(value, str) else f"{value * s.lot:f}" for key, value in steps.items()}
    await s.control("change", symbol=s.case.symbol, **changes)
    # Something refused, or the hourly look, tells of it.
    s.connector.on_instruments_wanted()
    await s.until(lambda: s.open == [])
    bot.place(2, -5, 10)
    await s.sleep(0.5)
    assert (bot.orders[2].status, bot.orders[2].reason) == (EXPIRED, REASON_NOT_TRADING)
    assert s.requests == [("place", 10)]
    assert "steps_changed" in s.warnings
    given = {"tick_size": "0.1", "lot_size": s.case.lot}
    await s.control("change", symbol=s.case.symbol, **{key: given[key] for key in steps})
    await s.restart()
    bot.place(3, -5, 10)
    await s.sleep(0.5)
    assert s.open == [(1, -5, 10)]


@scenario()
async def test_a_key_that_loses_its_rights_is_said_and_nothing_is_lost(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.3)
    for path in ("place", "cancel", "open orders", "executions", "positions", "one order"):
        s.refuses("no permission", path, times=0)
    bot.place(2, -6, 10)
    bot.cancel(1)
    await s.sleep(10.0)
    assert bot.orders[2].reason == REASON_PERMISSION
    assert s.open == [(1, -5, 10)]
    assert "orders_refused" in s.warnings
    await s.control("mend")
    await s.until(lambda: s.open == [])
    assert bot.orders[1].status == CANCELED


@pytest.mark.parametrize(("key", "secret"), [("x" * 64, "s" * 64), (KEY, "wrong")], ids=["key", "secret"])
@scenario(is_started=False, is_checked=False)
async def test_a_wrong_key_or_secret_is_said_at_the_start(s, key, secret):
    with pytest.raises(HftdError) as found:
        await s.start(credentials=Credentials(api_key=Secret(key), secret=Secret(secret)))
    assert "key" in str(found.value)
    assert secret not in str(found.value)


@scenario()
async def test_money_that_is_gone_refuses_the_next_order_and_keeps_the_others(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.3)
    asset = {"asset": s.case.pays} if s.case.pays else {}
    await s.control("balance", api_key=KEY, balance="0", **asset)
    bot.place(2, -6, 1000)
    await s.sleep(0.5)
    assert bot.orders[2].status == EXPIRED
    assert s.open == [(1, -5, 10)]
    bot.cancel(1)
    await s.until(lambda: s.open == [])


@scenario()
async def test_a_position_turns_from_long_to_short_with_the_right_money(s):
    bot = s.bot()
    bot.place(1, 10, 10, tif=IOC)
    await s.sleep(0.2)
    bot.place(2, -10, 25, side=SELL, tif=IOC)
    await s.sleep(0.2)
    bot.place(3, 20, 60, tif=IOC)
    await s.sleep(0.2)
    assert {one.status for one in bot.orders.values()} == {FILLED}
    assert bot.position == s.position == 45


@scenario(config=lambda case: {"order_entry": "rest"}, happens=[sold(4)])
async def test_orders_go_by_rest_alone_as_well(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.3)
    bot.modify(1, -6, 12)
    await s.sleep(0.3)
    assert (bot.orders[1].status, bot.lots(1)) == (NEW, 12)
    assert s.open == [(1, -6, 12)]
    bot.cancel(1)
    await s.sleep(0.3)
    assert bot.orders[1].status == CANCELED


@scenario()
async def test_a_restart_by_another_key_of_another_account_is_refused(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.3)
    s.kill()
    with pytest.raises(HftdError, match="another account"):
        await s.start(credentials=Credentials(api_key=Secret("y" * 64), secret=Secret("z" * 64)))
    await s.restart(credentials=Credentials(api_key=Secret(KEY), secret=Secret("s" * 64)))
    await s.settled()
    assert s.open == [(1, -5, 10)]
