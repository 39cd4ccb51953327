from pathlib import Path

import pytest

from hftd.bot.config import BotConfig
from hftd.config import load, resolve
from hftd.errors import ConfigError
from sim.config import ConstantLatency, InterpolatedLatency, PowerQueue3, ReplayConfig, RiskAverseQueue

BOT = """\
[bot]
name = "mm"
strategy = "strategies.market_making:market_making"

[[instruments]]
channel = "demofutures"
symbol = "BTCUSDT"
tick_size = 0.1
lot_size = 0.001

[parameters]
half_spread_ticks = 5
skew = 0.5
post_only = true
label = "a"
levels = [1, 2, 4]
"""

REPLAY = """\
[replay]
data = "../data/{channel}/{symbol}_{date}.npz"

[[channels]]
name = "demofutures"

[[channels.instruments]]
symbol = "BTCUSDT"
tick_size = 0.1
lot_size = 0.001
order_latency = { model = "constant", entry_ns = 1000000, response_ns = 1000000 }
queue = { model = "power3", n = 3.0 }
fee = { model = "value", maker = -0.00005, taker = 0.0007 }

[[channels.instruments]]
symbol = "ETHUSDT"
tick_size = 0.01
lot_size = 0.01
order_latency = { model = "interpolated", files = "../data/{channel}/latency_{date}.npz" }
fee = { model = "value", maker = 0.0, taker = 0.0 }
"""

