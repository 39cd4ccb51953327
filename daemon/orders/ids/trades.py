"""Which executions were counted: each once, by its id."""

from collections import deque
from collections.abc import Iterator
from typing import Final

import msgspec

from daemon.messages import Execution

MAX_TRADES: Final = 50_000
"""Executions that are remembered by their ids. Those that the exchange made before the last one forgotten are taken
for counted."""

NEW_TRADE: Final = 0
FEE_ONLY: Final = 1
"""It was counted by its short form; its fee is news."""
KNOWN_TRADE: Final = 2
OLD_TRADE: Final = 3
"""Of before what is remembered."""


class Traded(msgspec.Struct, array_like=True, tag="traded"):
    """An execution was counted; `client_id` is empty for one that is no bot's, or of one long ago.

    Attributes:
        price: The exact price if that is on no tick, else 0; this and what follows is for those who read the journal.
        bot: Whose it is; empty: nobody's.
        is_forced: It closed a part of the position, by the exchange's own order.
    """

    symbol: str
    trade_id: str
    exch_ns: int
    has_fee: bool
    client_id: str = ""
    side: int = 0
    price_tick: int = 0
    qty_lots: int = 0
    fee: float = 0.0
    is_maker: bool = False
    price: float = 0.0
    fee_asset: str = ""
    exch_order_id: str = ""
    bot: str = ""
    is_forced: bool = False

    @staticmethod
    def of(execution: Execution, has_fee: bool, client_id: str = "", bot: str = "") -> "Traded":
        """The row of an execution. The exchange's lists of executions do not name the order as we do (`client_id`)."""
        return Traded(
            symbol=execution.symbol,
            trade_id=execution.trade_id,
            exch_ns=execution.exch_ns,
            has_fee=has_fee,
            client_id=client_id,
            side=execution.side,
            price_tick=execution.price_tick,
            qty_lots=execution.qty_lots,
            fee=execution.fee,
            is_maker=execution.is_maker,
            price=execution.price,
            fee_asset=execution.fee_asset,
            exch_order_id=execution.exch_order_id,
            bot=bot,
            is_forced=execution.is_forced and not bot,
        )


REUSED_NS: Final = 60_000_000_000
"""Executions with one id whose times are further apart than this are not the same one."""


class Trades:
    """Which executions were counted, by (symbol, trade id, side).

    The two sides of a self-trade are two executions with one trade id. Rows of old journals may lack the side (0): then
    the id alone counts, for both sides.

    At most `MAX_TRADES` are remembered, the oldest are forgotten first. An unknown execution of before the last one
    forgotten may be one that was, and is not counted again (`OLD_TRADE`).

    Args:
        limit: How many to remember.
    """

    def __init__(self, limit: int = MAX_TRADES) -> None:
        self._limit = limit
        self._seen: dict[tuple[str, str, int], tuple[int, bool]] = {}
        self._order: deque[tuple[str, str, int]] = deque()
        self._forgotten_ns: dict[str, int] = {}
        self._owners: dict[tuple[str, str, int], str] = {}  # client ids of those whose fee is still to come
        self.reused = 0
        """How often an id that is known came with another time: the exchange, or its testnet, has begun anew."""

    def note(
        self, symbol: str, trade_id: str, exch_ns: int, has_fee: bool, side: int = 0, client_id: str = ""
    ) -> int:
        """Whether an execution is NEW_TRADE, FEE_ONLY, KNOWN_TRADE or OLD_TRADE; from now on it is known."""
        key = symbol, trade_id, side
        seen = self._seen.get(key)
        if seen is None and side:
            # Of before sides were written: whose side it was is not known.
            key = symbol, trade_id, 0
            seen = self._seen.get(key)
        if seen is not None:
            if min(seen[0], exch_ns) > 0 and abs(seen[0] - exch_ns) > REUSED_NS:
                self.reused += 1
            if seen[1] or not has_fee:
                return KNOWN_TRADE
            self._seen[key] = exch_ns, True
            self._owners.pop(key, None)
            return FEE_ONLY
        if exch_ns < self._forgotten_ns.get(symbol, 0):
            return OLD_TRADE
        self._remember((symbol, trade_id, side), exch_ns, has_fee, client_id)
        return NEW_TRADE

    def restore(self, row: Traded) -> None:
        """One that the journal has: it was counted, however long ago it was."""
        known = self.note(row.symbol, row.trade_id, row.exch_ns, row.has_fee, row.side, row.client_id)
        if known == OLD_TRADE:
            self._remember((row.symbol, row.trade_id, row.side), row.exch_ns, row.has_fee, row.client_id)

    def _remember(self, key: tuple[str, str, int], exch_ns: int, has_fee: bool, client_id: str) -> None:
        self._seen[key] = exch_ns, has_fee
        self._order.append(key)
        if not has_fee and client_id:
            self._owners[key] = client_id
        if len(self._seen) > self._limit:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        oldest = self._order.popleft()
        exch_ns, _ = self._seen.pop(oldest)
        self._owners.pop(oldest, None)
        # One more: of those in the same moment some may be forgotten, too.
        self._forgotten_ns[oldest[0]] = max(self._forgotten_ns.get(oldest[0], 0), exch_ns + 1)

    def _find(self, symbol: str, trade_id: str, side: int) -> tuple[int, bool] | None:
        seen = self._seen
        return seen.get((symbol, trade_id, side)) or seen.get((symbol, trade_id, 0))

    def knows(self, symbol: str, trade_id: str, side: int) -> bool:
        """Whether an execution was counted."""
        return self._find(symbol, trade_id, side) is not None

    def is_complete(self, symbol: str, trade_id: str, side: int) -> bool:
        """Whether an execution was counted, its fee included."""
        return (self._find(symbol, trade_id, side) or (0, False))[1]

    def whose(self, symbol: str, trade_id: str, side: int) -> str:
        """The client id of an execution whose fee is still to come; empty if it is not known."""
        owners = self._owners
        return owners.get((symbol, trade_id, side)) or owners.get((symbol, trade_id, 0)) or ""

    def rows(self) -> Iterator[Traded]:
        """What is remembered, the oldest first; what is forgotten meanwhile may be in it or not."""
        for key in list(self._order):
            if (seen := self._seen.get(key)) is not None:
                symbol, trade_id, side = key
                yield Traded(symbol, trade_id, seen[0], seen[1], self._owners.get(key, ""), side)

    def forgotten(self) -> dict[str, int]:
        """By symbol, from when on executions are remembered, by the exchange's clock."""
        return dict(self._forgotten_ns)

    def forget_before(self, times: dict[str, int]) -> None:
        """Those of before these times may have been counted, and are known no more."""
        for symbol, at_ns in times.items():
            self._forgotten_ns[symbol] = max(at_ns, self._forgotten_ns.get(symbol, 0))

    def __len__(self) -> int:
        return len(self._seen)
