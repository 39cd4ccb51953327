import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.bot.result import check_output, from_json, load_records, save_records, to_json
from hftd.errors import DataError, UsageError
from tests.results import make_result

KEYS = ["symbol", "position", "balance", "fee", "num_trades", "trading_volume", "trading_value", "equity"]


def test_the_json_has_the_keys_that_scripts_read():
    document = json.loads(to_json(make_result()))
    assert document["bot"] == "mm"
    assert len(document["assets"]) == 2
    for asset in document["assets"]:
        for key in KEYS:
            assert key in asset
    assert document["num_fills"] == 200


def test_an_equity_without_a_price_is_null_in_json_and_never_nan():
    text = to_json(make_result(price=float("nan"))).decode()
    assert "NaN" not in text
    assert json.loads(text)["assets"][0]["equity"] is None


def test_a_result_comes_back_from_its_json_and_its_records(tmp_path):
    result = make_result()
    save_records(tmp_path / "out.npz", result)
    back = from_json(to_json(result), records=tmp_path / "out.npz")
    assert to_json(back) == to_json(result)
    np.testing.assert_array_equal(back.records, result.records)
    np.testing.assert_array_equal(back.fills, result.fills)


def test_a_result_without_a_price_comes_back_too():
    result = make_result(price=float("nan"))
    assert np.isnan(from_json(to_json(result)).assets[0].equity)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), fills=st.integers(0, 50), records=st.integers(0, 50))
def test_equal_results_give_equal_files_and_others_do_not(tmp_path_factory, seed, fills, records):
    folder = tmp_path_factory.mktemp("npz")
    for name, use in (("a", seed), ("b", seed), ("c", seed + 1)):
        save_records(folder / f"{name}.npz", make_result(seed=use, num_fills=fills, num_records=records))
    a, b, c = ((folder / f"{name}.npz").read_bytes() for name in "abc")
    assert a == b
    assert (a == c) == (fills + records == 0)


def test_the_file_does_not_depend_on_time_or_umask(tmp_path):
    save_records(tmp_path / "a.npz", make_result())
    before = os.umask(0o077)
    try:
        save_records(tmp_path / "b.npz", make_result())
    finally:
        os.umask(before)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_numpy_reads_the_file_without_us(tmp_path):
    save_records(tmp_path / "out.npz", make_result())
    with np.load(tmp_path / "out.npz") as archive:
        assert archive["records"].shape == (600, 2)
        assert list(archive["fills"].dtype.names)[:3] == ["timestamp", "exch_ts", "asset_no"]


def test_a_file_that_can_not_be_written_is_said_before_the_run(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        check_output(tmp_path / "nowhere" / "out.npz")
    with pytest.raises(UsageError, match="folder"):
        check_output(tmp_path)


def test_a_failed_write_leaves_nothing_behind_and_keeps_the_old_file(tmp_path, monkeypatch):
    save_records(tmp_path / "out.npz", make_result())
    before = (tmp_path / "out.npz").read_bytes()

    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="No space left"):
        save_records(tmp_path / "out.npz", make_result(seed=2))
    assert [path.name for path in tmp_path.iterdir()] == ["out.npz"]
    assert (tmp_path / "out.npz").read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"hello", b"\x93NUMPY\x01\x00"])
def test_a_file_of_another_kind_is_refused_by_name(tmp_path, content):
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        load_records(path)
    assert caught.value.where == str(path)


def test_records_of_another_type_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", records=np.zeros((2, 1)), fills=np.zeros(3))
    with pytest.raises(DataError, match="records"):
        load_records(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", data=np.zeros(3))
    with pytest.raises(DataError):
        load_records(tmp_path / "x.npz")


@pytest.mark.parametrize(
    "document", [b"", b"{}", b"[]", b'{"bot": "mm", "assets": 3}', b'{"bot":"a","assets":[{}]}']
)
def test_json_of_another_kind_is_refused(document):
    with pytest.raises(DataError):
        from_json(document)
