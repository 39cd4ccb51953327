"""How long a bot's requests take: there (entry), back (response), and both.

Only what the exchange answered counts: a request that was refused here or whose outcome is unknown took no time that
could be told. Entry and response need the exchange's time in the answer, which most refusals do not have; they are
parted by its clock as far as that is known, so each may be off by that error, and the sum is not.
"""

from collections.abc import Callable, Iterator

from daemon.histogram import Histogram
from daemon.messages import CONFIRMED, REFUSED, Outcome
from hftd.control import status


class Latencies:
    """A bot's."""

    def __init__(self) -> None:
        self._entry = Histogram()
        self._response = Histogram()
        self._round_trip = Histogram()

    def answered(
        self, outcome: Outcome, sent_ns: int, now_ns: int, to_exchange: Callable[[int], int]
    ) -> None:
        """A new order, a change or a cancel has its outcome.

        Args:
            outcome: It.
            sent_ns: When it was given to the session, which waits for the request limits if it must.
            now_ns: Now.
            to_exchange: Gives a moment of our clock by the exchange's.
        """
        exch_ns = outcome.exch_ns
        if outcome.kind != CONFIRMED and not (outcome.kind == REFUSED and (outcome.code or exch_ns)):
            return
        self._round_trip.add(now_ns - sent_ns)
        if exch_ns:
            self._entry.add(exch_ns - to_exchange(sent_ns))
            self._response.add(to_exchange(now_ns) - exch_ns)

    def told(self) -> Iterator[status.Latency]:
        """Those that there are, for `hftd status`."""
        legs = ("entry", self._entry), ("response", self._response), ("round trip", self._round_trip)
        return (one for name, leg in legs if (one := leg.told(name)).count)
