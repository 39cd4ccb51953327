"""A pass: several runs of a strategy over one market, each in a lane of its own."""

from typing import Any

import numpy as np

from hftd.compiled.arena import Arena
from hftd.compiled.layout import MAX_ORDERS, MAX_USER_EVENTS, asset_dtype, offset_of
from hftd.hbt.hbt import Hbt
from hftd.hbt.local import AssetSpec
from hftd.rows import ROW_BYTES
from hftd.types import INVALID_MIN
from sim.backtest import Backtest
from sim.engine import run
from sim.feed.asset import AssetModel
from sim.model.layout import own_order_dtype
from sim.sweeps import kernel
from sim.sweeps.entry import entry_of, strategy_address, words_of
from sim.sweeps.layout import lane_dtype, pass_dtype, seen_dtype
from sim.sweeps.stacks import Stack, switch_address

_BOOK = offset_of(asset_dtype, "book")
_ROUNDS = 4096
"""Moments that are played before Python is asked whether to go on."""


class Lane(Hbt):
    """What one strategy of a pass trades on."""

    def __init__(self, specs: list[AssetSpec]) -> None:
        super().__init__(specs)
        row = self._session[0]
        row["fn_begin"] = kernel.begin.address
        row["fn_advance"] = kernel.advance.address
        row["fn_send"] = kernel.send.address

    def begin(self) -> None:
        """Set the clock to the earliest event."""
        kernel.begin.call(self.address)

    def join(self, record: Any, market: Any) -> None:
        """Become a lane of a pass.

        Args:
            record: The lane's, `lane_dtype`.
            market: The market's local side, by asset.
        """
        self._session[0]["backend"] = record.ctypes.data
        record["session"] = self.address
        for mine, theirs in zip(self._assets, market, strict=True):
            mine["book"] = theirs["book"]


class Market(Backtest):
    """The market of a pass: the exchanges, and the local side that the lanes follow.

    Args:
        models: As of a backtest.
        timeline: As of a backtest.
        specs: As of a backtest.
        num_lanes: How many runs there are.
    """

    def __init__(
        self, models: list[AssetModel], timeline: list[AssetModel], specs: list[AssetSpec], num_lanes: int
    ) -> None:
        super().__init__(models, timeline, specs, is_quiet=True, num_lanes=num_lanes)
        for exchange in self.engine.exchanges:
            # All lanes' orders together may be so many as those of each alone.
            exchange["pool"] = self.engine.arena.reserve(own_order_dtype.itemsize * MAX_ORDERS * num_lanes)
        for asset in self._assets:
            if asset["user_events_cap"]:
                asset["user_events_cap"] = MAX_USER_EVENTS
                asset["user_events"] = self._arena.reserve(ROW_BYTES * MAX_USER_EVENTS)

    @property
    def local_side(self) -> Any:
        """The records of its assets, `asset_dtype`."""
        return self._assets


class Pass:
    """Lanes over one market.

    Args:
        market: The market, with a lane for each of them.
        lanes: What the strategies trade on.
    """

    def __init__(self, market: Market, lanes: list[Lane]) -> None:
        self.market = market
        self.lanes = lanes
        self._arena = Arena()
        self._pass = self._arena.records(pass_dtype, 1)
        self._lanes = self._arena.records(lane_dtype, len(lanes))
        self._wakes = self._arena.records(np.dtype(np.int64), len(lanes))
        self._ready = self._arena.records(np.dtype(np.int64), len(lanes))
        count = len(market.local_side)
        self._feeds = self._arena.records(np.dtype(np.int64), count)
        self._seen = self._arena.records(seen_dtype, len(lanes) * count)
        self._words: list[Any] = []
        self._stacks: list[Stack] = []
        self._address = int(self._pass.ctypes.data)
        row = self._pass[0]
        row["fn_switch"] = switch_address()
        row["engine"] = market.engine.address
        row["market"] = market.address
        row["num_lanes"] = len(lanes)
        for name, kept in (("lanes", self._lanes), ("wakes", self._wakes), ("ready", self._ready)):
            row[name] = kept.ctypes.data
        row["feeds"] = self._feeds.ctypes.data
        row["begun"] = run.begin.call(market.address)
        row["start_ns"] = market.current_timestamp
        self._wakes[:] = INVALID_MIN
        for number, lane in enumerate(lanes):
            record = self._lanes[number : number + 1]
            record["owner"] = self._address
            record["number"] = number
            record["seen"] = self._seen.ctypes.data + number * count * seen_dtype.itemsize
            lane.join(record, market.local_side)

    def play(self, strategies: list[tuple[Any, list[Any]]]) -> list[bool]:
        """Run each lane's strategy to its end.

        Args:
            strategies: For each lane the compiled function, and its arguments behind `hbt`.

        Returns:
            Which of them have raised an exception.
        """
        for number, (function, values) in enumerate(strategies):
            address, kinds, result = strategy_address(function)
            words = np.concatenate([[address, self.lanes[number].address], words_of(values)]).astype(np.int64)
            record = self._lanes[number]
            record["arguments"] = self._arena.keep(words)
            record["fn_strategy"] = entry_of(kinds, result).address
            stack = Stack(number, kernel.run_lane.address, int(self._lanes[number : number + 1].ctypes.data))
            self._stacks.append(stack)
            record["stack"] = stack.address
        self._pass[0]["playing"] = len(self.lanes)
        while kernel.play.call(self._address, _ROUNDS):
            pass
        return [bool(failed) for failed in self._lanes["failed"]]
