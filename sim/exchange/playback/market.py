"""The recorded market and the accounts' orders in it, by the simulator's own exchange models.

Each account has a lane of the engine in each instrument, with no latency: what arrives is matched at that moment.
"""

import struct
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from hftd.compiled.layout import request_dtype, update_dtype
from hftd.types import CANCELED, INVALID_MIN, NEW
from sim.engine.build import Engine
from sim.exchange.playback import kernel
from sim.exchange.playback.tape import NEVER, RESET, Level, Message, Tape
from sim.feed.asset import AssetModel

UPDATES_MAX: Final = 1024
LEVELS_MAX: Final = 1 << 20

_REQUEST: Final = struct.Struct("<10q")
_REQUEST_QTY: Final = request_dtype.fields["qty"][1]  # pyright: ignore[reportOptionalSubscript]


class Update(NamedTuple):
    """What the engine says of an order.

    Attributes:
        asset_no: Its instrument.
        lane_no: Its account.
        order_id: The engine's id.
        status: A state of `hftd.types`.
        price_tick: Of the execution.
        lots: Executed.
        ts_ns: The market's time.
        executed: Whether this is an execution.
        maker: Whether it rested.
    """

    asset_no: int
    lane_no: int
    order_id: int
    status: int
    price_tick: int
    lots: int
    ts_ns: int
    executed: bool
    maker: bool


class Touch(NamedTuple):
    """The best bid and ask; lots are 0 where there is none."""

    bid_tick: int
    bid_lots: int
    ask_tick: int
    ask_lots: int


