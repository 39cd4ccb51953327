"""A spot account of a made-up exchange: balances, and fees in the base, the quote or a third asset."""

from dataclasses import dataclass, field, replace
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.messages import (
    BY_STREAM,
    CONFIRMED,
    REFUSED,
    Execution,
    Funds,
    Instrument,
    Outcome,
    Report,
    Submit,
    Transfer,
)
from daemon.orders.journal import Journal
from daemon.orders.limits import AccountLimits, BotLimits
from daemon.orders.manager import OrderManager
from daemon.orders.money.balances import DIFFERS_NS
from daemon.orders.positions import Ledger
from hftd import wire
from hftd.constants import (
    BUY,
    CANCELED,
    FILLED,
    GTC,
    LIMIT,
    MARKET,
    NEW,
    PARTIALLY_FILLED,
    REASON_FILTER,
    REASON_MARGIN,
    SELL,
)

S = 1_000_000_000
BEGIN = 1_790_000_000 * S
BTC = Instrument(0, "BTCUSDT", Decimal("0.1"), Decimal("0.01"), base="BTC", quote="USDT", is_spot=True)
BNB = Instrument(1, "BNBUSDT", Decimal("1"), Decimal("0.1"), base="BNB", quote="USDT", is_spot=True)


@dataclass
class Spot:
    """An exchange that keeps balances truly, and order management at it. Prices are in ticks of a tenth."""

    path: object = None
    now_ns: int = BEGIN
    held: dict = field(default_factory=lambda: {"BTC": Decimal(2), "USDT": Decimal(10_000)})
    locked: dict = field(default_factory=dict)
    sent: list = field(default_factory=list)
    told: list = field(default_factory=list)
    trades: int = 0
    btc: Instrument = BTC

    def __post_init__(self):
        self.start()

    def start(self):
        journal = Journal.open(self.path) if self.path else None
        self.manager = OrderManager(
            prefix="t",
            run=1,
            limits=AccountLimits(),
            journal=journal,
            emit=lambda _bot, update: self.told.append(update),
            send=self.sent.append,
        )
        for one in (self.btc, BNB):
            self.manager.add_instrument(one)
        self.manager.on_connection(True, self.now_ns)
        self.manager.attach("a", [0, 1], BotLimits(), "cancel", self.now_ns)
        self.reconcile()

    def funds(self):
        return [
            Funds(asset, amount - self.locked.get(asset, 0), Decimal(self.locked.get(asset, 0)), self.now_ns)
            for asset, amount in self.held.items()
        ]

    def reconcile(self, executions=(), funds=None):
        self.now_ns += S
        asked_ns = self.now_ns
        self.now_ns += 1000
        found = self.funds() if funds is None else funds
        return self.manager.reconcile([], executions, [], asked_ns, self.now_ns, funds=found)

    def submit(self, order_id, side, tick, lots, *, order_type=LIMIT, bot="a"):
        self.now_ns += 1000
        qty = lots / 100
        message = wire.Submit(
            instrument=0,
            order_id=order_id,
            side=side,
            order_type=order_type,
            time_in_force=GTC,
            price_tick=tick,
            qty=qty,
            local_ts=self.now_ns,
        )
        self.manager.request(bot, message, self.now_ns)
        return self.sent[-1] if self.sent and type(self.sent[-1]) is Submit else None

    def refusals(self):
        return [one.reason for one in self.told if isinstance(one, wire.OrderUpdate) and one.reason]

    def report(self, submit, status, cum=0, execution=None):
        self.now_ns += 1000
        self.manager.on_report(
            Report(
                source=BY_STREAM,
                client_id=submit.client_id,
                exch_order_id=f"x{submit.request}",
                symbol=submit.symbol,
                side=submit.side,
                order_type=submit.order_type,
                time_in_force=submit.time_in_force,
                status=status,
                price_tick=submit.price_tick,
                qty_lots=submit.qty_lots,
                cum_lots=cum,
                exch_ns=self.now_ns,
                execution=execution,
            ),
            self.now_ns,
        )

    def fill(self, submit, lots, *, fee=0.0, asset="USDT", cum=None, tells=True):
        self.trades += 1
        self.now_ns += 1000
        cum = lots if cum is None else cum
        side = 1 if submit.side == BUY else -1
        qty = lots * BTC.lot_size
        self.held["BTC"] += side * qty
        self.held["USDT"] -= side * qty * submit.price_tick * BTC.tick_size
        self.held[asset] = self.held.get(asset, Decimal(0)) - Decimal(str(fee))
        execution = Execution(
            symbol="BTCUSDT",
            trade_id=str(self.trades),
            client_id=submit.client_id,
            exch_order_id=f"x{submit.request}",
            side=submit.side,
            price_tick=submit.price_tick,
            qty_lots=lots,
            is_maker=True,
            fee=fee,
            fee_asset=asset,
            exch_ns=self.now_ns,
        )
        status = FILLED if cum == submit.qty_lots else PARTIALLY_FILLED
        if tells:
            self.report(submit, status, cum, execution)
            for one in self.funds():
                self.manager.on_funds(msgspec.structs.replace(one, exch_ns=execution.exch_ns), self.now_ns)
        return execution

    def book(self):
        return self.ledger().book("a")

    def ledger(self) -> Ledger:
        return self.manager.store.ledgers["BTCUSDT"]

    def state(self):
        return self.ledger().state(self.book())

    def warnings(self):
        self.manager.tick(self.now_ns)
        return {one.key: one.text for one in self.manager.warnings()}


