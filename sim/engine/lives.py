"""The life of a run's orders: memory for it, and what was noted, as one array."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftd.errors import UsageError
from hftd.life import life_dtype
from hftd.views import view
from sim.engine import life
from sim.engine.build import Engine
from sim.engine.layout import life_rows_dtype, noting_dtype

MAX_LIFE_ROWS = 1 << 21
"""Rows kept for each asset of each bot, if no other number is given: 285 MB. Further ones are counted."""

LIFE_ROWS_LIMIT = 1 << 27
"""The most that may be asked for: 18 GB."""


class Lives:
    """Notes the life of each order from now on.

    Args:
        engine: The exchanges.
        rows_max: The most rows that are kept for each asset of each bot. Memory is taken as they come.

    Raises:
        UsageError: `rows_max` is none.
    """

    def __init__(self, engine: Engine, rows_max: int = MAX_LIFE_ROWS) -> None:
        if not 0 < rows_max <= LIFE_ROWS_LIMIT:
            raise UsageError(
                f"{rows_max:,} rows of orders' lives can't be kept",
                hint=f"a number from 1 to {LIFE_ROWS_LIMIT:,}",
            )
        self.rows_max = rows_max
        self._engine = engine
        self._kept: list[Any] = []
        for exchange in engine.exchanges:
            noting = engine.arena.records(noting_dtype, 1)
            noting["fn_order"] = life.write_order.address
            noting["fn_queue"] = life.write_queue.address
            noting["fn_request"] = life.write_request.address
            noting["fn_answer"] = life.write_answer.address
            noting["fn_market"] = life.write_market.address
            exchange["life"] = noting.ctypes.data

    def open_lanes(self, number: int, bot: int) -> None:
        """Keep what happens in the lanes of a number, at all assets, as that of a bot."""
        for asset_no in range(len(self._engine.models)):
            rows = self._engine.arena.records(life_rows_dtype, 1)
            rows["rows"] = self._engine.arena.reserve(self.rows_max * life_dtype.itemsize)
            rows["cap"] = self.rows_max
            rows["asset"] = asset_no
            rows["bot"] = bot
            self._engine.lanes[asset_no][number]["life"] = rows.ctypes.data
            self._kept.append(rows[0])

    @property
    def dropped(self) -> int:
        """Rows that had no room."""
        return sum(int(kept["dropped"]) for kept in self._kept)

    def rows(self) -> NDArray[Any]:
        """What was noted so far, shape (n,), `life_dtype`: by time; of one moment by asset, by bot, as it happened."""
        kept = sorted(self._kept, key=lambda one: (int(one["asset"]), int(one["bot"])))
        parts = [view(int(one["rows"]), life_dtype, int(one["count"])) for one in kept if one["count"]]
        if not parts:
            return np.zeros(0, life_dtype)
        rows = np.concatenate(parts)
        # The exchange is ahead of the bot within a wait; within one lane what comes first was noted first.
        rows = rows[np.argsort(rows["ts"], kind="stable")]
        rows["seq"] = np.arange(len(rows))
        return rows

    def warnings(self) -> list[str]:
        """That rows had no room, if so."""
        if not self.dropped:
            return []
        room = f"{self.rows_max:,} are kept for each asset of a bot"
        return [f"{self.dropped:,} rows of the life of orders had no room: {room}"]
