"""Ids as the exchange writes them: UUIDs of the framework's numbers."""

from typing import Final

_MASK: Final = (1 << 64) - 1


def _mixed(number: int) -> int:
    """Another number of 64 bits, always the same for the same (the finalizer of SplitMix64)."""
    number = (number + 0x9E3779B97F4A7C15) & _MASK
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _MASK
    return number ^ (number >> 31)


def order_uuid(number: int) -> str:
    """An order's id; the number is in its last half."""
    return uuid_of(_mixed(number), number)


def uuid_of(high: int, low: int) -> str:
    """Two numbers of 64 bits as a UUID."""
    digits = f"{high:016x}{low:016x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def execution_uuid(trade_id: int, order_id: int) -> str:
    """An execution's id: each of the two orders of a trade has another."""
    return uuid_of(_mixed(trade_id), _mixed(order_id ^ (trade_id << 1)))


def number_of(order_id: str) -> str:
    """The number of an order's id as text; "0" of what is no order's id."""
    try:
        number = int(order_id.replace("-", "")[16:], 16)
    except ValueError:
        return "0"
    return str(number) if order_uuid(number) == order_id else "0"
