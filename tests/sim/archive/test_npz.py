import io
import os
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.errors import DataError
from hftd.types import event_dtype, latency_dtype
from sim.archive import read_events, read_latencies, write_blocks, write_events


def some_rows(count=1000, dtype=event_dtype, seed=1):
    return np.frombuffer(np.random.default_rng(seed).bytes(count * dtype.itemsize), dtype)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 100_000), st.sampled_from((0, 1, 6, 9)))
def test_what_was_written_is_read_back(tmp_path_factory, count, level):
    path = tmp_path_factory.mktemp("a") / "rows.npz"
    rows = some_rows(count)
    write_events(path, rows, level=level)
    assert read_events(path).tobytes() == rows.tobytes()


@pytest.mark.parametrize("level", [0, 1])
def test_numpy_and_zipfile_read_what_was_written(tmp_path, level):
    rows = some_rows(80_000)
    write_events(tmp_path / "rows.npz", rows, level=level)
    with np.load(tmp_path / "rows.npz") as archive:
        assert list(archive) == ["data"]
        assert archive["data"].dtype == event_dtype
        assert archive["data"].tobytes() == rows.tobytes()
    with zipfile.ZipFile(tmp_path / "rows.npz") as archive:
        assert archive.testzip() is None


def test_archives_of_numpy_are_read(tmp_path):
    rows = some_rows()
    np.savez(tmp_path / "a.npz", data=rows)
    np.savez_compressed(tmp_path / "b.npz", data=rows, more=np.zeros(3))
    np.save(tmp_path / "c.npy", rows)
    for name in ("a.npz", "b.npz", "c.npy"):
        assert read_events(tmp_path / name).tobytes() == rows.tobytes()


def test_latencies_are_written_and_read(tmp_path):
    rows = some_rows(50, latency_dtype)
    write_events(tmp_path / "latency.npz", rows)
    assert read_latencies(tmp_path / "latency.npz").tobytes() == rows.tobytes()


def test_equal_rows_make_equal_files(tmp_path):
    rows = some_rows(70_000)
    write_events(tmp_path / "a.npz", rows)
    write_events(tmp_path / "b.npz", rows.copy())
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_rows_that_are_read_can_be_changed(tmp_path):
    write_events(tmp_path / "a.npz", some_rows())
    read_events(tmp_path / "a.npz")["px"] = 0


def error_of(path, read=read_events):
    with pytest.raises(DataError) as error:
        read(path)
    assert str(path) in str(error.value)
    return str(error.value)


def test_a_missing_file_is_said(tmp_path):
    assert "no such file" in error_of(tmp_path / "none.npz")
    assert "can't be read" in error_of(tmp_path)


@pytest.mark.parametrize("keep", [1, 100, 30_000, -1, -10, -22, -60])
def test_a_truncated_archive_is_said(tmp_path, keep):
    path = tmp_path / "cut.npz"
    write_events(path, some_rows())
    path.write_bytes(path.read_bytes()[:keep])
    message = error_of(path)
    assert "broken" in message or "neither npz" in message


def test_no_changed_byte_of_an_archive_changes_rows_in_silence(tmp_path):
    path = tmp_path / "changed.npz"
    rows = np.zeros(3000, event_dtype)
    write_events(path, rows)
    whole = path.read_bytes()
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 0x10
        path.write_bytes(changed)
        # Bits that carry nothing, such as the padding of a compressed block, may change.
        try:
            assert read_events(path).tobytes() == rows.tobytes()
        except DataError as error:
            assert str(path) in str(error)


def test_a_truncated_npy_says_in_which_row_it_ends(tmp_path):
    np.save(tmp_path / "a.npy", some_rows(100))
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[:-100])
    assert "100 rows were announced" in error_of(tmp_path / "a.npy")


