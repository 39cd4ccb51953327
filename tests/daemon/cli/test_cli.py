import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

import daemon.cli
from daemon.cli.failing import run
from hftd.errors import ChannelError, ConfigError, HftdError, LeaseLostError, NoSuchChannelError
from hftd.runfile import read_run
from tests.results import make_result
from tests.sim.replay.harness import rows_of


@pytest.fixture
def call(fakes, folder, capfd):
    """Run `hftd` in this process: call("bot", "--json") gives (code, stdout, stderr)."""

    def call(*arguments: str):
        code = run(daemon.cli.hftd, list(arguments))
        return (code, *capfd.readouterr())

    return call


def test_help_names_every_command_and_teaches_by_examples(call):
    code, out, _ = call("--help")
    assert code == 0
    for name in daemon.cli._COMMANDS:
        assert f"\n  {name} " in out
    assert "hftd replay --date 20220831" in out


@pytest.mark.parametrize("name", daemon.cli._COMMANDS)
def test_each_command_teaches_by_examples(call, name):
    code, out, _ = call(name, "--help")
    assert code == 0
    assert f"hftd {name}" in out[out.index("Examples:") :]


def test_every_line_of_help_fits_a_terminal():
    commands = [[], *([name] for name in daemon.cli._COMMANDS), ["convert", "binancefutures"]]
    for name in commands:
        out = CliRunner().invoke(daemon.cli.hftd, [*name, "--help"]).output
        assert max(map(len, out.splitlines())) <= 80


def test_version_names_what_it_stands_on(call):
    code, out, _ = call("--version")
    assert code == 0
    assert out.startswith("hftd ")
    assert "numba 0." in out


def test_no_command_shows_the_help(call):
    code, out, err = call()
    assert code == 2
    assert "Archives:" in out + err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["repaly"], "Did you mean 'replay'?"),
        (["xyzzy"], "There are demo, init"),
        (["replay", "--dat", "20220831"], "Did you mean '--date'?"),
        (["replay"], "Missing option '--date'"),
        (["replay", "--date", "20220831", "--speed", "fast"], "'fast' is not a number"),
        (["replay", "--date", "20220831", "--speed", "nan"], "above 0, is nan"),
        (["replay", "--date", "20220831", "--speed", "0"], "above 0, is 0"),
        (["backtest", "--date", "20220831"], "Missing option '--bot'"),
        (["convert", "binancefutres", "a", "b"], "Did you mean one of: 'binancefutures'"),
        (["convert", "binancefutures", "a"], "Missing argument"),
        (
            ["convert", "binancefutures", "a", "b", "--user-events", "mark"],
            "not one of mark_price, book_ticker",
        ),
    ],
)
def test_a_wrong_call_ends_with_2_and_says_what_would_be_right(call, arguments, words):
    code, out, err = call(*arguments)
    assert code == 2
    assert out == ""
    assert words in err


@pytest.mark.parametrize("command", [["replay", "--date", "20220831"], ["bot"]])
def test_without_a_configuration_the_places_that_were_looked_at_are_named(call, folder, command):
    for path in (folder / "configs").iterdir():
        path.unlink()
    code, _, err = call(*command)
    name = f"{command[0]}.toml"
    assert code == 2
    assert f"no {name} or configs/{name}" in err


def test_a_configuration_here_comes_before_the_one_in_configs(call, folder):
    (folder / "bot.toml").write_text("[bt]\n")
    code, _, err = call("bot")
    assert code == 2
    assert "bot.toml:1" in err
    assert "unknown key 'bt'" in err


def test_an_error_says_what_where_and_hint_without_a_traceback(call, monkeypatch):
    monkeypatch.setenv("HFTD_FAKE", "no data")
    code, out, err = call("replay", "--date", "20220831")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "error: no data of 20220831",
        "  where: data/x.npz",
        "  hint:  there is 20220901",
    ]


def test_a_traceback_is_shown_on_request(call, monkeypatch):
    monkeypatch.setenv("HFTD_FAKE", "no data")
    monkeypatch.setenv("HFTD_DEBUG", "1")
    _, _, err = call("replay", "--date", "20220831")
    assert "Traceback (most recent call last)" in err
    assert "error: no data of 20220831" in err


@pytest.mark.parametrize(
    ("error", "code"),
    [(HftdError, 1), (ConfigError, 2), (NoSuchChannelError, 2), (ChannelError, 3), (LeaseLostError, 4)],
)
def test_each_kind_of_error_has_its_exit_code(call, monkeypatch, error, code):
    def fail(config, base, **_):
        raise error("it failed")

    monkeypatch.setattr(sys.modules["hftd.bot.runner"], "run", fail)
    assert call("bot")[0] == code


def test_a_mistake_of_ours_is_one_line_and_says_how_to_report_it(call, monkeypatch):
    monkeypatch.setenv("HFTD_FAKE", "a mistake")
    code, _, err = call("replay", "--date", "20220831")
    assert code == 1
    assert "ZeroDivisionError: division by zero" in err
    assert "HFTD_DEBUG=1" in err
    assert "Traceback" not in err


def test_an_interrupt_ends_with_130_and_no_message(call, monkeypatch):
    monkeypatch.setenv("HFTD_FAKE", "interrupted")
    code, _, err = call("replay", "--date", "20220831")
    assert code == 130
    assert "error" not in err
    assert "Traceback" not in err


def test_replay_reports_its_run(call):
    code, out, err = call("replay", "--date", "20220831,20220901", "--speed", "2.5")
    assert code == 0
    assert "played 20220831, 20220901 into demofutures: 1,000 rows" in out
    assert "mm: 12 requests, 3 fills" in out
    assert "warning: speed 2.5" in out
    assert "warning: base configs" in out
    assert "waiting for a bot" in err


