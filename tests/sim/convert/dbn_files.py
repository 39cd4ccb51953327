"""Databento's files, made with its own encoder, with a random market of single orders or of levels."""

import random
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import databento_dbn as dbn
import numpy as np
import zstandard

from sim.archive import check_events, read_events
from sim.convert import Options, Report, convert

START_NS = 1_703_422_805_000_000_000
INSTRUMENT = 17077
TICK = 250_000_000
"""A quarter, in units of 1e-9."""
UNDEFINED = dbn.UNDEF_PRICE
LAST, SNAPSHOT, BAD_TIME, TOP = 128, 32, 8, 64


def metadata(
    schema: Any,
    *,
    version: int = 3,
    ids: dict[str, Sequence[int]] | None = None,
    ts_out: bool = False,
) -> bytes:
    """What stands before the records."""
    mappings: list[Any] = [
        SimpleNamespace(
            raw_symbol=symbol,
            intervals=[
                SimpleNamespace(
                    start_date=date(2023, 12, 24 + day), end_date=date(2023, 12, 25 + day), symbol=str(number)
                )
                for day, number in enumerate(numbers)
            ],
        )
        for symbol, numbers in (ids or {"ESH4": [INSTRUMENT]}).items()
    ]
    return dbn.Metadata(
        dataset="GLBX.MDP3",
        start=START_NS,
        stype_in=dbn.SType.RAW_SYMBOL,
        stype_out=dbn.SType.INSTRUMENT_ID,
        schema=schema,
        symbols=list(ids or ["ESH4"]),
        mappings=mappings,
        end=START_NS + 10**12,
        ts_out=ts_out,
        version=version,
    ).encode()


def write(path: Path, head: bytes, records: Iterable[Any]) -> Path:
    """A file; packed if its name ends with .zst."""
    data = head + b"".join(bytes(record) for record in records)
    path.write_bytes(zstandard.ZstdCompressor(level=3).compress(data) if path.suffix == ".zst" else data)
    return path


