"""systemd hears that a connector serves, lives and ends; and nothing any more from one of whose loops one is stuck."""

import asyncio
import os
import re
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from daemon.connector.report import status_of
from sim.exchange.binancefutures.venue import BinanceFutures
from sim.exchange.servers.server import LocalExchange
from tests.daemon.connector.harness import KEY, SECRET, exchange_config, running
from tests.daemon.connector.test_command import end_of, start, write
from tests.notified import Listener

# A machine whose clock was set meanwhile (one that was stopped and went on, say) is told about, and is as well.
ALL_IS_WELL = r"^STATUS=1 of 1 books valid, bots: 0, orders connected(, 1 warning: clock_stepped)?$"


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    with Listener(tmp_path, monkeypatch) as listener:
        yield listener


@pytest.mark.thorough
async def test_a_process_is_ready_fed_while_it_runs_and_stops_in_order(tmp_path, systemd):
    async with LocalExchange(BinanceFutures, exchange_config()) as exchange:
        config = write(
            tmp_path / "binancefutures.toml", exchange, api_key=KEY, secret=SECRET, symbols=["BTCUSDT"]
        )
        process = start("--config", config, "--name", "bf", XDG_STATE_HOME=str(tmp_path))
        try:
            ready = await asyncio.to_thread(systemd.until, "READY=1")
            assert (Path(os.environ["HFTD_RUNTIME_DIR"]) / "bf.sock").exists()
            assert (tmp_path / "hftd" / "bf.journal").exists()
            assert "STATUS=0 of 1 books valid, bots: 0, orders NOT connected" in ready.splitlines()
            for _ in range(100):
                fed = await asyncio.to_thread(systemd.until, "WATCHDOG=1")
                if re.search(ALL_IS_WELL, fed, re.MULTILINE):
                    break
            else:
                pytest.fail(f"it never said that all is well: {systemd.said[-1]}")
            process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(0.1)
            assert not await asyncio.to_thread(systemd.is_fed_within, 2.5), "it stands still"
            process.send_signal(signal.SIGCONT)
            assert await asyncio.to_thread(systemd.is_fed_within, 10.0)
            process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(systemd.until, "STOPPING=1")
            await end_of(process)
        finally:
            if process.returncode is None:
                process.kill()
        assert process.returncode == 0


async def never(_seconds: float) -> None:
    await asyncio.get_running_loop().create_future()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "loop"),
    [("daemon.session.market.stream", "feed"), ("daemon.session.trading.account", "order")],
)
async def test_one_loop_that_is_stuck_ends_the_feeding_though_all_others_go_round(
    tmp_path, monkeypatch, systemd, module, loop
):
    monkeypatch.setattr("daemon.connector.watch.watchdog.LATE_S", 2.0)
    async with running(tmp_path) as whole:
        await whole.until_valid()
        assert await asyncio.to_thread(systemd.is_fed_within, 5.0)
        # An `await` of that loop alone never ends.
        monkeypatch.setattr(f"{module}.asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": never}))
        await whole.until(
            lambda: any(f"STATUS=the {loop} loop has been stuck" in one for one in systemd.heard())
        )
        assert not await asyncio.to_thread(systemd.is_fed_within, 3.0)
        told = [one for one in status_of(whole.connector).alerts if one.key == "loop_stuck"]
        assert [f"the {loop} loop has been stuck for" in one.text for one in told] == [True]
        monkeypatch.undo()


@pytest.mark.parametrize("loop", ["order management", "bots"])
async def test_each_of_the_connectors_own_loops_counts(tmp_path, monkeypatch, systemd, loop):
    monkeypatch.setattr("daemon.connector.watch.watchdog.LATE_S", 0.0)
    async with running(tmp_path, has_keys=False) as whole:
        assert loop in whole.connector._progress()
        assert not await asyncio.to_thread(systemd.is_fed_within, 1.5)
        assert any(f"the {loop} loop has been stuck" in one for one in systemd.said)


async def test_a_connector_that_waits_for_its_exchange_asks_systemd_for_more_time(tmp_path, systemd):
    config = write(
        tmp_path / "binancefutures.toml", api_url="http://127.0.0.1:9", stream_url="ws://127.0.0.1:9/ws"
    )
    process = start("--config", config, "--log", "people")
    try:
        said = await asyncio.to_thread(systemd.first)
        extension, words = said.splitlines()
        assert int(extension.removeprefix("EXTEND_TIMEOUT_USEC=")) >= 60_000_000
        assert words.startswith("STATUS=waits for its exchange: ")
    finally:
        process.send_signal(signal.SIGTERM)
        await end_of(process)
    assert not systemd.has("READY=1")


async def test_a_server_that_takes_a_connection_and_never_answers_is_given_up_and_tried_again(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("daemon.session.market.socket.CONNECT_S", 0.3)
    came: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _reader, writer: came.append(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with running(tmp_path, config={"stream_url": f"ws://127.0.0.1:{port}"}) as whole:
        market = whole.connector.session.market.supervision
        await whole.until(lambda: market.failures >= 2)
        assert len(came) >= 2
    for writer in came:
        writer.close()
    server.close()
