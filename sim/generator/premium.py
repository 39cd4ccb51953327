"""The premium of a future over its index, second by second, and the funding that follows from it."""

from collections.abc import Sequence

import numpy as np

from hftd.rows import FUNDING_RATE, INDEX_PRICE, MARK_PRICE
from hftd.types import EXCH_EVENT, LOCAL_EVENT, event_dtype
from sim.generator.market import Market, Walk
from sim.generator.state import State

_SECOND_NS = 1_000_000_000
_INTEREST = 1e-4
_CLAMP = 5e-4


class Premium:
    """The premium of an instrument over its index, and the funding that follows from it, second by second.

    The rate is Binance's: the mean premium of the interval, plus the interest (1 basis point) less that premium, held
    between -5 and 5 basis points (Binance, "Introduction to Binance Futures Funding Rates"). Its mean weighs later
    samples more; this one weighs all alike.
    """

    def __init__(self, market: Market, number: int, start_ns: int) -> None:
        self.number = number
        self.paid: list[tuple[int, float, float]] = []
        self._item = market.instruments[number]
        numbers = {price.name: k for k, price in enumerate(market.prices)}
        follows = [(numbers[name], loading) for name, loading in self._item.follows]
        self._follows = follows
        self._walks = [(k, loading) for k, loading in follows if isinstance(market.prices[k], Walk)]
        self._start_ns = start_ns
        self._sum = 0.0
        self._count = 0

    def told(self, state: State, now_ns: int) -> np.ndarray:
        """What the exchange says at that second: three rows."""
        item = self._item
        values = state["prices"]["value"].tolist()
        index = round(item.start_price * _moved(values, self._walks), 8)
        mark = round(item.start_price * _moved(values, self._follows), 8)
        self._sum += mark / index - 1.0
        self._count += 1
        mean = self._sum / self._count
        rate = round((mean + min(max(_INTEREST - mean, -_CLAMP), _CLAMP)) * item.funding_effect, 8)
        if (now_ns - self._start_ns) % (item.funding_s * _SECOND_NS) == 0:
            self.paid.append((now_ns, rate, mark))
            self._sum = 0.0
            self._count = 0
        rows = np.zeros(3, event_dtype)
        rows["ev"] = [EXCH_EVENT | LOCAL_EVENT | kind for kind in (INDEX_PRICE, MARK_PRICE, FUNDING_RATE)]
        rows["px"] = [index, mark, rate]
        rows["exch_ts"] = now_ns
        # Behind what is on its way, and ahead of what comes after.
        rows["local_ts"] = max(now_ns + item.latency_ns, int(state["markets"][self.number]["local_ns"]))
        return rows


def _moved(values: Sequence[float], follows: Sequence[tuple[int, float]]) -> float:
    """The product of 1 + loading * price, as :mod:`sim.generator.flow` has it."""
    move = 1.0
    for k, loading in follows:
        move = move * (1.0 + loading * values[k]) if loading > 0.0 else move / (1.0 - loading * values[k])
    return move
