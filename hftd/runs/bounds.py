"""What a run comes to under other models than its own: how much of its result is the models'."""

import msgspec


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """One run of them.

    Attributes:
        name: The model that is another.
        kind: "own" for the run as it is configured, "bound", "queue" or "latency".
        pnl: Equity after fees at its end, all assets added; None where there is no price, or it failed.
        trades: Executions.
        volume: Their quantities added up.
        fee: Fees paid.
        error: Why there is no result; empty if there is one.
    """

    name: str
    kind: str
    pnl: float | None = None
    trades: int = 0
    volume: float = 0.0
    fee: float = 0.0
    error: str = ""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """All of them.

    Attributes:
        variants: The run itself first.
        between_bounds: The least and the greatest P&L of the two bounds; None if neither could be run.
        between_queues: Of the run and those with other queue models.
        between_latencies: Of the run and those with shorter and longer latencies.
        queue_share: How much of the two latter ranges together is that of the queue models, from 0 to 1; None if both
            are empty.
        sentence: All that in words.
        notes: What must be known besides.
    """

    variants: list[Variant]
    between_bounds: tuple[float, float] | None
    between_queues: tuple[float, float] | None
    between_latencies: tuple[float, float] | None
    queue_share: float | None
    sentence: str
    notes: list[str] = []
