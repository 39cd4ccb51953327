"""A spot account's balances: fees in the base or in a third asset, deposits, and what is less than a lot."""

from decimal import Decimal

import pytest

from hftd.constants import FILLED, IOC, SELL
from tests.scenarios.driver import KEY, scenario

PAIRS = [
    {
        "symbol": f"{base}USDT",
        "base": base,
        "tick_size": "0.1",
        "lot_size": "0.001",
        "min_qty": "0.001",
        "min_price": "1",
        "fee_asset_price": "600",
    }
    for base in ("BTC", "ETH")
]


def wallet(s, asset):
    return next(one for one in s.truth["wallets"] if one["asset"] == asset)


def ledger(s):
    return s.orders.store.by_number[s.number]


@scenario(
    needs="balances",
    sections={"symbols": PAIRS, "accounts": [{"fee_asset": "BNB", "balances": {"BNB": "0.0011"}}]},
)
async def test_fees_in_a_third_asset_are_kept_apart_until_it_is_used_up_and_then_taken_from_the_base(s):
    bot = s.bot()
    bot.place(1, 10, 10, tif=IOC)
    await s.settled()
    paid = Decimal(wallet(s, "BNB")["fees"]) / 10**8
    assert paid > 0
    assert bot.exact == 10 * s.lot, "nothing of the base was taken"
    assert bot.model.state.fee == 0.0
    assert ledger(s).books["mm"].other_fees == {"BNB": float(paid)}
    assert "fees_in_other_asset" in s.warnings
    # There is not enough for another one.
    bot.place(2, 10, 10, tif=IOC)
    await s.settled()
    assert bot.orders[2].status == FILLED
    assert bot.exact < 20 * s.lot and bot.model.state.fee > 0.0
    assert ledger(s).books["mm"].other_fees == {"BNB": float(paid)}
    await s.restart()
    await s.settled()
    assert ledger(s).books["mm"].other_fees == {"BNB": float(paid)}


@pytest.mark.parametrize("is_heard", [True, False], ids=["told", "not told"])
@scenario(needs="balances", is_checked=False)
async def test_a_deposit_is_no_bots_and_is_a_warning_only_if_nobody_tells_of_it(s, is_heard):
    bot = s.bot()
    bot.place(1, 10, 10, tif=IOC)
    await s.settled()
    before = bot.exact
    if not is_heard:
        await s.control("silence", stream=s.case.streams["user"], seconds=5)
    await s.control("balance", api_key=KEY, balance="1234567", asset="BTC")
    await s.sleep(10.0)
    await s.settled()
    assert bot.exact == before
    assert ledger(s).other_lots == 0
    assert s.orders.store.wallet.purses["BTC"].total == Decimal(1_234_567)
    assert ("balance_differs" in s.warnings) is not is_heard
    bot.place(2, -10, 5, side=SELL, tif=IOC)
    await s.settled()
    assert bot.exact == before - 5 * s.lot
    held = Decimal(wallet(s, "BTC")["balance"]) / 10**8
    assert s.orders.store.wallet.purses["BTC"].total == held == Decimal(1_234_567) - 5 * s.lot


@scenario(needs="balances")
async def test_what_fees_leave_of_a_lot_stays_the_bots_when_it_is_flattened(s):
    bot = s.bot(on_end="flatten")
    bot.place(1, 10, 10, tif=IOC)
    await s.settled()
    # A thousandth of 10 lots.
    assert bot.exact == Decimal("9.99") * s.lot
    bot.detach()
    await s.settled()
    book = ledger(s).books["mm"]
    assert (book.position_lots, book.dust) == (0, Decimal("0.99") * s.lot)
    assert not s.orders.store.bots["mm"].row.is_ending and s.is_flat
    assert not {"not_flattened", "position_without_bot", "balance_differs"} & s.warnings
    await s.restart()
    again = s.bot()
    assert again.exact == Decimal("0.99") * s.lot, "it is the bot's when it comes back"


@scenario(needs="balances")
async def test_a_position_that_is_worth_less_than_an_order_may_be_waits_and_is_told(s):
    bot = s.bot(on_end="flatten")
    bot.place(1, 10, 10, tif=IOC)
    await s.settled()
    await s.control("change", symbol=s.case.symbol, min_notional="1000")
    s.connector.on_instruments_wanted()
    await s.sleep(5.0)
    bot.detach()
    await s.settled()
    assert s.position == 10 and "not_flattened" in s.warnings
    sent = len(s.requests)
    await s.sleep(30.0)
    assert len(s.requests) == sent, "nothing is sent for ever"
    await s.control("change", symbol=s.case.symbol, min_notional="5")
    s.connector.on_instruments_wanted()
    await s.until(lambda: s.is_flat, 60.0)
    await s.settled()
    assert "not_flattened" not in s.warnings