def test_a_fee_taken_in_the_base_leaves_less_of_it_and_counts_by_its_value():
    spot = Spot()
    order = spot.submit(1, BUY, 1000, 100)  # 1 BTC at 100
    spot.fill(order, 100, fee=0.001, asset="BTC")
    state, book = spot.state(), spot.book()
    assert state.position == 0.999
    assert (book.position_lots, book.dust) == (99, Decimal("0.009")), "no lot is told that is not there"
    assert state.fee == pytest.approx(0.1) and state.balance - state.fee == pytest.approx(-100.0)
    equity = state.balance + state.position * 100.0 - state.fee
    assert equity == pytest.approx(-0.1), "at the price of the trade its fee is all that is lost"
    assert (state.num_trades, state.trading_volume, state.trading_value) == (1, 1.0, 100.0)
    assert not spot.warnings()


def test_parts_of_lots_add_up_to_lots_and_nothing_is_lost():
    spot = Spot()
    for k in range(20):
        order = spot.submit(k, BUY, 1000, 100)
        spot.fill(order, 100, fee=0.001, asset="BTC")
    assert spot.state().position == 19.98
    assert (spot.book().position_lots, spot.ledger().account_lots) == (1998, 1998)
    sale = spot.submit(99, SELL, 1000, 1998)
    spot.fill(sale, 1998, fee=1.998)
    assert spot.state().position == 0.0 and spot.book().dust == 0


def test_on_a_spot_account_what_another_bot_sold_does_not_keep_a_bot_from_being_flattened():
    spot = Spot()
    spot.manager.attach("b", [0, 1], BotLimits(), "cancel", spot.now_ns)
    spot.manager.attach("a", [0, 1], BotLimits(), "flatten", spot.now_ns)
    order = spot.submit(1, BUY, 1000, 100)
    spot.fill(order, 100)
    order = spot.submit(2, SELL, 1010, 100, bot="b")
    spot.fill(order, 100)
    assert spot.ledger().account_lots == 0, "both together have neither bought nor sold"
    spot.manager.detach("a", spot.now_ns)
    spot.now_ns += S
    spot.manager.tick(spot.now_ns)
    closing = spot.sent[-1]
    assert (closing.order_type, closing.side, closing.qty_lots) == (MARKET, SELL, 100)
    spot.fill(msgspec.structs.replace(closing, price_tick=1000), 100)
    spot.now_ns += S
    spot.manager.tick(spot.now_ns)
    assert spot.state().position == 0.0 and spot.sent[-1] is closing, "and then no more"


def flatten(spot, seconds):
    """Let time pass after the bot's end; the exchange's filters refuse what it sends. How many orders there were."""
    for _ in range(seconds):
        spot.now_ns += S
        spot.manager.tick(spot.now_ns)
        if spot.sent[-1].order_type == MARKET and spot.sent[-1].client_id in spot.manager.store.alive:
            refusal = Outcome(spot.sent[-1].request, REFUSED, REASON_FILTER)
            spot.manager.on_outcome(refusal, spot.now_ns)
    return sum(one.order_type == MARKET for one in spot.sent)


