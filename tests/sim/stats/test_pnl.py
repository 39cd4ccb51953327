"""Profit and loss split into spread captured, inventory and fees: the parts add up, whatever was traded."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.hbt.local import Contract
from hftd.types import record_dtype
from sim.stats.executions import Executions
from sim.stats.markouts import HORIZONS_NS, markouts
from sim.stats.pnl import split, split_by_rows
from tests.sim.stats.records import random_record

SECOND = 1_000_000_000


def executed(*lines, source="fills"):
    """Executions of (ns, signed quantity, price, maker)."""
    ns, qty, price, maker = (np.array(column) for column in zip(*lines, strict=True))
    unknown = np.full(len(ns), np.nan)
    return Executions(
        source, ns.astype(np.int64), ns.astype(np.int64), np.arange(len(ns), dtype=np.uint64), np.sign(qty).astype(int),
        price.astype(float), np.abs(qty).astype(float), maker.astype(bool), unknown, unknown,
    )  # fmt: skip


def rows_of(done, contract, ends, price, *, held=0.0, cash=0.0, rate=0.0):
    """What a recorder would have at these times, of an account that held something before."""
    rows = np.zeros(len(ends), record_dtype)
    unit = done.price if not contract.inverse else 1 / done.price
    for row, end, mid in zip(rows, ends, price, strict=True):
        known = done.local_ts <= end
        value = done.signed_qty[known] * unit[known] * contract.size
        row["timestamp"], row["price"] = end, mid
        row["position"] = held + done.signed_qty[known].sum()
        row["balance"] = cash - value.sum()
        row["fee"] = rate * np.abs(value).sum()
        row["num_trades"] = known.sum()
    return rows


def test_a_round_trip_by_hand():
    done = executed((1 * SECOND, 2.0, 99.0, True), (3 * SECOND, -2.0, 103.0, False))
    rows = rows_of(done, Contract(), [0, 2 * SECOND, 4 * SECOND], [100.0, 102.0, 101.0], rate=0.01)
    found = split(rows, done, np.array([100.0, 102.0]), Contract(), "by hand")
    assert found.spread == pytest.approx(2 * 1 + 2 * 1)
    assert found.inventory == pytest.approx(2 * 2)
    assert found.fees == pytest.approx(0.01 * (198 + 206))
    assert found.total == pytest.approx(8 - found.fees)
    assert found.is_exact


prices = st.floats(10, 1000, allow_nan=False).map(lambda price: round(price, 2))
trades = st.lists(
    st.tuples(
        st.integers(1, 99), st.sampled_from([-3.0, -1.0, -0.5, 0.5, 1.0, 3.0]), prices, st.booleans(), prices
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(
    trades=trades,
    inverse=st.booleans(),
    held=st.sampled_from([0.0, 0.0, 7.0, -2.5]),
    end=prices,
    missing=st.data(),
)
def test_the_parts_add_up_to_the_change_of_equity(trades, inverse, held, end, missing):
    trades = sorted(trades, key=lambda one: one[0])
    done = executed(*(trade[:4] for trade in trades))
    mids = np.array([trade[4] for trade in trades])
    mids[missing.draw(st.lists(st.integers(0, len(mids) - 1), max_size=5))] = np.nan
    contract = Contract(100.0 if inverse else 1.0, inverse)
    cash = 12.5 if held else 0.0
    rows = rows_of(done, contract, [0, 50, 100], [200.0, 210.0, end], held=held, cash=cash, rate=0.001)
    found = split(rows, done, mids, contract, "drawn")
    assert found.is_exact
    equity = [
        contract.equity(*(float(row[n]) for n in ("balance", "position", "fee", "price"))) for row in rows
    ]
    expected = equity[-1] - (equity[0] if held else 0.0)
    assert found.total == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert found.spread + found.inventory - found.fees == pytest.approx(found.total, rel=1e-9, abs=1e-9)
    assert bool(found.why) == bool(held)


def test_money_that_the_executions_do_not_explain_is_said():
    done = executed((1, 1.0, 100.0, True), (2, -1.0, 101.0, True))
    rows = rows_of(done, Contract(), [0, 3], [100.0, 100.0])
    rows["balance"][-1] += 5.0
    found = split(rows, done, np.array([100.0, 100.0]), Contract(), "x")
    assert not found.is_exact
    assert found.unexplained == pytest.approx(5.0)


@pytest.mark.parametrize("inverse", [False, True])
def test_without_executions_the_recorded_states_are_split_and_add_up_too(inverse):
    contract = Contract(100.0 if inverse else 1.0, inverse)
    rows = random_record(3, inverse=inverse, contract_size=contract.size)
    found = split_by_rows(rows, contract)
    assert found.is_exact
    equity = [
        contract.equity(*(float(rows[i][n]) for n in ("balance", "position", "fee", "price")))
        for i in (0, -1)
    ]
    assert found.total == pytest.approx(equity[1] - equity[0])
    assert "no executions" in found.why


def test_a_record_without_a_price_can_not_be_split():
    rows = random_record(4, unpriced=2_000)
    assert split(rows, executed((1, 1.0, 1.0, True)), np.array([1.0]), Contract(), "x").spread is None


def test_executions_after_the_last_row_are_not_in_its_split():
    done = executed((1, 1.0, 100.0, True), (9, 1.0, 100.0, True))
    rows = rows_of(done, Contract(), [0, 5], [100.0, 110.0])
    found = split(rows, done, np.array([100.0, 100.0]), Contract(), "x")
    assert found.is_exact
    assert found.total == pytest.approx(10.0)


def test_a_row_of_the_same_nanosecond_as_an_execution_says_by_its_count_whether_it_has_it():
    done = executed((5, 1.0, 100.0, True), (5, 1.0, 101.0, True))
    rows = rows_of(done.take(slice(0, 1)), Contract(), [0, 5], [100.0, 110.0])
    found = split(rows, done, np.array([100.0, 100.0]), Contract(), "x")
    assert found.is_exact
    assert found.total == pytest.approx(10.0)


def test_markouts_by_hand():
    done = executed((0, 1.0, 100.0, True), (0, -3.0, 100.0, False))
    mids = np.full((len(HORIZONS_NS), 2), np.nan)
    mids[0] = 100.5
    mids[2] = 99.0
    found = markouts(done, mids)
    assert found[0].bps == pytest.approx((50 - 3 * 50) / 4)
    assert (found[0].maker_bps, found[0].taker_bps) == (pytest.approx(50), pytest.approx(-50))
    assert (found[1].bps, found[1].count, found[1].missing) == (None, 0, 2)
    assert "no mid price" in found[1].why
    assert found[2].bps == pytest.approx((-100 + 300) / 4)


def test_horizons_that_are_finer_than_the_prices_are_left_out_with_a_reason():
    done = executed((0, 1.0, 100.0, True))
    found = markouts(done, np.full((len(HORIZONS_NS), 1), 101.0), too_coarse_ns=SECOND)
    assert [out.bps is None for out in found] == [False, True, False, False, False]
    assert "1 s apart" in found[1].why
