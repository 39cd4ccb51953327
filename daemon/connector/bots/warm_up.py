"""Orders that are made, checked, noted and written, and go nowhere: they keep the way of a real one in the caches.

A connector sends an order now and then, and polls in between. Meanwhile the processor's caches forget what an order
needs: the code of some hundred functions. When the order comes, fetching it again takes longer than running it. A
polling connector has time, so it goes through the motions every `EVERY_NS`, with books, limits, a journal and a limiter
that are only the warm-up's. Nothing of that is ever seen by a bot or an exchange.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from daemon.messages import REFUSED, Command, Instrument, Outcome
from daemon.orders.journal import Journal
from daemon.orders.limits import AccountLimits, BotLimits
from daemon.orders.manager import OrderManager
from daemon.orders.state import REMEMBER_NS
from hftd import wire
from hftd.clock import running_ns
from hftd.constants import BUY, IOC, LIMIT

EVERY_NS: Final = 500_000
"""A warm-up takes 20 us and more, for which a message may have to wait. At three times this pace an order gains
little more, and the feed loses as much."""
_BOT: Final = "warmup"
_TICK: Final = 1_000


class WarmUp:
    """Runs the way of an order from a bot's request to the exchange's bytes.

    Args:
        instrument: A real one, so that the warm-up's numbers look like the real ones'.
        perform: What a venue does with a command, short of sending it.
    """

    def __init__(self, instrument: Instrument, perform: Callable[[Command], None]) -> None:
        self._perform = perform
        self._command: Command | None = None
        self._order_id = 0
        self._journal = Journal.nowhere()
        # Whatever the exchange's filters say: a refusal would end the run early.
        self._instrument = msgspec.structs.replace(
            instrument, number=0, min_qty_lots=1, max_qty_lots=0, min_notional=0.0, is_trading=True
        )
        self._qty = float(instrument.lot_size)
        self._open()

    def _open(self) -> None:
        self._manager = OrderManager(
            prefix=_BOT,
            run=1,
            limits=AccountLimits(),
            journal=self._journal,
            emit=lambda _bot, _update: None,
            send=self._send,
        )
        now_ns = running_ns()
        self._manager.add_instrument(self._instrument)
        self._manager.on_connection(True, now_ns)
        self._manager.attach(_BOT, (0,), BotLimits(), "cancel", now_ns)

    def _send(self, command: Command) -> None:
        self._command = command
        self._perform(command)

    def run(self) -> None:
        """Once more."""
        now_ns = running_ns()
        self._order_id += 1
        text = wire.encoder.encode(
            wire.Submit(
                instrument=0,
                order_id=self._order_id,
                side=BUY,
                order_type=LIMIT,
                time_in_force=IOC,
                price_tick=_TICK,
                qty=self._qty,
                local_ts=now_ns,
            )
        )
        request = wire.request_decoder.decode(text)
        self._manager.request(_BOT, request, now_ns)  # pyright: ignore[reportArgumentType]
        command, self._command = self._command, None
        if command is not None:
            self._manager.on_outcome(Outcome(command.request, REFUSED, 0, ""), now_ns)
        # Nothing of it is to be remembered.
        self._manager.store.forget(now_ns + REMEMBER_NS + 1)

    def close(self) -> None:
        """Free what it has."""
        self._journal.close()
