"""What happens to instruments and accounts now and then: other steps, a halt, a forced close, somebody's own hand."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from sim.exchange.binancefutures.accounts import Account, Order
from sim.exchange.binancefutures.desk import FORCED
from sim.exchange.binancefutures.errors import ApiError
from sim.exchange.binancefutures.instruments import Instrument

if TYPE_CHECKING:
    from sim.exchange.binancefutures.venue import Venue

STEPS: Final = (1, 1, 2, 5, 10)
"""Of a grid's step."""
_HALTS: Final = ("BREAK", "SETTLING", "PENDING_TRADING", "PRE_DELISTING", "TRADING_HALT")


class Mishaps:
    """Lets them happen, by the settings and the numbers of chaos.

    Args:
        venue: The exchange.
    """

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._chaos = venue.chaos
        self._halted: dict[str, int] = {}

    def on_time(self, now_ms: int) -> None:
        """Look what is due."""
        venue, chaos = self._venue, self._chaos
        for symbol, until_ms in list(self._halted.items()):
            if now_ms >= until_ms:
                del self._halted[symbol]
                if venue.instrument(symbol).is_listed:
                    venue.change(symbol, {"status": "TRADING"})
        listed = list(venue.instruments.values())
        if not listed:
            return
        if chaos.is_due("steps_s", now_ms):
            self.change_steps(chaos.of("steps").choice(listed))
        if chaos.is_due("halt_s", now_ms):
            self.halt(chaos.of("halt").choice(listed), now_ms)
        if chaos.is_due("forced_s", now_ms):
            numbers = chaos.of("forced")
            why = numbers.choice([one for one in FORCED if one != "settlement"])
            share = numbers.choice((0.1, 0.5, 1.0))
            if venue.desk.force_close(numbers.choice(venue.accounts), numbers.choice(listed), why, share):
                chaos.count(f"closed by force: {why}")
        if chaos.is_due("by_hand_s", now_ms):
            numbers = chaos.of("by_hand")
            self.close_by_hand(
                numbers.choice(venue.accounts), numbers.choice(listed), numbers.choice((0.3, 1.0))
            )
        if chaos.is_due("shared_s", now_ms):
            venue.gate.use(chaos.of("shared").randrange(1, max(chaos.settings.shared_weight, 1) + 1))
            chaos.count("weight used by others")

    def change_steps(self, instrument: Instrument) -> None:
        """Finer or coarser steps, on the grid of the market."""
        numbers, s = self._chaos.of("steps"), instrument.section
        tick = Decimal(s.grid_tick or s.tick_size) * numbers.choice(STEPS)
        lot = Decimal(s.grid_lot or s.lot_size) * numbers.choice(STEPS)
        self._venue.change(
            instrument.symbol, {"tick_size": f"{tick:f}", "lot_size": f"{lot:f}", "min_qty": f"{lot:f}"}
        )
        self._chaos.count("steps changed")

    def halt(self, instrument: Instrument, now_ms: int) -> None:
        """A status in which not all orders are taken, for a while."""
        numbers, mean_s = self._chaos.of("halt"), self._chaos.settings.halt_for_s
        self._venue.change(instrument.symbol, {"status": numbers.choice(_HALTS)})
        self._halted[instrument.symbol] = now_ms + int(numbers.expovariate(1.0 / max(mean_s, 0.001)) * 1000)
        self._chaos.count("halts")

    def close_by_hand(self, account: Account, instrument: Instrument, share: float = 1.0) -> Order | None:
        """The account's owner closes a part of its position in an instrument at the market."""
        venue = self._venue
        position = account.positions.get((instrument.symbol, "BOTH"))
        step = instrument.step_lots
        lots = int(abs(position.lots) * share) // step * step if position is not None else 0
        if position is None or not lots:
            return None
        try:
            order = venue.desk.place(
                account,
                {
                    "symbol": instrument.symbol,
                    "side": "SELL" if position.lots > 0 else "BUY",
                    "type": "MARKET",
                    "quantity": instrument.qty(lots),
                    "reduceOnly": "true",
                    "newClientOrderId": f"web_{venue.clock.server_ms()}_{len(account.orders)}",
                },
                counts=False,
            )
        except ApiError:
            # The rules are the same for him.
            return None
        self._chaos.count("closed by hand")
        return order
