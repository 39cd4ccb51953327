"""What executions make of positions and balances, of each bot and of the account; and what the exchange closes itself.

A bot's book is what its own fills made: position, balance, fees and totals, by the formulas of the simulator
(`sim/engine/account.py`): the balance begins at 0, falls by the amount of a buy and holds no fees. The amount is
contract size times price times quantity; of an inverse contract contract size times quantity divided by price.

In a spot instrument a bot's position is the base asset that its own orders traded. A fee that is taken in the base
leaves a part of a lot: `position_lots` are the whole lots that are surely there, `dust` what is there beyond, and the
bot is told both together. Such a fee counts in `fee` by its value at the execution's price, and `balance` grows by as
much, as if the base had been sold for it: so position is what the base has changed by, balance less fee what the quote
has, and equity is right at any price. A fee in a third asset counts by its value in the quote where that asset's book
in the quote is followed and valid, and else stays apart, in `other_fees`.

The account's position is the exchange's. What it has beyond its bots' positions belongs to no bot: it was there before,
or somebody traded by hand.

A *forced close* is the exchange's own order: a liquidation, a deleveraging, a settlement or delivery. It closes the
account's position, so the bots that hold in its direction may not go on as if they had theirs:

- It takes first what of the account's position is no bot's, then from the bots that hold in its direction, each in
  proportion to what it holds. It is booked to them as an execution, so that position, balance and fees stay the
  account's.
- A position that shrank without any execution told is one as well. (Executions of bots' own orders are known by
  their orders' totals, and are waited for before a position is compared.) It is booked at the price of the exchange's
  own orders, if it told of these without the ids of trades, else at the best price.
- The bot is told, with its position after it. Until a person has seen to it (`hftd resume`) its new orders in that
  instrument are refused but for those that only reduce, or the account is halted: `on_forced_close`.

A trade by hand, or by another program, changes no bot's position. Bots that hold one there are told, and the difference
is a warning as long as it lasts.
"""

from collections import OrderedDict
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from daemon.messages import Execution, Instrument, Report
from daemon.orders.ids.trades import Traded
from daemon.orders.money import earning
from daemon.orders.money.balances import Wallet
from daemon.orders.money.profit import Days, Start
from hftd import wire
from hftd.constants import BUY, INVALID_MAX, INVALID_MIN, REASON_LIQUIDATION, REASON_NONE, SELL

if TYPE_CHECKING:
    from daemon.orders.lease_end import LeaseEnds
    from daemon.orders.limits import AccountLimits
    from daemon.orders.snapshot import Counters
    from daemon.orders.state import Store
    from daemon.orders.updates import Updates

SPLITS_MAX: Final = 1000
"""Executions whose fee is still to come are remembered with whose they are; the oldest are forgotten first."""
HEARD_NS: Final = 60_000_000_000
"""So long the price that was told of a forced close without the id of a trade is that of a position's difference."""
TOLD_EVERY_NS: Final = 10_000_000_000
"""Bots are told of trades by hand in an instrument no more often than this."""

_log = structlog.get_logger("hftd.orders")


class BotBook(msgspec.Struct, array_like=True, tag="book"):
    """A bot's own fills in one instrument. The journal keeps it as it is.

    Attributes:
        volume_lots: Executed quantity, both sides; `volume_dust` is what there is beyond, of when lots were smaller.
        trading_value: The amounts of the executions, both sides.
        buy_lots: What its open orders may still buy.
        sell_lots: What its open orders may still sell.
        dust: Of a spot instrument's base beyond the whole lots, at least 0 and less than one lot.
        other_fees: Fees in assets that have no value here, by asset.
        realised: What closing positions brought (`daemon.orders.money.profit`).
        funding: What holding them brought, below 0: cost.
        cost: What the position cost; None in a row of an old journal.
        start: How the book stood when the day began.
    """

    bot: str
    symbol: str
    position_lots: int = 0
    balance: float = 0.0
    fee: float = 0.0
    num_trades: int = 0
    volume_lots: int = 0
    trading_value: float = 0.0
    buy_lots: int = 0
    sell_lots: int = 0
    dust: Decimal = Decimal(0)
    other_fees: dict[str, float] = {}
    realised: float = 0.0
    funding: float = 0.0
    cost: float | None = None
    start: Start | None = None
    volume_dust: Decimal = Decimal(0)


