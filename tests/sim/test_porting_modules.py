"""Modules and names that scripts written for HftBacktest import, and the rows that its functions return."""

import importlib
import inspect
import pkgutil
from pathlib import Path

import numpy as np
import pytest
from numba import njit
from numba.experimental import jitclass

import sim
from hftd.errors import DataError, UsageError
from hftd.types import EXCH_EVENT, LOCAL_EVENT, event_dtype
from sim import HashMapMarketDepthBacktest, Recorder
from sim.binding import HashMapMarketDepth, HashMapMarketDepthBacktest_, OrderDict_
from sim.data import correct_event_order, correct_local_timestamp, validate_event_order
from sim.data.utils import binancefutures, feed_order_latency, migration2, snapshot
from sim.data.utils.difforderbooksnapshot import DiffOrderBookSnapshot
from sim.recorder import Recorder_
from tests.sim.convert.captures import capture, packed
from tests.sim.market import asset_of, random_market

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "porting.md").read_text()
# Modules whose names are not looked for: the Rust library, and what it is reached with.
INSIDE = ("hftbacktest._hftbacktest", "hftbacktest.intrinsic")


@pytest.fixture(scope="module")
def reference():
    return pytest.importorskip("hftbacktest", reason="the dependency group `parity` is not installed")


def public_names(module):
    """What a module defines, or has of data; without modules, and what it took from elsewhere."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not inspect.ismodule(value)
        and (getattr(value, "__module__", module.__name__) == module.__name__ or not callable(value))
    }


def test_every_module_and_name_of_hftbacktest_is_here_or_on_the_page_for_its_users(reference):
    missing = []
    for found in pkgutil.walk_packages(reference.__path__, "hftbacktest."):
        if found.name in INSIDE:
            continue
        ours = found.name.replace("hftbacktest", "sim", 1)
        try:
            theirs = importlib.import_module(found.name)
        except ImportError:
            # It needs a package that is not installed.
            importlib.import_module(ours)
            continue
        if f"`{found.name}`" in PAGE:
            continue
        names = public_names(theirs) - set(vars(sim)) - {"LIVE_FEATURE", "lib"}
        if not found.name.endswith("difforderbooksnapshot"):
            names -= {"CHANGED", "INSERTED", "IN_THE_BOOK_DELETION"}
        module = importlib.import_module(ours)
        missing += [
            f"{found.name}.{name}" for name in names if not hasattr(module, name) and f"`{name}`" not in PAGE
        ]
    assert missing == []


def test_functions_take_the_references_arguments(reference):
    for path in ("data.validation", "data.utils.snapshot", "data.utils.binancefutures", "data.utils.tardis",
                 "data.utils.bybit", "data.utils.mexc", "data.utils.hyperliquid", "data.utils.binancehistmktdata",
                 "data.utils.bybithistmktdata", "data.utils.migration2", "data.utils.feed_order_latency"):  # fmt: skip
        theirs, ours = (importlib.import_module(f"{package}.{path}") for package in ("hftbacktest", "sim"))
        for name in public_names(theirs) & set(vars(ours)):
            their = getattr(getattr(theirs, name), "py_func", getattr(theirs, name))
            if not inspect.isfunction(their):
                continue
            ask = inspect.signature(their).parameters
            have = inspect.signature(getattr(ours, name)).parameters
            assert list(ask) == list(have), f"{path}.{name}"
            for key, parameter in ask.items():
                if parameter.default is not inspect.Parameter.empty:
                    assert have[key].default == parameter.default, f"{path}.{name}({key})"


def mixed_rows(seed, count=400):
    """Rows whose orders on both clocks differ."""
    rng = np.random.default_rng(seed)
    rows = np.zeros(count, event_dtype)
    rows["ev"] = 1
    rows["exch_ts"] = 10**15 + np.cumsum(rng.integers(0, 3, count))
    rows["local_ts"] = rows["exch_ts"] + rng.integers(-2, 9, count)
    rows["px"], rows["qty"] = rng.integers(1, 99, count), np.arange(count)
    return rows


def by_clock(rows):
    return (np.argsort(rows[clock], kind="stable") for clock in ("exch_ts", "local_ts"))


@pytest.mark.parametrize("seed", range(5))
def test_rows_are_put_in_the_order_of_both_clocks_as_there(reference, seed):
    theirs = importlib.import_module("hftbacktest.data")
    rows, other = mixed_rows(seed), mixed_rows(seed)
    assert correct_local_timestamp(rows, 7) is rows
    np.testing.assert_array_equal(rows, theirs.correct_local_timestamp(other, 7))
    made = correct_event_order(rows, *by_clock(rows))
    # It reads one index beyond the last.
    expected = theirs.correct_event_order(other, *(np.append(index, 0) for index in by_clock(other)))
    np.testing.assert_array_equal(made, expected)
    assert len(made) > len(rows)
    validate_event_order(made)


def test_rows_out_of_order_are_a_value_error_that_names_the_row():
    rows = mixed_rows(1)
    rows["ev"] |= EXCH_EVENT | LOCAL_EVENT
    with pytest.raises(ValueError, match=r"row .* goes back by local_ts"):
        validate_event_order(rows)
    with pytest.raises(DataError, match="does not sort 400 rows"):
        correct_event_order(rows, np.arange(3), np.arange(400))
    with pytest.raises(DataError, match="dtype"):
        correct_local_timestamp(np.zeros(3), 0)


def test_converters_take_strings_and_return_the_rows(tmp_path):
    path = packed(tmp_path / "capture.gz", capture(3, combined=True, delay_ns=2_000_000))
    rows = binancefutures.convert(str(path), opt="t", base_latency=0.0, buffer_size=5, combined_stream=True)
    assert rows.dtype == event_dtype
    kept = binancefutures.convert(str(path), output_filename=str(tmp_path / "day"), opt="t")
    np.testing.assert_array_equal(rows, kept)
    np.testing.assert_array_equal(rows, np.load(tmp_path / "day.npz")["data"])
    with pytest.raises(UsageError, match="base_latency is -1"):
        binancefutures.convert(str(path), base_latency=-1)
    with pytest.raises(DataError, match=r"missing\.gz"):
        binancefutures.convert(str(tmp_path / "missing.gz"))


def test_snapshots_and_latencies_are_made_as_there(reference, tmp_path):
    days = [tmp_path / "1.npz", tmp_path / "2.npz"]
    data = random_market(21)
    for path, part in zip(days, np.array_split(data, 2), strict=True):
        np.savez(path, data=part)
    files = [str(path) for path in days]
    theirs = importlib.import_module("hftbacktest.data.utils.snapshot").create_last_snapshot(files, 0.5, 0.01)
    ours = snapshot.create_last_snapshot(files, 0.5, 0.01, output_snapshot_filename=str(tmp_path / "last"))
    for made in (
        ours,
        snapshot.create_last_snapshot(data, 0.5, 0.01),
        np.load(tmp_path / "last.npz")["data"],
    ):
        np.testing.assert_array_equal(made[["ev", "px", "qty"]], theirs[["ev", "px", "qty"]])
    their_latencies = importlib.import_module("hftbacktest.data.utils.feed_order_latency")
    how = {"mul_entry": 2, "offset_resp": 5, "resampling_ns": 10_000_000}
    made = feed_order_latency.generate_order_latency(files[0], str(tmp_path / "latency.npz"), **how)
    np.testing.assert_array_equal(made, their_latencies.generate_order_latency(files[0], **how))


def test_archives_of_version_1_become_rows_as_there(reference, tmp_path):
    matrix = np.array([[1, 5, 6, 1, 99.5, 2], [2, -1, 8, -1, 98, 1], [3, 9, -1, 0, 0, 0]], float)
    np.savez(tmp_path / "v1.npz", data=matrix)
    theirs = importlib.import_module("hftbacktest.data.utils.migration2").convert(str(tmp_path / "v1.npz"))
    np.testing.assert_array_equal(migration2.convert(str(tmp_path / "v1.npz"), str(tmp_path / "v2")), theirs)
    with pytest.raises(DataError, match="no archive of HftBacktest 1"):
        migration2.convert(str(tmp_path / "v2.npz"))


@pytest.mark.thorough
def test_whole_books_become_the_differences_that_they_become_there(reference):
    theirs = importlib.import_module("hftbacktest.data.utils.difforderbooksnapshot").DiffOrderBookSnapshot
    rng = np.random.default_rng(1)
    ours, their = DiffOrderBookSnapshot(5, 0.5, 0.1), theirs(5, 0.5, 0.1)
    mid = 200
    for _ in range(200):
        mid += int(rng.integers(-1, 2))
        book = []
        for side in (-1, 1):
            away = np.sort(rng.choice(9, 5, replace=False)) + 1
            book += [(mid + side * away) * 0.5, rng.integers(1, 4, 5) * 0.1]
        for made, expected in zip(ours.snapshot(*book), their.snapshot(*book), strict=True):
            np.testing.assert_array_equal(made, expected)
    with pytest.raises(ValueError, match="more levels"):
        ours.snapshot(np.ones(6), np.ones(6), np.ones(1), np.ones(1))


@jitclass
class Holder:
    depth: HashMapMarketDepth
    orders: OrderDict_.class_type.instance_type
    recorder: Recorder_

    def __init__(self, depth, orders, recorder):
        self.depth = depth
        self.orders = orders
        self.recorder = recorder

    def spread(self):
        return self.depth.best_ask - self.depth.best_bid + len(self.orders)


@njit
def held(hbt, recorder):
    hbt.elapse(1e9)
    return Holder(hbt.depth(0), hbt.orders(0), recorder).spread()


def test_the_classes_are_annotations_of_fields():
    hbt = HashMapMarketDepthBacktest([asset_of(random_market(11))])
    assert isinstance(hbt, HashMapMarketDepthBacktest_)
    spread = held(hbt, Recorder(1, 10).recorder)
    assert spread == pytest.approx(hbt.depth(0).best_ask - hbt.depth(0).best_bid)
    assert spread > 0
