"""Numbers, times and reasons as a story tells them."""

from typing import Final

from hftd import constants as c
from hftd.constants import reason_name

REASONS: Final = {
    c.REASON_UNKNOWN_ORDER: "the exchange has no such order, or it has ended",
    c.REASON_POST_ONLY: "it was post-only and would have taken",
    c.REASON_FOK: "it was fill-or-kill and there was not enough for all of it",
    c.REASON_FILTER: "the exchange had no room for another order",
    c.REASON_DUPLICATE: "its id was in use",
    c.REASON_EXCHANGE: "the exchange's own rule did not take it",
    c.REASON_EXPIRED: "what an order of its kind can't fill at once expires",
    c.REASON_NEVER_SENT: "it was refused on its way to the exchange",
}
TIME_IN_FORCE: Final = {c.GTC: "GTC", c.GTX: "GTX (post-only)", c.FOK: "FOK", c.IOC: "IOC"}
STATUS: Final = {
    c.NEW: "rests",
    c.EXPIRED: "expired",
    c.FILLED: "is filled",
    c.CANCELED: "is cancelled",
    c.PARTIALLY_FILLED: "is filled in part",
    c.REJECTED: "was refused",
}


def reason(number: int) -> str:
    """A REASON_* in words."""
    return REASONS.get(number, reason_name(number))


def price(value: float) -> str:
    """A price with all of its digits, without those of rounding."""
    return f"{value:,.10g}"


def qty(value: float) -> str:
    """A quantity, which a model may have split: six digits."""
    return f"{value + 0.0:,.6g}"


def span(ns: int) -> str:
    """A duration: "250 ns", "1.5 ms", "2.5 s", "12 min 5 s", "3 h 2 min"."""
    if ns < 0:
        return f"-{span(-ns)}"
    for size, unit in ((1_000, "ns"), (1_000_000, "us"), (1_000_000_000, "ms"), (60_000_000_000, "s")):
        if ns < size:
            return f"{ns * 1000 / size if unit != 's' else ns / 1e9:.4g} {unit}"
    minutes, seconds = divmod(ns // 1_000_000_000, 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    return f"{minutes // 60} h {minutes % 60} min"


def moment(ns: int) -> str:
    """A time of market data, UTC, to the nanosecond."""
    import datetime

    at = datetime.datetime.fromtimestamp(ns // 1_000_000_000, datetime.UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}.{ns % 1_000_000_000:09d}"


def count(number: int, what: str) -> str:
    """A number of things: "1 trade" and "2 trades"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
