"""What a user may rely on: the book of a Binance capture is the exchange's, wherever its snapshots stand."""

import gzip
import json
import random
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.types import BUY_EVENT, DEPTH_CLEAR_EVENT, DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT, KIND_MASK, LOCAL_EVENT
from sim.archive import read_events
from sim.convert import Options, convert
from sim.convert.reader.recent import RECENT_MAX

from .captures import packed

CAPTURES = (
    "binancespot_btcusdt_20240808.gz",
    "binancespot_btcusdt_20240809.gz",
    "binancefutures_btcusdt_20240808.gz",
    "binancecoinm_btcusd_perp_20240808.gz",
    "binancecoinm_btcusd_perp_20240809.gz",
)
LOCAL = 1_723_161_255_300_000_000
MS = 1_723_161_255_208


class RawBook:
    """The book of raw messages by Binance's rule, with the id that each level is known by."""

    def __init__(self):
        self.levels, self.ids, self.reaches = {}, {}, []

    def _snapshot_id(self, side, px):
        """The id of the latest snapshot that reaches this price."""
        return max(
            (last for reached, reach, last in self.reaches if reached == side and side * px >= side * reach),
            default=-1,
        )

    def _set(self, side, px, qty, update_id):
        self.ids[side, px] = update_id
        if qty:
            self.levels[side, px] = qty
        else:
            self.levels.pop((side, px), None)

    def update(self, message):
        for side, name in ((1, "b"), (-1, "a")):
            for px, qty in message[name]:
                if message["u"] > self._snapshot_id(side, float(px)):
                    self._set(side, float(px), float(qty), message["u"])

    def snapshot(self, message):
        last = message["lastUpdateId"]
        for side, name in ((1, "bids"), (-1, "asks")):
            levels = {float(px): float(qty) for px, qty in message[name]}
            if not levels:
                continue
            reach = min(levels) if side > 0 else max(levels)
            for at, px in list(self.levels):
                if at == side and side * px >= side * reach and self.ids[at, px] <= last:
                    self._set(side, px, 0.0, last)
            for px, qty in levels.items():
                if self.ids.get((side, px), -1) <= last:
                    self._set(side, px, qty, last)
            self.reaches.append((side, reach, last))


def raw_books(lines):
    """The local time of each message of the book, and the book behind it, which is one object all the time."""
    book = RawBook()
    for text in lines:
        local_ts, message = text.split(b" ", 1)
        if b"depthUpdate" not in message and b"lastUpdateId" not in message:
            continue
        message = json.loads(message)
        message = message.get("data", message)
        book.update(message) if "e" in message else book.snapshot(message)
        yield int(local_ts), book.levels


def converted_books(rows, times):
    """The book behind each of these local times as the rows' local side has it, which is one object all the time."""
    rows = rows[(rows["ev"] & np.uint64(LOCAL_EVENT)) != 0]
    rows = rows[
        np.isin(rows["ev"] & np.uint64(KIND_MASK), (DEPTH_EVENT, DEPTH_CLEAR_EVENT, DEPTH_SNAPSHOT_EVENT))
    ]
    kinds, sides = (rows["ev"] & np.uint64(KIND_MASK)).tolist(), (rows["ev"] & np.uint64(BUY_EVENT)) != 0
    sides, prices, quantities = np.where(sides, 1, -1).tolist(), rows["px"].tolist(), rows["qty"].tolist()
    levels, at = {}, 0
    for stop in np.searchsorted(rows["local_ts"], times, side="right").tolist():
        for k in range(at, stop):
            side, px = sides[k], prices[k]
            if kinds[k] == DEPTH_CLEAR_EVENT:
                for key in [key for key in levels if key[0] == side and side * key[1] >= side * px]:
                    del levels[key]
            elif quantities[k]:
                levels[side, px] = quantities[k]
            else:
                levels.pop((side, px), None)
        at = max(at, stop)
        yield levels


def assert_same_books(lines, rows, shift_ns):
    times = [time for time, _ in raw_books(lines)]
    assert len(set(times)) == len(times)
    pairs = zip(raw_books(lines), converted_books(rows, [time + shift_ns for time in times]), strict=True)
    for number, ((_, expected), levels) in enumerate(pairs):
        assert levels == expected, f"message {number}"


@pytest.mark.thorough
@pytest.mark.parametrize("name", CAPTURES)
def test_the_book_of_a_real_capture_is_that_of_its_raw_messages_and_never_crossed(
    real_capture, tmp_path, name
):
    path, output = real_capture(name), tmp_path / "day.npz"
    report = convert([path], output, venue=name.partition("_")[0])
    assert report.crossed.checked
    assert report.crossed.times == 0
    assert not any("remembered" in note for note in report.notes)
    lines = gzip.decompress(path.read_bytes()).splitlines()
    assert_same_books(lines, read_events(output), report.clock_correction_ns)


