"""A run over files comes to the same, bit for bit, as one over their rows in memory, the first time and the second."""

from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from hftd.errors import DataError
from hftd.types import DEPTH_BBO_EVENT, EXCH_EVENT, KIND_MASK, LOCAL_EVENT
from sim.archive import write_events
from sim.backtest import HashMapMarketDepthBacktest, ROIVectorMarketDepthBacktest
from sim.feed import cache, known
from sim.feed.make import Wanted
from tests.parity import random_runs
from tests.sim.engine.market import asset, levels, rows
from tests.sim.feed.runs import WANTED, maker_on, on_disk, result_of, some_day
from tests.sim.l3 import runs as l3_runs
from tests.sim.market import asset_of, random_market
from tests.sim.test_user_events import collect

END = ("mark price", 1_000_000, 0.0, 0.0)


def as_files(data, folder, numbers=count()):  # noqa: B008 (numbers go on from call to call)
    found = []
    for one in data:
        path = folder / f"{next(numbers)}.npz"
        write_events(path, one)
        found.append(path)
    return found


@pytest.mark.parametrize(("roi", "partial"), [(False, False), (True, False), (False, True), (True, True)])
def test_runs_of_all_kinds_give_the_same_from_files(block_rows, tmp_path, roi, partial):
    # Several files, offsets of the feed, snapshots, rows split by clock, and prices beyond the window.
    for seed in range(6):
        made = random_runs.case(seed, roi=roi, partial=partial)
        assets = [replace(one, data=as_files(one.data, tmp_path)) for one in made.assets]
        expected = random_runs.run(random_runs.ours(made.assets), made)
        for _ in range(2):
            found = random_runs.run(random_runs.ours(assets), replace(made, assets=assets))
            for one, other in zip(expected, found, strict=True):
                assert one.tobytes() == other.tobytes(), seed


@pytest.mark.thorough
def test_a_second_run_reads_what_the_first_has_made_and_not_the_archive(folder, tmp_path):
    path = on_disk(tmp_path / "day.npz", some_day())
    first = result_of(maker_on(path))
    (entry,) = cache.entries()
    assert entry.source == str(path)
    stat = path.stat()
    # As if the archive had been written long ago, so that its times may be trusted.
    digest = entry.path.name.split("-")[1]
    (folder / "known" / known.identity(stat)).write_text(digest)
    path.chmod(0)
    (folder / "known" / known.identity(path.stat())).write_text(digest)
    hbt = maker_on(path)
    assert result_of(hbt) == first
    assert hbt.engine.feeds[0]._sources[0].table is not None


def test_markets_of_single_orders_give_the_same_from_files(block_rows, tmp_path):
    for seed in range(3):
        made = l3_runs.make(seed, moves=120)
        seen = []
        for source in (made.rows, *as_files([made.rows], tmp_path) * 2):
            described = l3_runs.describe(asset(made.rows), made)
            described.model.data = [source]
            seen.append(l3_runs.on_engine(HashMapMarketDepthBacktest([described]), made))
        for other in seen[1:]:
            for one, another in zip(seen[0], other, strict=True):
                assert one.tobytes() == another.tobytes()


@pytest.mark.parametrize("offset_ns", [0, 5_000_000])
def test_user_events_are_read_from_files(block_rows, tmp_path, offset_ns):
    market = random_market(1)
    (path,) = as_files([market], tmp_path)
    seen = []
    for source in (market, path, path):
        described = asset_of(market, user_events_capacity=4000, latency_offset=offset_ns)
        described.model.data = [source]
        seen.append([part.tobytes() for part in collect(HashMapMarketDepthBacktest([described]), 4000)])
    assert seen[0] == seen[1] == seen[2]
    assert len(seen[0][0]) > 800


@pytest.mark.thorough
def test_fused_files_give_what_fused_rows_give(block_rows, tmp_path):
    market = some_day(seconds=3.0)
    best = (market["ev"] & np.uint64(KIND_MASK)) == 1
    best &= np.arange(len(market)) % 7 == 0
    market["ev"][best] = (market["ev"][best] & ~np.uint64(KIND_MASK)) | np.uint64(DEPTH_BBO_EVENT)
    half = len(market) // 2
    parts = [market[:half].copy(), market[half:].copy()]
    seen = []
    for data in (parts, as_files(parts, tmp_path), [parts[0], *as_files(parts[1:], tmp_path)]):
        seen.append(result_of(maker_fused(data)))
    assert seen[0] == seen[1] == seen[2]


def maker_fused(data):
    from sim.feed.asset import BacktestAsset
    from sim.generate import DEMO

    described = (
        BacktestAsset()
        .data(list(data))
        .tick_size(DEMO[0].tick_size)
        .lot_size(DEMO[0].lot_size)
        .constant_order_latency(1_000_000, 1_000_000)
        .power_prob_queue_model3(3.0)
        .fuse_bbo()
    )
    return HashMapMarketDepthBacktest([described])


def error_of(*data, offset_ns=0):
    described = asset(data[0]).latency_offset(offset_ns)
    described.model.data = list(data)
    # What is wrong among the first rows is told when the backtest is made.
    with pytest.raises(DataError) as error:
        HashMapMarketDepthBacktest([described])
    return error.value


def many(moves):
    lines = [("bid", 1000 * i, 95.0 + i % 4, 5.0) for i in range(moves)]
    return rows(*levels(), *lines, ("bid", 1000 * moves, 95.0, 5.0), feed_ns=300)


