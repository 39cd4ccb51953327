"""How a running bot stands: on a terminal of any width, and in a log; and tables at the widths of telephones."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from daemon.cli.run.reporting import lines_of
from hftd.clock import monotonic_ns
from tests.hftd.bot.conftest import FakeDaemon, fake  # noqa: F401

ROOT = Path(__file__).resolve().parents[3]
FACTS = {
    "position": "0.021 BTCUSDT",
    "equity": "+1,234",
    "open": "2",
    "fills": "1,145",
    "latency": "0.37 ms, at most 4.40 ms",
    "binancefutures": "ok",
}
CONFIG = """
[bot]
name = "mm"
strategy = "{root}/tests/hftd/bot/strategies.py:whole_sets_in_python"
report_every_s = 0.3
spin_us = 0
[[instruments]]
channel = "bf"
symbol = "BTCUSDT"
tick_size = 0.1
lot_size = 0.001
"""


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_wider_than_the_terminal_and_no_figure_is_cut(width: int):
    lines = lines_of("mm", FACTS, width)
    assert max(map(len, lines)) <= width
    assert "  ".join(lines) == "  ".join(["mm", *(f"{name} {value}" for name, value in FACTS.items())])
    assert len(lines) == (1 if width == 200 else len(lines))


def configured(folder: Path) -> Path:
    path = folder / "bot.toml"
    path.write_text(CONFIG.format(root=ROOT))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("width", [40, 80])
def test_a_bot_on_a_terminal_shows_how_it_stands(fake: FakeDaemon, tmp_path: Path, width: int):  # noqa: F811
    # These two would say the width in the terminal's place.
    environment = {
        name: value for name, value in fake.environment.items() if name not in ("COLUMNS", "LINES")
    }
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    bot = subprocess.Popen(
        [sys.executable, "-m", "daemon.cli", "bot", "--config", str(configured(tmp_path)), "--json"],
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env=environment | {"PYTHONPATH": str(ROOT), "TERM": "xterm"},
    )
    os.close(theirs)
    shown = ""
    try:
        end_ns = monotonic_ns() + 120_000_000_000
        while shown.count("position") < 3:
            assert monotonic_ns() < end_ns, shown
            if select.select([ours], [], [], 0.5)[0]:
                shown += os.read(ours, 65536).decode(errors="replace")
        bot.send_signal(signal.SIGINT)
        assert bot.wait(30) == 0
    finally:
        bot.kill()
        bot.wait()
        os.close(ours)
    plain = re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", shown)
    # What is compiled is told in sentences, which a terminal wraps.
    lines = [line for line in re.split("[\r\n]+", plain) if not line.startswith("compil")]
    assert max(map(len, lines)) <= width
    assert any("position 0 BTCUSDT" in line for line in lines)
    assert any("bf ok" in line for line in lines)


@pytest.mark.slow
def test_a_bot_without_a_terminal_says_it_in_lines(fake: FakeDaemon, tmp_path: Path):  # noqa: F811
    bot = subprocess.Popen(
        [sys.executable, "-m", "daemon.cli", "bot", "--config", str(configured(tmp_path)), "--json"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=fake.environment | {"PYTHONPATH": str(ROOT)},
    )
    assert bot.stderr is not None
    with bot:
        said = next(line for line in bot.stderr if line.startswith("mm  position"))
        bot.send_signal(signal.SIGINT)
    assert "open 0  fills 0  latency -  bf ok" in said


@pytest.mark.parametrize("width", [40, 80])
def test_what_is_in_an_archive_is_shown_whole_at_any_width(
    width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from daemon.cli.show import archives
    from daemon.cli.show.terminal import show
    from sim.tools.contents import Contents as Found
    from sim.tools.contents import RunAsset, RunContents

    asset = RunAsset(
        symbol="BTCUSDT",
        records=123_456_789,
        first_ts=1_661_904_000_735_230_464,
        last_ts=1_661_904_000_735_230_464,
        position=-12_345.678,
        balance=-1_290_723.4,
        fee=228.03139168,
        num_trades=1_145_000,
        fills=1_145_000,
    )
    run = RunContents(
        name="mm",
        strategy="s:s",
        run_kind="bot",
        dates=[],
        assets=[asset, asset],
        tables={},
        life=None,
        warnings=[],
        changes=[],
    )
    found = Found(file="run.npz", kind="run", bytes=1_000, rows=1, run=run)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    show(archives.contents(found))
    shown = re.sub("\x1b\\[[0-9;]*m", "", capsys.readouterr().out)
    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown
    for figure in ("123,456,789", "228.03139168", "1,145,000", "2022-08-31 00:00:00.7"):
        assert figure in shown
