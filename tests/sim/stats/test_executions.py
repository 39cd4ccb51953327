"""Executions, orders and latencies, from whichever tables a run's file has."""

import numpy as np

from hftd.constants import REASON_NEVER_SENT
from hftd.hbt.life import (
    CAUSE_REQUEST_NEW,
    LIFE_ANSWER,
    LIFE_ARRIVAL,
    LIFE_FILL,
    LIFE_REJECTED,
    LIFE_REQUEST_NEW,
    life_dtype,
)
from hftd.runfile import RunFile, RunMeta
from hftd.types import NEW, fill_dtype, latency_dtype, record_dtype, request_row_dtype
from sim.stats.executions import executions, latencies, orders


def table(dtype, *lines):
    made = np.zeros(len(lines), dtype)
    for row, line in zip(made, lines, strict=True):
        for name, value in line.items():
            row[name] = value
    return made


FILLS = table(
    fill_dtype,
    {"timestamp": 30, "exch_ts": 20, "order_id": 1, "side": 1, "price": 99.0, "qty": 2.0, "maker": 1},
    {"timestamp": 25, "exch_ts": 10, "order_id": 2, "side": -1, "price": 101.0, "qty": 1.0, "maker": 0},
    {"timestamp": 26, "exch_ts": 11, "order_id": 9, "asset_no": 1, "side": -1, "price": 5.0, "qty": 1.0},
)
LIFE = table(
    life_dtype,
    {"kind": LIFE_REQUEST_NEW, "ts": 1, "order_id": 1, "qty": 4.0},
    {"kind": LIFE_REQUEST_NEW, "ts": 2, "order_id": 2, "qty": 1.0},
    {"kind": LIFE_REQUEST_NEW, "ts": 2, "order_id": 3, "qty": 5.0},
    {"kind": LIFE_ARRIVAL, "ts": 5, "ref_ts": 1, "order_id": 1},
    {"kind": LIFE_FILL, "ts": 20, "order_id": 1, "side": 1, "exec_px": 99.0, "qty": 2.0, "fee": 0.5, "maker": 1,
     "best_bid": 98.0, "best_ask": 101.0},
    {"kind": LIFE_FILL, "ts": 10, "order_id": 2, "side": -1, "exec_px": 101.0, "qty": 1.0, "fee": 0.1,
     "best_bid": 0.0, "best_ask": 101.0},
    {"kind": LIFE_ANSWER, "ts": 30, "ref_ts": 20, "order_id": 1},
    {"kind": LIFE_ANSWER, "ts": 31, "ref_ts": 0, "order_id": 3},
)  # fmt: skip


def run(life=None, meta=None, **tables):
    return RunFile("x", [np.zeros(1, record_dtype)] * 2, meta, life, tables)  # pyright: ignore


def test_executions_are_in_the_exchanges_order_and_of_their_asset():
    found = executions(run(fills=FILLS), 0)
    assert (found.source, found.exch_ts.tolist(), found.local_ts.tolist()) == ("fills", [10, 20], [25, 30])
    assert found.signed_qty.tolist() == [-1.0, 2.0]
    assert np.isnan(found.mid).all()
    assert executions(run(fills=FILLS), 1).price.tolist() == [5.0]


def test_the_orders_life_adds_fee_and_the_exchanges_book():
    found = executions(run(LIFE, fills=FILLS), 0)
    assert found.fee.tolist() == [0.1, 0.5]
    # One side of the book was empty at the first.
    assert np.isnan(found.mid[0])
    assert found.mid[1] == 99.5


def test_the_life_alone_has_the_executions():
    found = executions(run(LIFE), 0)
    assert (found.source, found.price.tolist(), found.is_maker.tolist()) == (
        "life",
        [101.0, 99.0],
        [False, True],
    )


def test_a_life_with_rows_left_out_is_not_counted_from():
    cut = run(LIFE, RunMeta(life_dropped=3))
    assert executions(cut, 0).source == ""
    assert orders(cut, 0, executions(cut, 0)).source == ""


def test_orders_are_counted_from_requests_or_from_their_life():
    requests = table(
        request_row_dtype,
        {"order_id": 1, "kind": NEW, "qty": 4.0},
        {"order_id": 5, "kind": NEW, "qty": 4.0},
        {"order_id": 1, "kind": NEW + 1, "qty": 3.0},
    )
    with_requests = run(fills=FILLS, orders=requests)
    found = orders(with_requests, 0, executions(with_requests, 0))
    assert (found.source, found.sent, found.filled, found.qty_sent, found.qty_filled) == (
        "orders",
        2,
        1,
        8.0,
        2.0,
    )
    with_life = run(LIFE, fills=FILLS)
    found = orders(with_life, 0, executions(with_life, 0))
    assert (found.source, found.sent, found.filled, found.qty_sent, found.qty_filled) == (
        "life",
        3,
        2,
        10.0,
        3.0,
    )


