"""`hftd convert` as it is called."""

import io
import json

import pytest
from click.testing import CliRunner
from msgspec import structs

from daemon.cli.commands.convert import _OPTIONS, _VENUES, command
from daemon.cli.show.archives import conversion
from daemon.cli.show.terminal import show
from sim.archive import read_events
from sim.convert import VENUES, Options, base, convert
from tests import forks

from .captures import capture, packed


def test_each_converter_is_a_command_and_each_option_is_one_of_the_functions():
    assert set(_VENUES) == set(VENUES)
    assert set(_OPTIONS) - {"user_events"} <= set(Options.__struct_fields__)


@pytest.mark.parametrize("name", sorted(VENUES))
def test_a_converter_says_what_it_takes_and_its_help_fits_a_terminal(name):
    shown = CliRunner().invoke(command, [name, "--help"])
    assert shown.exit_code == 0
    assert "Convert" in shown.output
    assert "--symbol" in shown.output
    assert max(map(len, shown.output.splitlines())) <= 80


def run(*arguments):
    return forks.run(["daemon.cli", "convert", *map(str, arguments)])


def test_a_capture_becomes_an_archive_with_a_report(tmp_path):
    path = packed(tmp_path / "day.gz", capture(1))
    done = run("binancefutures", path, tmp_path / "day.npz", "--user-events", "book_ticker", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["rows"] == len(read_events(tmp_path / "day.npz"))
    assert report["rows_by_kind"]["best bid"] > 0


def test_the_rate_of_a_small_input_is_in_kilobytes_and_does_not_count_compiling(tmp_path, monkeypatch):
    compiled = []
    monkeypatch.setattr(base, "_compile", lambda venue: compiled.append((venue.name, base.monotonic_ns())))
    path = packed(tmp_path / "day.gz", capture(1))
    before_ns = base.monotonic_ns()
    report = convert([path], tmp_path / "day.npz")
    (name, compiled_ns), after_ns = compiled[0], base.monotonic_ns()
    assert name == "binancefutures"
    # What the report calls the time began behind compiling.
    assert before_ns <= compiled_ns
    assert report.seconds <= (after_ns - compiled_ns) / 1e9
    stream = io.StringIO()
    show(conversion(structs.replace(report, megabytes_per_second=0.0123)), stream)
    assert "12.3 kB/s" in stream.getvalue()
    stream = io.StringIO()
    show(conversion(structs.replace(report, megabytes_per_second=312.4)), stream)
    assert "312 MB/s" in stream.getvalue()


@pytest.mark.thorough
def test_a_wrong_input_is_one_message_and_exit_code_2(tmp_path):
    (tmp_path / "klines.csv").write_text("open_time,open\n1,2\n")
    done = run("binancehistory", tmp_path / "klines.csv", tmp_path / "day.npz")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert f"{tmp_path / 'klines.csv'}:1" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["klines.csv"]


def test_a_damaged_input_is_converted_as_far_as_it_goes_with_exit_code_1(tmp_path):
    path = packed(tmp_path / "day.gz", capture(1, 2000))
    path.write_bytes(path.read_bytes()[:-5000])
    done = run("binancefutures", path, tmp_path / "day.npz", "--progress", "none")
    assert done.returncode == 1
    assert "damage:" in done.stdout
    assert "ends too early" in done.stdout
    assert len(read_events(tmp_path / "day.npz"))