def test_replays_json_is_one_document(call):
    code, out, _ = call("replay", "--date", "20220831", "--json")
    assert code == 0
    assert json.loads(out)["bots"] == [{"name": "mm", "orders": 12, "fills": 3, "left": "end of data"}]


def test_a_date_that_is_none_is_refused(call):
    code, _, err = call("replay", "--date", "yesterday")
    assert code == 2
    assert "'yesterday' is not a date" in err


@pytest.mark.parametrize(
    "command", [["bot"], ["backtest", "--bot", "configs/bot.toml", "--date", "20220831"]]
)
def test_a_result_is_a_table_or_json_and_its_records_are_written(call, folder, command):
    code, out, _ = call(*command)
    assert code == 0
    assert "BTCUSDT" in out
    assert "position" in out
    code, out, err = call(*command, "--json", "--record", "out.npz")
    assert code == 0
    assert json.loads(out)["assets"][0]["symbol"] == "BTCUSDT"
    assert err == ""
    assert (folder / "out.npz").is_file()


def test_bot_and_backtest_write_equal_rows_for_equal_runs_and_say_which_they_are(call, folder):
    assert call("bot", "--record", "a.npz")[0] == 0
    assert call("backtest", "--bot", "configs/bot.toml", "--date", "20220831", "--record", "b.npz")[0] == 0
    assert rows_of(folder / "a.npz") == rows_of(folder / "b.npz")
    by_bot, by_backtest = (read_run(folder / name).meta for name in ("a.npz", "b.npz"))
    assert (by_bot.kind, by_bot.dates, by_bot.assets[0].data) == ("bot", [], [])
    assert (by_backtest.kind, by_backtest.dates) == ("backtest", ["20220831"])
    for bot, backtest in zip(by_bot.assets, by_backtest.assets, strict=True):
        assert (bot.symbol, bot.tick_size, bot.lot_size) == (
            backtest.symbol,
            backtest.tick_size,
            backtest.lot_size,
        )
        assert backtest.data == [str(folder / "data" / backtest.channel / f"{backtest.symbol}_20220831.npz")]
        assert backtest.maker_fee is not None


def test_records_that_can_not_be_written_are_said_before_the_run(call, monkeypatch):
    def never(config, base):
        raise AssertionError("it ran")

    monkeypatch.setattr(sys.modules["hftd.bot.runner"], "run", never)
    code, _, err = call("bot", "--record", "nowhere/out.npz")
    assert code == 2
    assert "mkdir -p nowhere" in err


def test_convert_reports_on_the_capture(call):
    code, out, _ = call("convert", "binancefutures", "a.gz", "b.gz", "out.npz", "--user-events", "mark_price")
    assert code == 0
    assert "out.npz: 2,000 rows of BTCUSDT" in out
    assert "2 with updates missing" in out
    assert "options True False False" in out
    assert "a.gz:7: torn" in out
    assert "corrected by 5,000,000 ns" in out


def test_convert_of_a_damaged_capture_ends_with_1(call, monkeypatch):
    monkeypatch.setenv("HFTD_FAKE", "damage")
    code, out, _ = call("convert", "binancefutures", "a.gz", "out.npz")
    assert code == 1
    assert "damage: the gzip ends too early" in out
    code, out, _ = call("convert", "binancefutures", "a.gz", "out.npz", "--json")
    assert (code, json.loads(out)) == (1, {"rows": 2000})


def test_a_bot_starts_without_the_libraries_that_only_draw_and_talk(hftd):
    for command in (["bot"], ["backtest", "--bot", "configs/bot.toml", "--date", "20220831"]):
        done = hftd(*command, "--json")
        assert done.returncode == 0, done.stderr
        # The stand-in puts what was imported before the strategy into its warnings.
        assert json.loads(done.stdout)["warnings"] == []


def test_help_imports_none_of_the_engine(environment, folder):
    code = "import sys; import daemon.cli as c, daemon.cli.failing as f; f.run(c.hftd, ['--help']); "
    heavy = {"numpy", "numba", "msgspec", "rich", "aiohttp", "matplotlib", "jinja2", "plotly"}
    code += f"print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment | {"PYTHONPATH": environment["PYTHONPATH"].split(":")[1]},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_a_closed_pipe_is_no_error(environment, folder):
    command = f"{sys.executable} -m daemon.cli bot --json | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.stderr == ""
    # 0 where all fitted into the pipe before its reader left.
    assert done.stdout.strip() in ("0", "141")


def test_a_command_without_standard_streams_takes_no_file_for_one(environment, folder):
    code = """
import os, sys
from daemon.cli.failing import open_streams
open_streams()
file = os.open("journal", os.O_CREAT | os.O_WRONLY)
for descriptor in (1, 2):
    os.write(descriptor, b"what a library says")
print("on stdout", flush=True)
print("on stderr", file=sys.stderr, flush=True)
raise SystemExit(0 if file > 2 and os.path.getsize("journal") == 0 and sys.stdin.read() == "" else 1)
"""
    closed = ["sh", "-c", 'exec "$@" 0<&- 1>&- 2>&-', "sh", sys.executable, "-c", code]
    assert subprocess.run(closed, cwd=folder, env=environment).returncode == 0


def test_the_json_of_a_process_is_its_whole_stdout_and_its_progress_goes_to_stderr(hftd):
    done = hftd("replay", "--date", "20220831", "--json")
    assert json.loads(done.stdout)["rows"] == 1000
    assert "waiting for a bot" in done.stderr


def test_results_are_the_same_through_a_process_and_in_memory(hftd):
    from hftd.bot.result import to_json

    assert hftd("bot", "--json").stdout.strip() == to_json(make_result(symbols=("BTCUSDT",))).decode()
