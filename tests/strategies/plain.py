"""Strategies of several assets on small scripted markets, as plain Python: nothing has to be compiled.

The engine is the real one; what a backtest never shows, a book that is not valid or an exchange that is not connected,
the script sets.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray

from hftd.types import BUY, CANCELED, EXPIRED, FILLED
from sim.backtest import Backtest
from sim.feed.asset import BacktestAsset
from sim.models import CustomLatency
from strategies import legs as legs_module
from tests.sim.engine.market import START, rows

MS = 1_000_000
SECOND = 1_000 * MS


def plain(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
    """Let a strategy's module, and what it calls, run as plain Python."""
    make_legs = legs_module.make_legs.py_func

    def as_records(count: int) -> NDArray[Any]:
        # Fields are read as attributes in compiled code; so they can be here.
        made = np.zeros(count, legs_module.leg_dtype).view(np.recarray)
        made[:] = make_recorded(count)
        return made

    def make_recorded(count: int) -> NDArray[Any]:
        made = np.zeros(count, legs_module.leg_dtype)
        made["next_id"] = legs_module.LEG_IDS
        return made

    for one in (legs_module, module):
        for name, value in list(vars(one).items()):
            function = getattr(value, "py_func", None)
            if function is not None:
                monkeypatch.setattr(one, name, as_records if function is make_legs else function)


@njit
def _entry(state, request, market):
    """The next of the given latencies; the last one for ever."""
    i = min(state.next, len(state.entry_ns) - 1)
    state.next += 1
    return state.entry_ns[i]


@njit
def _response(state, market):
    return state.response_ns


def latencies(*entry_ns: int, response_ns: int = MS) -> CustomLatency:
    """How long each request takes, one after the other, and the last one of these from then on; negative: refused."""
    state = np.zeros(1, [("entry_ns", "i8", (32,)), ("next", "i8"), ("response_ns", "i8")])
    state["entry_ns"] = [*entry_ns, *[entry_ns[-1]] * (32 - len(entry_ns))]
    state["response_ns"] = response_ns
    return CustomLatency(_entry, _response, state)


def steady(
    lasts_ms: int,
    mid: int = 10_000,
    *extra: tuple[str, int, float, float],
    qty: float = 100.0,
    every_ms: int = 10,
) -> NDArray[Any]:
    """A market that stands still around `mid`, one tick to each side, and says so; with rows in between.

    Args:
        lasts_ms: How long.
        mid: In ticks of 1.
        extra: (kind, ms, price, quantity), as of `rows`.
        qty: At each of five levels a side.
        every_ms: How often it says so.
    """
    lines = [
        (side, 1, float(mid + sign * (away + 1)), qty)
        for away in range(5)
        for side, sign in (("bid", -1), ("ask", 1))
    ]
    lines += [("bid", ms * MS, float(mid - 1), qty) for ms in range(every_ms, lasts_ms, every_ms)]
    lines += [(kind, ms * MS, px, of) for kind, ms, px, of in extra]
    return rows(*sorted(lines, key=lambda line: line[1]), feed_ns=0)


def moving(lasts_ms: int, *mids: tuple[int, int], qty: float = 100.0) -> NDArray[Any]:
    """A market that stands still around one mid price after the other, and says so each 10 ms.

    Args:
        lasts_ms: How long.
        mids: (from that ms on, mid price in ticks of 1).
        qty: At each of five levels a side.
    """
    lines: list[tuple[str, int, float, float]] = []
    for (from_ms, mid), until_ms in zip(mids, [*(ms for ms, _ in mids[1:]), lasts_ms], strict=True):
        start_ns = max(from_ms * MS, 1)
        lines.append(("clear", start_ns, 0.0, 0.0))
        lines += [
            (side, start_ns, float(mid + sign * (away + 1)), qty)
            for away in range(5)
            for side, sign in (("bid", -1), ("ask", 1))
        ]
        lines += [("bid", ms * MS, float(mid - 1), qty) for ms in range(from_ms + 10, until_ms, 10)]
    return rows(*lines)


def described(
    data: NDArray[Any], latency: CustomLatency | None = None, lot_size: float = 1.0
) -> BacktestAsset:
    """An asset of tick size 1 without fees."""
    made = BacktestAsset().data([data]).tick_size(1.0).lot_size(lot_size).linear_asset(1.0)
    made.custom_order_latency(latency or latencies(MS))
    return made.risk_adverse_queue_model().partial_fill_exchange().trading_value_fee_model(0.0, 0.0)


class Scripted(Backtest):
    """A backtest in which something is done, and looked at, at each wake.

    Args:
        assets: Its assets.
        script: Pairs of milliseconds and what is to be done with this object then.
        sizes: Contract sizes.
    """

    def __init__(
        self,
        assets: list[BacktestAsset],
        *script: tuple[int, Callable[["Scripted"], object]],
        sizes: tuple[float, ...] = (),
    ) -> None:
        super().__init__([asset.model for asset in assets])
        self._script = sorted(script, key=lambda step: step[0])
        self.sizes = sizes or (1.0,) * len(assets)
        self.seen: list[tuple[float, ...]] = []
        """Positions after each wake."""
        self.worst = 0.0
        """The largest exposure that could have come of what was open."""
        self.alerts: list[tuple[int, int, float]] = []
        self.record_requests()
        self.begin()

    def wait_next_feed(self, include_order_resp: bool, timeout: float) -> int:
        self._look()
        code = super().wait_next_feed(include_order_resp, timeout)
        now_ms = (self.current_timestamp - START) / MS
        while self._script and self._script[0][0] <= now_ms:
            self._script.pop(0)[1](self)
        self.seen.append(tuple(self.position(a) for a in range(self.num_assets)))
        return code

    def elapse(self, duration: float) -> int:
        return 0 if self.wait_until(self.current_timestamp + int(duration)) else 1

    def wait_until(self, until_ns: int) -> bool:
        """As `elapse`, looked at on the way. Returns whether there is more."""
        while self.current_timestamp < until_ns:
            if self.wait_next_feed(True, until_ns - self.current_timestamp) == 1:
                return False
        return True

    def alert(self, asset_no: int, code: int, value: float) -> int:
        self.alerts.append((asset_no, code, value))
        return 0

    def connect(self, asset_no: int, is_connected: bool = True) -> None:
        """Whether orders get through, as far as the strategy knows."""
        self._row(asset_no)["disconnected"] = not is_connected

    def trust(self, asset_no: int, is_valid: bool = True) -> None:
        """Whether the book is valid, as far as the strategy knows."""
        self._row(asset_no)["book"]["not_valid"] = not is_valid

    def open_orders(self, asset_no: int) -> list[Any]:
        """The orders that are not over."""
        over = (FILLED, CANCELED, EXPIRED)
        values = self.orders(asset_no).values()
        found = []
        while values.has_next():
            found.append(values.get())
        return [order for order in found if order.status not in over]

    def exposure(self) -> float:
        """Long less short over all assets."""
        return sum(self.position(a) * size for a, size in enumerate(self.sizes))

    def _look(self) -> None:
        net = self.exposure()
        buys = sells = 0.0
        for asset_no, size in enumerate(self.sizes):
            for order in self.open_orders(asset_no):
                if order.side == BUY:
                    buys += order.leaves_qty * size
                else:
                    sells += order.leaves_qty * size
        self.worst = max(self.worst, net + buys, sells - net)
