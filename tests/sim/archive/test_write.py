"""The writer of archives: whole or not at all, whatever happens to it."""

import errno
import os
import resource
import signal
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.errors import DataError
from hftd.types import event_dtype
from sim.archive import ArchiveWriter, read_events, write_events
from sim.archive.temps import Replacement, open_spool, sweep


def some_rows(count, seed=1):
    return np.frombuffer(np.random.default_rng(seed).bytes(count * 64), event_dtype)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 50_000), max_size=6), st.sampled_from((0, 1, 6)))
def test_rows_written_in_parts_are_one_array_whose_count_nobody_knew(tmp_path_factory, sizes, level):
    folder = tmp_path_factory.mktemp("parts")
    rows = some_rows(sum(sizes))
    with ArchiveWriter(folder / "a.npz", event_dtype, level=level) as writer:
        at = 0
        for size in sizes:
            writer.write(rows[at : at + size])
            at += size
    assert writer.count == len(rows)
    assert writer.bytes_written == (folder / "a.npz").stat().st_size
    with np.load(folder / "a.npz") as archive:
        assert archive["data"].dtype == event_dtype
        assert archive["data"].tobytes() == rows.tobytes()
    with zipfile.ZipFile(folder / "a.npz") as archive:
        assert archive.testzip() is None
    if len(rows):
        assert read_events(folder / "a.npz").tobytes() == rows.tobytes()


@pytest.mark.parametrize("level", [0, 1])
def test_the_file_does_not_depend_on_the_parts_in_which_it_was_written(tmp_path, level):
    rows = some_rows(70_001)
    write_events(tmp_path / "a.npz", rows, level=level)
    with ArchiveWriter(tmp_path / "b.npz", event_dtype, level=level) as writer:
        for at in range(0, len(rows), 777):
            writer.write(rows[at : at + 777])
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_buffer_may_be_used_again_once_it_was_given(tmp_path):
    buffer = np.zeros(1000, event_dtype)
    with ArchiveWriter(tmp_path / "a.npz", event_dtype) as writer:
        for number in range(100):
            buffer["ival"] = number
            writer.write(buffer)
    assert (read_events(tmp_path / "a.npz")["ival"] == np.repeat(np.arange(100), 1000)).all()


def test_rows_with_gaps_between_them_are_written_as_they_are(tmp_path):
    rows = some_rows(9)
    write_events(tmp_path / "a.npz", rows[::2])
    assert read_events(tmp_path / "a.npz").tobytes() == rows[::2].tobytes()


def test_rows_of_another_type_are_refused_and_leave_nothing(tmp_path):
    with (
        pytest.raises(DataError, match="do not fit"),
        ArchiveWriter(tmp_path / "a.npz", event_dtype) as writer,
    ):
        writer.write(np.zeros(3))
    assert not names_in(tmp_path)


def test_an_error_inside_leaves_the_old_file_and_nothing_else(tmp_path):
    write_events(tmp_path / "a.npz", some_rows(10))
    before = (tmp_path / "a.npz").read_bytes()
    with pytest.raises(KeyboardInterrupt), ArchiveWriter(tmp_path / "a.npz", event_dtype) as writer:
        writer.write(some_rows(100_000))
        raise KeyboardInterrupt
    assert (tmp_path / "a.npz").read_bytes() == before
    assert names_in(tmp_path) == ["a.npz"]


def test_the_file_has_the_rights_of_any_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        write_events(tmp_path / "a.npz", some_rows(1))
    finally:
        os.umask(before)
    assert (tmp_path / "a.npz").stat().st_mode & 0o777 == 0o640


KILLED = """
import os, signal, sys
import numpy as np
from hftd.types import event_dtype
from sim.archive import ArchiveWriter
with ArchiveWriter(sys.argv[1], event_dtype) as writer:
    writer.write(np.zeros(200_000, event_dtype))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path):
    path = tmp_path / "a.npz"
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], timeout=100)
    assert done.returncode == -signal.SIGKILL
    assert len(names_in(tmp_path)) == 1
    assert not path.exists()
    (tmp_path / ".a.npz.mine.tmp").write_bytes(b"a user's file of a similar name")
    write_events(path, some_rows(10))
    assert names_in(tmp_path) == [".a.npz.mine.tmp", "a.npz"]


def test_writers_of_one_path_do_not_remove_each_others_work(tmp_path):
    path = tmp_path / "a.npz"
    with ArchiveWriter(path, event_dtype) as first:
        first.write(some_rows(1000))
        with ArchiveWriter(path, event_dtype) as second:
            second.write(some_rows(500))
        assert len(read_events(path)) == 500
        assert sweep(path) == 0
    assert len(read_events(path)) == 1000
    assert names_in(tmp_path) == ["a.npz"]


def test_a_spool_has_no_name_and_holds_what_is_put_there(tmp_path):
    with open_spool(tmp_path / "a.npz") as spool:
        spool.write(b"rows")
        assert not names_in(tmp_path)
        spool.seek(0)
        assert spool.read() == b"rows"


def test_a_replacement_that_was_not_committed_is_gone(tmp_path):
    with Replacement(tmp_path / "a") as replacement:
        replacement.file.write(b"new")
    assert not names_in(tmp_path)


@pytest.mark.parametrize("level", [0, 1])
def test_a_limit_on_file_sizes_is_one_clear_error_and_leaves_nothing(tmp_path, level):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        with pytest.raises(DataError, match=os.strerror(errno.EFBIG)) as error:
            write_events(tmp_path / "a.npz", some_rows(100_000), level=level)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert "nothing was left behind" in str(error.value)
    assert str(tmp_path / "a.npz") in str(error.value)
    assert not names_in(tmp_path)


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(small_disk):
    write_events(small_disk / "a.npz", some_rows(10))
    before = (small_disk / "a.npz").read_bytes()
    with pytest.raises(DataError, match=os.strerror(errno.ENOSPC)) as error:
        write_events(small_disk / "a.npz", some_rows(200_000))
    assert "nothing was left behind" in str(error.value)
    assert (small_disk / "a.npz").read_bytes() == before
    assert names_in(small_disk) == ["a.npz"]
