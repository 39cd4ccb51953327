"""The life of a run's orders: memory for it, and what was noted, as one array."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftd.errors import UsageError
from hftd.hbt.life import LIFE_ANSWER, LIFE_REQUEST_CANCEL, LIFE_REQUEST_MODIFY, LIFE_REQUEST_NEW, life_dtype
from hftd.hbt.views import view
from hftd.types import INVALID_MIN
from sim.engine import life
from sim.engine.build import Engine
from sim.model.layout import life_rows_dtype, noting_dtype

MAX_LIFE_ROWS = 1 << 21
"""Rows kept for each asset of each bot, if no other number is given: 285 MB. Further ones are counted."""

_REQUESTS = (LIFE_REQUEST_NEW, LIFE_REQUEST_MODIFY, LIFE_REQUEST_CANCEL)

LIFE_ROWS_LIMIT = 1 << 27
"""The most that may be asked for: 18 GB."""


def _rounds(rows: NDArray[Any]) -> NDArray[np.int64]:
    """A number for each row of a lane that tells rows apart whose order is not that of their times.

    After the end of the data a bot's clock stays where it was, while its exchange has gone on to the end: what it asks
    for then comes after all that, whatever the times say.
    """
    at_exchange = ~np.isin(rows["kind"], (*_REQUESTS, LIFE_ANSWER))
    latest = np.maximum.accumulate(np.where(at_exchange, rows["ts"], INVALID_MIN))
    return np.cumsum(np.isin(rows["kind"], _REQUESTS) & (rows["ts"] < latest), dtype=np.int64)


class Lives:
    """Notes the life of each order from now on.

    Args:
        engine: The exchanges.
        rows_max: The most rows that are kept for each asset of each bot. Memory is taken as they come.

    Raises:
        UsageError: `rows_max` is not a positive whole number.
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
        """What was noted so far, shape (n,), `life_dtype`: by time; of one moment by asset, by bot, as it happened.

        What a bot does after the end of the data, where its clock stays, is behind all else.
        """
        kept = sorted(self._kept, key=lambda one: (int(one["asset"]), int(one["bot"])))
        parts = [view(int(one["rows"]), life_dtype, int(one["count"])) for one in kept if one["count"]]
        if not parts:
            return np.zeros(0, life_dtype)
        rows = np.concatenate(parts)
        # Within a wait the exchange is ahead of the bot; in one lane, what comes first of one moment was noted first.
        rows = rows[np.lexsort((rows["ts"], np.concatenate([_rounds(part) for part in parts])))]
        rows["seq"] = np.arange(len(rows))
        return rows

    def warnings(self) -> list[str]:
        """That rows had no room, if so."""
        if not self.dropped:
            return []
        room = f"{self.rows_max:,} are kept for each asset of a bot"
        return [f"{self.dropped:,} rows of the life of orders had no room: {room}"]
