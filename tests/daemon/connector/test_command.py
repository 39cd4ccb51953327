"""What a user may rely on at the command line: `hftd connector` starts, says what is wrong, and leaves in order."""

import asyncio
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from hftd import wire
from hftd.clock import monotonic_ns
from hftd.control import status
from hftd.control.asking import ask
from hftd.errors import ChannelError, HftdError, RefusedError
from sim.exchange.binancefutures.venue import BinanceFutures
from sim.exchange.servers.server import LocalExchange
from tests.daemon.connector.harness import KEY, SECRET, exchange_config
from tests.forks import Forked

ROOT = Path(__file__).resolve().parents[3]


def write(path: Path, exchange: LocalExchange | None = None, **more: object) -> Path:
    urls = (
        {
            "stream_url": exchange.stream_url,
            "api_url": exchange.rest_url,
            "ws_api_url": exchange.urls["ws_api"],
        }
        if exchange
        else {}
    )
    lines = [f"{key} = {json.dumps(value)}" for key, value in {**urls, **more}.items()]
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o600)
    return path


def start(*arguments: str | Path, **environ: str) -> Forked:
    return Forked(
        ["daemon.cli", "connector", *arguments],
        cwd=ROOT,
        env={**os.environ, "HFTD_LOG": "info", **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


async def end_of(process: Forked) -> tuple[bytes, bytes]:
    return await asyncio.to_thread(process.communicate, timeout=60)


async def status_of(name: str) -> status.DaemonStatus:
    for _ in range(600):
        try:
            return (
                await asyncio.to_thread(
                    ask, name, wire.ASK_STATUS, status.DaemonStatus, monotonic_ns() + 2_000_000_000
                )
            )[1]
        except (ChannelError, HftdError):
            await asyncio.sleep(0.1)
    raise AssertionError("it never answered")


async def test_it_serves_logs_json_and_leaves_in_order_at_sigterm(tmp_path):
    async with LocalExchange(BinanceFutures, exchange_config()) as exchange:
        config = write(
            tmp_path / "binancefutures.toml", exchange, api_key=KEY, secret=SECRET, symbols=["BTCUSDT"]
        )
        process = start("--config", config, "--name", "bf", XDG_STATE_HOME=str(tmp_path))
        try:
            for _ in range(300):
                told = await status_of("bf")
                if told.channels[0].markets[0].book_is_valid and all(one.is_up for one in told.connections):
                    break
                await asyncio.sleep(0.05)
            assert told.channels[0].markets[0].book_is_valid
            process.send_signal(signal.SIGTERM)
            out, err = await end_of(process)
        finally:
            if process.returncode is None:
                process.kill()
        assert process.returncode == 0
        assert out == b""
        events = [json.loads(line) for line in err.splitlines() if line.startswith(b"{")]
        assert {"serving", "book_valid", "orders_connected"} <= {event["event"] for event in events}
        assert KEY.encode() not in err
        assert SECRET.encode() not in err
        assert (tmp_path / "hftd" / "bf.journal").exists()
        assert not (Path(os.environ["HFTD_RUNTIME_DIR"]) / "bf.sock").exists()


async def test_without_an_exchange_it_keeps_trying_and_can_be_ended(tmp_path):
    config = write(
        tmp_path / "binancefutures.toml", api_url="http://127.0.0.1:9", stream_url="ws://127.0.0.1:9/ws"
    )
    process = start("--config", config, "--log", "people")
    assert process.stderr is not None
    line = b""
    while b"instruments_not_fetched" not in line:
        line = await asyncio.to_thread(process.stderr.readline)
        assert line, "it ended"
    assert b"next attempt in" in line
    shown = await status_of("binancefutures.waiting")
    assert (shown.pid, shown.venue) == (process.pid, "binancefutures")
    assert [one.key for one in shown.alerts] == ["waits_for_exchange"]
    assert "'binancefutures' waits for its exchange" in shown.warnings[0]
    with pytest.raises(RefusedError, match="waits for its exchange"):
        ask("binancefutures.waiting", wire.ASK_HALT, status.Halted, monotonic_ns() + 2_000_000_000)
    process.send_signal(signal.SIGINT)
    await end_of(process)
    assert process.returncode == 0
    assert not [name for name in os.listdir(os.environ["HFTD_RUNTIME_DIR"]) if name.endswith(".sock")]


async def failing(*arguments: str | Path, **environ: str) -> tuple[int, str]:
    process = start(*arguments, **environ)
    out, err = await end_of(process)
    assert out == b""
    assert b"Traceback" not in err
    return process.returncode or 0, err.decode()


async def test_a_secret_that_others_may_read_is_refused(tmp_path):
    config = write(tmp_path / "binancefutures.toml", api_key=KEY, secret=SECRET)
    config.chmod(0o644)
    code, said = await failing("--config", config)
    assert code == 2
    assert "others than its owner may read" in said
    assert "chmod 600" in said
    assert SECRET not in said


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("binancefutures.toml", 'stream_ulr = "wss://x/ws"', "did you mean 'stream_url'"),
        ("binancefutures.toml", 'stream_url = "ws://example.com/ws"', "must be encrypted"),
        ("binancefutures.toml", 'api_url = "https://"', "name a host"),
        ("binancefutures.toml", 'order_prefix = "much too long"', "1 to 8"),
        ("binancefutures.toml", 'depth = "250ms"', "0ms"),
        ("binancefutures.toml", "[bots.mm]\nmax_positon = 1", "max_position"),
        ("kraken.toml", "", "there is no connector 'kraken'"),
    ],
)
async def test_mistakes_in_the_configuration_are_said_with_what_would_be_right(tmp_path, name, text, said):
    path = tmp_path / name
    path.write_text(text)
    code, error = await failing("--config", path)
    assert code == 2
    assert said in error
    assert "hint" in error or "known" in error or name in error


