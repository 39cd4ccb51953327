"""Which source is taken for one that was prepared: never one whose rows are others."""

import os

import numpy as np
import pytest

from hftd.errors import DataError
from sim.feed import cache, known, layout, writer
from sim.feed.known import look_at
from tests.sim.feed.runs import maker_on, on_disk, result_of, some_day


def saved(path, rows):
    """The rows as a file in which they stand as they are."""
    if path.suffix == ".npy":
        np.save(path, rows)
    else:
        np.savez(path, data=rows)
    return path


def change(path, stat):
    """Change the rows as through a mapping: in place, and nothing shows in the file's times."""
    rows = np.load(path)["data"] if path.suffix == ".npz" else np.load(path)
    rows["px"] += 100.0
    saved(path.with_name(f"other{path.suffix}"), rows)
    with path.open("r+b") as file:
        file.write(path.with_name(f"other{path.suffix}").read_bytes())
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return rows


@pytest.fixture
def times_that_stand_still(monkeypatch):
    """Every file of a size is known as the same one."""
    monkeypatch.setattr(known, "identity", lambda stat: known.hex_of(stat.st_size))
    monkeypatch.setattr(known, "_SETTLED_NS", 0)


@pytest.mark.parametrize("name", ["day.npy", "day.npz"])
def test_a_file_that_may_be_mapped_is_read_anew_though_its_times_are_what_they_were(
    folder, tmp_path, name, times_that_stand_still
):
    day = saved(tmp_path / name, some_day())
    first = result_of(maker_on(day))
    assert result_of(maker_on(day)) == first
    changed = change(day, day.stat())
    assert result_of(maker_on(day)) == result_of(maker_on(changed)) != first
    assert len(cache.entries()) == 2
    assert list((folder / "known").iterdir()) == []


def test_a_change_through_a_mapping_is_seen_by_the_next_run(folder, tmp_path):
    day = saved(tmp_path / "day.npy", some_day())
    mapped = np.load(day, mmap_mode="r+")
    mapped["qty"] *= 1.0
    before = result_of(maker_on(day))
    # The page is dirty already: this changes no time.
    mapped["px"] += 50.0
    assert result_of(maker_on(day)) == result_of(maker_on(np.array(mapped))) != before


def test_a_change_while_it_is_prepared_keeps_nothing(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "BLOCK_ROWS", 100)
    day = saved(tmp_path / "day.npy", some_day())
    start = writer.Writer.start

    def change_first(self):
        mapped = np.load(day, mmap_mode="r+")
        mapped["px"] += 50.0
        monkeypatch.setattr(writer.Writer, "start", start)
        os.utime(day, ns=(1, 1))
        start(self)

    monkeypatch.setattr(writer.Writer, "start", change_first)
    assert result_of(maker_on(day)) == result_of(maker_on(np.load(day)))
    assert cache.entries() == []


def test_a_packed_file_is_known_by_its_times_and_its_bytes_are_not_read_again(folder, tmp_path, monkeypatch):
    day = on_disk(tmp_path / "day.npz", some_day())
    os.utime(day, ns=(1, 1))
    monkeypatch.setattr(known, "_SETTLED_NS", 0)
    first = result_of(maker_on(day))
    monkeypatch.setattr(known, "digest_of", pytest.fail)
    monkeypatch.setattr(cache, "digest_of", pytest.fail)
    assert result_of(maker_on(day)) == first
    assert not look_at(folder, day).may_be_mapped


def test_an_archive_that_is_not_packed_is_one_that_may_be_mapped(folder, tmp_path):
    assert look_at(folder, saved(tmp_path / "a.npz", some_day())).may_be_mapped
    assert look_at(folder, saved(tmp_path / "a.npy", some_day())).may_be_mapped
    (tmp_path / "notes.npz").write_text("no archive at all")
    with pytest.raises(DataError, match="neither npz nor npy"):
        look_at(folder, tmp_path / "notes.npz")
