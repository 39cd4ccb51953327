"""Prices on no tick: found in compiled code, kept out of the book, and the book is not valid while they are there."""

from decimal import Decimal

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.messages import STEPS_CHANGED, Instrument
from daemon.session.market.grid import Grid
from hftd.types import BUY_EVENT, DEPTH_EVENT, SELL_EVENT
from hftd.venues.binance import market
from hftd.venues.reader import MarketReader
from tests.daemon.venues.binancefutures import market_server

READER = MarketReader(market.read_futures, (DEPTH_EVENT | BUY_EVENT, DEPTH_EVENT | SELL_EVENT))
BTC = Instrument(0, "BTCUSDT", Decimal("0.01"), Decimal("0.001"))


def rows_of(message):
    """Rows of a message, which hold until the next is read."""
    return READER.read(message, 1).rows


def off_grid(rows, grid):
    return READER.off_grid(len(rows), grid.per_price)


def depth(bids, asks, grid):
    rows = rows_of(market_server.depth(2, 1, bids, asks))
    return rows, off_grid(rows, grid)


@pytest.mark.parametrize("tick", ["0.1", "0.01", "0.05", "0.0000001", "5", "0.25", "1e-8"])
@given(count=st.integers(1, 10**9), off=st.integers(1, 9))
@settings(max_examples=60)
def test_a_price_is_on_a_tick_if_its_decimal_is(tick, count, off):
    size = Decimal(tick)
    grid = Grid(msgspec.structs.replace(BTC, tick_size=size))
    on, between = format(count * size, "f"), format(count * size + size * off / 10, "f")
    assert depth([(on, "1")], [], grid)[1] == 0
    rows, found = depth([(between, "1"), (on, "1")], [(between, "0")], grid)
    assert found == 2
    assert list(grid.on_levels(rows)["px"]) == [float(on)]


LEVEL = st.tuples(st.integers(-9, 9), st.integers(0, 3), st.booleans())


@given(st.lists(st.lists(LEVEL, max_size=5), max_size=12))
def test_what_is_published_is_the_part_of_the_book_that_is_on_ticks(messages):
    grid = Grid(BTC)
    true: dict[tuple[bool, int], int] = {}
    shown: dict[tuple[bool, int], int] = {}
    for levels in messages:
        sides: dict[bool, list] = {True: [], False: []}
        for thousandths, qty, is_bid in levels:
            sides[is_bid].append((format(Decimal(6) + Decimal(thousandths) / 1000, "f"), str(qty)))
            true[is_bid, thousandths] = qty
        rows, found = depth(sides[True], sides[False], grid)
        if found:
            rows = grid.on_levels(rows)
        for row in rows:
            shown[bool(row["ev"] & BUY_EVENT), round((row["px"] - 6) * 1000)] = int(row["qty"])
    there = {level: qty for level, qty in true.items() if qty}
    assert {level: qty for level, qty in shown.items() if qty} == {
        level: qty for level, qty in there.items() if level[1] % 10 == 0
    }
    assert grid.is_off == any(level[1] % 10 for level in there)


def test_a_snapshot_begins_anew_and_best_prices_count_too():
    grid = Grid(BTC)
    rows, _ = depth([("6.003", "1")], [], grid)
    grid.on_levels(rows)
    assert grid.is_off
    assert "6.003" in grid.text
    rows = rows_of(market_server.snapshot(9, [("6.00", "1")], [("6.01", "1")]))
    assert off_grid(rows, grid) == 0
    grid.on_snapshot(rows)
    assert not grid.is_off
    rows = rows_of(market_server.best(9, "6.003", "6.01"))
    assert off_grid(rows, grid) == 1
    assert list(grid.on_best(rows)["px"]) == [6.01]
    assert grid.is_off
    grid.lose()
    assert grid.is_off, "the last best price that was heard counts until the next"
    grid.on_best(rows[:0])
    assert not grid.is_off


def test_a_book_whose_steps_have_changed_is_never_valid():
    assert Grid(msgspec.structs.replace(BTC, trouble=STEPS_CHANGED)).is_off


def test_levels_without_number_are_limited(monkeypatch):
    monkeypatch.setattr("daemon.session.market.grid.LEVELS_MAX", 3)
    grid = Grid(BTC)
    rows, _ = depth([(f"6.00{k}", "1") for k in range(1, 8)], [], grid)
    grid.on_levels(rows)
    rows, _ = depth([(f"6.00{k}", "0") for k in range(1, 8)], [], grid)
    grid.on_levels(rows)
    assert grid.is_off, "those that were not remembered may still be there"
    grid.on_snapshot(np.zeros(0, rows.dtype))
    assert not grid.is_off
