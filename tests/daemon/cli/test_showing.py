import io
import json
import re

import msgspec
import numpy as np
import pytest

from daemon.cli.asking import Report
from daemon.cli.compiling import Compiling, watching
from daemon.cli.show import charts, parameters, picture, runs, text
from daemon.cli.show import status as status_shown
from daemon.cli.show.progress import JsonLines, Lines, Meter, Share, replay_progress
from daemon.cli.show.terminal import show
from hftd.compiled import jit
from hftd.control import status
from hftd.errors import UsageError
from tests.results import START_NS, make_result


def table(result, *, columns: int | None = None) -> str:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return columns is not None

    stream = Terminal()
    show(runs.bot(result), stream)
    return stream.getvalue()


def test_the_table_has_a_line_for_each_asset_with_its_numbers():
    lines = table(make_result()).splitlines()
    row = next(line for line in lines if "BTCUSDT" in line)
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells[:5] == ["BTCUSDT", "demofutures", "-0.02", "20,000", "412.35"]
    assert cells[5:] == ["1.2500", "11.0957", "100", "1.23", "24,600.50"]
    assert "4.94 M rows/s" in lines[-1]
    assert "10 min 0 s of market; end of data" in lines[-1]


def test_the_table_turns_where_the_terminal_is_narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = re.sub("\x1b\\[[0-9;]*m", "", table(make_result(), columns=80))
    assert max(map(len, shown.splitlines())) <= 80
    assert "│ equity" in shown
    assert "…" not in shown


def test_an_asset_without_a_price_has_a_dash_and_warnings_are_shown():
    shown = table(make_result(price=float("nan"), warnings=["rows were lost [3]"]))
    assert "nan" not in shown.lower()
    assert "│      - │" in shown
    assert "warning: rows were lost [3]" in shown


def test_the_note_below_the_table_says_what_equity_is_of_the_contracts_shown():
    linear = make_result()
    assert "the rest in its quote currency;\nequity = balance + position * price - fee\n" in table(linear)
    inverse = [
        msgspec.structs.replace(asset, inverse=True, contract_size=100.0, balance=0.004, fee=0.0001)
        for asset in linear.assets
    ]
    shown = table(msgspec.structs.replace(linear, assets=inverse))
    assert "equity = -balance - position * contract size / price - fee" in shown
    assert "in the base currency" in shown
    assert "quote currency" not in shown
    both = table(msgspec.structs.replace(linear, assets=[linear.assets[0], inverse[1]]))
    assert "equity = balance + position * price - fee\n" in both
    assert "of ETHUSDT (inverse): position and volume in contracts" in both


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0.0], ["0.00"]),
        ([1234.5678, 0.001], ["1,234.57", "0.00"]),
        ([0.00123456], ["0.001235"]),
        ([-1.5, float("nan")], ["-1.5000", "-"]),
        ([float("inf")], ["-"]),
    ],
)
def test_amounts_side_by_side_have_the_same_decimals(values, shown):
    assert text.money(values) == shown


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0.1 + 0.2, 1.0], ["0.3", "1.0"]),
        ([-0.0], ["0"]),
        ([20250.05], ["20,250.05"]),
        ([1 / 3], ["0.33333333"]),
        ([], []),
    ],
)
def test_quantities_have_the_decimals_that_they_need(values, shown):
    assert text.exact(values) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0.00 s"),
        (0.0012, "1.20 ms"),
        (0.0099, "9.90 ms"),
        (4e-7, "0.40 µs"),
        (9.5, "9.50 s"),
        (59.6, "1 min 0 s"),
        (3725, "1 h 2 min"),
        (90_000, "1 d 1 h"),
        (float("nan"), "-"),
    ],
)
def test_durations_are_readable(seconds, shown):
    assert text.duration(seconds) == shown


def test_one_of_something_is_no_plural():
    assert [text.count(number, "file") for number in (0, 1, 2000)] == ["0 files", "1 file", "2,000 files"]


def test_a_rate_of_no_time_is_a_dash_and_no_error():
    assert text.rate(100, 0.0) == "- rows/s"
    assert text.rate(3_200_000, 1.0) == "3.2 M rows/s"
    assert text.rate(12, 1.0) == "12 rows/s"


def test_without_a_terminal_progress_is_a_line_now_and_then():
    stream = io.StringIO()
    with Lines(stream, every_ns=0) as progress:
        progress.say("waiting for mm")
        progress.update(250, 1000, START_NS)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "waiting for mm"
    assert lines[1].startswith("2022-08-31 00:00:00.0   25%  250 of 1,000 rows")


def test_without_a_terminal_a_fast_run_writes_no_line_for_each_update():
    stream = io.StringIO()
    with Lines(stream) as progress:
        for rows in range(1000):
            progress.update(rows, 1000, START_NS)
    assert stream.getvalue() == ""


def test_progress_for_programs_is_lines_of_json_and_has_the_end():
    stream = io.StringIO()
    with JsonLines(stream) as progress:
        progress.say("a\nb")
        for rows in range(0, 1001, 100):
            progress.update(rows, 1000, 7)
    messages = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert messages[0] == {"say": "a\nb"}
    assert messages[1] == {"rows": 0, "rows_total": 1000, "now_ns": 7}
    assert messages[-1] == {"rows": 1000, "rows_total": 1000, "now_ns": 7}