@pytest.mark.parametrize(("sold", "by_hand"), [(99, 0), (0, 99)], ids=["all but a lot is sold", "by a hand"])
@pytest.mark.parametrize(("least", "is_small"), [(5.0, True), (0.5, False)])
def test_what_is_less_than_an_order_may_be_is_told_and_not_tried_for_ever(least, is_small, sold, by_hand):
    spot = Spot()
    spot.manager.add_instrument(msgspec.structs.replace(BTC, min_notional=least))
    spot.manager.attach("a", [0, 1], BotLimits(), "flatten", spot.now_ns)
    spot.fill(spot.submit(1, BUY, 1000, 100), 100)
    if sold:
        spot.fill(spot.submit(2, SELL, 1000, sold), sold)
    else:
        hand = Submit(9, "web", "BTCUSDT", 9, SELL, LIMIT, GTC, 1000, by_hand)
        spot.fill(hand, by_hand)
    spot.manager.detach("a", spot.now_ns)
    tries = flatten(spot, 20)
    assert tries == 3 if is_small else tries > 3
    assert spot.manager.unfinished() == (not is_small), "whoever waits for the end does not wait for it"
    said = {one.key: one.text for one in spot.manager.warnings()}["not_flattened"]
    assert ("less to reduce than an order may be" in said) is is_small
    # Once it is worth more it is closed.
    ledger = spot.ledger()
    ledger.best_bid_tick, ledger.is_book_valid = 6000, True
    if is_small:
        assert flatten(spot, 1) == 4 and spot.sent[-1].qty_lots == 1


def test_volume_is_kept_to_the_last_part_of_a_lot_while_lots_are_coarser(tmp_path):
    spot = Spot(tmp_path / "orders.journal")
    spot.fill(spot.submit(1, BUY, 1000, 3), 3)
    for lot in ("0.02", "0.05", "0.01"):
        spot.manager.store.journal.close()
        spot.btc = msgspec.structs.replace(BTC, lot_size=Decimal(lot))
        spot.start()
        assert (spot.state().trading_volume, spot.state().position) == (0.03, 0.03)
    assert (spot.book().volume_lots, spot.book().volume_dust) == (3, 0)


@pytest.mark.parametrize("is_known", [True, False])
def test_a_clock_that_was_ahead_and_is_set_back_does_not_keep_the_balances_from_being_taken(is_known):
    spot = Spot()
    true_ns = spot.now_ns
    spot.now_ns += 3600 * S
    spot.submit(1, SELL, 1000, 100)
    purse = spot.manager.store.wallet.purses["BTC"]
    assert purse.changed_ns > true_ns + S
    purse.is_known, purse.total = is_known, Decimal(0)
    spot.now_ns = true_ns + S
    for _ in range(3):
        spot.reconcile()
    assert purse.is_known and purse.total == spot.held["BTC"]


@pytest.mark.parametrize(("after_s", "is_taken"), [(5, False), (40, True)])
def test_an_answer_that_says_an_older_time_is_taken_once_nothing_has_been_said_for_long(after_s, is_taken):
    spot = Spot()
    spot.manager.on_funds(Funds("BTC", Decimal(2), Decimal(0), spot.now_ns + S), spot.now_ns)
    older = [Funds(one.asset, one.free - 1, one.locked + 1, one.exch_ns) for one in spot.funds()]
    spot.now_ns += after_s * S
    spot.reconcile(funds=older)
    assert spot.manager.store.wallet.purses["BTC"].others == is_taken


def test_on_a_spot_account_what_a_hand_has_sold_of_a_bots_is_not_sold_again():
    spot = Spot()
    spot.manager.attach("a", [0, 1], BotLimits(), "flatten", spot.now_ns)
    spot.fill(spot.submit(1, BUY, 1000, 100), 100)
    spot.ledger().other_lots -= 60
    spot.ledger().account_lots -= 60
    spot.manager.detach("a", spot.now_ns)
    spot.now_ns += S
    spot.manager.tick(spot.now_ns)
    assert (spot.sent[-1].side, spot.sent[-1].qty_lots) == (SELL, 40)


@given(st.lists(st.tuples(st.sampled_from([BUY, SELL]), st.integers(1, 500), st.integers(0, 10_000_000))))
def test_whatever_fees_take_the_position_told_is_what_the_base_changed_by(fills):
    ledger = Spot().ledger()
    book, base, quote = ledger.book("a"), Decimal(0), 0.0
    for k, (side, lots, fee) in enumerate(fills):
        paid = fee / 10**8
        ledger.count(
            book,
            Execution(
                symbol="BTCUSDT",
                trade_id=str(k),
                client_id="",
                exch_order_id="",
                side=side,
                price_tick=1000,
                qty_lots=lots,
                is_maker=True,
                fee=paid,
                fee_asset="BTC",
                exch_ns=BEGIN,
            ),
            True,
            BEGIN,
        )
        base += side * lots * BTC.lot_size - Decimal(fee) / 10**8
        quote -= side * lots * 0.01 * 100.0
    assert book.position_lots * BTC.lot_size + book.dust == base
    assert 0 <= book.dust < BTC.lot_size
    assert book.balance - book.fee == pytest.approx(quote)
    assert ledger.account_lots == book.position_lots