class Forced(msgspec.Struct, array_like=True, tag="forced"):
    """The exchange closed a part of a bot's position. Until the next Halt without a reason a person has not seen to it.

    Attributes:
        qty_lots: The bot's part.
        price_tick: What it was booked at; where the exchange told no execution, the book's best price of that moment.
        trade_id: Of the exchange's execution; empty where only the position told of it.
        client_id: The exchange's own name for its order.
    """

    symbol: str
    bot: str
    side: int
    price_tick: int
    qty_lots: int
    fee: float
    exch_ns: int
    trade_id: str = ""
    client_id: str = ""


class Ledger:
    """An instrument's bots, and the account's position in it.

    Attributes:
        instrument: As the exchange describes it.
        books: By the bot's name.
        account_lots: The account's position: the exchange's, and the executions since.
        other_lots: What of it is no bot's.
        buy_lots: What all open orders may still buy.
        sell_lots: What all open orders may still sell.
        last_execution_ns: The newest execution's time at the exchange; `counted_ns` when one was last counted, on ours.
        last_tick: The price of the execution that was counted last.
        extremes: By bot and side, the price of its open order that is the first to be met; kept by `BotRequests`.
        unsettled_ns: Its executions are all counted only up to then; 0: up to when the account's are.
        foreign_fees: Fees in assets that the books can't hold, by asset.
        wallet: The account's balances, of a spot instrument.
        mark: The middle between the best prices of the last valid book that was looked at, 0 if there was none.
        marked_ns: When that was.
        days: Takes what belongs to a day that is over.
    """

    def __init__(self, instrument: Instrument) -> None:
        self.books: dict[str, BotBook] = {}
        self.account_lots = 0
        self.other_lots = 0
        self.buy_lots = 0
        self.sell_lots = 0
        self.last_execution_ns = 0
        self.counted_ns = 0
        self.last_tick = 0
        self.has_holding = False
        self.differs_lots = 0
        self.differs_since_ns = 0
        self.unsettled_ns = 0
        self.foreign_fees: dict[str, float] = {}
        self.wallet: Wallet | None = None
        self.extremes: dict[tuple[str, int], int | None] = {}
        # The book, as far as limits need it.
        self.best_bid_tick = 0
        self.best_ask_tick = 0
        self.is_book_valid = False
        self.mark = 0.0
        self.marked_ns = 0
        self.days = Days()
        # Told of what is counted for a bot, once it is: executions, and fees that come later.
        self.on_booked: Callable[[Ledger, BotBook, Execution, bool, int], None] = lambda *_: None
        self.on_fee: Callable[[BotBook, Execution], None] = lambda *_: None
        self.describe(instrument)

    def describe(self, instrument: Instrument) -> None:
        """Take over a description; steps must stay what they were, or nothing be counted yet."""
        self.instrument = instrument
        self.symbol = instrument.symbol
        self.number = instrument.number
        # Integers, so that quantities and prices are the floats nearest to their decimals.
        self.lot_num, self.lot_den = instrument.lot_size.as_integer_ratio()
        self.tick_num, self.tick_den = instrument.tick_size.as_integer_ratio()
        self.contract_size = instrument.contract_size
        self.inverse = instrument.inverse
        self.settles_in = instrument.base if instrument.inverse else instrument.quote

    def qty(self, lots: int) -> float:
        """Lots in the instrument's units."""
        return lots * self.lot_num / self.lot_den

    def price(self, tick: int) -> float:
        """Ticks as a price."""
        return tick * self.tick_num / self.tick_den

    def notional(self, tick: int, lots: int) -> float:
        """A quantity's value in the quote currency."""
        value = self.contract_size * self.qty(lots)
        return value if self.inverse else value * self.price(tick)

    def book(self, bot: str) -> BotBook:
        """A bot's book, a new one if it has none."""
        book = self.books.get(bot)
        if book is None:
            book = self.books[bot] = BotBook(bot, self.symbol)
        return book

    def count(self, book: BotBook | None, execution: Execution, has_fee: bool, now_ns: int) -> None:
        """Count an execution for the account and for a bot, if it is one's."""
        self.counted_ns = now_ns
        lots = execution.qty_lots
        side = 1 if execution.side == BUY else -1
        self.account_lots += side * lots
        self.last_execution_ns = max(self.last_execution_ns, execution.exch_ns)
        self.last_tick = execution.price_tick
        if self.wallet is not None:
            self.wallet.count(self, execution, has_fee, now_ns)
        if book is None:
            self.other_lots += side * lots
            return
        price = execution.price or self.price(execution.price_tick)
        if self.inverse:
            # An execution at no price would be worth infinitely much; it can't be, and must not end all others.
            amount = self.contract_size * self.qty(lots) / price if price > 0.0 else 0.0
        else:
            amount = self.contract_size * price * self.qty(lots)
        held = earning.held_lots(self, book)
        earning.executed(self, book, held, side * lots, amount, price, execution.exch_ns)
        book.position_lots += side * lots
        book.balance -= side * amount
        book.num_trades += 1
        book.volume_lots += lots
        book.trading_value += amount
        if has_fee:
            self._book_fee(book, execution)
        self.on_booked(self, book, execution, has_fee, now_ns)

    def count_fee(self, book: BotBook, execution: Execution, now_ns: int) -> None:
        """Count the fee of an execution that was counted without it."""
        if self.wallet is not None:
            self.wallet.count_fee(self, execution, now_ns)
        self._book_fee(book, execution)
        self.on_fee(book, execution)

    def _book_fee(self, book: BotBook, execution: Execution) -> None:
        """Book a fee; one in an asset without a value here is kept apart."""
        asset, fee = execution.fee_asset, execution.fee
        exch_ns = execution.exch_ns
        if not asset or not self.settles_in or asset == self.settles_in:
            earning.paid_fee(self, book, fee, exch_ns)
        elif fee == 0.0:
            return
        elif self.wallet is not None and asset == self.instrument.base:
            price = execution.price or self.price(execution.price_tick)
            value = fee * price
            held, change = earning.held_lots(self, book), -fee * self.lot_den / self.lot_num
            earning.executed(self, book, held, change, abs(value), price, exch_ns)
            earning.paid_fee(self, book, value, exch_ns)
            book.balance += value
            before = book.position_lots
            amount = before * Decimal(self.instrument.lot_size) + book.dust - Decimal(str(fee))
            book.position_lots, book.dust = self.split(amount)
            self.account_lots += book.position_lots - before
        elif self.wallet is not None and (rate := self.wallet.rate(asset, self.settles_in)):
            earning.paid_fee(self, book, fee * rate, exch_ns)
        else:
            self.foreign_fees[asset] = self.foreign_fees.get(asset, 0.0) + fee
            book.other_fees[asset] = book.other_fees.get(asset, 0.0) + fee

    def split(self, amount: Decimal) -> tuple[int, Decimal]:
        """An amount as whole lots, and what is beyond them: at least 0, less than one lot."""
        lot = Decimal(self.instrument.lot_size)
        lots = int(amount // lot)
        if lots * lot > amount:
            # Decimals divide toward zero.
            lots -= 1
        return lots, amount - lots * lot

    def position(self, book: BotBook) -> float:
        """A bot's position as it is told."""
        if not book.dust:
            return self.qty(book.position_lots)
        return float(book.position_lots * Decimal(self.instrument.lot_size) + book.dust)

    def volume(self, book: BotBook) -> float:
        """A bot's executed quantity as it is told."""
        if not book.volume_dust:
            return self.qty(book.volume_lots)
        return float(book.volume_lots * Decimal(self.instrument.lot_size) + book.volume_dust)

    def state(self, book: BotBook) -> wire.State:
        """A bot's account as it is told."""
        return wire.State(
            instrument=self.number,
            position=self.position(book),
            balance=book.balance,
            fee=book.fee,
            num_trades=book.num_trades,
            trading_volume=self.volume(book),
            trading_value=book.trading_value,
        )

    def take_holding(self, lots: int) -> int:
        """The account's position is this. Returns how far it was from what was expected."""
        difference = lots - self.account_lots
        self.account_lots = lots
        self.other_lots += difference
        self.has_holding = True
        self.differs_since_ns = 0
        return difference


class _Heard(msgspec.Struct):
    """What the exchange's own orders closed without the ids of trades: of one side in one instrument."""

    side: int
    client_id: str
    at_ns: int
    lots: int = 0
    value: float = 0.0  # lots times price


def split(ledger: Ledger, side: int, lots: int) -> list[tuple[BotBook, int]]:
    """Whose a forced close is: the bots' parts in lots. What is left is no bot's.

    Args:
        ledger: The instrument, before it.
        side: Of the exchange's order: SELL closes long positions.
        lots: Of it.
    """
    sign = 1 if side == SELL else -1
    held = [(book, book.position_lots * sign) for book in ledger.books.values()]
    held = [(book, own) for book, own in held if own > 0]
    total = sum(own for _, own in held)
    left = min(max(0, lots - max(0, ledger.other_lots * sign)), total)
    parts: list[tuple[BotBook, int]] = []
    for book, own in held:
        # What is left over what is held by those that are left: rounding never adds up to more or less than all.
        part = -(-left * own // total) if total else 0
        total -= own
        left -= part
        if part:
            parts.append((book, part))
    return parts


class ForcedCloses:
    """Books what the exchange closed by itself; see the module."""

    def __init__(
        self,
        store: "Store",
        updates: "Updates",
        lease_ends: "LeaseEnds",
        limits: "AccountLimits",
        counters: "Counters",
    ) -> None:
        self._store = store
        self._updates = updates
        self._lease_ends = lease_ends
        self._halts = limits.on_forced_close == "halt"
        self._counters = counters
        self._splits: OrderedDict[tuple[str, str], list[tuple[str, float]]] = OrderedDict()
        self._told_ns: dict[str, int] = {}
        self._heard: dict[str, _Heard] = {}  # by symbol

    def heard(self, report: Report, now_ns: int) -> None:
        """The exchange's own order closed something, and which trade it was is not told.

        It may be in the list of executions all the same, so the position decides whether it is counted.
        """
        if report.forced_price <= 0.0 or report.symbol not in self._store.ledgers:
            return
        heard = self._heard.get(report.symbol)
        if heard is None or heard.side != report.side or now_ns - heard.at_ns > HEARD_NS:
            heard = self._heard[report.symbol] = _Heard(report.side, report.client_id, now_ns)
        heard.at_ns = now_ns
        heard.lots += report.forced_lots
        heard.value += report.forced_lots * report.forced_price

    def execution(self, ledger: Ledger, execution: Execution, has_fee: bool, now_ns: int) -> None:
        """An execution of the exchange's own order, one that was not counted before."""
        parts = split(ledger, execution.side, execution.qty_lots)
        left = execution.qty_lots - sum(part for _, part in parts)
        shares: list[tuple[str, float]] = []
        for book, part in parts:
            share = part / execution.qty_lots
            shares.append((book.bot, share))
            own = msgspec.structs.replace(execution, qty_lots=part, fee=execution.fee * share)
            self._book(ledger, book, own, has_fee, now_ns)
        if left:
            ledger.count(None, msgspec.structs.replace(execution, qty_lots=left), has_fee, now_ns)
        self._store.traded(None, Traded.of(execution, has_fee))
        if not has_fee and shares:
            self._splits[execution.symbol, execution.trade_id] = shares
            if len(self._splits) > SPLITS_MAX:
                self._splits.popitem(last=False)
        self._happened(ledger, [book.bot for book, _ in parts], now_ns)

    def fee(self, ledger: Ledger, execution: Execution, now_ns: int) -> None:
        """The fee of one that was counted by its short form."""
        for name, share in self._splits.pop((execution.symbol, execution.trade_id), ()):
            book = ledger.book(name)
            own = msgspec.structs.replace(execution, fee=execution.fee * share)
            ledger.count_fee(book, own, now_ns)
            self._store.book_changed(book)
            self._updates.account(name, ledger)
        self._store.traded(None, Traded.of(execution, True))

    def difference(self, ledger: Ledger, lots: int, now_ns: int) -> None:
        """The account's position is this, and no execution tells why; call it before that is taken over.

        What it has lost in the direction in which it was can't be the bots' any more.
        """
        expected = ledger.account_lots
        sign = 1 if expected > 0 else -1
        lost = min((expected - lots) * sign, abs(expected))
        if lost <= 0:
            return
        side = SELL if sign > 0 else BUY
        parts = split(ledger, side, lost)
        tick = known_tick(ledger, side)
        price, client_id = 0.0, ""
        heard = self._heard.pop(ledger.symbol, None)
        if heard is not None and heard.side == side and now_ns - heard.at_ns <= HEARD_NS:
            price, client_id = heard.value / heard.lots, heard.client_id
            tick = round(price * ledger.tick_den / ledger.tick_num)
        for book, part in parts:
            execution = Execution(
                symbol=ledger.symbol,
                trade_id="",
                client_id=client_id,
                exch_order_id="",
                side=side,
                price_tick=tick,
                qty_lots=part,
                is_maker=False,
                fee=0.0,
                fee_asset="",
                exch_ns=ledger.last_execution_ns,
                price=price,
                is_forced=True,
            )
            self._book(ledger, book, execution, True, now_ns)
        self._happened(ledger, [book.bot for book, _ in parts], now_ns)

    def by_hand(self, ledger: Ledger, execution: Execution, now_ns: int) -> None:
        """An execution of an order that is not ours, nor the exchange's."""
        held = [name for name, book in ledger.books.items() if book.position_lots]
        if not held or now_ns - self._told_ns.get(ledger.symbol, -TOLD_EVERY_NS) < TOLD_EVERY_NS:
            return
        self._told_ns[ledger.symbol] = now_ns
        what = "bought" if execution.side == BUY else "sold"
        words = (
            f"{ledger.qty(execution.qty_lots):g} {ledger.symbol} were {what} by hand or by another program: "
            f"the account holds {ledger.qty(ledger.account_lots):g}"
        )
        _log.warning("foreign_trade", symbol=ledger.symbol, bots=held, what=words)
        for name in held:
            self._updates.notice(name, ledger, wire.NOTICE_BY_HAND, REASON_NONE, words)

    def _book(self, ledger: Ledger, book: BotBook, execution: Execution, has_fee: bool, now_ns: int) -> None:
        ledger.count(book, execution, has_fee, now_ns)
        row = Forced(
            symbol=execution.symbol,
            bot=book.bot,
            side=execution.side,
            price_tick=execution.price_tick,
            qty_lots=execution.qty_lots,
            fee=execution.fee,
            exch_ns=execution.exch_ns,
            trade_id=execution.trade_id,
            client_id=execution.client_id,
        )
        self._store.forced(book, row)
        self._counters.forced_closes += 1
        what = "bought" if execution.side == BUY else "sold"
        words = (
            f"the exchange {what} {ledger.qty(execution.qty_lots):g} of its position "
            f"({execution.client_id or 'without an execution'}), which is {ledger.qty(book.position_lots):g} now"
        )
        _log.error(
            "forced_close",
            bot=book.bot,
            symbol=ledger.symbol,
            qty=ledger.qty(execution.qty_lots),
            price=execution.price or ledger.price(execution.price_tick),
            client_id=execution.client_id,
            position=ledger.qty(book.position_lots),
        )
        self._updates.account(book.bot, ledger)
        self._updates.notice(book.bot, ledger, wire.NOTICE_FORCED_CLOSE, REASON_LIQUIDATION, words)

    def _happened(self, ledger: Ledger, bots: list[str], now_ns: int) -> None:
        if bots and self._halts and not self._store.halt_reason:
            self._lease_ends.halt(
                f"the exchange closed a part of the position of {', '.join(bots)} in {ledger.symbol}", now_ns
            )


def known_tick(ledger: Ledger, side: int) -> int:
    """What an execution is, or would be, at, as far as is known: the best price, or the last execution's."""
    tick = ledger.best_bid_tick if side == SELL else ledger.best_ask_tick
    return ledger.last_tick if tick in (0, INVALID_MIN, INVALID_MAX) else tick
