import pytest

from hftd.errors import DataError, UsageError
from sim.archive import find_files, parse_dates
from sim.archive.files import find_snapshot


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("20220831", ["20220831"]),
        ("20220831,20220902", ["20220831", "20220902"]),
        ("20220830..20220902", ["20220830", "20220831", "20220901", "20220902"]),
        ("20240228..20240301, 20240305", ["20240228", "20240229", "20240301", "20240305"]),
        ("20220831,20220831..20220901", ["20220831", "20220901"]),
    ],
)
def test_days_are_lists_and_ranges(text, days):
    assert parse_dates(text) == days


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2022",
        "20220832",
        "20230229",
        "today",
        "20220901..20220831",
        "00010101..99991231",
        "20220831,",
        "²0220831",
    ],
)
def test_what_is_no_day_is_refused(text):
    with pytest.raises(UsageError):
        parse_dates(text)


@pytest.fixture
def base(tmp_path):
    for name in ("bf/btcusdt_20220831.npz", "bf/btcusdt_20220902.npz", "bf/ETHUSDT_20220831.npz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


PATTERN = "{channel}/{symbol}_{date}.npz"


def test_files_are_found_by_the_symbol_as_it_is_or_in_lower_case(base):
    found = find_files(PATTERN, ["20220831", "20220902"], channel="bf", symbol="BTCUSDT", base=base)
    assert found == [base / "bf/btcusdt_20220831.npz", base / "bf/btcusdt_20220902.npz"]
    found = find_files(PATTERN, ["20220831"], channel="bf", symbol="ETHUSDT", base=base)
    assert found == [base / "bf/ETHUSDT_20220831.npz"]


def test_a_missing_day_says_what_was_looked_for_and_which_days_there_are(base):
    with pytest.raises(DataError) as error:
        find_files(PATTERN, ["20220831", "20220901"], channel="bf", symbol="BTCUSDT", base=base)
    text = str(error.value)
    assert str(base / "bf/BTCUSDT_20220901.npz") in text
    assert str(base / "bf/btcusdt_20220901.npz") in text
    assert "there is 20220831, 20220902" in text


def test_an_instrument_without_any_day_is_said(base):
    with pytest.raises(DataError, match="no day of that instrument"):
        find_files(PATTERN, ["20220831"], channel="spot", symbol="BTCUSDT", base=base)


@pytest.mark.parametrize("pattern", ["{channel}/{sym}_{date}.npz", "{channel/{date}.npz", "{}_{date}.npz"])
def test_a_pattern_with_something_unknown_is_refused(base, pattern):
    with pytest.raises(UsageError, match="pattern"):
        find_files(pattern, ["20220831"], channel="bf", symbol="BTCUSDT", base=base)


def test_several_days_need_a_place_for_the_day(base):
    with pytest.raises(UsageError, match=r"no \{date\}"):
        find_files("bf/btcusdt.npz", ["20220831", "20220901"], base=base)


def test_an_absolute_pattern_does_not_count_from_the_base(base):
    pattern = f"{base}/bf/{{symbol}}_{{date}}.npz"
    assert find_files(pattern, ["20220831"], symbol="btcusdt", base="/nowhere")


def test_an_initial_snapshot_that_is_not_there_is_said_by_its_key_and_its_file(base):
    with pytest.raises(DataError) as caught:
        find_snapshot("no.npz", "20220831", channel="fut", symbol="BTCUSDT", base=base)
    assert "`initial_snapshot` of fut/BTCUSDT" in caught.value.what
    assert str(base / "no.npz") in caught.value.what
    assert caught.value.what.count("no.npz") == 1
