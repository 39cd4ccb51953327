"""The cache: found by content, never read when it is not whole, never larger than it may be."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hftd.errors import DataError, UsageError
from sim.archive import write_events
from sim.feed import cache, layout
from sim.feed.known import look_at
from sim.feed.layout import COMPLETE, KEEP_ALL
from sim.feed.preparing import parse_size, prepare_file
from sim.feed.source import Source
from tests.forks import run
from tests.sim.feed.runs import WANTED, maker_on, on_disk, result_of, some_day


def prepare(path, **more):
    return prepare_file(path, WANTED.tick_size, WANTED.lot_size, **more)


def source_of(path, wanted=WANTED):
    said = []
    return Source(path, wanted, said.append), said


@pytest.fixture
def day(tmp_path, folder):
    return on_disk(tmp_path / "day.npz", some_day())


def test_a_copy_and_a_moved_file_are_known_by_their_content(day, tmp_path):
    assert prepare(day).made
    shutil.copy(day, tmp_path / "copy.npz")
    assert not prepare(tmp_path / "copy.npz").made
    day.rename(tmp_path / "moved.npz")
    assert not prepare(tmp_path / "moved.npz").made
    assert len(cache.entries()) == 1


def test_a_file_that_was_replaced_is_prepared_anew_however_quickly_that_was(day):
    first, second = some_day(1), some_day(2)
    size = min(len(first), len(second))
    for rows in (first[:size], second[:size], first[:size]):
        write_events(day, rows, level=0)
        hbt = maker_on(day)
        assert result_of(hbt) == result_of(maker_on(rows))
    assert len(cache.entries()) == 2


def test_a_file_that_is_changed_in_place_within_its_times_is_not_taken_for_what_it_was(day):
    write_events(day, some_day(), level=0)
    before = result_of(maker_on(day))
    stat = day.stat()
    data = bytearray(day.read_bytes())
    changed = np.load(day)["data"]
    changed["px"] += 100.0
    write_events(day.with_name("other.npz"), changed, level=0)
    data[:] = day.with_name("other.npz").read_bytes()
    with day.open("r+b") as file:
        file.write(data)
    os.utime(day, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert day.stat().st_size == stat.st_size
    assert result_of(maker_on(day)) == result_of(maker_on(changed)) != before


@pytest.mark.parametrize("at", [0, 100, layout.HEADER_BYTES + 40, layout.HEADER_BYTES + 2000, -200, -1])
def test_a_changed_byte_in_the_cache_is_noticed_and_what_it_stood_in_made_anew(day, at):
    expected = result_of(maker_on(day))
    (entry,) = cache.entries()
    data = bytearray(entry.path.read_bytes())
    data[at] ^= 0x40
    entry.path.write_bytes(data)
    assert cache.check(entry.path)
    assert result_of(maker_on(day)) == expected
    (entry,) = cache.entries()
    assert cache.check(entry.path) == ""


@pytest.mark.parametrize("keep", [0, 1, 500, layout.HEADER_BYTES, -1, -500])
def test_a_cut_file_in_the_cache_is_noticed_and_made_anew(day, keep):
    expected = result_of(maker_on(day))
    (entry,) = cache.entries()
    entry.path.write_bytes(entry.path.read_bytes()[:keep])
    assert cache.check(entry.path)
    assert result_of(maker_on(day)) == expected
    (entry,) = cache.entries()
    assert cache.check(entry.path) == ""


def test_every_block_that_is_damaged_is_found_before_it_is_played(day, monkeypatch):
    monkeypatch.setattr(layout, "BLOCK_ROWS", 1000)
    expected = result_of(maker_on(day))
    for number in range(6):
        (entry,) = cache.entries()
        with entry.path.open("r+b") as file:
            handle = file.fileno()
            record = cache.read_table(handle, cache.read_header(handle))[number]
            at = int(record["offset"]) + int(record["sides"][1]["ticks_at"]) + 3
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1]))
        assert f"block {number}" in cache.check(entry.path)
        assert result_of(maker_on(day)) == expected


def test_what_is_taken_out_while_it_is_read_is_read_to_the_end(day, monkeypatch):
    monkeypatch.setattr(layout, "BLOCK_ROWS", 1000)
    expected = result_of(maker_on(day))
    hbt = maker_on(day)
    hbt.elapse(1_000_000_000)
    assert cache.prune(0).files == 1
    assert cache.entries() == []
    again = maker_on(day)
    assert result_of(again) == expected
    while hbt.elapse(1_000_000_000) == 0:
        pass
    hbt.check()


def test_the_least_recently_used_goes_first(tmp_path, folder):
    days = [on_disk(tmp_path / f"{seed}.npz", some_day(seed)) for seed in range(3)]
    for number, path in enumerate(days):
        prepare(path)
        for entry in cache.entries():
            if entry.source == str(path):
                os.utime(entry.path, ns=(0, 1_000_000_000 * (number + 1)))
    source_of(days[0])
    sizes = {entry.source: entry.size_bytes for entry in cache.entries()}
    assert [entry.source for entry in cache.entries()] == [str(days[n]) for n in (0, 2, 1)]
    pruned = cache.prune(sizes[str(days[0])] + sizes[str(days[2])])
    assert pruned.files == 1 and pruned.size_bytes == sizes[str(days[1])]
    assert {entry.source for entry in cache.entries()} == {str(days[0]), str(days[2])}


def test_the_room_that_it_may_take_holds_after_each_run(tmp_path, folder, monkeypatch):
    first, second = (on_disk(tmp_path / f"{seed}.npz", some_day(seed)) for seed in (1, 2))
    size = prepare(first).size_bytes
    monkeypatch.setenv("HFTD_PREPARED_MAX_GB", str(1.5 * size / (1 << 30)))
    result_of(maker_on(second))
    assert [entry.source for entry in cache.entries()] == [str(second)]
    monkeypatch.setenv("HFTD_PREPARED_MAX_GB", "much")
    with pytest.raises(UsageError, match="HFTD_PREPARED_MAX_GB"):
        cache.max_bytes()


def test_files_of_other_versions_and_what_killed_runs_left_are_pruned(day, folder):
    prepare(day)
    (entry,) = cache.entries()
    old = entry.path.with_suffix(".v0")
    shutil.copy(entry.path, old)
    (folder / f"{'ab' * 32}-{'cd' * 8}.v0.part").write_bytes(b"torn")
    cache.prune()
    assert {path.name for path in folder.iterdir()} == {entry.path.name, "known"}


def test_what_other_code_made_is_never_read_and_is_taken_out_by_pruning(day, folder, monkeypatch):
    expected = result_of(maker_on(day))
    (old,) = cache.entries()
    code = cache.code()
    monkeypatch.setattr(cache, "code", lambda: "ab" * 8)
    assert [entry.use for entry in cache.entries()] == [cache.OTHER_CODE]
    # If it were read, the result would be another.
    changed = bytearray(old.path.read_bytes())
    old.path.write_bytes(changed[:-1] + b"?")
    assert result_of(maker_on(day)) == expected
    assert old.path.exists()
    old.path.write_bytes(changed)
    assert sorted(entry.use for entry in cache.entries()) == ["backtest", cache.OTHER_CODE]
    assert cache.prune().files == 1
    (new,) = cache.entries()
    assert new.path != old.path and not old.path.exists()
    monkeypatch.setattr(cache, "code", lambda: code)
    assert prepare(day).made


@pytest.mark.thorough
@pytest.mark.parametrize(
    "source", ["sim/feed/prepare.py", "sim/feed/make.py", "sim/feed/layout.py", "hftd/book/book.py"]
)
def test_a_change_of_what_makes_entries_is_other_code(tmp_path, source):
    root = Path(__file__).parents[3]
    for package in ("hftd", "sim"):
        shutil.copytree(root / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    names = [code_of(root), code_of(tmp_path)]
    with (tmp_path / source).open("a") as file:
        file.write("\n# changed\n")
    names.append(code_of(tmp_path))
    assert names[0] == names[1] != names[2]


def code_of(root):
    return subprocess.run(
        [sys.executable, "-c", "from sim.feed import cache; print(cache.code())"],
        cwd=root, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def test_a_part_that_looks_whole_but_was_not_renamed_is_not_found(day, folder):
    prepare(day)
    (entry,) = cache.entries()
    part = cache.part_path(folder, look_at(folder, day), WANTED)
    entry.path.rename(part)
    handle = os.open(part, os.O_RDONLY)
    assert cache.read_header(handle)["state"] == COMPLETE
    os.close(handle)
    assert cache.entries() == []
    assert prepare(day).made


def test_a_folder_that_can_not_be_made_is_a_warning_and_the_result_the_same(day, tmp_path, monkeypatch):
    expected = result_of(maker_on(day))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HFTD_PREPARED_DIR", str(tmp_path / "file" / "prepared"))
    hbt = maker_on(day)
    assert result_of(hbt) == expected
    assert len([one for one in hbt.warnings() if "cache of prepared archives is not used" in one]) == 1
    with pytest.raises(DataError, match="is not used"):
        prepare(day)


def test_a_broken_archive_is_told_by_each_run_and_nothing_of_it_is_kept(day, folder, monkeypatch):
    monkeypatch.setattr(layout, "BLOCK_ROWS", 1000)
    data = bytearray(day.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 100] = bytes(100)
    day.write_bytes(data)
    for _ in range(2):
        hbt = maker_on(day)
        while (code := hbt.elapse(1_000_000_000)) == 0:
            pass
        with pytest.raises(DataError, match="broken"):
            hbt.check()
        assert code != 0
        hbt.engine.stop()
    assert [path.name for path in folder.iterdir()] == ["known"]


def test_a_run_that_ends_early_leaves_nothing_half_made(day, folder, monkeypatch):
    monkeypatch.setattr(layout, "BLOCK_ROWS", 16)
    hbt = maker_on(day)
    hbt.elapse(1_000)
    hbt.close()
    assert not list(folder.glob("*.part"))


def test_preparing_for_a_replay_keeps_all_rows(day):
    small, large = prepare(day), prepare(day, for_replay=True)
    assert (small.use, large.use) == ("backtest", "backtest, replay")
    assert large.size_bytes > small.size_bytes
    rows = some_day()
    source, _ = source_of(day, WANTED._replace(keep=KEEP_ALL))
    block = source.take(0, 1)
    assert block is not None and block.record["kept"] == len(rows)


def test_progress_is_told_up_to_the_last_row(day, monkeypatch):
    monkeypatch.setattr(layout, "BLOCK_ROWS", 1000)
    told = []
    done = prepare(day, progress=lambda rows, total: told.append((rows, total)))
    assert told[-1] == (done.rows, done.rows) and len(told) == -(-done.rows // 1000)


@pytest.mark.parametrize(
    ("text", "size"), [("20GB", 20 * 10**9), ("500 mb", 5 * 10**8), ("1.5kB", 1500), ("7", 7)]
)
def test_sizes_are_read(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "3GX", "-1", "nan", "1e400", "x"])
def test_what_is_no_size_is_said(text):
    with pytest.raises(UsageError, match="not a size"):
        parse_size(text)


def run_command(*arguments):
    done = run(["daemon.cli", *arguments])
    return done.returncode, done.stdout, done.stderr


@pytest.mark.thorough
def test_the_commands_prepare_list_check_and_clear(day):
    sizes = ("--tick-size", "0.1", "--lot-size", "0.001")
    code, out, err = run_command("prepare", str(day), *sizes, "--for", "backtest,replay")
    assert code == 0 and "backtest, replay" in out and "Traceback" not in err
    code, out, _ = run_command("prepare", str(day), *sizes)
    assert code == 0 and "was there" in out
    code, out, _ = run_command("cache", "--check")
    assert code == 0 and str(day) in out and "checksums are right" in out
    (entry,) = cache.entries()
    with entry.path.open("r+b") as file:
        file.seek(layout.HEADER_BYTES + 3000)
        file.write(b"\xff" * 100)
    code, out, _ = run_command("cache", "--check", "--json")
    assert code == 1 and '"damaged":[{' in out
    code, out, err = run_command("prepare", str(day))
    assert code == 2 and "--tick-size" in err
    code, out, err = run_command("prepare", str(day), "--tick-size", "0", "--lot-size", "1")
    assert code == 2 and "positive" in err
    code, out, err = run_command("cache", "--clear")
    assert code == 0 and "0 prepared archives" in out
