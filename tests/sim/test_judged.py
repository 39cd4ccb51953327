"""What judges of queue models know becomes rows and orders; and where the judges are installed, their verdicts."""

import numpy as np
import pytest

from benchmarks.judged import LEVEL_3, Order, Record, level_rows, level_view, order_rows, play
from hftd.types import ADD_ORDER_EVENT, CANCEL_ORDER_EVENT, KIND_MASK, MODIFY_ORDER_EVENT

PRICE = 5_000_000_000_000
TICK = 250_000_000


def records(*lines):
    return [Record(10 * (number + 1), *line) for number, line in enumerate(lines)]


BOOK = (("A", "B", PRICE, 60, 1), ("A", "B", PRICE, 40, 2), ("A", "A", PRICE + TICK, 50, 3))


def kinds(rows):
    return [int(ev & np.uint64(KIND_MASK)) for ev in rows["ev"]]


def test_a_cancellation_of_a_part_keeps_the_order():
    rows = order_rows(
        records(*BOOK, ("C", "B", PRICE, 25, 1), ("C", "B", PRICE, 35, 1)), requeues_unchanged=False
    )
    assert kinds(rows)[3:] == [MODIFY_ORDER_EVENT, CANCEL_ORDER_EVENT]
    assert list(rows["qty"][3:]) == [35.0, 0.0]


@pytest.mark.parametrize(("requeues", "filled"), [(False, 0.0), (True, 5.0)])
def test_who_says_that_an_unchanged_modification_goes_to_the_end_is_told_so(requeues, filled):
    # 60 lots are modified to 60 lots; then 45 are traded, of the other 40 and of the next in the queue.
    told = [*BOOK, ("M", "B", PRICE, 60, 1), ("A", "B", PRICE, 30, 4)]
    fills = (
        [("F", "B", PRICE, 40, 2), ("C", "B", PRICE, 40, 2), ("F", "B", PRICE, 5, 4), ("C", "B", PRICE, 5, 4)]
        if requeues
        else [("F", "B", PRICE, 45, 1), ("C", "B", PRICE, 45, 1)]
    )
    rows = order_rows(records(*told, *fills), requeues_unchanged=requeues)
    assert (kinds(rows).count(ADD_ORDER_EVENT) == 5) == requeues
    assert play(rows, 0.25, Order("B", PRICE, 10, 35, None), LEVEL_3)[0] == filled


def test_of_single_orders_come_the_levels_after_the_trades_of_each_event():
    told = [
        *records(*BOOK),
        Record(40, "T", "A", PRICE, 70, 0, False),
        Record(40, "F", "B", PRICE, 60, 1, False),
        Record(40, "C", "B", PRICE, 60, 1, False),
        Record(40, "C", "B", PRICE, 10, 2, True),
    ]
    rows = level_rows(told)
    assert list(rows["qty"]) == [60.0, 100.0, 50.0, 70.0, 30.0]
    order = Order("B", PRICE, 10, 25, None)
    assert play(rows, 0.25, order, lambda asset: asset.risk_adverse_queue_model()) == (0.0, None)
    assert play(rows, 0.25, order, lambda asset: asset.front_queue_model()) == (10.0, 40)
    view = [
        {
            "kind": "trade" if number == 3 else "depth",
            "side": ord("A" if number == 2 else "B"),
            "aggressor": ord("A"),
            "price": PRICE + TICK * (number == 2),
            "ts_event": int(row["exch_ts"]),
            "new_qty": int(row["qty"]),
            "trade_qty": int(row["qty"]),
        }
        for number, row in enumerate(rows)
    ]
    assert (level_view(view) == rows).all()


def test_an_order_that_travels_is_canceled_as_late_as_it_came():
    told = records(*BOOK, ("T", "N", 0, 0, 0), ("F", "B", PRICE, 60, 1), ("C", "B", PRICE, 60, 1))
    more = [("F", "B", PRICE, 40, 2), ("C", "B", PRICE, 40, 2), ("A", "A", PRICE - TICK, 9, 5)]
    rows = order_rows(
        [*told, *(Record(100 + n, *line) for n, line in enumerate(more))], requeues_unchanged=False
    )
    assert play(rows, 0.25, Order("B", PRICE, 5, 15, 90, 20), LEVEL_3) == (5.0, 102)
    assert play(rows, 0.25, Order("B", PRICE, 5, 15, 80, 20), LEVEL_3) == (0.0, None)


@pytest.mark.thorough
def test_the_judges_that_are_installed_find_level_3_exact_and_level_2_as_the_reference_has_it(tmp_path):
    pytest.importorskip("queuetruth")
    pytest.importorskip("mboq")
    from benchmarks.judges import mbo_queue_days, queuetruth_day

    day, example = queuetruth_day(tmp_path, 100, seed=1), mbo_queue_days()
    assert day["level_3"] == day["orders"] == 100
    ports = {name: one["equal"] for name, one in day["models"].items()}
    for name in ("hbt_risk_adverse", "hbt_power[n=3]", "hbt_power2[n=3]", "hbt_power3[n=3]", "hbt_log2"):
        assert ports[name] == day["orders"], name
    failing = {one["case"][:2] for one in day["referee"] if not one["equal"]}
    assert failing == {"12", "14", "16"}
    assert example["level_3"] == example["orders"]
    assert {one["equal"] for one in example["models"].values()} == {example["orders"]}
    published = [round(one["published_bias"], 2) for one in example["models"].values()]
    assert published == [-1.0, -0.42, -0.5, -0.42, -0.25]
