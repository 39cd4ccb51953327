"""What a spot account has: balances by asset, what orders lock of them, and whether executions explain their changes.

A spot account has no positions: it has so much of each asset, free or locked by open orders. What a bot holds of an
instrument is the base asset that its own orders traded (`positions.py`); what the account has is here, and says which
orders can be paid, and whether anything happened that no execution tells of.

Amounts are decimals, as the exchange writes them; nothing is rounded here. The exchange itself keeps eight decimals of
what an execution is worth, so that each execution with more may leave so much unexplained (`ROUNDED`).

Limits: one purse an asset, and one lock an open order; `TRANSFERS_MAX` transfers are remembered, since two connections
may tell the same one.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from daemon.messages import Execution, Funds, Transfer
from daemon.warnings import Warn
from hftd.constants import BUY, INVALID_MAX, INVALID_MIN, MARKET, REASON_MARGIN, REASON_NONE

if TYPE_CHECKING:
    from daemon.orders.order import Order
    from daemon.orders.positions import Ledger

DIFFERS_NS: Final = 2_000_000_000
"""A balance that is not what executions made it is believed after so long."""
BELIEVED_NS: Final = 30_000_000_000
"""An answer that was asked for so long after the last word is newer than that, whatever time it says."""
SHOWN_NS: Final = 900_000_000_000
"""What no execution explained is a warning for so long: nobody says that it was meant."""
ROUNDED: Final = Decimal("1e-8")
TRANSFERS_MAX: Final = 256
_ZERO: Final = Decimal(0)

_log = structlog.get_logger("hftd.orders")


class Purse(msgspec.Struct):
    """What the account has of one asset.

    Attributes:
        total: Free and locked, by the exchange's last word and the executions since.
        ours: What this connector's open orders lock; `others` what others' do.
        expected: What the total would be if executions alone had changed it.
        slack: What the exchange's rounding may have left of that.
        base_ns: Executions up to then, by the exchange's clock, were there when its word was first taken as it was.
        stated_ns: The exchange's time of its last word; `changed_ns` when anything here last changed, on our clock.
        differs: How far the exchange's word was from what was expected, since `differs_since_ns` (0: it is not).
        unexplained: What the exchange's word last had that was not expected, as of `unexplained_ns` (0: never).
        is_known: Whether the exchange has said anything of it.
    """

    total: Decimal = _ZERO
    ours: Decimal = _ZERO
    others: Decimal = _ZERO
    expected: Decimal = _ZERO
    slack: Decimal = _ZERO
    base_ns: int = 0
    stated_ns: int = 0
    changed_ns: int = 0
    differs: Decimal = _ZERO
    differs_since_ns: int = 0
    unexplained: Decimal = _ZERO
    unexplained_ns: int = 0
    is_known: bool = False

    @property
    def free(self) -> Decimal:
        """What a new order may lock."""
        return self.total - self.ours - self.others


class Wallet:
    """The balances of one account.

    Attributes:
        purses: By asset.
        is_known: Whether the exchange has told all of them.
        differences: How often a balance had changed by what no execution explained.
        transfers: Deposits, withdrawals and the like that the exchange told of.
    """

    def __init__(self) -> None:
        self.purses: dict[str, Purse] = {}
        self.is_known = False
        self.differences = 0
        self.transfers = 0
        self._locks: dict[str, tuple[str, Decimal]] = {}  # by client id
        self._pairs: dict[tuple[str, str], Ledger] = {}  # by base and quote
        self._told: deque[Transfer] = deque(maxlen=TRANSFERS_MAX)

    def purse(self, asset: str) -> Purse:
        """An asset's, a new one if it has none."""
        purse = self.purses.get(asset)
        if purse is None:
            # Of a whole list what is not in it is nothing.
            purse = self.purses[asset] = Purse(is_known=self.is_known)
        return purse

    def add(self, ledger: "Ledger") -> None:
        """An instrument, or its new description."""
        self._pairs[ledger.instrument.base, ledger.instrument.quote] = ledger

    def rate(self, asset: str, quote: str) -> float:
        """What one of an asset is worth, at the middle of its book in that quote; 0 if that is not known."""
        ledger = self._pairs.get((asset, quote))
        if ledger is None or not ledger.is_book_valid:
            return 0.0
        bid, ask = ledger.best_bid_tick, ledger.best_ask_tick
        if bid in (0, INVALID_MIN) or ask in (0, INVALID_MAX):
            return 0.0
        return (ledger.price(bid) + ledger.price(ask)) / 2

    # --- Locks --------------------------------------------------------------------------------------------------

    def weigh(self, ledger: "Ledger", order: "Order") -> None:
        """An order changed: what it locks now."""
        instrument = ledger.instrument
        asset = instrument.quote if order.side == BUY else instrument.base
        amount = _ZERO
        if not order.finished_ns:
            tick = order.price_tick
            if order.modify is not None and order.side == BUY:
                tick = max(tick, order.modify.price_tick)
            if order.order_type == MARKET:
                tick = _ask_of(ledger)
            amount = _worth(ledger, order.side, tick, order.exposure_lots)
        before = self._locks.get(order.client_id, (asset, _ZERO))[1]
        if amount == before:
            return
        if amount:
            self._locks[order.client_id] = asset, amount
        else:
            del self._locks[order.client_id]
        purse = self.purse(asset)
        purse.ours += amount - before
        sent_ns = order.modify.sent_ns if order.modify is not None else 0
        purse.changed_ns = max(
            purse.changed_ns, order.submitted_ns, order.seen_ns, order.finished_ns, sent_ns
        )

    def check(
        self, ledger: "Ledger", side: int, tick: int, lots: int, *, is_market: bool, client_id: str = ""
    ) -> int:
        """REASON_MARGIN if the free balance can't pay an order, else 0.

        Until the exchange has told the balances, and for a market order without a book, that is left to the exchange.

        Args:
            ledger: The instrument.
            side: BUY or SELL.
            tick: Its price; any for a market order.
            lots: What it may execute.
            is_market: Whether it is a market order.
            client_id: Of the order that it takes the place of, whose lock is free for it.
        """
        instrument = ledger.instrument
        purse = self.purse(instrument.quote if side == BUY else instrument.base)
        if not purse.is_known:
            return REASON_NONE
        if is_market and side == BUY:
            tick = _ask_of(ledger)
        replaced = self._locks.get(client_id, ("", _ZERO))[1] if client_id else _ZERO
        need = _worth(ledger, side, tick, lots)
        return REASON_MARGIN if need > purse.free + replaced else REASON_NONE

    # --- Executions ---------------------------------------------------------------------------------------------

    def count(self, ledger: "Ledger", execution: Execution, has_fee: bool, now_ns: int) -> None:
        """An execution was counted, whoever's order it was."""
        instrument = ledger.instrument
        price = (
            Decimal(str(execution.price))
            if execution.price
            else execution.price_tick * Decimal(instrument.tick_size)
        )
        qty = execution.qty_lots * Decimal(instrument.lot_size)
        side = 1 if execution.side == BUY else -1
        amount = price * qty
        self._move(instrument.base, side * qty, execution.exch_ns, now_ns)
        self._move(instrument.quote, -side * amount, execution.exch_ns, now_ns)
        if amount % ROUNDED:
            self.purse(instrument.quote).slack += ROUNDED
        if has_fee:
            self.count_fee(ledger, execution, now_ns)

    def count_fee(self, ledger: "Ledger", execution: Execution, now_ns: int) -> None:
        """Its fee."""
        asset = execution.fee_asset or ledger.instrument.quote
        if execution.fee:
            self._move(asset, -Decimal(str(execution.fee)), execution.exch_ns, now_ns)

    def _move(self, asset: str, amount: Decimal, exch_ns: int, now_ns: int) -> None:
        purse = self.purse(asset)
        purse.changed_ns = max(purse.changed_ns, now_ns)
        if exch_ns > purse.base_ns:
            purse.expected += amount
        if exch_ns > purse.stated_ns:
            # The exchange's last word does not have it yet.
            purse.total += amount

    # --- What the exchange says ---------------------------------------------------------------------------------

    def on_funds(self, funds: Funds, now_ns: int, want: Callable[[int], None]) -> None:
        """The exchange says a balance by itself."""
        purse = self.purse(funds.asset)
        if funds.exch_ns < purse.stated_ns:
            return
        if not purse.is_known:
            # Whether an execution is in it already, this can't tell.
            self._state(purse, funds, now_ns)
            want(now_ns)
            return
        self._state(purse, funds, now_ns)
        self._compare(funds.asset, purse, now_ns, want, is_asked=False)

    def on_transfer(self, transfer: Transfer) -> None:
        """The exchange says that something was added or taken that is no execution."""
        if transfer in self._told:
            return
        self._told.append(transfer)
        self.transfers += 1
        self.purse(transfer.asset).expected += transfer.amount
        _log.info("balance_transferred", asset=transfer.asset, amount=str(transfer.amount))

    def take(
        self,
        all_funds: Sequence[Funds],
        asked_ns: int,
        now_ns: int,
        unknown: Collection[str],
        want: Callable[[int], None],
    ) -> None:
        """All balances of the account; what is not among them is nothing.

        Args:
            all_funds: They.
            asked_ns: When they were asked for, on our clock.
            now_ns: Now.
            unknown: Assets of which executions may be missing: nothing is concluded about them.
            want: Has another reconciliation made, then or earlier.
        """
        found = {one.asset: one for one in all_funds}
        newest_ns = max((one.exch_ns for one in all_funds), default=0)
        for asset in [*found, *(one for one in self.purses if one not in found)]:
            purse = self.purse(asset)
            funds = found.get(asset) or Funds(asset, _ZERO, _ZERO, newest_ns)
            # Of a clock that was ahead and has been set back: it changed now at the latest.
            purse.changed_ns = min(purse.changed_ns, now_ns)
            is_old = funds.exch_ns < purse.stated_ns and asked_ns - purse.changed_ns < BELIEVED_NS
            if purse.changed_ns >= asked_ns or is_old:
                # Something came meanwhile, or the answer is of before the last word.
                if not purse.is_known:
                    want(now_ns)
                continue
            self._state(purse, funds, asked_ns)
            if not purse.is_known:
                # What is there was there before.
                purse.is_known = True
                purse.base_ns = purse.stated_ns
                purse.expected, purse.slack = purse.total, _ZERO
            elif asset not in unknown:
                self._compare(asset, purse, now_ns, want, is_asked=True)
        self.is_known = True

    def _state(self, purse: Purse, funds: Funds, now_ns: int) -> None:
        purse.total = funds.free + funds.locked
        purse.others = max(_ZERO, funds.locked - purse.ours)
        purse.stated_ns = max(purse.stated_ns, funds.exch_ns)
        purse.changed_ns = max(purse.changed_ns, now_ns)

    def _compare(
        self, asset: str, purse: Purse, now_ns: int, want: Callable[[int], None], *, is_asked: bool
    ) -> None:
        gap = purse.total - purse.expected
        if abs(gap) <= purse.slack:
            purse.differs_since_ns = 0
            purse.expected, purse.slack = purse.total, _ZERO
            return
        if not purse.differs_since_ns or purse.differs != gap:
            purse.differs_since_ns, purse.differs = now_ns, gap
            want(now_ns + DIFFERS_NS)
            return
        if not is_asked or now_ns - purse.differs_since_ns < DIFFERS_NS:
            want(purse.differs_since_ns + DIFFERS_NS)
            return
        self.differences += 1
        purse.differs_since_ns = 0
        purse.unexplained, purse.unexplained_ns = gap, now_ns
        _log.warning(
            "balance_differed",
            asset=asset,
            expected=str(purse.expected),
            account=str(purse.total),
            unexplained=str(gap),
        )
        purse.expected, purse.slack = purse.total, _ZERO

    def differs(self, ledger: "Ledger") -> bool:
        """Whether a balance of an instrument's assets is not what executions made it: there may be more of them."""
        assets = ledger.instrument.base, ledger.instrument.quote
        return any(one in self.purses and self.purses[one].differs_since_ns for one in assets)

    def warnings(self, now_ns: int) -> Iterator[Warn]:
        """What needs a person."""
        for asset, purse in self.purses.items():
            if purse.unexplained_ns and now_ns - purse.unexplained_ns < SHOWN_NS:
                yield Warn(
                    "balance_differs",
                    f"{asset}: the balance changed by {purse.unexplained:+f}, and no execution explains it: a deposit, "
                    "a withdrawal, or an order by hand in an instrument that is not traded here",
                    asset,
                )
            if purse.is_known and purse.total < 0:
                yield Warn(
                    "balance_negative",
                    f"{asset}: by its executions the account has {purse.total:f} of it, which can't be",
                    asset,
                    after_s=5.0,
                )


def _ask_of(ledger: "Ledger") -> int:
    """Where a market order to buy begins; 0 if that is not known."""
    tick = ledger.best_ask_tick
    return 0 if not ledger.is_book_valid or tick == INVALID_MAX else tick


def _worth(ledger: "Ledger", side: int, tick: int, lots: int) -> Decimal:
    """What an order locks: of the quote for a buy, of the base for a sell."""
    qty = lots * Decimal(ledger.instrument.lot_size)
    return qty * tick * Decimal(ledger.instrument.tick_size) if side == BUY else qty
