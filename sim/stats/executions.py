"""The executions of an asset in a run, from what its file has: the bot's fills, the life of its orders, or both."""

# pyright: basic

from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftd.constants import REASON_NEVER_SENT
from hftd.hbt.life import (
    CAUSE_REQUEST_NEW,
    LIFE_ANSWER,
    LIFE_ARRIVAL,
    LIFE_FILL,
    LIFE_REJECTED,
    LIFE_REQUEST_NEW,
)
from hftd.runfile import RunFile
from hftd.types import NEW

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Executions:
    """Executions in the order in which the exchange made them: arrays of one length.

    Attributes:
        source: "fills" (what the bot learned), "life" (the exchange's own rows) or "" where the file has neither.
        local_ts: When the bot learned of it, ns; the exchange's time where that isn't known.
        exch_ts: When it happened, ns.
        order_id: The order's.
        side: 1 for a buy, -1 for a sell.
        price: Of the execution.
        qty: In the instrument's units, positive.
        is_maker: Whether the order rested.
        fee: What it cost; NaN where only the run's sum of fees is known.
        mid: The exchange's mid price at that moment, NaN where it isn't known.
    """

    source: str
    local_ts: NDArray[np.int64]
    exch_ts: NDArray[np.int64]
    order_id: NDArray[np.uint64]
    side: NDArray[np.int64]
    price: Floats
    qty: Floats
    is_maker: NDArray[np.bool_]
    fee: Floats
    mid: Floats

    def __len__(self) -> int:
        return len(self.price)

    @property
    def signed_qty(self) -> Floats:
        """Positive for buys."""
        return self.qty * self.side

    def known_at(self, row: Any) -> NDArray[np.bool_]:
        """Which of them a recorded state contains: shape (n,).

        The row's own count of trades decides: the clock can't tell for executions of its very nanosecond, and the last
        row, made when the data was over, has what was still on its way. A count that can't be right is passed over.
        """
        learned = np.argsort(self.local_ts, kind="stable")
        stamps = self.local_ts[learned]
        before = int(np.searchsorted(stamps, row["timestamp"], "left"))
        count = int(row["num_trades"])
        if not before <= count <= len(self):
            count = int(np.searchsorted(stamps, row["timestamp"], "right"))
        known = np.zeros(len(self), np.bool_)
        known[learned[:count]] = True
        return known

    def take(self, rows: Any) -> "Executions":
        """Some of them."""
        return Executions(
            self.source,
            *(getattr(self, name)[rows] for name in self.__dataclass_fields__ if name != "source"),
        )


def executions(run: RunFile, asset_no: int) -> Executions:
    """The executions of an asset; none, with an empty `source`, where the file does not have them."""
    life = _life_fills(run, asset_no)
    fills = run.tables.get("fills")
    if fills is not None:
        rows = fills[(fills["asset_no"] == asset_no) & (fills["qty"] > 0)]
        rows = rows[np.argsort(rows["exch_ts"], kind="stable")]
        fee, mid = _matched(rows, life)
        return Executions(
            "fills", rows["timestamp"], rows["exch_ts"], rows["order_id"], np.sign(rows["side"]), rows["price"],
            rows["qty"], rows["maker"] != 0, fee, mid,
        )  # fmt: skip
    if life is not None:
        known = np.where(_has_book(life), (life["best_bid"] + life["best_ask"]) / 2, np.nan)
        return Executions(
            "life", life["ts"], life["ts"], life["order_id"], life["side"].astype(np.int64), life["exec_px"],
            life["qty"], life["maker"] != 0, life["fee"], known,
        )  # fmt: skip
    none = np.zeros(0)
    whole = none.astype(np.int64)
    return Executions(
        "", whole, whole, none.astype(np.uint64), whole, none, none, none.astype(np.bool_), none, none
    )


def _has_book(rows: NDArray[Any]) -> NDArray[np.bool_]:
    return (rows["best_bid"] > 0) & (rows["best_ask"] > 0)


def _life_fills(run: RunFile, asset_no: int) -> NDArray[Any] | None:
    if run.life is None or (run.meta is not None and run.meta.life_dropped):
        return None
    rows = run.life[(run.life["kind"] == LIFE_FILL) & (run.life["asset"] == asset_no)]
    return rows[np.lexsort((rows["seq"], rows["ts"]))]


def _matched(fills: NDArray[Any], life: NDArray[Any] | None) -> tuple[Floats, Floats]:
    """Fee and mid price of each fill, from the life's row of the same order, time, price and quantity."""
    fee, mid = np.full(len(fills), np.nan), np.full(len(fills), np.nan)
    if life is None or not len(life):
        return fee, mid
    known: dict[tuple[int, int, float, float], list[int]] = {}
    for number, row in enumerate(life[["order_id", "ts", "exec_px", "qty"]].tolist()):
        known.setdefault(row, []).append(number)
    for number, row in enumerate(fills[["order_id", "exch_ts", "price", "qty"]].tolist()):
        if same := known.get(row):
            at = life[same.pop(0)]
            fee[number] = at["fee"]
            if at["best_bid"] > 0 and at["best_ask"] > 0:
                mid[number] = (at["best_bid"] + at["best_ask"]) / 2
    return fee, mid


