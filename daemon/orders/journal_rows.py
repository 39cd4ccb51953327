"""The rows of the journal (`journal.py`); orders and books are rows as they are."""

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


class Traded(msgspec.Struct, array_like=True, tag="traded"):
    """An execution was counted; `client_id` is empty for one that is no bot's, or of one long ago."""

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
        unsettled_ns: Executions of this one are counted only up to then; 0: up to when the account's are (`Settled`).
    """

    symbol: str
    tick_size: str
    lot_size: str
    other_lots: int = 0
    has_holding: bool = False
    unsettled_ns: int = 0


class Settled(msgspec.Struct, array_like=True, tag="settled"):
    """Up to then the executions of the exchange are all counted."""

    settled_ns: int


class Halt(msgspec.Struct, array_like=True, tag="halt"):
    """Halted for this reason; empty: not."""

    reason: str