@pytest.mark.thorough
def test_as_hftbacktest_has_it_a_late_snapshot_sets_levels_back(real_capture, tmp_path):
    path = real_capture(CAPTURES[0])
    options = Options(hftbacktest_rows=True)
    report = convert([path], tmp_path / "day.npz", venue="binancespot", options=options)
    assert report.crossed.total_ns > 200e9


class Exchange:
    """A book that changes level by level, its updates, and snapshots of its first levels."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.levels, self.update_id = {1: {}, -1: {}}, 100
        self.updates, self.books = [], {100: ({}, {})}

    def update(self):
        changes = {1: [], -1: []}
        for _ in range(self.random.randint(1, 4)):
            side = self.random.choice((1, -1))
            px = 100.0 - side * self.random.randint(1, 9)
            qty = float(self.random.choice((0, 1, 2, 3)))
            self.levels[side][px] = qty
            changes[side].append([str(px), str(qty)])
        previous, self.update_id = self.update_id, self.update_id + 10
        ids = {"U": previous + 1, "u": self.update_id, "pu": previous}
        times = {"E": MS + self.update_id, "T": MS + self.update_id}
        levels = {"b": changes[1], "a": changes[-1]}
        self.updates.append({"e": "depthUpdate", **times, "s": "BTCUSDT", **ids, **levels})
        self.books[self.update_id] = (self._book(1), self._book(-1))

    def _book(self, side):
        return {px: qty for px, qty in self.levels[side].items() if qty}

    def snapshot(self, update_id, count):
        bids, asks = self.books[update_id]
        return {
            "lastUpdateId": update_id,
            "E": MS + update_id,
            "T": MS + update_id,
            "bids": [[str(px), str(bids[px])] for px in sorted(bids, reverse=True)[:count]],
            "asks": [[str(px), str(asks[px])] for px in sorted(asks)[:count]],
        }


def as_lines(messages):
    return [f"{LOCAL + k} {json.dumps(message)}\n".encode() for k, message in enumerate(messages)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 30), st.integers(0, 30), st.integers(1, 9))
def test_a_snapshot_may_be_late_or_early_and_the_book_is_the_exchanges_once_the_stream_has_passed_it(
    seed, made, arrived, count
):
    exchange = Exchange(seed)
    for _ in range(30):
        exchange.update()
    messages = [*exchange.updates]
    messages.insert(arrived, exchange.snapshot(100 + 10 * made, count))
    with tempfile.TemporaryDirectory() as folder:
        path, output = packed(Path(folder) / "capture.gz", as_lines(messages)), Path(folder) / "day.npz"
        report = convert([path], output)
        rows = read_events(output)
    assert (report.sequence.gaps, report.sequence.repeats) == (0, 0)
    times = [LOCAL + k + report.clock_correction_ns for k in range(len(messages))]
    last, is_there = 100, False
    for message, levels in zip(messages, converted_books(rows, times), strict=True):
        last = max(last, message.get("u", 0))
        is_there |= "lastUpdateId" in message
        if is_there and last >= 100 + 10 * made:
            bids, asks = exchange.books[last]
            assert levels == {(1, px): q for px, q in bids.items()} | {(-1, px): q for px, q in asks.items()}


def test_updates_that_an_early_snapshot_has_are_left_out_and_counted(tmp_path):
    exchange = Exchange(3)
    for _ in range(9):
        exchange.update()
    messages = [exchange.snapshot(150, 1000), *exchange.updates]
    path = packed(tmp_path / "capture.gz", as_lines(messages))
    report = convert([path], tmp_path / "day.npz")
    bids, asks = exchange.books[150]
    far = [
        update
        for update in exchange.updates[:5]
        if any(float(px) < min(bids, default=np.inf) for px, _ in update["b"])
        or any(float(px) > max(asks, default=-np.inf) for px, _ in update["a"])
    ]
    assert report.ignored.get("an update that the book had already", 0) == 5 - len(far)


def test_a_snapshot_that_is_later_than_what_is_remembered_is_noted(tmp_path):
    levels = [[f"{k + 1}.0", "1"] for k in range(RECENT_MAX // 2 + 1)]
    messages = []
    for k in range(2):
        ids = {"U": 2 * k + 1, "u": 2 * k + 2, "pu": 2 * k}
        messages.append(
            {"e": "depthUpdate", "E": MS, "T": MS + k, "s": "BTCUSDT", **ids, "b": levels, "a": []}
        )
    messages.append({"lastUpdateId": 1, "E": MS, "T": MS, "bids": [["5.0", "2"]], "asks": [["9999.0", "1"]]})
    path = packed(tmp_path / "capture.gz", as_lines(messages))
    report = convert([path], tmp_path / "day.npz")
    assert any("1 snapshots came later than the 4,096 changes" in note for note in report.notes)
