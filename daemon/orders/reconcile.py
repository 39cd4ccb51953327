"""What the exchange says against what order management believes; the exchange wins."""

import msgspec


class Difference(msgspec.Struct, frozen=True):
    """An account's position that was not what its fills had made of it.

    Attributes:
        expected_lots: By what was known.
        account_lots: By the exchange, and from here on.
    """

    symbol: str
    expected_lots: int
    account_lots: int


class Reconciliation(msgspec.Struct, frozen=True):
    """What a reconciliation found.

    Attributes:
        missed_executions: Counted now, as if they had come by themselves.
        adopted: Client ids of orders of ours that only the exchange knew.
        queried: Client ids of orders that are asked about, since the exchange does not list them as open.
        foreign: Open orders that are not ours; they are left alone.
        differences: Positions that were not what was expected.
        is_settled: Nothing is left to ask again: no query under way, no execution missing.
    """

    missed_executions: int
    adopted: tuple[str, ...]
    queried: tuple[str, ...]
    foreign: int
    differences: tuple[Difference, ...]
    is_settled: bool