def test_a_fee_in_a_third_asset_counts_by_its_book_and_else_stays_apart_and_is_told(tmp_path):
    spot = Spot(tmp_path / "journal")
    spot.held["BNB"] = Decimal(1)
    spot.manager.on_funds(Funds("BNB", Decimal(1), Decimal(0), spot.now_ns + 1), spot.now_ns)
    order = spot.submit(1, BUY, 1000, 100)
    spot.fill(order, 50, fee=0.01, asset="BNB", cum=50)
    assert spot.state().fee == 0.0 and spot.book().other_fees == {"BNB": 0.01}
    assert "follow BNBUSDT" in spot.warnings()["fees_in_other_asset"]
    spot.manager.on_book(1, 599, 601, True, spot.now_ns)
    spot.fill(order, 50, fee=0.01, asset="BNB", cum=100)
    assert spot.state().fee == pytest.approx(6.0), "0.01 BNB at 600"
    assert spot.state().position == 1.0
    spot.manager.store.journal.close()
    spot.start()
    assert spot.book().other_fees == {"BNB": 0.01} and spot.ledger().foreign_fees == {"BNB": 0.01}
    assert spot.state().fee == pytest.approx(6.0)


def test_an_order_that_the_free_balance_can_not_pay_is_refused_before_it_is_sent():
    spot = Spot()
    spot.submit(1, BUY, 1000, 6000)  # 6,000 of 10,000 USDT
    assert spot.refusals() == []
    spot.submit(2, BUY, 1000, 4001)
    assert spot.refusals() == [REASON_MARGIN]
    spot.submit(3, BUY, 1000, 4000)
    spot.submit(4, SELL, 2000, 201)
    assert spot.refusals() == [REASON_MARGIN] * 2, "2 BTC are there"
    spot.submit(5, SELL, 2000, 200)
    assert len(spot.sent) == 3


def test_what_an_order_locked_is_free_when_it_ends_and_what_it_bought_may_be_sold():
    spot = Spot()
    order = spot.submit(1, BUY, 1000, 10_000)
    spot.report(order, NEW)
    spot.fill(order, 5000, cum=5000)
    spot.submit(2, SELL, 2000, 5200)
    assert spot.refusals() == [], "2 and 50 BTC"
    spot.report(order, CANCELED, 5000)
    spot.submit(3, BUY, 1000, 5000)
    assert spot.refusals() == []
    spot.submit(4, BUY, 1000, 1)
    assert spot.refusals() == [REASON_MARGIN]


def test_what_others_lock_is_not_free():
    spot = Spot(locked={"USDT": 9_000})
    spot.submit(1, BUY, 1000, 1001)
    assert spot.refusals() == [REASON_MARGIN]
    order = spot.submit(2, BUY, 1000, 1000)
    spot.report(order, NEW)
    spot.locked["USDT"] = 10_000
    for one in spot.funds():
        spot.manager.on_funds(msgspec.structs.replace(one, exch_ns=spot.now_ns), spot.now_ns)
    assert spot.manager.store.wallet.purses["USDT"].free == 0, "our own lock counts once"


def test_a_change_may_use_what_the_order_itself_locks():
    spot = Spot()
    order = spot.submit(1, BUY, 1000, 10_000)
    spot.report(order, NEW)
    spot.manager.on_outcome(Outcome(order.request, CONFIRMED), spot.now_ns)
    spot.manager.request("a", wire.Modify(0, 1, 1001, 100.0, spot.now_ns), spot.now_ns)
    assert spot.refusals() == [REASON_MARGIN]
    spot.manager.request("a", wire.Modify(0, 1, 1001, 99.0, spot.now_ns), spot.now_ns)
    assert spot.refusals() == [REASON_MARGIN], "9,909.90 USDT"


def test_a_market_order_counts_at_the_ask_and_without_a_book_the_exchange_judges():
    spot = Spot()
    spot.submit(1, BUY, 0, 10_001, order_type=MARKET)
    assert spot.refusals() == []
    spot.report(spot.sent[-1], CANCELED)
    spot.manager.on_book(0, 999, 1000, True, spot.now_ns)
    told = len(spot.refusals())
    spot.submit(2, BUY, 0, 10_001, order_type=MARKET)
    assert spot.refusals()[told:] == [REASON_MARGIN]


def test_until_the_exchange_has_told_the_balances_it_judges_itself():
    spot = Spot(held={})
    spot.submit(1, SELL, 1000, 1)
    assert spot.refusals() == [REASON_MARGIN], (
        "a whole list without an asset says that there is nothing of it"
    )
    fresh = replace(spot, sent=[], told=[])
    fresh.manager.store.wallet.__init__()
    fresh.submit(1, SELL, 1000, 1)
    assert fresh.refusals() == []


