"""Tools that look at running daemons, and at two runs: status, tap, halt, resume, compare, latencies."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import daemon.cli
from daemon.cli.asking import Report, Silent
from daemon.cli.failing import run
from daemon.cli.show.status import daemons
from daemon.cli.show.terminal import show
from daemon.histogram import Histogram
from hftd import BUY, NEW, REASON_EXCHANGE, REASON_NEVER_SENT, SELL
from hftd.bot.result import load_records, save_latencies, save_records
from hftd.clock import sleep
from hftd.control import status
from hftd.hbt.latencies import clean_latencies
from hftd.types import DEPTH_CLEAR_EVENT, event_dtype, fill_dtype, latency_dtype, request_row_dtype
from sim.results.compare import compare, pair_up
from tests.forks import Forked
from tests.hftd.bot.conftest import ROOT, FakeDaemon, fake  # noqa: F401 (a fixture)
from tests.results import START_NS, make_result


@pytest.fixture
def call(capfd):
    """Run `hftd` in this process: call("status") gives (code, stdout, stderr)."""

    def call(*arguments: str):
        code = run(daemon.cli.hftd, list(arguments))
        return (code, *capfd.readouterr())

    return call


@contextmanager
def tapping(*arguments: str, folder: Path) -> Iterator[Any]:
    with Forked(
        ["daemon.cli", "tap", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def until_tapped(fake: FakeDaemon, process: Any) -> None:  # noqa: F811
    while not fake.tell("look")["taps"]:
        assert process.poll() is None
        sleep(0.01)


def feed(fake: FakeDaemon, process: Any, **rows: Any) -> tuple[int, str, str]:  # noqa: F811
    """Publish until the tap has enough."""
    while process.poll() is None:
        fake.tell("rows", **rows)
        sleep(0.02)
    return (process.returncode, *process.communicate())


# Status.


def test_status_shows_the_daemons_that_run_and_their_bots(fake, call):  # noqa: F811
    code, out, err = call("status")
    assert (code, err) == (0, "")
    assert "bf  connector" in out
    document = json.loads(call("status", "bf", "--json")[1])
    assert document["daemons"][0]["pid"] == fake.process.pid
    assert document["silent"] == []


def test_status_names_a_daemon_that_does_not_answer_and_shows_the_others(fake, call, monkeypatch):  # noqa: F811
    monkeypatch.setattr("daemon.cli.asking.ANSWER_SECONDS", 0.2)
    fake.process.send_signal(signal.SIGSTOP)
    try:
        code, out, _ = call("status")
        assert code == 3
        assert "bf: " in out
        assert "did not answer in time" in out
        code, _, err = call("status", "bf")
        assert code == 3
        assert "did not answer in time" in err
    finally:
        fake.process.send_signal(signal.SIGCONT)


def test_status_without_daemons_says_where_it_looked(tmp_path, monkeypatch, call):
    monkeypatch.setenv("HFTD_RUNTIME_DIR", str(tmp_path))
    assert call("status") == (3, f"no daemon runs in {tmp_path}\n", "")
    code, _, err = call("status", "bf")
    assert code == 3
    assert "no channel 'bf'" in err


def test_every_part_of_a_status_is_shown():
    order = status.OpenOrder(
        symbol="BTCUSDT", order_id=7, client_id="x-7", side="buy", price=60_000.1, qty=0.5, leaves_qty=0.25,
        status="partially filled", request="unknown", age_ns=1_500_000_000,
    )  # fmt: skip
    position = status.Position(symbol="BTCUSDT", position=-0.25, balance=100.5, num_trades=3)
    bot = status.Bot(
        name="maker", pid=77, pull_quotes=True, symbols=["BTCUSDT"], orders=[order] * 30, orders_left_out=5,
        positions=[position], limits=[status.Used(name="open orders", used=35, limit=36)],
        halt_reason="too much lost",
        profits=[status.Profit(day_ns=START_NS, asset="USDT", total=-7.5, realised=-5.25, fee=2.25)],
    )  # fmt: skip
    market = status.Market(symbol="BTCUSDT", instrument=0, book_is_valid=False, best_bid=60_000.1, gaps=2)
    daemon_status = status.DaemonStatus(
        kind=status.CONNECTOR, name="bf", pid=5, version="1.2", now_ns=START_NS, venue="binancefutures",
        started_ns=START_NS - 60_000_000_000, is_halted=True, halt_reason="news", bots=[bot],
        channels=[status.Channel(name="bf", markets=[market])], account=[position],
        connections=[status.Connection(name="public", is_up=False, reconnects=4, last_error="closed")],
        foreign_orders=2, counters={"messages": 1234, "refused_38": 5, "refused_999": 2, "gaps": 0}, warnings=["odd"],
        limits=[status.Used(name="weight a minute", used=100, limit=2400)],
        days=[status.Profit(day_ns=1_723_075_200_000_000_000, asset="USDT", total=1.0, funding=0.125)],
    )  # fmt: skip
    out = StringIO()
    show(daemons(Report(daemons=[daemon_status], silent=[Silent(channel="x", error="gone")])), out)
    shown = out.getvalue()
    for words in (
        "HALTED: news", "not valid", "partially filled", "unknown", "x-7", "and 15 more open orders", "up 1 min 0 s",
        "weight a minute", "97", "closed", "messages 1,234", "2 open orders of others", "warning: odd", "x: gone",
        "60,000.1", "pull quotes", "refused with REASON_HALTED 5", "refused with reason 999 2", "all else 0",
        "HALTED: maker: too much lost", "-7.5000", "-5.2500", "today", "2024-08-08", "0.1250",
    ):  # fmt: skip
        assert words in shown, words
    assert "gaps 0" not in shown


def latency(name, *durations_ns):
    kept = Histogram()
    for duration_ns in durations_ns:
        kept.add(duration_ns)
    return kept.told(name)


@pytest.mark.parametrize("columns", [None, 80, 40])
def test_a_status_shows_latencies_outcomes_markouts_and_profits_whole_at_any_width(columns, monkeypatch):
    class Terminal(StringIO):
        def isatty(self):
            return columns is not None

    bot = status.Bot(
        name="maker-of-markets", symbols=["BTCUSDT", "ETHUSDT"], requests=1_234_567, fills=76_543,
        latencies=[latency("entry", 1_230_000), latency("round trip", 4_560_000, 7_890_000), latency("response")],
        outcomes={"filled": 25, "cancelled": 75, "unknown": 0},
        markouts=[status.Markout(after_ns=10_000_000_000, asset="USDT", count=31, value=50_000.0, gain=-12.5)],
        positions=[status.Position(symbol="BTCUSDT", position=-0.125, balance=98_765.43, num_trades=31)],
        profits=[status.Profit(day_ns=0, asset="USDT", total=-432.1, realised=567.8)],
    )  # fmt: skip
    market = status.Market(
        symbol="BTCUSDT",
        instrument=0,
        best_bid=60_000.1,
        rows=123_456_789,
        latency=latency("feed", 2_340_000),
    )
    why = "the exchange ended the connection " * 4
    daemon_status = status.DaemonStatus(
        kind=status.CONNECTOR, name="binancefutures", pid=5, version="1.2", now_ns=START_NS,
        channels=[status.Channel(name="binancefutures", markets=[market])], bots=[bot],
        connections=[status.Connection(name="user data", is_up=False, messages=7_654_321, last_error=why)],
    )  # fmt: skip
    monkeypatch.setenv("COLUMNS", str(columns or 80))
    out = Terminal()
    show(daemons(Report(daemons=[daemon_status], silent=[])), out)
    shown = re.sub("\x1b\\[[0-9;]*m", "", out.getvalue())
    for words in (
        "2.34", "1.23", "7.89", "round trip", "25.0", "-12.5000", "-2.50", "10 s", "-432.10", "567.80",
        "maker-of-markets", "98,765.43", "60,000.1", "123,456,789", "7,654,321", "1,234,567", "76,543",
    ):  # fmt: skip
        assert words in shown, words
    assert "response" not in shown
    assert "…" not in shown
    assert "││" not in shown and "┃┃" not in shown
    if columns is not None:
        assert max(map(len, shown.splitlines())) <= columns


def test_of_the_account_a_status_shows_the_position_and_no_zeros_that_nobody_knows():
    daemon_status = status.DaemonStatus(
        kind=status.CONNECTOR, name="bf", pid=5, version="1.2", now_ns=START_NS, started_ns=START_NS,
        account=[status.Position(symbol="BTCUSDT", position=-0.25)],
    )  # fmt: skip
    out = StringIO()
    show(daemons(Report(daemons=[daemon_status], silent=[])), out)
    (row,) = [line for line in out.getvalue().splitlines() if "account" in line]
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        "account",
        "BTCUSDT",
        "-0.25",
        "-",
        "-",
        "-",
        "-",
    ]


def test_halt_and_resume_say_what_holds_now(fake, call):  # noqa: F811
    assert call("halt", "bf", "--reason", "news") == (0, "bf is halted; orders being cancelled: 2\n", "")
    assert json.loads(call("halt", "bf", "--json")[1]) == {"is_halted": True, "cancelling": 2, "left": 0}
    assert call("resume", "bf") == (0, "bf takes orders again\n", "")
    assert call("halt", "--all") == (0, "bf is halted; orders being cancelled: 2\n", "")
    (one,) = json.loads(call("halt", "--all", "--json")[1])
    assert (one["channel"], one["is_done"], one["answer"]["is_halted"]) == ("bf", True, True)
    for wrong in (("halt",), ("halt", "bf", "--all")):
        code, _, said = call(*wrong)
        assert code == 2
        assert "the name of one channel, or --all" in said


def test_a_halt_finds_the_sockets_of_the_systems_units_or_says_the_command(
    fake,  # noqa: F811
    call,
    monkeypatch,
    tmp_path,
):
    monkeypatch.setattr("daemon.cli.halting.SYSTEM", Path(os.environ["HFTD_RUNTIME_DIR"]))
    monkeypatch.setenv("HFTD_RUNTIME_DIR", str(tmp_path / "own"))
    monkeypatch.setenv("HFTD_GROUP", "")
    assert call("halt", "bf") == (0, "bf is halted; orders being cancelled: 2\n", "")
    assert call("halt", "--all") == (0, "bf is halted; orders being cancelled: 2\n", "")
    assert call("halt", "none")[0] == 2
    # As root with the units' folder, whose owner is somebody else.
    monkeypatch.setattr("hftd.control.peers.is_ours", lambda _found: False)
    Path(os.environ["HFTD_RUNTIME_DIR"]).mkdir(mode=0o700)
    assert call("halt", "bf")[0] == 0
    monkeypatch.setattr("daemon.cli.halting.may_enter", lambda _folder: False)
    code, _, said = call("halt", "bf")
    assert code == 2
    assert "sudo hftd halt bf" in " ".join(said.split())
    code, _, said = call("halt", "--all")
    assert code == 2
    assert "sudo hftd halt --all" in " ".join(said.split())


# Tap.


@pytest.mark.thorough
def test_a_tap_shows_the_chosen_rows_as_they_pass(fake, tmp_path):  # noqa: F811
    with tapping(
        "bf", "--symbol", "BTCUSDT", "--kind", "trade", "--count", "3", "--json", folder=tmp_path
    ) as p:
        while p.poll() is None:
            fake.tell("rows", qty=1.0)
            fake.tell("rows", qty=2.0, instrument=1, trade=True)
            fake.tell("rows", qty=3.0, trade=True)
            sleep(0.02)
        out, err = p.communicate()
    assert (p.returncode, err) == (0, "3 rows; enough\n")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [(row["symbol"], row["kind"], row["side"], row["qty"]) for row in rows] == [
        ("BTCUSDT", "trade", "buy", 3.0)
    ] * 3


@pytest.mark.thorough
def test_a_tap_shows_lines_for_people_and_the_states_of_books(fake, tmp_path):  # noqa: F811
    with tapping("bf", folder=tmp_path) as process:
        until_tapped(fake, process)
        fake.tell("state", instrument=1, state=1)
        lines = [process.stdout.readline() for _ in range(11)]
        assert [line.split()[2] for line in lines[:10]] == (["clear"] + ["snapshot"] * 4) * 2
        assert lines[10].split() == ["ETHUSDT", "status", "book", "not", "valid"]
        fake.tell("rows", qty=1.5)
        line = process.stdout.readline()
        assert line.split()[1:] == ["BTCUSDT", "depth", "buy", "100", "1.5"]
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0


def test_a_tap_is_saved_as_an_archive_that_the_simulator_reads(fake, tmp_path):  # noqa: F811
    from sim.archive import check_events, read_events

    with tapping(
        "bf", "--symbol", "BTCUSDT", "--count", "50", "--save", "out.npz", folder=tmp_path
    ) as process:
        code, _, err = feed(fake, process, count=7, qty=4.0)
    assert (code, err) == (0, "50 rows in out.npz; enough\n")
    rows = read_events(tmp_path / "out.npz")
    check_events(rows)
    assert rows.dtype == event_dtype
    # The book of the beginning, then what passed.
    assert (len(rows), rows["ev"][0] & 0xFF, set(rows["qty"][5:])) == (50, DEPTH_CLEAR_EVENT, {4.0})
    assert [path.name for path in tmp_path.glob("*.npz")] == ["out.npz"]


@pytest.mark.thorough
def test_a_stopped_tap_keeps_what_it_has(fake, tmp_path):  # noqa: F811
    with tapping("bf", "--symbol", "BTCUSDT", "--save", "out.npz", folder=tmp_path) as process:
        until_tapped(fake, process)
        fake.tell("rows", count=2)
        sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
        assert "7 rows in out.npz; stopped" in process.stderr.read()
    assert len(np.load(tmp_path / "out.npz")["data"]) == 7


def test_a_tap_that_is_killed_leaves_all_but_its_last_second(fake, call, tmp_path):  # noqa: F811
    from sim.archive import read_events

    out = tmp_path / "out.npz"
    with tapping("bf", "--symbol", "BTCUSDT", "--save", "out.npz", folder=tmp_path) as process:
        until_tapped(fake, process)
        fake.tell("rows", count=40)
        while not out.exists() or len(out.read_bytes()) < 256 + 40 * 64:
            assert process.poll() is None
            sleep(0.02)
        process.kill()
        process.wait()
    rows = read_events(out)
    assert len(rows) >= 40
    assert np.array_equal(np.load(out), rows), "numpy reads it too"
    # A piece that was being written.
    with out.open("ab") as file:
        file.write(b"\x07" * 100)
    assert np.array_equal(read_events(out), rows)
    code, told, _ = call("inspect", str(out))
    assert code == 0
    assert "100 bytes" in told


def test_a_tap_whose_disk_is_full_says_so_and_keeps_what_it_has(fake, tmp_path):  # noqa: F811
    code = (
        "import resource, sys, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\n"
        "from daemon.cli import main\n"
        "main(['tap', 'bf', '--symbol', 'BTCUSDT', '--save', 'out.npz'])"
    )
    with Forked(
        ["-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        until_tapped(fake, process)
        code, _, err = feed(fake, process, count=30)
    assert code == 2
    assert "the rows can't be written" in err
    assert "Traceback" not in err
    assert (tmp_path / "out.npz").stat().st_size <= 4000


def test_a_tap_ends_with_its_daemon(fake, tmp_path):  # noqa: F811
    with tapping("bf", folder=tmp_path) as process:
        until_tapped(fake, process)
        fake.kill()
        assert process.wait() == 0
        assert "the daemon has ended" in process.stderr.read()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nf"], "channels that run: bf"),
        (["bf", "--symbol", "XRP"], "it has BTCUSDT, ETHUSDT"),
        (["bf", "--save", "out.npz"], "choose one by --symbol"),
        (["bf", "--kind", "dept"], "not one of depth"),
    ],
)
def test_a_tap_that_can_not_be_says_why(fake, call, tmp_path, monkeypatch, arguments, words):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    code, _, err = call("tap", *arguments)
    assert code == 2
    assert words in err
    assert list(tmp_path.glob("*.npz")) == []


def test_a_bot_notices_nothing_of_tools(fake, tmp_path, call):  # noqa: F811
    from hftd import Bot, Instrument

    with Bot([Instrument("bf", "BTCUSDT", 0.1, 0.001)], name="quiet") as bot:
        call("status")
        with tapping("bf", "--count", "5", folder=tmp_path) as process:
            feed(fake, process)
        assert bot.lost() == ""
        assert bot.warnings() == []


# Compare.


def fills_of(*rows: tuple[float, int, float]) -> Any:
    table = np.zeros(len(rows), fill_dtype)
    for row, (at_s, side, price) in zip(table, rows, strict=True):
        row["timestamp"] = START_NS + round(at_s * 1e9)
        row["side"], row["price"], row["qty"] = side, price, 1.0
    return table


def test_fills_are_one_if_they_agree_but_for_a_little_time():
    live = fills_of((0.001, BUY, 100.0), (1.0, SELL, 101.0), (2.0, BUY, 0.1 * 3), (3.0, BUY, 100.0))
    backtest = fills_of((0.0, BUY, 100.0), (1.2, SELL, 101.0), (2.0, BUY, 0.3), (3.0, SELL, 100.0))
    i, j = pair_up(live, backtest, 5_000_000)
    assert (list(i), list(j)) == ([0, 2], [0, 2])


times = st.lists(st.integers(0, 60), max_size=7)


@settings(deadline=None)
@given(times, times, st.integers(0, 10))
def test_no_other_way_pairs_more_rows(ours, theirs, tolerance):
    live, backtest = (fills_of(*((at / 1e9, BUY, 1.0) for at in sorted(rows))) for rows in (ours, theirs))
    i, j = pair_up(live, backtest, tolerance)
    assert len(set(i)) == len(set(j)) == len(i)
    assert all(abs(live["timestamp"][i] - backtest["timestamp"][j]) <= tolerance)
    # As a matching in a graph, by augmenting paths.
    taken: dict[int, int] = {}

    def place(at: int, seen: set[int]) -> bool:
        for k, other in enumerate(sorted(theirs)):
            if abs(sorted(ours)[at] - other) <= tolerance and k not in seen:
                seen.add(k)
                if k not in taken or place(taken[k], seen):
                    taken[k] = at
                    return True
        return False

    assert sum(place(at, set()) for at in range(len(ours))) == len(i)


def orders_of(result, shift_ns: int = 0) -> Any:
    rows = np.zeros(len(result.fills), request_row_dtype)
    rows["kind"] = NEW
    for name in ("asset_no", "side", "price", "qty"):
        rows[name] = result.fills[name]
    rows["timestamp"] = result.fills["timestamp"] + shift_ns
    return rows


def test_two_runs_are_shown_side_by_side_with_a_picture(call, tmp_path):
    result = make_result()
    live = msgspec.structs.replace(result, orders=orders_of(result, 2_000_000))
    less = msgspec.structs.replace(result, orders=orders_of(result), fills=result.fills[:-3])
    save_records(tmp_path / "live.npz", live)
    save_records(tmp_path / "backtest.npz", less)
    paths = [str(tmp_path / name) for name in ("live.npz", "backtest.npz", "both.png")]
    code, out, err = call("compare", *paths[:2], "--picture", paths[2])
    assert (code, err) == (1, "")
    assert "live only" in out
    assert "times within 5 ms" in out
    assert (tmp_path / "both.png").read_bytes()[:4] == b"\x89PNG"
    document = json.loads(call("compare", *paths[:2], "--json", "--allow", "0.01")[1])
    new, fill = document["matched"][0], document["matched"][-1]
    assert (new["what"], new["both"], new["difference_p50_ns"]) == ("new", 200, 2e6)
    assert (fill["what"], fill["both"], fill["live_only"]) == ("fill", 197, 3)
    assert len(document["alone"]) == 3
    assert call("compare", *paths[:2], "--allow", "0.01")[0] == 0
    assert call("compare", *paths[:2], "--tolerance-ms", "1")[0] == 1


def test_equal_runs_have_nothing_apart(tmp_path):
    save_records(tmp_path / "a.npz", make_result())
    records = load_records(tmp_path / "a.npz")
    found = compare(records, records, tolerance_ns=0)
    assert (found.apart, found.alone) == (0.0, [])
    assert all(one.live == one.backtest for one in found.standings)


def test_runs_of_different_bots_are_refused(call, tmp_path):
    save_records(tmp_path / "a.npz", make_result())
    save_records(tmp_path / "b.npz", make_result(symbols=("BTCUSDT",)))
    code, _, err = call("compare", str(tmp_path / "a.npz"), str(tmp_path / "b.npz"))
    assert code == 2
    assert "2 assets, the backtest 1" in err


# Latencies.


def test_recorded_latencies_are_an_archive_that_backtests_interpolate(tmp_path):
    from sim.archive import read_latencies

    rows = np.zeros(4, latency_dtype)
    rows["req_ts"] = [100, 200, 300, 400]
    rows["exch_ts"] = [150, 250, 350, 450]
    rows["resp_ts"] = [160, 260, 360, 460]
    rows["_padding"] = [0, 1, 0, 1]
    files = save_latencies(tmp_path / "out.npz", make_result(order_latency=rows))
    assert [file.name for file in files] == ["out.0.npz", "out.1.npz"]
    assert list(read_latencies(files[1])["req_ts"]) == [200, 400]
    alone = make_result(order_latency=rows[rows["_padding"] == 0], symbols=("BTCUSDT",))
    assert save_latencies(tmp_path / "out.npz", alone) == [tmp_path / "out.npz"]


def test_latencies_of_a_coarse_clock_go_forward_and_refusals_count_only_if_nothing_arrived():
    rows = np.zeros(5, latency_dtype)
    rows["req_ts"] = [100, 210, 300, 400, 500]
    rows["exch_ts"] = [150, 200, 0, 0, 590]
    rows["resp_ts"] = [160, 215, 320, 420, 580]
    rows["_padding"] = [0, 0, REASON_NEVER_SENT, REASON_EXCHANGE, 0]
    clean = clean_latencies(rows, 3)
    assert [tuple(row) for row in clean] == [
        (100, 150, 160, 3), (210, 210, 215, 3), (300, 0, 320, 3), (500, 590, 590, 3)
    ]  # fmt: skip
