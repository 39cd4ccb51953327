"""What happens to instruments and accounts now and then: other steps, a halt, a forced close, somebody's own hand."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from sim.exchange.accounts import Account, Order
from sim.exchange.instruments import Instrument
from sim.exchange.refusals import RefusedError

if TYPE_CHECKING:
    from sim.exchange.core import Exchange

STEPS: Final = (1, 1, 2, 5, 10)
"""Of a grid's step."""
SETTLEMENT: Final = "settlement"
"""How positions are closed of an instrument that is delisted; each venue has it."""


class Mishaps:
    """Lets them happen, by the settings and the numbers of chaos.

    Args:
        exchange: The exchange.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._chaos = exchange.chaos
        self._halted: dict[str, int] = {}

    def on_time(self, now_ms: int) -> None:
        """Look what is due."""
        exchange, chaos = self._exchange, self._chaos
        for symbol, until_ms in list(self._halted.items()):
            if now_ms >= until_ms:
                del self._halted[symbol]
                if exchange.instrument(symbol).is_listed:
                    exchange.change(symbol, {"status": ""})
        listed = list(exchange.instruments.values())
        if not listed:
            return
        if chaos.is_due("steps_s", now_ms):
            self.change_steps(chaos.of("steps").choice(listed))
        if chaos.is_due("halt_s", now_ms):
            self.halt(chaos.of("halt").choice(listed), now_ms)
        if chaos.is_due("forced_s", now_ms):
            numbers = chaos.of("forced")
            why = numbers.choice([one for one in exchange.venue.forced if one != SETTLEMENT])
            share = numbers.choice((0.1, 0.5, 1.0))
            if exchange.matching.force_close(
                numbers.choice(exchange.accounts), numbers.choice(listed), why, share
            ):
                chaos.count(f"closed by force: {why}")
        if chaos.is_due("by_hand_s", now_ms):
            numbers = chaos.of("by_hand")
            self.close_by_hand(
                numbers.choice(exchange.accounts), numbers.choice(listed), numbers.choice((0.3, 1.0))
            )
        if chaos.is_due("shared_s", now_ms):
            exchange.limits.use_up(chaos.of("shared").randrange(1, max(chaos.settings.shared_weight, 1) + 1))
            chaos.count("weight used by others")

    def change_steps(self, instrument: Instrument) -> None:
        """Finer or coarser steps, on the grid of the market."""
        numbers, s = self._chaos.of("steps"), instrument.section
        tick = Decimal(s.grid_tick or s.tick_size) * numbers.choice(STEPS)
        lot = Decimal(s.grid_lot or s.lot_size) * numbers.choice(STEPS)
        self._exchange.change(
            instrument.symbol, {"tick_size": f"{tick:f}", "lot_size": f"{lot:f}", "min_qty": f"{lot:f}"}
        )
        self._chaos.count("steps changed")

    def halt(self, instrument: Instrument, now_ms: int) -> None:
        """A status in which not all orders are taken, for a while."""
        numbers, mean_s = self._chaos.of("halt"), self._chaos.settings.halt_for_s
        self._exchange.change(instrument.symbol, {"status": numbers.choice(self._exchange.venue.halts)})
        self._halted[instrument.symbol] = now_ms + int(numbers.expovariate(1.0 / max(mean_s, 0.001)) * 1000)
        self._chaos.count("halts")

    def close_by_hand(self, account: Account, instrument: Instrument, share: float = 1.0) -> Order | None:
        """The account's owner closes a part of its position in an instrument at the market."""
        name = f"web_{self._exchange.clock.server_ms()}_{len(account.orders)}"
        try:
            order = self._exchange.matching.close_by_hand(account, instrument, name, share)
        except RefusedError:
            return None
        if order is not None:
            self._chaos.count("closed by hand")
        return order
