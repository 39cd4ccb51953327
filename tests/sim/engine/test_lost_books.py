"""A book that the data says is lost for a while."""

import random
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hftd.constants import BOOK_INVALID, BOOK_VALID, REASON_BOOK_NOT_VALID
from hftd.recording import Gap
from hftd.rows import BOOK_BACK, BOOK_LOST
from hftd.types import CANCELED, EXCH_EVENT, EXPIRED, FILLED, GTC, GTX, LIMIT, LOCAL_EVENT, NEW, event_dtype
from sim.backtest import HashMapMarketDepthBacktest
from sim.convert.rows.gaps import GapMarks
from sim.feed.asset import BacktestAsset
from sim.model.layout import MAX_REQUESTS
from tests.sim.engine.market import START, levels, rows

MS = 1_000_000


def market() -> NDArray[np.void]:
    """A book that is lost from 100 ms to 200 ms."""
    marks = np.zeros(4, event_dtype)
    marks["ev"] = [flag | kind for kind in (BOOK_LOST, BOOK_BACK) for flag in (EXCH_EVENT, LOCAL_EVENT)]
    marks["exch_ts"] = marks["local_ts"] = [START + ms * MS for ms in (100, 100, 200, 200)]
    moves = [("bid", ms * MS, 95.0, float(ms)) for ms in range(10, 1000, 10)]
    made = np.concatenate([rows(*levels()), rows(*moves), marks])
    return made[np.argsort(made["local_ts"], kind="stable")]


def backtest(entry_ns: int = 5 * MS):
    asset = BacktestAsset().data([market()]).tick_size(1.0).lot_size(1.0)
    asset.constant_order_latency(entry_ns, 2 * MS)
    return HashMapMarketDepthBacktest([asset])


def test_a_strategy_sees_that_the_book_is_not_valid_and_that_it_is_again():
    hbt = backtest()
    states: list[int] = []
    while hbt.elapse(50 * MS) == 0 and len(states) < 6:
        states.append(hbt.book_state(0))
    assert states == [BOOK_VALID, BOOK_INVALID, BOOK_INVALID, BOOK_VALID, BOOK_VALID, BOOK_VALID]
    assert hbt.close() == 0


def test_quotes_are_pulled_and_new_orders_refused_until_it_is():
    hbt = backtest()
    hbt.pull_quotes()
    hbt.elapse(20 * MS)
    hbt.submit_buy_order(0, 1, 98.0, 1.0, GTC, LIMIT, True)
    hbt.submit_sell_order(0, 2, 103.0, 1.0, GTC, LIMIT, True)
    order = hbt.orders(0).get(1)
    assert order is not None
    assert order.status == NEW
    hbt.elapse(START + 106 * MS - hbt.current_timestamp)
    assert [one.status for one in (hbt.orders(0).get(1), hbt.orders(0).get(2)) if one] == [NEW, NEW]
    hbt.elapse(5 * MS)
    for number in (1, 2):
        order = hbt.orders(0).get(number)
        assert order is not None
        assert order.status == CANCELED
        assert order.reason == REASON_BOOK_NOT_VALID
    hbt.submit_buy_order(0, 3, 98.0, 1.0, GTC, LIMIT, True)
    order = hbt.orders(0).get(3)
    assert order is not None
    assert order.reason == REASON_BOOK_NOT_VALID
    hbt.elapse(START + 210 * MS - hbt.current_timestamp)
    hbt.submit_buy_order(0, 4, 98.0, 1.0, GTC, LIMIT, True)
    order = hbt.orders(0).get(4)
    assert order is not None
    assert order.status == NEW
    assert hbt.close() == 0


def test_an_order_that_is_on_its_way_when_the_book_is_lost_is_pulled_too():
    hbt = backtest(entry_ns=30 * MS)
    hbt.pull_quotes()
    hbt.elapse(90 * MS)
    hbt.submit_buy_order(0, 1, 98.0, 1.0, GTC, LIMIT, False)
    hbt.elapse(START + 150 * MS - hbt.current_timestamp)
    order = hbt.orders(0).get(1)
    assert order is not None
    assert order.status == CANCELED
    assert hbt.close() == 0


@pytest.mark.thorough
def test_orders_that_fill_the_way_to_the_exchange_are_pulled_too():
    hbt = backtest(entry_ns=30 * MS)
    hbt.pull_quotes()
    hbt.elapse(80 * MS)
    number = 0
    while hbt.submit_buy_order(0, number, 98.0, 1.0, GTC, LIMIT, False) == 0:
        number += 1
    assert number == MAX_REQUESTS
    hbt.elapse(START + 180 * MS - hbt.current_timestamp)
    ended = {(one.status, one.reason) for one in hbt.orders(0).values() if one.order_id < number}
    assert ended == {(CANCELED, REASON_BOOK_NOT_VALID)}
    assert hbt.close() == 0


def test_without_pulling_orders_stay():
    hbt = backtest()
    hbt.elapse(20 * MS)
    hbt.submit_buy_order(0, 1, 98.0, 1.0, GTC, LIMIT, True)
    hbt.elapse(150 * MS)
    order = hbt.orders(0).get(1)
    assert order is not None
    assert order.status == NEW
    hbt.submit_buy_order(0, 2, 98.0, 1.0, GTC, LIMIT, True)
    order = hbt.orders(0).get(2)
    assert order is not None
    assert order.status == NEW
    assert hbt.close() == 0


# --- However time passes ----------------------------------------------------------------------------------------------

FEED, ENTRY, RESPONSE = 3 * MS, 5 * MS, 2 * MS
END = 1000 * MS


