"""What order management knows of one bot."""

from daemon.orders.journal import BotRow
from daemon.orders.limits import BotLimits, CompiledLimits, RateGate
from daemon.orders.machine import Order


class Bot:
    """A bot that is attached, or left something behind.

    Attributes:
        row: What the journal keeps of it.
        away_since_ns: Since when it has had no lease though it should; 0 if that is not so.
        limits: Its limits by symbol, made ready.
        gate: Its order rate.
        alive: Its orders that are not finished.
        flatten_tries: Orders sent to close its positions; `flatten_due_ns` when the next may be.
    """

    def __init__(self, row: BotRow) -> None:
        self.row = row
        self.name = row.name
        self.is_attached = False
        self.away_since_ns = 0
        self.limits = BotLimits()
        self.by_symbol: dict[str, CompiledLimits] = {}
        self.gate = RateGate(None)
        self.symbols: list[str] = []
        self.since_ns = -1
        self.flatten_tries = 0
        self.flatten_due_ns = 0
        self.alive: dict[str, Order] = {}
        self.requests = 0
        self.updates = 0
        self.refused = 0
        self.fills = 0
