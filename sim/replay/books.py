"""The book that the bots of a replay have, for those who come later.

It is followed only when somebody asks for it, or when the rows that it is made from are about to be let go.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftd.book.rows import book_rows
from hftd.compiled.arena import Arena
from hftd.compiled.layout import book_dtype
from hftd.hbt.local import fill_book, fill_market_orders, market_orders
from hftd.types import (
    ADD_ORDER_EVENT,
    BUY_EVENT,
    DEPTH_CLEAR_EVENT,
    EXCH_EVENT,
    LOCAL_EVENT,
    SELL_EVENT,
    event_dtype,
)
from sim.engine.build import Engine
from sim.feed.asset import AssetModel
from sim.replay import kernel

_BOTH = EXCH_EVENT | LOCAL_EVENT


class FollowedBook:
    """The book of an asset as of the last row that was published.

    Args:
        engine: The run's engine.
        asset_no: The asset.
        model: Its description.
    """

    def __init__(self, engine: Engine, asset_no: int, model: AssetModel) -> None:
        self._engine = engine
        self._asset_no = asset_no
        self._model = model
        self._arena = Arena()
        self._book = self._arena.records(book_dtype, 1)
        fill_book(self._book[0], model.spec(), self._arena)
        self._orders = fill_market_orders(self._book[0], self._arena) if model.by_order else None
        self.address = int(self._book.ctypes.data)
        if model.initial_snapshot is not None:
            engine.load_snapshot(asset_no, self.address)
        self._feed = engine.feeds[asset_no]
        self._file_no = self._block_no = self._done = 0

    @property
    def is_lost(self) -> bool:
        """Whether something is missing of it where it stands now."""
        return bool(self._book[0]["not_valid"])

    def follow(self) -> None:
        """Go on to the last row that was published."""
        file_no, block_no, row = self._feed.published()
        files = len(self._model.data)
        if file_no >= files:
            # The data is over; somebody wants the last book all the same.
            while self._file_no < files:
                self._finish()
            return
        while 0 <= self._file_no < file_no or (self._file_no == file_no and self._block_no < block_no):
            self._finish()
        if (self._file_no, self._block_no) == (file_no, block_no):
            found = self._feed.rows_block(file_no, block_no)
            if found is not None and row:
                self._apply(found[0], row)

    def _finish(self) -> None:
        """Go to the end of a block, and to the one after it."""
        found = self._feed.rows_block(self._file_no, self._block_no)
        if found is None:
            self._file_no, self._block_no, self._done = self._file_no + 1, 0, 0
            return
        self._apply(found[0], found[0] + found[1])
        self._block_no, self._done = self._block_no + 1, 0

    def finish_block(self) -> None:
        """The rows of a block that was published to its end are about to be let go."""
        self.follow()
        self._block_no, self._done = self._block_no + 1, 0

    def finish_file(self) -> None:
        """The rows of the file that was published to its end are about to be let go."""
        self.follow()
        self._file_no, self._block_no, self._done = self._file_no + 1, 0, 0

    def _apply(self, start: int, end: int) -> None:
        kernel.follow_book.call(self.address, start + self._done, end)
        self._done = end - start

    def rows(self, now_ns: int) -> NDArray[Any]:
        """The book as rows: a clear of everything, then its levels from the best outwards, or its orders by age."""
        self.follow()
        if self._orders is None:
            return book_rows(self.address, self._model.tick_size, now_ns)
        clear = np.zeros(1, event_dtype)
        clear["ev"] = _BOTH | DEPTH_CLEAR_EVENT
        found = np.concatenate([clear, self._order_rows(self._orders[0])])
        found["exch_ts"] = found["local_ts"] = now_ns
        return found

    def _order_rows(self, record: Any) -> NDArray[Any]:
        kept = market_orders(record)
        kept = kept[np.argsort(kept["arrival"])]
        rows = np.zeros(len(kept), event_dtype)
        rows["ev"] = _BOTH | ADD_ORDER_EVENT | np.where(kept["side"] > 0, BUY_EVENT, SELL_EVENT)
        rows["px"] = kept["price_tick"] * self._model.tick_size
        rows["qty"] = kept["qty"]
        rows["order_id"] = kept["order_id"].view("u8")
        return rows
