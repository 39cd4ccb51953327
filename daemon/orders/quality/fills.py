"""The last executions, and what they were worth some time later: their markouts.

A markout is by how much the middle of the instrument's own book has moved in an execution's favour since its price,
after each of `HORIZONS_NS` by the exchange's clock. It is taken at the first look after that moment. One that comes
`LATE_NS` late, since the execution was heard of late or nobody looked, and one at which the book is not valid, is not
known: it is counted as missed and is in no sum.

Amounts are in what the instrument settles in; those of two assets are never added.

Limits: `FILLS_MAX` executions are shown; `WAITING_MAX` may wait for their markouts, those beyond have none.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from daemon.messages import Execution
from daemon.orders.money import earning
from hftd.constants import BUY
from hftd.control import status

if TYPE_CHECKING:
    from daemon.orders.bot import Bot
    from daemon.orders.order import Order
    from daemon.orders.positions import BotBook, Ledger
    from daemon.orders.snapshot import Counters

HORIZONS_NS: Final = (1_000_000_000, 10_000_000_000, 60_000_000_000)
LATE_NS: Final = 250_000_000
FILLS_MAX: Final = 100
WAITING_MAX: Final = 50_000
"""Executions of a minute, since the longest horizon is one."""
_NEVER: Final = (1 << 63) - 1


class Markouts:
    """A bot's sums, by asset and horizon."""

    def __init__(self) -> None:
        self._sums: dict[str, list[list[float]]] = {}

    def add(self, asset: str, horizon: int, value: float, gain: float) -> None:
        """One more is known, of the horizon of this number."""
        sums = self._sums.get(asset)
        if sums is None:
            sums = self._sums[asset] = [[0, 0.0, 0.0] for _ in HORIZONS_NS]
        one = sums[horizon]
        one[0] += 1
        one[1] += value
        one[2] += gain

    def told(self) -> Iterator[status.Markout]:
        """All of them, for `hftd status`: of each asset each horizon."""
        for asset, sums in self._sums.items():
            for after_ns, (count, value, gain) in zip(HORIZONS_NS, sums, strict=True):
                yield status.Markout(after_ns=after_ns, asset=asset, count=int(count), value=value, gain=gain)


class _Booked(msgspec.Struct, kw_only=True):
    """An execution."""

    bot: "Bot"
    ledger: "Ledger"
    execution: Execution
    price: float
    local_ns: int
    order: "Order | None"
    fee: float = 0.0
    fee_asset: str = ""
    markouts: list[float | None]
    horizon: int = 0  # the number of the next one

    @property
    def sign(self) -> int:
        return 1 if self.execution.side == BUY else -1


class Fills:
    """See the module.

    Args:
        bot: Finds a bot by its name.
        find: Finds an order by its client id.
        to_exchange: Gives a moment of our clock by the exchange's.
        counters: Where missed markouts are counted.
    """

    def __init__(
        self,
        bot: "Callable[[str], Bot]",
        find: "Callable[[str], Order | None]",
        to_exchange: Callable[[int], int],
        counters: "Counters",
    ) -> None:
        self._bot = bot
        self._find = find
        self._to_exchange = to_exchange
        self._counters = counters
        self._last: deque[_Booked] = deque(maxlen=FILLS_MAX)
        self._waiting: list[tuple[int, int, _Booked]] = []  # a heap, by the exchange's time
        self._number = 0

    def booked(
        self, ledger: "Ledger", book: "BotBook", execution: Execution, has_fee: bool, now_ns: int
    ) -> None:
        """An execution was counted for a bot."""
        one = _Booked(
            bot=self._bot(book.bot),
            ledger=ledger,
            execution=execution,
            price=execution.price or ledger.price(execution.price_tick),
            local_ns=now_ns,
            order=self._find(execution.client_id),
            markouts=[None] * len(HORIZONS_NS),
        )
        if has_fee:
            one.fee, one.fee_asset = execution.fee, execution.fee_asset
        self._last.append(one)
        if len(self._waiting) < WAITING_MAX:
            self._wait(one)
        else:
            self._counters.missed_markouts += len(HORIZONS_NS)

    def fee(self, book: "BotBook", execution: Execution) -> None:
        """The fee of an execution that was counted without it, or more of it."""
        for one in reversed(self._last):
            counted = one.execution
            if (
                counted.trade_id == execution.trade_id
                and counted.symbol == execution.symbol
                and counted.side == execution.side
                and one.bot.name == book.bot
            ):
                one.fee += execution.fee
                one.fee_asset = execution.fee_asset
                return

    def _wait(self, one: _Booked) -> None:
        if one.horizon < len(HORIZONS_NS):
            self._number += 1
            due_ns = one.execution.exch_ns + HORIZONS_NS[one.horizon]
            heapq.heappush(self._waiting, (due_ns, self._number, one))

    def look(self, now_ns: int) -> int:
        """Take the markouts that are due. Returns when the next ones are, by our clock."""
        waiting = self._waiting
        if not waiting:
            return _NEVER
        exch_ns = self._to_exchange(now_ns)
        while waiting and waiting[0][0] <= exch_ns:
            due_ns, _, one = heapq.heappop(waiting)
            horizon, one.horizon = one.horizon, one.horizon + 1
            middle = earning.middle(one.ledger) if exch_ns - due_ns <= LATE_NS else 0.0
            if middle:
                self._take(one, horizon, middle)
            else:
                self._counters.missed_markouts += 1
            self._wait(one)
        return waiting[0][0] - exch_ns + now_ns if waiting else _NEVER

    def _take(self, one: _Booked, horizon: int, middle: float) -> None:
        one.markouts[horizon] = one.sign * (middle - one.price)
        lots = one.execution.qty_lots
        paid = earning.worth(one.ledger, lots, one.price)
        gain = earning.worth(one.ledger, lots, middle) - paid
        if one.ledger.inverse:
            gain = -gain
        one.bot.markouts.add(one.ledger.settles_in, horizon, paid, one.sign * gain)

    def told(self) -> list[status.Fill]:
        """The last ones, for `hftd status`, the last one last."""
        return [
            status.Fill(
                ns=one.execution.exch_ns,
                local_ns=one.local_ns,
                bot=one.bot.name,
                symbol=one.ledger.symbol,
                side="buy" if one.sign > 0 else "sell",
                price=one.price,
                qty=one.ledger.qty(one.execution.qty_lots),
                fee=one.fee,
                fee_asset=one.fee_asset,
                # What only a position told of has no trade.
                is_maker=one.execution.is_maker if one.execution.trade_id else None,
                order_id=one.order.order_id if one.order is not None else 0,
                client_id=one.order.client_id if one.order is not None else one.execution.client_id,
                markouts=one.markouts.copy(),
            )
            for one in self._last
        ]