def test_executions_explain_all_that_changes_and_a_missed_one_when_it_is_found():
    spot = Spot()
    order = spot.submit(1, BUY, 1000, 100)
    spot.report(order, NEW)
    spot.fill(order, 50, fee=0.0005, asset="BTC", cum=50)
    missed = spot.fill(order, 50, fee=0.0005, asset="BTC", cum=100, tells=False)
    spot.reconcile()
    assert spot.manager.store.wallet.differs(spot.ledger()), "so its executions are asked for"
    found = spot.reconcile([missed])
    assert found.missed_executions == 1
    for _ in range(4):
        spot.reconcile()
    assert spot.manager.store.wallet.differences == 0
    assert spot.state().position == 0.999


def test_what_no_execution_explains_is_told_once_and_believed(caplog):
    spot = Spot()
    spot.held["USDT"] += 500
    spot.reconcile()
    assert "balance_differs" not in spot.warnings(), "an execution may be on its way"
    spot.now_ns += DIFFERS_NS
    spot.reconcile()
    assert "+500" in spot.warnings()["balance_differs"]
    wallet = spot.manager.store.wallet
    assert wallet.differences == 1
    for _ in range(4):
        spot.now_ns += DIFFERS_NS
        spot.reconcile()
    assert wallet.differences == 1 and wallet.purses["USDT"].free == 10_500


def test_a_transfer_that_is_told_explains_itself_once_though_it_comes_twice():
    spot = Spot()
    transfer = Transfer("USDT", Decimal(500), spot.now_ns)
    spot.held["USDT"] += 500
    for _ in range(2):
        spot.manager.on_funds(transfer, spot.now_ns)
    for _ in range(4):
        spot.now_ns += DIFFERS_NS
        spot.reconcile()
    snapshot = spot.manager.snapshot(spot.now_ns)
    assert (snapshot.counters["balance_transfers"], snapshot.counters["balance_differences"]) == (1, 0)
    assert [(one.asset, one.free) for one in snapshot.balances] == [("BTC", 2.0), ("USDT", 10_500.0)]


def test_an_execution_by_hand_is_nobodys_position_and_explains_the_balances():
    spot = Spot()
    by_hand = Submit(99, "somebody", "BTCUSDT", SELL, LIMIT, GTC, 1000, 100)
    spot.fill(by_hand, 100)
    for _ in range(4):
        spot.now_ns += DIFFERS_NS
        spot.reconcile()
    assert spot.manager.store.wallet.differences == 0
    assert spot.state().position == 0.0 and spot.ledger().other_lots == -100
    assert "position_differs" in spot.warnings()


def test_what_the_exchange_rounds_is_no_difference():
    odd = msgspec.structs.replace(BTC, tick_size=Decimal("0.00000001"))
    spot = Spot()
    ledger = Ledger(odd)
    ledger.wallet = spot.manager.store.wallet
    ledger.count(
        None,
        Execution(
            symbol="BTCUSDT",
            trade_id="1",
            client_id="",
            exch_order_id="",
            side=BUY,
            price_tick=101,
            qty_lots=1,
            is_maker=True,
            fee=0.0,
            fee_asset="",
            exch_ns=spot.now_ns + 1,
        ),
        True,
        1,
    )
    spot.held["BTC"] += Decimal("0.01")
    spot.held["USDT"] -= Decimal("0.00000001")
    for _ in range(3):
        spot.now_ns += DIFFERS_NS
        spot.reconcile()
    assert spot.manager.store.wallet.differences == 0


def test_a_restart_knows_the_parts_of_lots_and_takes_a_new_lot_for_what_it_is(tmp_path):
    spot = Spot(tmp_path / "journal")
    order = spot.submit(1, BUY, 1000, 100)
    spot.fill(order, 100, fee=0.001, asset="BTC")
    spot.manager.store.journal.close()
    spot.start()
    assert spot.state().position == 0.999
    spot.manager.store.journal.close()
    spot.manager = OrderManager(
        prefix="t",
        run=3,
        limits=AccountLimits(),
        journal=Journal.open(spot.path),
        emit=lambda _bot, _update: None,
        send=lambda _command: None,
    )
    spot.manager.add_instrument(msgspec.structs.replace(BTC, lot_size=Decimal("0.5")))
    assert (spot.book().position_lots, spot.book().dust) == (1, Decimal("0.499"))
    assert spot.state().position == 0.999