@pytest.mark.parametrize("field", ["exch_ts", "local_ts"])
@pytest.mark.parametrize(("row", "change"), [(0, 1 << 62), (33, -5000), (190, -5000)])
def test_a_row_that_is_wrong_is_told_as_from_memory_and_nothing_is_kept(
    block_rows, tmp_path, field, row, change
):
    data = many(200)
    data[field][row] += change
    (path,) = as_files([data], tmp_path)
    expected = error_of(data)
    for _ in range(2):
        found = error_of(path)
        assert (found.what, found.hint) == (expected.what, expected.hint)
        assert str(path) in found.where
        assert cache.entries() == []
    assert not [one for one in cache.folder().iterdir() if one.name != "known"]


@pytest.mark.parametrize(("field", "value"), [("px", np.nan), ("qty", -1.0), ("qty", np.inf), ("px", 1e300)])
def test_a_value_that_is_none_is_told_as_from_memory(block_rows, tmp_path, field, value):
    data = many(200)
    data[field][150] = value
    (path,) = as_files([data], tmp_path)
    assert error_of(path).what == error_of(data).what


def test_a_row_that_only_the_bot_sees_is_told_as_from_memory(block_rows, tmp_path):
    data = many(200)
    data["ev"][150] = data["ev"][150] & ~np.uint64(EXCH_EVENT)
    data["qty"][150] = -1.0
    (path,) = as_files([data], tmp_path)
    assert error_of(path).what == error_of(data).what


def test_a_file_that_begins_before_the_one_before_it_ends_is_told_as_from_memory(block_rows, tmp_path):
    data = many(200)
    parts = [data[:100].copy(), data[90:].copy()]
    assert error_of(*as_files(parts, tmp_path)).what == error_of(*parts).what


def test_an_offset_that_some_row_does_not_bear_is_told_as_from_memory(block_rows, tmp_path):
    data = many(200)
    data["local_ts"][120:] -= 200
    (path,) = as_files([data], tmp_path)
    expected = error_of(data, offset_ns=-150)
    assert "row 120 " in expected.what
    # The first run comes upon it where it stands; later ones know it from the start.
    for _ in range(2):
        found = error_of(path, offset_ns=-150)
        assert (found.what, found.hint) == (expected.what, expected.hint)


def test_a_run_that_is_told_of_a_wrong_tick_size_is_told_so_from_the_cache_too(folder, tmp_path):
    (path,) = as_files([some_day()], tmp_path)
    warnings = []
    for _ in range(2):
        described = asset(path).tick_size(1.0).lot_size(0.001)
        hbt = HashMapMarketDepthBacktest([described])
        hbt.elapse(1_000_000_000)
        warnings.append(hbt.warnings())
    assert warnings[0] == warnings[1]
    assert any("no multiples of the tick size" in one for one in warnings[0])


def test_what_is_made_for_other_sizes_or_uses_is_kept_apart():
    names = {cache.purpose(WANTED)}
    for change in ({"tick_size": 0.2}, {"lot_size": 0.01}, {"by_order": True}, {"keep": 1}):
        names.add(cache.purpose(Wanted(**{**WANTED._asdict(), **change})))
    assert len(names) == 5


def test_a_backtest_reads_what_was_made_for_a_replay(folder, tmp_path):
    from sim.feed.preparing import prepare_file

    data = some_day()
    (path,) = as_files([data], tmp_path)
    prepare_file(path, WANTED.tick_size, WANTED.lot_size, for_replay=True)
    hbt = maker_on(path)
    assert result_of(hbt) == result_of(maker_on(data))
    (entry,) = cache.entries()
    assert entry.use == "backtest, replay"


def test_many_files_in_a_row_give_what_their_rows_give(block_rows, tmp_path):
    data = some_day(seconds=4.0)
    parts = [part.copy() for part in np.array_split(data, 6)]
    expected = result_of(maker_on(data))
    files = as_files(parts, tmp_path)
    for _ in range(2):
        assert result_of(maker_on(*files)) == expected
    assert result_of(maker_on(*files[:2], parts[2], *files[3:])) == expected


def test_one_file_may_be_the_data_of_several_assets(block_rows, tmp_path):
    data = many(300)
    (path,) = as_files([data], tmp_path)
    seen = []
    for source in (data, path, path):
        hbt = ROIVectorMarketDepthBacktest([asset(source).roi_lb(90.0).roi_ub(110.0) for _ in range(3)])
        bests = []
        while hbt.elapse(10_000) == 0:
            bests.append([hbt.depth(a).best_bid for a in range(3)])
        hbt.check()
        seen.append(bests)
    assert seen[0] == seen[1] == seen[2]


def test_local_flags_alone_give_the_exchange_nothing(block_rows, tmp_path):
    data = many(100)
    data["ev"] = (data["ev"] & ~np.uint64(EXCH_EVENT)) | np.uint64(LOCAL_EVENT)
    (path,) = as_files([data], tmp_path)
    seen = []
    for source in (data, path):
        hbt = HashMapMarketDepthBacktest([asset(source)])
        while hbt.elapse(1000) == 0:
            pass
        hbt.check()
        seen.append((hbt.current_timestamp, hbt.depth(0).best_bid))
    assert seen[0] == seen[1]