class Market:
    """The instruments, each with its tape, and the accounts' lanes.

    Args:
        models: The instruments.
        num_lanes: How many accounts there are.
        on_updates: Given what happens to own orders as the market goes by.
        on_message: Given each message of the market when it has been applied: asset number, message, and for RESET
            the levels of both sides that changed.
    """

    def __init__(
        self,
        models: list[AssetModel],
        num_lanes: int,
        on_updates: Callable[[list[Update]], None],
        on_message: Callable[[int, Message], None],
    ) -> None:
        self.engine = Engine(models, num_lanes)
        self._on_updates = on_updates
        self._on_message = on_message
        for asset_no in range(len(models)):
            for lane in self.engine.lanes[asset_no]:
                self.engine.fill_lane(lane, asset_no)
            self.engine.exchanges[asset_no]["num_lanes"] = num_lanes
        self._address = self.engine.address
        self._out = np.zeros(UPDATES_MAX, update_dtype)
        self._out_address = self._out.ctypes.data
        self._request: Any = np.zeros(_REQUEST.size, np.uint8)
        self._request_address = self._request.ctypes.data
        self._touch = np.zeros(4, np.int64)
        self._touch_address = self._touch.ctypes.data
        self._levels = np.zeros((4096, 2), np.int64)
        # Looked up once: each is on the way of every message.
        self._step = kernel.step.call
        self._send = kernel.request.call
        self._read_touch = kernel.touch.call
        if kernel.open_exchanges.call(self._address) != 0:
            self.engine.check()
        self.engine.check()
        self.tapes = [Tape(self.engine, asset_no) for asset_no in range(len(models))]
        self.now_ns = INVALID_MIN
        self._end_ns = NEVER
        self.lot_sizes = [model.lot_size for model in models]

    @property
    def start_ns(self) -> int:
        """The time of the first message."""
        return min(tape.next_ns for tape in self.tapes)

    @property
    def next_ns(self) -> int:
        """When the market says something next; NEVER when its data is over."""
        next_ns = min(tape.next_ns for tape in self.tapes)
        return next_ns if next_ns <= self._end_ns else NEVER

    @property
    def is_over(self) -> bool:
        """Whether all messages were told."""
        return self.next_ns == NEVER

    def end(self) -> None:
        """The data is over here, whatever may follow: the market stands still from now on."""
        self._end_ns = min(self._end_ns, self.now_ns)

    def advance(self, until_ns: int) -> None:
        """Let the market go on to a time, included, message by message."""
        now_ns, until_ns = until_ns, min(until_ns, self._end_ns)
        tapes = self.tapes
        while True:
            asset_no, first_ns = 0, NEVER
            for number, tape in enumerate(tapes):
                if tape.next_ns < first_ns:
                    asset_no, first_ns = number, tape.next_ns
            if first_ns > until_ns or first_ns == NEVER:
                break
            message = tapes[asset_no].pop()
            if message.kind == RESET:
                message = self._reset(asset_no, message)
            else:
                self._go(asset_no, first_ns)
            self._on_message(asset_no, message)
        for asset_no in range(len(tapes)):
            self._go(asset_no, until_ns)
        self.now_ns = max(self.now_ns, now_ns)

    def _go(self, asset_no: int, until_ns: int) -> None:
        while True:
            count = self._step(self._address, asset_no, until_ns, self._out_address, UPDATES_MAX)
            if count == 0:
                return
            if count < 0:
                self.engine.check()
                raise AssertionError("the engine stopped and does not say why")
            self._on_updates(self._updates(asset_no, count))
            if count < UPDATES_MAX:
                return

    def _updates(self, asset_no: int, count: int) -> list[Update]:
        rows = self._out[:count]
        lots = np.rint(rows["exec_qty"] / self.lot_sizes[asset_no]).astype(np.int64).tolist()
        columns = [
            rows[name].tolist()
            for name in ("arrive_ts", "order_id", "status", "exec_price_tick", "exch_ts", "executed", "maker")
        ]
        return [
            Update(asset_no, lane, order_id, status, tick, lot, ts, executed != 0, maker != 0)
            for lot, (lane, order_id, status, tick, ts, executed, maker) in zip(
                lots, zip(*columns, strict=True), strict=True
            )
        ]

    def _reset(self, asset_no: int, message: Message) -> Message:
        """The book is replaced: what changed by that."""
        sides = []
        before = [dict(self.levels(asset_no, side, LEVELS_MAX)) for side in (1, -1)]
        self._go(asset_no, message.ts_ns)
        for side, was in zip((1, -1), before, strict=True):
            now = dict(self.levels(asset_no, side, LEVELS_MAX))
            changed = [(tick, lots) for tick, lots in now.items() if was.get(tick) != lots]
            changed += [(tick, 0) for tick in was if tick not in now]
            sides.append(changed)
        return Message(RESET, message.ts_ns, sides[0], sides[1])

    # Orders.

    def place(
        self,
        asset_no: int,
        lane_no: int,
        order_id: int,
        side: int,
        order_type: int,
        tif: int,
        tick: int,
        lots: int,
    ) -> list[Update]:
        """Match an order against the market as it is now, and let what remains rest."""
        qty = lots * self.lot_sizes[asset_no]
        return self._do(asset_no, lane_no, (NEW, asset_no, order_id, side, order_type, tif, tick), qty)

    def cancel(self, asset_no: int, lane_no: int, order_id: int) -> list[Update]:
        """Take an order out of the market."""
        return self._do(asset_no, lane_no, (CANCELED, asset_no, order_id, 0, 0, 0, 0), 0.0)

    def _do(self, asset_no: int, lane_no: int, fields: tuple[int, ...], qty: float) -> list[Update]:
        now_ns = min(self.now_ns, self._end_ns)
        _REQUEST.pack_into(self._request, 0, now_ns, *fields, 0, now_ns)
        struct.pack_into("<d", self._request, _REQUEST_QTY, qty)
        self._send(self._address, asset_no, lane_no, self._request_address, now_ns)
        found: list[Update] = []
        while True:
            count = self._step(self._address, asset_no, now_ns, self._out_address, UPDATES_MAX)
            if count < 0:
                self.engine.check()
                raise AssertionError("the engine stopped and does not say why")
            if count == 0:
                return found
            found += self._updates(asset_no, count)
            if count < UPDATES_MAX:
                return found

    # The book.

    def touch(self, asset_no: int) -> Touch:
        """The best bid and ask now."""
        self._read_touch(self._address, asset_no, self._touch_address)
        return Touch(*self._touch.tolist())

    def levels(self, asset_no: int, side: int, limit: int) -> list[Level]:
        """A side's best levels, from the best outwards."""
        while True:
            capacity = min(limit, len(self._levels))
            count = int(kernel.levels.call(self._address, asset_no, side, self._levels.ctypes.data, capacity))
            if count < capacity or capacity == limit:
                return [(tick, lots) for tick, lots in self._levels[:count].tolist()]
            self._levels = np.zeros((4 * len(self._levels), 2), np.int64)

    def rows_warnings(self) -> list[str]:
        """What is odd in the data."""
        return list(self.engine.warnings)
