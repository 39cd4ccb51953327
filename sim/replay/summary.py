"""What a replay has done, as its command reports it."""

import msgspec


class BotSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One bot of a run.

    Attributes:
        name: The bot's name.
        orders: Order requests that it sent.
        fills: Executions of its orders.
        left: Why it is gone: "end of data", "stopped", "strategy returned", "it failed", "it is gone" if its process
            died, or why it was sent away.
    """

    name: str
    orders: int
    fills: int
    left: str


class ReplaySummary(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run.

    Attributes:
        dates: The days that were played.
        channels: The channels they were played into.
        rows: Rows of events that were played.
        seconds: Wall time from the first row to the last.
        sim_seconds: Simulated time from the first row to the last.
        ended: "end of data", "stopped" or "no bots left".
        bots: The bots that took part, in the order in which they came.
        warnings: What was odd.
    """

    dates: list[str]
    channels: list[str]
    rows: int
    seconds: float
    sim_seconds: float
    ended: str
    bots: list[BotSummary]
    warnings: list[str]
