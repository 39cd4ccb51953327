"""Numbers of an account's signed requests, where the exchange wants each to be higher than all before."""


class Nonces:
    """Nonces of one key.

    They are the exchange's time, so that those of the next process are higher, however this one ended; and one more
    than the last where the time has not moved on. A finer unit leaves more room for that before a restart.

    Args:
        per_ms: So many in a millisecond: 1 for nonces in milliseconds, 1000 for microseconds.
    """

    def __init__(self, per_ms: int = 1) -> None:
        self._unit_ns = 1_000_000 // per_ms
        self.last = 0

    def take(self, exchange_ns: int) -> int:
        """The next one, given the exchange's time as well as it is known."""
        self.last = max(exchange_ns // self._unit_ns, self.last + 1)
        return self.last