async def test_a_key_that_the_exchange_does_not_take_ends_it_with_the_reason(tmp_path):
    async with LocalExchange(BinanceFutures, exchange_config()) as exchange:
        config = write(tmp_path / "binancefutures.toml", exchange, journal="j")
        code, said = await failing("--config", config, HFTD_API_KEY="x" * 64, HFTD_SECRET="wrong")
        assert code == 2
        assert "does not take the API key" in said


def test_the_configuration_that_comes_along_is_the_testnets_and_has_no_secret():
    from daemon.connector.config import load_connector
    from daemon.venues.binancefutures.config import BinanceFuturesConfig

    config, credentials = load_connector(
        ROOT / "configs" / "binancefutures.toml", BinanceFuturesConfig, "binancefutures", {}
    )
    assert not credentials.are_there
    assert config.market_url() == "wss://fstream.binancefuture.com/stream"
    assert config.user_url() == "wss://fstream.binancefuture.com"
    assert config.orders_url() == "wss://testnet.binancefuture.com/ws-fapi/v1"
    mainnet = BinanceFuturesConfig(
        stream_url="wss://fstream.binance.com/ws", api_url="https://fapi.binance.com"
    )
    assert mainnet.market_url() == "wss://fstream.binance.com/public/stream"
    assert mainnet.user_url() == "wss://fstream.binance.com/private"
    assert mainnet.orders_url() == "wss://ws-fapi.binance.com/ws-fapi/v1"
    maker = BinanceFuturesConfig(
        stream_url="wss://fstream-mm.binance.com/ws", api_url="https://fapi-mm.binance.com"
    )
    assert maker.orders_url() == "wss://ws-fapi-mm.binance.com/ws-fapi/v1"


async def test_a_symbol_in_the_configuration_that_the_exchange_has_not_ends_it_with_the_right_one(tmp_path):
    async with LocalExchange(BinanceFutures, exchange_config()) as exchange:
        config = write(tmp_path / "binancefutures.toml", exchange, symbols=["BTCUSDX"])
        process = start("--config", config, "--name", "bf")
        _, err = await end_of(process)
    assert process.returncode == 2
    assert "no instrument 'BTCUSDX'" in err.decode()
    assert "`symbols`" in err.decode()
    assert "did you mean BTCUSDT" in err.decode()


async def test_without_keys_a_status_says_so_and_it_leaves_without_complaint(tmp_path):
    async with LocalExchange(BinanceFutures, exchange_config()) as exchange:
        config = write(tmp_path / "binancefutures.toml", exchange, symbols=["BTCUSDT"])
        process = start("--config", config, "--name", "bf")
        found = await status_of("bf")
        process.send_signal(signal.SIGINT)
        _, err = await end_of(process)
    assert any(warning.startswith("without keys") for warning in found.warnings)
    assert "no answer" not in err.decode()