def test_latencies_come_from_their_table_or_from_the_life():
    rows = table(
        latency_dtype,
        {"req_ts": 1, "exch_ts": 4, "resp_ts": 9},
        {"req_ts": 1, "exch_ts": 0, "resp_ts": 9},
        {"req_ts": 1, "exch_ts": 2, "resp_ts": 3, "_padding": 1},
    )
    found = latencies(run(order_latency=rows), 0)
    assert (found.entry.tolist(), found.response.tolist(), found.round_trip.tolist()) == ([3.0], [5.0], [8.0])
    assert found.refused == 1
    found = latencies(run(LIFE), 0)
    assert (found.source, found.entry.tolist(), found.response.tolist(), found.refused) == (
        "life",
        [4.0],
        [10.0],
        1,
    )
    assert latencies(run(), 0).source == ""


def test_an_id_that_is_used_again_is_counted_as_another_order():
    # Ids that are prices: 7 is sent three times, and filled the first and the third time, the first in two parts.
    requests = table(
        request_row_dtype,
        {"timestamp": 10, "order_id": 7, "kind": NEW, "qty": 2.0},
        {"timestamp": 50, "order_id": 7, "kind": NEW, "qty": 2.0},
        {"timestamp": 50, "order_id": 8, "kind": NEW, "qty": 2.0},
        {"timestamp": 90, "order_id": 7, "kind": NEW, "qty": 2.0},
    )
    fills = table(
        fill_dtype,
        {"timestamp": 30, "exch_ts": 20, "order_id": 7, "side": 1, "price": 99.0, "qty": 1.0, "maker": 1},
        # It learned of this at the moment at which it used the id again.
        {"timestamp": 50, "exch_ts": 40, "order_id": 7, "side": 1, "price": 99.0, "qty": 1.0, "maker": 1},
        {"timestamp": 110, "exch_ts": 100, "order_id": 7, "side": 1, "price": 99.0, "qty": 2.0, "maker": 1},
    )
    by_requests = run(fills=fills, orders=requests)
    found = orders(by_requests, 0, executions(by_requests, 0))
    assert (found.sent, found.filled, found.qty_sent, found.qty_filled) == (4, 2, 8.0, 4.0)
    life = table(
        life_dtype,
        *({"kind": LIFE_REQUEST_NEW, "ts": row["timestamp"], "order_id": row["order_id"], "qty": 2.0}
          for row in requests),
        *({"kind": LIFE_FILL, "ts": row["exch_ts"], "order_id": 7, "side": 1, "exec_px": 99.0, "qty": row["qty"],
           "maker": 1} for row in fills),
    )  # fmt: skip
    for by_life in (run(life), run(life, fills=fills)):
        found = orders(by_life, 0, executions(by_life, 0))
        assert (found.source, found.sent, found.filled, found.qty_filled) == ("life", 4, 2, 4.0)


def test_what_takes_at_the_moment_of_its_request_is_its_own():
    requests = table(
        request_row_dtype,
        {"timestamp": 10, "order_id": 7, "kind": NEW, "qty": 2.0},
        {"timestamp": 50, "order_id": 7, "kind": NEW, "qty": 2.0},
    )
    took = {"exch_ts": 10, "order_id": 7, "side": 1, "price": 99.0, "qty": 2.0}
    fills = table(fill_dtype, {**took, "timestamp": 10}, {**took, "timestamp": 50, "exch_ts": 50})
    both = run(fills=fills, orders=requests)
    assert orders(both, 0, executions(both, 0)).filled == 2


def test_orders_that_never_reached_the_exchange_are_not_among_those_sent():
    requests = table(
        request_row_dtype,
        {"timestamp": 1, "order_id": 1, "kind": NEW, "qty": 4.0},
        {"timestamp": 9, "order_id": 2, "kind": NEW, "qty": 5.0},
    )
    answers = table(latency_dtype, {"req_ts": 9, "exch_ts": 0, "resp_ts": 12})
    refused = run(fills=FILLS[:1], orders=requests, order_latency=answers)
    found = orders(refused, 0, executions(refused, 0))
    assert (found.sent, found.filled, found.qty_sent) == (1, 1, 4.0)
    never = {"kind": LIFE_REJECTED, "cause": CAUSE_REQUEST_NEW, "reason": REASON_NEVER_SENT}
    life = np.concatenate([LIFE, table(life_dtype, {**never, "ts": 2, "order_id": 3})])
    found = orders(run(life), 0, executions(run(life), 0))
    assert (found.sent, found.filled, found.qty_sent) == (2, 2, 5.0)