class Orders:
    """A random market of single orders, as records.

    Args:
        seed: Of all that happens.
        unit_ns: All times are multiples of it.
        has_parts: Orders are cancelled in parts too.
        instrument: The id that the records have.
        publisher: The publisher that the records have.
    """

    def __init__(
        self,
        seed: int,
        *,
        unit_ns: int = 1,
        has_parts: bool = True,
        instrument: int = INSTRUMENT,
        publisher: int = 1,
    ) -> None:
        self.random = random.Random(seed)
        self.unit_ns, self.has_parts = unit_ns, has_parts
        self.hd = {"publisher_id": publisher, "instrument_id": instrument}
        self.time_ns = START_NS
        self.orders: dict[int, list[Any]] = {}
        self.next_id = 6_412_777_162_812
        self.records: list[Any] = []

    def _time(self, low: int, high: int) -> int:
        return self.random.randint(low // self.unit_ns, high // self.unit_ns) * self.unit_ns

    def put(
        self,
        action: str,
        side: str,
        price: int,
        size: int,
        order_id: int = 0,
        flags: int = LAST,
        **times: int,
    ) -> None:
        """Append a record."""
        recv = times.get("ts_recv", self.time_ns + self._time(100_000, 900_000))
        self.records.append(
            dbn.MBOMsg(
                **self.hd,
                ts_event=times.get("ts_event", self.time_ns),
                order_id=order_id,
                price=price,
                size=size,
                action=dbn.Action(action),
                side=dbn.Side(side),
                ts_recv=recv,
                flags=flags,
                channel_id=0,
            )
        )

    def snapshot(self, count: int = 40, *, has_clear: bool = True) -> None:
        """A snapshot of the book as it is, after `count` new orders; their times are older."""
        recv = self.time_ns = self.time_ns + 10_000_000
        flags = SNAPSHOT | BAD_TIME
        if has_clear:
            self.put("R", "N", UNDEFINED, 0, 0, flags, ts_event=recv - 5, ts_recv=recv)
        for _ in range(count):
            self.new()
        for order_id, (side, price, size) in self.orders.items():
            old = recv - self._time(self.unit_ns, 10**13)
            self.put("A", side, price, size, order_id, flags, ts_event=old, ts_recv=recv)

    def new(self) -> tuple[int, list[Any]]:
        """An order that rests from now on."""
        side = self.random.choice("BA")
        away = self.random.randint(1, 20) * TICK
        self.next_id += self.random.randint(1, 50)
        order = [side, 4_750_000_000_000 + (-away if side == "B" else away), self.random.randint(2, 20)]
        self.orders[self.next_id] = order
        return self.next_id, order

    def step(self) -> None:
        """Something happens; a part of an order that is cancelled among it."""
        self.time_ns += self._time(self.unit_ns, 2_000_000)
        kind = self.random.choice("AAACMPT" if len(self.orders) > 5 else "A")
        if kind == "A":
            order_id, (side, price, size) = self.new()
            self.put("A", side, price, size, order_id)
            return
        order_id = self.random.choice(sorted(self.orders))
        side, price, size = order = self.orders[order_id]
        if kind == "M":
            order[1], order[2] = price + self.random.randint(-1, 1) * TICK, self.random.randint(1, 20)
            self.put("M", side, order[1], order[2], order_id)
            return
        part = self.random.randint(1, size - 1) if kind in "PT" and size > 1 and self.has_parts else size
        if kind == "T":
            self.put("T", "A" if side == "B" else "B", price, part, 0, 0)
            self.put("F", side, price, part, order_id, 0)
        self.put("C", side, price, part, order_id)
        order[2] -= part
        if not order[2]:
            del self.orders[order_id]


class Levels:
    """A random market of levels, as records of its first ten or first one."""

    def __init__(self, seed: int, limit: int = 10) -> None:
        self.random = random.Random(seed)
        self.limit = limit
        self.time_ns = START_NS
        self.sides: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.records: list[Any] = []
        self.mid = 19_000
        for k in range(1, 40):
            self.sides[0][self.mid - k] = self.random.randint(1, 99)
            self.sides[1][self.mid + k] = self.random.randint(1, 99)

    def shown(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """The first levels of bids and of asks, as (tick, quantity)."""
        bids = sorted(self.sides[0].items(), reverse=True)[: self.limit]
        return bids, sorted(self.sides[1].items())[: self.limit]

    def step(self) -> None:
        """Move, change some levels, and tell it."""
        self.time_ns += self.random.randint(1, 2_000_000)
        self.mid += self.random.choice((-6, -1, 0, 0, 0, 1, 6))
        for number, side in enumerate(self.sides):
            sign = 1 if number else -1
            for tick in [tick for tick in side if (tick - self.mid) * sign <= 0]:
                del side[tick]
            for _ in range(3):
                tick = self.mid + sign * self.random.randint(1, 30)
                if self.random.random() < 0.4:
                    side.pop(tick, None)
                else:
                    side[tick] = self.random.randint(1, 99)
        if self.random.random() < 0.05:
            self.sides[0].clear()
        is_trade = self.random.random() < 0.2
        self.tell("T" if is_trade else "A", self.random.choice("BA"))

    def tell(self, action: str, side: str) -> None:
        """Append a record of the levels as they are."""
        bids, asks = self.shown()
        pairs = []
        for k in range(self.limit):
            bid, ask = (levels[k] if k < len(levels) else None for levels in (bids, asks))
            pairs.append(
                dbn.BidAskPair(
                    bid_px=bid[0] * TICK if bid else UNDEFINED,
                    ask_px=ask[0] * TICK if ask else UNDEFINED,
                    bid_sz=bid[1] if bid else 0,
                    ask_sz=ask[1] if ask else 0,
                )
            )
        make = dbn.MBP10Msg if self.limit == 10 else dbn.MBP1Msg
        self.records.append(
            make(
                publisher_id=1,
                instrument_id=INSTRUMENT,
                ts_event=self.time_ns,
                price=self.mid * TICK,
                size=3,
                action=dbn.Action(action),
                side=dbn.Side(side),
                depth=0,
                ts_recv=self.time_ns + 400_000,
                flags=LAST,
                levels=pairs if self.limit == 10 else pairs[0],
            )
        )


def ours(*paths: Path, **options: Any) -> tuple[np.ndarray, Report]:
    """Convert; the archive's rows, which are checked, and the report."""
    report = convert(
        list(paths), paths[0].with_name("day.npz"), venue="databento", options=Options(**options)
    )
    rows = read_events(paths[0].with_name("day.npz"))
    check_events(rows)
    return rows, report


def trade(fixed_price: int, **fields: Any) -> Any:
    """A record of a trade at a price in units of 1e-9."""
    given: dict[str, Any] = {
        "publisher_id": 1,
        "instrument_id": INSTRUMENT,
        "ts_event": START_NS,
        "ts_recv": START_NS + 5,
        "size": 1,
        "action": dbn.Action.TRADE,
        "side": dbn.Side.BID,
        "depth": 0,
        "flags": LAST,
    }
    given |= fields
    return dbn.TradeMsg(price=fixed_price, **given)
