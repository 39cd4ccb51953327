"""What a daemon tells tools: the bodies of an Answer, as JSON. Daemons fill them, `hftd status` and its like show them.

Times are nanoseconds since the epoch, ages and durations nanoseconds; -1 stands for "never" or "not known". Fields may
be added without a new protocol version: readers ignore what they do not know, and take the defaults for what is
missing.
"""

from typing import Final

import msgspec

REPLAY: Final = "replay"
CONNECTOR: Final = "connector"
COLLECTOR: Final = "collector"


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """One of a daemon's connections to its exchange.

    Attributes:
        name: Such as "public", "orders", "user data".
        is_up: Whether it works.
        since_ns: When it came up, or went down.
        reconnects: Times that it was made again.
        messages: Received on it.
        errors: Frames that could not be understood.
        last_error: The last reason for its end, for people.
    """

    name: str
    is_up: bool
    since_ns: int = -1
    reconnects: int = 0
    messages: int = 0
    errors: int = 0
    last_error: str = ""


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """How long something took, since the daemon started, as a histogram.

    Attributes:
        name: "feed": from the exchange's time in a message to when it was read here. "entry": from a request's sending
            to the exchange's time in its answer. "response": from there to its receipt. "round trip": both together.
            "write": of a record into the journal.
        count: Measured.
        sum_ns: Of all of them; one below 0 counts as 0.
        counts: In each bucket; the first are those up to `bounds_ns[0]`, and one more than the bounds: all above.
        bounds_ns: The buckets' upper ends; which there are changes as more buckets are used.
        max_ns: The longest.
    """

    name: str
    count: int = 0
    sum_ns: int = 0
    counts: list[int] = []
    bounds_ns: list[int] = []
    max_ns: int = 0

    def quantile_ns(self, share: float) -> int:
        """What that share of them did not exceed, by a straight line within its bucket; -1 if there are none."""
        wanted, below, low_ns = share * self.count, 0, 0
        for count, bound_ns in zip(self.counts, [*self.bounds_ns, self.max_ns], strict=False):
            high_ns = min(bound_ns, self.max_ns)
            if count and below + count >= wanted:
                return low_ns + round((high_ns - low_ns) * max(0.0, wanted - below) / count)
            below, low_ns = below + count, high_ns
        return self.max_ns if self.count else -1

    def count_up_to(self, bound_ns: int) -> int:
        """How many were in the buckets up to one of the bounds that there can be."""
        return sum(
            count for count, end_ns in zip(self.counts, self.bounds_ns, strict=False) if end_ns <= bound_ns
        )


class Markout(msgspec.Struct, frozen=True, kw_only=True):
    """What executions were worth some time later: by how much the middle of the book had moved in their favour.

    Attributes:
        after_ns: That time, by the exchange's clock.
        asset: In which the amounts are: what the instruments settle in; of each asset there is one of each time.
        count: Executions that are so old.
        value: Their traded value at the fill price.
        gain: What their quantity was worth more at the middle of the book then than at their price, of sells less; fees
            are not in it.
    """

    after_ns: int
    asset: str = ""
    count: int = 0
    value: float = 0.0
    gain: float = 0.0


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """An execution.

    Attributes:
        ns: By the exchange's clock.
        local_ns: When it was heard of.
        fee: In `fee_asset`; below 0: received.
        is_maker: None where the exchange did not say.
        markouts: By how much the middle of the book had moved in its favour after each of the horizons of
            `Bot.markouts`, in price; None where that has not come, or is not known.
    """

    ns: int
    local_ns: int = -1
    bot: str = ""
    symbol: str
    side: str
    price: float
    qty: float
    fee: float = 0.0
    fee_asset: str = ""
    is_maker: bool | None = None
    order_id: int = 0
    client_id: str = ""
    markouts: list[float | None] = []


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What a daemon has logged: the event's key (docs/live.md), how bad it is, and the sentence with its facts."""

    ns: int
    level: str
    key: str
    text: str


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """An instrument of a channel.

    Attributes:
        instrument: Its number in the channel's messages.
        book_is_valid: Whether the book is.
        orders_are_connected: Whether orders can be sent, and their answers come.
        feed_age_ns: Since the last row was published.
        rows: Published so far.
        messages: Of the exchange, that they came in.
        gaps: Found in the exchange's sequence; each makes the book not valid until it is synchronised again.
        resyncs: Times that the book was synchronised.
        latency: Of its feed; None where it is not measured.
    """

    symbol: str
    instrument: int
    book_is_valid: bool = True
    orders_are_connected: bool = True
    best_bid: float | None = None
    best_ask: float | None = None
    feed_age_ns: int = -1
    rows: int = 0
    messages: int = 0
    gaps: int = 0
    resyncs: int = 0
    latency: Latency | None = None


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """A channel of a daemon."""

    name: str
    markets: list[Market] = []
    records: int = 0
    rows: int = 0
    ring_bytes: int = 0


class OpenOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that is not finished.

    Attributes:
        status: "new", "partially filled" or "pending": sent, and not answered.
        request: What is asked of it and not answered: "", "new", "modify" or "cancel"; "unknown" after a time out.
    """

    symbol: str
    order_id: int
    client_id: str = ""
    side: str
    price: float
    qty: float
    leaves_qty: float
    status: str
    request: str = ""
    age_ns: int = -1


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """A bot's, or the account's, position in an instrument, in its units."""

    symbol: str
    position: float
    balance: float = 0.0
    fee: float = 0.0
    num_trades: int = 0
    trading_volume: float = 0.0
    trading_value: float = 0.0


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What a spot account has of an asset, in its units; `locked` by open orders, all others' included."""

    asset: str
    total: float
    free: float
    locked: float = 0.0


class Profit(msgspec.Struct, frozen=True, kw_only=True):
    """What was earned on a day of UTC, by the exchange's clock, in one asset.

    Attributes:
        day_ns: When the day began.
        asset: Which all amounts are in: what the instruments settle in.
        total: realised + unrealised - fee + funding.
        realised: By closing positions, at average prices.
        unrealised: By how much the positions' values at the middle of the book have changed beyond that.
        fee: Paid; below 0: received.
        funding: Received; below 0: paid.
        in_all: The total since the journal began to keep it; None where that is not told.
    """

    day_ns: int
    asset: str
    total: float
    realised: float = 0.0
    unrealised: float = 0.0
    fee: float = 0.0
    funding: float = 0.0
    in_all: float | None = None


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a limit is used. `limit` 0: there is none."""

    name: str
    used: float
    limit: float


class Bot(msgspec.Struct, frozen=True, kw_only=True):
    """A bot, attached or (with open orders or a position) gone.

    Attributes:
        channels: All that it trades on, other daemons' too.
        lapped: Times that the market went by it unseen.
        requests: How many it sent.
        updates: How many it was sent.
        unread_bytes: Of the market ring, that it has not read yet; -1 where that is not known.
        halt_reason: The limit that it has reached, so that its orders are refused; empty if none.
        profits: What it has earned today, by asset.
        outcomes: How many of its orders ended how: "filled", "cancelled", "expired", "refused", "unknown".
        latencies: Of its requests.
        markouts: Of its executions, by horizon.
    """

    name: str
    pid: int = 0
    is_attached: bool = True
    on_end: str = "cancel"
    pull_quotes: bool = False
    symbols: list[str] = []
    channels: list[str] = []
    since_ns: int = -1
    orders: list[OpenOrder] = []
    orders_left_out: int = 0
    positions: list[Position] = []
    limits: list[Used] = []
    lapped: int = 0
    unread_bytes: int = -1
    requests: int = 0
    updates: int = 0
    refused: int = 0
    fills: int = 0
    halt_reason: str = ""
    profits: list[Profit] = []
    outcomes: dict[str, int] = {}
    latencies: list[Latency] = []
    markouts: list[Markout] = []


class Departed(msgspec.Struct, frozen=True, kw_only=True):
    """A bot that was attached and is not any more, until it attaches again.

    Attributes:
        reason: Why its lease ended.
        is_orderly: Whether it ended as bots do: stopped, or its strategy returned. Else it died, failed, hung, or the
            daemon took its lease.
        age_ns: Since then.
    """

    bot: str
    reason: str
    is_orderly: bool
    age_ns: int = -1


class Warning(msgspec.Struct, frozen=True, kw_only=True):  # noqa: A001 - the name of the thing
    """A state that needs a person.

    Attributes:
        key: What kind of state, for programs.
        text: What is the matter and what to do, for people.
        symbol: The instrument, or the bot, or whatever else it is about; "" for the whole daemon.
        age_ns: How long it has lasted.
    """

    key: str
    text: str
    symbol: str = ""
    age_ns: int = -1


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of a bot that were refused for one reason.

    Attributes:
        reason: A REASON_* of `hftd.constants`; `name` is its name.
        code: The exchange's own number, 0 if it has none, or if the connector refused.
        words: Of the last one, in the exchange's words; empty if the connector refused.
        hint: What to do about it, if that is known.
        count: So many.
        age_ns: Since the last one.
    """

    bot: str
    symbol: str
    reason: int
    name: str
    code: int = 0
    words: str = ""
    hint: str = ""
    count: int = 0
    age_ns: int = -1


class DaemonStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A whole daemon.

    Attributes:
        kind: REPLAY, CONNECTOR or COLLECTOR.
        name: The channel that was asked.
        venue: The exchange of a connector.
        version: Of hftd.
        started_ns: On the system's clock.
        now_ns: The daemon's clock, the simulated one of a replay.
        is_halted: Whether new orders are refused (`hftd halt`), and why.
        clock_ahead_ns: How far the exchange's clock is ahead of the system's, None where that is not known; to within
            `clock_error_ns`.
        switch_is_armed: Whether the exchange ends our orders if it hears nothing (its dead-man switch): of each symbol
            with orders, or of the account. None where there is none, or nothing for it to end.
        switch_age_ns: Since it was refreshed, of several since the oldest was.
        reconciled_age_ns: Since the account was compared with the exchange's.
        journal_bytes: Its size.
        journal_writes: How long they took; None before the first.
        balances: Of a spot account.
        limits: The exchange's and the account's, used and allowed.
        foreign_orders: Open orders of the account that are not this daemon's; they are left alone.
        counters: Whatever else it counts, by name.
        warnings: What needs a person, as sentences.
        alerts: The same for programs: each with its key and age.
        refusals: What was refused to the bots, the last ones first.
        departed: Bots that have left since the daemon started, the last one last.
        fills: The last ones of all bots, the last one last.
        events: What it logged last, the last one last.
        profits: What all bots have earned today, by asset.
        days: The same of the last days that are over, the newest first.
    """

    kind: str
    name: str
    pid: int
    version: str
    now_ns: int
    venue: str = ""
    started_ns: int = -1
    is_halted: bool = False
    halt_reason: str = ""
    clock_ahead_ns: int | None = None
    clock_error_ns: int = -1
    switch_is_armed: bool | None = None
    switch_age_ns: int = -1
    reconciled_age_ns: int = -1
    journal_bytes: int = 0
    journal_writes: Latency | None = None
    channels: list[Channel] = []
    bots: list[Bot] = []
    account: list[Position] = []
    balances: list[Balance] = []
    limits: list[Used] = []
    connections: list[Connection] = []
    foreign_orders: int = 0
    counters: dict[str, int] = {}
    warnings: list[str] = []
    alerts: list[Warning] = []
    refusals: list[Refusal] = []
    profits: list[Profit] = []
    days: list[Profit] = []
    departed: list[Departed] = []
    fills: list[Fill] = []
    events: list[Event] = []

    @property
    def served(self) -> list[str]:
        """The channels under whose names it listens; those of a collector are exchanges, which it records."""
        return [self.name] if self.kind == COLLECTOR else [one.name for one in self.channels]


class Halted(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a halt or a resume.

    Attributes:
        is_halted: What holds from now on.
        cancelling: Open orders whose cancellation is under way.
        left: Open orders that could not be asked to be cancelled yet; the daemon goes on trying.
    """

    is_halted: bool
    cancelling: int = 0
    left: int = 0


class SetParameters(msgspec.Struct, frozen=True, kw_only=True):
    """The argument of a question for a bot's parameters, from a tool to the daemon and from there to the bot.

    Attributes:
        values: To be set, all at one step of the strategy; none: the parameters are only to be told.
        uid: The user who asks; the daemon writes what the kernel says, whatever was here.
        pid: The process.
    """

    bot: str
    values: dict[str, bool | int | float | str] = {}
    uid: int = -1
    pid: int = 0


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter of a running bot's strategy.

    Attributes:
        value: That holds from the strategy's next step on, or holds already.
        kind: "number", "whole number", "true or false", "text" or "list".
        range: As the strategy states it, such as "> 0"; empty: it states none.
        is_settable: Whether it can be set while the bot runs.
        why_fixed: Why it can't, where the strategy is the reason.
        since_ns: When the strategy took the value over, by its clock; -1: at its start.
        uid: The user who set it; -1: the configuration.
    """

    name: str
    value: bool | int | float | str
    kind: str
    range: str = ""
    is_settable: bool = False
    why_fixed: str = ""
    since_ns: int = -1
    uid: int = -1


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a question for a bot's parameters.

    Attributes:
        allows_set: Whether its configuration allows that they are set.
        is_taken: False: they were set, and the strategy has not begun another step since.
        changes: How often they were set since the bot started.
    """

    bot: str
    allows_set: bool
    is_taken: bool = True
    parameters: list[Parameter] = []
    changes: int = 0


class TappedInstrument(msgspec.Struct, frozen=True, kw_only=True):
    """What a tap must know of an instrument to read its rows.

    Attributes:
        book: The book as rows of `event_dtype`, as a newcomer gets it, as of the Tap's position; empty if the daemon
            can't give it without stopping.
    """

    instrument: int
    symbol: str
    tick_size: float
    lot_size: float
    book: bytes = b""


class Tap(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a tap; with it travel clock page and market ring. The socket stays open till a side closes.

    Attributes:
        position: Of the market ring, from which on the tap sees its messages: its tail, up to which the books are; -1
            for wherever it is when the tap has mapped it.
    """

    daemon: str
    pid: int
    instruments: list[TappedInstrument] = []
    position: int = -1


Body = DaemonStatus | Halted | Tap | Parameters

encode = msgspec.json.Encoder().encode
"""Any of the bodies, or an argument, as JSON."""
