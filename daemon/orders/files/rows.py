"""Rows of a journal that are nobody's state: of runs, bots, steps, halts, and of the file itself."""

import msgspec


class Begin(msgspec.Struct, array_like=True, tag="begin"):
    """A run begins, or its file is rewritten.

    Attributes:
        settled_ns: Up to then the executions of the exchange are all counted.
        account: Whose orders these are, as `Journal.claim` was told; empty if it was not.
        identity: The connector's number in its orders' ids, to which the run belongs; 0 in old journals.
    """

    prefix: str
    run: int
    settled_ns: int = 0
    account: str = ""
    identity: int = 0


class BotRow(msgspec.Struct, array_like=True, tag="bot"):
    """A bot: how its lease ends, and whether it has one.

    Attributes:
        is_ending: Its position is to be flattened.
    """

    name: str
    on_end: str = "cancel"
    pull_quotes: bool = False
    has_lease: bool = False
    is_ending: bool = False


class Steps(msgspec.Struct, array_like=True, tag="steps"):
    """In which ticks and lots an instrument's rows count, and what of the account's position is no bot's.

    Attributes:
        base: What is traded, as the exchange calls it; this and what follows is for those who read the journal.
        unsettled_ns: Executions of this one are counted only up to then; 0: up to when the account's are (`Settled`).
    """

    symbol: str
    tick_size: str
    lot_size: str
    other_lots: int = 0
    has_holding: bool = False
    unsettled_ns: int = 0
    base: str = ""
    quote: str = ""
    contract_size: float = 1.0
    inverse: bool = False
    is_spot: bool = False


class Settled(msgspec.Struct, array_like=True, tag="settled"):
    """Up to then the executions of the exchange are all counted."""

    settled_ns: int


class Halt(msgspec.Struct, array_like=True, tag="halt"):
    """Halted for this reason; empty: nobody and nothing is any more.

    Attributes:
        bot: Who is; empty: all.
        ends: A limit was reached: the bots' end policies are applied.
        by: The person who asked for it, or to go on; empty: the connector itself.
    """

    reason: str
    bot: str = ""
    ends: bool = False
    by: str = ""


class At(msgspec.Struct, array_like=True, tag="at"):
    """When the rows behind it in its record were written, on our clock."""

    at_ns: int


class Refused(msgspec.Struct, array_like=True, tag="refused"):
    """The exchange, the way there, or the connector itself refused requests: for those who read the journal.

    Attributes:
        client_id: The order's; empty if the connector refused, because no id was given out.
        what: "new", "modify", "cancel" or "query"; empty if the connector refused.
        reason: A REASON_*; `code` and `words` are the exchange's own.
        count: How many of the connector's own refusals are meant: the first of a bot, an instrument and a reason is
            written at once, and those that follow once a minute.
    """

    client_id: str
    bot: str
    symbol: str
    what: str
    reason: int
    code: int
    words: str
    count: int = 1


class ParametersSet(msgspec.Struct, array_like=True, tag="set"):
    """Somebody set parameters of a bot: for those who read the journal.

    Attributes:
        values: By name, as JSON.
        by: Who did.
    """

    bot: str
    values: str
    by: str


class Forgotten(msgspec.Struct, array_like=True, tag="forgotten"):
    """Up to when what happened may be known no more; of a checkpoint, in which all of that is left out.

    Attributes:
        orders_ts: The latest request of an order that was forgotten, by the bot's clock.
        trades: By symbol, from when on executions are remembered, by the exchange's clock.
        payments_ns: The latest payment that was forgotten, by the exchange's clock.
    """

    orders_ts: int = 0
    trades: dict[str, int] = {}
    payments_ns: int = 0


class Checkpoint(msgspec.Struct, array_like=True, tag="checkpoint"):
    """The file's first row, where it took another's place: rows up to `Tail` are what is known, not what happened.

    Attributes:
        number: The file's.
        begun_ns: When it was begun, on our clock.
        copied_from: Where in the file before it the records begin that stand behind `Tail`; -1: that is not known.
        has_lost: Records are missing before it: more could not be written than memory was set aside for.
    """

    number: int
    begun_ns: int
    copied_from: int
    has_lost: bool = False


class Tail(msgspec.Struct, array_like=True, tag="tail"):
    """The checkpoint is over."""
