"""What the exchange, or somebody else, did to a position that bots hold.

A *forced close* is the exchange's own order: a liquidation, a deleveraging, a settlement or delivery. It closes the
account's position, so the bots that hold in its direction may not go on as if they had theirs:

- It takes first what of the account's position is no bot's, then from the bots that hold in its direction, each in
  proportion to what it holds. It is booked to them as an execution, so that position, balance and fees stay the
  account's.
- A position that shrank without an execution to be had is one as well. (Executions of bots' own orders are known by
  their orders' totals, and are waited for before a position is compared.) It is booked at the price of the exchange's
  own orders, if it told of these without the ids of trades, else at the best price.
- The bot is told, with its position after it. Until a person has seen to it (`hftd resume`) its new orders in that
  instrument are refused but for those that only reduce, or the account is halted: `on_forced_close`.

A trade by hand, or by another program, changes no bot's position. Bots that hold one there are told, and the difference
is a warning as long as it lasts.
"""

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from daemon.orders.account import BotBook, Forced, Ledger
from daemon.orders.journal import Traded
from daemon.orders.limits import AccountLimits
from daemon.orders.messages import Execution, Report
from daemon.orders.snapshot import Counters
from daemon.orders.store import Store
from daemon.orders.telling import Teller
from hftd.channel import wire
from hftd.constants import BUY, INVALID_MAX, INVALID_MIN, REASON_LIQUIDATION, REASON_NONE, SELL

if TYPE_CHECKING:
    from daemon.orders.ending import Endings

SPLITS_MAX: Final = 1000
"""Executions whose fee is still to come are remembered with whose they are; the oldest are forgotten first."""
HEARD_NS: Final = 60_000_000_000
"""So long the price that was told of a forced close without the id of a trade is that of a position's difference."""
TOLD_EVERY_NS: Final = 10_000_000_000
"""Bots are told of trades by hand in an instrument no more often than this."""

_log = structlog.get_logger("hftd.orders")


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
    """See the module."""

    def __init__(
        self, store: Store, teller: Teller, endings: "Endings", limits: AccountLimits, counters: Counters
    ) -> None:
        self._store = store
        self._teller = teller
        self._endings = endings
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
        self._store.traded(None, _traded(execution, has_fee))
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
            self._teller.account(name, ledger)
        self._store.traded(None, _traded(execution, True))

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
        tick = _price_tick(ledger, side)
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
        _log.warning("somebody else trades what bots hold", symbol=ledger.symbol, bots=held, what=words)
        for name in held:
            self._teller.notice(name, ledger, wire.NOTICE_BY_HAND, REASON_NONE, words)

    def _book(self, ledger: Ledger, book: BotBook, execution: Execution, has_fee: bool, now_ns: int) -> None:
        ledger.count(book, execution, has_fee, now_ns)
        row = Forced(
            execution.symbol,
            book.bot,
            execution.side,
            execution.price_tick,
            execution.qty_lots,
            execution.fee,
            execution.exch_ns,
            execution.trade_id,
            execution.client_id,
        )
        self._store.forced(book, row)
        self._counters.forced_closes += 1
        what = "bought" if execution.side == BUY else "sold"
        words = (
            f"the exchange {what} {ledger.qty(execution.qty_lots):g} of its position "
            f"({execution.client_id or 'without an execution'}), which is {ledger.qty(book.position_lots):g} now"
        )
        _log.error(
            "the exchange closed a part of a bot's position",
            bot=book.bot,
            symbol=ledger.symbol,
            qty=ledger.qty(execution.qty_lots),
            price=execution.price or ledger.price(execution.price_tick),
            client_id=execution.client_id,
            position=ledger.qty(book.position_lots),
        )
        self._teller.account(book.bot, ledger)
        self._teller.notice(book.bot, ledger, wire.NOTICE_FORCED_CLOSE, REASON_LIQUIDATION, words)

    def _happened(self, ledger: Ledger, bots: list[str], now_ns: int) -> None:
        if bots and self._halts and not self._store.halt_reason:
            self._endings.halt(
                f"the exchange closed a part of the position of {', '.join(bots)} in {ledger.symbol}", now_ns
            )


def _price_tick(ledger: Ledger, side: int) -> int:
    """What an execution that the exchange does not tell of may have been at: the best price, or the last one known."""
    tick = ledger.best_bid_tick if side == SELL else ledger.best_ask_tick
    return ledger.last_tick if tick in (0, INVALID_MIN, INVALID_MAX) else tick


def _traded(execution: Execution, has_fee: bool) -> Traded:
    return Traded(
        execution.symbol,
        execution.trade_id,
        execution.exch_ns,
        has_fee,
        "",
        execution.side,
        execution.price_tick,
        execution.qty_lots,
        execution.fee,
        execution.is_maker,
    )