def wandering(seed: int, gaps: list[Gap]) -> NDArray[Any]:
    """A second of a market whose middle moves by a tick each 7 ms, with windows in which the book is lost."""
    chance = random.Random(seed)
    mid = 100
    lines: list[tuple[str, int, float, float]] = []
    for ns in range(0, END, 7 * MS):
        mid += chance.choice((-1, 1))
        for px in range(mid - 6, mid + 7):
            lines += [("bid", ns, px, 10.0 * (px < mid)), ("ask", ns, px, 10.0 * (px > mid))]
    marks = GapMarks(gaps)
    made = rows(*lines, feed_ns=FEED)
    return np.concatenate([marks.mixed(made), *marks.rest()])


def windows(chance: random.Random, first: int, last: int) -> list[Gap]:
    """Some at the start and at the end, back to back, within each other, of a nanosecond, and anywhere else."""
    found: list[Gap] = []
    if chance.random() < 0.5:
        found.append(Gap(first, first, first + chance.randrange(1, 60 * MS)))
    if chance.random() < 0.5:
        at = last - chance.randrange(1, 60 * MS)
        found.append(Gap(at, at + chance.randrange(last - at), last))
    for _ in range(chance.randrange(1, 8)):
        at = chance.randrange(first, last)
        noticed = at + chance.randrange(20 * MS)
        until = noticed + chance.choice((0, 1, ENTRY, chance.randrange(1, 80 * MS)))
        found.append(Gap(at, noticed, until))
        if chance.random() < 0.5:
            found.append(Gap(until, until, until + chance.randrange(1, 20 * MS)))
    return [gap for gap in found if gap.until_ns <= last]


def known(gaps: list[Gap], offset: int) -> list[tuple[int, int]]:
    """From when until when whoever listens knows that the book is lost."""
    found: list[tuple[int, int]] = []
    for gap in sorted(gaps, key=lambda one: one.noticed_ns):
        start, end = gap.noticed_ns + offset, gap.until_ns + offset
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found


def play(seed: int, markets: list[NDArray[Any]], offset: int, step: int) -> list[Any]:
    """What a bot that pulls its quotes sees of its orders, if it wakes each `step` besides."""
    chance = random.Random(seed)
    assets = [
        BacktestAsset().data([one]).tick_size(1.0).lot_size(1.0).latency_offset(offset) for one in markets
    ]
    for asset in assets:
        asset.constant_order_latency(ENTRY, RESPONSE)
    hbt = HashMapMarketDepthBacktest(assets)
    hbt.pull_quotes()
    hbt.begin()
    seen: list[Any] = []
    # A few at a time, and long enough between them for the market to come to where they stand.
    times = sorted(5 * [chance.randrange(END - 50 * MS) for _ in range(25)])
    for number, ns in enumerate(times):
        until = START + ns
        while hbt.current_timestamp < until:
            assert hbt.elapse(min(step, until - hbt.current_timestamp)) == 0
        asset_no, side, what = chance.randrange(len(markets)), chance.choice((-1, 1)), chance.random()
        price, earlier = 100.0 + chance.randrange(-8, 9), chance.randrange(number + 1)
        order = hbt.orders(asset_no).get(earlier)
        if what < 0.6:
            submit = hbt.submit_buy_order if side > 0 else hbt.submit_sell_order
            submit(asset_no, number, price, 1.0, GTX if what < 0.4 else GTC, LIMIT, False)
        elif order is not None and order.status == NEW:
            if what < 0.8:
                hbt.modify(asset_no, earlier, price, 1.0, False)
            else:
                hbt.cancel(asset_no, earlier, False)
        seen.append((until, *(told(hbt, one) for one in range(len(markets)))))
    assert hbt.close() == 0
    return seen


def told(hbt: Any, asset_no: int) -> tuple[Any, ...]:
    found = [
        (one.order_id, one.local_timestamp, one.status, one.req, one.reason, one.exch_timestamp)
        for one in hbt.orders(asset_no).values()
    ]
    return hbt.book_state(asset_no), hbt.position(asset_no), sorted(found)


@pytest.mark.parametrize("offset", [0, 30 * MS, -2 * MS])
@pytest.mark.parametrize("seeds", [range(1), pytest.param(range(1, 12), marks=pytest.mark.thorough)])
def test_quotes_are_pulled_at_the_same_moments_however_time_passes(seeds: range, offset: int):
    reached = 0
    for seed in seeds:
        chance = random.Random(seed)
        gaps = [windows(chance, START + FEED, START + END - 7 * MS) for _ in range(2)]
        markets = [wandering(seed + number, one) for number, one in enumerate(gaps)]
        seen = play(seed, markets, offset, END)
        assert seen == play(seed, markets, offset, 3 * MS)
        for asset_no, own in enumerate(gaps):
            lost = known(own, offset)
            orders = {one[0]: one for line in seen for one in line[1 + asset_no][2]}
            for number, _, status, _, reason, exch in orders.values():
                # The order is the action of that number, and one that is refused is over at once.
                sent = seen[number][0]
                is_refused = status == EXPIRED and reason == REASON_BOOK_NOT_VALID
                if sent < seen[-1][0]:
                    assert is_refused == any(start <= sent < end for start, end in lost)
                if status == FILLED:
                    assert not any(start + ENTRY < exch <= end + ENTRY for start, end in lost)
                reached += reason == REASON_BOOK_NOT_VALID and status == CANCELED
            for now, *assets in seen:
                state = BOOK_INVALID if any(start <= now < end for start, end in lost) else BOOK_VALID
                assert assets[asset_no][0] == state
    assert reached > len(seeds)
