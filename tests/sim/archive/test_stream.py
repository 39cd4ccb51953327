import hashlib
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.errors import DataError
from hftd.types import event_dtype, latency_dtype
from sim.archive import EventReader, read_events, write_events


def some_rows(count=1000, dtype=event_dtype, seed=1):
    return np.frombuffer(np.random.default_rng(seed).bytes(count * dtype.itemsize), dtype)


def by_blocks(path, block_rows=1000, **options):
    with EventReader(path, block_rows=block_rows, **options) as reader:
        blocks = [block.copy() for block in reader.blocks()]
        assert reader.count == sum(len(block) for block in blocks)
    return blocks


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 20_000), st.integers(1, 5000), st.sampled_from((0, 1, 9)))
def test_the_blocks_are_the_rows_in_order(tmp_path_factory, count, block_rows, level):
    path = tmp_path_factory.mktemp("a") / "rows.npz"
    rows = some_rows(count)
    write_events(path, rows, level=level)
    blocks = by_blocks(path, block_rows)
    assert b"".join(block.tobytes() for block in blocks) == rows.tobytes()
    assert all(len(block) == block_rows for block in blocks[:-1])


@pytest.mark.parametrize("packed_bytes", [1, 2, 3, 5, 8, 13, 64])
@pytest.mark.parametrize("part_bytes", [16, 64, 1000])
def test_pieces_of_the_packed_stream_may_end_anywhere(tmp_path, monkeypatch, packed_bytes, part_bytes):
    # The writer ends each piece that it packs with a block without bytes: unpacking it gives nothing.
    monkeypatch.setattr("sim.archive.stream._PACKED_BYTES", packed_bytes)
    monkeypatch.setattr("sim.archive.stream._PART_BYTES", part_bytes)
    monkeypatch.setattr("sim.archive.write._PIECE_BYTES", 640)
    rows = some_rows(300)
    write_events(tmp_path / "a.npz", rows)
    assert b"".join(block.tobytes() for block in by_blocks(tmp_path / "a.npz", 100)) == rows.tobytes()


def test_archives_of_numpy_and_packed_in_other_ways_are_read(tmp_path):
    rows = some_rows(5000)
    np.savez(tmp_path / "a.npz", data=rows)
    np.savez_compressed(tmp_path / "b.npz", more=np.zeros(3), data=rows)
    np.save(tmp_path / "c.npy", rows)
    with zipfile.ZipFile(tmp_path / "d.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.write(tmp_path / "c.npy", "data.npy")
    for name in ("a.npz", "b.npz", "c.npy", "d.npz"):
        assert b"".join(block.tobytes() for block in by_blocks(tmp_path / name)) == rows.tobytes(), name


def test_latencies_come_in_blocks_too(tmp_path):
    rows = some_rows(2500, latency_dtype)
    write_events(tmp_path / "a.npz", rows)
    blocks = by_blocks(tmp_path / "a.npz", dtype=latency_dtype)
    assert np.concatenate(blocks).tobytes() == rows.tobytes()


def test_the_digest_is_that_of_the_whole_file(tmp_path):
    rows = some_rows(5000)
    np.savez(tmp_path / "a.npz", data=rows, more=np.zeros(3))
    np.savez_compressed(tmp_path / "b.npz", more=np.zeros(3), data=rows)
    np.save(tmp_path / "c.npy", rows)
    with zipfile.ZipFile(tmp_path / "d.npz", "w", zipfile.ZIP_BZIP2) as archive:
        archive.write(tmp_path / "c.npy", "data.npy")
    for name in ("a.npz", "b.npz", "c.npy", "d.npz"):
        for block_rows in (1000, 10_000):
            digest = hashlib.sha256()
            by_blocks(tmp_path / name, block_rows, digest=digest)
            assert digest.digest() == hashlib.sha256((tmp_path / name).read_bytes()).digest(), name


def test_who_stops_early_leaves_no_thread(tmp_path):
    write_events(tmp_path / "a.npz", some_rows(50_000))
    with EventReader(tmp_path / "a.npz", block_rows=1000) as reader:
        for _ in reader.blocks():
            break
    assert reader._thread is not None
    assert not reader._thread.is_alive()


def errors_of(path):
    """What both ways of reading say."""
    found = []
    for read in (read_events, by_blocks):
        with pytest.raises(DataError) as error:
            read(path)
        assert str(path) in str(error.value)
        found.append(str(error.value))
    return found


@pytest.mark.parametrize("keep", [0, 1, 100, 30_000, -1, -10, -22, -60])
@pytest.mark.parametrize("name", ["a.npz", "b.npz", "c.npy"])
def test_a_file_that_was_cut_off_is_said_as_by_reading_it_whole(tmp_path, keep, name):
    rows = some_rows(5000)
    write_events(tmp_path / "a.npz", rows)
    np.savez(tmp_path / "b.npz", data=rows)
    np.save(tmp_path / "c.npy", rows)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:keep])
    whole, in_blocks = errors_of(path)
    assert whole == in_blocks


@pytest.mark.parametrize("level", [0, 1])
def test_a_changed_byte_is_said(tmp_path, level):
    path = tmp_path / "a.npz"
    write_events(path, some_rows(5000), level=level)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)
    for error in errors_of(path):
        assert "broken" in error


def test_what_is_no_archive_of_rows_is_said_as_by_reading_it_whole(tmp_path):
    np.savez(tmp_path / "key.npz", other=some_rows())
    np.savez(tmp_path / "type.npz", data=np.zeros(5))
    np.savez(tmp_path / "latency.npz", data=some_rows(5, latency_dtype))
    np.savez(tmp_path / "none.npz", data=some_rows(0))
    np.save(tmp_path / "object.npy", np.array([None, 1]), allow_pickle=True)
    (tmp_path / "text.npz").write_text("exch_ts,local_ts")
    names = ("key.npz", "type.npz", "latency.npz", "none.npz", "object.npy", "text.npz", "missing.npz")
    for name in names:
        whole, in_blocks = errors_of(tmp_path / name)
        assert whole == in_blocks, name


def test_rows_behind_a_gap_in_the_packed_bytes_are_not_made_up(tmp_path):
    path = tmp_path / "a.npz"
    rows = some_rows(20_000)
    write_events(path, rows)
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half : half + 1000] = bytes(1000)
    path.write_bytes(data)
    taken = []
    with pytest.raises(DataError), EventReader(path, block_rows=1000) as reader:
        taken.extend(block.copy() for block in reader.blocks())
    assert taken
    kept = np.concatenate(taken)
    assert kept[:5000].tobytes() == rows[:5000].tobytes()