LATENCY = """\
order_latency = { model = "interpolated", files = "../data/{channel}/latency_{date}.npz" }
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "some.toml"
    path.write_text(text)
    return path


def refused(folder: Path, text: str, kind: type = BotConfig) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(write(folder, text), kind)
    return caught.value


def test_a_bots_configuration_is_read_with_its_defaults(tmp_path):
    config = load(write(tmp_path, BOT), BotConfig)
    assert config.bot.name == "mm"
    assert (config.bot.spin_us, config.bot.end, config.record.interval_ms) == (50, "cancel", 1000)
    assert config.instruments[0].tick_size == 0.1
    assert config.instruments[0].roi is None
    assert config.parameters == {
        "half_spread_ticks": 5,
        "skew": 0.5,
        "post_only": True,
        "label": "a",
        "levels": [1, 2, 4],
    }


def test_a_replays_configuration_is_read_with_its_models(tmp_path):
    config = load(write(tmp_path, REPLAY), ReplayConfig)
    first, second = config.channels[0].instruments
    assert first.order_latency == ConstantLatency(entry_ns=1_000_000, response_ns=1_000_000)
    assert first.queue == PowerQueue3(n=3.0)
    assert isinstance(second.order_latency, InterpolatedLatency)
    assert second.queue == RiskAverseQueue()
    assert second.contract_size == 1.0


def test_an_integer_is_good_where_a_number_is_wanted(tmp_path):
    config = load(write(tmp_path, BOT.replace("tick_size = 0.1", "tick_size = 1")), BotConfig)
    assert config.instruments[0].tick_size == 1.0


def test_paths_in_a_configuration_start_at_its_folder(tmp_path):
    assert resolve(Path("configs"), "../data/x.npz") == Path("configs/../data/x.npz")
    assert resolve(Path("configs"), "/data/x.npz") == Path("/data/x.npz")
    assert resolve(Path("configs"), "~/x.npz") == Path.home() / "x.npz"


def test_a_missing_file_says_where_it_was_looked_for_and_what_is_there(tmp_path):
    write(tmp_path, BOT)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "bot.toml", BotConfig)
    assert "no such file" in caught.value.what
    assert str(tmp_path / "bot.toml") in caught.value.hint
    assert "some.toml" in caught.value.hint


def test_a_folder_in_place_of_a_file_is_said(tmp_path):
    with pytest.raises(ConfigError, match="folder"):
        load(tmp_path, BotConfig)


def test_broken_toml_names_its_line_and_shows_it(tmp_path):
    error = refused(tmp_path, BOT.replace('name = "mm"', 'name = "mm'))
    assert error.where.endswith("some.toml:2")
    assert 'name = "mm' in error.hint


def test_toml_that_ends_too_early_is_said(tmp_path):
    error = refused(tmp_path, "[bot]\nname = [1,\n2")
    assert "not valid TOML" in error.what


def test_bytes_that_are_no_text_name_their_line(tmp_path):
    path = tmp_path / "some.toml"
    path.write_bytes(b"[bot]\nname = '\xff\xfe'\n")
    with pytest.raises(ConfigError, match="UTF-8") as caught:
        load(path, BotConfig)
    assert caught.value.where.endswith(":2")


def test_a_file_of_another_kind_is_refused_by_its_size(tmp_path):
    error = refused(tmp_path, "#" * (1 << 20) + "\n")
    assert "larger than" in error.what


def test_intp_is_another_name_of_interpolated_latency(tmp_path):
    config = load(write(tmp_path, REPLAY.replace('"interpolated"', '"intp"')), ReplayConfig)
    latency = config.channels[0].instruments[1].order_latency
    assert isinstance(latency, InterpolatedLatency)
    assert latency.files == "../data/{channel}/latency_{date}.npz"


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('name = "mm"', 'nmae = "mm"', 2, ["unknown key 'nmae' in [bot]", "did you mean 'name'?"]),
        ("tick_size = 0.1", "ticksize = 0.1", 8, ["[[instruments]] number 1", "did you mean 'tick_size'?"]),
        ("tick_size = 0.1", 'tick_size = "0.1"', 8, ["`tick_size`", "must be a number, is a string: '0.1'"]),
        ("tick_size = 0.1", "tick_size = 0", 8, ["`tick_size`", "> 0.0, is 0"]),
        ("tick_size = 0.1", "tick_size = -1.0", 8, ["> 0.0, is -1.0"]),
        ("tick_size = 0.1", "tick_size = nan", 8, ["> 0.0, is nan"]),
        ("tick_size = 0.1", "tick_size = inf", 8, ["finite"]),
        ("tick_size = 0.1\n", "", 5, ["lacks `tick_size`", "a number"]),
        ("lot_size = 0.001", "lot_size = 0.001\nroi = [3.0, 2.0]", 10, ["lower < upper"]),
        ("lot_size = 0.001", "lot_size = 0.001\nroi = [3.0]", 10, ["a list of 2 values, has 1"]),
        ('name = "mm"', 'name = "m m"', 2, ["1 to 64 characters"]),
        (
            'name = "mm"',
            'name = "mm"\nend = "cancle"',
            3,
            ["can't be 'cancle'", "did you mean 'cancel'?", "keep"],
        ),
        ('name = "mm"', 'name = "mm"\nspin_us = -1', 3, ["`spin_us`", ">= 0, is -1"]),
        ('name = "mm"', 'name = "mm"\nspin_us = 1.5', 3, ["`spin_us`", "an integer", "1.5"]),
        ("strategies.market_making:market_making", "market_making", 3, ["module:function"]),
        ("skew = 0.5", "skew = nan", 13, ["`parameters.skew` is NaN"]),
        ("skew = 0.5", "skew = 2024-08-08", 13, ["`parameters.skew` must be a number"]),
        ("skew = 0.5", "skew = [[1]]", 13, ["`parameters.skew` must be a flat list"]),
        ("[parameters]", "[record]\ninterval_ms = 0\n[parameters]", 12, ["`interval_ms`", ">= 1, is 0"]),
        ("[parameters]", "[paramters]", 11, ["unknown key 'paramters' in the file", "'parameters'"]),
    ],
)
def test_a_mistake_in_a_bots_configuration_names_line_key_and_remedy(tmp_path, old, new, line, words):
    assert old in BOT
    error = refused(tmp_path, BOT.replace(old, new))
    said = f"{error.what} {error.hint}"
    for word in words:
        assert word in said
    assert error.where.endswith(f"some.toml:{line}"), error.where


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('"power3"', '"powr3"', 12, ["`model`", "can't be 'powr3'", "did you mean 'power3'?", "risk_averse"]),
        ('model = "power3", ', "", 12, ["lacks `model`", "'risk_averse' or 'power'"]),
        (", n = 3.0", "", 12, ["lacks `n`", "a number"]),
        (", n = 3.0", ", n = 0", 12, ["`n`", "> 0.0"]),
        (", n = 3.0", ", n = 3.0, m = 1", 12, ["unknown key 'm'", "known keys: model, n"]),
        ("response_ns = 1000000", "response_ns = -1", 11, ["can't arrive before"]),
        ("entry_ns = 1000000, ", "", 11, ["lacks `entry_ns`"]),
        ("latency_{date}", "latency_{day}", 19, ["{day}", "{date}"]),
        ("{symbol}_{date}.npz", "{symbol}_{date.npz", 2, ["`data` is not a pattern"]),
        ('"ETHUSDT"', '"BTCUSDT"', 4, ["'BTCUSDT' is listed 2 times"]),
        (
            "lot_size = 0.01\n",
            'lot_size = 0.01\nexchange = "part"\n',
            19,
            ["can't be 'part'", "no_partial_fill"],
        ),
        (LATENCY, "", 15, ["lacks `order_latency`", "'constant' or 'interpolated'"]),
        ('[[channels]]\nname = "demofutures"\n', "[[channels]]\n", 4, ["lacks `name`"]),
    ],
)
def test_a_mistake_in_a_replays_configuration_names_line_key_and_remedy(tmp_path, old, new, line, words):
    assert old in REPLAY
    error = refused(tmp_path, REPLAY.replace(old, new), ReplayConfig)
    said = f"{error.what} {error.hint}"
    for word in words:
        assert word in said
    assert error.where.endswith(f"some.toml:{line}"), error.where


def test_a_negative_entry_latency_means_a_refusal_and_is_allowed(tmp_path):
    config = load(write(tmp_path, REPLAY.replace("entry_ns = 1000000", "entry_ns = -1000000")), ReplayConfig)
    assert config.channels[0].instruments[0].order_latency.entry_ns == -1_000_000


def test_a_negative_maker_fee_is_a_rebate_and_is_allowed(tmp_path):
    config = load(write(tmp_path, REPLAY), ReplayConfig)
    assert config.channels[0].instruments[0].fee.maker == -0.00005


def test_a_missing_section_is_named(tmp_path):
    assert "lacks [bot]" in refused(tmp_path, BOT[BOT.index("[[instruments]]") :]).what
    assert "lacks `instruments`" in refused(tmp_path, '[bot]\nname = "a"\nstrategy = "a:b"\n').what


def test_the_same_instrument_twice_is_refused(tmp_path):
    start, end = BOT.index("[[instruments]]"), BOT.index("[parameters]")
    assert "demofutures/BTCUSDT" in refused(tmp_path, BOT[:end] + BOT[start:end] + BOT[end:]).what


def test_a_configuration_with_windows_line_ends_and_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "some.toml"
    path.write_bytes(b"\xef\xbb\xbf" + BOT.replace("\n", "\r\n").encode())
    assert load(path, BotConfig).bot.name == "mm"
