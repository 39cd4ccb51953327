"""Inverse contracts: counted in the quote, paid, margined and settled in the base."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.exchange.accounts.accounts import Account, NewOrder, Order, Position, Trade
from sim.exchange.rules.config import AccountSection, SymbolSection
from sim.exchange.rules.instruments import ALL_ORDERS, Instrument
from tests.sim.exchange.client import KEY, SECRET, at, coinm, config, market, running

MONEY = 10**8
SECTION = SymbolSection(
    symbol="BTCUSDT",
    base="BTC",
    quote="USD",
    tick_size="0.1",
    lot_size="1",
    contract_size="100",
    inverse=True,
    min_qty="1",
    max_qty="1000000",
    min_notional="0",
    maker_fee="-0.0001",
    taker_fee="0.0005",
)
BTC = Instrument(0, SECTION, {"TRADING": ALL_ORDERS})
# At 0.1 to 200,000 dollars, up to a million contracts.
ticks, lots = st.integers(1, 2_000_000), st.integers(1, 1_000_000)
fills = st.lists(st.tuples(st.sampled_from([1, -1]), ticks, lots), max_size=30)


def coins(tick: int, number: int) -> Fraction:
    """What so many contracts are worth at a price, in units of money."""
    return Fraction(100 * number * 10 * MONEY, tick)


class Plain:
    """A position, in exact numbers."""

    def __init__(self) -> None:
        self.lots = 0
        self.cost = Fraction(0)
        self.realized = Fraction(0)

    def book(self, side: int, tick: int, number: int) -> None:
        closed = min(abs(self.lots), number) if self.lots * side < 0 else 0
        if closed:
            cost = self.cost * closed / abs(self.lots)
            # Of a long one: bought for more coins a contract than it is worth now, the price having risen.
            self.realized += (cost - coins(tick, closed)) * (1 if self.lots > 0 else -1)
            self.cost -= cost
        if number > closed:
            self.cost += coins(tick, number - closed)
        self.lots += side * number


@given(ticks, lots)
def test_a_value_is_contracts_times_their_size_over_the_price(tick: int, number: int):
    assert abs(BTC.notional(tick, number) - coins(tick, number)) <= Fraction(1, 2)


@given(fills, ticks)
def test_a_position_is_that_of_exact_numbers_but_for_the_last_digit(
    executed: list[tuple[int, int, int]], mark: int
):
    position, plain = Position(BTC, "BOTH"), Plain()
    for side, tick, number in executed:
        position.book(side, tick, number)
        plain.book(side, tick, number)
    assert position.lots == plain.lots
    # Each profit is rounded by itself; what is added up is not.
    assert abs(position.realized - plain.realized) <= Fraction(len(executed), 2) + Fraction(1, 1000)
    unrealized = (plain.cost - coins(mark, abs(plain.lots))) * (1 if plain.lots > 0 else -1)
    assert abs(position.profit(mark) - unrealized) <= Fraction(1, 2) + Fraction(1, 1000)
    if plain.lots:
        entry = Fraction(100 * abs(plain.lots) * MONEY) / plain.cost
        # Eight digits are written; the cost is known to twelve digits below a unit of money.
        told = Fraction(position.entry_price())
        assert abs(told - entry) <= Fraction(1, MONEY) + entry * Fraction(2 * len(executed), 10**12)
    else:
        assert position.cost == 0 and position.entry_price() == "0.0"


@given(ticks, lots)
def test_one_fill_is_entered_at_its_price(tick: int, number: int):
    position = Position(BTC, "BOTH")
    position.book(1, tick, number)
    assert abs(Fraction(position.entry_price()) - Fraction(tick, 10)) <= Fraction(1, 10**6)


@given(st.sampled_from([1, -1]), ticks, ticks, lots)
def test_who_is_long_wins_when_the_price_rises_and_who_is_short_when_it_falls(
    side: int, entry: int, mark: int, number: int
):
    position = Position(BTC, "BOTH")
    position.book(side, entry, number)
    won = position.profit(mark)
    assert won == 0 or (won > 0) == ((mark - entry) * side > 0)
    assert position.book(-side, mark, number) == won


def an_order(account: Account, number: int, side: int, tick: int, count: int) -> Order:
    asked = NewOrder(instrument=BTC, side=side, kind="LIMIT", tif="GTC", tick=tick, lots=count)
    return Order(number, f"a{number}", account, BTC, asked, side, tick, count, 0, 0, number)


@given(
    st.lists(
        st.tuples(st.sampled_from([1, -1]), ticks, lots, st.booleans(), st.integers(0, 100)), max_size=20
    )
)
def test_a_wallet_is_its_start_with_profits_and_without_fees_and_nothing_stays_reserved(
    orders: list[tuple[int, int, int, bool, int]],
):
    section = AccountSection(name="one", api_key=KEY, secret=SECRET, balance="5", balances={"ETH": "7"})
    account = Account(0, section, ["BTC", "ETH"])
    wallet, fees = account.wallets["BTC"], Fraction(0)
    for number, (side, tick, count, maker, share) in enumerate(orders):
        order = an_order(account, number, side, tick, count)
        account.opened(order)
        assert abs(wallet.reserved - coins(tick, count)) <= Fraction(1, 2)
        if done := count * share // 100:
            account.executed(order, Trade(number, order, tick, done, 0, 0, 0, maker, 0, 0))
            fees += coins(tick, done) * (Fraction(-1, 10_000) if maker else Fraction(5, 10_000))
        account.closed(order)
        assert wallet.reserved == 0
    assert wallet.balance == wallet.start_balance + wallet.realized - wallet.fees
    assert abs(wallet.fees - fees) <= len(orders) + Fraction(1, 1000)
    assert account.wallets["ETH"].balance == 7 * MONEY and account.main is wallet
    told = account.truth()
    assert told["balance"] == wallet.balance and [one["asset"] for one in told["wallets"]] == ["BTC", "ETH"]


def coin_margined(balance: str):
    account = AccountSection(name="one", api_key=KEY, secret=SECRET, balance=balance, leverage=5)
    return config(SECTION, [account])


@pytest.mark.parametrize(("contracts", "is_taken"), [("124", True), ("126", False)])
async def test_margin_is_a_matter_of_coins(contracts: str, is_taken: bool):
    # 2.5 coins at leverage 5 are 12.5 coins: at 1000 dollars 125 contracts of 100.
    async with running(coin_margined("2.5")) as (_, client):
        if is_taken:
            await client.place(price="1000.0", quantity=contracts)
        else:
            assert await client.refused(price="1000.0", quantity=contracts) == -2019


async def test_an_account_of_coins_is_told_in_coins():
    async with running(coin_margined("1"), market(("sell", 5, 998.0, 9.0))) as (exchange, client):
        await client.place(price="999.0", quantity="2")
        exchange.move_to(at(5))
        (trade,) = await client.good("GET", "v1/userTrades", symbol="BTCUSDT")
        # 200 dollars at 999.0, and a rebate of a ten thousandth.
        assert trade["quoteQty"] == "0.20020020"
        assert (trade["commission"], trade["commissionAsset"]) == ("-0.00002002", "BTC")
        (position,) = await client.good("GET", "v3/positionRisk")
        assert (position["entryPrice"], position["marginAsset"]) == ("999.00000000", "BTC")
        (balance,) = await client.good("GET", "v3/balance")
        assert (balance["asset"], balance["balance"]) == ("BTC", "1.00002002")


@pytest.mark.parametrize(("hides", "by_asset"), [("unnamed", ["0"]), ("all", [])])
async def test_positions_in_contracts_that_do_not_trade_are_told_to_who_names_their_coin(
    hides: str, by_asset: list[str]
):
    async with running(coinm(hides=hides)) as (exchange, client):
        assert len(await client.good("GET", "v1/positionRisk")) == 1
        exchange.core.change(client.symbol, {"status": "TRADING_HALT"})
        assert await client.good("GET", "v1/positionRisk") == []
        found = await client.good("GET", "v1/positionRisk", marginAsset="BTC")
        assert [one["positionAmt"] for one in found] == by_asset
        assert await client.good("GET", "v1/positionRisk", marginAsset="ETH") == []