@dataclass(frozen=True)
class Orders:
    """What became of the new orders of an asset. An id that is used again is another order.

    Attributes:
        source: "orders" or "life"; empty where the file does not say which orders were sent.
        sent: New orders that were requested, without those that are known to have been refused on their way.
        filled: Those with at least one execution.
        qty_sent: Their quantities added up.
        qty_filled: What was executed of them.
    """

    source: str
    sent: int
    filled: int
    qty_sent: float
    qty_filled: float


def orders(run: RunFile, asset_no: int, done: Executions) -> Orders:
    """How many new orders there were, and what was filled of them."""
    table = run.tables.get("orders")
    if table is not None and len(table):
        mine = table[table["asset_no"] == asset_no]
        is_new = mine["kind"] == NEW
        source, rows, stamps = "orders", mine[is_new], mine["timestamp"][is_new]
        lost = _lost(run, asset_no, mine)[is_new]
    elif run.life is not None and not (run.meta is not None and run.meta.life_dropped):
        mine = run.life[run.life["asset"] == asset_no]
        rows = mine[mine["kind"] == LIFE_REQUEST_NEW]
        source, stamps = "life", rows["ts"]
        refused = mine[
            (mine["kind"] == LIFE_REJECTED)
            & (mine["cause"] == CAUSE_REQUEST_NEW)
            & (mine["reason"] == REASON_NEVER_SENT)
        ]
        # Such a row has the time of its request.
        keys = set(refused[["order_id", "ts"]].tolist())
        lost = np.array([key in keys for key in rows[["order_id", "ts"]].tolist()], np.bool_)
    else:
        return Orders("", 0, 0, 0.0, 0.0)
    use = _use_of(rows["order_id"], stamps, done)
    filled = np.zeros(len(rows), np.bool_)
    filled[use[use >= 0]] = True
    # What was filled has been there.
    sent = ~lost | filled
    return Orders(
        source,
        int(sent.sum()),
        int(filled.sum()),
        float(rows["qty"][sent].sum()),
        float(done.qty[use >= 0].sum()),
    )


def _lost(run: RunFile, asset_no: int, requests: NDArray[Any]) -> NDArray[np.bool_]:
    """Which requests never reached the exchange: those of a moment of which all answers say so."""
    table = run.tables.get("order_latency")
    if table is None or not len(table):
        return np.zeros(len(requests), np.bool_)
    answers = table[(table["_padding"] == asset_no) & (table["exch_ts"] <= 0)]
    refused = Counter(answers["req_ts"].tolist())
    asked = Counter(requests["timestamp"].tolist())
    stamps = requests["timestamp"].tolist()
    return np.array([refused[stamp] >= asked[stamp] for stamp in stamps], np.bool_)


def _use_of(ids: NDArray[Any], stamps: NDArray[Any], done: Executions) -> NDArray[np.int64]:
    """Of each execution, which new order it is of: the last one of its id that was requested before; -1 if none.

    A bot uses an id again only after it learned how the last order of that id ended, so what it learned before a
    request is of an earlier order. Of the very moment of a request, a resting order's execution is the earlier one's,
    and what took is the new one's.
    """
    uses: dict[int, list[tuple[int, int]]] = {}
    for number, (order_id, stamp) in enumerate(zip(ids.tolist(), stamps.tolist(), strict=True)):
        uses.setdefault(order_id, []).append((stamp, number))
    found = np.full(len(done), -1, np.int64)
    for at, order_id in enumerate(done.order_id.tolist()):
        known = uses.get(order_id)
        if known is None:
            continue
        known_by = bisect_left if done.is_maker[at] else bisect_right
        before = known_by(known, int(done.local_ts[at]), key=_stamp)
        found[at] = known[max(before - 1, 0)][1]
    return found


def _stamp(use: tuple[int, int]) -> int:
    return use[0]


@dataclass(frozen=True)
class Latencies:
    """How long the ways of requests and answers took, ns.

    Attributes:
        source: "order_latency" or "life"; empty where the file has none.
        entry: From the request to the exchange.
        response: From the exchange to the bot.
        round_trip: Both together.
        refused: Requests that never reached the exchange, or were refused on the way.
    """

    source: str
    entry: Floats
    response: Floats
    round_trip: Floats
    refused: int


def latencies(run: RunFile, asset_no: int) -> Latencies:
    """The order latencies of an asset."""
    table = run.tables.get("order_latency")
    if table is not None and len(table):
        rows = table[table["_padding"] == asset_no]
        good = rows[rows["exch_ts"] > 0]
        entry, response = good["exch_ts"] - good["req_ts"], good["resp_ts"] - good["exch_ts"]
        refused = len(rows) - len(good)
        return Latencies(
            "order_latency",
            entry.astype(float),
            response.astype(float),
            (entry + response).astype(float),
            refused,
        )
    none = np.zeros(0)
    if run.life is None:
        return Latencies("", none, none, none, 0)
    rows = run.life[run.life["asset"] == asset_no]
    came = rows[(rows["kind"] == LIFE_ARRIVAL) & (rows["ref_ts"] > 0)]
    told = rows[rows["kind"] == LIFE_ANSWER]
    answered = told[told["ref_ts"] > 0]
    entry = (came["ts"] - came["ref_ts"]).astype(float)
    response = (answered["ts"] - answered["ref_ts"]).astype(float)
    return Latencies("life", entry, response, none, len(told) - len(answered))
