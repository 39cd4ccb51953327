"""Small stand-ins for what the commands call, so that a command's face is tested by itself.

`modules()` gives them by name for `sys.modules`; `HFTD_FAKE` chooses what goes wrong.
"""

import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

from hftd.clock import sleep
from hftd.errors import DataError, NoSuchChannelError

HEAVY = {"matplotlib", "aiohttp", "rich", "structlog", "jinja2", "plotly"}


def _result(name: str):
    from tests.results import make_result

    return make_result(name=name, symbols=("BTCUSDT",), warnings=sorted(HEAVY & set(sys.modules)))


def _fails(what: str) -> bool:
    return os.environ.get("HFTD_FAKE") == what


def _runtime() -> Path:
    return Path(os.environ["HFTD_RUNTIME_DIR"])


def run_replay(config, base, dates, speed, progress, life=None, life_rows=0):
    from sim.replay.summary import BotSummary, ReplaySummary

    if _fails("no data"):
        raise DataError("no data of 20220831", where="data/x.npz", hint="there is 20220901")
    if _fails("a mistake"):
        raise ZeroDivisionError("division by zero")
    if _fails("interrupted"):
        raise KeyboardInterrupt
    progress.say("waiting for a bot")
    if "HFTD_RUNTIME_DIR" in os.environ:
        for channel in config.channels:
            (_runtime() / f"{channel.name}.sock").touch()
        if _fails("replay dies"):
            sleep(0.3)
            os.abort()
        for _ in range(400):
            if (_runtime() / "bot.done").exists():
                break
            sleep(0.05)
    for rows in range(0, 1001, 100):
        progress.update(rows, 1000, 1_661_904_000_000_000_000 + rows * 1_000_000_000)
    return ReplaySummary(
        dates=dates,
        channels=[channel.name for channel in config.channels],
        rows=1000,
        seconds=0.5,
        sim_seconds=1000.0,
        ended="end of data",
        bots=[BotSummary(name="mm", orders=12, fills=3, left="end of data")],
        warnings=[f"speed {speed}", f"base {base}"],
    )


def run_bot(config, base, record=None, companion=None, noting=None):
    if _fails("no channel"):
        raise NoSuchChannelError("no daemon publishes 'nowhere'", where="nowhere.sock", hint="there is demo")
    if _fails("bot raises"):
        raise ZeroDivisionError("division by zero")
    if _fails("bot hangs"):
        sleep(60)
    if "HFTD_RUNTIME_DIR" in os.environ:
        (_runtime() / "bot.done").touch()
    return _result(config.bot.name)


def backtest(
    replay_config, base, bot_config, bot_base, dates, life_rows=0, changes=(), noting=None, strategy=None
):
    return _result(bot_config.bot.name)


def parse_dates(text):
    if not text.replace(",", "").isdigit():
        raise DataError(f"'{text}' is not a date", hint="a date is 20220831")
    return text.split(",")


def find_files(pattern, dates, *, channel, symbol, base):
    return [base / pattern.format(channel=channel, symbol=symbol, date=date) for date in dates]


def write_day(folder, instruments, *, seed, date, pattern, latency_pattern, progress):
    written = []
    for one in instruments:
        for each in (pattern, latency_pattern):
            path = Path(folder) / each.format(channel=one.channel, symbol=one.symbol, date=date)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"{seed}".encode())
            written.append(path)
    progress(1.0)
    return written


def convert(inputs, output, *, venue, options, progress, on_write):
    progress(100, 100)
    on_write(2_000, 2_000)
    spans = SimpleNamespace(first_ts=1_661_904_000_000_000_000, last_ts=1_661_904_060_000_000_000)
    return SimpleNamespace(
        venue=venue,
        symbol=options.symbol or "BTCUSDT",
        output=str(output),
        rows=2_000,
        rows_by_kind={"depth": 1_900, "trade": 100},
        rows_split=3,
        exch=spans,
        local=spans,
        latency_min_ns=-5_000_000,
        clock_correction_ns=5_000_000 + options.base_latency_ns,
        sequence=SimpleNamespace(gaps=2, repeats=0),
        gaps=[],
        crossed=SimpleNamespace(checked=True, times=1, total_ns=2_000_000, longest_ns=2_000_000),
        lines=300,
        lines_by_kind={"depth": 200, "trade": 100},
        ignored={"not a market trade": 4},
        unreadable=[SimpleNamespace(file=str(inputs[0]), line=7, what="torn")],
        not_converted={"kline": 9},
        exchange_errors={},
        damage=["the gzip ends too early"] if _fails("damage") else [],
        notes=[f"options {options.mark_price} {options.book_ticker} {options.strict}"],
        bytes_text=10_000_000,
        seconds=0.1,
        megabytes_per_second=100.0,
        exit_code=1 if _fails("damage") else 0,
        to_json=lambda: '{"rows": 2000}',
    )


def modules() -> dict[str, ModuleType]:
    """The stand-ins by the names of the real modules."""
    demo = [SimpleNamespace(channel="demofutures", symbol="BTCUSDT")]
    contents = {
        "sim.replay.daemon": {"run": run_replay},
        "sim.run": {"backtest": backtest},
        "sim.archive": {"parse_dates": parse_dates, "find_files": find_files},
        "sim.generate": {"DEMO": demo, "DEMO_DATE": "20220831", "write_day": write_day},
        "sim.convert": {"Options": SimpleNamespace, "convert": convert},
        "hftd.bot.runner": {"run": run_bot},
    }
    made = {}
    for name, values in contents.items():
        made[name] = ModuleType(name)
        vars(made[name]).update(values)
    return made
