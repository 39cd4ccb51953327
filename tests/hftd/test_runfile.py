"""The file of a run: what is written comes back, and anything else is named as what it is."""

import os
import zipfile

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.bot.result import save_records
from hftd.errors import DataError, UsageError
from hftd.runfile import AssetMeta, RunMeta, read_run, write_run
from hftd.types import record_dtype
from tests.results import make_result

META = RunMeta(name="mm", kind="backtest", assets=[AssetMeta(symbol="X", data=["x.npz"])], dates=["20220831"])
LIFE = np.zeros(3, np.dtype([("ts", "i8"), ("order_id", "u8")], align=True))


def rows(count=5, seed=1):
    made = np.zeros(count, record_dtype)
    made["price"] = np.random.default_rng(seed).random(count)
    return made


@settings(max_examples=20, deadline=None)
@given(lengths=st.lists(st.integers(0, 20), min_size=1, max_size=12), with_meta=st.booleans())
def test_a_run_comes_back_as_it_was_written(tmp_path_factory, lengths, with_meta):
    path = tmp_path_factory.mktemp("run") / "run.npz"
    records = [rows(count, seed) for seed, count in enumerate(lengths)]
    meta = (
        RunMeta(name="m", assets=[AssetMeta(symbol=f"s{n}") for n in range(len(lengths))])
        if with_meta
        else None
    )
    write_run(path, records, meta=meta)
    back = read_run(path)
    assert len(back.records) == len(records)
    for ours, theirs in zip(back.records, records, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert back.meta == meta
    assert back.life is None


def test_meta_and_life_come_back(tmp_path):
    write_run(tmp_path / "run.npz", [rows()], meta=META, life=LIFE)
    back = read_run(tmp_path / "run.npz")
    assert back.meta == META
    np.testing.assert_array_equal(back.life, LIFE)
    assert back.name == "mm"
    assert back.asset(0).symbol == "X"


def test_numpy_reads_the_rows_of_an_asset_by_its_number(tmp_path):
    result = make_result()
    save_records(tmp_path / "run.npz", result, meta=None)
    with np.load(tmp_path / "run.npz") as file:
        for number in range(2):
            np.testing.assert_array_equal(file[str(number)], result.records[:, number])
        np.testing.assert_array_equal(file["records"], result.records)


def test_a_recorders_own_file_is_a_run_without_meta(tmp_path):
    np.savez_compressed(tmp_path / "r.npz", **{"0": rows(), "1": rows(seed=2)})
    back = read_run(tmp_path / "r.npz")
    assert (len(back.records), back.meta, back.life, back.tables) == (2, None, None, {})
    assert back.name == "r"


def test_files_of_earlier_versions_are_runs_too(tmp_path):
    result = make_result()
    np.savez(tmp_path / "old.npz", records=result.records, fills=result.fills)
    back = read_run(tmp_path / "old.npz")
    np.testing.assert_array_equal(back.records[1], result.records[:, 1])
    np.testing.assert_array_equal(back.tables["fills"], result.fills)


def test_columns_in_another_packing_are_the_same_rows(tmp_path):
    packed = np.dtype([(name, record_dtype[name]) for name in reversed(record_dtype.names)])
    np.savez(tmp_path / "r.npz", **{"0": rows().astype(packed)})
    # `astype` goes by position, so the values are set by name.
    other = np.zeros(5, packed)
    for name in record_dtype.names:
        other[name] = rows()[name]
    np.savez(tmp_path / "r.npz", **{"0": other})
    np.testing.assert_array_equal(read_run(tmp_path / "r.npz").records[0], rows())


def test_equal_runs_give_equal_files(tmp_path):
    for name in "ab":
        write_run(tmp_path / f"{name}.npz", [rows()], meta=META, life=LIFE)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"data": np.zeros(3)}, "archive of market data"),
        ({"x": np.zeros(3)}, "'x'"),
        ({}, "nothing"),
        ({"0": np.zeros(3)}, "timestamp"),
        ({"0": np.zeros((2, 2), record_dtype)}, "2 dimensions"),
        ({"1": np.zeros(3, record_dtype)}, "not 0, 1"),
        ({"records": np.zeros((3, 1))}, "records"),
        ({"0": np.zeros(3, record_dtype), "meta": np.zeros(3)}, "meta"),
        ({"0": np.zeros(3, record_dtype), "meta": np.frombuffer(b"{", np.uint8)}, "meta"),
        ({"0": np.zeros(3, record_dtype), "meta": np.frombuffer(b'{"assets": 3}', np.uint8)}, "assets"),
        ({"0": np.zeros(3, record_dtype), "life": np.zeros(3)}, "life"),
        ({"0": np.zeros(3, record_dtype), "fills": np.zeros(3)}, "fills"),
        ({"0": np.zeros(3, record_dtype), "meta": np.frombuffer(b'{"version": 99}', np.uint8)}, "version 99"),
        ({"0": np.array([{}], object)}, "damaged"),
    ],
)
def test_what_is_wrong_with_another_file_is_said(tmp_path, arrays, said):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(DataError) as caught:
        read_run(tmp_path / "x.npz")
    assert said in str(caught.value)
    assert caught.value.where == str(tmp_path / "x.npz")


def test_a_file_that_tells_of_other_assets_than_it_has_is_refused(tmp_path):
    meta = msgspec.structs.replace(META, assets=[*META.assets, AssetMeta(symbol="Y")])
    write_run(tmp_path / "x.npz", [rows()], meta=meta)
    with pytest.raises(DataError, match="rows of 1 assets, and tells of 2"):
        read_run(tmp_path / "x.npz")


def test_a_missing_file_and_a_folder_are_said(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_run(tmp_path / "x.npz")
    with pytest.raises(DataError, match="folder"):
        read_run(tmp_path)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_one_clear_error_or_still_a_run(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("run") / "run.npz"
    write_run(path, [rows()], meta=META, life=LIFE)
    raw = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        raw = raw[: data.draw(st.integers(0, len(raw) - 1))]
    else:
        for _ in range(data.draw(st.integers(1, 8))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    try:
        read_run(path)
    except DataError as error:
        assert error.where == str(path)


def test_a_failed_write_leaves_nothing_behind_and_keeps_the_old_file(tmp_path, monkeypatch):
    write_run(tmp_path / "out.npz", [rows()])
    before = (tmp_path / "out.npz").read_bytes()

    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="No space left"):
        write_run(tmp_path / "out.npz", [rows(seed=3)])
    assert [path.name for path in tmp_path.iterdir()] == ["out.npz"]
    assert (tmp_path / "out.npz").read_bytes() == before


def test_rows_are_packed(tmp_path):
    write_run(tmp_path / "x.npz", [np.zeros(100_000, record_dtype)])
    with zipfile.ZipFile(tmp_path / "x.npz") as archive:
        assert archive.infolist()[0].file_size > 6_400_000
    assert (tmp_path / "x.npz").stat().st_size < 100_000