def test_the_meter_knows_no_rate_before_time_has_passed_and_keeps_a_bounded_history(monkeypatch):
    now_ns = 0
    monkeypatch.setattr("daemon.cli.show.progress.monotonic_ns", lambda: now_ns)
    meter = Meter()
    meter.update(0, 1000, 0)
    assert meter.rows_per_s == 0
    assert "left" not in meter.describe()
    for step in range(1, 500):
        now_ns = step * 100_000_000
        meter.update(step, 1000, START_NS)
    assert meter.rows_per_s == pytest.approx(10)
    assert meter.left_s == pytest.approx(50.1)
    assert "50 s left" in meter.describe()
    assert len(meter._samples) <= 64


def test_a_terminal_gets_a_bar(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with replay_progress("auto") as progress:
        progress.say("waiting for [mm]")
        progress.update(0, 1000, START_NS)
        progress.update(1000, 1000, START_NS + 1_000_000_000)
    shown = capsys.readouterr().err
    assert "waiting for [mm]" in shown


def test_no_progress_is_no_output(capsys):
    with replay_progress("none") as progress, watching("none"), Share("work", mode="none") as share:
        progress.say("waiting")
        progress.update(1, 2, 3)
        share(1, 2)
    assert capsys.readouterr() == ("", "")


def test_compiling_is_shown_once_something_was_compiled_and_never_for_the_cache():
    stream = io.StringIO()
    shown = Compiling(stream, live=False)
    for name in ("a", "b"):
        shown.begin(name)
    shown.finish()
    assert stream.getvalue() == ""
    shown.begin("c")
    shown.done("c", 0.5)
    shown.begin("d")
    shown.done("d", 1.5)
    shown.finish()
    assert stream.getvalue().splitlines()[-1] == "compiled 2 functions in 2.0 s"


def test_a_watch_on_compiling_ends_with_its_block():
    with watching("plain"):
        assert len(jit.on_compiling) == len(jit.on_compiled) == 1
    assert jit.on_compiling == jit.on_compiled == []


def draw(path, result) -> None:
    picture.draw(path, charts.bot(result))


def pixels(path) -> np.ndarray:
    from matplotlib.image import imread

    return imread(path)[:, :, :3]


def painted(panel: np.ndarray) -> float:
    """The share of pixels that are neither white nor grey."""
    return float((panel.max(axis=2) - panel.min(axis=2) > 0.15).mean())


def test_the_picture_shows_equity_position_and_price_of_each_asset(tmp_path):
    draw(tmp_path / "x.png", make_result())
    image = pixels(tmp_path / "x.png")
    assert image.shape[:2] == (900, 1200)
    for column in (image[:, :600], image[:, 600:]):
        for top, bottom in ((60, 260), (290, 490), (520, 840)):
            assert painted(column[top:bottom]) > 0.002


def test_the_picture_of_an_empty_run_says_so(tmp_path):
    draw(tmp_path / "empty.png", make_result(num_records=0, num_fills=0))
    image = pixels(tmp_path / "empty.png")
    assert painted(image) < 0.0005
    assert (image < 0.6).mean() > 0.001


def test_the_picture_of_a_run_without_prices_or_with_one_record_is_drawn(tmp_path):
    draw(tmp_path / "a.png", make_result(price=float("nan")))
    draw(tmp_path / "b.png", make_result(num_records=1, num_fills=1))
    draw(tmp_path / "c.png", make_result(symbols=("A",), num_fills=0))
    assert all((tmp_path / f"{name}.png").stat().st_size > 10_000 for name in "abc")


def test_the_picture_of_a_long_run_is_thinned_and_says_so(tmp_path):
    draw(tmp_path / "x.png", make_result(symbols=("A",), num_records=50_000, num_fills=20_000))
    assert pixels(tmp_path / "x.png").shape[:2] == (900, 1200)


def test_more_assets_make_the_picture_wider(tmp_path):
    draw(tmp_path / "x.png", make_result(symbols=("A", "B", "C")))
    assert pixels(tmp_path / "x.png").shape[:2] == (900, 1500)


def test_a_picture_that_can_not_be_written_is_said(tmp_path):
    with pytest.raises(UsageError, match="can't be written"):
        draw(tmp_path / "nowhere" / "x.png", make_result())


def told(parts) -> str:
    stream = io.StringIO()
    show(parts, stream)
    return stream.getvalue()


def asked(kind: str, **more) -> str:
    market = status.Market(symbol="BTCUSDT", instrument=0, orders_are_connected=False)
    channels = [status.Channel(name="c", markets=[market])]
    daemon = status.DaemonStatus(kind=kind, name="c", pid=1, version="1", now_ns=1, channels=channels, **more)
    return told(status_shown.daemons(Report(daemons=[daemon], silent=[])))


def test_a_collector_is_not_said_to_be_disconnected_from_orders_that_it_never_sends():
    assert "disconnected" in asked(status.CONNECTOR)
    assert "disconnected" not in asked(status.COLLECTOR)


def test_what_is_used_of_a_limit_has_the_digits_that_say_something():
    used = [status.Used(name="weight", used=value, limit=2400) for value in (317.31234567, 0.123456789, 1e-9)]
    shown = asked(status.CONNECTOR, limits=used)
    assert re.findall(r"weight │ +([0-9.]+) ", shown) == ["317.31", "0.1235", "0"]
    whole = asked(status.CONNECTOR, limits=[status.Used(name="value", used=1_234_567, limit=2_000_000)])
    assert "1,234,567" in whole and "2,000,000" in whole


def test_a_bot_whose_parameters_can_not_be_set_names_the_key_that_allows_it():
    said = told(parameters.parameters(status.Parameters(bot="mm", allows_set=False)))
    assert "`allow_set = true` below [bot]" in " ".join(said.split())
    assert "allow_set" not in told(parameters.parameters(status.Parameters(bot="mm", allows_set=True)))
