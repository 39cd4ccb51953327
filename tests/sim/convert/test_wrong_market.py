"""What a user may rely on: a capture that is given to another market's converter is not converted in silence."""

import json

import pytest

from hftd.errors import DataError
from sim.convert import convert

from .captures import packed

MS = 1_723_161_255_208
LOCAL = 1_723_161_255_300_000_000
LEVELS = {"b": [["61737.6", "0.5"]], "a": [["61837.6", "1"]]}
CAPTURES = {
    "binancespot": "binancespot_btcusdt_20240808.gz",
    "binancefutures": "binancefutures_btcusdt_20240808.gz",
    "binancecoinm": "binancecoinm_btcusd_perp_20240808.gz",
}


def spot(number):
    return {"e": "depthUpdate", "E": MS, "s": "BTCUSDT", "U": number, "u": number, **LEVELS}


def usdm(number):
    return {**spot(number), "T": MS, "pu": number - 1}


def coinm(number):
    return {**usdm(number), "s": "BTCUSDT", "ps": "BTCUSD"}


UPDATES = {"binancespot": spot, "binancefutures": usdm, "binancecoinm": coinm}


@pytest.mark.parametrize("pair", ["BTCUSDT", "BTCUSDC", "ETHBTC", "USD1USDT", ""])
def test_a_future_that_names_its_pair_is_no_coin_margined_one(tmp_path, pair):
    # As Binance's USD-M futures send it since 2026.
    report = converted(tmp_path, "binancefutures", [usdm(number + 1) | {"ps": pair} for number in range(5)])
    assert (report.exit_code, report.damage) == (0, [])


def converted(tmp_path, venue, messages):
    lines = [f"{LOCAL + k} {json.dumps(message)}\n".encode() for k, message in enumerate(messages)]
    return convert([packed(tmp_path / "capture.gz", lines)], tmp_path / "out.npz", venue=venue)


@pytest.mark.parametrize("venue", list(CAPTURES))
@pytest.mark.parametrize("other", list(CAPTURES))
def test_a_real_capture_of_another_market_is_refused_with_the_one_that_it_looks_like(
    real_capture, tmp_path, venue, other
):
    if venue == other:
        return
    with pytest.raises(DataError, match=f"looks like a capture of {other}, not of {venue}") as error:
        convert([real_capture(CAPTURES[other])], tmp_path / "out.npz", venue=venue)
    assert f"`hftd convert {other}`" in error.value.hint
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize("venue", list(UPDATES))
@pytest.mark.parametrize("other", list(UPDATES))
def test_some_messages_of_another_market_are_damage(tmp_path, venue, other):
    messages = [UPDATES[other if k in (3, 4) else venue](k + 1) for k in range(9)]
    report = converted(tmp_path, venue, messages)
    assert report.exit_code == (venue != other)
    if venue != other:
        assert f"messages of {other} between those of {venue}: 2 of 9" in report.damage[0]


@pytest.mark.parametrize(
    ("venue", "name"), [("binancespot", "E"), ("binancefutures", "T"), ("binancecoinm", "T")]
)
def test_a_time_that_is_missing_is_named(tmp_path, venue, name):
    messages = [UPDATES[venue](k + 1) for k in range(5)]
    del messages[2][name]
    report = converted(tmp_path, venue, messages)
    assert report.unreadable[0].line == 3
    assert report.unreadable[0].what == f"the field {name} is missing, or is no time"


def test_trades_of_spot_tell_their_market_too(tmp_path):
    trade = {
        "e": "trade",
        "E": MS,
        "T": MS,
        "s": "BTCUSDT",
        "t": 5,
        "p": "1.5",
        "q": "2",
        "m": True,
        "M": True,
    }
    with pytest.raises(DataError, match="looks like a capture of binancespot"):
        converted(tmp_path, "binancefutures", [trade] * 3)
