"""What order management keeps of a bot, beside its books."""

from daemon.orders.journal import BotRow
from daemon.orders.limits import BotLimits, CompiledLimits, RateGate
from daemon.orders.order import Order
from daemon.orders.positions import Forced
from daemon.orders.quality.fills import Markouts
from daemon.orders.quality.latencies import Latencies
from daemon.orders.quality.outcomes import none_yet


class Flattening:
    """How far closing a bot's position in one instrument has got.

    Attributes:
        since_ns: When it began, in this process.
        due_ns: When the next order may be sent.
        tries: Orders in a row that closed nothing.
        why: What stands in the way, empty if nothing does.
        is_refused: The exchange said that there is nothing to reduce.
        is_filtered: The exchange's filters refused the last order.
        is_void: The account has nothing to reduce, or less than an order may be: no order of this bot can close its
            position.
        is_counted: It was counted as not flattened.
    """

    __slots__ = (
        "due_ns",
        "is_counted",
        "is_filtered",
        "is_refused",
        "is_void",
        "since_ns",
        "tries",
        "why",
    )

    def __init__(self, now_ns: int) -> None:
        self.since_ns = now_ns
        self.due_ns = now_ns
        self.tries = 0
        self.why = ""
        self.is_refused = False
        self.is_filtered = False
        self.is_void = False
        self.is_counted = False


class Bot:
    """A bot that is attached, or left something behind.

    Attributes:
        row: What the journal keeps of it.
        away_since_ns: Since when it has had no lease though it should; 0 if that is not so.
        limits: Its limits by symbol, made ready.
        order_rate: The limit of its orders a second.
        alive: Its orders that are not finished.
        flattening: By symbol, how far closing its position has got.
        forced: By symbol, what the exchange last closed of its position, until a person has seen to it.
        halt_reason: The limit that it has reached; empty if none.
        is_blind: What it has earned is not known, and it has a limit on that.
        outcomes: How many of its orders ended how (`quality.outcomes`).
        latencies: Of its requests.
        markouts: Of its executions.
    """

    def __init__(self, row: BotRow) -> None:
        self.row = row
        self.name = row.name
        self.is_attached = False
        self.away_since_ns = 0
        self.limits = BotLimits()
        self.by_symbol: dict[str, CompiledLimits] = {}
        self.order_rate = RateGate(None)
        self.symbols: list[str] = []
        self.since_ns = -1
        self.flattening: dict[str, Flattening] = {}
        self.forced: dict[str, Forced] = {}
        self.halt_reason = ""
        self.is_blind = False
        self.alive: dict[str, Order] = {}
        self.requests = 0
        self.updates = 0
        self.refused = 0
        self.fills = 0
        self.outcomes = none_yet()
        self.latencies = Latencies()
        self.markouts = Markouts()

    @property
    def is_closing(self) -> bool:
        """Whether its positions are to be closed, and one at least can be."""
        return self.row.is_ending and not (
            self.flattening and all(one.is_void for one in self.flattening.values())
        )
