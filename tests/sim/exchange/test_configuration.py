"""The configuration, where the market comes from, and the command."""

import json
import os
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest
from msgspec.structs import replace

from hftd.config import load
from hftd.errors import ConfigError, DataError, UsageError
from sim.exchange.accounts.mishaps import SETTLEMENT
from sim.exchange.binancefutures.venue import BinanceConfig, BinanceFutures
from sim.exchange.core import Exchange
from sim.exchange.rules.instruments import ALL_ORDERS
from sim.exchange.rules.refusals import RefusedError, Why
from sim.exchange.servers.server import LocalExchange
from sim.exchange.venue import LocalVenue, find_venue, venue_names
from tests.forks import Forked, run
from tests.laws import ROOT
from tests.sim.exchange.client import SYMBOL, config, market

ORIGINAL = ROOT / "configs" / "exchange.toml"


def test_the_configuration_of_the_project_is_good():
    settings = load(ORIGINAL, BinanceConfig)
    assert settings.exchange.host == "127.0.0.1"
    assert not any(
        value
        for name, value in (
            (name, getattr(settings.chaos, name)) for name in settings.chaos.__struct_fields__
        )
        if not name.endswith("_for_s")
        and name not in ("late_ms", "stall_ms", "ban_s", "inside_snapshot", "shared_weight")
    )


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('tick_size = "0.10"', 'tick_size = "0"', "above 0"),
        ('tick_size = "0.10"', "tick_size = 0.1", "tick_size"),
        ('lot_size = "0.001"', 'lot_size = "0.00000001"', "8"),
        ('maker_fee = "0.0002"', 'maker_fee = "2bp"', "maker_fee"),
        ('secret = "local-demo-secret"', "", "secret"),
        ('secret = "local-demo-secret"', 'public_key = "AAAA"', "Ed25519"),
        ('api_key = "local-other-key"', 'api_key = "local-demo-key"', "api_key"),
        ("reply_ms = [0.0, 0.0]", "reply_ms = [2.0, 1.0]", "reply_ms"),
        ('queue = { model = "power3", n = 3.0 }', 'queue = { model = "l3_fifo" }', "model"),
        ('queue = { model = "power3", n = 3.0 }', 'queue = { model = "custom" }', "model"),
        ("seed = 0", "reply_lots = 0.1", "reply_lots"),
    ],
)
def test_a_mistake_is_said_with_its_key(tmp_path: Path, before: str, after: str, said: str):
    path = tmp_path / "exchange.toml"
    text = ORIGINAL.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    with pytest.raises(ConfigError, match=said):
        load(path, BinanceConfig)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tick_size": "1", "min_price": "0.5"}, "BTCUSDT: `min_price` is 0.5, .* `tick_size`, 1:"),
        ({"lot_size": "1"}, "BTCUSDT: `min_qty` is 0.001, .* `lot_size`, 1:"),
    ],
)
def test_a_filter_that_is_finer_than_its_step_is_named(changes: dict[str, str], said: str):
    settings = config()
    coarse = replace(settings, symbols=[replace(settings.symbols[0], **changes)])
    with pytest.raises(UsageError, match=said):
        Exchange(BinanceFutures, coarse, Path(), [])


async def test_one_port_can_not_be_that_of_the_exchange_and_of_its_control_page():
    settings = config()
    same = replace(settings, exchange=replace(settings.exchange, port=9080, control_port=9080))
    with pytest.raises(UsageError, match="9080 can't be the port"):
        await LocalExchange(BinanceFutures, same, rows={"BTCUSDT": market()}).start()


async def test_a_day_that_is_not_there_is_said(tmp_path: Path):
    with pytest.raises(DataError, match="no file for the day"):
        LocalExchange(BinanceFutures, config(), base=tmp_path, dates=["20240808"])


def test_the_command_serves_until_it_is_interrupted(tmp_path: Path):
    path = tmp_path / "exchange.toml"
    path.write_text(ORIGINAL.read_text())
    command = [
        "daemon.cli",
        "exchange",
        "--venue",
        "binancefutures",
        "--config",
        str(path),
    ]
    command += [
        "--generate",
        "3",
        "--port",
        "0",
        "--control-port",
        "0",
        "--json",
        "--chaos",
        "5",
        "--speed",
        "10",
    ]
    process = Forked(command, stdout=subprocess.PIPE, cwd=ROOT, text=True, env=os.environ)
    try:
        assert process.stdout is not None
        addresses = json.loads(process.stdout.readline())
        with urllib.request.urlopen(addresses["control"] + "/status", timeout=10) as reply:
            status = json.load(reply)
        assert status["rest_url"] == addresses["rest"]
        assert status["symbols"][0]["symbol"] == "BTCUSDT"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


def test_the_command_wants_a_day_or_a_seed():
    done = run(["daemon.cli", "exchange", "--venue", "binancefutures"], cwd=ROOT)
    assert done.returncode == 2
    assert "--date or --generate" in done.stderr


def test_an_unknown_venue_is_said_with_those_that_there_are():
    done = run(["daemon.cli", "exchange", "--venue", "nowhere", "--generate", "1"], cwd=ROOT)
    assert done.returncode == 2
    assert "no local exchange 'nowhere'" in done.stderr and "binancefutures" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", venue_names())
def test_a_venue_has_all_that_the_framework_asks_for(name: str):
    venue = find_venue(name)
    wanted = {one for one in (*vars(LocalVenue), *LocalVenue.__annotations__) if not one.startswith("_")}
    exchange = Exchange(venue, config(), Path(), [], {"BTCUSDT": market()})
    assert {one for one in wanted if not hasattr(exchange.venue, one)} == set()
    assert venue.name == name
    assert next(iter(venue.statuses.values())) == ALL_ORDERS
    assert {*venue.ended, *venue.halts} <= set(venue.statuses)
    assert SETTLEMENT in venue.forced
    # Each reason has a code and words of the venue's.
    facts = {
        "address": "a",
        "who": "a",
        "until_ms": 1,
        "retry_s": 1,
        "limit": 1,
        "code": 1,
        "msg": "x",
        "status": 400,
    }
    for why in Why:
        code, msg = exchange.venue.refusal(RefusedError(why, **facts))
        assert code and msg and "{" not in msg


def test_a_status_that_the_venue_has_not_is_said():
    with pytest.raises(UsageError, match="`status` must be one of TRADING"):
        Exchange(BinanceFutures, config(replace(SYMBOL, status="ASLEEP")), Path(), [], {"BTCUSDT": market()})