def test_files_that_are_no_archives_are_said(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(b"")
    assert "empty" in error_of(path)
    path.write_bytes(b"time,price\n")
    assert "hftd convert" in error_of(path)


def test_an_archive_without_the_key_says_what_it_holds(tmp_path):
    np.savez(tmp_path / "a.npz", rows=some_rows(), other=np.zeros(1))
    assert "it holds 'rows', 'other'" in error_of(tmp_path / "a.npz")


def test_wrong_types_say_which_fields_differ(tmp_path):
    path = tmp_path / "a.npz"
    rows = np.zeros(3, [("ev", "i8"), ("exch_ts", "i8"), ("px", "f4"), ("extra", "u1")])
    np.savez(path, data=rows)
    message = error_of(path)
    assert "ev is int64, not uint64" in message
    assert "px is float32, not float64" in message
    assert "local_ts is missing" in message
    assert "extra is not expected" in message


def test_an_archive_of_the_first_version_says_how_to_migrate(tmp_path):
    np.savez(tmp_path / "a.npz", data=np.zeros((5, 6)))
    assert "migration" in error_of(tmp_path / "a.npz")


def test_market_data_and_latencies_are_not_taken_for_each_other(tmp_path):
    write_events(tmp_path / "events.npz", some_rows())
    write_events(tmp_path / "latency.npz", some_rows(5, latency_dtype))
    assert "these are order latencies" in error_of(tmp_path / "latency.npz")
    assert "this is market data" in error_of(tmp_path / "events.npz", read_latencies)


def test_an_empty_archive_and_one_of_two_dimensions_are_said(tmp_path):
    np.savez(tmp_path / "empty.npz", data=np.zeros(0, event_dtype))
    assert "no rows" in error_of(tmp_path / "empty.npz")
    np.savez(tmp_path / "square.npz", data=np.zeros((2, 2), event_dtype))
    assert "2 dimensions" in error_of(tmp_path / "square.npz")


def test_objects_are_never_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "pwned"),))

    np.savez(tmp_path / "a.npz", data=np.array([Trap()], dtype=object))
    assert "never loaded" in error_of(tmp_path / "a.npz")
    assert not (tmp_path / "pwned").exists()


def test_a_header_that_announces_more_rows_than_there_are_takes_no_memory(tmp_path):
    header = io.BytesIO()
    described = {"descr": event_dtype.descr, "fortran_order": False, "shape": (1 << 50,)}
    np.lib.format.write_array_header_1_0(header, described)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("data.npy", header.getvalue() + bytes(64))
    assert "were announced" in error_of(tmp_path / "a.npz")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.npz"
    write_events(path, some_rows(10))
    before = path.read_bytes()

    def failing():
        yield some_rows(10)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_blocks(path, event_dtype, 20, failing())
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_a_full_disk_is_one_clear_error(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="No space left") as error:
        write_events(tmp_path / "a.npz", some_rows())
    assert "nothing was left behind" in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(DataError, match="can't be written"):
        write_events(tmp_path / "none" / "a.npz", some_rows())


@pytest.mark.parametrize("count", ["-1", "-5", "True", "1.5", "99999999999999999999999"])
def test_a_number_of_rows_that_is_none_is_said(tmp_path, count):
    np.save(tmp_path / "a.npy", some_rows(100))
    raw = (tmp_path / "a.npy").read_bytes()
    size = 10 + int.from_bytes(raw[8:10], "little")
    header = raw[10:size].rstrip().replace(b"(100,)", f"({count},)".encode())
    (tmp_path / "a.npy").write_bytes(raw[:10] + header.ljust(size - 11) + b"\n" + raw[size:])
    with pytest.raises(DataError):
        read_events(tmp_path / "a.npy")


@pytest.mark.parametrize("packing", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_damaged_archive_of_another_packing_is_said(tmp_path, packing):
    np.save(tmp_path / "a.npy", some_rows(100))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", packing) as archive:
        archive.write(tmp_path / "a.npy", "data.npy")
    raw = (tmp_path / "a.npz").read_bytes()
    assert len(read_events(tmp_path / "a.npz")) == 100
    for at in range(30, len(raw) - 100, 97):
        (tmp_path / "a.npz").write_bytes(raw[:at] + bytes([raw[at] ^ 0x55]) + raw[at + 1 :])
        with pytest.raises(DataError):
            read_events(tmp_path / "a.npz")
