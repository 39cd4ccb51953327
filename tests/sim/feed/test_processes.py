"""Several processes at one entry, processes that are killed, disks that are full, and how much memory it takes."""

import fcntl
import hashlib
import os
import random
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

from hftd.clock import sleep
from hftd.errors import DataError
from hftd.types import event_dtype
from sim.archive import write_blocks
from sim.feed import cache, layout, source, sources, writer
from sim.feed.known import look_at
from sim.feed.preparing import prepare_file
from sim.feed.source import Source
from sim.feed.writer import claim
from tests.forks import Forked
from tests.sim.feed.runs import WANTED, maker_on, on_disk, result_of, some_day

ROOT = Path(__file__).parents[3]


def start(mode, block_rows, *arguments):
    return Forked(
        ["tests.sim.feed.child", mode, str(block_rows), *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def last_line(process):
    out, err = process.communicate(timeout=110)
    assert process.returncode == 0, err
    return out.splitlines()[-1]


@pytest.fixture
def day(tmp_path, folder):
    return on_disk(tmp_path / "day.npz", some_day())


@pytest.mark.thorough
def test_processes_that_start_at_once_all_get_the_same_and_make_it_once(day, folder):
    expected = hashlib.sha256(result_of(maker_on(some_day()))).hexdigest()
    processes = [start("run", 100, day) for _ in range(4)]
    assert {last_line(process) for process in processes} == {expected}
    assert len(cache.entries()) == 1
    assert not list(folder.glob("*.part"))


def test_who_follows_takes_over_from_one_that_is_gone(day, folder, monkeypatch):
    monkeypatch.setattr(layout, "BLOCK_ROWS", 100)
    expected = result_of(maker_on(some_day()))
    # As if another process had begun: the part is locked, and its first blocks are there.
    hbt = maker_on(day)
    result_of(hbt)
    (entry,) = cache.entries()
    whole = entry.path.read_bytes()
    cache.prune(0)
    part = cache.part_path(folder, look_at(folder, day), WANTED)
    handle, is_ours = claim(part)
    assert is_ours
    header = np.frombuffer(bytearray(whole[: layout.header_dtype.itemsize]), layout.header_dtype)
    header["state"], header["published"] = layout.GROWING, 5
    header["crc"] = cache.header_crc(header.tobytes())
    os.pwrite(handle, whole[: len(whole) // 2], 0)
    os.pwrite(handle, header.tobytes(), 0)
    found = []
    thread = threading.Thread(target=lambda: found.append(result_of(maker_on(day))))
    thread.start()
    sleep(0.2)
    assert not found
    os.close(handle)
    thread.join(60)
    assert found == [expected]
    assert len(cache.entries()) == 1


def run_in_steps(hbt, after_first=lambda: None):
    """Run a backtest to its end, with something that happens early. Returns what its book came to."""
    seen = []
    while hbt.elapse(100_000_000) == 0:
        book = hbt.depth(0)
        seen.append((hbt.current_timestamp, book.best_bid, book.best_ask, book.best_bid_qty))
        if len(seen) == 1:
            after_first()
    hbt.check()
    hbt.engine.stop()
    return seen


@pytest.mark.thorough
@pytest.mark.parametrize("blocks", [0, 3])
def test_a_maker_that_is_stopped_is_not_waited_for_for_ever(day, folder, monkeypatch, blocks):
    monkeypatch.setattr(layout, "BLOCK_ROWS", 100)
    monkeypatch.setattr(sources, "_STALLED_POLLS", 100)
    expected = result_of(maker_on(some_day()))
    process = start("stopped", 100, day, blocks)
    try:
        assert process.stdout is not None and process.stdout.readline() == "stopping\n"
        hbt = maker_on(day)
        assert result_of(hbt) == expected
        (warning,) = hbt.warnings()
        assert "has added nothing for 0.2 s (is it stopped?)" in warning
        with pytest.raises(DataError, match="is it stopped"):
            prepare_file(day, WANTED.tick_size, WANTED.lot_size)
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=100)
    finally:
        process.kill()
        process.communicate()
    # What it made after it went on is whole.
    (entry,) = cache.entries()
    assert cache.check(entry.path) == ""


def test_a_part_whose_name_was_taken_away_never_becomes_an_entry(day, folder, monkeypatch):
    monkeypatch.setattr(layout, "BLOCK_ROWS", 100)
    expected = run_in_steps(maker_on(some_day()))
    handles = []

    def take_away(self, made):
        publish(self, made)
        if not handles:
            part = cache.part_path(folder, look_at(folder, day), WANTED)
            part.unlink()
            # Another run has begun anew under its name.
            handles.append(claim(part)[0])

    publish = writer.Writer._publish
    monkeypatch.setattr(writer.Writer, "_publish", take_away)
    hbt = maker_on(day)
    assert run_in_steps(hbt) == expected
    assert hbt.warnings() == []
    assert cache.entries() == []
    # The other's part is as it was, and becomes an entry when that is done.
    assert [os.fstat(handles[0]).st_nlink, os.fstat(handles[0]).st_size] == [1, 0]
    assert not [path for path in folder.iterdir() if path.suffix != ".part" and path.name != "known"]
    os.close(handles[0])
    assert run_in_steps(maker_on(day)) == expected
    (entry,) = cache.entries()
    assert cache.check(entry.path) == ""


def test_a_folder_that_is_removed_during_a_run_is_no_warning_and_the_next_run_makes_it_anew(
    day, folder, monkeypatch
):
    monkeypatch.setattr(layout, "BLOCK_ROWS", 100)
    expected = run_in_steps(maker_on(some_day()))
    for _ in range(2):
        # First while it is made, then while it is read.
        hbt = maker_on(day)
        assert run_in_steps(hbt, lambda: shutil.rmtree(folder)) == expected
        assert hbt.warnings() == []
        hbt = maker_on(day)
        assert run_in_steps(hbt) == expected
        assert hbt.warnings() == [] and len(cache.entries()) == 1


def test_a_folder_that_is_removed_as_it_is_opened_is_made_anew(day, folder, monkeypatch):
    removed = []

    def remove_first(part):
        if not removed:
            removed.append(shutil.rmtree(folder))
        return claim(part)

    monkeypatch.setattr(source, "claim", remove_first)
    hbt = maker_on(day)
    assert run_in_steps(hbt) == run_in_steps(maker_on(some_day()))
    assert removed and hbt.warnings() == [] and len(cache.entries()) == 1


def test_a_name_that_is_locked_is_not_claimed_and_one_that_was_left_is(folder):
    part = folder / f"{'ab' * 32}-{'cd' * 8}.v1.part"
    first, is_ours = claim(part)
    assert is_ours
    second, is_second = claim(part)
    assert not is_second
    os.write(first, b"something")
    os.close(first)
    third, is_third = claim(part)
    assert is_third and os.fstat(third).st_size == 0
    # Who read the old one reads on.
    assert os.fstat(second).st_size == 9
    fcntl.flock(second, fcntl.LOCK_SH | fcntl.LOCK_NB)
    os.close(second)
    os.close(third)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_hundred_processes_that_are_killed_leave_nothing_that_is_taken_for_whole(day, folder):
    numbers = random.Random(2)
    whole = last_line(start("prepare", 50, day))
    killed = 0
    for _ in range(100):
        cache.prune(0)
        process = start("prepare", 50, day)
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        sleep(numbers.random() * 0.25)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += process.returncode != 0
        for entry in cache.entries():
            assert cache.check(entry.path) == ""
            assert hashlib.sha256(entry.path.read_bytes()).hexdigest() == whole
    assert killed > 0
    assert last_line(start("prepare", 50, day)) == whole
    cache.prune()
    assert not list(folder.glob("*.part"))


@pytest.fixture
def small_disk(tmp_path):
    """A disk of a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    if (
        os.getuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("only root may mount a small disk")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("is_foreseen", [True, False])
def test_a_full_disk_is_one_warning_and_the_result_the_same(day, small_disk, monkeypatch, is_foreseen):
    monkeypatch.setattr(layout, "BLOCK_ROWS", 500)
    if not is_foreseen:
        monkeypatch.setattr(writer, "_BYTES_PER_ROW", 0)
    expected = result_of(maker_on(some_day()))
    monkeypatch.setenv("HFTD_PREPARED_DIR", str(small_disk / "prepared"))
    (small_disk / "ballast").write_bytes(bytes(900_000))
    hbt = maker_on(day)
    assert result_of(hbt) == expected
    assert len([one for one in hbt.warnings() if "No space left" in one]) == 1
    assert [path.name for path in (small_disk / "prepared").iterdir()] == ["known"]
    with pytest.raises(DataError, match="No space left"):
        prepare_file(day, WANTED.tick_size, WANTED.lot_size)


@pytest.mark.thorough
def test_a_limit_of_a_files_size_is_one_warning_and_the_result_the_same(day, folder):
    expected = hashlib.sha256(result_of(maker_on(some_day()))).hexdigest()
    cache.prune(0)
    process = start("limit", 500, 300_000, day)
    out, err = process.communicate(timeout=110)
    assert process.returncode == 0, err
    found, *warnings = out.splitlines()
    assert found == expected
    assert len([one for one in warnings if "File too large" in one]) == 1
    assert [path.name for path in folder.iterdir()] == ["known"]


def long_day(path, rows):
    """A market of a few seconds again and again, never in memory as a whole."""
    piece = some_day()
    span_ns = int(piece["local_ts"][-1] - piece["exch_ts"][0]) + 1_000_000_000

    def blocks():
        for number in range(rows // len(piece)):
            part = piece.copy()
            part["exch_ts"] += number * span_ns
            part["local_ts"] += number * span_ns
            yield part

    write_blocks(path, event_dtype, rows // len(piece) * len(piece), blocks())
    return path


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows_nor_with_the_files(tmp_path, folder):
    small, large = long_day(tmp_path / "a.npz", 200_000), long_day(tmp_path / "b.npz", 4_000_000)
    base_mb = int(last_line(start("memory", 1 << 16, small)))
    # What it needs is compiled before it is measured, as compiling takes memory too.
    last_line(start("memory", 1 << 16, large))
    for made in folder.glob("*.v*"):
        made.unlink()
    # In memory the rows alone would take 244 MB; block by block the first run and the second take a few blocks.
    for _ in range(2):
        assert int(last_line(start("memory", 1 << 16, large))) < base_mb + 100


def test_a_source_that_is_stopped_and_asked_again_goes_on(day, folder, monkeypatch):
    monkeypatch.setattr(layout, "BLOCK_ROWS", 50)
    source = Source(day, WANTED, pytest.fail)
    assert source.take(0, 0) is not None
    source.stop()
    number = 0
    while source.take(number, 1) is not None:
        number += 1
    assert number == -(-source.count // 50)
